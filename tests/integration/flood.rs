//! A day in which a gateway's logs go mad: findings without end, 50 new kinds in 10 minutes (what the storm limit lets
//! through), the rest repeats. Every sighting is counted, the file stays within its bound.
//! `AO_FLOOD_MB` sets the volume (20 by default; 10240 are the 10 GB of the fault table).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::time::Duration;

use autonomous_orchestrator::{
    Class, Cursor, Finding, Intake, Resolution, Severity, Store, StoreOptions, TaskId, Timestamp,
};

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const SLOTS: u64 = 144;
const SLOT: Duration = Duration::from_secs(600);
const NEW_KINDS: u64 = 50;
/// Kinds that go on at the same time; the oldest end.
const ALIVE: usize = 200;
const BATCH: u64 = 100;

/// One kind: its unit, its task and how often it was seen.
struct Kind {
    unit: String,
    task: TaskId,
    seen: u64,
}

fn finding(unit: &str, at: Timestamp) -> Finding {
    let message = format!(
        "request to upstream timed out after 30 s, {}",
        "the answer of the meter did not come in time; ".repeat(5)
    );
    Finding::new(
        Class::LogError,
        unit,
        Severity::Error,
        &message,
        "flood",
        at,
    )
}

fn file_bytes(path: &std::path::Path, suffix: &str) -> u64 {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    std::fs::metadata(name).map_or(0, |meta| meta.len())
}

#[test]
fn a_day_of_findings_without_end_is_counted_and_bounded() {
    let megabytes: u64 = std::env::var("AO_FLOOD_MB")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    let options = StoreOptions::at(&path);
    let (store, _) = Store::open(&options, START).unwrap();
    let each = finding("unit-a.service", START).message.len() as u64;
    let wanted = megabytes * 1_000_000 / each;
    let mut kinds: VecDeque<Kind> = VecDeque::new();
    let (mut sent, mut counted, mut wal) = (0, 0, 0);
    let mut now = START;
    for slot in 0..SLOTS {
        now = START.plus(SLOT * u32::try_from(slot).unwrap());
        for n in 0..NEW_KINDS {
            let unit = format!("meter-{}.service", slot * NEW_KINDS + n);
            let recorded = put(&store, vec![finding(&unit, now)], sent, now);
            assert!(recorded[0].1, "{unit}");
            kinds.push_back(Kind {
                unit,
                task: recorded[0].0,
                seen: 1,
            });
            sent += 1;
        }
        while sent * SLOTS < wanted * (slot + 1) {
            let of = |n: u64| usize::try_from((sent + n) % kinds.len() as u64).unwrap();
            let batch = (0..BATCH)
                .map(|n| finding(&kinds[of(n)].unit, now))
                .collect();
            let chosen: Vec<usize> = (0..BATCH).map(of).collect();
            for (index, (task, created)) in chosen.into_iter().zip(put(&store, batch, sent, now)) {
                assert!(!created && task == kinds[index].task);
                kinds[index].seen += 1;
            }
            sent += BATCH;
        }
        while kinds.len() > ALIVE || (slot + 1 == SLOTS && !kinds.is_empty()) {
            let over = kinds.pop_front().unwrap();
            store
                .close_task(over.task, Resolution::SelfCleared, now)
                .unwrap();
            let task = store.reader().unwrap().task(over.task).unwrap().unwrap();
            assert_eq!(task.seen_count, over.seen, "{}", over.unit);
            counted += over.seen;
        }
        wal = wal.max(file_bytes(&path, "-wal"));
        store.maintain(now).unwrap();
    }
    assert_eq!(counted, sent);
    assert_eq!(
        store.cursor("flood").unwrap().as_deref(),
        Some(sent.to_string().as_str())
    );
    assert!(store.reader().unwrap().audit_verify().unwrap().is_ok());
    drop(store);
    let bytes = file_bytes(&path, "");
    assert!(bytes <= options.max_bytes, "{bytes}");
    println!(
        "{} MB of findings until {now}: {sent} findings of {} kinds, each counted; database {:.1} MB, largest WAL {:.1} MB",
        sent * each / 1_000_000,
        SLOTS * NEW_KINDS,
        bytes as f64 / 1e6,
        wal as f64 / 1e6
    );
}

/// Task of each finding and whether it was created; the cursor says how many were sent with this batch.
fn put(store: &Store, findings: Vec<Finding>, sent: u64, now: Timestamp) -> Vec<(TaskId, bool)> {
    let position = (sent + findings.len() as u64).to_string();
    let cursor = Some(Cursor {
        stream: "flood".to_owned(),
        position,
    });
    let recorded = store.intake(Intake { findings, cursor }, now).unwrap();
    recorded
        .iter()
        .map(|one| (one.task_id, one.created))
        .collect()
}
