//! What `doctor` says about the fleet's destinations. Reads only: nobody is told, no ping is spent.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::http::{Https, Request, SendError, Transport, Verb};
use super::issues::check::Check;
use crate::core::config::Config;
use crate::host::net::TlsError;

fn check(what: String, problem: Option<(String, &str)>) -> Check {
    match problem {
        None => Check {
            what,
            ok: true,
            advice: String::new(),
        },
        Some((why, advice)) => Check {
            what: format!("{what}: {why}"),
            ok: false,
            advice: advice.to_owned(),
        },
    }
}

/// One line per destination that is named. Takes at most each one's time limits.
pub fn fleet(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    let alerts = &config.alertmanager;
    for peer in &alerts.peers {
        let url = format!("{}/-/ready", peer.trim_end_matches('/'));
        let problem =
            ask(&url, alerts.timeout_s, &alerts.ca_file).and_then(|status| match status {
                200 => Ok(()),
                other => Err(ReachError::Status(other)),
            });
        let advice = "check its address and that it runs; the other peers are told meanwhile";
        let problem = problem.err().map(|why| (why.to_string(), advice));
        checks.push(check(format!("alertmanager {peer}"), problem));
    }
    let ping = &config.ping;
    if !ping.url.is_empty() {
        checks.push(reach("ping", &ping.url, ping.timeout_s, &ping.ca_file));
    }
    checks
}

/// Whether the host of `url` answers at all. Its root is asked: the address itself is often a secret that
/// acts when it is asked.
fn reach(name: &str, url: &str, timeout_s: u64, ca_file: &str) -> Check {
    let root: String = url.split_inclusive('/').take(3).collect();
    let root = format!("{}/", root.trim_end_matches('/'));
    let problem = ask(&root, timeout_s, ca_file).err();
    let advice = "check uplink, name, proxy and clock; a certificate of your own goes into ca_file";
    check(
        format!("{name} at {root}"),
        problem.map(|why| (why.to_string(), advice)),
    )
}

/// Why a destination counts as not reached.
#[derive(Debug)]
enum ReachError {
    Tls(TlsError),
    Send(SendError),
    Status(u16),
}

impl fmt::Display for ReachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(why) => write!(f, "{why}"),
            Self::Send(why) => write!(f, "{why}"),
            Self::Status(status) => write!(f, "answer {status}"),
        }
    }
}

impl Error for ReachError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Tls(why) => Some(why),
            Self::Send(why) => Some(why),
            Self::Status(_) => None,
        }
    }
}

fn ask(url: &str, timeout_s: u64, ca_file: &str) -> Result<u16, ReachError> {
    let transport =
        Https::with_plain(Duration::from_secs(timeout_s), ca_file).map_err(ReachError::Tls)?;
    let request = Request {
        method: Verb::Get,
        url: url.to_owned(),
        token: None,
        headers: Vec::new(),
        body: None,
    };
    let answer = transport.send(&request).map_err(ReachError::Send)?;
    Ok(answer.status)
}
