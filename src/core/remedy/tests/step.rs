use super::*;
use crate::core::config::Mode;
use crate::core::model::gate::Gate;
use crate::core::model::task::Resolution;

/// Every reason with its gate and its words; `none` where no gate answered.
#[test]
fn each_reason_has_its_gate_and_its_words() {
    let text = |word: &str| word.to_owned();
    let root = || (TaskId::from_number(3), Class::DiskFull, text("/var"));
    let kind = ActionKind::FreeDisk;
    let rows = [
        (
            Reason::KillSwitch(text("bus")),
            Some(Gate::KillSwitch),
            "kill switch is on: bus",
        ),
        (
            Reason::Maintenance(text("until six")),
            Some(Gate::Maintenance),
            "until six",
        ),
        (
            Reason::Clock,
            Some(Gate::Clock),
            "the clock is before this build's own date; waiting for time synchronisation",
        ),
        (
            Reason::StartupGrace,
            Some(Gate::StartupGrace),
            "the daemon has just started",
        ),
        (
            Reason::NoTarget {
                kind,
                why: TargetError::Missing(Key::Mount),
            },
            Some(Gate::Precondition),
            "free_disk: the finding does not say its mount: let the runbook require this fact",
        ),
        (
            Reason::Precondition {
                action: text("free /var"),
                why: text("not full"),
            },
            Some(Gate::Precondition),
            "free /var: not full",
        ),
        (
            {
                let (task, class, subject) = root();
                Reason::SymptomOf {
                    task,
                    class,
                    subject,
                }
            },
            Some(Gate::Inhibition),
            "symptom of task 3 (disk_full /var)",
        ),
        (
            {
                let (task, class, subject) = root();
                Reason::SameAs {
                    task,
                    class,
                    subject,
                }
            },
            Some(Gate::Inhibition),
            "fails of the same as task 3 (disk_full /var)",
        ),
        (
            Reason::Mode(Mode::Suggest),
            Some(Gate::Mode),
            "mode suggest: a human must approve",
        ),
        (
            Reason::Mode(Mode::Observe),
            Some(Gate::Mode),
            "mode observe: nothing is touched",
        ),
        (Reason::Mode(Mode::Auto), Some(Gate::Mode), "mode auto"),
        (
            Reason::Budget(spent()),
            Some(Gate::Budget),
            "budget of this unit is spent (5 of 5), free again at 2027-01-15 08:20:34 UTC",
        ),
        (
            Reason::Slot,
            Some(Gate::Slot),
            "another disruptive action is running",
        ),
        (
            Reason::MayPass,
            None,
            "nothing to repair here: put before a human only if it goes on",
        ),
        (
            Reason::OnlyAWarning,
            None,
            "a line's warning: shown, told to nobody",
        ),
        (
            Reason::Habit,
            None,
            "this box prints it at every boot or for weeks, and nothing follows: shown, told to nobody",
        ),
        (
            Reason::InDigest,
            None,
            "a digest tells of it, with what else is ordinary here",
        ),
        (Reason::MayStillShow, None, "its cause may still show"),
        (
            Reason::NothingSafe,
            None,
            "no action is known to be safe for this cause",
        ),
        (Reason::NoneTaken, None, "no offered action could be taken"),
        (
            Reason::NotHeld { attempts: 2 },
            None,
            "2 attempts did not hold",
        ),
        (Reason::NotLasting(text("three times")), None, "three times"),
        (Reason::GoneUntouched, None, "gone before anything was done"),
        (
            Reason::GoneUnverified,
            None,
            "gone after an attempt that could not be verified",
        ),
        (
            {
                let (task, class, subject) = root();
                Reason::OverWithRoot {
                    task,
                    class,
                    subject,
                }
            },
            None,
            "over with its root cause: symptom of task 3 (disk_full /var)",
        ),
        (Reason::EndedByItself, None, "the condition ended by itself"),
        (
            Reason::Stable,
            None,
            "verified by its detector and stable through the window",
        ),
        (
            Reason::QuietWindow,
            None,
            "no repeat within the stability window",
        ),
        (
            Reason::CouldNotLook(text("no bus")),
            None,
            "nobody could look: no bus",
        ),
        (
            Reason::NotVerified(text("no bus")),
            None,
            "repaired, but whether it holds is not known: nobody could look: no bus",
        ),
    ];
    for (reason, gate, words) in rows {
        assert_eq!(reason.gate(), gate, "{words}");
        assert_eq!(reason.to_string(), words);
    }
}

#[test]
fn each_step_has_its_name_gate_and_words() {
    let refuse = Step::Refuse {
        phase: Phase::Research,
        kind: ActionKind::FreeDisk,
        reason: Reason::NoTarget {
            kind: ActionKind::FreeDisk,
            why: TargetError::Missing(Key::Mount),
        },
    };
    let Step::Act { action, .. } = start() else {
        panic!("not an act");
    };
    let proposed = Step::Tell {
        reason: Reason::Mode(Mode::Suggest),
        proposed: Some(action),
        retry_at: None,
    };
    let close = Step::Close {
        resolution: Resolution::Fixed,
        reason: Reason::Stable,
    };
    let rows = [
        (
            Step::Green,
            "green",
            None,
            None,
            "green after the last attempt",
        ),
        (
            wait(1, Reason::Slot),
            "wait",
            Some(Gate::Slot),
            Some(Reason::Slot),
            "looked at again at 2027-01-15 08:00:01 UTC: slot: another disruptive action is running",
        ),
        (
            wait(1, Reason::MayStillShow),
            "wait",
            None,
            Some(Reason::MayStillShow),
            "looked at again at 2027-01-15 08:00:01 UTC: its cause may still show",
        ),
        (
            start(),
            "act",
            None,
            None,
            "reset_failed_start of a.service (phase 1; offered reset_failed_start)",
        ),
        (
            tell(Reason::NothingSafe, Some(1)),
            "tell",
            None,
            Some(Reason::NothingSafe),
            "put it before a human: no action is known to be safe for this cause; tried again at 2027-01-15 08:00:01 UTC",
        ),
        (
            proposed,
            "tell",
            Some(Gate::Mode),
            Some(Reason::Mode(Mode::Suggest)),
            "put it before a human: mode suggest: a human must approve; proposed: reset_failed_start of a.service",
        ),
        (
            close,
            "close",
            None,
            Some(Reason::Stable),
            "close as fixed: verified by its detector and stable through the window",
        ),
        (
            refuse,
            "refuse",
            Some(Gate::Precondition),
            Some(Reason::NoTarget {
                kind: ActionKind::FreeDisk,
                why: TargetError::Missing(Key::Mount),
            }),
            "refuse free_disk: free_disk: the finding does not say its mount: let the runbook require this fact",
        ),
    ];
    for (step, name, gate, reason, words) in rows {
        assert_eq!(step.name(), name);
        assert_eq!(step.gate(), gate, "{words}");
        assert_eq!(step.reason(), reason.as_ref(), "{words}");
        assert_eq!(step.to_string(), words);
    }
}
