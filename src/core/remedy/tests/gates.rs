use super::*;
use crate::core::config::{Mode, OpenWindow};
use crate::core::model::gate::Gate;
use crate::core::remedy::gates::{
    GateFacts, before_root, closed, later, later_symptom, needs_human, rearm_after,
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

fn window() -> OpenWindow {
    OpenWindow {
        until: after(7_200),
        text: "m".to_owned(),
    }
}

#[test]
fn the_gates_before_everything_else_answer_in_order() {
    /// Seconds until it is asked again, and until it opens by itself.
    type Answer = (u64, Option<u64>, Reason);
    type Row = (&'static str, fn(&mut GateFacts), Option<Answer>);
    let rows: [Row; 8] = [
        ("all open", |_| {}, None),
        (
            "kill switch",
            |f| f.kill_switch = Some("k".to_owned()),
            Some((60, None, Reason::KillSwitch("k".to_owned()))),
        ),
        (
            "maintenance",
            |f| f.maintenance = Some(window()),
            Some((60, Some(7_200), Reason::Maintenance("m".to_owned()))),
        ),
        (
            "clock",
            |f| f.clock_sane = false,
            Some((30, None, Reason::Clock)),
        ),
        (
            "grace",
            |f| f.grace_until = Some(after(1)),
            Some((1, Some(1), Reason::StartupGrace)),
        ),
        ("grace that is over", |f| f.grace_until = Some(NOW), None),
        (
            "a clock that is not sane before the grace",
            |f| {
                f.clock_sane = false;
                f.grace_until = Some(after(1));
            },
            Some((30, None, Reason::Clock)),
        ),
        (
            "the kill switch before maintenance before the clock",
            |f| {
                f.kill_switch = Some("k".to_owned());
                f.maintenance = Some(window());
                f.clock_sane = false;
            },
            Some((60, None, Reason::KillSwitch("k".to_owned()))),
        ),
    ];
    for (name, change, want) in rows {
        let mut facts = open();
        change(&mut facts);
        let answer = before_root(&facts, NOW).map(|one| (one.until, one.ends, one.reason));
        let want = want.map(|(asked, ends, why)| (after(asked), ends.map(after), why));
        assert_eq!(answer, want, "{name}");
    }
}

#[test]
fn all_that_stops_repairs_is_told_in_the_order_of_the_gates() {
    let facts = GateFacts {
        kill_switch: Some("k".to_owned()),
        maintenance: Some(window()),
        clock_sane: false,
        grace_until: Some(after(1)),
        age: Duration::ZERO,
    };
    let gates: Vec<_> = closed(&facts, NOW)
        .filter_map(|one| one.reason.gate())
        .collect();
    let of_the_host = [
        Gate::KillSwitch,
        Gate::Maintenance,
        Gate::Clock,
        Gate::StartupGrace,
    ];
    assert_eq!(gates, of_the_host);
    assert_eq!(closed(&open(), NOW).count(), 0);
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
