//! One row a rule, and its neighbour on the other side.

#![allow(clippy::unwrap_used)]

use super::*;

fn unit(name: &str) -> UnitState {
    UnitState {
        name: name.to_owned(),
        load_state: "loaded".to_owned(),
        active_state: "failed".to_owned(),
        service_type: "simple".to_owned(),
        result: "exit-code".to_owned(),
        exit_code: "exited".to_owned(),
        exit_status: 3,
        unit_file_state: "enabled".to_owned(),
        condition_result: true,
        wanted_by: vec!["multi-user.target".to_owned()],
        excludes: vec!["shutdown.target".to_owned()],
        left: Left::ByItself,
        ..UnitState::default()
    }
}

fn up(name: &str) -> UnitState {
    UnitState {
        active_state: "active".to_owned(),
        main_pid: 7,
        ..unit(name)
    }
}

fn with(change: impl FnOnce(&mut UnitState)) -> UnitState {
    let mut unit = unit("a.service");
    change(&mut unit);
    unit
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Why `unit` is not started where a boot target, a timer, a socket and some services stand around.
fn why(unit: &UnitState) -> Option<Unwanted> {
    among(unit, ManagerState::Running, &[])
}

fn among(unit: &UnitState, manager: ManagerState, listed: &[String]) -> Option<Unwanted> {
    let units = [
        up("multi-user.target"),
        up("a.timer"),
        up("a.socket"),
        up("runs.service"),
        up("up@1.service"),
        UnitState {
            unit_file_state: "disabled".to_owned(),
            wanted_by: Vec::new(),
            ..self::unit("nobody.service")
        },
        UnitState {
            active_state: "inactive".to_owned(),
            left: Left::TakenAlong("a.service".to_owned()),
            ..self::unit("waits.service")
        },
        UnitState {
            active_state: "inactive".to_owned(),
            left: Left::OnPurpose(Purpose::Stopped),
            ..self::unit("stopped.service")
        },
        self::unit("broken.socket"),
        UnitState {
            service_type: "oneshot".to_owned(),
            ..up("mails.service")
        },
    ];
    let around = Around {
        units: &units,
        manager,
        listed,
    };
    unwanted(unit, &around)
}

#[test]
fn what_the_boot_target_wants_is_started() {
    assert_eq!(why(&unit("a.service")), None);
    let taken_along = with(|unit| {
        unit.active_state = "inactive".to_owned();
        unit.left = Left::TakenAlong("db.service".to_owned());
    });
    assert_eq!(why(&taken_along), None);
    let of_another_init = with(|unit| unit.wanted_by = list(&["default"]));
    assert_eq!(why(&of_another_init), None);
}

#[test]
fn what_is_down_on_purpose_is_not() {
    let stopped = with(|unit| unit.left = Left::OnPurpose(Purpose::Stopped));
    assert_eq!(why(&stopped), Some(Unwanted::OnPurpose(Purpose::Stopped)));
    let unknown = |state: &str| {
        let state = state.to_owned();
        with(|unit| {
            unit.active_state = state;
            unit.left = Left::Unknown;
        })
    };
    assert_eq!(why(&unknown("inactive")), Some(Unwanted::NotKnown));
    assert_eq!(why(&unknown("failed")), None);
}

#[test]
fn what_nobody_wants_is_not() {
    let alone = |state: &str, kind: &str| {
        let (state, kind) = (state.to_owned(), kind.to_owned());
        with(|unit| {
            unit.wanted_by = list(&["nobody.service", "rescue.target"]);
            unit.unit_file_state = state;
            unit.service_type = kind;
        })
    };
    assert_eq!(why(&alone("disabled", "simple")), Some(Unwanted::Disabled));
    assert_eq!(why(&alone("static", "simple")), Some(Unwanted::Nobody));
    assert_eq!(why(&alone("disabled", "oneshot")), Some(Unwanted::ByHand));
    assert_eq!(why(&alone("enabled", "simple")), Some(Unwanted::Nobody));
    let listed = list(&["a.*"]);
    let of_operator = among(&alone("disabled", "simple"), ManagerState::Running, &listed);
    assert_eq!(of_operator, None);
}

#[test]
fn what_another_unit_needs_is_wanted_with_it() {
    for (by, wanted) in [
        ("runs.service", true),
        ("waits.service", true),
        ("stopped.service", false),
        ("nobody.service", false),
        ("a.service", false),
    ] {
        let needed = with(|unit| unit.wanted_by = list(&[by]));
        assert_eq!(why(&needed).is_none(), wanted, "{by}");
    }
}

#[test]
fn what_was_meant_to_run_once_is_not_run_again() {
    let job = |kind: &str, wanted_by: &[&str]| {
        let (kind, wanted_by) = (kind.to_owned(), list(wanted_by));
        with(|unit| {
            unit.service_type = kind;
            unit.wanted_by = wanted_by;
            unit.triggered_by = list(&["a.timer"]);
        })
    };
    let of_timer = Some(Unwanted::JobOf("a.timer".to_owned()));
    assert_eq!(why(&job("oneshot", &[])), of_timer);
    assert_eq!(why(&job("simple", &[])), of_timer);
    assert_eq!(why(&job("oneshot", &["multi-user.target"])), of_timer);
    assert_eq!(why(&job("simple", &["multi-user.target"])), None);
    let transient = with(|unit| unit.unit_file_state = "transient".to_owned());
    assert_eq!(why(&transient), Some(Unwanted::Transient));
    let done = with(|unit| {
        unit.active_state = "inactive".to_owned();
        unit.result = "success".to_owned();
        unit.service_type = "oneshot".to_owned();
    });
    assert_eq!(why(&done), Some(Unwanted::Done));
}

#[test]
fn what_is_started_on_demand_is_left_to_its_trigger_unless_it_broke() {
    let on_demand = |state: &str, by: &str| {
        let (state, by) = (state.to_owned(), list(&[by]));
        with(|unit| {
            unit.active_state = state;
            unit.wanted_by = Vec::new();
            unit.triggered_by = by;
        })
    };
    let demand = Some(Unwanted::OnDemand("a.socket".to_owned()));
    assert_eq!(why(&on_demand("inactive", "a.socket")), demand);
    assert_eq!(why(&on_demand("failed", "a.socket")), None);
    let broken = with(|unit| unit.triggered_by = list(&["broken.socket"]));
    let waits = Some(Unwanted::Socket("broken.socket".to_owned()));
    assert_eq!(why(&broken), waits);
}

#[test]
fn a_socket_is_not_started_while_its_service_runs() {
    let of = |name: &str, triggers: &str| UnitState {
        triggers: list(&[triggers]),
        ..unit(name)
    };
    let serves = Some(Unwanted::Serves("runs.service".to_owned()));
    assert_eq!(why(&of("a.socket", "runs.service")), serves);
    assert!(!serves.is_some_and(|why| why.is_quiet()));
    assert_eq!(why(&of("a.socket", "nobody.service")), None);
    // A path or a timer may be started beside it.
    assert_eq!(why(&of("a.path", "runs.service")), None);
    // One of a service for each connection, too.
    assert_eq!(why(&of("a.socket", "up@1.service")), None);
    assert!(named_by(&of("a.socket", "b.service")).any(|name| name == "b.service"));
}

#[test]
fn what_its_file_forbids_is_not_done() {
    let refuses = with(|unit| unit.refuse_manual_start = true);
    assert_eq!(why(&refuses), Some(Unwanted::Refuses));
    let prevents = |words: &[&str], code: &str| {
        let (words, code) = (list(words), code.to_owned());
        with(|unit| {
            unit.restart_prevent = words;
            unit.exit_code = code;
        })
    };
    let prevented = Some(Unwanted::Prevented("3/NOTIMPLEMENTED".to_owned()));
    assert_eq!(why(&prevents(&["255", "3"], "exited")), prevented);
    assert_eq!(why(&prevents(&["255", "3"], "killed")), None);
    let by_signal = why(&prevents(&["SIGQUIT"], "killed"));
    assert_eq!(by_signal, Some(Unwanted::Prevented("3/QUIT".to_owned())));
    assert_eq!(why(&prevents(&[], "exited")), None);
    let meant = UnitState {
        active_state: "inactive".to_owned(),
        result: "success".to_owned(),
        ..prevents(&["3"], "exited")
    };
    assert_eq!(why(&meant), Some(Unwanted::Done));
    for state in ["bad-setting", "error"] {
        let misread = with(|unit| unit.load_state = state.to_owned());
        assert_eq!(why(&misread), Some(Unwanted::Misread(state.to_owned())));
    }
}

#[test]
fn what_works_in_its_place_is_not_pushed_aside() {
    let in_place = |other: &str| Some(Unwanted::InPlaceOf(other.to_owned()));
    let excludes = |other: &str| {
        let other = other.to_owned();
        with(|unit| unit.excludes.push(other))
    };
    assert_eq!(why(&excludes("runs.service")), in_place("runs.service"));
    assert_eq!(why(&excludes("stopped.service")), None);
    let falls_back = |other: &str| {
        let other = list(&[other]);
        with(|unit| unit.on_failure = other)
    };
    assert_eq!(why(&falls_back("runs.service")), in_place("runs.service"));
    assert_eq!(why(&falls_back("mails.service")), None);
    assert_eq!(why(&falls_back("nobody.service")), None);
    let mends = UnitState {
        active_state: "activating".to_owned(),
        service_type: "oneshot".to_owned(),
        ..unit("mends.service")
    };
    let broken = falls_back("mends.service");
    let around = Around {
        units: &[mends],
        manager: ManagerState::Running,
        listed: &["*".to_owned()],
    };
    let repairing = Some(Unwanted::Repairing("mends.service".to_owned()));
    assert_eq!(unwanted(&broken, &around), repairing);
}

#[test]
fn what_would_start_something_stopped_is_not_started() {
    let needs = with(|unit| unit.requires = list(&["runs.service", "stopped.service"]));
    let stopped = Unwanted::Needs("stopped.service".to_owned(), Purpose::Stopped);
    assert_eq!(why(&needs), Some(stopped));
    let needs = with(|unit| unit.requires = list(&["runs.service", "waits.service"]));
    assert_eq!(why(&needs), None);
}

#[test]
fn a_start_pulls_in_what_is_down_at_every_level() {
    let asks = |name: &str, active: bool, for_: &str| UnitState {
        active_state: if active { "active" } else { "inactive" }.to_owned(),
        wants: list(&[for_]),
        left: Left::ByItself,
        ..unit(name)
    };
    let stopped = UnitState {
        active_state: "inactive".to_owned(),
        left: Left::OnPurpose(Purpose::Stopped),
        ..unit("db.service")
    };
    let why = |units: &[UnitState]| {
        let own = with(|unit| unit.wants = list(&["b.service"]));
        let around = Around {
            units,
            manager: ManagerState::Running,
            listed: &["*".to_owned()],
        };
        (unwanted(&own, &around), unread(&own, units).len())
    };
    let needs = Some(Unwanted::Needs("db.service".to_owned(), Purpose::Stopped));
    let chain = |b_is_up| {
        [
            asks("b.service", b_is_up, "c.service"),
            asks("c.service", false, "db.service"),
            stopped.clone(),
        ]
    };
    assert_eq!(why(&chain(false)), (needs, 0));
    assert_eq!(
        why(&chain(true)),
        (None, 0),
        "what runs starts nothing anew"
    );
    assert_eq!(why(&[]), (None, 1), "to be read");
    assert_eq!(why(&chain(false)[..1]), (None, 1));
    let circle = [asks("b.service", false, "a.service")];
    assert_eq!(why(&circle), (None, 0));
}

#[test]
fn there_is_no_job_while_the_manager_starts_up_or_stops() {
    for word in ["initializing", "starting", "stopping", "maintenance"] {
        let state = ManagerState::of(word);
        let waits = among(&unit("a.service"), state, &[]);
        assert_eq!(waits, Some(Unwanted::Manager(state)), "{word}");
    }
    assert_eq!(among(&unit("a.service"), ManagerState::Degraded, &[]), None);
}

#[test]
fn a_boot_that_does_not_end_is_over_for_what_has_no_part_in_it() {
    use ManagerState::{Running, Starting, Stopping};
    let idle = unit("a.service");
    let queued = with(|unit| unit.has_job = true);
    for (form, unit, state, lasts_s, want) in [
        ("a slow boot", &idle, Starting, 600, Starting),
        ("one that hangs", &idle, Starting, 601, Running),
        ("its own job is to come", &queued, Starting, 9_000, Starting),
        ("the end of it all", &idle, Stopping, 9_000, Stopping),
        ("as ever", &idle, Running, 5, Running),
    ] {
        let counts = state_for(unit, state, Duration::from_secs(lasts_s));
        assert_eq!(counts, want, "{form}");
    }
}

#[test]
fn one_that_runs_may_be_restarted() {
    let runs = up("a.service");
    assert_eq!(why(&runs), None);
    let nobodys = UnitState {
        wanted_by: Vec::new(),
        ..runs
    };
    assert_eq!(why(&nobodys), None);
}
