//! What the state of a unit means. Pure: one `UnitState` in, at most one fault out.

use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::text::matches_glob;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::{Left, Purpose, UnitState};
use crate::core::reading::container::is_check;

/// Exit statuses that systemd itself gives before the program runs (`systemd.exec(5)`): each names a cause.
const EXIT_NAMES: &[(i32, &str)] = &[
    (1, "FAILURE"),
    (2, "INVALIDARGUMENT"),
    (3, "NOTIMPLEMENTED"),
    (4, "NOPERMISSION"),
    (5, "NOTINSTALLED"),
    (6, "NOTCONFIGURED"),
    (7, "NOTRUNNING"),
    (200, "CHDIR"),
    (201, "NICE"),
    (202, "FDS"),
    (203, "EXEC"),
    (204, "MEMORY"),
    (205, "LIMITS"),
    (206, "OOM_ADJUST"),
    (207, "SIGNAL_MASK"),
    (208, "STDIN"),
    (209, "STDOUT"),
    (210, "CHROOT"),
    (211, "IOPRIO"),
    (212, "TIMERSLACK"),
    (213, "SECUREBITS"),
    (214, "SETSCHEDULER"),
    (215, "CPUAFFINITY"),
    (216, "GROUP"),
    (217, "USER"),
    (218, "CAPABILITIES"),
    (219, "CGROUP"),
    (220, "SETSID"),
    (221, "CONFIRM"),
    (222, "STDERR"),
    (224, "PAM"),
    (225, "NETWORK"),
    (226, "NAMESPACE"),
    (227, "NO_NEW_PRIVILEGES"),
    (228, "SECCOMP"),
    (229, "SELINUX_CONTEXT"),
    (230, "PERSONALITY"),
    (231, "APPARMOR"),
    (232, "ADDRESS_FAMILIES"),
    (233, "RUNTIME_DIRECTORY"),
    (235, "CHOWN"),
    (236, "SMACK_PROCESS_LABEL"),
    (237, "KEYRING"),
    (238, "STATE_DIRECTORY"),
    (239, "CACHE_DIRECTORY"),
    (240, "LOGS_DIRECTORY"),
    (241, "CONFIGURATION_DIRECTORY"),
    (242, "NUMA_POLICY"),
    (243, "CREDENTIALS"),
    (245, "BPF"),
];

const SIGNALS: &[&str] = &[
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "POLL", "PWR", "SYS",
];

/// The name of a signal without its `SIG`; empty for a number without one.
pub fn signal_name(number: i32) -> &'static str {
    let at = usize::try_from(number).ok();
    at.and_then(|at| SIGNALS.get(at)).copied().unwrap_or("")
}

/// `203/EXEC`, `9/KILL`: the status as systemd prints it.
pub fn status_text(unit: &UnitState) -> String {
    let status = unit.exit_status;
    let name = if matches!(unit.exit_code.as_str(), "killed" | "dumped") {
        signal_name(status)
    } else {
        EXIT_NAMES
            .iter()
            .find(|(code, _)| *code == status)
            .map_or("", |(_, name)| name)
    };
    if name.is_empty() {
        status.to_string()
    } else {
        format!("{status}/{name}")
    }
}

/// `RestartPreventExitStatus=` names how it ended: numbers, and names of signals without `SIG`.
pub fn is_prevented(unit: &UnitState) -> bool {
    let status = status_text(unit);
    let (number, name) = status.split_once('/').unwrap_or((&status, ""));
    let killed = matches!(unit.exit_code.as_str(), "killed" | "dumped");
    let ended = unit.is_failed() || unit.left == Left::ByItself;
    ended
        && !unit.exit_code.is_empty()
        && unit.restart_prevent.iter().any(|word| {
            let word = word.strip_prefix("SIG").unwrap_or(word);
            if killed { word == name } else { word == number }
        })
}

/// What became of a unit of which no fault is seen any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It runs, or has done its work: the state that was wanted.
    Reached,
    /// Nobody wants it to run, and why: no fault, and no repair either.
    Unwanted(String),
    /// Neither failed nor as it was wanted, and why: its start was refused or is under way, or it is gone.
    Short(String),
}

/// Refused is not gone: not to be failed is not yet to be as it was wanted.
pub fn rest(unit: &UnitState) -> Rest {
    if unit.is_active() {
        return Rest::Reached;
    }
    if let Some(purpose) = unit.purpose() {
        return Rest::Unwanted(purpose.to_string());
    }
    if unit.load_state == "masked" || unit.unit_file_state.starts_with("masked") {
        return Rest::Unwanted("is masked".to_owned());
    }
    if unit.load_state != "loaded" {
        return Rest::Short(format!("is not there: LoadState={}", unit.load_state));
    }
    if unit.active_state == "inactive" && !unit.condition_result {
        return Rest::Unwanted("has a condition that is false".to_owned());
    }
    let ended_well =
        unit.result == "success" && unit.exit_code == "exited" && unit.exit_status == 0;
    let runs_once = unit.service_type == "oneshot" || !unit.triggered_by.is_empty();
    if unit.active_state == "inactive" && (ended_well && runs_once || ended_as_meant(unit)) {
        return Rest::Reached;
    }
    Rest::Short(format!(
        "does not run: it is {}",
        or_unknown(&unit.active_state)
    ))
}

/// What became of the unit of a fault of this class that is no longer seen; `None` where the class is not about whether
/// its unit runs.
pub fn rest_of(class: Class, unit: Option<&UnitState>) -> Option<Rest> {
    let should_run = class == Class::ServiceInactive;
    if !should_run && !matches!(class, Class::ServiceFailed | Class::ServiceWatchdog) {
        return None;
    }
    let Some(unit) = unit else {
        return Some(Rest::Short("is not there".to_owned()));
    };
    let rest = rest(unit);
    // Found of what should run: one that is plainly down and not found should not.
    if should_run && is_plainly_down(unit) && matches!(rest, Rest::Short(_)) {
        return Some(Rest::Unwanted("is no longer wanted".to_owned()));
    }
    Some(rest)
}

fn is_plainly_down(unit: &UnitState) -> bool {
    unit.load_state == "loaded" && unit.active_state == "inactive"
}

/// True when the unit must be left alone: a container's check, not there, masked, or excluded by the operator. One that failed is there
/// although its file is gone, and nothing starts it again.
pub fn is_excluded(unit: &UnitState, ignored: &[String]) -> bool {
    is_check(&unit.name)
        || unit.load_state == "masked"
        || (unit.load_state == "not-found" && !unit.is_failed())
        || matches!(unit.unit_file_state.as_str(), "masked" | "masked-runtime")
        || ignored.iter().any(|glob| matches_glob(glob, &unit.name))
}

/// Its file was taken away, and nothing that is there asks for it. What failed stays listed without its file.
pub fn is_gone(unit: Option<&UnitState>) -> bool {
    unit.is_none_or(|unit| {
        unit.load_state == "not-found"
            && matches!(unit.active_state.as_str(), "inactive" | "failed")
            && unit.wanted_by.is_empty()
            && unit.triggered_by.is_empty()
    })
}

/// True when a failed unit with a restart policy is down because its manager gave up.
pub fn hit_start_limit(unit: &UnitState) -> bool {
    unit.result == "start-limit-hit"
        || (unit.is_failed() && unit.n_restarts > 0 && !matches!(unit.restart.as_str(), "" | "no"))
}

/// A unit in state failed. One that somebody stopped is no fault, however badly it took it.
pub fn judge_failed(unit: &UnitState, now: Timestamp) -> Option<Finding> {
    if !unit.is_failed() || unit.purpose().is_some() {
        return None;
    }
    let limit = hit_start_limit(unit);
    let (class, severity) = match unit.result.as_str() {
        "watchdog" => (Class::ServiceWatchdog, Severity::Error),
        _ => (Class::ServiceFailed, Severity::Error),
    };
    let mut message = format!("unit failed: Result={}", or_unknown(&unit.result));
    if !unit.exit_code.is_empty() {
        message.push_str(" status=");
        message.push_str(&status_text(unit));
    }
    if !unit.service_type.is_empty() {
        message.push_str(" Type=");
        message.push_str(&unit.service_type);
    }
    let finding = Finding::new(class, &unit.name, severity, &message, "units", now);
    Some(with_unit_facts(finding, unit).with(limit.then_some(Fact::StartLimit)))
}

/// The facts that causes and runbooks read of any unit.
pub fn with_unit_facts(finding: Finding, unit: &UnitState) -> Finding {
    let ended = (!unit.exit_code.is_empty()).then_some(Fact::Exit {
        code: &unit.exit_code,
        status: unit.exit_status,
    });
    finding
        .with(Fact::Unit(&unit.name))
        .with(Fact::Result(&unit.result))
        .with(ended)
        .with(Fact::Restarts(unit.n_restarts))
        .with(Fact::Requires(&unit.required()))
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

/// True for what runs processes: a `.service` that is no template, or a service of another manager, whose
/// names carry no type.
fn is_service(name: &str) -> bool {
    (name.ends_with(".service") && !name.contains("@.")) || !has_unit_type(name)
}

/// True for names as systemd gives them.
pub fn has_unit_type(name: &str) -> bool {
    const TYPES: &[&str] = &[
        "service",
        "socket",
        "target",
        "mount",
        "automount",
        "swap",
        "timer",
        "path",
        "slice",
        "scope",
        "device",
    ];
    name.rsplit_once('.')
        .is_some_and(|(_, kind)| TYPES.contains(&kind))
}

/// Its file calls this end a success after which it is not to be started again.
fn ended_as_meant(unit: &UnitState) -> bool {
    unit.result == "success" && is_prevented(unit)
}

/// True when the unit should run now: enabled, wanted by a target that is up, and none of the reasons
/// for which an inactive unit is in order.
pub fn should_run(unit: &UnitState, is_up: &dyn Fn(&str) -> bool) -> bool {
    is_for_now(unit, is_up)
        && is_service(&unit.name)
        && unit.purpose().is_none()
        && unit.service_type != "oneshot"
        && !ended_as_meant(unit)
}

/// Enabled, and wanted by what is up.
fn is_for_now(unit: &UnitState, is_up: &dyn Fn(&str) -> bool) -> bool {
    let enabled = matches!(
        unit.unit_file_state.as_str(),
        "enabled" | "enabled-runtime" | "generated" | "declared"
    );
    enabled
        && unit.load_state == "loaded"
        && unit.triggered_by.is_empty()
        && unit.condition_result
        && unit.wanted_by.iter().any(|target| is_up(target))
        // Of two that exclude each other one is down, whichever it is.
        && !unit.excludes.iter().any(|other| is_up(other))
}

/// What somebody wanted of a unit that would be up otherwise, as one that is enabled or on the operator's list.
pub fn kept_down<'u>(
    unit: &'u UnitState,
    is_up: &dyn Fn(&str) -> bool,
    is_listed: bool,
) -> Option<&'u Purpose> {
    // A job that was stopped would be over by now.
    let stays = unit.service_type != "oneshot" || unit.remain_after_exit;
    let purpose = unit.purpose().filter(|_| stays)?;
    (is_listed || is_for_now(unit, is_up)).then_some(purpose)
}

/// A unit that should run and does not; failed ones are another class.
pub fn judge_inactive(
    unit: &UnitState,
    is_up: &dyn Fn(&str) -> bool,
    now: Timestamp,
) -> Option<Finding> {
    if unit.active_state != "inactive" || !should_run(unit, is_up) {
        return None;
    }
    let how = match &unit.left {
        Left::ByItself => "ended by itself",
        Left::TakenAlong(_) => "went down with another unit",
        Left::Unknown | Left::OnPurpose(_) if unit.inactive_enter_us > 0 => {
            "how it went down is not known"
        }
        Left::Unknown | Left::OnPurpose(_) => "was not started",
    };
    let message = format!(
        "enabled but not running: {how}, Result={}",
        or_unknown(&unit.result)
    );
    let finding = Finding::new(
        Class::ServiceInactive,
        &unit.name,
        Severity::Warning,
        &message,
        "units",
        now,
    );
    Some(with_unit_facts(finding, unit))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::facts::Key;

    const NOW: Timestamp = Timestamp::from_millis(0);

    fn unit(active: &str) -> UnitState {
        UnitState {
            name: "app.service".to_owned(),
            load_state: "loaded".to_owned(),
            active_state: active.to_owned(),
            service_type: "simple".to_owned(),
            result: "exit-code".to_owned(),
            exit_code: "exited".to_owned(),
            exit_status: 203,
            unit_file_state: "enabled".to_owned(),
            restart: "no".to_owned(),
            condition_result: true,
            wanted_by: vec!["multi-user.target".to_owned()],
            ..UnitState::default()
        }
    }

    #[test]
    fn a_failed_unit_names_its_status() {
        let found = judge_failed(&unit("failed"), NOW).unwrap();
        assert_eq!(
            found.message,
            "unit failed: Result=exit-code status=203/EXEC Type=simple"
        );
        assert_eq!(found.fact(Key::ExitStatus), Some("203"));
        assert_eq!(found.fact(Key::StartLimit), None);
        let killed = UnitState {
            exit_code: "killed".to_owned(),
            exit_status: 9,
            result: "watchdog".to_owned(),
            restart: "always".to_owned(),
            n_restarts: 5,
            ..unit("failed")
        };
        let found = judge_failed(&killed, NOW).unwrap();
        assert_eq!(found.class, Class::ServiceWatchdog);
        assert!(found.message.contains("status=9/KILL"));
        assert_eq!(found.fact(Key::StartLimit), Some("yes"));
    }

    #[test]
    fn a_unit_that_is_down_tells_which_units_it_needs() {
        let needy = |state| UnitState {
            requires: ["sysinit.target", "system.slice", "db.service", "data.mount"]
                .map(str::to_owned)
                .into(),
            binds_to: vec!["db.service".to_owned(), "bus.service".to_owned()],
            ..unit(state)
        };
        let up = |_: &str| true;
        let failed = judge_failed(&needy("failed"), NOW);
        let inactive = judge_inactive(&needy("inactive"), &up, NOW);
        for found in [failed, inactive] {
            let found = found.unwrap();
            let requires = found.fact(Key::Requires);
            assert_eq!(requires, Some("bus.service data.mount db.service"));
        }
        let alone = judge_failed(&unit("failed"), NOW).unwrap();
        assert_eq!(alone.fact(Key::Requires), None);
    }

    #[test]
    fn not_to_be_failed_is_not_to_be_as_wanted() {
        let is = |change: fn(&mut UnitState)| {
            let mut unit = unit("inactive");
            unit.exit_code.clear();
            unit.left = Left::ByItself;
            change(&mut unit);
            rest(&unit)
        };
        let short = |rest: Rest| matches!(rest, Rest::Short(_));
        assert!(short(is(|_| {})), "its start was refused");
        assert!(short(
            is(|unit| unit.active_state = "activating".to_owned())
        ));
        for gone in ["not-found", "bad-setting", "error"] {
            let state = UnitState {
                load_state: gone.to_owned(),
                ..unit("inactive")
            };
            assert!(short(rest(&state)), "{gone}");
        }
        let ended_well = |unit: &mut UnitState| {
            unit.result = "success".to_owned();
            unit.exit_code = "exited".to_owned();
            unit.exit_status = 0;
        };
        let done = |kind: &str| {
            let mut unit = UnitState {
                service_type: kind.to_owned(),
                ..unit("inactive")
            };
            ended_well(&mut unit);
            rest(&unit)
        };
        assert_eq!(done("oneshot"), Rest::Reached);
        assert!(short(done("simple")));
        assert_eq!(rest(&unit("active")), Rest::Reached);
        let unwanted = |rest: Rest| matches!(rest, Rest::Unwanted(_));
        assert!(unwanted(is(
            |unit| unit.left = Left::OnPurpose(Purpose::Stopped)
        )));
        assert!(unwanted(is(|unit| unit.condition_result = false)));
        assert!(unwanted(is(|unit| unit.load_state = "masked".to_owned())));
    }

    #[test]
    fn a_unit_that_failed_without_its_file_is_judged() {
        let of = |load: &str, active: &str| {
            let unit = UnitState {
                load_state: load.to_owned(),
                ..unit(active)
            };
            is_excluded(&unit, &[])
        };
        assert!(of("not-found", "inactive") && of("masked", "failed"));
        assert!(!of("not-found", "failed") && !of("loaded", "failed"));
        assert!(is_excluded(&unit("failed"), &["app.*".to_owned()]));
    }

    #[test]
    fn a_unit_without_a_file_that_something_asks_for_is_not_gone() {
        let gone = |active: &str| UnitState {
            load_state: "not-found".to_owned(),
            wanted_by: Vec::new(),
            ..unit(active)
        };
        let wanted = UnitState {
            wanted_by: vec!["multi-user.target".to_owned()],
            ..gone("failed")
        };
        let triggered = UnitState {
            triggered_by: vec!["app.timer".to_owned()],
            ..gone("failed")
        };
        let loaded = UnitState {
            load_state: "loaded".to_owned(),
            ..gone("failed")
        };
        for (unit, want) in [
            (None, true),
            (Some(gone("failed")), true),
            (Some(gone("inactive")), true),
            (Some(gone("active")), false),
            (Some(gone("deactivating")), false),
            (Some(wanted), false),
            (Some(triggered), false),
            (Some(loaded), false),
        ] {
            assert_eq!(is_gone(unit.as_ref()), want, "{unit:?}");
        }
    }

    #[test]
    fn a_fault_of_a_unit_that_is_not_there_is_not_over() {
        for class in [
            Class::ServiceFailed,
            Class::ServiceWatchdog,
            Class::ServiceInactive,
        ] {
            assert!(
                matches!(rest_of(class, None), Some(Rest::Short(_))),
                "{class}"
            );
        }
        let down = unit("inactive");
        let failed = rest_of(Class::ServiceFailed, Some(&down));
        assert!(matches!(failed, Some(Rest::Short(_))));
        let inactive = rest_of(Class::ServiceInactive, Some(&down));
        assert!(matches!(inactive, Some(Rest::Unwanted(_))));
        assert_eq!(rest_of(Class::ServiceFlapping, None), None);
    }

    #[test]
    fn only_what_should_run_is_inactive() {
        let up = |target: &str| target == "multi-user.target";
        assert!(judge_inactive(&unit("inactive"), &up, NOW).is_some());
        let plain = UnitState {
            name: "app".to_owned(),
            ..unit("inactive")
        };
        assert!(judge_inactive(&plain, &up, NOW).is_some());
        for good in [
            unit("active"),
            unit("failed"),
            UnitState {
                result: "success".to_owned(),
                restart_prevent: vec!["203".to_owned()],
                left: Left::ByItself,
                ..unit("inactive")
            },
            UnitState {
                unit_file_state: "disabled".to_owned(),
                ..unit("inactive")
            },
            UnitState {
                service_type: "oneshot".to_owned(),
                ..unit("inactive")
            },
            UnitState {
                left: Left::OnPurpose(Purpose::Stopped),
                ..unit("inactive")
            },
            UnitState {
                condition_result: false,
                ..unit("inactive")
            },
            UnitState {
                triggered_by: vec!["app.socket".to_owned()],
                ..unit("inactive")
            },
            UnitState {
                wanted_by: vec!["rescue.target".to_owned()],
                ..unit("inactive")
            },
            UnitState {
                load_state: "masked".to_owned(),
                ..unit("inactive")
            },
            UnitState {
                excludes: vec!["multi-user.target".to_owned()],
                ..unit("inactive")
            },
            UnitState {
                name: "app.socket".to_owned(),
                ..unit("inactive")
            },
        ] {
            assert_eq!(judge_inactive(&good, &up, NOW), None, "{good:?}");
        }
    }

    #[test]
    fn what_somebody_stopped_is_kept_down_only_where_it_would_be_up() {
        let up = |target: &str| target == "multi-user.target";
        let stopped = |change: fn(&mut UnitState)| {
            let mut unit = UnitState {
                left: Left::OnPurpose(Purpose::Stopped),
                ..unit("inactive")
            };
            change(&mut unit);
            kept_down(&unit, &up, false).is_some()
        };
        assert!(stopped(|_| {}));
        assert!(stopped(|unit| unit.active_state = "failed".to_owned()));
        assert!(stopped(|unit| unit.name = "backup.timer".to_owned()));
        assert!(stopped(|unit| {
            unit.service_type = "oneshot".to_owned();
            unit.remain_after_exit = true;
        }));
        for (name, change) in [
            (
                "it runs again",
                (|unit| unit.active_state = "active".to_owned()) as fn(&mut UnitState),
            ),
            ("it ended by itself", |unit| unit.left = Left::ByItself),
            ("disabled", |unit| {
                unit.unit_file_state = "disabled".to_owned();
            }),
            ("masked", |unit| unit.load_state = "masked".to_owned()),
            ("a job", |unit| unit.service_type = "oneshot".to_owned()),
            ("nothing that is up wants it", |unit| {
                unit.wanted_by = vec!["rescue.target".to_owned()];
            }),
            ("on demand", |unit| {
                unit.triggered_by = vec!["app.socket".to_owned()];
            }),
        ] {
            assert!(!stopped(change), "{name}");
        }
        let disabled = UnitState {
            unit_file_state: "disabled".to_owned(),
            left: Left::OnPurpose(Purpose::Signalled),
            ..unit("inactive")
        };
        assert_eq!(
            kept_down(&disabled, &up, true),
            Some(&Purpose::Signalled),
            "the operator lists it"
        );
    }

    #[test]
    fn globs() {
        for (glob, text, want) in [
            ("*.service", "a.service", true),
            ("a?.service", "ab.service", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("", "", true),
            ("x", "", false),
            ("*", "", true),
        ] {
            assert_eq!(matches_glob(glob, text), want, "{glob} {text}");
        }
    }
}
