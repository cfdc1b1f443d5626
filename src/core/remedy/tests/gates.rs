use super::*;
use crate::core::config::Mode;
use crate::core::remedy::gates::{
    Closed, GateFacts, before_root, later, later_symptom, needs_human, rearm_after,
};

fn open() -> GateFacts {
    GateFacts {
        kill_switch: None,
        maintenance: None,
        clock_sane: true,
        grace_until: None,
        age: Duration::from_secs(60),
    }
}

#[test]
fn the_gates_before_everything_else_answer_in_order() {
    type Row = (&'static str, fn(&mut GateFacts), Option<(u64, Reason)>);
    let rows: [Row; 8] = [
        ("all open", |_| {}, None),
        (
            "kill switch",
            |f| f.kill_switch = Some("k".to_owned()),
            Some((60, Reason::KillSwitch("k".to_owned()))),
        ),
        (
            "maintenance",
            |f| f.maintenance = Some("m".to_owned()),
            Some((60, Reason::Maintenance("m".to_owned()))),
        ),
        ("clock", |f| f.clock_sane = false, Some((30, Reason::Clock))),
        (
            "grace",
            |f| f.grace_until = Some(after(1)),
            Some((1, Reason::StartupGrace)),
        ),
        ("grace that is over", |f| f.grace_until = Some(NOW), None),
        (
            "a clock that is not sane before the grace",
            |f| {
                f.clock_sane = false;
                f.grace_until = Some(after(1));
            },
            Some((30, Reason::Clock)),
        ),
        (
            "the kill switch before maintenance before the clock",
            |f| {
                f.kill_switch = Some("k".to_owned());
                f.maintenance = Some("m".to_owned());
                f.clock_sane = false;
            },
            Some((60, Reason::KillSwitch("k".to_owned()))),
        ),
    ];
    for (name, change, want) in rows {
        let mut facts = open();
        change(&mut facts);
        let want = want.map(|(seconds, reason)| Closed {
            until: after(seconds),
            reason,
        });
        assert_eq!(before_root(&facts, NOW), want, "{name}");
    }
}

#[test]
fn only_auto_and_an_approved_suggestion_need_no_human() {
    for (mode, approved, needed) in [
        (Mode::Auto, false, false),
        (Mode::Auto, true, false),
        (Mode::Suggest, true, false),
        (Mode::Suggest, false, true),
        (Mode::Observe, false, true),
        (Mode::Observe, true, true),
    ] {
        let want = needed.then_some(Reason::Mode(mode));
        assert_eq!(needs_human(mode, approved), want, "{mode} {approved}");
    }
}

#[test]
fn what_has_waited_long_is_looked_at_again_later_within_bounds() {
    for (age, gate, symptom) in [
        (0, 30, 5),
        (5, 30, 5),
        (6, 30, 6),
        (30, 30, 30),
        (31, 31, 31),
        (899, 899, 899),
        (900, 900, 900),
        (901, 900, 900),
        (86_400, 900, 900),
    ] {
        let age = Duration::from_secs(age);
        assert_eq!(later(age).as_secs(), gate, "a gate after {age:?}");
        assert_eq!(
            later_symptom(age).as_secs(),
            symptom,
            "a symptom after {age:?}"
        );
    }
    let (mut age, mut looks) = (Duration::ZERO, 0);
    while age.as_secs() < 86_400 {
        age += later_symptom(age);
        looks += 1;
    }
    assert!(looks < 120, "{looks} looks in a day");
}

#[test]
fn rearming_grows_sixfold_to_a_day_and_stays() {
    for (first, rounds, want) in [
        (3_600, 0, 3_600),
        (3_600, 1, 21_600),
        (3_600, 2, 86_400),
        (3_600, u32::MAX, 86_400),
        (1, 6, 46_656),
        (1, 7, 86_400),
        (0, 8, 0),
        (86_401, 0, 86_400),
        (u64::MAX, 3, 86_400),
    ] {
        let pause = rearm_after(Duration::from_secs(first), rounds);
        assert_eq!(pause.as_secs(), want, "{first} s, round {rounds}");
    }
}
