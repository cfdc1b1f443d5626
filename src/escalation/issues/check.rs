//! What `doctor` says about the way to the tracker. Reads only.

use std::time::Duration;

use super::IssuePlace;
use super::api::{Api, Failure, Repository};
use super::vendor::Vendor;
use crate::core::human::reply::ReplyJudgement;
use crate::core::model::hint::Hint;
use crate::core::model::time::Timestamp;
use crate::escalation::http::{Https, Transport};

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

/// Token, trust, reachability, repository, visibility, rights and expiry, in this order; what depends on a failed
/// check is left out. Takes at most a few requests and their time limits.
pub fn check(place: &IssuePlace, timeout: Duration, ca_file: &str, now: Timestamp) -> Vec<Check> {
    match Https::new(timeout, ca_file) {
        Ok(https) => check_over(place, Box::new(https), now),
        Err(why) => vec![bad(format!("trusted roots: {why}"), why.hint())],
    }
}

/// The same over any transport.
pub fn check_over(
    place: &IssuePlace,
    transport: Box<dyn Transport + Send>,
    now: Timestamp,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let token = match place.read_token() {
        Ok(token) => token,
        Err(error) => return vec![bad(format!("token file: {error}"), error.hint())],
    };
    let is_classic = place.vendor == Vendor::GitHub && token.expose().starts_with("ghp_");
    checks.push(match is_classic {
        false => good("token file is readable by its owner alone"),
        true => bad(
            "token is a classic one, valid for every repository of its user",
            "use a fine-grained token with 'Issues: write' on this repository only",
        ),
    });
    let mut api = Api::new(place.vendor, transport, &place.url, &place.project);
    api.token = Some(token);
    match api.repository(now) {
        Ok(repository) => {
            checks.push(good(format!("{} answers", place.url)));
            checks.extend(about(&repository, place));
            checks.extend(rights(&repository, place));
        }
        Err(failure) => {
            checks.push(explain(failure, place, now));
            return checks;
        }
    }
    checks.push(clock(&api, now));
    if place.vendor == Vendor::GitLab {
        checks.extend(token_itself(&mut api, now));
    }
    checks.extend(expiry(api.token_expires.as_deref(), api.server_time(now)));
    checks
}

fn about(repository: &Repository, place: &IssuePlace) -> Vec<Check> {
    let (name, noun) = (&place.project, place.vendor.noun());
    let mut checks = vec![if repository.is_private(place.vendor) {
        good(format!("{name} is private"))
    } else if place.allow_public {
        good(format!("{name} is public, as the configuration allows"))
    } else {
        bad(
            format!("{name} is public"),
            format!(
                "issues hold data of this host: use a private {noun}, or set {}",
                place.key("allow_public")
            ),
        )
    }];
    if repository.archived {
        checks.push(bad(
            format!("{name} is archived"),
            "unarchive it or name another",
        ));
    }
    if !repository.takes_issues() {
        checks.push(bad(
            format!("{name} has issues switched off"),
            format!("switch them on in the {noun}'s settings"),
        ));
    }
    let moved =
        !repository.full_name.is_empty() && !repository.full_name.eq_ignore_ascii_case(name);
    if moved {
        let key = match place.vendor {
            Vendor::GitHub => "repository",
            Vendor::Gitea | Vendor::GitLab => "project",
        };
        checks.push(bad(
            format!("{name} is now {}", repository.full_name),
            format!(
                "deliveries follow it; write the new name into {}",
                place.key(key)
            ),
        ));
    }
    checks
}

/// Whether labels can be set: without, an issue is found again by who opened it and its hidden mark.
fn rights(repository: &Repository, place: &IssuePlace) -> Option<Check> {
    let may = |key: &str| repository.permissions.get(key)?.as_bool();
    let level = |of: &str| {
        repository
            .permissions
            .get(of)?
            .get("access_level")?
            .as_i64()
    };
    let sets_labels = match place.vendor {
        Vendor::GitHub => return None,
        Vendor::Gitea => may("push")? || may("admin") == Some(true),
        // 15 = Planner, 20 = Reporter.
        Vendor::GitLab => level("project_access").max(level("group_access"))? >= 15,
    };
    Some(if sets_labels {
        good("token may set labels")
    } else {
        bad(
            "token may not set labels: issues are opened without",
            format!(
                "give its user {} on {}",
                place.vendor.right(),
                place.project
            ),
        )
    })
}

/// GitLab tells of the token when it is asked; an older one does not.
fn token_itself(api: &mut Api, now: Timestamp) -> Option<Check> {
    let token = api.token_itself(now).ok()?;
    if let Some(day) = token.get("expires_at").and_then(|at| at.as_str()) {
        api.token_expires = Some(format!("{day} 00:00:00"));
    }
    let scopes = token.get("scopes")?.as_array()?;
    let writes = scopes.iter().any(|scope| scope.as_str() == Some("api"));
    Some(if writes {
        good("token has the scope 'api'")
    } else {
        bad(
            "token may read only",
            "make one with the scope 'api' and write it into the token file; no restart is needed",
        )
    })
}

fn explain(failure: Failure, place: &IssuePlace, now: Timestamp) -> Check {
    let url = &place.url;
    let (address, base) = match place.vendor {
        Vendor::GitHub => (
            "api_url",
            "check that api_url names a GitHub API (for an Enterprise server it ends in /api/v3)",
        ),
        Vendor::Gitea | Vendor::GitLab => (
            "url",
            "check that url is the server's own address, as in https://git.plant.example",
        ),
    };
    match failure {
        Failure::NotSent(why) => bad(
            format!("{url} cannot be reached: {why}"),
            format!(
                "check uplink, name resolution, proxy and clock; a certificate of your own goes into {}",
                place.key("ca_file")
            ),
        ),
        Failure::Unknown(why) | Failure::Unreadable(why) => {
            bad(format!("{url} does not answer as it should: {why}"), base)
        }
        Failure::Elsewhere(why) => bad(
            why,
            format!("write the new address into {}", place.key(address)),
        ),
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
                        "check that {} exists and that the token has {} on it",
                        place.project,
                        place.vendor.right()
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

/// `2026-01-31 12:00:00 UTC` or with an offset; only the date and time count here.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::core::config::Config;
    use crate::escalation::http::{Request, Response, SendError};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    /// Answers with this to whatever ends so; 404 to the rest.
    #[derive(Debug)]
    struct Wire(Vec<(&'static str, &'static str)>);

    impl Transport for Wire {
        fn send(&self, request: &Request) -> Result<Response, SendError> {
            assert_eq!(request.token.as_ref().unwrap().expose(), "t0ken");
            let known = self.0.iter().find(|(end, _)| request.url.ends_with(end));
            Ok(Response {
                status: if known.is_some() { 200 } else { 404 },
                body: known.map_or("", |(_, body)| body).to_owned(),
                ..Response::default()
            })
        }
    }

    /// What is wrong, for this kind and these answers.
    fn wrong(kind: &str, answers: Vec<(&'static str, &'static str)>) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        std::fs::write(&token, "t0ken").unwrap();
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
        let text = format!(
            "[[notify]]\nname = \"forge\"\nkind = \"{kind}\"\nurl = \"https://git.plant/\"\nproject = \"p/g\"\ntoken_file = \"{}\"",
            token.display()
        );
        let config = Config::parse(&text).unwrap();
        let place = IssuePlace::of(config.tracker().unwrap(), None, Duration::ZERO).unwrap();
        check_over(&place, Box::new(Wire(answers)), NOW)
            .into_iter()
            .filter(|one| !one.ok)
            .map(|one| format!("{}: {}", one.what, one.advice))
            .collect()
    }

    #[test]
    fn what_a_forge_lacks_is_told_with_what_to_do() {
        const GITEA: &str = "/api/v1/repos/p/g";
        const GITLAB: &str = "/api/v4/projects/p%2Fg";
        const SELF: &str = "/api/v4/personal_access_tokens/self";
        let good =
            r#"{"full_name":"p/g","private":true,"has_issues":true,"permissions":{"push":true}}"#;
        assert!(wrong("gitea", vec![(GITEA, good)]).is_empty());
        let internal = r#"{"full_name":"p/g","private":false,"internal":true}"#;
        assert!(wrong("gitea", vec![(GITEA, internal)]).is_empty());
        let good = r#"{"path_with_namespace":"p/g","visibility":"private","issues_access_level":"enabled",
            "permissions":{"project_access":null,"group_access":{"access_level":20}}}"#;
        let token = r#"{"scopes":["api"],"expires_at":"2030-01-01"}"#;
        assert!(wrong("gitlab", vec![(GITLAB, good), (SELF, token)]).is_empty());
        // An older server tells nothing of the token.
        assert!(wrong("gitlab", vec![(GITLAB, good)]).is_empty());
        for (kind, answers, parts) in [
            (
                "gitea",
                vec![],
                vec!["check that p/g exists and that the token has 'write:issue'"],
            ),
            (
                "gitea",
                vec![(
                    GITEA,
                    r#"{"full_name":"p/h","archived":true,"has_issues":false,"permissions":{"push":false}}"#,
                )],
                vec![
                    "p/g is public: issues hold data of this host: use a private repository, or set allow_public of notify 'forge'",
                    "archived",
                    "switched off",
                    "p/g is now p/h",
                    "may not set labels",
                ],
            ),
            (
                "gitlab",
                vec![
                    (
                        GITLAB,
                        r#"{"path_with_namespace":"p/g","visibility":"public","issues_access_level":"disabled",
                        "permissions":{"project_access":{"access_level":10},"group_access":null}}"#,
                    ),
                    (SELF, r#"{"scopes":["read_api"],"expires_at":"2027-01-16"}"#),
                ],
                vec![
                    "use a private project",
                    "switched off",
                    "may not set labels",
                    "the scope 'api'",
                    "token ends at 2027-01-16",
                ],
            ),
        ] {
            let told = wrong(kind, answers);
            assert_eq!(told.len(), parts.len(), "{told:#?}");
            for (line, part) in told.iter().zip(parts) {
                assert!(line.contains(part), "{line}: {part}");
            }
        }
    }
}
