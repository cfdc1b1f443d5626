//! What is wrong in a file of log rules, and where.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use crate::core::config::settings::Mistake;
use crate::core::model::hint::Hint;
use crate::core::model::named::UnknownName;
use crate::core::model::text::cut;

/// Longest text of the pattern compiler that is told, bytes: it draws the pattern.
const REGEX_TOLD: usize = 400;

/// A mistake with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleError {
    pub file: String,
    /// 1-based; 0 when the whole file is meant.
    pub line: usize,
    pub what: RuleMistake,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleMistake {
    /// It cannot be read as rules at all.
    Form(Mistake),
    NoName,
    /// In the rule of this name.
    Rule(String, RuleFault),
    /// All patterns of all files do not fit into one automaton.
    Together(regex::Error),
    /// A sample of the rule is not judged as its writer wanted.
    Sample {
        rule: String,
        text: String,
        /// It was to fit.
        wanted: bool,
    },
}

/// What is wrong in one rule.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleFault {
    NoMatch,
    Class(UnknownName),
    Severity(UnknownName),
    Source(String),
    Pattern(regex::Error),
    FitsAll(String),
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

impl Error for RuleError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.what {
            RuleMistake::Form(why) => Some(why),
            RuleMistake::Together(why) | RuleMistake::Rule(_, RuleFault::Pattern(why)) => Some(why),
            RuleMistake::Rule(_, RuleFault::Class(why)) => Some(why),
            RuleMistake::Rule(_, RuleFault::Severity(why)) => Some(why),
            RuleMistake::Rule(
                _,
                RuleFault::NoMatch | RuleFault::Source(_) | RuleFault::FitsAll(_),
            )
            | RuleMistake::NoName
            | RuleMistake::Sample { .. } => None,
        }
    }
}

impl Hint for RuleError {
    fn hint(&self) -> Cow<'static, str> {
        match self.what {
            RuleMistake::Together(_) => "use fewer or shorter patterns",
            RuleMistake::Form(_)
            | RuleMistake::NoName
            | RuleMistake::Rule(..)
            | RuleMistake::Sample { .. } => "",
        }
        .into()
    }
}

impl fmt::Display for RuleMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(why) => why.fmt(f),
            Self::NoName => f.write_str("a rule needs a name"),
            Self::Rule(name, fault) => write!(f, "rule '{name}': {fault}"),
            Self::Together(why) => write!(f, "together too large: {why}"),
            Self::Sample { rule, text, wanted } => write!(
                f,
                "rule '{rule}' {} the sample {text:?}",
                if *wanted { "misses" } else { "wrongly takes" }
            ),
        }
    }
}

impl fmt::Display for RuleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMatch => f.write_str("match is empty: it would never fit"),
            Self::Class(why) => why.fmt(f),
            Self::Severity(why) => why.fmt(f),
            Self::Source(other) => write!(f, "source '{other}': write text or leveled"),
            Self::Pattern(why) => f.write_str(cut(&why.to_string(), REGEX_TOLD)),
            Self::FitsAll(pattern) => write!(f, "pattern '{pattern}' fits every line"),
        }
    }
}
