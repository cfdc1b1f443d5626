use rusqlite::Connection;
use std::time::Duration;

use super::types::Recorded;
use super::*;
use crate::core::config::Budget;
use crate::core::model::action::ActionKind;
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::gate::Gate;
use crate::core::model::id::{EventId, IssueNumber, TaskId};
use crate::core::model::task::{Outcome, Phase, Resolution, Status, Transition, WaitsFor};
use crate::core::model::time::Timestamp;

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(super) struct Bench {
    _dir: tempfile::TempDir,
    options: StoreOptions,
    pub(super) store: Store,
}

pub(super) fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        ballast_bytes: 0,
        ..StoreOptions::at(dir.path().join("tasks.db"))
    };
    let (store, report) = Store::open(&options, NOW).unwrap();
    assert!(report.created);
    Bench {
        _dir: dir,
        options,
        store,
    }
}

pub(super) fn finding(message: &str) -> Finding {
    Finding::new(
        Class::ServiceFailed,
        "a.service",
        Severity::Error,
        message,
        "test",
        NOW,
    )
}

pub(super) fn booking() -> Booking {
    Booking {
        action_kind: ActionKind::RestartUnit,
        action_text: "restart a.service".to_owned(),
        subject: "a.service".to_owned(),
        unit: Some("a.service".to_owned()),
        phase: 1,
        undo: String::new(),
        actor: "worker-1".to_owned(),
    }
}

pub(super) fn one(store: &Store, message: &str) -> Recorded {
    store.create_task(finding(message), NOW).unwrap()
}

#[test]
fn create_returns_the_open_task_and_a_recurrence_links_the_old_one() {
    let bench = bench();
    let first = one(&bench.store, "boom");
    assert!(first.created);
    let again = one(&bench.store, "boom");
    assert_eq!(
        (again.task_id, again.created, again.seen_count),
        (first.task_id, false, 2)
    );
    bench
        .store
        .close_task(first.task_id, Resolution::Human, NOW)
        .unwrap();
    let back = one(&bench.store, "boom");
    assert!(back.created);
    assert_eq!((back.previous_id, back.episode), (Some(first.task_id), 2));
}

#[test]
fn a_check_violation_is_an_error_and_fails_alone() {
    let bench = bench();
    let bad = bench.store.write(|tx| {
        tx.execute("INSERT INTO tasks (issue_hash, issue_type, status, detected_at, last_seen_at) VALUES ('h', 'x', 'nonsense', '', '')", [])?;
        Ok(())
    });
    assert!(bad.is_err());
    assert!(one(&bench.store, "fine").created);
}

#[test]
fn repeats_are_coalesced_and_written_with_the_next_commit_or_at_close() {
    let bench = bench();
    let first = one(&bench.store, "boom");
    for _ in 0..10 {
        one(&bench.store, "boom");
    }
    let seen = |store: &Store| {
        store
            .reader()
            .unwrap()
            .task(first.task_id)
            .unwrap()
            .unwrap()
            .seen_count
    };
    bench.store.note(None, "tick", "", "test", "", NOW).unwrap();
    assert_eq!(seen(&bench.store), 11);
    one(&bench.store, "boom");
    drop(bench.store);
    let (store, _) = Store::open(&bench.options, NOW).unwrap();
    assert_eq!(seen(&store), 12);
}

#[test]
fn a_worse_repeat_raises_the_open_task_and_is_decided_about_at_once() {
    let bench = bench();
    let said = |severity| Finding {
        severity,
        ..finding("boom")
    };
    let task = bench.store.create_task(said(Severity::Warning), NOW);
    let task = task.unwrap().task_id;
    let wait = Transition::Wait {
        until: NOW.plus(Duration::from_secs(3_600)),
        reason: "only a warning".to_owned(),
        waits_for: WaitsFor::Time,
    };
    bench.store.transition(task, wait, "t", NOW).unwrap();
    let claimed = |name| bench.store.claim_next(name, NOW).unwrap();
    bench.store.create_task(said(Severity::Info), NOW).unwrap();
    assert_eq!(claimed("worker-1"), None);
    let worse = bench.store.create_task(said(Severity::Critical), NOW);
    assert!(!worse.unwrap().created);
    let due = claimed("worker-1").unwrap();
    assert_eq!((due.id, due.severity), (task, Severity::Critical));
    bench.store.create_task(said(Severity::Error), NOW).unwrap();
    let events = bench
        .store
        .reader()
        .unwrap()
        .history(Some(task), 99)
        .unwrap();
    let worsened: Vec<_> = events
        .iter()
        .filter(|event| event.action == "worsened")
        .map(|event| event.details.as_str())
        .collect();
    assert_eq!(worsened, ["warning to critical: boom"]);
}

#[test]
fn transitions_check_their_start_state() {
    let bench = bench();
    let task = one(&bench.store, "boom").task_id;
    let green = Transition::FirstGreen {
        stable_until: NOW,
        message: String::new(),
    };
    assert!(matches!(
        bench.store.transition(task, green.clone(), "t", NOW),
        Err(StoreError::WrongState {
            from: Status::Detected,
            ..
        })
    ));
    let claimed = bench.store.claim_next("worker-1", NOW).unwrap().unwrap();
    assert_eq!((claimed.id, claimed.status), (task, Status::InProgress));
    assert!(bench.store.claim_next("worker-2", NOW).unwrap().is_none());
    bench.store.transition(task, green, "t", NOW).unwrap();
    assert_eq!(
        bench
            .store
            .reader()
            .unwrap()
            .due(NOW)
            .unwrap()
            .stable
            .unwrap()
            .id,
        task
    );
}

#[test]
fn symptoms_wake_when_their_root_is_green() {
    let bench = bench();
    let symptom = one(&bench.store, "boom").task_id;
    let root = one(&bench.store, "root of it").task_id;
    let wait = |waits_for| Transition::Wait {
        until: NOW.plus(Duration::from_secs(900)),
        waits_for,
        reason: "whatever it says".to_owned(),
    };
    let claimed = bench.store.claim_next("worker-1", NOW).unwrap().unwrap();
    assert_eq!(claimed.id, symptom);
    let on = |what| {
        bench
            .store
            .transition(symptom, wait(what), "t", NOW)
            .unwrap()
    };
    on(WaitsFor::Root(root));
    bench.store.claim_next("worker-1", NOW).unwrap().unwrap();
    let due = || bench.store.reader().unwrap().due(NOW).unwrap().claimable;
    assert!(!due());
    let green = Transition::FirstGreen {
        stable_until: NOW.plus(Duration::from_secs(60)),
        message: String::new(),
    };
    bench.store.transition(root, green, "t", NOW).unwrap();
    assert!(due());
    bench.store.claim_next("worker-1", NOW).unwrap().unwrap();
    on(WaitsFor::Gate(Gate::KillSwitch));
    assert!(!due());
    assert_eq!(bench.store.wake_waiting(Gate::Maintenance, NOW).unwrap(), 0);
    assert_eq!(bench.store.wake_waiting(Gate::KillSwitch, NOW).unwrap(), 1);
    assert!(due());
}

#[test]
fn one_subject_is_in_one_workers_hands() {
    let bench = bench();
    one(&bench.store, "first fault");
    one(&bench.store, "second problem");
    assert!(bench.store.claim_next("worker-1", NOW).unwrap().is_some());
    assert!(bench.store.claim_next("worker-2", NOW).unwrap().is_none());
}

#[test]
fn attempts_teach_and_a_regression_takes_the_win_back() {
    let bench = bench();
    let task = one(&bench.store, "boom").task_id;
    bench.store.claim_next("w", NOW).unwrap().unwrap();
    let Booked::Granted(id) = bench
        .store
        .book_attempt(task, booking(), &Budget::default(), NOW)
        .unwrap()
    else {
        panic!()
    };
    assert_eq!(bench.store.open_attempts().unwrap().len(), 1);
    bench
        .store
        .end_attempt(id, Outcome::Verified, "", green(), "t", NOW)
        .unwrap();
    let learned = || {
        bench
            .store
            .reader()
            .unwrap()
            .learned(Class::ServiceFailed, "a.service", "restart_unit")
            .unwrap()
    };
    assert_eq!((learned().wins, learned().losses), (1, 0));
    let back = Transition::Regressed {
        phase: Phase::QuickFix,
        message: String::new(),
    };
    let moved = bench
        .store
        .end_attempt(id, Outcome::Failed, "", back, "t", NOW);
    assert!(moved.unwrap());
    assert_eq!((learned().wins, learned().losses), (0, 1));
}

#[test]
fn an_attempt_and_its_task_end_together() {
    let bench = bench();
    let task = one(&bench.store, "boom").task_id;
    let book = || match bench
        .store
        .book_attempt(task, booking(), &Budget::default(), NOW)
        .unwrap()
    {
        Booked::Granted(id) => id,
        other => panic!("{other:?}"),
    };
    let end = |id| {
        bench
            .store
            .end_attempt(id, Outcome::Verified, "green", green(), "t", NOW)
            .unwrap()
    };
    let is_now = || {
        let reader = bench.store.reader().unwrap();
        reader.task(task).unwrap().unwrap().status
    };
    bench.store.claim_next("w", NOW).unwrap().unwrap();
    assert!(end(book()));
    assert_eq!(is_now(), Status::Fixed);
    // A human closed it while the second was under way: its outcome is kept, the task stays closed.
    let second = book();
    bench
        .store
        .close_task(task, Resolution::Human, NOW)
        .unwrap();
    assert!(!end(second));
    assert_eq!(is_now(), Status::Closed);
    assert!(bench.store.open_attempts().unwrap().is_empty());
}

fn green() -> Transition {
    Transition::FirstGreen {
        stable_until: NOW,
        message: "green".to_owned(),
    }
}

pub(super) fn escalation() -> NewEscalation {
    NewEscalation {
        reason: "r".to_owned(),
        title: "t".to_owned(),
        body: "b".to_owned(),
        severity: Severity::Error,
        retry_at: None,
        proposed: None,
    }
}

#[test]
fn an_escalation_and_its_outbox_row_commit_together_and_once() {
    let bench = bench();
    let task = one(&bench.store, "boom").task_id;
    bench.store.escalate(task, escalation(), "t", NOW).unwrap();
    assert!(bench.store.escalate(task, escalation(), "t", NOW).is_err());
    let row = bench.store.outbox_next("github", NOW).unwrap().unwrap();
    assert_eq!(
        (row.operation.as_str(), row.state.as_str()),
        ("create", "pending")
    );
    bench.store.outbox_sending(row.id, NOW).unwrap();
    bench
        .store
        .outbox_confirmed(
            row.id,
            Some(IssueNumber::from_number(7)),
            Some("https://x/7"),
            NOW,
        )
        .unwrap();
    assert!(bench.store.outbox_next("github", NOW).unwrap().is_none());
    bench
        .store
        .close_task(task, Resolution::SelfCleared, NOW)
        .unwrap();
    let close = bench.store.outbox_next("github", NOW).unwrap().unwrap();
    assert_eq!(
        (close.operation.as_str(), close.issue_number),
        ("close", Some(IssueNumber::from_number(7)))
    );
}

#[test]
fn an_escalation_that_was_never_sent_is_not_sent_after_the_fault_is_over() {
    let bench = bench();
    let task = one(&bench.store, "boom").task_id;
    bench.store.escalate(task, escalation(), "t", NOW).unwrap();
    bench
        .store
        .close_task(task, Resolution::SelfCleared, NOW)
        .unwrap();
    assert!(bench.store.outbox_next("github", NOW).unwrap().is_none());
}

/// Escalates and confirms as issue 7.
fn told(bench: &Bench, message: &str) -> TaskId {
    let task = one(&bench.store, message).task_id;
    bench.store.escalate(task, escalation(), "t", NOW).unwrap();
    let row = bench.store.outbox_next("github", NOW).unwrap().unwrap();
    bench.store.outbox_sending(row.id, NOW).unwrap();
    bench
        .store
        .outbox_confirmed(row.id, Some(IssueNumber::from_number(7)), None, NOW)
        .unwrap();
    task
}

#[test]
fn repeats_of_an_escalated_problem_are_one_comment_an_hour_and_none_once_it_is_over() {
    let bench = bench();
    let task = told(&bench, "boom");
    for _ in 0..5 {
        one(&bench.store, "boom");
    }
    let waiting = bench.store.reader().unwrap().outbox().unwrap();
    let comments: Vec<_> = waiting
        .iter()
        .filter(|row| row.operation == "comment")
        .collect();
    assert_eq!(comments.len(), 1);
    assert_eq!(
        comments[0].next_at,
        NOW.plus(Duration::from_secs(3_600)),
        "an hour after the issue itself"
    );
    bench
        .store
        .close_task(task, Resolution::Fixed, NOW)
        .unwrap();
    let close = bench.store.outbox_next("github", NOW).unwrap().unwrap();
    assert_eq!(close.operation, "close", "not held up by the comment");
    assert!(close.payload.contains("fixed and verified"));
}

#[test]
fn a_problem_that_comes_back_takes_over_its_issue() {
    let bench = bench();
    let task = told(&bench, "boom");
    bench
        .store
        .close_task(task, Resolution::Fixed, NOW)
        .unwrap();
    let again = one(&bench.store, "boom").task_id;
    assert_ne!(again, task);
    bench.store.escalate(again, escalation(), "t", NOW).unwrap();
    let row = bench.store.outbox_next("github", NOW).unwrap().unwrap();
    assert_eq!(
        (row.operation.as_str(), row.issue_number, row.task_id),
        ("reopen", Some(IssueNumber::from_number(7)), again),
        "the unsent close of the last life is given up"
    );
    // Over again before that was sent: the issue still stands open from the life before.
    bench
        .store
        .close_task(again, Resolution::Fixed, NOW)
        .unwrap();
    let row = bench.store.outbox_next("github", NOW).unwrap().unwrap();
    assert_eq!(
        (row.operation.as_str(), row.issue_number, row.task_id),
        ("close", Some(IssueNumber::from_number(7)), again)
    );
    bench
        .store
        .outbox_confirmed(row.id, Some(IssueNumber::from_number(7)), None, NOW)
        .unwrap();
    let third = one(&bench.store, "boom").task_id;
    bench.store.escalate(third, escalation(), "t", NOW).unwrap();
    bench
        .store
        .close_task(third, Resolution::Fixed, NOW)
        .unwrap();
    let next = bench.store.outbox_next("github", NOW).unwrap();
    assert!(next.is_none(), "nothing was told since it was closed");
}

#[test]
fn the_audit_chain_names_the_first_broken_row() {
    let bench = bench();
    for n in 0..5 {
        one(&bench.store, &format!("fault {}", "x".repeat(n + 1)));
    }
    let reader = bench.store.reader().unwrap();
    assert!(reader.audit_verify().unwrap().is_ok());
    let tampered = bench
        .store
        .write(|tx| Ok(tx.execute("UPDATE task_history SET details = 'x' WHERE id = 3", [])?));
    assert!(tampered.is_err(), "append-only");
    let raw = Connection::open(&bench.options.path).unwrap();
    raw.execute_batch(
        "DROP TRIGGER task_history_no_update; UPDATE task_history SET details = 'x' WHERE id = 3",
    )
    .unwrap();
    assert_eq!(
        reader.audit_verify().unwrap().unwrap_err().row_id,
        EventId::from_number(3)
    );
}

#[test]
fn retention_summarises_and_the_chain_still_verifies() {
    let bench = bench();
    for name in ["old", "newest"] {
        let task = one(&bench.store, name).task_id;
        bench
            .store
            .close_task(task, Resolution::Human, NOW)
            .unwrap();
    }
    let later = NOW.plus(Duration::from_secs(400 * 86_400));
    let done = bench.store.maintain(later).unwrap();
    assert_eq!(done.pruned_tasks, 1);
    assert!(done.pruned_events > 0 && done.backup.is_some());
    // The newest row stays, so that its id is never given to another.
    assert_eq!(one(&bench.store, "after").task_id, TaskId::from_number(3));
    let report = bench
        .store
        .reader()
        .unwrap()
        .audit_verify()
        .unwrap()
        .unwrap();
    assert!(report.pruned_up_to.is_some());
    let summed: i64 = bench
        .store
        .reader()
        .unwrap()
        .with(|c| Ok(c.query_row("SELECT sum(tasks) FROM daily_counts", [], |r| r.get(0))?))
        .unwrap();
    assert_eq!(summed, 1);
}

#[test]
fn a_damaged_file_is_set_aside_and_the_backup_restored() {
    let bench = bench();
    let task = one(&bench.store, "before").task_id;
    bench.store.maintain(NOW).unwrap();
    drop(bench.store);
    std::fs::write(
        &bench.options.path,
        b"this is not a database, not at all, by any means",
    )
    .unwrap();
    let (store, report) = Store::open(&bench.options, NOW).unwrap();
    assert!(
        report.restored
            && report
                .messages
                .iter()
                .any(|line| line.contains("restored from")),
        "{report:?}"
    );
    assert!(store.reader().unwrap().task(task).unwrap().is_some());
    assert!(store.reader().unwrap().audit_verify().unwrap().is_ok());
}

#[test]
fn a_newer_database_is_refused() {
    let bench = bench();
    drop(bench.store);
    Connection::open(&bench.options.path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    assert!(matches!(
        Store::open(&bench.options, NOW),
        Err(StoreError::Newer { found: 99, .. })
    ));
}

#[test]
fn claims_of_a_dead_daemon_are_released() {
    let bench = bench();
    let task = one(&bench.store, "boom").task_id;
    bench.store.claim_next("worker-1", NOW).unwrap();
    assert_eq!(bench.store.recover_claims(NOW).unwrap(), 1);
    assert_eq!(
        bench
            .store
            .reader()
            .unwrap()
            .task(task)
            .unwrap()
            .unwrap()
            .status,
        Status::Detected
    );
    bench
        .store
        .set_phase(task, Phase::Research, "t", "", NOW)
        .unwrap();
}

#[test]
fn hot_queries_never_scan_a_table() {
    let bench = bench();
    let sql = [
        "SELECT id FROM tasks WHERE issue_hash = 'x' AND status <> 'closed'".to_owned(),
        read::next_claim(read::KnownBy::Confirmed).replace("?1", "'x'"),
        read::next_claim(read::KnownBy::Said).replace("?1", "'x'"),
        read::list_query(&TaskFilter::default()).0,
        read::list_query(&TaskFilter { open_only: true, ..TaskFilter::default() }).0,
        "SELECT count(*) FROM outbox WHERE destination = 'github' AND operation = 'create' AND state IN ('sending') AND sent_at > 'x'".to_owned(),
        "SELECT id FROM tasks WHERE status = 'closed' AND closed_at < 'x' ORDER BY closed_at LIMIT 5".to_owned(),
        "SELECT id FROM tasks WHERE status = 'fixed' AND status <> 'closed' AND stable_until <= 'x' ORDER BY id LIMIT 1".to_owned(),
        "SELECT id FROM attempts WHERE issue_hash = 'x' AND started_at > 'y'".to_owned(),
        "SELECT id FROM outbox WHERE destination = 'github' AND state IN ('pending', 'sending', 'unknown') AND next_at <= 'x'".to_owned(),
    ];
    bench
        .store
        .reader()
        .unwrap()
        .with(|connection| {
            for query in sql {
                let plan: Vec<String> = connection
                    .prepare(&format!("EXPLAIN QUERY PLAN {query}"))?
                    .query_map([], |row| row.get(3))?
                    .collect::<Result<_, _>>()?;
                let scan = plan.iter().find(|step| {
                    step.starts_with("SCAN")
                        && !step.starts_with("SCAN (subquery")
                        && !step.contains("INDEX tasks_open")
                });
                assert!(scan.is_none(), "{query}: {plan:?}");
            }
            Ok(())
        })
        .unwrap();
}

/// Of the next claims, at most so many: how many were confirmed, and how many said.
fn claims(bench: &Bench, most: usize) -> (usize, usize) {
    let mut counted = (0, 0);
    for _ in 0..most {
        let Some(task) = bench.store.claim_next("w", NOW).unwrap() else {
            break;
        };
        match task.said_by {
            None => counted.0 += 1,
            Some(_) => counted.1 += 1,
        }
    }
    counted
}

#[test]
fn what_is_confirmed_is_claimed_first_and_words_get_one_claim_in_eight() {
    let bench = bench();
    let line = |n: usize| {
        let (class, subject) = (Class::LogError, format!("said {n}"));
        Finding::new(class, &subject, Severity::Critical, "m", "journal", NOW).said_by("uid 1001")
    };
    let look = |n: usize| {
        let (class, subject) = (Class::ServiceFailed, format!("unit-{n}.service"));
        Finding::new(class, &subject, Severity::Warning, "m", "units", NOW)
    };
    for n in 0..40 {
        let findings = vec![line(n), look(n)];
        let intake = Intake {
            findings,
            cursor: None,
        };
        bench.store.intake(intake, NOW).unwrap();
    }
    assert_eq!(claims(&bench, 16), (14, 2));
    // Whichever is over, the other goes on.
    assert_eq!(claims(&bench, 80), (26, 38));
}

#[test]
fn what_fell_silent_is_given_in_pages_and_is_no_condition_of_the_host() {
    let bench = bench();
    for n in 0..150 {
        let (class, subject) = (Class::LogError, format!("said {n}"));
        let finding =
            Finding::new(class, &subject, Severity::Error, "m", "journal", NOW).said_by("uid 1001");
        let intake = Intake {
            findings: vec![finding],
            cursor: None,
        };
        bench.store.intake(intake, NOW).unwrap();
    }
    let reader = bench.store.reader().unwrap();
    assert!(reader.open_conditions().unwrap().is_empty());
    assert_eq!(reader.said_open(1_000).unwrap().len(), 150);
    let before = NOW.minus(Duration::from_millis(1));
    assert!(reader.fallen_silent(before).unwrap().is_empty());
    let mut pages = 0;
    loop {
        let page = reader.fallen_silent(NOW).unwrap();
        if page.is_empty() {
            break;
        }
        for task in page {
            bench
                .store
                .close_task(task.id, Resolution::SelfCleared, NOW)
                .unwrap();
        }
        pages += 1;
    }
    assert_eq!((pages, reader.said_open(1).unwrap().len()), (2, 0));
}

#[test]
fn of_a_storm_of_attempts_the_newest_are_asked_for_in_their_order() {
    let bench = bench();
    let many = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1200)
        INSERT INTO attempts (task_id, issue_hash, class, subject, phase, action_kind, action_text, actor, started_at)
        SELECT 1, '', '', 's' || n, 1, '', '', '', printf('2027-01-16T00:%02d:%02d.000Z', n / 60, n % 60) FROM n";
    let written = bench.store.write(move |tx| Ok(tx.execute(many, [])?));
    assert_eq!(written.unwrap(), 1_200);
    let reader = bench.store.reader().unwrap();
    let happened = reader.happened(Timestamp::from_millis(0)).unwrap();
    assert_eq!(happened.last().unwrap().subject, "s1200");
    assert!(happened.is_sorted_by_key(|one| one.at));
}
