//! A container engine behind its socket (Docker, or Podman, which speaks the same): what is asked of it and ordered.
//! Each question is a connection of its own that ends in time; answers are bounded.

use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::core::model::text::cut;
use crate::core::model::time::Timestamp;
use crate::core::reading::container_state::{EngineEvent, Inspected, Listed, log_lines};
use crate::host::Host;
use crate::host::clock::end_after;
use crate::host::net;

#[cfg(test)]
#[path = "engine/tests/played.rs"]
pub mod played;

/// Where engines listen. Two names of one socket are one engine.
const SOCKETS: [&str; 3] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
];
/// Most bytes of an answer that are read: some hundred containers.
const ANSWER_CAP: usize = 4 << 20;
/// Of one container's description.
const INSPECT_CAP: usize = 512 << 10;
/// Of events: some thousand. More than that tells nothing, as the newest come last.
const EVENTS_CAP: usize = 1 << 20;
/// Of the last lines of a container.
const LOGS_CAP: usize = 64 << 10;
/// Lines asked for.
const LOG_TAIL: u32 = 40;
/// Longest that an engine's own words are kept, bytes.
const WORDS_CAP: usize = 300;
/// What a restart takes beside the time that the program is given to end.
const RESTART_EXTRA: Duration = Duration::from_secs(20);
/// Most that a program is given to end.
const STOP_MOST: Duration = Duration::from_secs(30);

/// What is wrong with a container engine's answer.
#[derive(Debug)]
pub enum EngineError {
    Io(io::Error),
    NotHttp,
    /// Its status, when that is not one of success, and what it said.
    Status(String),
    /// What is no container's id.
    Id(String),
    Json(serde_json::Error),
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(why) => why.fmt(f),
            Self::NotHttp => f.write_str("the answer is not HTTP"),
            Self::Status(line) => write!(f, "answered {line}"),
            Self::Id(id) => write!(f, "{id:?} is no container's id"),
            Self::Json(why) => why.fmt(f),
        }
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(why) => Some(why),
            Self::Json(why) => Some(why),
            Self::NotHttp | Self::Status(_) | Self::Id(_) => None,
        }
    }
}

impl EngineError {
    /// There is no such container.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Status(status) if status.starts_with("404"))
    }

    /// Nobody listens: a socket unit starts the engine on demand, nothing is broken.
    pub fn is_off(&self) -> bool {
        matches!(self, Self::Io(why) if why.kind() == io::ErrorKind::ConnectionRefused)
    }
}

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One engine of this host.
#[derive(Clone, Debug)]
pub struct Engine {
    socket: PathBuf,
}

/// What an engine has.
#[derive(Debug)]
pub struct Inventory {
    pub all: Vec<Listed>,
    pub is_podman: bool,
}

impl Engine {
    /// Those whose socket is there, whether they run or not.
    pub fn present(host: &Host) -> Vec<Self> {
        let mut seen: Vec<PathBuf> = Vec::new();
        for socket in SOCKETS.iter().map(|socket| host.path(socket)) {
            let Ok(real) = socket.canonicalize() else {
                continue;
            };
            if !seen.contains(&real) {
                seen.push(real);
            }
        }
        seen.into_iter().map(|socket| Self { socket }).collect()
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// One request and its answer, by `end`.
    fn ask(
        &self,
        method: &str,
        path: &str,
        cap: usize,
        end: Instant,
    ) -> Result<Answer, EngineError> {
        let mut stream = net::local(&self.socket, end).map_err(EngineError::Io)?;
        // HTTP/1.0: the answer ends with the connection, never chunked.
        let request =
            format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .map_err(EngineError::Io)?;
        let mut raw = Vec::new();
        let most = u64::try_from(cap).unwrap_or(u64::MAX);
        stream
            .take(most)
            .read_to_end(&mut raw)
            .map_err(EngineError::Io)?;
        let gap = b"\r\n\r\n";
        let at = raw.windows(gap.len()).position(|four| four == gap);
        let (head, body) = raw
            .split_at_checked(at.ok_or(EngineError::NotHttp)?)
            .unwrap_or((&[], &[]));
        let head = String::from_utf8_lossy(head).into_owned();
        let body = body.get(gap.len()..).unwrap_or(&[]).to_vec();
        let status = head.lines().next().unwrap_or("");
        let status = status.split_once(' ').map_or("", |(_, status)| status);
        if status.starts_with('2') {
            return Ok(Answer { head, body });
        }
        let said: Option<Value> = serde_json::from_slice(&body).ok();
        let said = said.as_ref().and_then(|said| said.get("message")?.as_str());
        let told = match said {
            Some(said) => format!("{status}: {}", cut(said, WORDS_CAP)),
            None => status.to_owned(),
        };
        Err(EngineError::Status(told))
    }

    fn get(&self, path: &str, cap: usize, end: Instant) -> Result<Answer, EngineError> {
        self.ask("GET", path, cap, end)
    }

    /// All its containers.
    pub fn containers(&self, end: Instant) -> Result<Inventory, EngineError> {
        let answer = self.get("/containers/json?all=true", ANSWER_CAP, end)?;
        Ok(Inventory {
            all: Listed::all(&answer.text()).map_err(EngineError::Json)?,
            is_podman: answer.head.contains("Libpod"),
        })
    }

    /// Ids of those that fail their health check: Podman does not say it in its list.
    pub fn unhealthy(&self, end: Instant) -> Result<Vec<String>, EngineError> {
        let path = "/containers/json?filters=%7B%22health%22%3A%5B%22unhealthy%22%5D%7D";
        let answer = self.get(path, ANSWER_CAP, end)?;
        let all = Listed::all(&answer.text()).map_err(EngineError::Json)?;
        Ok(all.iter().map(|one| one.id().to_owned()).collect())
    }

    /// One container; `id` is hexadecimal digits alone.
    pub fn inspect(&self, id: &str, end: Instant) -> Result<Inspected, EngineError> {
        let path = format!("/containers/{}/json", checked(id)?);
        let answer = self.get(&path, INSPECT_CAP, end)?;
        Inspected::read(&answer.text()).map_err(EngineError::Json)
    }

    /// Its last lines, the newest first.
    pub fn last_lines(
        &self,
        id: &str,
        terminal: bool,
        end: Instant,
    ) -> Result<String, EngineError> {
        let id = checked(id)?;
        let path = format!("/containers/{id}/logs?stdout=1&stderr=1&tail={LOG_TAIL}");
        Ok(log_lines(&self.get(&path, LOGS_CAP, end)?.body, terminal))
    }

    /// What happened since `since` to the container `id`, or without one to images and containers that come and go. A
    /// bounded look that ends by itself: Docker ends at `until`; Podman loses what is there where `until` is past, and
    /// takes `stream=false` instead.
    pub fn events(
        &self,
        id: Option<&str>,
        since: Timestamp,
        (is_podman, now): (bool, Timestamp),
        end: Instant,
    ) -> Result<Vec<EngineEvent>, EngineError> {
        let seconds = |at: Timestamp| at.as_millis().div_euclid(1_000);
        let filters = match id {
            Some(id) => format!("%7B%22container%22%3A%5B%22{}%22%5D%7D", checked(id)?),
            None => COME_AND_GO.to_owned(),
        };
        let until = match is_podman {
            true => "stream=false".to_owned(),
            false => format!("until={}", seconds(now)),
        };
        let since = seconds(since);
        let path = format!("/events?since={since}&{until}&filters={filters}");
        let answer = self.get(&path, EVENTS_CAP, end)?;
        match answer.body.len().saturating_add(answer.head.len()) >= EVENTS_CAP.saturating_sub(8) {
            true => Ok(Vec::new()),
            false => Ok(EngineEvent::all(&answer.text())),
        }
    }

    /// Stops it, giving its program `stop` to end, and starts it.
    pub fn restart(&self, id: &str, stop: Duration) -> Result<(), EngineError> {
        let stop = stop.min(STOP_MOST);
        let path = format!("/containers/{}/restart?t={}", checked(id)?, stop.as_secs());
        let end = end_after(stop.saturating_add(RESTART_EXTRA));
        self.ask("POST", &path, INSPECT_CAP, end).map(drop)
    }
}

/// `{"event":["pull","create","rename","destroy","remove"]}`
const COME_AND_GO: &str = "%7B%22event%22%3A%5B%22pull%22%2C%22create%22%2C%22rename%22%2C%22destroy%22%2C%22remove%22%5D%7D";

/// Nothing else is ever put into a path.
fn checked(id: &str) -> Result<&str, EngineError> {
    let fits = (1..=64).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_hexdigit());
    match fits {
        true => Ok(id),
        false => Err(EngineError::Id(cut(id, 64).to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};

    use super::played::Played;
    use super::*;
    use crate::host::clock::Clock;

    fn host(dir: &tempfile::TempDir) -> Host {
        Host::at(dir.path(), Clock::manual(Timestamp::default()))
    }

    fn engine(dir: &tempfile::TempDir) -> Engine {
        Engine::present(&host(dir)).remove(0)
    }

    fn soon() -> Instant {
        end_after(Duration::from_secs(10))
    }

    #[test]
    fn two_names_of_one_socket_are_one_engine() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Engine::present(&host(&dir)).is_empty());
        let _played = Played::at(dir.path(), &[]);
        std::fs::create_dir_all(dir.path().join("var")).unwrap();
        std::os::unix::fs::symlink("../run", dir.path().join("var/run")).unwrap();
        assert_eq!(Engine::present(&host(&dir)).len(), 1);
    }

    #[test]
    fn docker_is_asked_until_now_and_podman_without_a_stream() {
        let asked = |is_podman| {
            let dir = tempfile::tempdir().unwrap();
            let played = Played::at(dir.path(), &[("GET /events", String::new())]);
            let when = (is_podman, Timestamp::from_millis(90_500));
            let since = Timestamp::from_millis(30_000);
            let events = engine(&dir).events(Some("0a"), since, when, soon());
            assert_eq!(events.unwrap(), []);
            played.asked("").remove(0)
        };
        let filters = "filters=%7B%22container%22%3A%5B%220a%22%5D%7D";
        assert_eq!(
            asked(false),
            format!("GET /events?since=30&until=90&{filters}")
        );
        assert_eq!(
            asked(true),
            format!("GET /events?since=30&stream=false&{filters}")
        );
    }

    #[test]
    fn nothing_but_an_id_is_put_into_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let played = Played::at(dir.path(), &[]);
        for id in ["", "../x", "0a?force=1", "web", &"a".repeat(65)] {
            let engine = engine(&dir);
            assert!(
                matches!(engine.inspect(id, soon()), Err(EngineError::Id(_))),
                "{id}"
            );
            assert!(
                matches!(engine.restart(id, STOP_MOST), Err(EngineError::Id(_))),
                "{id}"
            );
        }
        assert_eq!(played.asked(""), [""; 0]);
    }

    #[test]
    fn an_engine_that_hangs_or_takes_no_more_connections_costs_no_more_than_its_time() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("run")).unwrap();
        // Nobody takes a connection, and few may wait.
        let path = UnixAddr::new(&dir.path().join("run/docker.sock")).unwrap();
        let none = SockFlag::empty();
        let listener = socket::socket(AddressFamily::Unix, SockType::Stream, none, None).unwrap();
        socket::bind(listener.as_raw_fd(), &path).unwrap();
        socket::listen(&listener, socket::Backlog::new(2).unwrap()).unwrap();
        let engine = engine(&dir);
        let mut whys = Vec::new();
        let end = end_after(Duration::from_millis(50));
        let mut waiting = Vec::new();
        for _ in 0..8 {
            match net::local(engine.socket(), end) {
                Ok(one) => waiting.push(one),
                Err(why) => whys.push(why.kind()),
            }
        }
        let why = engine.containers(end).map(|_| ()).unwrap_err();
        assert!(matches!(why, EngineError::Io(_)), "{why}");
        assert!(!whys.is_empty());
        assert!(whys.iter().all(|why| *why == io::ErrorKind::WouldBlock));
    }

    #[test]
    fn more_events_than_are_read_tell_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let many = "{\"Type\":\"container\",\"Action\":\"die\"}\n".repeat(40_000);
        let _played = Played::at(dir.path(), &[("GET /events", many)]);
        let when = (false, Timestamp::default());
        let events = engine(&dir).events(None, Timestamp::default(), when, soon());
        assert_eq!(events.unwrap(), []);
    }
}
