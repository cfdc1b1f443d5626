//! The courier over real TLS against `tests/e2e/github_stub.py`, which holds every request against GitHub's own
//! OpenAPI description. Needs python3 and openssl; without them it skips, except in CI.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use autonomous_orchestrator::{
    Clock, Courier, Detector, GitHub, Host, Https, IssueNumber, Limits, Open, Operation, OutboxId,
    Probes, Settings, Severity, Snapshot, State, Sweep, Timestamp, check_github, config,
    delivery_key,
};
use serde_json::{Value, json};

use super::outbox::{Memory, s};

/// The row that was booked first.
const FIRST: OutboxId = OutboxId::from_number(1);

pub const TOKEN: &str = "t0ken";

pub struct Stub {
    directory: tempfile::TempDir,
    process: Child,
    base: String,
    now: Timestamp,
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Stub {
    pub fn start(extra: &[&str]) -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/github_stub.py");
        let works = |program: &str, argument: &str| {
            let quiet = Command::new(program)
                .arg(argument)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            quiet.is_ok_and(|status| status.success())
        };
        if !works("python3", "--version")
            || !works("openssl", "version")
            || !Path::new(script).exists()
        {
            assert!(
                std::env::var_os("CI").is_none(),
                "python3, openssl and {script} are needed in CI"
            );
            println!("skipped: needs python3, openssl and {script}");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let token = directory.path().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        private(&token);
        let mut process = Command::new("python3")
            .args([script, "serve", "--port", "0", "--token", TOKEN, "--dir"])
            .arg(directory.path())
            .args(extra)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let base = line
            .trim()
            .strip_prefix("listening on ")
            .expect("the stub tells its address")
            .to_owned();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap());
        Some(Self {
            directory,
            process,
            base,
            now,
        })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn fail(&self, modes: &str) {
        std::fs::write(self.path("control"), modes).unwrap();
    }

    pub fn github(&self) -> config::Github {
        config::Github {
            repository: "plant/gateways".to_owned(),
            token_file: self.path("token").to_str().unwrap().to_owned(),
            api_url: self.base.clone(),
            ca_file: self.path("ca.pem").to_str().unwrap().to_owned(),
            timeout_s: 2,
            ..config::Github::default()
        }
    }

    fn courier(&self, github: config::Github) -> Courier<GitHub> {
        let https = Https::new(Duration::from_secs(github.timeout_s), &github.ca_file).unwrap();
        let settings = Settings {
            github,
            credentials: None,
            reopen: s(86_400),
        };
        let limits = Limits {
            spread: Duration::ZERO,
            per_hour: 100,
            per_day: 100,
            gateway_id: "gateway".to_owned(),
        };
        Courier::new(GitHub::new(settings, Box::new(https)), limits)
    }

    /// Ticks in simulated time until nothing is open; true time hardly passes.
    fn drain(&mut self, courier: &mut Courier<GitHub>, outbox: &Memory) {
        for _ in 0..200 {
            if outbox.open() == 0 {
                return;
            }
            let next = courier.tick(outbox, self.now).at;
            self.now = next.max(self.now.plus(Duration::from_millis(1)));
        }
        panic!("no end: {:#?}", outbox.rows.borrow());
    }

    pub fn requests(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("requests.log")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn issues(&self) -> Vec<Value> {
        let text =
            std::fs::read_to_string(self.path("state.json")).unwrap_or_else(|_| "{}".to_owned());
        let state: Value = serde_json::from_str(&text).unwrap();
        let repositories = state["repos"].as_object().cloned().unwrap_or_default();
        let all = repositories
            .values()
            .filter_map(|repository| repository["issues"].as_array());
        all.flatten().cloned().collect()
    }
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn escalate(outbox: &Memory, task: i64, now: Timestamp) -> String {
    let key = delivery_key("gateway", "f", task as u64);
    let body = "<!-- autonomous-orchestrator:status -->\nopen\n<!-- /autonomous-orchestrator:status -->\nit broke, token=hunter2hunter2";
    let payload = json!({ "title": "iac1: it broke", "body": body }).to_string();
    outbox.push(
        task,
        Operation::Create,
        &payload,
        &key,
        Severity::Error,
        now,
    );
    key
}

#[test]
fn a_problem_is_told_commented_and_closed_within_the_published_contract() {
    let Some(mut stub) = Stub::start(&[]) else {
        return;
    };
    let (outbox, mut courier) = (Memory::default(), stub.courier(stub.github()));
    let key = escalate(&outbox, 1, stub.now);
    outbox.push(
        1,
        Operation::Comment,
        r#"{"comment":"seen again"}"#,
        &key,
        Severity::Error,
        stub.now,
    );
    let close = r#"{"message":"fixed and verified","resolution":"fixed","status":"closed: fixed"}"#;
    outbox.push(1, Operation::Close, close, &key, Severity::Error, stub.now);
    stub.drain(&mut courier, &outbox);
    let issues = stub.issues();
    assert_eq!(issues.len(), 1);
    let body = issues[0]["body"].as_str().unwrap();
    assert!(
        body.contains("closed: fixed") && !body.contains("hunter2"),
        "{body}"
    );
    assert_eq!(issues[0]["state"], "closed");
    assert_eq!(issues[0]["state_reason"], "completed");
    let labels = issues[0]["labels"].as_array().unwrap();
    assert!(
        labels.contains(&json!(format!("ao-{}", &key[..12]))),
        "{labels:?}"
    );
    for request in stub.requests() {
        assert!(request["status"].as_u64().unwrap() < 300, "{request}");
        assert!(
            request["user_agent"]
                .as_str()
                .unwrap()
                .starts_with("autonomous-orchestrator/")
        );
    }
}

#[test]
fn a_write_that_arrived_without_an_answer_is_found_not_repeated() {
    for mode in [
        "502-after-accept",
        "reset-after-accept",
        "timeout-after-accept=4",
    ] {
        let Some(mut stub) = Stub::start(&[]) else {
            return;
        };
        let (outbox, mut courier) = (Memory::default(), stub.courier(stub.github()));
        escalate(&outbox, 1, stub.now);
        stub.fail(&format!("POST:{mode}\n"));
        let start = stub.now;
        courier.tick(&outbox, stub.now);
        assert_eq!(
            outbox.rows.borrow()[&FIRST].delivery.state,
            State::Unknown,
            "{mode}"
        );
        stub.drain(&mut courier, &outbox);
        assert!(stub.now.since(start) >= s(60), "{mode}");
        assert_eq!(stub.issues().len(), 1, "{mode}");
        assert_eq!(
            outbox.rows.borrow()[&FIRST].confirmed_number,
            Some(IssueNumber::from_number(1)),
            "{mode}"
        );
        let posts = stub
            .requests()
            .iter()
            .filter(|request| request["method"] == "POST")
            .count();
        assert!(posts <= 1, "{mode}");
    }
}

/// The status says that it is done; the body is huge, slow, cut or no JSON.
#[test]
fn an_answer_that_cannot_be_read_never_makes_a_second_issue() {
    for mode in ["html", "cut", "huge", "slow"] {
        let Some(mut stub) = Stub::start(&[]) else {
            return;
        };
        let (outbox, mut courier) = (Memory::default(), stub.courier(stub.github()));
        let key = escalate(&outbox, 1, stub.now);
        let close = r#"{"message":"fixed","resolution":"fixed"}"#;
        outbox.push(1, Operation::Close, close, &key, Severity::Error, stub.now);
        stub.fail(&format!("POST /issues:{mode}-after-accept\n"));
        stub.drain(&mut courier, &outbox);
        let issues = stub.issues();
        assert_eq!(issues.len(), 1, "{mode}");
        assert_eq!(issues[0]["state"], "closed", "{mode}");
        println!("{mode:<5} answer to the create: 1 issue, closed in the end");
    }
}

#[test]
fn an_enterprise_server_is_asked_below_its_path() {
    let Some(mut stub) = Stub::start(&[]) else {
        return;
    };
    let github = config::Github {
        api_url: format!("{}/api/v3/", stub.base),
        ..stub.github()
    };
    let checks = check_github(&github, None, stub.now);
    assert!(checks.iter().all(|check| check.ok), "{checks:?}");
    let (outbox, mut courier) = (Memory::default(), stub.courier(github));
    escalate(&outbox, 1, stub.now);
    stub.drain(&mut courier, &outbox);
    assert_eq!(stub.issues().len(), 1);
    let asked = stub.requests();
    assert!(
        asked
            .iter()
            .all(|one| one["path"].as_str().unwrap().starts_with("/api/v3/"))
    );
}

/// `doctor` of the real program, its token as a systemd credential, through an HTTP proxy.
#[test]
fn a_proxy_is_used_and_a_credential_stands_in_for_the_token_file() {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    let Some(stub) = Stub::start(&[]) else { return };
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for client in proxy.incoming() {
            let mut client = client.unwrap();
            let mut reader = BufReader::new(client.try_clone().unwrap());
            let mut first = String::new();
            reader.read_line(&mut first).unwrap();
            let mut line = first.clone();
            while !line.trim().is_empty() {
                line.clear();
                reader.read_line(&mut line).unwrap();
            }
            let target = first.split_whitespace().nth(1).unwrap_or("").to_owned();
            let mut server = TcpStream::connect(&target).unwrap();
            told.send(first).unwrap();
            client
                .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .unwrap();
            let (mut up, mut down) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut up, &mut down));
            let _ = std::io::copy(&mut reader, &mut server);
        }
    });
    let credentials = tempfile::tempdir().unwrap();
    std::fs::write(credentials.path().join("github-token"), TOKEN).unwrap();
    private(&credentials.path().join("github-token"));
    let gateway = crate::cli_tool::Gateway::new();
    let github = stub.github();
    gateway.configure(&format!(
        "[escalation.github]\nrepository = \"plant/gateways\"\ntoken_file = \"/nonexistent/token\"\napi_url = \"{}\"\nca_file = \"{}\"\n",
        github.api_url, github.ca_file
    ));
    let config = gateway.path("config.toml");
    let arguments = ["--config", config.to_str().unwrap(), "doctor", "--json"];
    let ran = crate::cli_tool::run_with(&arguments, |command| {
        command
            .env("HTTPS_PROXY", &address)
            .env_remove("NO_PROXY")
            .env_remove("no_proxy")
            .env("CREDENTIALS_DIRECTORY", credentials.path());
    });
    let lines = ran.json();
    let tracker: Vec<&Value> = lines
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["check"] == "tracker")
        .collect();
    assert!(tracker.len() >= 3, "{lines:#}");
    assert!(tracker.iter().all(|one| one["level"] == "ok"), "{lines:#}");
    let line = heard.try_recv().unwrap();
    assert!(line.starts_with("CONNECT "), "{line}");
    assert!(!ran.out.contains(TOKEN));
}

#[test]
fn limits_and_server_trouble_end_in_one_issue() {
    let Some(mut stub) = Stub::start(&[]) else {
        return;
    };
    let (outbox, mut courier) = (Memory::default(), stub.courier(stub.github()));
    stub.fail("GET:503\nGET:403:reset=9\nGET:500\nPOST:429:retry-after=7\n");
    escalate(&outbox, 1, stub.now);
    stub.drain(&mut courier, &outbox);
    assert_eq!(stub.issues().len(), 1);
}

#[test]
fn a_renamed_repository_is_followed_and_remembered() {
    let Some(mut stub) = Stub::start(&[]) else {
        return;
    };
    let (outbox, mut courier) = (Memory::default(), stub.courier(stub.github()));
    stub.fail("GET /gateways:301:/repos/plant/renamed\n");
    escalate(&outbox, 1, stub.now);
    stub.drain(&mut courier, &outbox);
    let posts: Vec<_> = stub
        .requests()
        .into_iter()
        .filter(|request| request["method"] == "POST")
        .collect();
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0]["path"], "/repos/plant/renamed/issues");
    assert_eq!(posts[0]["authorized"], true);
}

#[test]
fn a_public_repository_a_wrong_token_and_an_unknown_authority_send_nothing() {
    let Some(stub) = Stub::start(&["--public"]) else {
        return;
    };
    let outbox = Memory::default();
    escalate(&outbox, 1, stub.now);
    stub.courier(stub.github()).tick(&outbox, stub.now);
    assert!(
        outbox
            .parked
            .borrow()
            .as_deref()
            .unwrap()
            .contains("is public")
    );

    let Some(stub) = Stub::start(&[]) else { return };
    std::fs::write(stub.path("token"), "wrong").unwrap();
    stub.courier(stub.github()).tick(&outbox, stub.now);
    assert!(outbox.parked.borrow().as_deref().unwrap().contains("401"));

    let before = stub.requests().len();
    let github = config::Github {
        ca_file: String::new(),
        ..stub.github()
    };
    let next = stub.courier(github.clone()).tick(&outbox, stub.now);
    assert!(next.at > stub.now);
    assert_eq!(stub.requests().len(), before);
    assert_eq!(outbox.rows.borrow()[&FIRST].delivery.state, State::Pending);
    assert!(stub.issues().is_empty());

    let checks = check_github(&github, None, stub.now);
    assert!(
        checks
            .iter()
            .any(|check| !check.ok && check.what.contains("cannot be reached")),
        "{checks:?}"
    );
    let checks = check_github(&stub.github(), None, stub.now);
    assert!(
        checks
            .iter()
            .any(|check| !check.ok && check.advice.contains("token")),
        "{checks:?}"
    );
    std::fs::write(stub.path("token"), TOKEN).unwrap();
    let checks = check_github(&stub.github(), None, stub.now);
    assert!(checks.iter().all(|check| check.ok), "{checks:?}");
}

/// A probe's certificate check is the courier's.
#[test]
fn a_probe_over_tls_trusts_the_operators_authority_and_nobody_else() {
    let Some(stub) = Stub::start(&[]) else { return };
    let found = |ca_file: &str| {
        let config = config::Config {
            probe: vec![config::Probe {
                name: "api".to_owned(),
                http: format!("{}/rate_limit", stub.base),
                ca_file: ca_file.to_owned(),
                // No token is sent.
                expect_status: 401,
                failures: 1,
                ..config::Probe::default()
            }],
            ..config::Config::default()
        };
        let host = Host::at("/nowhere", Clock::manual(stub.now));
        let open = Open::default();
        match Probes::default().examine(&Snapshot::new(&host, &config, &[], &open)) {
            Ok(Sweep::Present(found)) => found,
            other => panic!("{other:?}"),
        }
    };
    let ca_file = stub.github().ca_file;
    assert_eq!(found(&ca_file), []);
    let refused = found("");
    assert!(
        refused[0].message.contains("invalid peer certificate"),
        "{refused:?}"
    );
}
