//! The service manager's own journal entries as words about its units and jobs: the same words as over its bus.
//! Only process 1 is heard; what an entry is about and says is then its own word.

use crate::core::model::manager_event::{Happening, JobId, JobKind, JobResult, UnitChange};

/// systemd's message catalogue: the text may change, the id does not.
mod message_id {
    /// "Deactivated successfully."
    pub const SUCCESS: &str = "7ad2d189f7e94e70a38c781354912448";
    /// "Failed with result '…'."
    pub const FAILURE: &str = "d9b373ed55a64feb8242e02dbe79a49c";
    /// "Scheduled restart job …"
    pub const RESTART_SCHEDULED: &str = "5eb03494b6584870a536b337290809b3";
}

/// An entry of the manager has these fields; empty where missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct ManagerLine<'a> {
    /// Of the writer, as journald saw it.
    pub pid: &'a str,
    pub unit: &'a str,
    pub message: &'a str,
    pub message_id: &'a str,
    pub job_id: &'a str,
    pub job_type: &'a str,
    pub job_result: &'a str,
    pub unit_result: &'a str,
    pub invocation_id: &'a str,
}

/// What the manager says in this entry, if it is the manager's and about a unit's life.
pub fn happening(line: &ManagerLine<'_>) -> Option<Happening> {
    if line.pid != "1" || line.unit.is_empty() {
        return None;
    }
    if let Ok(id) = line.job_id.parse() {
        return Some(of_job(line, id));
    }
    match line.message_id {
        message_id::SUCCESS => Some(down(line, "inactive", "", "success")),
        message_id::FAILURE => Some(down(line, "failed", "", line.unit_result)),
        message_id::RESTART_SCHEDULED => Some(down(line, "activating", "auto-restart", "")),
        _ => signal(line),
    }
}

/// A unit that failed, by the manager's text alone: where nobody can ask for its state any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedUnit<'a> {
    pub unit: &'a str,
    /// Empty where the manager is too old to say it.
    pub result: &'a str,
}

/// `a.service: Failed with result 'exit-code'.`, before version 220 `Unit a.service entered failed state.` Each version
/// says one of them once a failure; it says more, and none of it without these.
pub fn failed_unit(message: &str) -> Option<FailedUnit<'_>> {
    let told = message.split_once(": Failed with result '");
    let (unit, result) = match told {
        Some((unit, result)) => (unit, result.strip_suffix("'.")?),
        None => {
            let unit = message.strip_prefix("Unit ")?;
            (unit.strip_suffix(" entered failed state.")?, "")
        }
    };
    is_watched(unit).then_some(FailedUnit { unit, result })
}

/// Unit kinds whose state a sweep judges; sessions and slices come and go all day.
pub fn is_watched(unit: &str) -> bool {
    const KINDS: [&str; 7] = [
        ".service", ".socket", ".mount", ".target", ".swap", ".path", ".timer",
    ];
    !unit.contains(' ') && KINDS.iter().any(|kind| unit.ends_with(kind))
}

fn of_job(line: &ManagerLine<'_>, id: JobId) -> Happening {
    let unit = line.unit.to_owned();
    let kind = JobKind::of(line.job_type);
    if line.job_result.is_empty() {
        return Happening::JobNew { id, unit, kind };
    }
    Happening::JobRemoved {
        id,
        unit,
        kind,
        result: JobResult::of(line.job_result),
    }
}

fn down(line: &ManagerLine<'_>, active: &str, sub: &str, result: &str) -> Happening {
    let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Happening::UnitChanged(UnitChange {
        unit: line.unit.to_owned(),
        active: told(active),
        sub: told(sub),
        result: told(result),
        invocation_id: told(line.invocation_id),
        ..UnitChange::default()
    })
}

/// `a.service: Sent signal SIGTERM to main process 12 (a) on client request.` has no id of its own.
fn signal(line: &ManagerLine<'_>) -> Option<Happening> {
    let said = line.message.strip_prefix(line.unit)?;
    let (signal, _) = said.strip_prefix(": Sent signal ")?.split_once(' ')?;
    said.ends_with(" on client request.")
        .then(|| Happening::Signal {
            unit: line.unit.to_owned(),
            signal: signal.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::manager_event::ManagerEvent;
    use crate::core::model::time::Timestamp;
    use crate::core::model::unit::UnitState;
    use crate::core::reading::intent::Intents;

    /// As process 1 of systemd 252 said it, with what was done and what follows.
    const ENTRIES: &str = include_str!("../../../tests/fixtures/manager_entries.tsv");

    fn entry(line: &str) -> ManagerLine<'_> {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap_or_default();
        ManagerLine {
            pid: "1",
            unit: next(),
            job_id: next(),
            job_type: next(),
            job_result: next(),
            message_id: next(),
            unit_result: next(),
            message: next(),
            invocation_id: "",
        }
    }

    /// The units of the recording with what their files say of each other.
    fn unit(name: &str) -> UnitState {
        let of = |names: &[&str]| names.iter().map(|name| format!("{name}.service")).collect();
        let mut unit = UnitState {
            name: name.to_owned(),
            active_state: "inactive".to_owned(),
            ..UnitState::default()
        };
        match name {
            "b.service" => unit.binds_to = of(&["a"]),
            "c.service" => unit.binds_to = of(&["b"]),
            "web.service" => unit.requires = of(&["db"]),
            "part.service" => unit.stops_with = of(&["db"]),
            "old.service" => unit.excludes = of(&["new"]),
            "onusb.service" => unit.binds_to = vec!["srv-usb.mount".to_owned()],
            _ => {}
        }
        unit
    }

    #[test]
    fn each_form_of_a_stop_is_read_from_the_managers_journal_entries() {
        let mut intents = Intents::default();
        let mut done = "";
        let units: Vec<UnitState> = ["a", "b", "c", "db"]
            .iter()
            .map(|name| unit(&format!("{name}.service")))
            .collect();
        let find = |name: &str| units.iter().find(|unit| unit.name == name);
        let mut asked = 0;
        for line in ENTRIES.lines().filter(|line| !line.starts_with('#')) {
            if let Some(what) = line.strip_prefix("$ ") {
                done = what;
            } else if let Some(what) = line.strip_prefix("? ") {
                let (name, want) = what.split_once(' ').unwrap();
                let left = intents.left(&unit(name), &find);
                assert_eq!(format!("{left:?}"), want, "{name} after {done}");
                asked += 1;
            } else if let Some(what) = happening(&entry(line)) {
                let seen = Timestamp::from_millis(0);
                intents.hear(&ManagerEvent { seen, what });
            }
        }
        assert!(asked > 30, "{asked}");
    }

    #[test]
    fn each_version_of_the_manager_tells_a_failed_unit_once() {
        let told = |message| failed_unit(message).map(|failed| (failed.unit, failed.result));
        for (message, want) in [
            (
                "a.service: Failed with result 'exit-code'.",
                Some(("a.service", "exit-code")),
            ),
            (
                "srv-usb.mount: Failed with result 'timeout'.",
                Some(("srv-usb.mount", "timeout")),
            ),
            (
                "Unit vpn@wg0.service entered failed state.",
                Some(("vpn@wg0.service", "")),
            ),
            ("a.service: Unit entered failed state.", None),
            (
                "a.service: Main process exited, code=exited, status=1/FAILURE",
                None,
            ),
            ("a.service failed.", None),
            ("session-3.scope: Failed with result 'timeout'.", None),
            ("Unit of measure entered failed state.", None),
            ("a.service: Failed with result '", None),
            ("", None),
        ] {
            assert_eq!(told(message), want, "{message}");
        }
    }

    #[test]
    fn nobody_but_process_1_is_heard() {
        let line = entry("a.service\t7\tstop\tdone\t9d1aaa27d60140bd96365438aad20286\t\tStopped");
        assert!(happening(&line).is_some());
        assert_eq!(happening(&ManagerLine { pid: "12", ..line }), None);
        assert_eq!(happening(&ManagerLine { unit: "", ..line }), None);
    }

    #[test]
    fn only_the_whole_sentence_tells_of_a_signal() {
        let said = |message| {
            happening(&ManagerLine {
                message,
                ..entry("a.service")
            })
        };
        assert!(
            said("a.service: Sent signal SIGTERM to main process 12 (a) on client request.")
                .is_some()
        );
        for other in [
            "b.service: Sent signal SIGTERM to main process 12 (a) on client request.",
            "a.service: Killing process 12 (x on client request.) with signal SIGKILL.",
            "a.service: Sent signal SIGTERM",
            "a.service: Main process exited, code=killed, status=9/KILL",
            "",
        ] {
            assert_eq!(said(other), None, "{other}");
        }
    }
}
