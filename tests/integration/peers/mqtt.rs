//! State at Mosquitto: retained, behind a password and TLS, the last will, a broker that is away for a while.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use autonomous_orchestrator::{Broker, Client, MqttError, Secret, Tls, Will};
use nix::sys::signal::Signal;

use super::{Folder, Peer, available};
use crate::fleet::{free_port, until};

const PROGRAM: &str = "/usr/sbin/mosquitto";
const READER: &str = "/usr/bin/mosquitto_sub";
const TOPIC: &str = "gateways/gw/state";
/// Tells the process that is to be killed where to connect.
const BROKER: &str = "AO_TEST_BROKER";

struct Mosquitto {
    folder: Folder,
    port: u16,
    process: Option<Peer>,
}

impl Mosquitto {
    fn start() -> Self {
        let mut broker = Self {
            folder: Folder::new(),
            port: free_port(),
            process: None,
        };
        let made = Command::new("/usr/bin/mosquitto_passwd")
            .args([
                "-b",
                "-c",
                &broker.folder.shown("users"),
                "gw",
                "s3cret-word",
            ])
            .status();
        assert!(made.unwrap().success());
        let at = broker.folder.0.path().display();
        let config = format!(
            "listener {} 127.0.0.1\ncertfile {at}/server.pem\nkeyfile {at}/server.key\npassword_file {at}/users\n\
             user root\npersistence false\n",
            broker.port
        );
        std::fs::write(broker.folder.path("mosquitto.conf"), config).unwrap();
        broker.run();
        broker
    }

    fn run(&mut self) {
        let log = std::fs::File::create(self.folder.path("log")).unwrap();
        let process = Command::new(PROGRAM)
            .arg("-c")
            .arg(self.folder.path("mosquitto.conf"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(Peer(process.unwrap()));
        until("Mosquitto listens", || {
            let mut client = Client::new(self.named("looks"));
            let connected = client.keep(Instant::now()).is_ok();
            client.close();
            connected
        });
    }

    fn named(&self, client_id: &str) -> Broker {
        Broker {
            address: format!("localhost:{}", self.port),
            tls: Some(self.folder.tls()),
            user: "gw".to_owned(),
            password: Some(Secret::new("s3cret-word")),
            client_id: client_id.to_owned(),
            will: Some(Will {
                topic: TOPIC.to_owned(),
                payload: b"offline".to_vec(),
            }),
            keep_alive: Duration::from_secs(60),
            timeout: Duration::from_secs(20),
            stop: std::sync::Arc::default(),
        }
    }

    fn client(&self) -> Client {
        Client::new(self.named("gw"))
    }

    /// What a client that comes later is told.
    fn retained(&self) -> String {
        let port = self.port.to_string();
        let read = Command::new(READER)
            .args([
                "-h",
                "localhost",
                "-p",
                &port,
                "-u",
                "gw",
                "-P",
                "s3cret-word",
            ])
            .args(["--cafile", &self.folder.shown("ca.pem")])
            .args(["-t", TOPIC, "-C", "1", "-W", "5"])
            .output();
        String::from_utf8(read.unwrap().stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }
}

fn available_here() -> bool {
    available(&[PROGRAM, READER])
}

#[test]
fn what_is_retained_is_read_by_another_client_and_the_will_follows_the_end() {
    if !available_here() {
        return;
    }
    let broker = Mosquitto::start();
    let mut client = broker.client();
    let now = Instant::now();
    assert!(client.keep(now).unwrap());
    client.publish(TOPIC, b"online", true, now).unwrap();
    assert_eq!(broker.retained(), "online");
    // Larger than one record of TLS.
    let large = vec![b'x'; 100_000];
    client.publish(TOPIC, &large, true, now).unwrap();
    assert_eq!(broker.retained().len(), large.len());
    // Half of the time went by, says the caller.
    let later = now + Duration::from_secs(40);
    assert!(!client.keep(later).unwrap());
    let (sent, received) = client.bytes();
    assert!(sent > 100_000 && received > 1_000, "{sent} {received}");
    // An orderly end: the broker has heard of it when `close` returns.
    client.publish(TOPIC, b"stopped", true, later).unwrap();
    client.close();
    assert_eq!(broker.retained(), "stopped");
    // Dropped without a word.
    let mut client = broker.client();
    client.publish(TOPIC, b"online", true, now).unwrap();
    assert_eq!(broker.retained(), "online");
    drop(client);
    until("the will is told", || broker.retained() == "offline");
}

#[test]
fn a_killed_process_leaves_its_will_to_whoever_listens() {
    if !available_here() {
        return;
    }
    let broker = Mosquitto::start();
    let heard = broker.folder.path("heard");
    let port = broker.port.to_string();
    let listener = Command::new(READER)
        .args([
            "-h",
            "localhost",
            "-p",
            &port,
            "-u",
            "gw",
            "-P",
            "s3cret-word",
        ])
        .args(["--cafile", &broker.folder.shown("ca.pem"), "-t", TOPIC])
        .stdout(std::fs::File::create(&heard).unwrap())
        .spawn();
    let _listener = Peer(listener.unwrap());
    let lines = || std::fs::read_to_string(&heard).unwrap_or_default();
    let test = format!("{}::is_killed", module_path!().split_once("::").unwrap().1);
    let process = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", &test])
        .env(BROKER, format!("{port} {}", broker.folder.shown("ca.pem")))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let process = Peer(process.unwrap());
    until("it is online", || lines().contains("online\n"));
    process.signal(Signal::SIGKILL);
    until("its will is told", || {
        lines().ends_with("online\noffline\n")
    });
}

/// The process that `a_killed_process_leaves_its_will_to_whoever_listens` kills.
#[test]
#[ignore = "started by another test"]
fn is_killed() {
    let told = std::env::var(BROKER).unwrap();
    let (port, ca_file) = told.split_once(' ').unwrap();
    let mut client = Client::new(Broker {
        address: format!("localhost:{port}"),
        tls: Some(Tls::new(ca_file).unwrap()),
        user: "gw".to_owned(),
        password: Some(Secret::new("s3cret-word")),
        client_id: "killed".to_owned(),
        will: Some(Will {
            topic: TOPIC.to_owned(),
            payload: b"offline".to_vec(),
        }),
        keep_alive: Duration::from_secs(60),
        timeout: Duration::from_secs(20),
        stop: std::sync::Arc::default(),
    });
    client
        .publish(TOPIC, b"online", true, Instant::now())
        .unwrap();
    // Until it is killed, or its parent is.
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_broker_that_is_away_for_a_while_is_found_again() {
    if !available_here() {
        return;
    }
    let mut broker = Mosquitto::start();
    let mut client = broker.client();
    let now = Instant::now();
    client.publish(TOPIC, b"online", true, now).unwrap();
    assert!(client.keep(now).unwrap());
    broker.process = None;
    until("it is noticed", || client.keep(now).is_err());
    let error = client.publish(TOPIC, b"busy", true, now).unwrap_err();
    assert!(matches!(error, MqttError::NotSent(_)), "{error}");
    broker.run();
    assert_eq!(broker.retained(), "");
    assert!(
        client.keep(now).unwrap(),
        "a new connection: what is true has to be said again"
    );
    client.publish(TOPIC, b"online", true, now).unwrap();
    assert_eq!(broker.retained(), "online");
    // Killed and there again before anybody looked: nothing is given to the dead connection.
    broker.process = None;
    broker.run();
    client.publish(TOPIC, b"busy", true, now).unwrap();
    assert_eq!(broker.retained(), "busy");
    client.close();
}

#[test]
fn a_broker_that_hangs_is_left_in_time() {
    if !available_here() {
        return;
    }
    let broker = Mosquitto::start();
    let mut asked = broker.named("gw");
    asked.timeout = Duration::from_millis(500);
    let mut client = Client::new(asked);
    let now = Instant::now();
    until("it is connected", || client.keep(now).is_ok());
    let process = broker.process.as_ref().unwrap();
    process.signal(Signal::SIGSTOP);
    let error = client.publish(TOPIC, b"online", true, now).unwrap_err();
    assert!(matches!(error, MqttError::Unknown(_)), "{error}");
    let error = client.publish(TOPIC, b"online", true, now).unwrap_err();
    assert!(matches!(error, MqttError::NotSent(_)), "{error}");
    process.signal(Signal::SIGCONT);
    until("it is connected again", || client.keep(now).is_ok());
    client.close();
}

#[test]
fn who_is_not_known_or_not_trusted_gets_nothing() {
    if !available_here() {
        return;
    }
    let broker = Mosquitto::start();
    let keep = |broker: Broker| Client::new(broker).keep(Instant::now());
    let mut wrong = broker.named("gw");
    wrong.password = Some(Secret::new("an0ther-word"));
    let denied = keep(wrong);
    assert!(matches!(denied, Err(MqttError::Denied(_))), "{denied:?}");
    let mut nobody = broker.named("gw");
    nobody.user = String::new();
    nobody.password = None;
    let denied = keep(nobody);
    assert!(matches!(denied, Err(MqttError::Denied(_))), "{denied:?}");
    let mut foreign = broker.named("gw");
    foreign.tls = Some(Tls::new("").unwrap());
    let error = keep(foreign).unwrap_err();
    assert!(
        matches!(&error, MqttError::NotSent(why) if why.contains("certificate")),
        "{error}"
    );
    // In the clear, where TLS is spoken.
    let mut clear = broker.named("gw");
    clear.tls = None;
    clear.user = String::new();
    clear.password = None;
    clear.timeout = Duration::from_secs(5);
    let error = keep(clear).unwrap_err();
    assert!(!matches!(error, MqttError::Unknown(_)), "{error}");
}
