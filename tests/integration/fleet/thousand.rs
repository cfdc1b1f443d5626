//! Many gateways with 20 faults each against three real Alertmanagers with docs/alertmanager.yml.
//! `AO_FLEET_GATEWAYS` sets how many (30); `scripts/bench-fleet.sh` runs 1,000 and prints the table.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use autonomous_orchestrator::{
    Alert, Alertmanager, Class, Facts, Finding, Phase, Resolution, Round, Severity, SortedMap,
    Speaker, Status, Task, TaskId, alerts,
};
use serde_json::Value;

use super::daemon::HttpStub;
use super::{Peer, available, free_port, now, transport, until};

const FAULTS: usize = 20;
const GATEWAYS_PER_SITE: usize = 40;
const RESEND: Duration = Duration::from_secs(60);
const SAMPLE: &str = include_str!("../../../docs/alertmanager.yml");
/// Gateways that talk at the same time.
const AT_ONCE: usize = 16;

/// One simulated gateway: the program's own sender over its own transport.
struct Simulated {
    name: String,
    site: String,
    tasks: Vec<Task>,
    sender: Alertmanager,
    labels: SortedMap<String, String>,
}

impl Simulated {
    fn new(number: usize, peers: &[String]) -> Self {
        let name = format!("gw{number:04}");
        let tasks = (0..FAULTS).map(|fault| task(number, fault)).collect();
        let sender = Alertmanager::new(Box::new(transport()), peers, RESEND, &name);
        Self {
            site: format!("site{:02}", number / GATEWAYS_PER_SITE),
            name,
            tasks,
            sender,
            labels: SortedMap::new(),
        }
    }

    fn alerts(&self) -> Vec<Alert> {
        let speaker = Speaker {
            gateway: &self.name,
            site: &self.site,
            labels: &self.labels,
            resend: RESEND,
            wall: Some(now()),
        };
        alerts(&self.tasks, &speaker, now())
    }
}

fn task(gateway: usize, fault: usize) -> Task {
    let class = Class::ALL[fault % Class::ALL.len()];
    let subject = format!("unit{fault:02}.service");
    let message = format!("fault {fault} of gateway {gateway}: it broke and stays broken");
    let severity = [Severity::Critical, Severity::Error, Severity::Warning][fault % 3];
    let finding = Finding::new(class, &subject, severity, &message, "bench", now());
    Task {
        id: TaskId::from_number(i64::try_from(fault).unwrap()),
        issue_hash: finding.fingerprint().to_string(),
        class,
        subject,
        severity,
        source: "bench".to_owned(),
        message,
        evidence: Facts::default(),
        status: Status::Escalated,
        phase: Phase::Escalation,
        resolution: None,
        cause: Some("a cause of a sentence, as the analyst writes one".to_owned()),
        confidence: None,
        seen_count: 3,
        episode: 1,
        previous_id: None,
        action: None,
        fix_attempted: false,
        fix_successful: false,
        fix_message: None,
        github_issue_number: None,
        waiting_reason: None,
        next_attempt_at: None,
        stable_until: None,
        acknowledged_by: None,
        proposal: None,
        approved_action: None,
        approved_digest: None,
        approved_until: None,
        asked_at: None,
        detected_at: now(),
        last_seen_at: now(),
        first_green_at: None,
        fixed_at: None,
        github_created_at: None,
        closed_at: None,
        said_by: None,
        snoozed: false,
    }
}

/// Every gateway tells every peer that is due; what came of it, and how long it took. `number` counts rounds, a resend interval apart.
fn round(gateways: &mut [Simulated], number: u32) -> (Round, Duration) {
    let began = Instant::now();
    let all: Vec<Mutex<&mut Simulated>> = gateways.iter_mut().map(Mutex::new).collect();
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Round::default());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut one = one.lock().unwrap();
                    let alerts = one.alerts();
                    let at = now().plus(RESEND * number);
                    one.sender.hurry(at);
                    let sent = one.sender.tick(&alerts, at);
                    let mut total = total.lock().unwrap();
                    total.accepted += sent.accepted;
                    total.refused += sent.refused;
                    total.peers_down += sent.peers_down;
                }
            });
        }
    });
    let total = *total.lock().unwrap();
    (total, began.elapsed())
}

/// The whole answer, however long: the program's own client stops at a megabyte.
fn get(peer: &Peer, path: &str) -> Value {
    let mut stream = TcpStream::connect(("127.0.0.1", peer.port)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// (gateway, fp) of all that fires.
fn firing(peer: &Peer) -> BTreeSet<(String, String)> {
    let label = |alert: &Value, name| alert["labels"][name].as_str().unwrap_or("").to_owned();
    get(peer, "/api/v2/alerts?silenced=true&inhibited=true")
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| (label(alert, "gateway"), label(alert, "fp")))
        .collect()
}

fn resident_mib(peer: &Peer) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", peer.process.id())).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        >> 10
}

/// docs/alertmanager.yml with a receiver on this machine, and without its waits.
fn sample(receiver: &str) -> String {
    SAMPLE
        .replace("https://chat.example.invalid", receiver)
        .replace("group_wait: 30s", "group_wait: 2s")
        .replace("group_wait: 10s", "group_wait: 2s")
        .replace("group_wait: 10m", "group_wait: 2s")
}

#[test]
fn the_sample_configuration_is_valid() {
    if !available() {
        return;
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alertmanager.yml");
    let out = Command::new("amtool")
        .args(["check-config", file])
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    // Every class that it names exists.
    let classes: BTreeSet<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
    for line in SAMPLE.lines().filter(|line| line.contains("alertname=")) {
        let named = line.split('"').nth(1).unwrap();
        let families = ["self_.*", "fleet_.*"];
        for class in named.split('|').filter(|class| !families.contains(class)) {
            if class.starts_with("fleet_") {
                let rules = include_str!("../../../docs/fleet/rules.yml");
                assert!(rules.contains(&format!("- alert: {class}\n")), "{class}");
                continue;
            }
            assert!(classes.contains(class), "{class}");
        }
    }
}

fn gateways() -> usize {
    std::env::var("AO_FLEET_GATEWAYS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(30)
}

/// A cluster of three, which tells each other what was sent already.
fn cluster(directory: &Path, config: &str) -> (Vec<Peer>, Vec<Vec<String>>) {
    let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
    let arguments: Vec<Vec<String>> = (0..3)
        .map(|own| {
            let mut all = vec![format!("--cluster.listen-address=127.0.0.1:{}", ports[own])];
            for other in ports.iter().filter(|port| **port != ports[own]) {
                all.push(format!("--cluster.peer=127.0.0.1:{other}"));
            }
            all
        })
        .collect();
    let peers = arguments
        .iter()
        .map(|arguments| Peer::start_with(directory, free_port(), config, arguments))
        .collect();
    (peers, arguments)
}

#[test]
fn a_fleet_loses_nothing() {
    if !available() {
        return;
    }
    let count = gateways();
    let directory = tempfile::tempdir().unwrap();
    let hook = HttpStub::start(&directory.path().join("hook"), false);
    let config = sample(&hook.base);
    let (mut peers, arguments) = cluster(directory.path(), &config);
    let urls: Vec<String> = peers.iter().map(Peer::url).collect();
    let mut fleet: Vec<Simulated> = (0..count).map(|n| Simulated::new(n, &urls)).collect();
    let wanted: BTreeSet<(String, String)> = fleet
        .iter()
        .flat_map(|one| {
            let fp = |task: &Task| task.issue_hash[..16].to_owned();
            one.tasks
                .iter()
                .map(move |task| (one.name.clone(), fp(task)))
        })
        .collect();
    assert_eq!(wanted.len(), count * FAULTS);
    println!("\n{count} gateways x {FAULTS} faults, 3 Alertmanagers in a cluster, one machine");
    let row = |what: &str, figure: String| println!("{what:<58} {figure}");
    let missing = |peer: &Peer| wanted.difference(&firing(peer)).count();

    let bytes = serde_json::to_string(&fleet[0].alerts()).unwrap().len();
    row("bytes of one alert", (bytes / FAULTS).to_string());
    let idle: Vec<u64> = peers.iter().map(resident_mib).collect();
    let (sent, took) = round(&mut fleet, 1);
    let requests = count * 3;
    assert_eq!(
        sent,
        Round {
            accepted: count * FAULTS * 3,
            refused: 0,
            peers_down: 0
        }
    );
    row("first round: alerts accepted", format!("{}", sent.accepted));
    row(
        "requests, requests/s",
        format!("{requests}, {:.0}", requests as f64 / took.as_secs_f64()),
    );
    for (n, peer) in peers.iter().enumerate() {
        until("the peer knows all", || missing(peer) == 0);
        row(
            &format!("peer {n}: missing; memory idle, full (MiB)"),
            format!("0; {}, {}", idle[n], resident_mib(peer)),
        );
    }
    let groups = get(&peers[0], "/api/v2/alerts/groups")
        .as_array()
        .unwrap()
        .len();
    row("groups formed by class and site", groups.to_string());
    assert!(groups < count * FAULTS / 2, "{groups} groups");
    until("messages go out", || hook.requests().len() >= groups / 2);
    let (again, took) = round(&mut fleet, 2);
    assert_eq!(again.accepted, sent.accepted);
    row(
        "repeat: requests/s",
        format!("{:.0}", requests as f64 / took.as_secs_f64()),
    );

    // One is killed: the others hear on. Back again it knows nothing, and hears all with the next repeat.
    let port = peers[1].port;
    drop(peers.remove(1));
    let (sent, _) = round(&mut fleet, 3);
    assert_eq!(sent.peers_down, count);
    row(
        "one peer killed: missing at the two others",
        format!("{}", missing(&peers[0]) + missing(&peers[1])),
    );
    assert_eq!(missing(&peers[0]) + missing(&peers[1]), 0);
    peers.insert(
        1,
        Peer::start_with(directory.path(), port, &config, &arguments[1]),
    );
    for one in &mut fleet {
        let peers = &urls;
        // Its back-off is over: at most one repeat interval.
        one.sender = Alertmanager::new(Box::new(transport()), peers, RESEND, &one.name);
    }
    let (sent, _) = round(&mut fleet, 4);
    assert_eq!(sent.peers_down, 0);
    until("the restarted peer knows all", || missing(&peers[1]) == 0);
    row("restarted with the next repeat: missing", "0".to_owned());

    // A label that no peer takes, within a batch of good ones.
    let mut poisoned = fleet[0].alerts();
    let mut poison = poisoned[7].clone();
    poison
        .labels
        .insert("no label name".to_owned(), "x".to_owned());
    poisoned.insert(7, poison);
    let mut sender = Alertmanager::new(Box::new(transport()), &urls, RESEND, "poison");
    let sent = sender.tick(&poisoned, now());
    assert_eq!((sent.refused, sent.accepted), (3, FAULTS * 3));
    row(
        "poison label in a batch of 21: refused, accepted (3 peers)",
        format!("{}, {}", sent.refused, sent.accepted),
    );

    // All is mended.
    for task in fleet.iter_mut().flat_map(|one| &mut one.tasks) {
        task.status = Status::Closed;
        task.resolution = Some(Resolution::Fixed);
        task.closed_at = Some(now());
    }
    let (_, took) = round(&mut fleet, 5);
    for peer in &peers {
        until("nothing fires", || firing(peer).is_empty());
    }
    row(
        "resolved: still firing; requests/s",
        format!("0; {:.0}", requests as f64 / took.as_secs_f64()),
    );
    let told: usize = hook.requests().len();
    row(
        "messages to receivers by then, for all alerts of all peers",
        told.to_string(),
    );
}
