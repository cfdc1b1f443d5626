use super::*;
use crate::core::model::id::TaskId;
use crate::core::model::task::Resolution;
use crate::core::remedy::ending::{
    Condition, Patience, WindowEnd, by_itself, how, is_at_work, is_over, of_window, says_the_same,
    window,
};

const WINDOW: Duration = Duration::from_secs(60);
const PATIENCE: Patience = Patience {
    hold: Duration::from_secs(10),
    quiet: Duration::from_secs(600),
};

fn blind() -> Seen {
    Seen::CouldNotLook("no bus".to_owned())
}

#[test]
fn a_stability_window_ends_as_it_looks_then() {
    let close = |resolution, reason| WindowEnd::Close { resolution, reason };
    let again = || finding(Class::ServiceFailed, UNIT);
    let not_verified = || Reason::NotVerified("no bus".to_owned());
    let longer = |seconds| WindowEnd::Longer {
        until: after(seconds),
        reason: Reason::CouldNotLook("no bus".to_owned()),
    };
    let rows = [
        (
            "clear",
            Severity::Error,
            60,
            Seen::Clear,
            close(Resolution::Fixed, Reason::Stable),
        ),
        (
            "stopped by somebody meanwhile",
            Severity::Error,
            60,
            Seen::Over("was stopped".to_owned()),
            close(
                Resolution::Unverified,
                Reason::NotVerified("was stopped".to_owned()),
            ),
        ),
        (
            "no line",
            Severity::Error,
            60,
            Seen::Stands,
            close(Resolution::Fixed, Reason::QuietWindow),
        ),
        (
            "back",
            Severity::Error,
            60,
            Seen::Present(again()),
            WindowEnd::Regressed(again()),
        ),
        ("blind at first", Severity::Error, 0, blind(), longer(60)),
        (
            "blind for a window",
            Severity::Error,
            60,
            blind(),
            longer(60),
        ),
        ("as long again", Severity::Error, 61, blind(), longer(61)),
        (
            "nearly an hour",
            Severity::Error,
            3_599,
            blind(),
            longer(3_599),
        ),
        (
            "an hour, told",
            Severity::Error,
            3_600,
            blind(),
            WindowEnd::Tell(not_verified()),
        ),
        (
            "critical, told",
            Severity::Critical,
            3_600,
            blind(),
            WindowEnd::Tell(not_verified()),
        ),
        (
            "a warning, in neither rate",
            Severity::Warning,
            3_600,
            blind(),
            close(Resolution::Unverified, not_verified()),
        ),
    ];
    for (name, severity, green_ago, seen, end) in rows {
        let mut task = task(Class::ServiceFailed, UNIT);
        task.severity = severity;
        task.first_green_at = Some(ago(green_ago));
        assert_eq!(of_window(&task, seen, WINDOW, NOW), end, "{name}");
    }
    let never_green = task(Class::ServiceFailed, UNIT);
    assert_eq!(of_window(&never_green, blind(), WINDOW, NOW), longer(60));
}

#[test]
fn what_a_worker_has_is_left_alone_by_sweeps() {
    let over = |status| {
        let mut task = task(Class::ServiceFailed, UNIT);
        task.status = status;
        is_over(&task, Condition::GoneSince(ago(3_600)), PATIENCE, NOW)
    };
    for status in Status::ALL.iter().copied() {
        let at_work = matches!(status, Status::InProgress | Status::Fixed | Status::Closed);
        assert_eq!(is_at_work(status), at_work, "{status}");
        assert_eq!(over(status), !at_work, "{status}");
    }
}

#[test]
fn what_a_sweep_sees_is_over_when_it_stays_gone() {
    for (condition, over) in [
        (Condition::Present, false),
        (Condition::NotLooked, false),
        (Condition::GoneSince(NOW), false),
        (Condition::GoneSince(ago(9)), false),
        (Condition::GoneSince(ago(10)), true),
    ] {
        let mut task = task(Class::DiskFull, "/var");
        task.status = Status::Waiting;
        // However long ago it was written down last.
        task.last_seen_at = ago(3_600);
        assert_eq!(
            is_over(&task, condition, PATIENCE, NOW),
            over,
            "{condition:?}"
        );
    }
}

#[test]
fn what_only_lines_tell_is_over_after_a_quiet_period() {
    for (quiet_for, over) in [(0, false), (599, false), (600, true)] {
        for condition in [
            Condition::Present,
            Condition::NotLooked,
            Condition::GoneSince(ago(20)),
        ] {
            let mut task = task(Class::LogError, UNIT);
            task.status = Status::Detected;
            task.last_seen_at = ago(quiet_for);
            assert_eq!(
                is_over(&task, condition, PATIENCE, NOW),
                over,
                "{quiet_for} s"
            );
        }
    }
}

#[test]
fn kernel_faults_stay_open_until_a_human_was_told() {
    for (status, quiet_for, over) in [
        (Status::Detected, 600, false),
        (Status::Waiting, 86_400, false),
        (Status::FixFailed, 86_400, false),
        (Status::Escalated, 599, false),
        (Status::Escalated, 600, true),
    ] {
        let mut task = task(Class::KernelOops, "kernel");
        task.status = status;
        task.last_seen_at = ago(quiet_for);
        let condition = Condition::NotLooked;
        assert_eq!(
            is_over(&task, condition, PATIENCE, NOW),
            over,
            "{status} {quiet_for} s"
        );
    }
}

#[test]
fn how_a_condition_ended_is_its_own_end_or_its_roots_repair() {
    let with_root = || Reason::OverWithRoot {
        task: TaskId::from_number(3),
        class: Class::InvalidUnitPath,
        subject: UNIT.to_owned(),
    };
    let by_itself = Reason::EndedByItself;
    let rows = [
        (
            "no root",
            None,
            by_itself.clone(),
            (Resolution::SelfCleared, by_itself.clone()),
        ),
        (
            "nobody verified the last attempt",
            None,
            Reason::GoneUnverified,
            (Resolution::Unverified, Reason::GoneUnverified),
        ),
        (
            "its unit is gone",
            None,
            Reason::GoneWithUnit,
            (Resolution::Unverified, Reason::GoneWithUnit),
        ),
        (
            "a root that is still broken",
            Some(Status::Escalated),
            by_itself.clone(),
            (Resolution::SelfCleared, by_itself.clone()),
        ),
        (
            "a repaired root",
            Some(Status::Fixed),
            by_itself.clone(),
            (Resolution::Fixed, with_root()),
        ),
        (
            "a repaired root before all",
            Some(Status::Fixed),
            Reason::GoneUnverified,
            (Resolution::Fixed, with_root()),
        ),
    ];
    let finding = finding(Class::ServiceFailed, UNIT);
    let own = OpenCondition::of(&task(Class::ServiceFailed, UNIT), &finding);
    for (name, status, by_itself, ended) in rows {
        let open: Vec<_> = status.map(root).into_iter().collect();
        assert_eq!(how(&own, &open, by_itself), ended, "{name}");
    }
}

#[test]
fn what_came_back_must_hold_longer_than_it_did() {
    let fixed = |seconds| Fixed {
        task_id: TaskId::from_number(1),
        action: String::new(),
        closed_at: ago(seconds),
    };
    let mut task = task(Class::ServiceFailed, UNIT);
    task.detected_at = ago(60);
    for (before, seconds) in [
        (vec![], 60),
        (vec![fixed(60)], 120),
        (vec![fixed(600)], 2 * (540 + 60)),
        (vec![fixed(600), fixed(700)], 2 * (540 + 60)),
        (vec![fixed(50_000)], 3_600),
        (vec![fixed(86_401)], 60),
        (vec![fixed(600), fixed(700), fixed(800)], 86_400),
        (vec![fixed(600), fixed(700), fixed(86_401)], 2 * (540 + 60)),
    ] {
        let want = Duration::from_secs(seconds);
        assert_eq!(window(WINDOW, &task, &before, NOW), want, "{before:?}");
    }
}

#[test]
fn a_green_of_the_detector_is_the_last_attempts_where_it_may_have_ended_the_condition() {
    use crate::core::model::class::Class::{DiskFull, ServiceFailed, ServiceHung};
    use ActionKind::{FreeDisk, RestartUnit};
    use Outcome::{Failed, Refused, Undone, Unknown, Verified};
    for (name, class, kind, outcome, seconds, its) in [
        (
            "verified",
            ServiceFailed,
            RestartUnit,
            Verified,
            7_200,
            true,
        ),
        ("undecided", ServiceFailed, RestartUnit, Unknown, 60, true),
        ("long ago", ServiceFailed, RestartUnit, Unknown, 61, false),
        (
            "said by the unit",
            ServiceFailed,
            RestartUnit,
            Failed,
            1,
            false,
        ),
        ("seen late", ServiceHung, RestartUnit, Failed, 60, true),
        ("too late", ServiceHung, RestartUnit, Failed, 61, false),
        ("soon after", DiskFull, FreeDisk, Failed, 60, true),
        ("another's", DiskFull, FreeDisk, Failed, 61, false),
        ("refused", DiskFull, FreeDisk, Refused, 1, false),
        ("a human undid it", DiskFull, FreeDisk, Undone, 1, false),
    ] {
        let last = LastAttempt {
            kind,
            ..attempt(outcome, seconds)
        };
        assert_eq!(last.ended_it(class, WINDOW, NOW), its, "{name}");
        for (how, last) in [
            (
                "taken back",
                LastAttempt {
                    taken_back: true,
                    ..last
                },
            ),
            (
                "in vain",
                LastAttempt {
                    in_vain: true,
                    ..last
                },
            ),
        ] {
            let its = last.ended_it(class, WINDOW, NOW);
            assert_eq!(its, outcome == Verified, "{name}, {how}");
        }
    }
}

#[test]
fn what_differs_in_numbers_alone_is_the_same_answer() {
    let said = "GET http://127.0.0.1:8080/health: status 404";
    for (other, same) in [
        (said, true),
        ("GET http://127.0.0.1:8080/health: no answer", false),
    ] {
        assert_eq!(says_the_same(said, other), same, "{other}");
    }
    let took = |ms| format!("tcp 127.0.0.1:80: refused after {ms} ms");
    assert!(says_the_same(&took(31), &took(7)));
}

#[test]
fn what_ends_after_an_attempt_that_nobody_verified_is_in_neither_rate_whoever_sees_it() {
    for (last, reason) in [
        (None, Reason::EndedByItself),
        (Some(attempt(Outcome::Failed, 5)), Reason::EndedByItself),
        (Some(attempt(Outcome::Unknown, 5)), Reason::GoneUnverified),
    ] {
        assert_eq!(by_itself(last.as_ref()), reason, "{last:?}");
    }
}
