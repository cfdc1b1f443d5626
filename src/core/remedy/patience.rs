//! When a human hears of a finding that nothing can repair.

use std::fmt;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::cause::Cause;
use crate::core::model::class::{Class, Waits};
use crate::core::model::finding::Severity;

/// What is told of a unit that is gone, and that nothing wants any more, is over after this: ten seconds to settle, and
/// a day, in which whoever moves, rebuilds or upgrades it has brought it back, and whoever erred has seen it.
pub const GONE_AFTER: Duration = Duration::from_secs(10 + 86_400);

/// When a human hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    AtOnce,
    /// When it is still there after this time.
    IfItLasts(Duration),
    /// It is recorded, counted and shown.
    Never,
}

/// How long a rule gives.
#[derive(Clone, Copy, Debug)]
enum Given {
    Nothing,
    ForEver,
    /// `fix.log_escalate_after_s`.
    AsLinesAre,
    /// `detect.flap_window_s`.
    AsFlapping,
    /// `fix.tell_after_s`.
    AsWhatIsTried,
}

impl Given {
    fn told(self, settings: &Config) -> Told {
        match self {
            Self::Nothing => Told::AtOnce,
            Self::ForEver => Told::Never,
            Self::AsLinesAre => {
                Told::IfItLasts(Duration::from_secs(settings.fix.log_escalate_after_s))
            }
            Self::AsFlapping => Told::IfItLasts(Duration::from_secs(settings.detect.flap_window_s)),
            Self::AsWhatIsTried => Told::IfItLasts(Duration::from_secs(settings.fix.tell_after_s)),
        }
    }
}

/// One row of the table: of what it speaks, what it gives, and why.
#[derive(Debug)]
struct Rule {
    waits: Waits,
    /// Of this class alone.
    class: Option<Class>,
    /// Of these causes alone; empty: of any.
    causes: &'static [Cause],
    /// Of these severities alone; empty: of any.
    severities: &'static [Severity],
    given: Given,
    /// As the documentation prints it.
    #[cfg(test)]
    why: &'static str,
}

/// What no start changes, and no waiting.
const LASTING: &[Cause] = &[
    Cause::ConfigInvalid,
    Cause::PermissionDenied,
    Cause::ExecFormat,
    Cause::UserMissing,
    Cause::LibraryMissing,
    Cause::OwnCertificate,
    Cause::Licence,
    Cause::DataCorrupt,
    Cause::DataFileDestroyed,
];

/// True of what does not end by itself: when it is over somebody has mended it.
pub fn is_ended_by_hand(cause: Cause) -> bool {
    cause == Cause::ExecMissing || LASTING.contains(&cause)
}

/// The first row that fits counts. Each way to wait has a last row for all of it.
const RULES: &[Rule] = &[
    Rule {
        waits: Waits::Never,
        class: None,
        causes: &[],
        severities: &[],
        given: Given::Nothing,
        #[cfg(test)]
        why: "a look confirmed it, and waiting changes nothing about it",
    },
    Rule {
        waits: Waits::FlapWindow,
        class: None,
        causes: LASTING,
        severities: &[],
        given: Given::AsWhatIsTried,
        #[cfg(test)]
        why: "no start of its manager's changes that: it is as if it had been tried in vain",
    },
    Rule {
        waits: Waits::FlapWindow,
        class: None,
        causes: &[],
        severities: &[],
        given: Given::AsFlapping,
        #[cfg(test)]
        why: "its manager may still bring it up: what has held for half a window is over",
    },
    Rule {
        waits: Waits::GoesOn,
        class: None,
        causes: &[],
        severities: &[Severity::Critical],
        given: Given::Nothing,
        #[cfg(test)]
        why: "data or the host may be lost meanwhile",
    },
    Rule {
        waits: Waits::GoesOn,
        class: Some(Class::LogError),
        causes: &[],
        severities: &[Severity::Info, Severity::Warning],
        given: Given::ForEver,
        #[cfg(test)]
        why: "its own program calls it no failure: for whoever looks",
    },
    Rule {
        waits: Waits::GoesOn,
        class: None,
        causes: &[],
        severities: &[],
        given: Given::AsLinesAre,
        #[cfg(test)]
        why: "one line is most often a hiccup: only what goes on needs a human",
    },
];

impl Rule {
    fn fits(&self, class: Class, cause: Cause, severity: Severity) -> bool {
        self.waits == class.row().waits
            && self.class.is_none_or(|only| only == class)
            && (self.causes.is_empty() || self.causes.contains(&cause))
            && (self.severities.is_empty() || self.severities.contains(&severity))
    }
}

impl Told {
    /// By the first row of the table that fits; what none speaks of is told.
    pub fn of(class: Class, cause: Cause, severity: Severity, settings: &Config) -> Self {
        let rule = RULES.iter().find(|rule| rule.fits(class, cause, severity));
        rule.map_or(Self::AtOnce, |rule| rule.given.told(settings))
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce => f.write_str("at once"),
            Self::IfItLasts(time) => write!(f, "if it lasts {} min", time.as_secs().div_ceil(60)),
            Self::Never => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_says_is_told_by_how_bad_it_is() {
        let settings = Config::default();
        for (class, severity, want) in [
            (Class::LogError, Severity::Info, "never"),
            (Class::LogError, Severity::Warning, "never"),
            (Class::LogError, Severity::Error, "if it lasts 15 min"),
            (Class::LogError, Severity::Critical, "at once"),
            (Class::IoError, Severity::Warning, "if it lasts 15 min"),
            (Class::ServiceFailed, Severity::Error, "at once"),
            (
                Class::ServiceFlapping,
                Severity::Error,
                "if it lasts 10 min",
            ),
        ] {
            let told = Told::of(class, Cause::Unknown, severity, &settings);
            assert_eq!(told.to_string(), want, "{class} {severity}");
        }
        let of = |cause| Told::of(Class::ServiceFlapping, cause, Severity::Error, &settings);
        assert_eq!(of(Cause::Licence).to_string(), "if it lasts 2 min");
        assert_eq!(
            of(Cause::ConnectionRefused).to_string(),
            "if it lasts 10 min"
        );
    }

    /// The table as it stands in the documents, with the settings as shipped.
    fn documented() -> String {
        let settings = Config::default();
        let mut table =
            "| class | cause | severity | a human hears of it | why |\n|---|---|---|---|---|\n"
                .to_owned();
        for rule in RULES {
            let of_rule = |class: &&Class| {
                class.row().waits == rule.waits && rule.class.is_none_or(|only| only == **class)
            };
            let classes: Vec<&str> = Class::ALL
                .iter()
                .filter(of_rule)
                .map(|one| one.as_str())
                .collect();
            let severities: Vec<&str> = rule.severities.iter().map(|one| one.as_str()).collect();
            let class = match rule.waits {
                Waits::Never => "all others".to_owned(),
                Waits::GoesOn | Waits::FlapWindow => classes.join(", "),
            };
            let severity = match severities.is_empty() {
                true => "any".to_owned(),
                false => severities.join(", "),
            };
            let causes: Vec<&str> = rule.causes.iter().map(|one| one.as_str()).collect();
            let cause = match causes.is_empty() {
                true => "any".to_owned(),
                false => causes.join(", "),
            };
            let told = rule.given.told(&settings);
            table.push_str(&format!(
                "| {class} | {cause} | {severity} | {told} | {} |\n",
                rule.why
            ));
        }
        table
    }

    #[test]
    fn the_table_in_the_documents_is_this_one() {
        let documents = include_str!("../../../docs/DETECTION.md");
        let table = documented();
        assert!(
            documents.contains(&table),
            "docs/DETECTION.md lacks:\n{table}"
        );
    }

    #[test]
    fn each_class_and_severity_has_its_row() {
        for class in Class::ALL {
            for severity in [
                Severity::Info,
                Severity::Warning,
                Severity::Error,
                Severity::Critical,
            ] {
                assert!(
                    RULES
                        .iter()
                        .any(|rule| rule.fits(*class, Cause::Unknown, severity)),
                    "{class} {severity}"
                );
            }
        }
    }
}
