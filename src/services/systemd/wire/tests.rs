#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use proptest::prelude::*;

use super::spoken::{Said, properties, reply, text, variant};
use super::*;

/// `GetAll` answered with one property of each type that is read, and some that are passed over.
fn answer() -> Vec<u8> {
    let exec = Said::Group(vec![
        text("/bin/x"),
        Said::List(4, vec![text("/bin/x"), text("-v")]),
        Said::Flag(false),
        Said::Long(1),
        Said::Long(2),
        Said::Long(3),
        Said::Long(4),
        Said::Number(5),
        Said::Number(6),
        Said::Number(7),
    ]);
    let device = Said::Group(vec![text("/dev/ttyS4"), text("rw")]);
    let families = |only, names: &[&str]| {
        let names = names.iter().map(|name| text(name)).collect();
        variant(
            "(bas)",
            Said::Group(vec![Said::Flag(only), Said::List(4, names)]),
        )
    };
    let limits = Said::List(8, vec![Said::Group(vec![text("x"), Said::Long(9)])]);
    let entries = vec![
        ("Id", variant("s", text("a.service"))),
        ("Limits", variant("a(st)", limits)),
        ("ConditionResult", variant("b", Said::Flag(true))),
        (
            "Deep",
            variant("v", variant("v", variant("u", Said::Number(1)))),
        ),
        ("NRestarts", variant("u", Said::Number(3))),
        (
            "ExecStart",
            variant("a(sasbttttuii)", Said::List(8, vec![exec])),
        ),
        ("TimeoutStartUSec", variant("t", Said::Long(u64::MAX))),
        (
            "Requires",
            variant("as", Said::List(4, vec![text("b.mount"), text("c.mount")])),
        ),
        (
            "RestartPreventExitStatus",
            variant(
                "(aiai)",
                Said::Group(vec![
                    Said::List(4, vec![Said::Number(3)]),
                    Said::List(4, vec![Said::Number(15)]),
                ]),
            ),
        ),
        (
            "Job",
            variant("(uo)", Said::Group(vec![Said::Number(12), text("/j/12")])),
        ),
        ("DeviceAllow", variant("a(ss)", Said::List(8, vec![device]))),
        ("RestrictAddressFamilies", families(true, &["AF_UNIX"])),
        ("RestrictAddressFamilies", families(false, &[])),
    ];
    reply(7, ":1.0", "a{sv}", &[properties(entries)])
}

fn read(bytes: &[u8]) -> Result<Vec<(String, Value<'_>)>, WireError> {
    let mut entries = parse(bytes)?.body().entries()?;
    let mut read = Vec::new();
    while entries.next_entry() {
        read.push((entries.text()?.to_owned(), entries.variant()?));
    }
    Ok(read)
}

#[test]
fn an_answer_is_read_value_by_value() {
    let bytes = answer();
    assert_eq!(length(&bytes), Ok(Some(bytes.len())));
    let message = parse(&bytes).unwrap();
    assert_eq!(
        (message.kind, message.reply_to, message.sender),
        (MessageKind::Return, 7, ":1.0")
    );
    let values: Vec<Value<'_>> = read(&bytes).unwrap().into_iter().map(|(_, v)| v).collect();
    let want = [
        Value::Text("a.service"),
        Value::Other,
        Value::Flag(true),
        Value::Other,
        Value::Number(3),
        Value::Words(vec!["/bin/x"]),
        Value::Number(u64::MAX),
        Value::Words(vec!["b.mount", "c.mount"]),
        Value::Ends(vec![3], vec![15]),
        Value::Number(12),
        Value::Words(vec!["/dev/ttyS4"]),
        Value::Words(vec!["AF_UNIX"]),
        Value::Words(vec![]),
    ];
    assert_eq!(values, want);
}

#[test]
fn a_call_is_written_as_it_is_read() {
    let call = Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "StartUnit",
        args: &["a.service", "fail"],
    };
    let bytes = call.bytes(5);
    let message = parse(&bytes).unwrap();
    assert_eq!((message.kind, message.signature), (MessageKind::Call, "ss"));
    assert_eq!((message.path, message.member), (call.path, call.member));
    let mut body = message.body();
    assert_eq!((body.text(), body.text()), (Ok("a.service"), Ok("fail")));
    assert!(body.is_over());
}

#[test]
fn an_answer_torn_anywhere_is_no_answer() {
    let bytes = answer();
    for end in 0..bytes.len() {
        let torn = &bytes[..end];
        assert!(length(torn).unwrap().is_none_or(|whole| whole > end));
        assert!(read(torn).is_err(), "{end}");
    }
}

#[test]
fn endless_nesting_and_endless_length_are_refused() {
    let deep = "a".repeat(200) + "y";
    let bytes = reply(
        1,
        "",
        "v",
        &[Said::Variant("ay", Box::new(Said::List(1, vec![])))],
    );
    let mut body = parse(&bytes).unwrap().body();
    assert!(body.skip(&deep).is_err());
    let mut long = answer();
    long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(length(&long), Err(WireError::TooLong(_))));
    long[0] = b'x';
    assert!(length(&long).is_err());
}

proptest! {
    #[test]
    fn whatever_bytes_come_nothing_panics(
        at in 0_usize..400, bytes in proptest::collection::vec(any::<u8>(), 1..24)
    ) {
        let mut message = answer();
        let at = at.min(message.len());
        let end = (at + bytes.len()).min(message.len());
        message.splice(at..end, bytes);
        let _ = length(&message);
        let _ = read(&message);
    }
}
