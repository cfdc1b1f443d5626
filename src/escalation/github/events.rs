//! Reads what happened on issues, with ETags: an answer without news costs no part of the rate limit.

use std::time::Duration;

use super::Settings;
use crate::core::human::feedback::IssueEvent;
use crate::core::human::reply::ReplyJudgement;
use crate::core::model::hint::Hint;
use crate::core::model::id::IssueNumber;
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::escalation::http::Transport;
use crate::escalation::issues::api::{Api, Failure};
use crate::escalation::issues::vendor::Vendor;
use crate::escalation::token;

/// Pages read of one issue in one look.
const PAGES_MOST: u32 = 10;
/// After a limit without a time.
const LIMIT_REST: Duration = Duration::from_secs(900);

/// Why a look gave nothing, and how long to leave it.
#[derive(Debug)]
pub struct NotRead {
    pub why: String,
    pub rest: Option<Duration>,
}

/// Where a look goes on: events come oldest first.
#[derive(Clone, Debug)]
struct Place {
    page: u32,
    etag: Option<String>,
}

/// Reads events of issues.
#[derive(Debug)]
pub struct Events {
    settings: Settings,
    api: Api,
    places: SortedMap<IssueNumber, Place>,
}

impl Events {
    pub fn new(settings: Settings, transport: Box<dyn Transport + Send>) -> Self {
        let github = &settings.github;
        let api = Api::new(
            Vendor::GitHub,
            transport,
            &github.api_url,
            &github.repository,
        );
        Self {
            settings,
            api,
            places: SortedMap::new(),
        }
    }

    /// A time of ours by the server's clock, as far as it ever told.
    pub fn server_time(&self, at: Timestamp) -> Timestamp {
        self.api.server_time(at)
    }

    /// Forgets all but these issues.
    pub fn keep(&mut self, numbers: &[IssueNumber]) {
        self.places.retain(|number, _| numbers.contains(number));
    }

    /// Events of an issue since the last look, or of all of it at the first; some may come twice.
    pub fn of(&mut self, number: IssueNumber, now: Timestamp) -> Result<Vec<IssueEvent>, NotRead> {
        let file = std::path::PathBuf::from(&self.settings.github.token_file);
        let read = token::read(&file, self.settings.credentials.as_deref());
        self.api.token = Some(read.map_err(|error| NotRead {
            why: error.with_hint(),
            rest: None,
        })?);
        self.api.begin_attempt();
        let mut all = Vec::new();
        let place = self.places.get(&number).cloned();
        let mut place = place.unwrap_or(Place {
            page: 1,
            etag: None,
        });
        for _ in 0..PAGES_MOST {
            let etag = place.etag.as_deref();
            let answer = self.api.events(number, place.page, etag, now);
            let Some((events, full, etag)) = answer.map_err(|why| not_read(why, now))? else {
                break;
            };
            all.extend(events);
            if !full {
                place.etag = etag;
                break;
            }
            place = Place {
                page: place.page + 1,
                etag: None,
            };
        }
        self.places.insert(number, place);
        Ok(all)
    }
}

fn not_read(failure: Failure, now: Timestamp) -> NotRead {
    let (why, rest) = match failure {
        Failure::NotSent(why)
        | Failure::Unknown(why)
        | Failure::Elsewhere(why)
        | Failure::Unreadable(why) => (why, None),
        Failure::Status(reply) => {
            let rest = if let ReplyJudgement::Limited(after) = reply.judgement(now) {
                Some(after.unwrap_or(LIMIT_REST))
            } else {
                None
            };
            (reply.describe(), rest)
        }
    };
    NotRead { why, rest }
}
