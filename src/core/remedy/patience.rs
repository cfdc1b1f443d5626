//! When a human hears of a finding that nothing can repair.

use std::fmt;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::{Class, Waits};
use crate::core::model::finding::Severity;

/// When a human hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    AtOnce,
    /// When it is still there after this time.
    IfItLasts(Duration),
    /// It is recorded, counted and shown.
    Never,
}

impl Told {
    /// A line's warning is for whoever looks; what is critical waits for nothing.
    pub fn of(class: Class, severity: Severity, settings: &Config) -> Self {
        match (class.row().waits, class, severity) {
            (Waits::Never, _, _) | (Waits::GoesOn, _, Severity::Critical) => Self::AtOnce,
            (Waits::GoesOn, Class::LogError, Severity::Info | Severity::Warning) => Self::Never,
            (Waits::GoesOn, _, _) => {
                Self::IfItLasts(Duration::from_secs(settings.fix.log_escalate_after_s))
            }
            (Waits::FlapWindow, _, _) => {
                let window = settings.detect.flap_window_s.saturating_mul(2);
                Self::IfItLasts(Duration::from_secs(window))
            }
        }
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
                "if it lasts 20 min",
            ),
        ] {
            let told = Told::of(class, severity, &settings);
            assert_eq!(told.to_string(), want, "{class} {severity}");
        }
    }
}
