//! Each form in which a unit leaves `active`, as the manager tells it over its bus; the same forms from its journal
//! entries are in `manager_lines`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

const PAUSE_MS: i64 = 1_000;

/// Reads a story, one word a line: `1 start a done`, `2 stop a` (new), `a failed`, `a auto-restart`, `kill a SIGTERM`.
fn told(story: &str) -> Intents {
    let mut intents = Intents::default();
    for (at, line) in (0_i64..).zip(story.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let what = match words[..] {
            [] => continue,
            ["gap"] => Happening::Gap,
            ["kill", unit, signal] => Happening::Signal {
                unit: unit.to_owned(),
                signal: signal.to_owned(),
            },
            [id, kind, unit] => Happening::JobNew {
                id: id.parse().unwrap(),
                unit: unit.to_owned(),
                kind: JobKind::of(kind),
            },
            [id, kind, unit, result] => Happening::JobRemoved {
                id: id.parse().unwrap(),
                unit: unit.to_owned(),
                kind: JobKind::of(kind),
                result: JobResult::of(result),
            },
            [unit, "auto-restart"] => changed(unit, "activating", "auto-restart"),
            [unit, state] => changed(unit, state, ""),
            _ => panic!("{line}"),
        };
        let seen = Timestamp::from_millis(at * PAUSE_MS);
        intents.hear(&ManagerEvent { seen, what });
    }
    intents
}

fn changed(unit: &str, active: &str, sub: &str) -> Happening {
    Happening::UnitChanged(UnitChange {
        unit: unit.to_owned(),
        active: Some(active.to_owned()),
        sub: Some(sub.to_owned()),
        ..UnitChange::default()
    })
}

fn unit(name: &str) -> UnitState {
    UnitState {
        name: name.to_owned(),
        active_state: "inactive".to_owned(),
        ..UnitState::default()
    }
}

/// How `name` left, among `units`; one that is not among them has no relations.
fn left_among(story: &str, units: &[UnitState], name: &str) -> Left {
    let find = |name: &str| units.iter().find(|unit| unit.name == name);
    let alone = unit(name);
    told(story).left(find(name).unwrap_or(&alone), &find)
}

fn left(story: &str) -> Left {
    left_among(story, &[], "a")
}

fn stopped() -> Left {
    Left::OnPurpose(Purpose::Stopped)
}

fn with(name: &str) -> Left {
    Left::OnPurpose(Purpose::With(name.to_owned()))
}

fn along(name: &str) -> Left {
    Left::TakenAlong(name.to_owned())
}

#[test]
fn a_stop_job_is_somebodys_in_all_its_forms() {
    for (form, story) in [
        (
            "stopped",
            "1 start a done\n2 stop a\na deactivating\na inactive\n2 stop a done",
        ),
        ("its end alone was heard", "2 stop a done"),
        (
            "it ends with a status of its own",
            "1 start a done\n2 stop a\na failed\n2 stop a done",
        ),
        (
            "the stop runs into its time limit",
            "1 start a done\n2 stop a\na failed\n2 stop a timeout",
        ),
        (
            "a job whose kind is not known yet",
            "a active\n2 what a\na inactive\n2 stop a done",
        ),
        (
            "while the manager waits to restart it",
            "1 start a done\na auto-restart\n2 stop a\n2 stop a done",
        ),
        (
            "while it starts",
            "1 start a\na activating\n1 start a canceled\n2 stop a\na inactive\n2 stop a done",
        ),
        (
            "in place of a restart",
            "1 start a done\n2 restart a\na inactive\n2 restart a canceled\n3 stop a\n3 stop a done",
        ),
        (
            "after it had failed",
            "1 start a done\na failed\n2 stop a\n2 stop a done",
        ),
        (
            "heard twice",
            "1 start a done\n2 stop a\n2 stop a\na inactive\n2 stop a done\n2 stop a done\na inactive",
        ),
    ] {
        assert_eq!(left(story), stopped(), "{form}");
    }
}

#[test]
fn an_end_without_a_job_is_its_own() {
    for (form, story) in [
        ("failed", "1 start a done\na failed"),
        ("ended cleanly", "1 start a done\na inactive"),
        (
            "slowly, by its last commands",
            "1 start a done\na deactivating\na inactive",
        ),
        ("waits to be restarted", "1 start a done\na auto-restart"),
        ("cannot be started", "1 start a\na failed\n1 start a failed"),
        (
            "cannot be started after a stop",
            "1 start a done\n2 stop a\n2 stop a done\n3 start a\na failed\n3 start a failed",
        ),
        ("the start was skipped", "1 start a\n1 start a skipped"),
        (
            "cannot be restarted",
            "1 start a done\n2 restart a\na inactive\na failed\n2 restart a failed",
        ),
        (
            "after a stop that was called off",
            "1 start a done\n2 stop a\n2 stop a canceled\na failed",
        ),
        (
            "after it was stopped and started",
            "1 start a done\n2 stop a\n2 stop a done\n3 start a done\na failed",
        ),
    ] {
        assert_eq!(left(story), Left::ByItself, "{form}");
    }
}

#[test]
fn what_was_not_heard_is_not_known() {
    for story in [
        "",
        "1 start a done",
        "1 start a done\n2 stop a done\n3 start a done",
        "2 stop a done\ngap",
    ] {
        assert_eq!(left(story), Left::Unknown, "{story}");
    }
}

#[test]
fn a_signal_that_the_manager_was_asked_to_send_is_somebodys() {
    let signalled = Left::OnPurpose(Purpose::Signalled);
    assert_eq!(
        left("1 start a done\nkill a SIGTERM\na inactive"),
        signalled
    );
    assert_eq!(left("1 start a done\nkill a SIGKILL\na failed"), signalled);
    assert_eq!(
        left("1 start a done\nkill a SIGHUP\na failed"),
        Left::ByItself
    );
    let again = "1 start a done\nkill a SIGTERM\na auto-restart\n2 restart a\n2 restart a done\na active\na failed";
    assert_eq!(left(again), Left::ByItself);
    let much_later = format!(
        "1 start a done\nkill a SIGTERM\n{}a failed",
        "\n".repeat(100)
    );
    assert_eq!(left(&much_later), Left::ByItself);
}

/// The bus tells of the end at once, the journal of the order a moment later.
#[test]
fn a_signal_that_is_told_after_the_end_it_brought_about_is_somebodys() {
    let signalled = Left::OnPurpose(Purpose::Signalled);
    for (form, story, want) in [
        (
            "running",
            "1 start a done\na failed\nkill a SIGKILL",
            &signalled,
        ),
        (
            "told twice",
            "1 start a done\na failed\nkill a SIGKILL\nkill a SIGKILL\na failed",
            &signalled,
        ),
        (
            "to be restarted",
            "1 start a done\na auto-restart\nkill a SIGTERM",
            &signalled,
        ),
        (
            "starting",
            "1 start a\na failed\nkill a SIGTERM\n1 start a failed",
            &signalled,
        ),
        (
            "its start was over",
            "1 start a\na failed\n1 start a failed\nkill a SIGTERM",
            &signalled,
        ),
        (
            "stopped",
            "1 start a done\n2 stop a\n2 stop a done\nkill a SIGTERM",
            &stopped(),
        ),
        (
            "a leftover, long after",
            "1 start a done\na failed\n\n\n\n\n\n\nkill a SIGTERM",
            &Left::ByItself,
        ),
        (
            "another signal",
            "1 start a done\na failed\nkill a SIGHUP",
            &Left::ByItself,
        ),
    ] {
        assert_eq!(left(story), *want, "{form}");
    }
}

#[test]
fn a_signal_of_an_earlier_run_says_nothing_of_this_one() {
    let mut intents = told("1 start a done\na failed\n2 start a done");
    let late = Happening::Signal {
        unit: "a".to_owned(),
        signal: "SIGKILL".to_owned(),
    };
    for (at, what) in [(1, late), (3, changed("a", "failed", ""))] {
        let seen = Timestamp::from_millis(at * PAUSE_MS);
        intents.hear(&ManagerEvent { seen, what });
    }
    assert_eq!(intents.left(&unit("a"), &|_| None), Left::ByItself);
}

#[test]
fn a_mount_that_goes_without_a_job_was_unmounted() {
    let story =
        "1 start usb.mount done\n2 start b done\nusb.mount inactive\n3 stop b\n3 stop b done";
    let bound = UnitState {
        binds_to: vec!["usb.mount".to_owned()],
        ..unit("b")
    };
    let units = [unit("usb.mount"), bound.clone()];
    assert_eq!(
        left_among(story, &units, "usb.mount"),
        Left::OnPurpose(Purpose::Unmounted)
    );
    assert_eq!(left_among(story, &units, "b"), with("usb.mount"));
    let broken = UnitState {
        active_state: "failed".to_owned(),
        ..unit("usb.mount")
    };
    assert_eq!(left_among(story, &[broken, bound], "b"), along("usb.mount"));
}

/// c is bound to b, b to a.
fn chain() -> [UnitState; 3] {
    let on = |name, above: &str| UnitState {
        binds_to: vec![above.to_owned()],
        ..unit(name)
    };
    [unit("a"), on("b", "a"), on("c", "b")]
}

const CHAIN_UP: &str = "1 start a done\n2 start b done\n3 start c done\n";

#[test]
fn what_ended_takes_along_all_levels_bound_to_it_and_owns_none_of_them() {
    let story = format!("{CHAIN_UP}a failed\n4 stop b\n5 stop c\n5 stop c done\n4 stop b done\n");
    let after = |more: &str| format!("{story}{more}");
    for (when, story) in [
        ("at once", story.clone()),
        ("when a runs again", after("6 start a done\n")),
        (
            "when a failed again meanwhile",
            after("6 start a done\na failed\n"),
        ),
        (
            "when b runs again, too",
            after("6 start a done\n7 start b done\n"),
        ),
    ] {
        assert_eq!(left_among(&story, &chain(), "c"), along("b"), "{when}");
    }
    assert_eq!(left_among(&story, &chain(), "b"), along("a"));
}

#[test]
fn what_took_it_along_may_end_often_since() {
    let mut story = format!("{CHAIN_UP}a failed\n4 stop b\n4 stop b done\n");
    let chain = chain();
    let find = |name: &str| chain.iter().find(|unit| unit.name == name);
    let mut intents = told(&story);
    let first = intents.left(&chain[1], &find);
    assert_eq!(first, along("a"));
    intents.keep("b", &first);
    for _ in 0..2 * ENDS_MOST {
        for what in [changed("a", "active", ""), changed("a", "failed", "")] {
            let seen = Timestamp::from_millis(0);
            intents.hear(&ManagerEvent { seen, what });
        }
    }
    assert_eq!(intents.left(&chain[1], &find), along("a"));
    story.push_str("9 stop b\n9 stop b done");
    let mut intents = told(&story);
    intents.keep("b", &intents.left(&chain[1], &find));
    assert_eq!(intents.left(&chain[1], &find), stopped());
}

#[test]
fn what_somebody_stopped_takes_along_on_purpose() {
    // As the journal tells it: those that stop first come first, under the higher ids.
    let story = format!(
        "{CHAIN_UP}6 stop c\n6 stop c done\n5 stop b\n5 stop b done\n4 stop a\n4 stop a done"
    );
    assert_eq!(left_among(&story, &chain(), "c"), with("b"));
    assert_eq!(left_among(&story, &chain(), "b"), with("a"));
    let signalled = format!("{CHAIN_UP}kill a SIGTERM\na inactive\n4 stop b\n4 stop b done");
    assert_eq!(left_among(&signalled, &chain(), "b"), with("a"));
}

#[test]
fn what_was_stopped_with_one_that_runs_again_was_taken_along() {
    let units = [
        UnitState {
            requires: vec!["b".to_owned()],
            ..unit("a")
        },
        UnitState {
            requires: vec!["c".to_owned()],
            ..unit("b")
        },
        unit("c"),
    ];
    let stopped_all = "1 start c done\n2 start b done\n3 start a done\n4 stop c\n5 stop b\n6 stop a\n6 stop a done\n5 stop b done\n4 stop c done";
    let of = |more: &str, name: &str| left_among(&format!("{stopped_all}{more}"), &units, name);
    assert_eq!(of("", "b"), with("c"));
    assert_eq!(of("\n7 start c", "b"), with("c"), "on its way");
    let again = "\n7 start c\n7 start c done";
    assert_eq!(of(again, "b"), along("c"));
    assert_eq!(of(again, "a"), along("b"), "through every level");
    let down_again = format!("{again}\n8 stop c\n8 stop c done");
    assert_eq!(of(&down_again, "b"), with("c"));
}

#[test]
fn what_the_end_of_one_took_along_and_stopped_in_turn_is_nobodys_stop() {
    // `a` requires `b`, which is bound to it: the stop of `b` comes back to `a`, whose last process still ends.
    let units = [
        UnitState {
            requires: vec!["b".to_owned()],
            ..unit("a")
        },
        UnitState {
            binds_to: vec!["a".to_owned()],
            ..unit("b")
        },
    ];
    let killed = "1 start b done\n2 start a done\na deactivating";
    let in_turn = format!("{killed}\n3 stop b\n4 stop a\na failed\n4 stop a done\n3 stop b done");
    assert_eq!(left_among(&in_turn, &units, "b"), along("a"));
    assert_eq!(left_among(&in_turn, &units, "a"), along("b"));
    let by_hand = format!("{killed}\n3 stop a\na failed\n3 stop a done");
    assert_eq!(left_among(&by_hand, &units, "a"), stopped());
}

#[test]
fn a_stop_before_the_others_end_is_somebodys() {
    let story = format!("{CHAIN_UP}4 stop b\n4 stop b done\na failed");
    assert_eq!(left_among(&story, &chain(), "b"), stopped());
    let again = "1 start a done\na failed\n2 start a done\n3 start b done\n4 stop b\n4 stop b done";
    assert_eq!(left_among(again, &chain(), "b"), stopped());
}

#[test]
fn what_a_restart_stopped_and_did_not_start_again_was_taken_along() {
    let needs = UnitState {
        requires: vec!["a".to_owned()],
        ..unit("b")
    };
    let units = [unit("a"), needs];
    let up = "1 start a done\n2 start b done\n";
    let bus = format!(
        "{up}3 restart a\n4 restart b\nb inactive\na inactive\na failed\n3 restart a failed\n4 restart b dependency"
    );
    let journal = format!(
        "{up}4 stop b\nb inactive\n4 restart b done\n3 stop a\na inactive\n3 restart a done\n3 start a\na failed\n3 start a failed\n4 start b dependency"
    );
    for story in [&bus, &journal] {
        assert_eq!(left_among(story, &units, "b"), along("a"), "{story}");
        assert_eq!(left_among(story, &units, "a"), Left::ByItself, "{story}");
        let repaired = format!("{story}\n5 start a done");
        assert_eq!(left_among(&repaired, &units, "b"), along("a"), "{repaired}");
    }
    let stopped = format!("{up}4 stop b\n4 stop b done\n3 stop a\n3 stop a done");
    assert_eq!(left_among(&stopped, &units, "b"), with("a"));
}

#[test]
fn one_that_gave_way_to_another_was_stopped_for_it() {
    let gives = UnitState {
        excludes: vec!["shutdown.target".to_owned(), "b".to_owned()],
        ..unit("a")
    };
    let story = "1 start a done\n2 start b\n3 stop a\n3 stop a done\n2 start b done";
    let purpose = Left::OnPurpose(Purpose::For("b".to_owned()));
    assert_eq!(left_among(story, &[gives], "a"), purpose);
}

#[test]
fn one_that_was_pushed_out_by_a_start_that_failed_was_taken_along() {
    let gives = UnitState {
        excludes: vec!["shutdown.target".to_owned(), "b".to_owned()],
        ..unit("a")
    };
    let switch = "1 start a done\n2 start b\n3 stop a\n3 stop a done\n";
    for (form, rest, want) in [
        ("failed", "b failed\n2 start b failed", along("b")),
        ("too slow", "2 start b timeout", along("b")),
        (
            "failed again",
            "2 start b failed\n4 start b\nb failed\n4 start b failed",
            along("b"),
        ),
        ("called off", "2 start b canceled", stopped()),
        (
            "done, and crashed later",
            "2 start b done\nb failed",
            stopped(),
        ),
        (
            "done at the second try",
            "2 start b failed\n4 start b done",
            stopped(),
        ),
        (
            "and then stopped by somebody",
            "2 start b failed\n4 stop a\n4 stop a done",
            stopped(),
        ),
    ] {
        let story = format!("{switch}{rest}");
        let found = left_among(&story, std::slice::from_ref(&gives), "a");
        assert_eq!(found, want, "{form}");
    }
    // As the journal tells it: ends alone.
    let of_journal = "1 start a done\n3 stop a done\n2 start b failed";
    assert_eq!(left_among(of_journal, &[gives], "a"), along("b"));
}

#[test]
fn a_target_that_is_left_stops_on_purpose() {
    let part = UnitState {
        stops_with: vec!["x.target".to_owned()],
        ..unit("a")
    };
    let isolated = "1 start x.target done\n2 start a done\n3 start rescue.target\n5 stop a\n5 stop a done\n4 stop x.target done";
    assert_eq!(left_among(isolated, &[part], "a"), with("x.target"));
    assert_eq!(
        left("2 start a done\n3 start rescue.target\n5 stop a\n5 stop a done"),
        stopped()
    );
}

#[test]
fn memory_is_bounded_and_keeps_what_is_down() {
    let mut intents = told("1 start a done\n2 stop a done");
    for number in 0..2 * UNITS_MOST {
        let what = changed(&format!("run-{number}.service"), "active", "");
        let seen = Timestamp::from_millis(0);
        intents.hear(&ManagerEvent { seen, what });
    }
    assert_eq!(intents.courses.len(), UNITS_MOST);
    assert_eq!(intents.left(&unit("a"), &|_| None), stopped());
}

use proptest::prelude::*;

proptest! {
    /// Whatever is told in whatever order: no panic, an answer, and the stop that was told last is somebody's.
    #[test]
    fn any_words_have_an_answer(words in proptest::collection::vec((0_u8..8, 0_u32..5, 0_usize..3), 0..60)) {
        let names = ["a", "b", "c"];
        let mut story = String::new();
        for (word, id, who) in words {
            let name = names[who];
            story.push_str(&match word {
                0 => format!("{id} stop {name}\n"),
                1 => format!("{id} stop {name} done\n"),
                2 => format!("{id} start {name} done\n"),
                3 => format!("{name} failed\n"),
                4 => format!("{id} restart {name} dependency\n"),
                5 => format!("{name} active\n"),
                6 => format!("kill {name} SIGTERM\n"),
                _ => format!("{id} restart {name}\n"),
            });
        }
        for name in names {
            left_among(&story, &chain(), name);
        }
        story.push_str("9 stop a\n9 stop a done");
        prop_assert_eq!(left_among(&story, &chain(), "a"), stopped());
    }
}

/// Over the bus a job that is quick is gone before its kind can be asked for, and its end names none.
#[test]
fn a_job_whose_kind_was_not_heard_is_known_by_what_came_of_it() {
    let quick = |job: u32, unit: &str, state: &str| {
        format!("{job} other {unit}\n{unit} {state}\n{job} other {unit} done\n")
    };
    let up = quick(1, "a", "active");
    let stopped_quickly = quick(2, "a", "inactive");
    assert_eq!(left(&format!("{up}{stopped_quickly}")), stopped());
    let again = quick(3, "a", "active");
    let killed = format!("{up}{stopped_quickly}{again}a failed\n");
    assert_eq!(left(&killed), Left::ByItself, "started since, and killed");
    let kind_known = format!("{up}2 stop a\na inactive\n2 other a done\n");
    assert_eq!(left(&kind_known), stopped());
    let bound = UnitState {
        binds_to: vec!["a".to_owned()],
        ..unit("b")
    };
    let story = format!(
        "{up}{}a failed\na auto-restart\n{}{}",
        quick(2, "b", "active"),
        quick(3, "b", "inactive"),
        quick(4, "a", "active"),
    );
    assert_eq!(left_among(&story, &[unit("a"), bound], "b"), along("a"));
}

/// `try-restart` of what is down collapses to a job that does nothing, and is as quick.
#[test]
fn a_quick_job_that_found_nothing_to_do_leaves_the_end_to_whom_it_belongs() {
    let in_vain = "4 other a\n4 other a done\n";
    let failed = "1 start a done\na failed\n";
    let gone_late = "4 other a\na failed\n4 other a done\n";
    for (form, story, want) in [
        ("failed", format!("{failed}{in_vain}"), Left::ByItself),
        (
            "its state told again",
            format!("{failed}{gone_late}"),
            Left::ByItself,
        ),
        (
            "twice",
            format!("{failed}{in_vain}5 other a\n5 other a done\n"),
            Left::ByItself,
        ),
        (
            "stopped by somebody",
            format!("1 start a done\n2 stop a\na inactive\n2 stop a done\n{in_vain}"),
            stopped(),
        ),
        (
            "a stop that is known as one",
            format!("{failed}4 stop a\n4 other a done\n"),
            stopped(),
        ),
        (
            "to be restarted by its manager",
            format!("{failed}a auto-restart\n4 other a\na inactive\n4 other a done\n"),
            stopped(),
        ),
        (
            "up meanwhile",
            format!("{failed}4 other a\na deactivating\na inactive\n4 other a done\n"),
            stopped(),
        ),
        ("nothing known before", in_vain.to_owned(), stopped()),
    ] {
        assert_eq!(left(&story), want, "{form}");
    }
    let bound = UnitState {
        binds_to: vec!["a".to_owned()],
        ..unit("b")
    };
    let taken = "1 start a done\n2 start b done\na failed\n3 stop b\nb inactive\n3 stop b done\n";
    let story = format!("{taken}4 other b\n4 other b done\n");
    assert_eq!(left_among(&story, &[unit("a"), bound], "b"), along("a"));
}
