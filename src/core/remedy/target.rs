//! What an action aims at, read from a finding's facts. One that is missing, empty or not what it should be
//! is refused here, before anything could touch the host.

use crate::core::model::facts::Key;
use crate::core::model::finding::Finding;
use crate::core::model::unit::UnitName;

/// The finding's unit: its evidence, or its subject where that is a unit's name.
pub fn unit(finding: &Finding) -> Result<UnitName, String> {
    UnitName::new(finding.unit()).map_err(|why| why.to_string())
}

pub fn fact(finding: &Finding, key: Key) -> Result<&str, String> {
    finding
        .fact(key)
        .filter(|value| !value.trim().is_empty())
        .ok_or_else(|| missing(key))
}

pub fn missing(key: Key) -> String {
    format!("the finding does not say its {key}")
}

/// A path that stands in a unit file as it is: systemd would take blanks, quotes, `\\`, `$` and `;` in a
/// setting for something else, and nothing here quotes.
pub fn unit_path(finding: &Finding, key: Key) -> Result<String, String> {
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
pub fn absolute(finding: &Finding, key: Key) -> Result<String, String> {
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
