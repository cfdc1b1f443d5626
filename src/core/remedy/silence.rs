//! What humans want left alone for a while: a unit or another subject, a class, a task, or the whole host. Each ends by
//! itself.

use std::fmt;

use crate::core::config::OpenWindow;
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::id::TaskId;
use crate::core::model::task::Task;
use crate::core::model::time::Timestamp;

/// More than these at a time nobody keeps in mind.
pub const SILENCES_MOST: usize = 64;

/// What is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nothing is repaired: people work on the box.
    Host,
    Class(Class),
    Task(TaskId),
    /// A unit, or what else a finding is about.
    Subject(String),
}

impl Scope {
    /// As it is typed and stored: `*`, a class, a task's number, or any other word.
    pub fn of_word(word: &str) -> Self {
        let number = word.strip_prefix('#').unwrap_or(word).parse();
        match (word, number, word.parse()) {
            ("*", ..) => Self::Host,
            (_, Ok(id), _) if id > 0 => Self::Task(TaskId::from_number(id)),
            (_, _, Ok(class)) => Self::Class(class),
            _ => Self::Subject(word.to_owned()),
        }
    }

    pub fn word(&self) -> String {
        match self {
            Self::Host => "*".to_owned(),
            Self::Class(class) => class.as_str().to_owned(),
            Self::Task(id) => format!("#{id}"),
            Self::Subject(subject) => subject.clone(),
        }
    }

    /// A class never covers what is critical.
    pub fn covers(&self, task: &Task, finding: &Finding) -> bool {
        match self {
            Self::Host => false,
            Self::Class(class) => *class == task.class && task.severity < Severity::Critical,
            Self::Task(id) => *id == task.id,
            Self::Subject(_) => self.is_about(&task.subject) || self.is_about(finding.unit()),
        }
    }

    /// It names this subject; `.service` may be left out.
    pub fn is_about(&self, subject: &str) -> bool {
        let bare = subject.strip_suffix(".service");
        let same = |name: &str| !subject.is_empty() && (subject == name || bare == Some(name));
        matches!(self, Self::Subject(name) if same(name))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("the whole host"),
            Self::Class(class) => write!(f, "class {class}"),
            Self::Task(id) => write!(f, "task {id}"),
            Self::Subject(subject) => f.write_str(subject),
        }
    }
}

/// One order to leave something alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    pub scope: Scope,
    pub until: Timestamp,
    pub by: String,
    pub reason: String,
}

impl Silence {
    /// Until when, by whom and why.
    pub fn terms(&self) -> String {
        format!("until {} UTC by {}: {}", self.end(), self.by, self.why())
    }

    /// The same where whose it is stands beside it.
    pub fn terms_alone(&self) -> String {
        format!("until {} UTC: {}", self.end(), self.why())
    }

    fn end(&self) -> String {
        self.until.second()
    }

    fn why(&self) -> &str {
        match self.reason.as_str() {
            "" => "no reason given",
            reason => reason,
        }
    }

    fn of_line(line: &str) -> Option<Self> {
        let mut parts = line.splitn(4, '\t');
        let mut next = || parts.next();
        Some(Self {
            until: next()?.parse().ok()?,
            scope: Scope::of_word(next()?),
            by: next()?.to_owned(),
            reason: next()?.to_owned(),
        })
    }
}

/// All of them, as they were ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silences(Vec<Silence>);

impl Silences {
    /// Reads what [`Silences::text`] wrote; a line that cannot be read silences nothing.
    pub fn of_text(text: &str) -> Self {
        Self(text.lines().filter_map(Silence::of_line).collect())
    }

    /// One a line. Neither part may hold a tab or a line's end.
    pub fn text(&self) -> String {
        let plain = |text: &str| text.replace(char::is_control, " ");
        let line = |one: &Silence| {
            let [scope, by, reason] =
                [&one.scope.word(), &one.by, &one.reason].map(|text| plain(text));
            format!("{}\t{scope}\t{by}\t{reason}\n", one.until)
        };
        self.0.iter().map(line).collect()
    }

    /// Those in force.
    pub fn at(&self, now: Timestamp) -> impl Iterator<Item = &Silence> {
        self.0.iter().filter(move |one| now < one.until)
    }

    /// The one that covers a task longest.
    pub fn of(&self, task: &Task, finding: &Finding, now: Timestamp) -> Option<&Silence> {
        self.at(now)
            .filter(|one| one.scope.covers(task, finding))
            .max_by_key(|one| one.until)
    }

    /// What a human does about a task or wants of it, so that it alarms nobody now: on it, silenced, or snoozed.
    pub fn aside(&self, task: &Task, now: Timestamp) -> Option<String> {
        if let Some(name) = &task.acknowledged_by {
            return Some(format!("{name} is on it"));
        }
        if let Some(one) = self.of(task, &task.finding(), now) {
            return Some(format!("left alone {}", one.terms()));
        }
        let until = task
            .next_attempt_at
            .filter(|at| task.snoozed && now < *at)?;
        let why = task.waiting_reason.as_deref().unwrap_or_default();
        Some(format!("left alone until {} UTC, {why}", until.second()))
    }

    /// That of the whole host, as a window that is open.
    pub fn maintenance(&self, now: Timestamp) -> Option<OpenWindow> {
        let one = self.at(now).find(|one| one.scope == Scope::Host)?;
        Some(OpenWindow {
            until: one.until,
            text: format!("maintenance {}", one.terms()),
        })
    }

    /// Takes the place of what was ordered of the same; false where there are too many.
    pub fn add(&mut self, one: Silence) -> bool {
        self.0.retain(|other| other.scope != one.scope);
        let room = self.0.len() < SILENCES_MOST;
        if room {
            self.0.push(one);
        }
        room
    }

    /// Takes out those that match.
    pub fn take(&mut self, matches: impl Fn(&Silence) -> bool) -> Vec<Silence> {
        let (taken, kept) = std::mem::take(&mut self.0).into_iter().partition(matches);
        self.0 = kept;
        taken
    }

    /// What lies behind `middle` was written under a clock that was `ahead`.
    pub fn shift(&mut self, middle: Timestamp, ahead: std::time::Duration) {
        for one in self.0.iter_mut().filter(|one| one.until > middle) {
            one.until = one.until.minus(ahead);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_millis(1_800_273_600_000);

    fn silence(word: &str, seconds: u64) -> Silence {
        Silence {
            scope: Scope::of_word(word),
            until: NOW.plus(Duration::from_secs(seconds)),
            by: "anna".to_owned(),
            reason: "new\tcable\n".to_owned(),
        }
    }

    #[test]
    fn a_word_names_a_task_a_class_or_a_subject() {
        for (word, told) in [
            ("*", "the whole host"),
            ("12", "task 12"),
            ("#12", "task 12"),
            ("0", "0"),
            ("service_failed", "class service_failed"),
            ("web.service", "web.service"),
            ("/data", "/data"),
        ] {
            let scope = Scope::of_word(word);
            assert_eq!(scope.to_string(), told);
            assert_eq!(Scope::of_word(&scope.word()), scope);
        }
    }

    #[test]
    fn what_is_stored_is_read_back_and_a_strange_line_silences_nothing() {
        let mut all = Silences::default();
        assert!(all.add(silence("web.service", 60)));
        assert!(all.add(silence("*", 90)));
        let text = format!("{}what is this\n\t\t\t\n", all.text());
        let read = Silences::of_text(&text);
        let told: Vec<_> = read.at(NOW).map(|one| one.terms()).collect();
        let until = "until 2027-01-18 12:01:00 UTC by anna: new cable ";
        assert_eq!(told.first().map(String::as_str), Some(until));
        assert_eq!(told.len(), 2);
        assert!(read.maintenance(NOW).is_some());
    }

    #[test]
    fn a_task_is_aside_while_a_human_is_on_it_or_wants_it_left_alone() {
        let plain = Task::sample(2, Class::ServiceFailed, "web.service", NOW);
        let mut silences = Silences::default();
        assert_eq!(silences.aside(&plain, NOW), None);
        let snoozed = Task {
            snoozed: true,
            waiting_reason: Some("snoozed by anna".to_owned()),
            next_attempt_at: Some(NOW.plus(Duration::from_secs(60))),
            ..plain.clone()
        };
        let put_off = "left alone until 2027-01-18 12:01:00 UTC, snoozed by anna";
        assert_eq!(silences.aside(&snoozed, NOW).as_deref(), Some(put_off));
        let over = NOW.plus(Duration::from_secs(60));
        assert_eq!(silences.aside(&snoozed, over), None);
        let waits = Task {
            snoozed: false,
            ..snoozed.clone()
        };
        assert_eq!(silences.aside(&waits, NOW), None, "for something else");
        assert!(silences.add(silence("web", 90)));
        let silenced = "left alone until 2027-01-18 12:01:30 UTC by anna: new\tcable\n";
        assert_eq!(silences.aside(&plain, NOW).as_deref(), Some(silenced));
        assert_eq!(silences.aside(&snoozed, over).as_deref(), Some(silenced));
        let acknowledged = Task {
            acknowledged_by: Some("bert".to_owned()),
            ..snoozed
        };
        let told = silences.aside(&acknowledged, NOW);
        assert_eq!(told.as_deref(), Some("bert is on it"));
    }

    #[test]
    fn each_is_over_by_itself_and_the_same_is_ordered_once() {
        let mut all = Silences::default();
        for seconds in [60, 90] {
            assert!(all.add(silence("web.service", seconds)));
        }
        let at = |seconds| NOW.plus(Duration::from_secs(seconds));
        assert_eq!(all.at(at(89)).count(), 1);
        assert_eq!(all.at(at(90)).count(), 0);
        assert_eq!(all.take(|one| one.until <= at(90)).len(), 1);
        assert_eq!(all, Silences::default());
    }

    #[test]
    fn there_are_not_more_than_one_keeps_in_mind() {
        let mut all = Silences::default();
        for n in 0..SILENCES_MOST {
            assert!(all.add(silence(&format!("unit-{n}"), 60)));
        }
        assert!(!all.add(silence("one.more", 60)));
        assert!(
            all.add(silence("unit-1", 90)),
            "in the place of the same one"
        );
    }
}
