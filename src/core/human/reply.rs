//! What an HTTP answer of a tracker means: done, wait, unknown, park or never.

use std::time::Duration;

use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::core::model::time::Timestamp;

const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// No wait asked of us is believed beyond this: a broken header must not silence the box for a year.
pub const WAIT_MOST: Duration = Duration::from_secs(24 * 3600);
/// Added to a reset time, whose resolution is a second.
const RESET_MARGIN: Duration = Duration::from_secs(1);

/// The parts of an answer that decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// `retry-after`: seconds or an HTTP date.
    pub retry_after: Option<String>,
    /// `x-ratelimit-remaining`.
    pub remaining: Option<String>,
    /// `x-ratelimit-reset`: seconds since the epoch, by the server's clock.
    pub reset: Option<String>,
    /// `date`.
    pub date: Option<String>,
    /// `message` of the JSON body, or the start of the body.
    pub message: String,
}

/// Meaning of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyJudgement {
    Done,
    /// Wait this long before any request; `None` = the answer names no time.
    Limited(Option<Duration>),
    /// Permission: a human has to act.
    Forbidden,
    /// 404: missing, or hidden from this token.
    Missing,
    /// 410; 423 where Gitea's repository is archived.
    Gone,
    /// 422 and the like: the same request will be refused again.
    Refused,
    /// Server trouble: the outcome of a write is unknown.
    Unclear,
}

impl Reply {
    /// The server's time, or `now` where it tells none.
    pub fn server_time(&self, now: Timestamp) -> Timestamp {
        self.date.as_deref().and_then(http_date).unwrap_or(now)
    }

    /// Text for logs and `last_error`.
    pub fn describe(&self) -> String {
        let message: String = self.message.chars().take(200).collect();
        format!("answer {} ({})", self.status, message.trim())
    }

    pub fn judgement(&self, now: Timestamp) -> ReplyJudgement {
        match self.status {
            200..=299 => ReplyJudgement::Done,
            401 => ReplyJudgement::Forbidden,
            403 | 429 => self.limit(now),
            404 => ReplyJudgement::Missing,
            410 | 423 => ReplyJudgement::Gone,
            408 | 425 | 500.. => ReplyJudgement::Unclear,
            400..=499 => ReplyJudgement::Refused,
            _ => ReplyJudgement::Unclear,
        }
    }

    /// 403 and 429: a limit where the answer says so, else permission.
    fn limit(&self, now: Timestamp) -> ReplyJudgement {
        let server = self.server_time(now);
        if let Some(text) = self.retry_after.as_deref() {
            let wait = match text.trim().parse::<u64>() {
                Ok(seconds) => Some(Duration::from_secs(seconds)),
                Err(_) => http_date(text).map(|at| at.since(server)),
            };
            return ReplyJudgement::Limited(wait.map(|wait| wait.max(RESET_MARGIN).min(WAIT_MOST)));
        }
        if self.remaining.as_deref().map(str::trim) == Some("0") {
            let wait = self
                .reset
                .as_deref()
                .and_then(|text| text.trim().parse::<i64>().ok())
                .map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000)).since(server));
            return ReplyJudgement::Limited(
                wait.map(|wait| wait.saturating_add(RESET_MARGIN).min(WAIT_MOST)),
            );
        }
        let message = self.message.to_ascii_lowercase();
        if self.status == 429 || message.contains("rate limit") || message.contains("abuse") {
            ReplyJudgement::Limited(None)
        } else {
            ReplyJudgement::Forbidden
        }
    }
}

/// Reads an IMF-fixdate, the only form that servers may send today.
pub fn http_date(text: &str) -> Option<Timestamp> {
    let at = PrimitiveDateTime::parse(text.trim(), HTTP_DATE).ok()?;
    Some(Timestamp::from_millis(
        at.assume_utc().unix_timestamp().saturating_mul(1000),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_763_878_648_000);
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn reply(status: u16) -> Reply {
        Reply {
            status,
            ..Reply::default()
        }
    }

    #[test]
    fn statuses_without_headers() {
        for (status, want) in [
            (200, ReplyJudgement::Done),
            (201, ReplyJudgement::Done),
            (301, ReplyJudgement::Unclear),
            (401, ReplyJudgement::Forbidden),
            (403, ReplyJudgement::Forbidden),
            (404, ReplyJudgement::Missing),
            (408, ReplyJudgement::Unclear),
            (410, ReplyJudgement::Gone),
            (413, ReplyJudgement::Refused),
            (422, ReplyJudgement::Refused),
            (423, ReplyJudgement::Gone),
            (429, ReplyJudgement::Limited(None)),
            (502, ReplyJudgement::Unclear),
            (599, ReplyJudgement::Unclear),
        ] {
            assert_eq!(reply(status).judgement(NOW), want, "{status}");
        }
    }

    #[test]
    fn every_form_of_a_limit() {
        let wait = |seconds| ReplyJudgement::Limited(Some(Duration::from_secs(seconds)));
        let mut limited = reply(403);
        limited.retry_after = Some("7".to_owned());
        assert_eq!(limited.judgement(NOW), wait(7));
        limited.retry_after = Some("99999999999".to_owned());
        assert_eq!(
            limited.judgement(NOW),
            ReplyJudgement::Limited(Some(WAIT_MOST))
        );
        limited.retry_after = Some("Sun, 06 Nov 1994 08:50:07 GMT".to_owned());
        limited.date = Some(DATE.to_owned());
        assert_eq!(limited.judgement(NOW), wait(30));
        limited.retry_after = Some("soon".to_owned());
        assert_eq!(limited.judgement(NOW), ReplyJudgement::Limited(None));
        limited.retry_after = Some("0".to_owned());
        assert_eq!(limited.judgement(NOW), wait(1));
    }

    #[test]
    fn a_reset_counts_by_the_servers_clock() {
        let mut limited = reply(403);
        limited.remaining = Some("0".to_owned());
        limited.date = Some(DATE.to_owned());
        // 784111777 is DATE; the local clock is thirty years ahead and does not matter.
        limited.reset = Some("784111837".to_owned());
        assert_eq!(
            limited.judgement(NOW),
            ReplyJudgement::Limited(Some(Duration::from_secs(61)))
        );
        limited.reset = None;
        assert_eq!(limited.judgement(NOW), ReplyJudgement::Limited(None));
        limited.remaining = Some("12".to_owned());
        assert_eq!(limited.judgement(NOW), ReplyJudgement::Forbidden);
        limited.message = "You have exceeded a secondary rate limit".to_owned();
        assert_eq!(limited.judgement(NOW), ReplyJudgement::Limited(None));
    }

    #[test]
    fn dates_that_are_none() {
        for text in ["", "yesterday", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(http_date(text), None);
        }
    }
}
