//! What the metrics file says of a gateway's repairs, and for how long.

use std::time::Duration;

use super::gateway::{Gateway, UNIT};
use super::units::OnStart;
use crate::core::human::stats::compute;
use crate::daemon::gauges;

const DAY: Duration = Duration::from_secs(86_400);

/// The file as the fleet thread would write it now.
fn file(gateway: &Gateway) -> String {
    let now = gateway.now();
    let reader = gateway.runtime.store.reader().unwrap();
    let week = compute(&reader.settled_since(now.minus(7 * DAY)).unwrap()).all;
    let peers = [("http://am", true)].into_iter();
    gauges::text(&gateway.runtime, peers, &week, now).unwrap()
}

/// Values of these samples; `None` for one that is not there.
fn read<'a>(text: &'a str, samples: &[&str]) -> Vec<Option<&'a str>> {
    let of = |sample: &&str| {
        let start = format!("autonomous_orchestrator_{sample} ");
        text.lines().find_map(|line| line.strip_prefix(&start))
    };
    samples.iter().map(of).collect()
}

#[test]
fn repairs_count_for_a_day_and_a_week_and_what_is_open_as_long_as_it_is() {
    const REPAIRS: &[&str] = &[
        "attempts_day{outcome=\"verified\"}",
        "week_fixable",
        "week_fixed",
        "week_told",
        "escalations_open",
    ];
    let mut gateway = Gateway::with(|_| {});
    assert_eq!(read(&file(&gateway), REPAIRS), [Some("0"); 5]);
    gateway.units.fail(UNIT, OnStart::Runs);
    gateway.runs_for(Duration::from_secs(120));
    gateway.units.fail("db.service", OnStart::Fails);
    gateway.runs_for(Duration::from_secs(600));
    let text = file(&gateway);
    assert_eq!(
        read(&text, REPAIRS),
        [Some("1"), Some("2"), Some("1"), Some("1"), Some("1")]
    );
    let task = gateway.task("db.service");
    let open = format!(
        "open_tasks{{class=\"service_failed\",severity=\"{}\",status=\"{}\"}}",
        task.severity, task.status
    );
    let others = [
        open.as_str(),
        "week_repair_seconds{quantile=\"0.5\"}",
        "alertmanager_peer_up{peer=\"http://am\"}",
        "channels",
        "kill_switch",
        "paused{gate=\"kill_switch\"}",
    ];
    let found = read(&text, &others);
    assert!(
        found[1].is_some_and(|took| took.parse::<f64>().unwrap() < 60.0),
        "{text}"
    );
    assert_eq!(found[0], Some("1"), "{text}");
    assert_eq!(
        found[2..],
        [Some("1"), Some("1"), Some("0"), None],
        "{text}"
    );

    gateway.write("/etc/autonomous-orchestrator/disable", "people at work\n");
    let held = file(&gateway);
    assert_eq!(read(&held, &others[4..]), [Some("1"), Some("1")], "{held}");

    // What was told is still open, and was told longer ago than a week.
    gateway.advance(8 * DAY);
    let later = file(&gateway);
    assert_eq!(
        read(&later, REPAIRS),
        [Some("0"), Some("0"), Some("0"), Some("0"), Some("1")]
    );
    assert_eq!(read(&later, &others[..2]), [Some("1"), None], "{later}");
}

#[test]
fn a_delivery_is_as_old_as_its_first_try() {
    let mut gateway = Gateway::with(|_| {});
    gateway.units.fail(UNIT, OnStart::Fails);
    let sample = ["outbox_oldest_time_seconds{destination=\"github\"}"];
    assert_eq!(read(&file(&gateway), &sample), [None]);
    // Found, tried and told, by workers alone: nobody delivers.
    while read(&file(&gateway), &sample) == [None] {
        gateway.sweep();
        while gateway.work() {}
        gateway.advance(Duration::from_secs(5));
    }
    let escalation = gateway
        .runtime
        .store
        .reader()
        .unwrap()
        .escalations(true)
        .unwrap()
        .remove(0);
    let since = escalation.created_at.as_millis() as f64 / 1_000.0;
    gateway.advance(Duration::from_secs(3_600));
    let text = file(&gateway);
    assert_eq!(read(&text, &sample), [Some(since.to_string().as_str())]);
    assert_eq!(read(&text, &["outbox_waiting"]), [Some("1")]);
    gateway.runs_for(Duration::from_secs(60));
    assert_eq!(read(&file(&gateway), &sample), [None]);
}
