//! Runbooks: which actions may be taken against a finding, as data. Only a runbook allows an action;
//! advisors rank among what it allows.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use toml::Spanned;

use crate::core::config::settings::{self, Mistake, section};
use crate::core::model::action::ActionKind;
use crate::core::model::candidate::Candidate;
use crate::core::model::cause::Cause;
use crate::core::model::class::Class;
use crate::core::model::facts::Key;
use crate::core::model::finding::Finding;
use crate::core::model::hint::Hint;
use crate::core::model::named::UnknownName;
use crate::core::model::packed::{Packed, packed};
use crate::core::model::text::matches_glob;

const BUILTIN: Packed = packed!("runbooks.toml");
/// Most steps of one runbook: more can never be tried within the phases' attempts.
const STEPS_MAX: usize = 8;

/// One runbook. Empty lists match everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runbook {
    pub id: String,
    pub classes: Vec<Class>,
    /// Globs with `*` and `?`.
    pub subjects: Vec<String>,
    pub causes: Vec<Cause>,
    pub exit_statuses: Vec<i32>,
    /// Facts that must be known.
    pub requires: Vec<Key>,
    /// Globs on the path that the finding, or the line that names its cause, tells of.
    pub paths: Vec<String>,
    /// Commands for a human, with `{fact}` where the finding fills something in.
    pub suggestions: Vec<String>,
    pub steps: Vec<RunbookStep>,
    /// For the human who reads what is told.
    pub notes: String,
}

/// One allowed action. It is verified by the detector that found the fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunbookStep {
    pub action: ActionKind,
    /// Name of the operator's `[[command]]`; of `run_declared` alone.
    pub command: Option<String>,
    /// True for phase 1: tried at once. False: offered to the analyst in phase 2.
    pub certain: bool,
}

/// A runbook file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunbookError {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub what: Mistake,
}

impl fmt::Display for RunbookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what } = self;
        write!(f, "{file}:{line}: {what}")
    }
}

impl std::error::Error for RunbookError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.what)
    }
}

impl Hint for RunbookError {
    fn hint(&self) -> Cow<'static, str> {
        "correct it, or move the file out of runbooks.d".into()
    }
}

section! {
    File {
        runbook: Vec<Spanned<Raw>> = Vec::new(),
    }
}

section! {
    Raw {
        id: Option<Spanned<String>> = None,
        class: Vec<Spanned<String>> = Vec::new(),
        subject: Vec<Spanned<String>> = Vec::new(),
        cause: Vec<Spanned<String>> = Vec::new(),
        exit_status: Vec<i32> = Vec::new(),
        requires: Vec<Spanned<String>> = Vec::new(),
        path: Vec<String> = Vec::new(),
        suggest: Vec<Spanned<String>> = Vec::new(),
        step: Vec<Spanned<RawStep>> = Vec::new(),
        notes: String = String::new(),
    }
}

section! {
    RawStep {
        action: Option<Spanned<String>> = None,
        command: Option<String> = None,
        phase: Option<Spanned<u8>> = None,
        verify: Option<Spanned<String>> = None,
    }
}

/// Reads the runbooks of one file; `file` is only for messages.
pub fn parse(file: &str, text: &str) -> Result<Vec<Runbook>, RunbookError> {
    let at = |what: Mistake| RunbookError {
        file: file.to_owned(),
        line: what.line(text),
        what,
    };
    let raw: File = settings::read(text).map_err(at)?;
    let mut books: Vec<Runbook> = Vec::with_capacity(raw.runbook.len());
    for one in raw.runbook {
        let start = one.span().start;
        let one = one.into_inner();
        let offset = one.id.as_ref().map_or(start, |id| id.span().start);
        let book = one.check(offset).map_err(at)?;
        if books.iter().any(|other| other.id == book.id) {
            let what = format!("runbook id '{}' is used twice", book.id);
            return Err(at(Mistake::new(offset, what)));
        }
        books.push(book);
    }
    Ok(books)
}

impl Raw {
    /// `offset` is where the runbook begins.
    fn check(self, offset: usize) -> Result<Runbook, Mistake> {
        let Some(id) = &self.id else {
            return Err(Mistake::new(offset, "a runbook needs an id"));
        };
        let id = checked_id(id)?;
        if let Some(empty) = self.subject.iter().find(|glob| glob.get_ref().is_empty()) {
            return Err(Mistake::new(
                empty.span().start,
                "an empty subject matches nothing; leave the key out for all",
            ));
        }
        let declared = |step: &&Spanned<RawStep>| step.get_ref().command.is_some();
        if self.step.iter().filter(declared).count() > 1 {
            let what = "more than one run_declared: attempts are counted by action; write a second runbook";
            return Err(Mistake::new(offset, what));
        }
        if self.step.len() > STEPS_MAX {
            return Err(Mistake::new(offset, format!("more than {STEPS_MAX} steps")));
        }
        Ok(Runbook {
            classes: names(&self.class)?,
            causes: names(&self.cause)?,
            subjects: self.subject.into_iter().map(Spanned::into_inner).collect(),
            exit_statuses: self.exit_status,
            requires: names(&self.requires)?,
            paths: self.path,
            suggestions: self
                .suggest
                .iter()
                .map(suggestion)
                .collect::<Result<_, _>>()?,
            steps: self
                .step
                .iter()
                .map(|step| step.get_ref().check(step.span().start))
                .collect::<Result<_, _>>()?,
            notes: self.notes,
            id,
        })
    }
}

impl RawStep {
    /// `offset` is where the step begins.
    fn check(&self, offset: usize) -> Result<RunbookStep, Mistake> {
        let (Some(action), Some(phase)) = (&self.action, &self.phase) else {
            return Err(Mistake::new(offset, "a step needs action and phase"));
        };
        let action: ActionKind = named(action)?;
        let certain = match phase.get_ref() {
            1 => true,
            2 => false,
            other => {
                return Err(Mistake::new(
                    phase.span().start,
                    format!("phase {other}: write 1 (at once) or 2 (after research)"),
                ));
            }
        };
        if action.takes_command() != self.command.is_some() {
            let what = "run_declared needs command = \"NAME of a [[command]]\", and no other action has one";
            return Err(Mistake::new(offset, what));
        }
        match &self.verify {
            Some(by) if by.get_ref() != "detector" => Err(Mistake::new(
                by.span().start,
                format!(
                    "verify '{}': an action is verified by the detector that found the fault; write \"detector\"",
                    by.get_ref()
                ),
            )),
            _ => Ok(RunbookStep {
                action,
                command: self.command.clone(),
                certain,
            }),
        }
    }
}

/// A command whose `{fact}`s are facts.
fn suggestion(text: &Spanned<String>) -> Result<String, Mistake> {
    let at = text.span().start;
    for part in text.get_ref().split('{').skip(1) {
        let Some((name, _)) = part.split_once('}') else {
            return Err(Mistake::new(at, "a '{' without its '}'"));
        };
        let _: Key = name
            .parse()
            .map_err(|why: UnknownName| Mistake::new(at, why.to_string()))?;
    }
    Ok(text.get_ref().clone())
}

fn checked_id(id: &Spanned<String>) -> Result<String, Mistake> {
    let text = id.get_ref();
    let legal = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(legal) {
        return Err(Mistake::new(
            id.span().start,
            format!("id '{text}': 1 to 64 letters, digits, '-', '_' or '.'"),
        ));
    }
    Ok(text.clone())
}

fn names<T: std::str::FromStr<Err: fmt::Display>>(
    raw: &[Spanned<String>],
) -> Result<Vec<T>, Mistake> {
    raw.iter().map(named).collect()
}

fn named<T: std::str::FromStr<Err: fmt::Display>>(name: &Spanned<String>) -> Result<T, Mistake> {
    name.get_ref()
        .parse()
        .map_err(|why: T::Err| Mistake::new(name.span().start, why.to_string()))
}

/// The runbooks that ship inside the binary.
pub fn builtin() -> Vec<Runbook> {
    static BOOKS: OnceLock<Vec<Runbook>> = OnceLock::new();
    // A test parses the embedded text; at run time an unreadable one would mean "do nothing", the safe side.
    BOOKS
        .get_or_init(|| parse("builtin.toml", &BUILTIN.text()).unwrap_or_default())
        .clone()
}

impl Runbook {
    /// Is this the book for `finding`, whose cause was named `cause`?
    pub fn matches(&self, finding: &Finding, cause: Cause) -> bool {
        self.misfit(finding, cause).is_none()
    }

    /// The first of its keys that keeps it from being the book for `finding`, whose cause was named `cause`.
    pub fn misfit(&self, finding: &Finding, cause: Cause) -> Option<&'static str> {
        let any = |globs: &[String], text: &str| globs.iter().any(|glob| matches_glob(glob, text));
        let status = finding.evidence.exit_status();
        let path = finding.fact(Key::Path);
        let fits = [
            (
                "class",
                self.classes.is_empty() || self.classes.contains(&finding.class),
            ),
            (
                "cause",
                self.causes.is_empty() || self.causes.contains(&cause),
            ),
            (
                "subject",
                self.subjects.is_empty() || any(&self.subjects, &finding.subject),
            ),
            (
                "exit_status",
                self.exit_statuses.is_empty()
                    || status.is_some_and(|status| self.exit_statuses.contains(&status)),
            ),
            (
                "requires",
                self.requires.iter().all(|key| finding.fact(*key).is_some()),
            ),
            (
                "path",
                self.paths.is_empty() || path.is_some_and(|path| any(&self.paths, path)),
            ),
        ];
        fits.iter().find(|(_, fits)| !fits).map(|(key, _)| *key)
    }
}

/// What the book of `finding` has for a human: its notes and the commands that it suggests.
pub fn for_human<'a>(
    books: &'a [Runbook],
    finding: &Finding,
    cause: Cause,
) -> (&'a str, &'a [String]) {
    let book = books.iter().find(|book| book.matches(finding, cause));
    book.map_or(("", &[]), |book| (&book.notes, &book.suggestions))
}

/// The actions allowed for `finding`, in the order of the first book that matches. Later books do not
/// count: an operator's book without steps keeps a built-in one from acting.
pub fn select(books: &[Runbook], finding: &Finding, cause: Cause) -> Vec<Candidate> {
    let Some(book) = books.iter().find(|book| book.matches(finding, cause)) else {
        return Vec::new();
    };
    book.steps
        .iter()
        .enumerate()
        .map(|(at, step)| Candidate {
            kind: step.action,
            command: step.command.clone(),
            runbook_id: book.id.clone(),
            step: at + 1,
            certain: step.certain,
            told: step.action.follows_a_move() && finding.evidence.moved_is_told(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::core::model::facts::Facts;
    use crate::core::model::finding::Severity;
    use crate::core::model::time::Timestamp;

    fn finding(class: Class, subject: &str, facts: &[(&str, &str)]) -> Finding {
        let bare = Finding::new(
            class,
            subject,
            Severity::Error,
            "m",
            "t",
            Timestamp::from_millis(0),
        );
        Finding {
            evidence: Facts::stored(facts),
            ..bare
        }
    }

    fn kinds(
        class: Class,
        subject: &str,
        facts: &[(&str, &str)],
        cause: Cause,
    ) -> Vec<&'static str> {
        select(&builtin(), &finding(class, subject, facts), cause)
            .iter()
            .map(|one| one.kind.as_str())
            .collect()
    }

    #[test]
    fn the_built_in_books_parse_and_end_with_a_human() {
        let books = parse("builtin.toml", &BUILTIN.text()).unwrap();
        assert!(books.len() > 10);
        assert!(books.last().unwrap().steps.is_empty());
    }

    /// What is offered for a unit that ended of this: nothing, a start after research, a start at once.
    fn start_of(cause: Cause, facts: &[(&str, &str)]) -> Option<bool> {
        let ended = |class| select(&builtin(), &finding(class, "a.service", facts), cause);
        let (failed, inactive) = (ended(Class::ServiceFailed), ended(Class::ServiceInactive));
        let certain = |all: &[Candidate]| all.first().map(|one| one.certain);
        assert_eq!(certain(&failed), certain(&inactive), "{cause}");
        certain(&failed)
    }

    #[test]
    fn what_no_start_changes_costs_none_and_what_lies_with_another_is_tried_after_research() {
        for cause in [
            Cause::DeviceMissing,
            Cause::DependencyMissing,
            Cause::LibraryMissing,
            Cause::ConfigInvalid,
            Cause::PermissionDenied,
            Cause::SandboxDenies,
            Cause::DataInvalid,
            Cause::DataCorrupt,
            Cause::DataFileDestroyed,
            Cause::UpdateInterrupted,
            Cause::Licence,
            Cause::ExecFormat,
            Cause::ExecMissing,
            Cause::UserMissing,
            Cause::ChdirFailed,
            Cause::PathMissing,
            Cause::OwnCertificate,
            Cause::PeerCertificate,
            Cause::CertificateExpired,
            Cause::CertificateUntrusted,
            Cause::AuthFailed,
            Cause::LimitsReached,
            Cause::RequestRejected,
            Cause::DiskFull,
            Cause::InodeFull,
        ] {
            assert_eq!(start_of(cause, &[]), None, "{cause}");
        }
        let room = [("available_bytes", "1048576")];
        for (cause, facts) in [
            (Cause::DiskFull, &room[..]),
            (Cause::InodeFull, &room),
            (Cause::PortInUse, &[]),
            (Cause::LockHeld, &[]),
            (Cause::ClockWrong, &[]),
            (Cause::ClockAhead, &[]),
            (Cause::ReadonlyAfterError, &[]),
        ] {
            assert_eq!(start_of(cause, facts), Some(false), "{cause}");
        }
        for cause in [
            Cause::ProcessKilled,
            Cause::ProcessCrashed,
            Cause::OutOfMemory,
            Cause::DnsFailed,
            Cause::AddressNotLocal,
            Cause::StartTimeout,
            Cause::Unknown,
        ] {
            assert_eq!(start_of(cause, &[]), Some(true), "{cause}");
        }
    }

    #[test]
    fn each_fault_gets_its_repair_and_no_other() {
        let moved = [("moved_to", "/b"), ("setting", "ExecStart"), ("path", "/a")];
        let stranger = [("holder_pid", "1"), ("holder_start", "2")];
        let holder = [
            ("holder_pid", "1"),
            ("holder_start", "2"),
            ("leftover", "it ran in the unit"),
        ];
        for (class, subject, facts, cause, want) in [
            (
                Class::ServiceFailed,
                "a.service",
                &[][..],
                Cause::ProcessKilled,
                &["reset_failed_start"][..],
            ),
            (
                Class::ServiceFailed,
                "a.service",
                &[],
                Cause::StartLimit,
                &["reset_failed_start"],
            ),
            (
                Class::ServiceFailed,
                "a.service",
                &[],
                Cause::Unknown,
                &["reset_failed_start"],
            ),
            (
                Class::ServiceFailed,
                "a.service",
                &moved,
                Cause::PathMoved,
                &["path_drop_in"],
            ),
            (
                Class::ServiceFailed,
                "a.service",
                &[],
                Cause::ExecMissing,
                &[],
            ),
            (
                Class::ServiceFailed,
                "a.service",
                &[],
                Cause::UserMissing,
                &[],
            ),
            (
                Class::ServiceWatchdog,
                "a.service",
                &[],
                Cause::WatchdogTimeout,
                &["restart_unit"],
            ),
            (
                Class::ServiceInactive,
                "a.service",
                &[],
                Cause::StoppedUnexpectedly,
                &["start_unit"],
            ),
            (
                Class::ServiceFlapping,
                "a.service",
                &[],
                Cause::KeepsRestarting,
                &[],
            ),
            (
                Class::InvalidUnitPath,
                "a.service",
                &moved,
                Cause::PathMoved,
                &["path_drop_in"],
            ),
            (
                Class::InvalidUnitPath,
                "a.service",
                &[],
                Cause::PathMissing,
                &[],
            ),
            (
                Class::PortConflict,
                "tcp/80",
                &holder,
                Cause::PortHeldByStaleProcess,
                &["terminate_process"],
            ),
            (
                Class::PortConflict,
                "tcp/80",
                &[("holder_unit", "b.service")],
                Cause::PortHeldByUnit,
                &[],
            ),
            (
                Class::PortConflict,
                "tcp/80",
                &stranger,
                Cause::PortHeldByStranger,
                &[],
            ),
            (
                Class::StaleProcess,
                "x",
                &stranger,
                Cause::StaleProcess,
                &[],
            ),
            (
                Class::DiskFull,
                "/",
                &[],
                Cause::DiskFull,
                &["vacuum_journal", "free_disk"],
            ),
            (
                Class::DiskFull,
                "/data",
                &[],
                Cause::DiskFull,
                &["free_disk"],
            ),
            (
                Class::ProbeFailed,
                "web",
                &[("unit", "w.service")],
                Cause::HealthCheckFailed,
                &["restart_unit"],
            ),
            (
                Class::ProbeFailed,
                "web",
                &[],
                Cause::HealthCheckFailed,
                &[],
            ),
            (Class::OomKill, "x", &[], Cause::OutOfMemory, &[]),
            (
                Class::ReadonlyFs,
                "/data",
                &[],
                Cause::ReadonlyAfterError,
                &["remount_rw"],
            ),
            (
                Class::ClockUnsynced,
                "clock",
                &[],
                Cause::ClockWrong,
                &["sync_clock"],
            ),
            (
                Class::StaleProcess,
                "x",
                &holder,
                Cause::StaleProcess,
                &["terminate_process"],
            ),
            (Class::StaleProcess, "x", &holder, Cause::ZombieParent, &[]),
            (Class::UplinkDown, "uplink", &[], Cause::PeerSilent, &[]),
            (Class::LogError, "", &[], Cause::ConnectionRefused, &[]),
            (Class::KernelOops, "kernel", &[], Cause::KernelFault, &[]),
            (Class::SelfStore, "store", &[], Cause::SelfImpaired, &[]),
        ] {
            assert_eq!(kinds(class, subject, facts, cause), want, "{class} {cause}");
        }
    }

    #[test]
    fn an_operators_book_comes_first() {
        let mut books = parse(
            "own.toml",
            "[[runbook]]\nid = \"hands-off\"\nsubject = [\"plc-*\"]\n",
        )
        .unwrap();
        books.extend(builtin());
        assert!(
            select(
                &books,
                &finding(Class::ServiceFailed, "plc-1.service", &[]),
                Cause::ProcessKilled
            )
            .is_empty()
        );
        assert_eq!(
            select(
                &books,
                &finding(Class::ServiceFailed, "web.service", &[]),
                Cause::ProcessKilled
            )
            .len(),
            1
        );
    }

    #[test]
    fn mistakes_name_file_and_line() {
        for (text, line, what) in [
            (
                "[[runbook]]\nid = \"a\"\nclass = [\"nope\"]",
                3,
                "is no class",
            ),
            (
                "[[runbook]]\nid = \"a\"\ncause = [\n\"nope\"]",
                4,
                "no cause",
            ),
            (
                "[[runbook]]\nid = \"a\"\n[[runbook.step]]\naction = \"rm\"\nphase = 1",
                4,
                "is no action",
            ),
            (
                "[[runbook]]\nid = \"a\"\n[[runbook.step]]\naction = \"sync_clock\"\nphase = 3",
                5,
                "phase 3",
            ),
            (
                "[[runbook]]\nid = \"a\"\n[[runbook.step]]\naction = \"sync_clock\"\nphase = 1\nverify = \"hope\"",
                6,
                "verify",
            ),
            ("[[runbook]]\nid = \"a b\"", 2, "id 'a b'"),
            (
                "[[runbook]]\nid = \"a\"\nsubject = [\"\"]",
                3,
                "empty subject",
            ),
            (
                "[[runbook]]\nid = \"a\"\n[[runbook]]\nid = \"a\"",
                4,
                "twice",
            ),
            (
                "[[runbook]]\nid = \"a\"\nrequires = [\"path\",\n\"mooved_to\"]",
                4,
                "'mooved_to' is no fact; did you mean 'moved_to'?",
            ),
            ("[[runbook]]\nid = \"a\"\ncolour = 1", 3, "colour"),
            ("[[runbook", 1, ""),
        ] {
            let error = parse("f.toml", text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
