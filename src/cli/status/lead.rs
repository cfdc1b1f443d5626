//! What a human should know first: the head of the page, and the whole of `status --check`.

use std::time::Duration;

use crate::cli::status::facts::{Ask, Repairs, Stored};
use crate::cli::table::Tone;
use crate::cli::{escalations, shape};
use crate::core::config::Config;
use crate::core::model::time::Timestamp;
use crate::core::remedy::step::Spent;
use crate::daemon::status::Daemon;
use crate::store::{OutboxRow, Unresolved};

/// The daemon writes its status every ten seconds.
const SILENT_AFTER: Duration = Duration::from_secs(60);
/// A delivery that is due waits longer than this only when something is in its way.
const STUCK_AFTER: Duration = Duration::from_secs(600);

/// More escalations of one title than this are one line.
const ALIKE_MOST: usize = 3;

/// How bad it is, in the order of a Nagios plugin's exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gravity {
    /// Worth knowing, and as configured.
    Note,
    Warning,
    Critical,
}

impl Gravity {
    pub(super) const fn tone(self) -> Tone {
        match self {
            Self::Note | Self::Warning => Tone::Warn,
            Self::Critical => Tone::Bad,
        }
    }
}

/// One thing that a human should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) level: Gravity,
    /// What answers it, without the program's name; empty where nothing does.
    pub(super) command: String,
    pub(super) what: String,
}

impl Point {
    fn new(level: Gravity, command: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            level,
            command: command.into(),
            what: what.into(),
        }
    }
}

impl Ask {
    /// The command that answers it.
    fn command(&self) -> String {
        let id = self.of.row.task_id;
        let task = self.of.task.as_ref();
        let waits = task.is_some_and(|task| {
            task.proposal.is_some()
                && task.approved_action.is_none()
                && task.acknowledged_by.is_none()
        });
        match waits {
            true if self.observed.is_some() => format!("explain {id}"),
            true => format!("approve {id}"),
            false => format!("escalations show {id}"),
        }
    }

    fn point(&self, now: Timestamp) -> Point {
        let Unresolved { row, task, aside } = &self.of;
        let (age, task) = (shape::age(row.created_at, now), task.as_ref());
        let mut what = format!("{}, told {age} ago", row.severity);
        if let Some(number) = row.issue_number {
            what = format!("{what}, #{number}");
        }
        what = format!("{what}: {}", row.title);
        let proposal = task.and_then(|task| task.proposal.as_ref());
        if let Some(proposal) = proposal {
            let state = match task.is_some_and(|task| task.approved_action.is_some()) {
                true => "allowed",
                false => "proposed",
            };
            what = format!("{what} ({state}: {}", proposal.text);
            if let Some(key) = &self.observed {
                what = format!("{what}; `{key} = \"suggest\"` lets it be approved");
            }
            what.push(')');
        } else if let Some(reason) = task.and_then(|task| task.waiting_reason.as_deref()) {
            what = format!("{what} ({reason})");
        }
        if let Some(aside) = aside {
            what = format!("{aside}; {what}");
        }
        let level = match (aside, row.severity.as_str()) {
            (Some(_), _) => Gravity::Note,
            (None, "warning" | "info") => Gravity::Warning,
            (None, _) => Gravity::Critical,
        };
        Point::new(level, self.command(), what)
    }
}

/// Many of one title as one.
fn fold(alike: &[&Ask], now: Timestamp) -> Option<Point> {
    let points = alike.iter().map(|ask| ask.point(now));
    let level = points.map(|point| point.level).max()?;
    let Unresolved { row, aside, .. } = &alike.iter().min_by_key(|ask| ask.of.row.created_at)?.of;
    let aside = aside
        .as_ref()
        .map_or_else(String::new, |why| format!("{why}; "));
    let what = format!(
        "{aside}{} times, the first told {} ago: {}",
        alike.len(),
        shape::age(row.created_at, now),
        row.title
    );
    Some(Point::new(level, "escalations", what))
}

/// What needs a human, then what is left alone and what somebody is on.
pub(super) fn asks(store: &Stored, now: Timestamp) -> (Vec<Point>, Vec<Point>) {
    let (aside, asks): (Vec<&Ask>, Vec<&Ask>) =
        (store.asks.iter()).partition(|ask| ask.of.aside.is_some());
    let (mut points, aside) = (folded(&asks, now), folded(&aside, now));
    if store.adopted > 0 {
        let tasks = shape::counted(store.adopted, "task", "tasks");
        let what = format!("{tasks} {}", escalations::WAITED_THERE);
        points.push(Point::new(
            Gravity::Warning,
            "tasks --status escalated",
            what,
        ));
    }
    (points, aside)
}

fn folded(asks: &[&Ask], now: Timestamp) -> Vec<Point> {
    let mut points = Vec::new();
    for ask in asks {
        let alike: Vec<&Ask> = asks
            .iter()
            .copied()
            .filter(|one| one.of.row.title == ask.of.row.title && one.of.aside == ask.of.aside)
            .collect();
        if alike.len() <= ALIKE_MOST {
            points.push(ask.point(now));
        } else if alike
            .first()
            .is_some_and(|first| std::ptr::eq(*first, *ask))
        {
            points.extend(fold(&alike, now));
        }
    }
    points
}

/// What is wrong with the daemon itself: without it nothing else is repaired or told.
pub(super) fn own(daemon: &Daemon, now: Timestamp) -> Vec<Point> {
    let critical = |what: String| Point::new(Gravity::Critical, "doctor", what);
    let down = (!daemon.running).then(|| critical("the daemon is not running".to_owned()));
    let silent = daemon.time("at").filter(|_| daemon.running);
    let silent = silent.filter(|at| now.since(*at) > SILENT_AFTER);
    let silent = silent.map(|at| {
        let age = shape::age(at, now);
        critical(format!(
            "the daemon runs and gives no sign of life for {age}"
        ))
    });
    let troubles = daemon.store_troubles().into_iter();
    let troubles = troubles.map(|why| critical(format!("the daemon's own store: {why}")));
    down.into_iter().chain(silent).chain(troubles).collect()
}

/// The file on the disk has a mistake: a daemon that runs goes on with what it read before, and none starts anew.
pub(super) fn unloadable(mistake: &str) -> Point {
    let what = format!(
        "{mistake}: no daemon starts with this; one that runs goes on with the last good one"
    );
    Point::new(Gravity::Warning, "config check", what)
}

/// Nothing can be told there.
pub(super) fn mute(destination: &str, why: &str) -> Point {
    let what = format!("nobody is told by {destination}: {why}");
    Point::new(Gravity::Warning, "doctor", what)
}

/// What stands in the way of repairs, of being told, and of knowing.
pub(super) fn obstacles(
    config: &Config,
    repairs: &Repairs,
    store: Option<&Stored>,
    now: Timestamp,
) -> Vec<Point> {
    let mut points = Vec::new();
    let paused = repairs.pauses().into_iter();
    points.extend(
        paused.map(|why| Point::new(Gravity::Warning, "", format!("repairs PAUSED: {why}"))),
    );
    if let Some(spent) = store.and_then(|store| store.spent.as_ref()) {
        points.push(Point::new(Gravity::Warning, "", spent_line(spent)));
    }
    if config.destinations().is_empty() {
        let what = "nobody is told: no tracker, no [[notify]] and no Alertmanager is configured; what needs a human stands here alone";
        points.push(Point::new(Gravity::Note, "", what));
    }
    if let Some(store) = store {
        points.extend(deliveries(&store.outbox, config, now));
        points.extend(store.broken().map(|run| {
            let what = format!("detector {} is broken: {}", run.name, run.message);
            Point::new(Gravity::Warning, "doctor", what)
        }));
    }
    points
}

pub fn spent_line(spent: &Spent) -> String {
    format!(
        "repeated and disruptive repairs PAUSED until {}: {} of {} of this host's budget are used; first starts and what you approve go on",
        shape::moment(spent.free_at),
        spent.used,
        spent.limit
    )
}

/// Deliveries that a human has to do something about.
fn deliveries(rows: &[OutboxRow], config: &Config, now: Timestamp) -> Vec<Point> {
    let channels = config.destinations();
    let is_open =
        |row: &&OutboxRow| matches!(row.state.as_str(), "pending" | "sending" | "unknown");
    let mut points = Vec::new();
    let dead = rows.iter().filter(|row| row.state == "dead").count() as u64;
    if dead > 0 {
        let what = format!(
            "{} given up",
            shape::counted(dead, "delivery", "deliveries")
        );
        points.push(Point::new(Gravity::Warning, "outbox", what));
    }
    let (told, nowhere): (Vec<&OutboxRow>, Vec<&OutboxRow>) = rows
        .iter()
        .filter(is_open)
        .partition(|row| channels.contains(&row.destination.as_str()));
    if let Some(first) = nowhere.first() {
        let count = shape::counted(nowhere.len() as u64, "delivery is", "deliveries are");
        let what = format!("{count} for {}, which is not configured", first.destination);
        points.push(Point::new(Gravity::Note, "outbox", what));
    }
    let stuck: Vec<&&OutboxRow> = told
        .iter()
        .filter(|row| row.attempts > 0 || row.next_at <= now)
        .filter(|row| now.since(row.created_at) > STUCK_AFTER)
        .collect();
    if let Some(oldest) = stuck.iter().min_by_key(|row| row.created_at) {
        let count = shape::counted(stuck.len() as u64, "delivery is", "deliveries are");
        let why = oldest.last_error.as_deref().unwrap_or("not tried yet");
        let age = shape::age(oldest.created_at, now);
        let what = format!("{count} stuck, the oldest for {age}: {why}");
        points.push(Point::new(Gravity::Warning, "outbox", what));
    }
    points
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::core::model::action::ActionKind;
    use crate::core::model::class::Class;
    use crate::core::model::id::{EscalationId, IssueNumber, OutboxId, TaskId};
    use crate::core::model::proposal::{Proposal, Terms};
    use crate::core::model::task::Task;
    use crate::store::EscalationRow;

    const NOW: Timestamp = Timestamp::from_millis(1_800_273_600_000);

    fn row(destination: &str, state: &str, age_s: u64, attempts: u32) -> OutboxRow {
        OutboxRow {
            id: OutboxId::from_number(1),
            task_id: TaskId::from_number(1),
            destination: destination.to_owned(),
            operation: "create".to_owned(),
            state: state.to_owned(),
            attempts,
            payload: String::new(),
            delivery_key: String::new(),
            issue_number: None,
            severity_rank: 1,
            created_at: NOW.minus(Duration::from_secs(age_s)),
            next_at: NOW,
            sent_at: None,
            last_error: (attempts > 0).then(|| "no route to host".to_owned()),
            said_by: None,
            remote_url: None,
        }
    }

    #[test]
    fn a_daemon_that_is_silent_or_cannot_write_needs_a_human() {
        let told = |running: bool, age_s: u64, troubles: &[&str]| {
            let at = NOW.minus(Duration::from_secs(age_s)).to_string();
            let said = serde_json::json!({ "at": at, "store_troubles": troubles });
            let points = own(&Daemon { running, said }, NOW).into_iter();
            points
                .map(|point| point.what)
                .collect::<Vec<_>>()
                .join(" | ")
        };
        assert_eq!(told(true, 60, &[]), "");
        assert_eq!(
            told(true, 61, &["no space left on the file system"]),
            "the daemon runs and gives no sign of life for 61 s | the daemon's own store: no space left on the file system"
        );
        assert_eq!(
            told(false, 900, &["no space left"]),
            "the daemon is not running"
        );
    }

    #[test]
    fn only_deliveries_that_need_a_human_are_told() {
        let mut config = Config::default();
        config.webhook.url = "https://a/b".to_owned();
        let told = |row: OutboxRow| {
            let points = deliveries(&[row], &config, NOW).into_iter();
            points
                .map(|point| point.what)
                .collect::<Vec<_>>()
                .join(" | ")
        };
        for (row, want) in [
            (row("webhook", "confirmed", 9_000, 1), ""),
            (row("webhook", "cancelled", 9_000, 0), ""),
            (row("webhook", "pending", 60, 1), ""),
            (
                row("webhook", "unknown", 7_200, 3),
                "1 delivery is stuck, the oldest for 2 h: no route to host",
            ),
            (row("webhook", "dead", 60, 9), "1 delivery given up"),
            (
                row("github", "pending", 60, 0),
                "1 delivery is for github, which is not configured",
            ),
        ] {
            let name = format!("{} {}", row.destination, row.state);
            assert_eq!(told(row), want, "{name}");
        }
    }

    #[test]
    fn an_ask_names_the_command_that_answers_it() {
        let ask = |task: Option<Task>, observed: Option<String>, aside: Option<&str>| Ask {
            of: Unresolved {
                row: EscalationRow {
                    id: EscalationId::from_number(1),
                    task_id: TaskId::from_number(13),
                    reason: String::new(),
                    title: "web.service failed".to_owned(),
                    body: String::new(),
                    severity: "error".to_owned(),
                    created_at: NOW.minus(Duration::from_secs(300)),
                    resolved_at: None,
                    issue_number: Some(IssueNumber::from_number(7)),
                },
                task,
                aside: aside.map(str::to_owned),
            },
            observed,
        };
        let plain = ask(None, None, None);
        let point = plain.point(NOW);
        assert_eq!(point.command, "escalations show 13");
        assert_eq!(point.what, "error, told 5 m ago, #7: web.service failed");
        assert_eq!(point.level, Gravity::Critical);
        let observed = ask(
            Some(Task {
                proposal: Some(Proposal {
                    kind: ActionKind::RestartUnit,
                    command: None,
                    text: "restart web.service".to_owned(),
                    terms: Terms::default(),
                }),
                ..Task::sample(13, Class::ServiceFailed, "web.service", NOW)
            }),
            Some("[mode] limit".to_owned()),
            None,
        );
        let point = observed.point(NOW);
        assert_eq!(point.command, "explain 13");
        let way_out =
            "(proposed: restart web.service; `[mode] limit = \"suggest\"` lets it be approved)";
        assert!(point.what.ends_with(way_out), "{}", point.what);
        let many = fold(&[&plain; 4], NOW).unwrap();
        assert_eq!(many.command, "escalations");
        assert_eq!(
            many.what,
            "4 times, the first told 5 m ago: web.service failed"
        );
        assert_eq!(many.level, Gravity::Critical);
        let aside = ask(None, None, Some("bert is on it"));
        let point = aside.point(NOW);
        let what = "bert is on it; error, told 5 m ago, #7: web.service failed";
        assert_eq!((point.what.as_str(), point.level), (what, Gravity::Note));
        let of = |asides: &[bool]| -> Vec<Ask> {
            let one = |is_aside: &bool| ask(None, None, is_aside.then_some("bert is on it"));
            asides.iter().map(one).collect()
        };
        let few = of(&[true, false, false, true, false]);
        assert_eq!(folded(&Vec::from_iter(&few), NOW).len(), 5);
        let many = of(&[true, true, false, true, true]);
        let many = folded(&Vec::from_iter(&many), NOW);
        let told = "bert is on it; 4 times, the first told 5 m ago: web.service failed";
        let [first, second] = many.as_slice() else {
            panic!("{many:?}")
        };
        assert_eq!((first.what.as_str(), first.level), (told, Gravity::Note));
        assert_eq!(second.level, Gravity::Critical);
    }
}
