//! Containers, asked over the engine's own socket (Docker, Podman): exited, unhealthy, in a restart loop, near
//! its memory limit.

use std::io::{self, Read, Write};
use std::time::Duration;

use serde::Deserialize;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::detectors::error::EngineError;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep, container_memory};
use crate::host::clock::end_after;
use crate::host::net;

const SOCKETS: &[&str] = &[
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
];
const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most of an answer that is read, bytes: some hundred containers.
const ANSWER_CAP: u64 = 4 << 20;
/// HTTP/1.0: the answer ends with the connection, never chunked.
const REQUEST: &[u8] = b"GET /containers/json?all=true HTTP/1.0\r\nHost: localhost\r\n\r\n";

/// Exit codes of a container that was stopped: by SIGKILL and SIGTERM.
const STOPPED: &[i32] = &[0, 137, 143];

#[derive(Debug, Deserialize)]
struct Container {
    #[serde(rename = "Id", default)]
    id: String,
    #[serde(rename = "Names", default)]
    names: Option<Vec<String>>,
    #[serde(rename = "State", default)]
    state: String,
    /// Docker: `Exited (1) 3 minutes ago`, `Up 5 minutes (unhealthy)`.
    #[serde(rename = "Status", default)]
    status: String,
    #[serde(rename = "Image", default)]
    image: String,
}

#[derive(Debug)]
pub struct Containers;

impl Detector for Containers {
    fn name(&self) -> &'static str {
        "container_unhealthy"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::ContainerUnhealthy]
    }

    fn interval(&self, _config: &Config) -> Duration {
        INTERVAL
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        let there = SOCKETS
            .iter()
            .map(|socket| look.host.path(socket))
            .find(|socket| socket.exists());
        let Some(socket) = there else {
            return Ok(Sweep::Absent("no container engine's socket".to_owned()));
        };
        let body = match net::local(&socket, end_after(TIMEOUT)).and_then(ask) {
            Ok(body) => body,
            // A socket unit starts the engine on demand: nothing answers, nothing is broken.
            Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => {
                return Ok(Sweep::Absent(
                    "the container engine does not run".to_owned(),
                ));
            }
            Err(why) => return Err(DetectError::Engine(socket, EngineError::Io(why))),
        };
        let containers = parse(&body).map_err(|why| DetectError::Engine(socket, why))?;
        let found = containers.iter().filter_map(|one| examine(one, look));
        Ok(Sweep::Present(found.collect()))
    }
}

fn ask(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(REQUEST)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_CAP).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn parse(answer: &str) -> Result<Vec<Container>, EngineError> {
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(EngineError::NotHttp)?;
    let status = head.lines().next().unwrap_or("");
    if status.split(' ').nth(1) != Some("200") {
        return Err(EngineError::Status(status.to_owned()));
    }
    serde_json::from_str(body.trim()).map_err(EngineError::Json)
}

/// One container: what the engine says of it, and where that is nothing its memory.
fn examine(container: &Container, look: &Snapshot<'_>) -> Option<Finding> {
    let class = Class::ContainerUnhealthy;
    let name = container.names.as_ref()?.first()?.trim_start_matches('/');
    let near = || {
        let open = look.open.contains(class, name);
        let near = container_memory::near_limit(look.host, &container.id, open);
        look.told_of(class, name, &format!("memory of {name}"), near)?
    };
    let (severity, what) = judge(container, &near)?;
    let message = format!("container {what}, image {}", container.image);
    let finding = Finding::new(class, name, severity, &message, "containers", look.now);
    Some(finding)
}

/// How bad a container in trouble is, and what it does. `near`: percent of its memory limit when near it.
fn judge(container: &Container, near: &dyn Fn() -> Option<u64>) -> Option<(Severity, String)> {
    Some(match container.state.as_str() {
        "restarting" => (Severity::Error, "restarts again and again".to_owned()),
        "dead" => (Severity::Error, "is dead".to_owned()),
        "running" if container.status.contains("(unhealthy)") => {
            (Severity::Error, "fails its health check".to_owned())
        }
        "running" => (
            Severity::Warning,
            format!("uses {} % of its memory limit", near()?),
        ),
        "exited" => {
            let code = exit_code(&container.status)?;
            if STOPPED.contains(&code) {
                return None;
            }
            (Severity::Error, format!("exited with status={code}"))
        }
        _ => return None,
    })
}

fn exit_code(status: &str) -> Option<i32> {
    let (_, rest) = status.split_once('(')?;
    rest.split_once(')')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::detectors::Open;
    use crate::host::Host;
    use crate::host::clock::Clock;

    #[test]
    fn only_unwanted_states_are_faults() {
        let answer = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n[{\"Names\":[\"/a\"],\"State\":\"running\",\"Status\":\"Up 5 minutes (unhealthy)\",\"Image\":\"x\"},{\"Names\":[\"/b\"],\"State\":\"exited\",\"Status\":\"Exited (1) 3 minutes ago\",\"Image\":\"x\"},{\"Names\":[\"/c\"],\"State\":\"exited\",\"Status\":\"Exited (143) 3 days ago\",\"Image\":\"x\"},{\"Names\":null,\"State\":\"exited\",\"Status\":\"Exited (1)\"},{\"Names\":[\"/d\"],\"State\":\"running\",\"Status\":\"Up 2 hours (healthy)\"},{\"Names\":[\"/e\"],\"State\":\"restarting\"}]";
        let found: Vec<_> = parse(answer)
            .unwrap()
            .iter()
            .filter_map(|one| judge(one, &|| Some(97)).map(|_| one.names.clone()))
            .flatten()
            .flatten()
            .collect();
        assert_eq!(found, ["/a", "/b", "/d", "/e"]);
    }

    #[test]
    fn memory_that_cannot_be_read_is_no_answer_where_the_container_stands_open() {
        let dir = tempfile::tempdir().unwrap();
        let used = "sys/fs/cgroup/system.slice/docker-abc.scope/memory.current";
        std::fs::create_dir_all(dir.path().join(used)).unwrap();
        let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
        let config = Config::default();
        let looked = |status: &str, open: &[&str]| {
            let condition = |name: &&str| (Class::ContainerUnhealthy, (*name).to_owned());
            let open = Open::new(open.iter().map(condition));
            let look = Snapshot::new(&host, &config, &[], &open);
            let container = Container {
                id: "abc".to_owned(),
                names: Some(vec!["/web".to_owned()]),
                state: "running".to_owned(),
                status: status.to_owned(),
                image: "x".to_owned(),
            };
            let found = examine(&container, &look).is_some();
            (found, look.take_blind().why.map(|why| why.to_string()))
        };
        assert_eq!(looked("Up 2 hours", &["other"]), (false, None));
        assert_eq!(looked("Up (unhealthy)", &["web"]), (true, None));
        let (found, why) = looked("Up 2 hours", &["web"]);
        assert!(!found && why.unwrap().starts_with("memory of web: "));
    }

    #[test]
    fn a_bad_answer_is_an_error() {
        for bad in [
            "",
            "HTTP/1.0 500 x\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nnot json",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
