//! Gates: everything that must be true before an action touches the host, in the design's order.
//! A refusal carries its gate and reason; both reach the audit and `explain`.

use std::time::Duration;

use crate::core::config::Mode;
use crate::core::model::named::named;
use crate::core::model::time::Timestamp;

named! {
    /// A gate, in the order in which they are asked.
    Gate "gate" {
        KillSwitch = "kill_switch",
        Clock = "clock",
        StartupGrace = "startup_grace",
        Precondition = "precondition",
        Inhibition = "inhibition",
        Flapping = "flapping",
        Mode = "mode",
        Budget = "budget",
        Slot = "slot",
    }
}

/// Facts read right before acting. Budgets and the slot come after these: they are taken, not read.
#[derive(Clone, Debug)]
pub struct GateFacts {
    /// Text of the kill-switch file, when it exists.
    pub kill_switch: Option<String>,
    pub clock_sane: bool,
    /// End of the start-up grace, when it is not over.
    pub grace_until: Option<Timestamp>,
    /// Why the precondition no longer holds.
    pub precondition_gone: Option<String>,
    /// Time since the first sight of this episode: what has waited long is looked at again later.
    pub age: Duration,
    /// The failing root cause that explains this finding, as text from [`symptom_of`].
    pub inhibited_by: Option<String>,
    /// The subject is flapping: acting again would feed it.
    pub flapping: Option<String>,
    pub mode: Mode,
    /// A human approved exactly this action and the approval has not expired.
    pub approved: bool,
}

/// What the gates say, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Go,
    /// Ask again at `until`.
    Wait {
        gate: Gate,
        until: Timestamp,
        reason: String,
    },
    /// A human has to allow it (suggest) or do it (observe).
    Human {
        gate: Gate,
        reason: String,
    },
    /// The condition the action was chosen for is over.
    Gone {
        reason: String,
    },
}

/// Shortest time between two looks at a gate that may open by itself.
const RECHECK: Duration = Duration::from_secs(30);
/// An inhibited symptom is looked at again sooner at first: its cause may be repaired in seconds.
const INHIBITED_RECHECK: Duration = Duration::from_secs(5);
/// Longest time between two looks. Each look is written down, and eMMC wears; what opens a gate (the
/// root cause is over, the kill switch is gone) wakes the tasks that wait for it.
const RECHECK_MOST: Duration = Duration::from_secs(900);

/// Asks the gates in their order; the first that is closed answers.
pub fn admit(facts: &GateFacts, now: Timestamp) -> Verdict {
    let wait = |gate, until, reason: String| Verdict::Wait {
        gate,
        until,
        reason,
    };
    if let Some(reason) = &facts.kill_switch {
        return wait(
            Gate::KillSwitch,
            now.plus(later(RECHECK, facts.age)),
            format!("kill switch is on: {reason}"),
        );
    }
    if !facts.clock_sane {
        return wait(
            Gate::Clock,
            now.plus(RECHECK),
            "the clock is before this build's own date; waiting for time synchronisation"
                .to_owned(),
        );
    }
    if let Some(until) = facts.grace_until.filter(|until| *until > now) {
        return wait(Gate::StartupGrace, until, "start-up grace".to_owned());
    }
    if let Some(reason) = &facts.precondition_gone {
        return Verdict::Gone {
            reason: reason.clone(),
        };
    }
    if let Some(reason) = &facts.inhibited_by {
        return wait(
            Gate::Inhibition,
            now.plus(later(INHIBITED_RECHECK, facts.age)),
            reason.clone(),
        );
    }
    if let Some(reason) = &facts.flapping {
        return Verdict::Human {
            gate: Gate::Flapping,
            reason: reason.clone(),
        };
    }
    match facts.mode {
        Mode::Auto => Verdict::Go,
        Mode::Suggest if facts.approved => Verdict::Go,
        Mode::Suggest => Verdict::Human {
            gate: Gate::Mode,
            reason: "mode suggest: a human must approve".to_owned(),
        },
        Mode::Observe => Verdict::Human {
            gate: Gate::Mode,
            reason: "mode observe: nothing is touched".to_owned(),
        },
    }
}

/// How the reason begins for which the symptoms of `task_id` wait.
pub fn symptom_of(task_id: i64) -> String {
    format!("symptom of task {task_id} ")
}

/// As long again as it has lasted, within bounds: the number of looks grows with the logarithm of the age.
fn later(least: Duration, age: Duration) -> Duration {
    age.clamp(least, RECHECK_MOST)
}

/// Back-off before trying again after everything failed: `first`, then six times longer each round, at
/// most a day, so that it never gives up silently for ever and never hammers.
pub fn rearm_after(first: Duration, rounds: u32) -> Duration {
    let factor = 6_u32.saturating_pow(rounds.min(8));
    first
        .saturating_mul(factor)
        .min(Duration::from_secs(86_400))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn open() -> GateFacts {
        GateFacts {
            kill_switch: None,
            clock_sane: true,
            grace_until: None,
            precondition_gone: None,
            age: Duration::ZERO,
            inhibited_by: None,
            flapping: None,
            mode: Mode::Auto,
            approved: false,
        }
    }

    #[test]
    fn all_open_means_go() {
        assert_eq!(admit(&open(), NOW), Verdict::Go);
    }

    #[test]
    fn the_kill_switch_comes_before_everything() {
        let facts = GateFacts {
            kill_switch: Some("maintenance".to_owned()),
            precondition_gone: Some("gone".to_owned()),
            mode: Mode::Observe,
            ..open()
        };
        assert!(matches!(
            admit(&facts, NOW),
            Verdict::Wait {
                gate: Gate::KillSwitch,
                ..
            }
        ));
    }

    #[test]
    fn an_approval_opens_suggest_but_never_observe() {
        for (mode, go) in [(Mode::Suggest, true), (Mode::Observe, false)] {
            let facts = GateFacts {
                mode,
                approved: true,
                ..open()
            };
            assert_eq!(admit(&facts, NOW) == Verdict::Go, go, "{mode}");
        }
    }

    #[test]
    fn grace_ends_by_itself() {
        let facts = GateFacts {
            grace_until: Some(NOW),
            ..open()
        };
        assert_eq!(admit(&facts, NOW), Verdict::Go);
    }

    #[test]
    fn a_symptom_is_looked_at_ever_more_rarely() {
        let wait_after = |age_s| {
            let facts = GateFacts {
                inhibited_by: Some("task 1".to_owned()),
                age: Duration::from_secs(age_s),
                ..open()
            };
            match admit(&facts, NOW) {
                Verdict::Wait { until, .. } => until.since(NOW).as_secs(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!([0, 5, 60, 86_400].map(wait_after), [5, 5, 60, 900]);
        let (mut age, mut looks) = (0, 0);
        while age < 86_400 {
            age += wait_after(age);
            looks += 1;
        }
        assert!(looks < 120, "{looks} looks in a day");
    }

    #[test]
    fn rearming_grows_to_a_day_and_stays() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(rearm_after(hour, 0), hour);
        assert_eq!(rearm_after(hour, 1), hour * 6);
        assert_eq!(rearm_after(hour, 99), hour * 24);
    }
}
