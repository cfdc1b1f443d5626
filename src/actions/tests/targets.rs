//! From a finding's facts to an action with its target.

use proptest::prelude::*;

use crate::actions::{Basis, PathDropIn, TerminateProcess, resolve};
use crate::core::config::{Config, DeclaredCommand};
use crate::core::model::action::ActionKind;
use crate::core::model::class::Class;
use crate::core::model::facts::{Fact, Holder, Key, MovedHow};
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::healthy::Proof;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitName;

/// A finding with a fact for every action.
fn rich() -> (Finding, Config) {
    let at = Timestamp::default();
    let finding = Finding::new(Class::ServiceFailed, "eth0", Severity::Error, "m", "t", at)
        .with(Fact::Unit("a.service"))
        .with(Fact::Setting("ExecStart"))
        .with(Fact::Path("/opt/old"))
        .with(Fact::Moved {
            to: "/opt/new",
            how: MovedHow::SameFile,
        })
        .with(Fact::Mount("/data"))
        .with(Fact::Device("eth0"))
        .with(Fact::Holder(Holder {
            pid: 77,
            start_ticks: 1,
            command: "x",
            exe: "/bin/x",
        }))
        .with(Fact::Container(&"0a".repeat(32)))
        .with(Fact::Leftover(Proof::Ran));
    let mut config = Config::default();
    config.detect.interfaces = vec!["eth0".to_owned()];
    config.command = vec![DeclaredCommand {
        name: "blink".to_owned(),
        ..DeclaredCommand::default()
    }];
    (finding, config)
}

fn basis<'a>(finding: &'a Finding, config: &'a Config) -> Basis<'a> {
    Basis {
        finding,
        config,
        command: Some("blink"),
    }
}

#[test]
fn each_row_makes_its_own_action() {
    let (finding, config) = rich();
    let basis = basis(&finding, &config);
    for kind in ActionKind::ALL {
        let made = resolve(*kind, &basis).map(|action| action.kind());
        assert_eq!(
            made,
            Ok(*kind),
            "the row of {kind} in src/actions/mod.rs, or `rich` in src/actions/tests/targets.rs without a \
             fact that {kind} needs"
        );
    }
}

#[test]
fn a_process_of_a_unit_or_without_a_proof_is_never_a_target() {
    let (finding, config) = rich();
    assert!(TerminateProcess::of(&basis(&finding, &config)).is_ok());
    let owned = finding.clone().with(Fact::HolderUnit("b.service"));
    assert!(TerminateProcess::of(&basis(&owned, &config)).is_err());
    let mut unproven = finding;
    unproven.evidence.set(Key::Leftover.as_str(), "");
    assert!(TerminateProcess::of(&basis(&unproven, &config)).is_err());
}

proptest! {
    /// Whatever stands in a finding: an action is refused or has a plain, non-empty target.
    #[test]
    fn hostile_facts_never_make_a_loose_action(subject in ".{0,40}", value in ".{0,40}", pid in any::<i64>()) {
        let (mut one, config) = rich();
        one.subject = subject;
        for key in [Key::Unit, Key::Path, Key::MovedTo, Key::Mount, Key::HolderExe] {
            one.evidence.set(key.as_str(), value.clone());
        }
        one.evidence.set(Key::HolderPid.as_str(), pid.to_string());
        let basis = basis(&one, &config);
        for kind in ActionKind::ALL {
            let Ok(action) = resolve(*kind, &basis) else { continue };
            if let Some(unit) = action.unit() {
                prop_assert!(UnitName::new(unit.as_str()).is_ok());
            }
        }
        if let Ok(PathDropIn { old, new, .. }) = PathDropIn::of(&basis) {
            for path in [old, new] {
                prop_assert!(path.starts_with('/') && path.len() > 1);
                prop_assert!(!path.contains(|c: char| c.is_whitespace() || c.is_control()));
            }
        }
        if let Ok(TerminateProcess { process, .. }) = TerminateProcess::of(&basis) {
            prop_assert!(process.pid > 1 && !process.exe.is_empty());
        }
    }
}
