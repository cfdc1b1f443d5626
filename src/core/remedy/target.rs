//! From a chosen action kind and a finding's facts to a typed action. A target that is missing, empty or
//! not what it should be is refused here, before anything could touch the host.

use crate::core::config::Config;
use crate::core::model::action::{Action, ActionKind, ProcessIdentity};
use crate::core::model::finding::{Finding, evidence};
use crate::core::model::unit::UnitName;

/// Builds the action, or says which fact is missing.
/// `command` is the name that the runbook's step gives, for `run_declared`.
pub fn resolve(
    kind: ActionKind,
    command: Option<&str>,
    finding: &Finding,
    config: &Config,
) -> Result<Action, String> {
    match kind {
        ActionKind::StartUnit => unit(finding).map(Action::StartUnit),
        ActionKind::RestartUnit => unit(finding).map(Action::RestartUnit),
        ActionKind::StopUnit => unit(finding).map(Action::StopUnit),
        ActionKind::ResetFailedStart => unit(finding).map(Action::ResetFailedStart),
        ActionKind::DaemonReload => Ok(Action::DaemonReload),
        ActionKind::PathDropIn => path_drop_in(finding),
        ActionKind::TerminateProcess => terminate(finding),
        ActionKind::VacuumJournal => Ok(Action::VacuumJournal {
            keep_bytes: config.fix.journal_keep_mib << 20,
        }),
        ActionKind::FreeDisk => Ok(Action::FreeDisk {
            mount: absolute(finding, evidence::MOUNT)?,
            target_percent: config.detect.disk_low_percent.saturating_sub(1),
        }),
        ActionKind::RemountRw => Ok(Action::RemountRw {
            mount: absolute(finding, evidence::MOUNT)?,
        }),
        ActionKind::SyncClock => Ok(Action::SyncClock),
        ActionKind::RestartInterface => interface(finding, config),
        ActionKind::RunDeclared => declared(command, config),
    }
}

fn declared(command: Option<&str>, config: &Config) -> Result<Action, String> {
    let name = command.ok_or("a declared command needs its name: write it in the runbook step")?;
    if !config.command.iter().any(|one| one.name == name) {
        return Err(format!("no [[command]] named '{name}' is declared"));
    }
    Ok(Action::RunDeclared {
        name: name.to_owned(),
    })
}

/// The finding's unit: its evidence, or its subject where that is a unit's name.
fn unit(finding: &Finding) -> Result<UnitName, String> {
    let name = finding.fact(evidence::UNIT).unwrap_or(&finding.subject);
    UnitName::new(name).map_err(|why| why.to_string())
}

fn fact<'a>(finding: &'a Finding, key: &str) -> Result<&'a str, String> {
    finding
        .fact(key)
        .filter(|value| !value.trim().is_empty())
        .ok_or_else(|| format!("the finding does not say its {key}"))
}

/// A path that stands in a unit file as it is: systemd would take blanks, quotes, `\\`, `$` and `;` in a
/// setting for something else, and nothing here quotes.
fn unit_path(finding: &Finding, key: &str) -> Result<String, String> {
    let path = absolute(finding, key)?;
    let special = |c: char| c.is_whitespace() || "\"'\\$;".contains(c);
    if path.contains(special) {
        return Err(format!(
            "{key} {path:?} cannot stand in a unit file as it is"
        ));
    }
    Ok(path)
}

/// An absolute path without `..` and control characters.
fn absolute(finding: &Finding, key: &str) -> Result<String, String> {
    let path = fact(finding, key)?;
    let plain = path.starts_with('/')
        && !path.split('/').any(|part| part == "..")
        && !path.chars().any(char::is_control);
    if plain {
        Ok(path.to_owned())
    } else {
        Err(format!("{key} {path:?} is not a plain absolute path"))
    }
}

fn path_drop_in(finding: &Finding) -> Result<Action, String> {
    let setting = fact(finding, evidence::SETTING)?;
    if !matches!(
        setting,
        "ExecStart" | "WorkingDirectory" | "EnvironmentFile"
    ) {
        return Err(format!(
            "{setting} is not a path setting that a drop-in may change"
        ));
    }
    let old = unit_path(finding, evidence::PATH)?;
    let new = unit_path(finding, evidence::MOVED_TO)?;
    if old == new {
        return Err("the new path is the old one".to_owned());
    }
    Ok(Action::PathDropIn {
        unit: unit(finding)?,
        setting: setting.to_owned(),
        old,
        new,
    })
}

fn terminate(finding: &Finding) -> Result<Action, String> {
    if let Some(holder) = finding
        .fact(evidence::HOLDER_UNIT)
        .filter(|holder| !holder.is_empty())
    {
        return Err(format!("the process belongs to {holder}"));
    }
    let number = |key| -> Result<u64, String> {
        fact(finding, key)?
            .parse()
            .map_err(|_| format!("{key} is not a number"))
    };
    let pid = u32::try_from(number(evidence::HOLDER_PID)?)
        .map_err(|_| "no such process id".to_owned())?;
    if pid <= 1 {
        return Err(format!("process {pid} is never ended"));
    }
    Ok(Action::TerminateProcess {
        process: ProcessIdentity {
            pid,
            start_ticks: number(evidence::HOLDER_START)?,
            exe: fact(finding, evidence::HOLDER_EXE)?.to_owned(),
        },
        holds: finding.fact(evidence::PORT).map(str::to_owned),
        then_start: unit(finding).ok(),
    })
}

/// Only interfaces that the operator listed may be restarted.
fn interface(finding: &Finding, config: &Config) -> Result<Action, String> {
    let name = &finding.subject;
    if name.is_empty() || !config.detect.interfaces.contains(name) {
        return Err(format!(
            "interface {name:?} is not listed in detect.interfaces"
        ));
    }
    Ok(Action::RestartInterface {
        interface: name.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::class::Class;
    use crate::core::model::finding::Severity;
    use crate::core::model::time::Timestamp;
    use proptest::prelude::*;

    fn finding(subject: &str) -> Finding {
        Finding::new(
            Class::ServiceFailed,
            subject,
            Severity::Error,
            "m",
            "t",
            Timestamp::default(),
        )
    }

    #[test]
    fn the_unit_comes_from_the_evidence_first() {
        let one = finding("tcp/80").with(evidence::UNIT, "a.service");
        let action = resolve(ActionKind::RestartUnit, None, &one, &Config::default());
        assert_eq!(
            action.map(|action| action.to_string()),
            Ok("restart a.service".to_owned())
        );
    }

    #[test]
    fn a_process_of_a_unit_is_never_a_target() {
        let one = finding("a.service")
            .with(evidence::HOLDER_PID, "77")
            .with(evidence::HOLDER_START, "1")
            .with(evidence::HOLDER_EXE, "/bin/x");
        assert!(resolve(ActionKind::TerminateProcess, None, &one, &Config::default()).is_ok());
        let owned = one.with(evidence::HOLDER_UNIT, "b.service");
        assert!(
            resolve(
                ActionKind::TerminateProcess,
                None,
                &owned,
                &Config::default()
            )
            .is_err()
        );
    }

    proptest! {
        /// Whatever stands in a finding: an action is refused or has a plain, non-empty target.
        #[test]
        fn hostile_facts_never_make_a_loose_target(subject in ".{0,40}", value in ".{0,40}", pid in any::<i64>()) {
            let mut one = finding(&subject);
            for key in [evidence::UNIT, evidence::PATH, evidence::MOVED_TO, evidence::MOUNT, evidence::HOLDER_EXE] {
                one = one.with(key, value.clone());
            }
            one = one.with(evidence::SETTING, "ExecStart").with(evidence::HOLDER_PID, pid.to_string());
            for kind in ActionKind::ALL {
                let Ok(action) = resolve(*kind, None, &one, &Config::default()) else { continue };
                if let Some(unit) = action.unit() {
                    prop_assert!(UnitName::new(unit.as_str()).is_ok());
                }
                match action {
                    Action::PathDropIn { old, new, .. } => {
                        for path in [old, new] {
                            prop_assert!(path.starts_with('/') && path.len() > 1);
                            prop_assert!(!path.contains(|c: char| c.is_whitespace() || c.is_control()));
                        }
                    }
                    Action::FreeDisk { mount, .. } | Action::RemountRw { mount } => {
                        prop_assert!(mount.starts_with('/') && !mount.contains(".."));
                    }
                    Action::TerminateProcess { process, .. } => prop_assert!(process.pid > 1 && !process.exe.is_empty()),
                    _ => {}
                }
            }
        }
    }
}
