//! What an action aims at, read from a finding's facts. One that is missing, empty or not what it should be
//! is refused here, before anything could touch the host.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use crate::core::model::facts::Key;
use crate::core::model::finding::Finding;
use crate::core::model::hint::Hint;
use crate::core::model::unit::{BadUnitName, UnitName};

/// Why an action has no target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// The finding does not have this fact, or it is empty.
    Missing(Key),
    Unit(BadUnitName),
    /// No absolute path, or one with `..` or control characters.
    Path(Key, String),
    /// A path that would need quotes in a unit file.
    Quoted(Key, String),
    /// Not one of the settings that name a path.
    Setting(String),
    /// The path is where it was.
    SamePath,
    /// The process is of this unit.
    OwnedProcess(String),
    /// Init, or what no process is.
    InitProcess(u32),
    /// The runbook step names no command.
    NoCommand,
    /// Nobody declared a command of this name.
    NotDeclared(String),
    /// The operator did not list this interface.
    NotListed(String),
    /// No container's id.
    Container(String),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "the finding does not say its {key}"),
            Self::Unit(why) => why.fmt(f),
            Self::Path(key, path) => write!(f, "{key} {path:?} is not a plain absolute path"),
            Self::Quoted(key, path) => {
                write!(f, "{key} {path:?} cannot stand in a unit file as it is")
            }
            Self::Setting(name) => {
                write!(f, "{name} is not a path setting that a drop-in may change")
            }
            Self::SamePath => f.write_str("the new path is the old one"),
            Self::OwnedProcess(unit) => write!(f, "the process belongs to {unit}"),
            Self::InitProcess(pid) => write!(f, "process {pid} is never ended"),
            Self::NoCommand => f.write_str("a declared command needs its name"),
            Self::NotDeclared(name) => write!(f, "no [[command]] named '{name}' is declared"),
            Self::Container(id) => write!(f, "{id:?} is no container's id"),
            Self::NotListed(name) => {
                write!(f, "interface {name:?} is not listed in detect.interfaces")
            }
        }
    }
}

impl Error for TargetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unit(why) => Some(why),
            Self::Missing(_)
            | Self::Path(..)
            | Self::Quoted(..)
            | Self::Setting(_)
            | Self::SamePath
            | Self::OwnedProcess(_)
            | Self::InitProcess(_)
            | Self::NoCommand
            | Self::NotDeclared(_)
            | Self::NotListed(_)
            | Self::Container(_) => None,
        }
    }
}

impl Hint for TargetError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Missing(_) => "let the runbook require this fact",
            Self::NoCommand => "write it in the runbook step",
            Self::NotDeclared(_) => "declare it, or correct the runbook step",
            Self::NotListed(_) => "list it there if it may be restarted",
            Self::Unit(_)
            | Self::Container(_)
            | Self::Path(..)
            | Self::Quoted(..)
            | Self::Setting(_)
            | Self::SamePath
            | Self::OwnedProcess(_)
            | Self::InitProcess(_) => "repair it by hand",
        }
        .into()
    }
}

/// The finding's unit: its evidence, or its subject where that is a unit's name.
pub fn unit(finding: &Finding) -> Result<UnitName, TargetError> {
    UnitName::new(finding.unit()).map_err(TargetError::Unit)
}

/// The container's id: 64 hexadecimal digits, as engines write it in full.
pub fn container(finding: &Finding) -> Result<String, TargetError> {
    let id = fact(finding, Key::Container)?;
    match id.len() == 64 && id.bytes().all(|c| c.is_ascii_hexdigit()) {
        true => Ok(id.to_owned()),
        false => Err(TargetError::Container(id.to_owned())),
    }
}

pub fn fact(finding: &Finding, key: Key) -> Result<&str, TargetError> {
    finding
        .fact(key)
        .filter(|value| !value.trim().is_empty())
        .ok_or(TargetError::Missing(key))
}

/// A path that stands in a unit file as it is: systemd would take blanks, quotes, `\\`, `$` and `;` in a
/// setting for something else, and nothing here quotes.
pub fn unit_path(finding: &Finding, key: Key) -> Result<String, TargetError> {
    let path = absolute(finding, key)?;
    let special = |c: char| c.is_whitespace() || "\"'\\$;".contains(c);
    if path.contains(special) {
        return Err(TargetError::Quoted(key, path));
    }
    Ok(path)
}

/// An absolute path without `..` and control characters.
pub fn absolute(finding: &Finding, key: Key) -> Result<String, TargetError> {
    let path = fact(finding, key)?;
    let plain = path.starts_with('/')
        && !path.split('/').any(|part| part == "..")
        && !path.chars().any(char::is_control);
    if plain {
        Ok(path.to_owned())
    } else {
        Err(TargetError::Path(key, path.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::class::Class;
    use crate::core::model::facts::Fact;
    use crate::core::model::finding::Severity;
    use crate::core::model::time::Timestamp;
    use proptest::prelude::*;

    fn finding(subject: &str, fact: Fact<'_>) -> Finding {
        let (severity, at) = (Severity::Error, Timestamp::default());
        Finding::new(Class::ServiceFailed, subject, severity, "m", "t", at).with(fact)
    }

    #[test]
    fn the_unit_comes_from_the_evidence_first() {
        let one = finding("tcp/80", Fact::Unit("a.service"));
        assert_eq!(
            unit(&one).map(|unit| unit.to_string()),
            Ok("a.service".to_owned())
        );
    }

    #[test]
    fn an_action_without_a_target_is_refused_with_what_to_do() {
        let told = |unit: &str, path: &str| {
            let one = finding("a.service", Fact::Path(path)).with(Fact::Unit(unit));
            let unit = super::unit(&one).map_err(|why| why.with_hint());
            let path = unit_path(&one, Key::Path).map_err(|why| why.with_hint());
            (
                unit.err().unwrap_or_default(),
                path.err().unwrap_or_default(),
            )
        };
        assert_eq!(
            told("-x", "").0,
            "\"-x\" is not a unit name: repair it by hand"
        );
        for (path, why) in [
            (
                "",
                "the finding does not say its path: let the runbook require this fact",
            ),
            (
                "/a/../b",
                "path \"/a/../b\" is not a plain absolute path: repair it by hand",
            ),
            (
                "/a b",
                "path \"/a b\" cannot stand in a unit file as it is: repair it by hand",
            ),
        ] {
            assert_eq!(told("a.service", path), (String::new(), why.to_owned()));
        }
    }

    proptest! {
        /// Whatever stands in a finding: it is refused or plain and not empty.
        #[test]
        fn hostile_facts_never_make_a_loose_target(subject in ".{0,40}", value in ".{0,40}") {
            if let Ok(unit) = unit(&finding(&subject, Fact::Unit(&value))) {
                prop_assert!(UnitName::new(unit.as_str()).is_ok());
            }
            for value in [value.clone(), format!("/{value}")] {
                let one = finding(&subject, Fact::Path(&value));
                if let Ok(path) = absolute(&one, Key::Path) {
                    prop_assert!(path.starts_with('/') && !path.contains(char::is_control));
                    prop_assert!(!path.split('/').any(|part| part == ".."));
                }
                if let Ok(path) = unit_path(&one, Key::Path) {
                    prop_assert!(!path.contains(char::is_whitespace) && !path.contains('$'));
                }
            }
        }
    }
}
