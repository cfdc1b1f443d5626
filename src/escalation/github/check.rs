//! What `doctor` says about the way to GitHub. Reads only.

use std::path::PathBuf;
use std::time::Duration;

use super::Settings;
use super::api::{Api, Failure, Repository};
use crate::core::config;
use crate::core::human::reply::ReplyJudgement;
use crate::core::model::hint::Hint;
use crate::core::model::time::Timestamp;
use crate::escalation::http::{Https, Transport};
use crate::escalation::token;

/// A token that ends sooner than this is a problem already: nobody is on site.
const EXPIRY_WARNING: Duration = Duration::from_secs(14 * 24 * 3600);
/// Our clock may differ this much from the server's before it is worth a word.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// One line of `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub what: String,
    pub ok: bool,
    /// What to do; empty when all is well.
    pub advice: String,
}

fn good(what: impl Into<String>) -> Check {
    Check {
        what: what.into(),
        ok: true,
        advice: String::new(),
    }
}

fn bad(what: impl Into<String>, advice: impl Into<String>) -> Check {
    Check {
        what: what.into(),
        ok: false,
        advice: advice.into(),
    }
}

/// Token, trust, reachability, repository, visibility and expiry, in this order; what depends on a failed
/// check is left out. Takes at most a few requests and their time limits.
pub fn check(config: &config::Github, credentials: Option<PathBuf>, now: Timestamp) -> Vec<Check> {
    match Https::new(Duration::from_secs(config.timeout_s), &config.ca_file) {
        Ok(https) => {
            let settings = Settings {
                github: config.clone(),
                credentials,
                reopen: Duration::ZERO,
            };
            check_over(&settings, Box::new(https), now)
        }
        Err(why) => vec![bad(format!("trusted roots: {why}"), why.hint())],
    }
}

/// The same over any transport.
pub fn check_over(
    settings: &Settings,
    transport: Box<dyn Transport + Send>,
    now: Timestamp,
) -> Vec<Check> {
    let github = &settings.github;
    let mut checks = Vec::new();
    let file = PathBuf::from(&github.token_file);
    let token = match token::read(&file, settings.credentials.as_deref()) {
        Ok(token) => token,
        Err(error) => return vec![bad(format!("token file: {error}"), error.hint())],
    };
    checks.push(match token.expose().starts_with("ghp_") {
        false => good("token file is readable by its owner alone"),
        true => bad(
            "token is a classic one, valid for every repository of its user",
            "use a fine-grained token with 'Issues: write' on this repository only",
        ),
    });
    let mut api = Api::new(transport, &github.api_url, &github.repository);
    api.token = Some(token);
    match api.repository(now) {
        Ok(repository) => {
            checks.push(good(format!("{} answers", github.api_url)));
            checks.extend(about(&repository, github));
        }
        Err(failure) => {
            checks.push(explain(failure, github, now));
            return checks;
        }
    }
    checks.push(clock(&api, now));
    checks.extend(expiry(api.token_expires.as_deref(), api.server_time(now)));
    checks
}

fn about(repository: &Repository, github: &config::Github) -> Vec<Check> {
    let name = &github.repository;
    let mut checks = vec![if repository.private {
        good(format!("{name} is private"))
    } else if github.allow_public {
        good(format!("{name} is public, as the configuration allows"))
    } else {
        bad(
            format!("{name} is public"),
            "issues hold data of this host: use a private repository, or set escalation.github.allow_public",
        )
    }];
    if repository.archived {
        checks.push(bad(
            format!("{name} is archived"),
            "unarchive it or name another",
        ));
    }
    if repository.has_issues == Some(false) {
        checks.push(bad(
            format!("{name} has issues switched off"),
            "switch them on in the repository's settings",
        ));
    }
    let moved =
        !repository.full_name.is_empty() && !repository.full_name.eq_ignore_ascii_case(name);
    if moved {
        checks.push(bad(
            format!("{name} is now {}", repository.full_name),
            "deliveries follow it; write the new name into escalation.github.repository",
        ));
    }
    checks
}

fn explain(failure: Failure, github: &config::Github, now: Timestamp) -> Check {
    let url = &github.api_url;
    match failure {
        Failure::NotSent(why) => bad(
            format!("{url} cannot be reached: {why}"),
            "check uplink, name resolution, proxy and clock; a certificate of your own goes into escalation.github.ca_file",
        ),
        Failure::Unknown(why) | Failure::Unreadable(why) => bad(
            format!("{url} does not answer as it should: {why}"),
            "check that api_url names a GitHub API (for an Enterprise server it ends in /api/v3)",
        ),
        Failure::Elsewhere(why) => bad(why, "write the new address into escalation.github.api_url"),
        Failure::Status(reply) => {
            let what = format!("{url}: {}", reply.describe());
            match reply.judgement(now) {
                ReplyJudgement::Limited(_) => bad(what, "wait: deliveries do the same"),
                ReplyJudgement::Forbidden => bad(
                    what,
                    "replace the token: it is wrong, expired or lacks a right",
                ),
                ReplyJudgement::Missing | ReplyJudgement::Gone => bad(
                    what,
                    format!(
                        "check that {} exists and that the token has 'Issues: write' on it",
                        github.repository
                    ),
                ),
                ReplyJudgement::Done | ReplyJudgement::Refused | ReplyJudgement::Unclear => {
                    bad(what, "try again later")
                }
            }
        }
    }
}

fn clock(api: &Api, now: Timestamp) -> Check {
    let server = api.server_time(now);
    let off = server.since(now).max(now.since(server));
    if off <= CLOCK_TOLERANCE {
        good("clock agrees with the server's")
    } else {
        bad(
            format!("clock is {} s away from the server's", off.as_secs()),
            "set the clock: certificates are checked against it",
        )
    }
}

/// GitHub tells `2026-01-31 12:00:00 UTC` or with an offset; only the date and time count here.
fn expiry(text: Option<&str>, now: Timestamp) -> Option<Check> {
    let at = text?.get(..19)?.parse::<Timestamp>().ok()?;
    Some(if at.minus(EXPIRY_WARNING) > now {
        good(format!("token is valid until {at} UTC"))
    } else {
        bad(
            format!("token ends at {at} UTC"),
            "make a new one and write it into the token file; no restart is needed",
        )
    })
}
