//! The real daemon against real receivers: Alertmanager, a webhook over TLS, a dead-man's ping, metrics.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{Peer, available, until};
use crate::cli_tool::Gateway;

/// All detectors but probes: the test's own host is not looked at.
const QUIET: &str = r#"managers = ["declared"]
startup_grace_s = 0
host_name = "iac1"
[detect]
journal = false
kernel_log = false
disabled = ["clock_unsynced", "config_drift", "container_unhealthy", "disk", "memory_pressure", "network_down", "port_conflict", "readonly_fs", "service_failed", "service_flapping", "service_inactive", "stale_process", "uplink", "thermal", "invalid_unit_path", "storage_wear"]
"#;

/// Takes and writes down every request.
pub struct HttpStub {
    pub directory: PathBuf,
    pub base: String,
    process: Child,
}

impl Drop for HttpStub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl HttpStub {
    pub fn start(directory: &Path, tls: bool) -> Self {
        use std::io::BufRead;
        let root = env!("CARGO_MANIFEST_DIR");
        std::fs::create_dir_all(directory).unwrap();
        if tls {
            let made = Command::new("python3")
                .arg(format!("{root}/tests/e2e/github_stub.py"))
                .arg("make-ca")
                .arg(directory)
                .status();
            assert!(made.unwrap().success());
        }
        let mut process = Command::new("python3")
            .arg(format!("{root}/tests/integration/fleet/http_stub.py"))
            .arg(directory)
            .args(tls.then_some("--tls"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut base = String::new();
        std::io::BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut base)
            .unwrap();
        Self {
            directory: directory.to_owned(),
            base: base.trim().to_owned(),
            process,
        }
    }

    pub fn requests(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.directory.join("requests")).unwrap_or_default();
        // The last line may still be on its way.
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    pub fn status(&self, status: u16) {
        std::fs::write(self.directory.join("status"), status.to_string()).unwrap();
    }

    /// Bodies of those that were answered with success.
    fn taken(&self) -> Vec<Value> {
        self.requests()
            .iter()
            .filter(|request| request["status"] == 200 && request["method"] == "POST")
            .map(|request| serde_json::from_str(request["body"].as_str().unwrap()).unwrap())
            .collect()
    }
}

pub struct Daemon {
    process: Child,
    pub log: PathBuf,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Daemon {
    pub fn start(gateway: &Gateway) -> Self {
        let log = gateway.path("log");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_autonomous-orchestrator"))
            .arg("--config")
            .arg(gateway.path("config.toml"))
            .arg("run")
            .env("SSL_CERT_DIR", "/nonexistent")
            .stdin(Stdio::null())
            .stderr(Stdio::from(file))
            .spawn()
            .unwrap();
        Self { process, log }
    }

    /// As a power cut does.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A gateway whose one probe asks `port`.
pub fn probing(port: u16, more: &str, probe: &str) -> Gateway {
    let gateway = Gateway::new();
    gateway.configure(&format!(
        "{QUIET}{more}\n[[probe]]\nname = \"plc\"\ntcp = \"127.0.0.1:{port}\"\ninterval_s = 1\nfailures = 1\n{probe}"
    ));
    std::fs::create_dir_all(gateway.path("state")).unwrap();
    gateway
}

#[test]
fn one_fault_reaches_every_destination_and_so_does_its_end() {
    if !available() {
        return;
    }
    let peers_dir = tempfile::tempdir().unwrap();
    let peers: Vec<Peer> = (0..2)
        .map(|_| Peer::start(peers_dir.path(), super::free_port()))
        .collect();
    let stubs = tempfile::tempdir().unwrap();
    let hook = HttpStub::start(&stubs.path().join("hook"), true);
    let ping = HttpStub::start(&stubs.path().join("ping"), false);
    let metrics = stubs.path().join("metrics");
    std::fs::create_dir(&metrics).unwrap();
    let token = stubs.path().join("token");
    std::fs::write(&token, "s3same").unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let port = super::free_port();
    let dead = super::free_port();
    let gateway = probing(
        port,
        &format!(
            "[alertmanager]\npeers = [\"{}\", \"{}\", \"http://127.0.0.1:{dead}\"]\nsite = \"plant-7\"\nresend_s = 5\n\
             [alertmanager.labels]\n\"bad name\" = \"4\"\n\
             [webhook]\nurl = \"{}/in?x=1\"\ntoken_file = \"{}\"\nca_file = \"{}\"\n\
             [ping]\nurl = \"{}/alive\"\nevery_s = 5\n[metrics]\ntextfile = \"{}\"\nevery_s = 5",
            peers[0].url(),
            peers[1].url(),
            hook.base,
            token.display(),
            hook.directory.join("ca.pem").display(),
            ping.base,
            metrics.display()
        ),
        "",
    );
    assert_eq!(gateway.run(&["config", "check"]).code, 0);
    let doctor = gateway.run(&["doctor", "--json"]).json();
    let fleet: Vec<(bool, &str)> = doctor
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| ["fleet", "metrics", "channel"].contains(&line["check"].as_str().unwrap()))
        .map(|line| (line["level"] == "ok", line["what"].as_str().unwrap()))
        .collect();
    assert_eq!(fleet.len(), 6, "{fleet:?}");
    let bad: Vec<&str> = fleet.iter().filter(|one| !one.0).map(|one| one.1).collect();
    assert_eq!(bad.len(), 1, "{fleet:?}");
    assert!(bad[0].contains(&dead.to_string()), "{bad:?}");
    let asked = hook.requests().len();

    // The webhook is in trouble at first: nothing is lost.
    hook.status(503);
    let daemon = Daemon::start(&gateway);
    for peer in &peers {
        until("the alert fires", || peer.firing() == 1);
    }
    let alerts: Value = serde_json::from_str(&peers[0].get("/api/v2/alerts").unwrap()).unwrap();
    let labels = &alerts[0]["labels"];
    assert_eq!(labels["alertname"], "probe_failed");
    assert_eq!(labels["gateway"], "iac1");
    assert_eq!(labels["site"], "plant-7");
    assert_eq!(labels["bad_name"], "4");
    until("the webhook was tried", || hook.requests().len() > asked);
    hook.status(200);
    until("the ping comes again", || ping.requests().len() > 2);
    until("metrics are written", || {
        let file = metrics.join("autonomous_orchestrator.prom");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.contains("autonomous_orchestrator_escalations_open 1")
            && text.contains(&format!(
                "peer=\"http://127.0.0.1:{dead}/api/v2/alerts\"}} 0"
            ))
    });

    // Killed and started again: the same problem, not a second one.
    daemon.kill();
    let daemon = Daemon::start(&gateway);
    until("the webhook took it", || !hook.taken().is_empty());

    // Mended.
    let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    for peer in &peers {
        until("nothing fires", || peer.firing() == 0);
    }
    until("the webhook heard of the end", || {
        hook.taken().iter().any(|one| one["event"] == "close")
    });
    let taken = hook.taken();
    let created: Vec<&Value> = taken
        .iter()
        .filter(|one| one["event"] == "create")
        .collect();
    let problems: std::collections::BTreeSet<&str> = taken
        .iter()
        .map(|one| one["problem"].as_str().unwrap())
        .collect();
    assert_eq!(problems.len(), 1, "{taken:#?}");
    let keys: std::collections::BTreeSet<&str> = created
        .iter()
        .map(|one| one["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys.len(), 1, "repeats carry the same key");
    let request = hook.requests().pop().unwrap();
    assert_eq!(request["headers"]["authorization"], "Bearer s3same");
    assert_eq!(created[0]["class"], "probe_failed");
    assert_eq!(created[0]["gateway"], "iac1");
    let log = std::fs::read_to_string(&daemon.log).unwrap();
    assert!(!log.contains("s3same"), "{log}");
    assert!(!log.contains("/in?x=1"), "{log}");
}
