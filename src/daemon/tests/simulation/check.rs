//! What every start finds, whatever came before.

use crate::core::model::id::TaskId;
use crate::core::model::sorted::{SortedMap, SortedSet};
use std::time::Duration;

use super::world::{ROOT, Start};
use super::{Process, STREAM, Simulation, is_open, unit};
use crate::core::config::Mode;
use crate::core::model::class::Class;
use crate::core::model::task::{Outcome, Status, Task};
use crate::core::model::time::Timestamp;
use crate::store::{AuditEvent, Reader, TaskFilter};

const HOUR: Duration = Duration::from_secs(3_600);

/// What was acknowledged before a crash.
#[derive(Debug, Default)]
pub struct Known {
    /// The newest event of the audit chain, whose hash covers all before it.
    pub head: Option<AuditEvent>,
    /// Tasks at the last look.
    pub tasks: usize,
}

impl Simulation {
    pub fn check(&mut self, process: &Process) {
        let reader = process.runtime.store.reader().unwrap();
        assert_eq!(reader.integrity().unwrap(), "ok");
        reader.audit_verify().unwrap().unwrap();
        let all = TaskFilter {
            limit: u32::MAX,
            ..TaskFilter::default()
        };
        let tasks = reader.tasks(&all).unwrap();
        let events = reader.history(None, u32::MAX).unwrap();
        self.nothing_is_lost(&events);
        rows_agree(&reader, &tasks, &events);
        told_again_only_after_something_new(&events);
        only_the_root_of_a_case_is_told(&tasks, &events);
        self.nothing_is_doubled(&tasks, &events);
        self.lines_are_counted_once(process, &tasks);
        self.known.tasks = tasks.len();
    }

    /// What was acknowledged is a beginning of what is there.
    fn nothing_is_lost(&self, events: &[AuditEvent]) {
        if let Some(head) = &self.known.head {
            assert!(events.contains(head), "lost: {head:?}");
        }
    }

    /// Nothing is done blindly, beyond a budget, or where it is forbidden; nothing is told twice.
    fn nothing_is_doubled(&self, tasks: &[Task], events: &[AuditEvent]) {
        let starts = self.world.starts();
        let booked = events.iter().filter(|event| event.action == "attempt");
        assert!(
            starts.len() <= booked.count(),
            "done without a booking: {starts:?}"
        );
        let budget = &self.config.budget;
        for (at, start) in starts.iter().enumerate() {
            assert!(!start.ran, "started while it runs: {start:?}");
            assert!(!start.forbidden, "the kill switch is on: {start:?}");
            let leaves = self.world.leaves();
            let mut leaves = leaves.iter();
            let allowed = match self.config.mode.limit {
                Mode::Auto => true,
                Mode::Suggest => leaves.any(|(of, until)| *of == start.unit && start.at < *until),
                Mode::Observe => false,
            };
            assert!(allowed, "nobody allowed it: {start:?}");
            let hour: Vec<_> = starts[..=at]
                .iter()
                .filter(|before| start.at.since(before.at) < HOUR)
                .collect();
            let of_unit = hour.iter().filter(|one| one.unit == start.unit).count();
            let host = budget
                .host_per_hour
                .saturating_add(budget.first_starts_per_hour);
            assert!(hour.len() <= host as usize, "{hour:?}");
            // Each time that its root was over begins a budget of its own.
            let rounds = 1 + given_back(tasks, events, start);
            let most = budget.fingerprint_per_hour as usize * rounds;
            assert!(of_unit <= most, "{rounds} rounds: {hour:?}");
        }
        let mut told = SortedSet::new();
        for marker in self.world.issues.markers() {
            assert!(told.insert(marker.clone()), "told twice: {marker}");
        }
    }

    /// Every line up to the cursor is counted once.
    fn lines_are_counted_once(&mut self, process: &Process, tasks: &[Task]) {
        let position = process.runtime.store.cursor(STREAM).unwrap();
        let cursor: u64 = position.map_or(0, |text| text.parse().unwrap());
        let mut expected: SortedMap<String, u64> = SortedMap::new();
        for at in 0..cursor {
            *expected.entry(unit(self.line(at))).or_default() += 1;
        }
        let mut counted: SortedMap<String, u64> = SortedMap::new();
        for task in tasks.iter().filter(|task| task.class == Class::LogError) {
            *counted.entry(task.subject.clone()).or_default() += task.seen_count;
        }
        assert_eq!(counted, expected, "lines up to {cursor}");
    }
}

fn at(event: &AuditEvent) -> Timestamp {
    event.timestamp.parse().unwrap()
}

/// So often in the hour before were attempts on this unit given back.
fn given_back(tasks: &[Task], events: &[AuditEvent], start: &Start) -> usize {
    let of_unit: SortedSet<TaskId> = tasks
        .iter()
        .filter(|task| task.subject == start.unit)
        .map(|task| task.id)
        .collect();
    let given = |event: &&AuditEvent| {
        matches!(event.action.as_str(), "given_back" | "returned")
            && event.task_id.is_some_and(|id| of_unit.contains(&id))
            && at(event) <= start.at
            && start.at.since(at(event)) < HOUR
    };
    events.iter().filter(given).count()
}

/// Nobody hears of what hangs on a unit that is found broken, unless nobody can look.
fn only_the_root_of_a_case_is_told(tasks: &[Task], events: &[AuditEvent]) {
    let of_id: SortedMap<TaskId, &Task> = tasks.iter().map(|task| (task.id, task)).collect();
    let is_root = |task: &&Task| task.subject == ROOT && task.class == Class::ServiceFailed;
    let roots: Vec<&Task> = tasks.iter().filter(is_root).collect();
    let told = |event: &&AuditEvent| {
        event.action == "escalated" && !event.reason.contains("nobody could look")
    };
    for event in events.iter().filter(told) {
        let Some(member) = event.task_id.map(|id| of_id[&id]) else {
            continue;
        };
        for root in roots
            .iter()
            .filter(|root| member.evidence.requires(&root.subject))
        {
            let open = root.detected_at < at(event)
                && root.closed_at.is_none_or(|closed| closed > at(event));
            let before = |one: &&AuditEvent| one.task_id == Some(root.id) && one.id < event.id;
            let green = |one: &AuditEvent| match one.action.as_str() {
                "first_green" => Some(true),
                "regressed" | "fix_failed" | "claimed" => Some(false),
                _ => None,
            };
            let last = events
                .iter()
                .filter(before)
                .filter_map(|one| Some((one.id, green(one)?)))
                .max_by_key(|(id, _)| *id);
            let is_green = last.is_some_and(|(_, green)| green);
            assert!(
                !open || is_green,
                "{} is told beside its root: {event:?}",
                member.subject
            );
        }
    }
}

/// One open task a fingerprint, and every event has made its rows what they are.
fn rows_agree(reader: &Reader, tasks: &[Task], events: &[AuditEvent]) {
    let mut open = SortedSet::new();
    for task in tasks.iter().filter(|task| is_open(task.status)) {
        let first = open.insert(task.issue_hash.clone());
        assert!(first, "two open tasks of {}", task.subject);
    }
    let tasks: SortedMap<TaskId, &Task> = tasks.iter().map(|task| (task.id, task)).collect();
    let attempts = reader.all_attempts().unwrap();
    let escalations = reader.escalations(false).unwrap();
    let mut booked: SortedMap<TaskId, usize> = SortedMap::new();
    for event in events {
        let Some(id) = event.task_id else { continue };
        let task = tasks[&id];
        match event.action.as_str() {
            "closed" => assert_eq!(task.status, Status::Closed, "task {id} is open again"),
            "escalated" => assert!(
                escalations.iter().any(|row| row.task_id == id),
                "the escalation of task {id} is lost"
            ),
            "attempt" => *booked.entry(id).or_default() += 1,
            _ => {}
        }
    }
    for (id, times) in booked {
        let rows = attempts.iter().filter(|attempt| attempt.task_id == id);
        assert!(rows.count() >= times, "an attempt of task {id} is lost");
    }
    for attempt in &attempts {
        // A repair that held belongs to its task: no crash comes between the two.
        let status = tasks[&attempt.task_id].status;
        assert!(
            attempt.outcome != Some(Outcome::Verified)
                || !matches!(status, Status::Detected | Status::InProgress),
            "attempt {} is verified, its task {status}",
            attempt.id
        );
    }
}

/// A human hears of a task again only for another reason, or after another attempt or an answer.
fn told_again_only_after_something_new(events: &[AuditEvent]) {
    let mut last: SortedMap<TaskId, &str> = SortedMap::new();
    for event in events {
        let Some(id) = event.task_id else { continue };
        match event.action.as_str() {
            "attempt" | "approved" => drop(last.remove(&id)),
            "escalated" => {
                let before = last.insert(id, &event.reason);
                assert_ne!(before, Some(event.reason.as_str()), "told again: {event:?}");
            }
            _ => {}
        }
    }
}
