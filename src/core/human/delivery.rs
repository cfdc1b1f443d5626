//! What is delivered to a human and how far it got. Pure: a decision in, a decision out.
//!
//! An outbox row goes pending -> sending (committed before the first write) -> confirmed, unknown or dead.
//! `unknown` means that a write may have happened: nobody writes again before having looked, twice.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::core::model::finding::Severity;
use crate::core::model::hex::hex;
use crate::core::model::id::{IssueNumber, OutboxId, TaskId};
use crate::core::model::named::named;
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;

/// After a write with an unknown outcome: time before the first look. The remote side may still be at it.
pub const FIRST_LOOK_AFTER: Duration = Duration::from_secs(60);
/// Time between two looks that found nothing and the permission to write again.
pub const SECOND_LOOK_AFTER: Duration = Duration::from_secs(300);
/// Between looks for something that was accepted but cannot be seen.
pub const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(3_600);

/// No row is ever put off longer than this (a day's cap or limit, spread a little). One that seems to be was
/// booked while the clock was wrong, and is due.
pub const PUT_OFF_MOST: Duration = Duration::from_secs(30 * 3_600);

const _: () = assert!(crate::core::config::DELAY_MOST_S < PUT_OFF_MOST.as_secs());
const _: () =
    assert!(crate::core::human::reply::WAIT_MOST.as_secs() * 11 / 10 < PUT_OFF_MOST.as_secs());
const _: () = assert!(FIRST_LOOK_AFTER.as_secs() < SECOND_LOOK_AFTER.as_secs());

/// Name in hidden markers and labels.
const MARKER: &str = "autonomous-orchestrator";

/// SHA-256 of the fields, each preceded by its length as 8 bytes, little endian.
pub(super) fn digest(fields: &[&str]) -> String {
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field.as_bytes());
    }
    hex(&hash.finalize())
}

/// Hidden comment that tells an issue's key.
pub fn marker(key: &str) -> String {
    format!("<!-- {MARKER}:{key} -->")
}

/// Label by which an issue is listed: `ao-` and the first 12 hex of the key.
pub fn label(key: &str) -> String {
    format!("ao-{}", key.get(..12).unwrap_or(key))
}

/// True when `body` carries the marker on a line of its own. Text quoted from logs cannot
/// (see `defuse`), so a line of a log that spells a marker claims no issue.
pub fn is_marked(body: &str, marker: &str) -> bool {
    body.lines().any(|line| line.trim() == marker)
}

/// Breaks anything in untrusted text that could be read as one of our markers.
pub fn defuse(text: &str) -> String {
    text.replace("<!--", "<! --")
}

named! {
    /// What a row asks for.
    Operation "operation" {
        /// Opens an issue, unless one with the delivery key is found.
        Create = "create",
        /// Adds to the issue and renews its status block.
        Comment = "comment",
        /// Says how it ended and closes the issue.
        Close = "close",
        /// Opens the issue of the last episode again; one closed long ago is followed by a new one.
        Reopen = "reopen",
    }
}

named! {
    /// How far a row got.
    State "state of a delivery" {
        /// Certainly not delivered: to be sent when due.
        Pending = "pending",
        /// An attempt is under way; found after a start, it counts as unknown.
        Sending = "sending",
        /// The destination has it.
        Confirmed = "confirmed",
        /// It may have arrived: looked for before it is sent again.
        Unknown = "unknown",
        /// Refused for good, or given up by a human: never sent again.
        Dead = "dead",
        /// Over, or told by another row, before it was sent.
        Cancelled = "cancelled",
    }
}

/// One outbox row.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Of the row; one alone may be used again after a restore.
    pub id: OutboxId,
    /// Its rows, and those of its earlier lives, are delivered in order.
    pub task_id: TaskId,
    /// `github`, or the name of a further one.
    pub destination: String,
    /// What is asked of the destination.
    pub operation: Operation,
    /// As it was when the row was read.
    pub state: State,
    /// Times it was marked as sending.
    pub attempts: u32,
    /// JSON, see `Payload`.
    pub payload: String,
    /// 64 hex, see [`crate::core::model::audit::delivery_key`].
    pub delivery_key: String,
    /// Of the task; `None` while there is no issue.
    pub issue_number: Option<IssueNumber>,
    /// When the change that it tells of was committed.
    pub created_at: Timestamp,
    /// Not tried before.
    pub next_at: Timestamp,
    /// Doubles as the durable memory between two attempts, see `Note`.
    pub last_error: Option<String>,
    /// The most severe goes first.
    pub severity: Severity,
    /// Writer of the line that alone tells of its task; `None` for what the host confirms, which goes first.
    pub said_by: Option<String>,
}

/// Caps held a row that was merely said for this long, while it could have been sent: then a summary tells of it.
pub const HELD_MOST: Duration = Duration::from_secs(24 * 3_600);

/// Whose new issues a bound counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted<'a> {
    /// Every one.
    All,
    /// Those that only lines tell of.
    Said,
    /// Those of one writer of lines.
    SaidBy(&'a str),
}

/// The bounds that a new issue has to keep where `most` may be opened. A quarter is kept for what is critical and
/// confirmed, half for what is confirmed; of the rest no writer of lines has more than half. Never less than one.
pub fn bounds(most: u32, severity: Severity, said_by: Option<&str>) -> Vec<(Counted<'_>, u32)> {
    let Some(writer) = said_by else {
        let reserved = if severity == Severity::Critical {
            0
        } else {
            most / 4
        };
        return vec![(Counted::All, most.saturating_sub(reserved))];
    };
    let said = (most / 2).max(most.min(1));
    vec![
        (Counted::All, most.saturating_sub(most / 4)),
        (Counted::Said, said),
        (Counted::SaidBy(writer), (said / 2).max(most.min(1))),
    ]
}

impl Delivery {
    /// Hidden comment that tells this very row, so that a comment is written once.
    pub fn row_marker(&self) -> String {
        marker(&self.row_key())
    }

    /// The same in every repeat of this row, and of no other: the id alone may be used again after a restore.
    pub(crate) fn row_key(&self) -> String {
        let part = digest(&[
            &self.delivery_key,
            self.operation.as_str(),
            &self.id.to_string(),
            &self.created_at.to_string(),
        ]);
        format!(
            "{}:{}",
            label(&self.delivery_key),
            part.get(..16).unwrap_or(&part)
        )
    }

    /// What earlier attempts left behind.
    pub(crate) fn note(&self) -> Note {
        Note::parse(self.last_error.as_deref().unwrap_or(""))
    }
}

/// Content of a row. Every field may be missing; unknown ones are ignored, so that a newer store can add some.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Payload {
    pub title: String,
    /// Markdown of a new issue.
    pub body: String,
    /// Markdown of a comment; where empty, `message` or else `body` is written.
    pub comment: String,
    /// New text of the status block; empty = leave it.
    pub status: String,
    /// Why the task was closed, for `close`.
    pub resolution: String,
    /// One sentence, used where `comment` is empty.
    pub message: String,
    /// Issue of the previous episode, which a new issue links to.
    pub previous_issue: Option<IssueNumber>,
    /// Why a human is asked, in one line.
    pub reason: String,
    /// Digest of the action that the text shows and asks for.
    pub proposal: Option<String>,
    /// That action with all its terms.
    pub action: String,
    /// What kind it is.
    pub action_kind: String,
    /// The task in single words, for destinations that do not read Markdown.
    pub facts: SortedMap<String, String>,
}

/// A row's payload is not what this version writes.
#[derive(Debug)]
pub struct PayloadError(serde_json::Error);

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the payload is not readable: {}", self.0)
    }
}

impl Error for PayloadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

impl Payload {
    pub fn parse(json: &str) -> Result<Self, PayloadError> {
        serde_json::from_str(json).map_err(PayloadError)
    }

    /// Text of the comment to write, if any.
    pub fn comment_text(&self) -> Option<&str> {
        [&self.comment, &self.message, &self.body]
            .into_iter()
            .map(|text| text.trim())
            .find(|text| !text.is_empty())
    }
}

/// What must be remembered between attempts, across restarts: kept at the start of the row's `last_error`,
/// in words a human can read there. A note that cannot be read only costs one more look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// The remote side answered that it was created: never create again.
    pub accepted: bool,
    /// The comment of this row is written; what remains may be repeated.
    pub commented: bool,
    /// Labels and assignees were refused: send without.
    pub plain: bool,
    /// Remote time of the first look that found nothing.
    pub looked: Option<Timestamp>,
    /// Time that the caps held it back while it could have been sent.
    pub held: Duration,
    /// When the caps held it back last.
    pub capped: Option<Timestamp>,
}

impl Note {
    pub fn parse(text: &str) -> Self {
        Self::split(text).0
    }

    /// The note, and the reason after it.
    pub fn split(text: &str) -> (Self, &str) {
        let mut note = Self::default();
        let mut rest = text.trim_start();
        while let Some((word, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        {
            match word {
                "accepted" => note.accepted = true,
                "commented" => note.commented = true,
                "plain" => note.plain = true,
                other => match other.split_once(' ') {
                    Some(("looked", at)) => note.looked = at.parse().ok(),
                    Some(("capped", at)) => note.capped = at.parse().ok(),
                    Some(("held", seconds)) => {
                        note.held = seconds.parse().map_or(Duration::ZERO, Duration::from_secs);
                    }
                    _ => break,
                },
            }
            rest = after.trim_start();
        }
        (note, rest)
    }

    /// The note followed by the reason, as it is stored.
    pub fn with(&self, why: &str) -> String {
        let mut text = String::new();
        for (set, word) in [
            (self.accepted, "accepted"),
            (self.commented, "commented"),
            (self.plain, "plain"),
        ] {
            if set {
                let _ = write!(text, "[{word}] ");
            }
        }
        if let Some(at) = self.looked {
            let _ = write!(text, "[looked {at}] ");
        }
        if !self.held.is_zero() {
            let _ = write!(text, "[held {}] ", self.held.as_secs());
        }
        if let Some(at) = self.capped {
            let _ = write!(text, "[capped {at}] ");
        }
        // A server's words may begin like a note.
        if Self::parse(why) != Self::default() {
            text.push_str(": ");
        }
        text + why
    }
}

/// What to do after a look that found nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterLook {
    /// Seen empty often enough: write.
    Write,
    /// Look again after this time, with this note.
    Wait(Duration, Note),
    /// It was accepted and cannot be found: it counts as delivered.
    GiveUpLooking,
}

/// Decides after an empty look. `remote_now` is the remote side's clock, so that a jump of ours between two
/// starts cannot shorten the wait.
pub fn after_empty_look(state: State, note: &Note, remote_now: Timestamp) -> AfterLook {
    if state == State::Pending && !note.accepted {
        return AfterLook::Write;
    }
    let first = note.looked.filter(|first| *first <= remote_now);
    let Some(first) = first else {
        let note = Note {
            looked: Some(remote_now),
            ..note.clone()
        };
        return AfterLook::Wait(SECOND_LOOK_AFTER, note);
    };
    let waited = remote_now.since(first);
    if waited < SECOND_LOOK_AFTER {
        return AfterLook::Wait(SECOND_LOOK_AFTER.saturating_sub(waited), note.clone());
    }
    if note.accepted {
        AfterLook::GiveUpLooking
    } else {
        AfterLook::Write
    }
}

/// Outcome of one attempt. Spans count from the attempt's `now`.
#[derive(Clone, Debug, PartialEq)]
pub enum DeliveryStep {
    Confirmed {
        number: Option<IssueNumber>,
        url: Option<String>,
    },
    /// Nothing was done, or all that was done may be repeated.
    Retry {
        after: Duration,
        note: Note,
        why: String,
    },
    /// A write may have happened.
    Unknown {
        after: Duration,
        note: Note,
        why: String,
    },
    /// Will never work.
    Dead { why: String },
    /// Concerns the whole destination: nothing else is tried before the hold ends. Nothing was written,
    /// or all that was written is in the note.
    Hold { hold: Hold, note: Note },
}

/// Why a destination takes nothing now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Not reachable: nothing was sent.
    Offline { why: String },
    /// Reachable, but in trouble; this row waits a little longer than the others.
    Trouble { why: String },
    /// Asked to wait; without a time, the courier chooses one that grows.
    Limited {
        after: Option<Duration>,
        why: String,
    },
    /// A human has to change something: token, permission, visibility.
    Parked { why: String },
}

impl Hold {
    pub fn why(&self) -> &str {
        match self {
            Self::Offline { why }
            | Self::Trouble { why }
            | Self::Limited { why, .. }
            | Self::Parked { why } => why,
        }
    }
}

/// Exponential back-off: `base` doubled per attempt up to `most`, then spread over up to a half more
/// by `spread` (see [`spread`]), so that a thousand gateways do not return in step.
pub fn backoff(base: Duration, most: Duration, attempts: u32, spread: u32) -> Duration {
    let grown = base.saturating_mul(1u32.checked_shl(attempts.min(20)).unwrap_or(u32::MAX));
    let span = grown.min(most);
    span.saturating_add(span.saturating_mul(spread.min(1000)) / 2000)
}

/// A number in 0..1000 that is this gateway's own for this purpose.
pub fn spread(gateway_id: &str, purpose: &str) -> u32 {
    let text = digest(&[gateway_id, purpose]);
    text.get(..8)
        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
        .unwrap_or(0)
        % 1000
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_quoted_marker_claims_nothing() {
        let marker = marker("00");
        assert!(is_marked(&format!("text\n{marker}\n"), &marker));
        assert!(!is_marked(&format!("say {marker}"), &marker));
        assert!(!is_marked(&defuse(&format!("\n{marker}\n")), &marker));
    }

    #[test]
    fn notes_round_trip_and_survive_nonsense() {
        let note = Note {
            accepted: true,
            commented: true,
            plain: false,
            looked: Some(Timestamp::from_millis(1_763_878_648_123)),
            held: Duration::from_secs(3_600),
            capped: Some(Timestamp::from_millis(1_763_878_648_124)),
        };
        for why in ["[503] server error", "[plain] says the server"] {
            let text = note.with(why);
            let (parsed, rest) = Note::split(&text);
            assert_eq!(parsed, note);
            assert_eq!(rest.trim_start_matches(": "), why);
        }
        assert_eq!(Note::parse("[looked yesterday] x"), Note::default());
        assert_eq!(Note::parse("[unclosed"), Note::default());
    }

    #[test]
    fn unknown_writes_again_only_after_two_looks_far_enough_apart() {
        let t0 = Timestamp::from_millis(1_763_878_648_000);
        let AfterLook::Wait(span, note) = after_empty_look(State::Unknown, &Note::default(), t0)
        else {
            unreachable!("the first look never allows a write")
        };
        assert_eq!(span, SECOND_LOOK_AFTER);
        let early = t0.plus(Duration::from_secs(100));
        assert_eq!(
            after_empty_look(State::Unknown, &note, early),
            AfterLook::Wait(Duration::from_secs(200), note.clone())
        );
        let late = t0.plus(SECOND_LOOK_AFTER);
        assert_eq!(
            after_empty_look(State::Unknown, &note, late),
            AfterLook::Write
        );
        // A remote clock that ran backwards makes the first look worthless.
        assert!(matches!(
            after_empty_look(State::Unknown, &note, t0.minus(Duration::from_secs(1))),
            AfterLook::Wait(SECOND_LOOK_AFTER, _)
        ));
        let accepted = Note {
            accepted: true,
            ..note
        };
        assert_eq!(
            after_empty_look(State::Unknown, &accepted, late),
            AfterLook::GiveUpLooking
        );
        assert_eq!(
            after_empty_look(State::Pending, &Note::default(), t0),
            AfterLook::Write
        );
    }

    #[test]
    fn backoff_grows_is_bounded_and_spread() {
        let (base, most) = (Duration::from_secs(30), Duration::from_secs(900));
        assert_eq!(backoff(base, most, 0, 0), base);
        assert_eq!(backoff(base, most, 3, 0), Duration::from_secs(240));
        assert_eq!(backoff(base, most, u32::MAX, 1000), most.mul_f32(1.5));
        assert!(spread("a", "x") < 1000);
        assert_ne!(spread("gateway-1", "x"), spread("gateway-2", "x"));
    }

    #[test]
    fn a_payload_may_lack_everything() {
        assert_eq!(Payload::parse("{}").unwrap(), Payload::default());
        assert!(Payload::parse("[").is_err());
        let payload = Payload::parse(r#"{"message":" back ","later":1}"#).unwrap();
        assert_eq!(payload.comment_text(), Some("back"));
    }

    #[test]
    fn slots_are_kept_for_what_is_critical_and_for_what_is_confirmed() {
        use Counted::{All, Said, SaidBy};
        let of = |most, severity, said_by| bounds(most, severity, said_by);
        for most in [1, 3, 10] {
            assert_eq!(of(most, Severity::Critical, None), [(All, most)]);
        }
        assert_eq!(of(10, Severity::Error, None), [(All, 8)]);
        assert_eq!(of(3, Severity::Error, None), [(All, 3)]);
        let said = |most| of(most, Severity::Critical, Some("a"));
        assert_eq!(said(10), [(All, 8), (Said, 5), (SaidBy("a"), 2)]);
        assert_eq!(said(3), [(All, 3), (Said, 1), (SaidBy("a"), 1)]);
        assert_eq!(said(1), [(All, 1), (Said, 1), (SaidBy("a"), 1)]);
        assert_eq!(said(0), [(All, 0), (Said, 0), (SaidBy("a"), 0)]);
    }

    #[test]
    fn names_round_trip() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        for operation in Operation::ALL {
            assert_eq!(operation.as_str().parse(), Ok(*operation));
        }
    }
}
