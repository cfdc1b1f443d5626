//! The two pages as docs/pictures shows them: made of fixed facts at a fixed time, so that each run draws the same.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::facts::ReportFacts;
use super::page::{DAY, HOUR};
use super::{fleet, page};
use crate::cli::shape;
use crate::core::config::Config;
use crate::core::human::stats::{StatsRow, compute};
use crate::core::model::class::Class;
use crate::core::model::id::{EscalationId, TaskId};
use crate::core::model::task::{Resolution, Status, Task};
use crate::core::model::time::Timestamp;
use crate::daemon::days::Days;
use crate::store::{Asks, AuditReport, DetectorRun, EscalationRow, RunOutcome, Unresolved};

/// Where the pages are written; unset: nowhere.
const FOLDER: &str = "AO_PICTURES";
const NOW: Timestamp = Timestamp::from_millis(1_800_273_600_000);
const BODY: &str = include_str!("../../../docs/example-issue.md");

fn before(days: u32, hours: u32) -> Timestamp {
    NOW.minus(DAY * days + HOUR * hours)
}

/// A task found so long ago; closed ones were green two seconds after.
fn task(id: i64, at: Timestamp, class: Class, subject: &str, end: Option<Resolution>) -> Task {
    let fixed = end == Some(Resolution::Fixed);
    let green = at.plus(Duration::from_secs(2));
    Task {
        message: "unit failed: Result=exit-code status=1/FAILURE Type=simple".to_owned(),
        status: match end {
            Some(_) => Status::Closed,
            None => Status::Escalated,
        },
        resolution: end,
        seen_count: 3,
        fix_attempted: fixed,
        fix_successful: fixed,
        first_green_at: fixed.then_some(green),
        fixed_at: fixed.then_some(green),
        closed_at: end.map(|_| green),
        ..Task::sample(id, class, subject, at)
    }
}

/// All of them need a human.
fn asks(rows: Vec<EscalationRow>) -> Asks {
    let asked = |row| Unresolved {
        row,
        task: None,
        aside: None,
    };
    Asks {
        all: rows.into_iter().map(asked).collect(),
        adopted: 0,
    }
}

/// Four weeks of them, the newest first.
#[allow(clippy::indexing_slicing)]
fn tasks() -> Vec<Task> {
    const KINDS: [(Class, &str); 4] = [
        (Class::ServiceFailed, "modbus-gateway.service"),
        (Class::DiskFull, "/var/log"),
        (Class::ProbeFailed, "line-display"),
        (Class::ServiceFailed, "mosquitto.service"),
    ];
    let mut all = vec![
        task(90, before(0, 5), Class::StorageWear, "mmcblk0", None),
        task(
            89,
            before(2, 1),
            Class::ServiceFailed,
            "cloud-forwarder.service",
            None,
        ),
    ];
    let mut id = 88;
    for day in 0..28_u32 {
        for nth in 0..[1, 0, 2, 4, 0, 1, 3][day as usize % 7] {
            let end = match (day + nth) % 6 {
                2 => Resolution::SelfCleared,
                5 => Resolution::Human,
                _ => Resolution::Fixed,
            };
            let (class, subject) = KINDS[(day + nth) as usize % KINDS.len()];
            all.push(task(id, before(day, 7 + nth), class, subject, Some(end)));
            id -= 1;
        }
    }
    all
}

fn facts() -> ReportFacts {
    let tasks = tasks();
    let rows: Vec<_> = tasks
        .iter()
        .map(|task| {
            let told = task.resolution != Some(Resolution::Fixed);
            StatsRow::new(
                task,
                told.then_some(task.detected_at),
                task.fix_attempted,
                false,
            )
        })
        .collect();
    let escalation = |id, task_id, title: &str, severity: &str, at| EscalationRow {
        id: EscalationId::from_number(id),
        task_id: TaskId::from_number(task_id),
        reason: "no known action can help".to_owned(),
        title: format!("line-7: {title}"),
        body: BODY.to_owned(),
        severity: severity.to_owned(),
        created_at: at,
        resolved_at: None,
        issue_number: None,
    };
    let run = |name: &str, outcome, message: &str, runs| DetectorRun {
        name: name.to_owned(),
        outcome,
        message: message.to_owned(),
        duration_us: 2_400,
        runs,
        last_at: NOW.minus(Duration::from_secs(4)),
    };
    ReportFacts {
        host: "line-7".to_owned(),
        now: NOW,
        config: Config::default(),
        daemon_pid: Some(412),
        paused: Vec::new(),
        silenced: vec![
            "unit line-display.service until 2027-01-18 14:00:00 UTC (by ann: new display)"
                .to_owned(),
        ],
        trial: Vec::new(),
        days: Days::all_up_to(NOW),
        open: 2,
        host_charged: (2, 9),
        asks: asks(vec![
            escalation(
                2,
                90,
                "mmcblk0: The flash memory is near the end of its life.",
                "critical",
                before(0, 5),
            ),
            escalation(
                1,
                89,
                "cloud-forwarder.service: The other side did not answer in time.",
                "error",
                before(2, 1),
            ),
        ]),
        outbox: Vec::new(),
        detectors: vec![
            run("units", RunOutcome::Ok, "", 21_904),
            run("disks", RunOutcome::Ok, "", 131_402),
            run(
                "containers",
                RunOutcome::Absent,
                "no container engine on this host",
                2_190,
            ),
            run("journal", RunOutcome::Ok, "", 1_400),
        ],
        attempts: Vec::new(),
        habits: Vec::new(),
        stats: compute(&rows),
        audit: Ok(AuditReport {
            events: 1_204,
            head_hash: "5f0c9d1ab2347e88".to_owned(),
            pruned_up_to: None,
        }),
        tasks,
    }
}

/// What `status --json` prints of one gateway, as far as the page reads it.
fn said(number: u32) -> String {
    let asks: &[&str] = match number {
        3 => &["mmcblk0: The flash memory is near the end of its life."],
        11 => &[
            "cloud-forwarder.service: The other side did not answer in time.",
            "2 deliveries wait since 26 h",
        ],
        _ => &[],
    };
    let hours = if number == 17 { 51 } else { 1 };
    let paused: &[&str] = if number == 5 {
        &["kill switch is on: people at work"]
    } else {
        &[]
    };
    json!({
        "host": format!("line-{number}"),
        "at": shape::time(before(0, hours)),
        "running": number != 14,
        "needs_human": asks.iter().map(|what| json!({ "what": what })).collect::<Vec<_>>(),
        "paused": paused.iter().map(|why| json!({ "reason": why })).collect::<Vec<_>>(),
        "open_tasks": asks.len(),
        "figures": { "fixed": 20 + number, "fixable": 24 + number, "mttr_median_s": 0.4 * f64::from(number) },
    })
    .to_string()
}

#[test]
#[allow(clippy::unwrap_used)]
fn the_pages_of_the_pictures_are_written_where_wanted() {
    let reports = tempfile::tempdir().unwrap();
    for number in 1..=20 {
        fs::write(
            reports.path().join(format!("line-{number}.json")),
            said(number),
        )
        .unwrap();
    }
    let pages = [
        ("report.html", page::page(&facts())),
        ("fleet.html", fleet::page(reports.path(), NOW).unwrap()),
    ];
    for (name, page) in pages {
        assert!(
            page.starts_with("<!doctype html>") && page.contains("line-"),
            "{name}"
        );
        if let Some(folder) = std::env::var_os(FOLDER) {
            fs::write(Path::new(&folder).join(name), page).unwrap();
        }
    }
}
