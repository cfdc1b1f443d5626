//! Prometheus Alertmanager, the real one: three peers, one killed and restarted, a poison label, an end.
//! Needs `prometheus-alertmanager` (Debian package of that name); without it skips, except in CI.

pub mod daemon;
mod prometheus;
mod promql;
mod thousand;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use autonomous_orchestrator::{
    Alert, Alertmanager, Https, Request, SortedMap, Timestamp, Transport, Verb,
};
use serde_json::Value;

const PROGRAM: &str = "/usr/bin/prometheus-alertmanager";
const DEADLINE: Duration = Duration::from_secs(90);

/// False where a test has to skip.
fn available() -> bool {
    needs(&[PROGRAM])
}

/// False where one of these programs is missing; in CI that is a failure.
fn needs(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|one| !Path::new(one).exists());
    if let Some(program) = missing {
        assert!(
            std::env::var_os("CI").is_none(),
            "{program} is needed in CI"
        );
        println!("skipped: needs {program}");
    }
    missing.is_none()
}

struct Peer {
    port: u16,
    process: Child,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

impl Peer {
    /// Each stands alone: the client's duty is to tell every one, not theirs to gossip.
    fn start(directory: &Path, port: u16) -> Self {
        let config = "route:\n  receiver: none\nreceivers:\n  - name: none\n";
        Self::start_with(
            directory,
            port,
            config,
            &["--cluster.listen-address=".to_owned()],
        )
    }

    fn start_with(directory: &Path, port: u16, text: &str, arguments: &[String]) -> Self {
        let config = directory.join(format!("{port}.yml"));
        std::fs::write(&config, text).unwrap();
        let process = Command::new(PROGRAM)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.path={}",
                directory.join(port.to_string()).display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let peer = Self { port, process };
        until("the peer answers", || peer.get("/-/ready").is_some());
        peer
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn get(&self, path: &str) -> Option<String> {
        let request = Request {
            method: Verb::Get,
            url: format!("{}{path}", self.url()),
            token: None,
            headers: Vec::new(),
            body: None,
        };
        let answer = transport().send(&request).ok()?;
        (answer.status == 200).then_some(answer.body)
    }

    /// Names of the alerts that fire.
    fn firing(&self) -> usize {
        let text = self
            .get("/api/v2/alerts")
            .unwrap_or_else(|| "[]".to_owned());
        serde_json::from_str::<Value>(&text)
            .unwrap()
            .as_array()
            .unwrap()
            .len()
    }
}

fn transport() -> Https {
    Https::with_plain(Duration::from_secs(5), "").unwrap()
}

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < DEADLINE,
            "{what}: not within {DEADLINE:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

fn alert(name: &str, label: &str, now: Timestamp, ends_at: Timestamp) -> Alert {
    let text = |at: Timestamp| at.to_string().replacen(' ', "T", 1) + "Z";
    Alert {
        labels: SortedMap::from([
            ("alertname".to_owned(), name.to_owned()),
            (label.to_owned(), "x".to_owned()),
        ]),
        annotations: SortedMap::from([("summary".to_owned(), "it broke".to_owned())]),
        starts_at: text(now.minus(Duration::from_secs(60))),
        ends_at: text(ends_at),
        over: false,
    }
}

#[test]
fn every_peer_knows_what_is_true_now() {
    if !available() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut peers: Vec<Peer> = (0..3)
        .map(|_| Peer::start(directory.path(), free_port()))
        .collect();
    let urls: Vec<String> = peers.iter().map(Peer::url).collect();
    let resend = Duration::from_secs(60);
    let mut sender = Alertmanager::new(Box::new(transport()), &urls, resend, "gateway");

    let mut at = now();
    let soon = at.plus(resend * 3);
    let mut alerts: Vec<Alert> = (0..90)
        .map(|n| alert(&format!("fault{n}"), "unit", at, soon))
        .collect();
    alerts.insert(33, alert("poison", "not a label name", at, soon));
    let round = sender.tick(&alerts, at);
    assert_eq!((round.refused, round.peers_down), (3, 0));
    for peer in &peers {
        until("all but the poison fire", || peer.firing() == 90);
    }
    alerts.remove(33);

    // One dies: the others hear on; back again and empty, it hears all.
    let dead = peers.remove(1);
    let port = dead.port;
    drop(dead);
    at = at.plus(resend);
    assert_eq!(sender.tick(&alerts, at).peers_down, 1);
    peers.insert(1, Peer::start(directory.path(), port));
    at = at.plus(resend);
    assert_eq!(sender.tick(&alerts, at).peers_down, 0);
    until("the restarted peer knows all", || peers[1].firing() == 90);

    // Over: what ends now fires nowhere.
    let over: Vec<Alert> = (0..90)
        .map(|n| alert(&format!("fault{n}"), "unit", now(), now()))
        .collect();
    at = at.plus(resend);
    sender.tick(&over, at);
    for peer in &peers {
        until("nothing fires", || peer.firing() == 0);
    }
}
