//! The repair of a way out, on a host of files whose commands are a script.

use std::sync::Arc;

use super::{Bench, Book, is_refused, take};
use crate::actions::{self, Action, RenewUplink, Undo};
use crate::host::exec::scripted::{Scripted, absent, fails, says};

const HEAD: &str = "head\n";
const NET: &str = "eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
const WAY: &str = "eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0\n";
const ARP: &str = "head\n192.0.2.1 0x1 0x2 02:00:00:00:00:05 * eth0\n";

/// What is otherwise on the host, or what a command says otherwise.
type Change = dyn Fn(&Bench, &Scripted);

fn renew() -> RenewUplink {
    RenewUplink {
        interface: "eth0".to_owned(),
    }
}

/// systemd-networkd has set eth0 up, and it has no default route.
fn bench() -> (Bench, Arc<Scripted>) {
    let script = Arc::new(Scripted::default());
    let mut bench = Bench::new(Book::default());
    bench.host = bench.host.with_executor(script.clone());
    for (name, text) in [
        ("operstate", "up"),
        ("flags", "0x1003"),
        ("type", "1"),
        ("carrier", "1"),
    ] {
        bench.put(&format!("sys/class/net/eth0/{name}"), text);
    }
    bench.put("proc/net/route", HEAD);
    bench.put("proc/net/arp", ARP);
    bench.put("proc/net/fib_trie", "|-- 192.0.2.2\n /32 host LOCAL\n");
    script.on("nmcli", |_| absent("nmcli"));
    script.on("ifquery", |_| absent("ifquery"));
    script.on("networkctl --no-legend", |_| {
        says("2 eth0 ether routable configured\n")
    });
    script.on("ip -V", |_| says("ip utility, iproute2-6.1.0\n"));
    script.on("ip -o address show dev eth0", |_| {
        says("2: eth0    inet 192.0.2.2/24 scope global eth0\\  valid_lft forever\n")
    });
    script.on("ip route show dev eth0", |_| {
        says("172.16.0.0/12 scope link\n")
    });
    script.on("ip -6 route show dev eth0", |_| says(""));
    script.on("ip -force -batch", |_| says(""));
    script.on("find", |_| says(""));
    script.on("networkctl reconfigure eth0", |_| says(""));
    (bench, script)
}

#[test]
fn the_way_back_is_armed_before_anything_is_changed_and_called_off_when_it_is_whole() {
    let (bench, script) = bench();
    let route = bench.dir.path().join("proc/net/route");
    let armed = bench.dir.path().join("backup/uplink-eth0.undo");
    let file = armed.clone();
    script.on("networkctl reconfigure eth0", move |_| {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("link set dev eth0 up\naddress flush dev eth0"),
            "{text}"
        );
        std::fs::write(&route, format!("{HEAD}{WAY}{NET}")).unwrap();
        says("")
    });
    let done = bench.context(|context| take(context, &renew())).unwrap();
    assert_eq!(done.message, "eth0 set up anew by systemd-networkd");
    let asked = script.asked();
    let at = |start: &str| asked.iter().position(|line| line.starts_with(start));
    let arms = at("find / -maxdepth 0 -exec sleep 80 ; -exec ip -force -batch");
    assert!(
        arms.is_some() && arms < at("networkctl reconfigure"),
        "{asked:#?}"
    );
    assert!(!armed.exists());
}

#[test]
fn what_helps_not_stays_armed_until_it_is_taken_back() {
    let (bench, script) = bench();
    let armed = bench.dir.path().join("backup/uplink-eth0.undo");
    let undo = bench
        .context(|context| renew().undo_record(context))
        .unwrap();
    let failed = bench
        .context(|context| take(context, &renew()))
        .unwrap_err();
    assert!(
        failed.to_string().contains("there is no default route"),
        "{failed}"
    );
    assert!(armed.exists());
    let Undo::PutBack { lines, .. } = &undo else {
        unreachable!("{undo:?}")
    };
    assert!(
        lines.contains("\naddress replace 192.0.2.2/24 dev eth0 scope global\n"),
        "{lines}"
    );
    bench
        .context(|context| actions::undo(context, &undo))
        .unwrap();
    assert!(!armed.exists());
    assert!(
        script
            .asked()
            .iter()
            .any(|line| line.starts_with("ip -force -batch"))
    );
    // Nothing is touched where the way back cannot be armed.
    script.on("find", |_| absent("find"));
    script.on("networkctl reconfigure eth0", |_| {
        unreachable!("it was not armed")
    });
    assert!(bench.context(|context| take(context, &renew())).is_err());
}

#[test]
fn it_is_refused_where_it_would_cut_somebody_off_or_cannot_help() {
    let may = |change: &Change| {
        let (bench, script) = bench();
        change(&bench, &script);
        bench.context(|context| renew().precondition(context))
    };
    assert!(may(&|_, _| {}).is_ok());
    let refusals: [(&str, &Change); 6] = [
        ("no carrier", &|bench, _| {
            bench.put("sys/class/net/eth0/carrier", "0")
        }),
        ("whole", &|bench, _| {
            bench.put("proc/net/route", &format!("{HEAD}{WAY}{NET}"))
        }),
        ("a login over it", &|bench, _| {
            let login = "head\n0: 020200C0:0016 0102000A:A004 01 0:0 0:0 0 0 0 1 1\n";
            bench.put("proc/net/tcp", login);
        }),
        ("not managed", &|_, script| {
            script.on("networkctl --no-legend", |_| {
                says("2 eth0 ether routable unmanaged\n")
            });
        }),
        ("BusyBox", &|_, script| {
            script.on("ip -V", |_| fails(1, "BusyBox v1.35"))
        }),
        ("not its way", &|bench, _| {
            bench.put(
                "proc/net/route",
                &format!("{HEAD}{}", WAY.replace("eth0", "eth1")),
            );
        }),
    ];
    for (name, change) in refusals {
        assert!(is_refused(&may(change)), "{name}");
    }
}

#[test]
#[cfg(target_endian = "little")]
fn a_login_over_another_interface_is_no_reason() {
    let (bench, _script) = bench();
    let login = "head\n0: 05000A0A:0016 0102000A:A004 01 0:0 0:0 0 0 0 1 1\n";
    bench.put("proc/net/tcp", login);
    bench.put(
        "proc/net/route",
        &format!("{HEAD}lan0 00000A0A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n"),
    );
    bench.put("sys/class/net/lan0/type", "1");
    let may = bench.context(|context| renew().precondition(context));
    assert!(may.is_ok(), "{may:?}");
}

#[test]
fn each_manager_is_given_its_own_orders() {
    const CONNECTION: &str = "5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03";
    let by = |change: &Change| {
        let (bench, script) = bench();
        script.on("networkctl --no-legend", |_| absent("networkctl"));
        change(&bench, &script);
        let route = bench.dir.path().join("proc/net/route");
        for last in ["nmcli --wait", "ifup"] {
            let route = route.clone();
            script.on(last, move |_| {
                std::fs::write(&route, format!("{HEAD}{WAY}{NET}")).unwrap();
                says("")
            });
        }
        script.on("ifdown", |_| says(""));
        let done = bench.context(|context| take(context, &renew()));
        let asked = script.asked();
        let orders = ["nmcli --wait", "ifdown", "ifup"];
        let is_order = |line: &&String| orders.iter().any(|order| line.starts_with(order));
        let given: Vec<String> = asked.iter().filter(is_order).cloned().collect();
        (
            done.map(|done| done.message).map_err(|why| why.to_string()),
            given,
        )
    };
    let (told, given) = by(&|_, script| {
        script.on("nmcli -g", |_| {
            says("100 (connected)\n5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03\n")
        });
    });
    assert_eq!(told.as_deref(), Ok("eth0 set up anew by NetworkManager"));
    assert_eq!(
        given,
        [format!(
            "nmcli --wait 15 connection up uuid {CONNECTION} ifname eth0"
        )]
    );
    let (told, given) = by(&|_, script| {
        script.on("ifquery --state eth0", |_| says("eth0=eth0\n"));
    });
    assert_eq!(told.as_deref(), Ok("eth0 set up anew by ifupdown"));
    assert_eq!(given, ["ifdown --force eth0", "ifup --force eth0"]);
    // Neither has set it up.
    let (told, given) = by(&|_, script| {
        script.on("nmcli -g", |_| says("10 (unmanaged)\n\n"));
        script.on("ifquery --state eth0", |_| says(""));
    });
    assert!(told.is_err() && given.is_empty(), "{told:?} {given:?}");
}
