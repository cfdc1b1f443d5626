//! What was typed. The table of commands says what is legal; each command says what it means.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;

use crate::cli::error::CliError;
use crate::core::model::id::{OutboxId, TaskId};

/// The words and flags of one command, already checked against its row of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Typed {
    pub(super) words: Vec<OsString>,
    pub(super) flags: Vec<(&'static str, Option<OsString>)>,
}

impl Typed {
    pub(super) fn words(&self) -> &[OsString] {
        &self.words
    }

    /// The word at `at` as text; a word that is not UTF-8 can be no name of ours.
    pub(super) fn word(&self, at: usize) -> Option<&str> {
        self.words.get(at).and_then(|word| word.to_str())
    }

    pub(super) fn path(&self, at: usize) -> Option<PathBuf> {
        self.words.get(at).map(PathBuf::from)
    }

    pub(super) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|(name, _)| *name == flag)
    }

    /// The last value given for `flag`.
    pub(super) fn value(&self, flag: &str) -> Option<&OsStr> {
        self.flags
            .iter()
            .rev()
            .find(|(name, _)| *name == flag)
            .and_then(|(_, value)| value.as_deref())
    }

    /// As [`Typed::value`], read as a `T`.
    pub(super) fn parsed<T: FromStr>(&self, flag: &str) -> Result<Option<T>, CliError>
    where
        T::Err: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some(value) = self.value(flag) else {
            return Ok(None);
        };
        let text = value.to_string_lossy();
        text.parse().map(Some).map_err(|why| {
            CliError::usage(format!("--{flag} '{text}'"))
                .because(why)
                .hint("see --help")
        })
    }

    /// The task id at `at`; `#12` is taken like `12`.
    pub(super) fn task_id(&self, at: usize) -> Result<TaskId, CliError> {
        self.id(
            at,
            "task",
            "`tasks` lists them; `explain UNIT` tells of a unit without one",
        )
        .map(TaskId::from_number)
    }

    /// The id of a delivery at `at`, read in the same way.
    pub(super) fn delivery_id(&self, at: usize) -> Result<OutboxId, CliError> {
        self.id(at, "delivery", "`outbox` lists them")
            .map(OutboxId::from_number)
    }

    fn id(&self, at: usize, what: &str, hint: &'static str) -> Result<i64, CliError> {
        let word = self.word(at).ok_or_else(|| {
            CliError::usage(format!("no {what} id given: it is needed")).hint(hint)
        })?;
        word.trim_start_matches('#')
            .parse()
            .ok()
            .filter(|id| *id > 0)
            .ok_or_else(|| {
                CliError::usage(format!("'{word}' is not a {what} id: a number is needed"))
                    .hint(hint)
            })
    }

    /// Refuses more words than `most`: a forgotten quote must not be half a command.
    pub(super) fn at_most(&self, most: usize) -> Result<(), CliError> {
        match self.words.get(most) {
            None => Ok(()),
            Some(word) => Err(CliError::usage(format!(
                "unexpected argument '{}': the command takes no more",
                word.to_string_lossy()
            ))
            .hint("see --help")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_positive_numbers() {
        for bad in ["0", "-1", "x", "9999999999999999999999"] {
            let typed = Typed {
                words: vec![OsString::from(bad)],
                flags: Vec::new(),
            };
            assert!(typed.task_id(0).is_err(), "{bad}");
            let refused = typed.delivery_id(0).map_err(|why| why.to_string());
            let wanted = format!("'{bad}' is not a delivery id: a number is needed");
            assert_eq!(refused, Err(wanted));
        }
    }
}
