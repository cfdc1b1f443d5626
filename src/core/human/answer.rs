//! What a human answers from a phone: a button below a message, good for a quarter of an hour and once. Pure.
//!
//! A button carries the gateway, the task, the action and a number of its message, and a proof that we made it. Who may
//! press is told by the messenger; when, by its clock: ours may be wrong.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::core::model::action::{ActionKind, Risk};
use crate::core::model::hex::hex;
use crate::core::model::id::TaskId;
use crate::core::model::named::named;
use crate::core::model::proposal::{Digest, Proposal};
use crate::core::model::time::Timestamp;

/// So long after its message a button counts.
pub const LIVES: Duration = Duration::from_secs(15 * 60);
/// So far the messenger's own clocks may differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);
/// Most that a button carries, in bytes (<https://core.telegram.org/bots/api#inlinekeyboardbutton>).
const DATA_MOST: usize = 64;

named! {
    /// What a button asks for.
    AnswerKind "answer" {
        Acknowledge = "a",
        Snooze = "s",
        Approve = "y",
    }
}

impl AnswerKind {
    /// On the button.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Acknowledge => "I am on it",
            Self::Snooze => "Not for 24 h",
            Self::Approve => "Allow this once",
        }
    }

    /// In the audit.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Acknowledge => "ack",
            Self::Snooze => "snooze",
            Self::Approve => "approve",
        }
    }
}

/// True for an action that may be allowed from a phone: nothing above medium, no stop, nothing of the network, and no
/// command of the operator's, whose risk we only know from its declaration.
pub fn may_be_allowed(kind: ActionKind) -> bool {
    kind.risk() <= Risk::Medium
        && !matches!(
            kind,
            ActionKind::StopUnit
                | ActionKind::RestartInterface
                | ActionKind::RenewUplink
                | ActionKind::RunDeclared
        )
}

/// What proves that we made a button.
#[derive(Clone)]
pub struct AnswerKey {
    secret: String,
    /// When the store was restored last: what was made before proves nothing after.
    restored: String,
    gateway_id: String,
}

impl fmt::Debug for AnswerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswerKey")
    }
}

/// What a button that we made asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    pub verb: AnswerKind,
    pub task: TaskId,
    /// The first 12 hex of the action's digest; `-` where it is about none.
    pub action: String,
    /// Of this button alone: it counts once.
    pub nonce: String,
}

impl AnswerKey {
    pub fn new(secret: &str, restored: Option<Timestamp>, gateway_id: &str) -> Self {
        Self {
            secret: secret.to_owned(),
            restored: restored.map_or_else(String::new, |at| at.to_string()),
            gateway_id: gateway_id.to_owned(),
        }
    }

    /// Length-prefixed, and cut to 64 bits: nothing can be appended.
    fn proof(&self, parts: &[&str]) -> String {
        let mut hash = Sha256::new();
        let own = [
            "answer 1",
            self.secret.as_str(),
            self.restored.as_str(),
            self.gateway_id.as_str(),
        ];
        for part in own.iter().chain(parts) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let text = hex(&hash.finalize());
        text.get(..16).unwrap_or(&text).to_owned()
    }

    fn gateway(&self) -> &str {
        self.gateway_id.get(..8).unwrap_or(&self.gateway_id)
    }

    /// What the button carries; `message` tells this message from every other.
    pub fn data(
        &self,
        verb: AnswerKind,
        task: TaskId,
        action: Option<&Digest>,
        message: &str,
    ) -> Option<String> {
        let task = task.to_string();
        let action = action.map_or("-", Digest::short);
        let number = self.proof(&["message", message]);
        let number = number.get(..8)?;
        let proof = self.proof(&[verb.as_str(), &task, action, number]);
        let data = format!("{verb}.{task}.{action}.{number}.{proof}.{}", self.gateway());
        (data.len() <= DATA_MOST).then_some(data)
    }

    /// What it asks for, if we made it.
    pub fn read(&self, data: &str) -> Result<Button, AnswerVoid> {
        let parts: Vec<&str> = data.split('.').collect();
        let [verb, task, action, number, proof, gateway] = parts.as_slice() else {
            return Err(AnswerVoid::NotOurs);
        };
        if *gateway != self.gateway() {
            return Err(AnswerVoid::OtherGateway);
        }
        if self.proof(&[verb, task, action, number]) != *proof {
            return Err(AnswerVoid::NotOurs);
        }
        let known = verb.parse().ok().zip(task.parse::<i64>().ok());
        let (verb, task) = known.ok_or(AnswerVoid::NotOurs)?;
        Ok(Button {
            verb,
            task: TaskId::from_number(task),
            action: (*action).to_owned(),
            nonce: (*proof).to_owned(),
        })
    }
}

/// A press, as the messenger tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Press {
    /// Under which it is acknowledged.
    pub id: String,
    pub user: String,
    pub chat: String,
    /// Of the message with the button.
    pub message: i64,
    /// When that was sent, by the messenger's clock.
    pub sent_at: Option<Timestamp>,
    pub forwarded: bool,
    pub data: String,
}

/// Presses of an answer of `getUpdates`, and the number behind the last update.
pub fn presses(body: &str) -> (Vec<Press>, Option<i64>) {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let updates = body.get("result").and_then(Value::as_array);
    let mut found = Vec::new();
    let mut last = None;
    for update in updates.into_iter().flatten() {
        let id = update.get("update_id").and_then(Value::as_i64);
        last = last.max(id.map(|id| id.saturating_add(1)));
        let Some(query) = update.get("callback_query") else {
            continue;
        };
        let text = |path: &str| {
            let value = query.pointer(path)?;
            let number = value.as_i64().map(|number| number.to_string());
            number.or_else(|| value.as_str().map(str::to_owned))
        };
        let date = query.pointer("/message/date").and_then(Value::as_i64);
        found.push(Press {
            id: text("/id").unwrap_or_default(),
            user: text("/from/id").unwrap_or_default(),
            chat: text("/message/chat/id").unwrap_or_default(),
            message: query
                .pointer("/message/message_id")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            // A message that is not accessible any more has the date 0.
            sent_at: date
                .filter(|date| *date > 0)
                .map(|date| Timestamp::from_millis(date.saturating_mul(1_000))),
            forwarded: query.pointer("/message/forward_origin").is_some()
                || query.pointer("/message/forward_date").is_some(),
            data: text("/data").unwrap_or_default(),
        });
    }
    (found, last)
}

/// What a press is held against.
#[derive(Clone, Copy, Debug)]
pub struct AnswerBasis<'a> {
    /// Who is heard.
    pub users: &'a [String],
    /// Where we asked.
    pub chat: &'a str,
    /// By the messenger's clock.
    pub now: Option<Timestamp>,
    /// This button counted before.
    pub used: bool,
    pub is_open: bool,
    /// What the task proposes now.
    pub proposal: Option<&'a Proposal>,
}

/// Why a press counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerVoid {
    Stranger(String),
    OtherChat,
    Forwarded,
    OtherGateway,
    NotOurs,
    Undated,
    Expired,
    Used,
    Closed,
    NothingProposed,
    OtherAction,
    TooRisky(ActionKind),
}

impl fmt::Display for AnswerVoid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stranger(user) => write!(f, "{user} is not in answers_from"),
            Self::OtherChat => f.write_str("pressed in another chat"),
            Self::Forwarded => f.write_str("the message was forwarded"),
            Self::OtherGateway => f.write_str("it is another gateway's"),
            Self::NotOurs => f.write_str("this gateway did not make it, or was restored since"),
            Self::Undated => f.write_str("the messenger does not say when it was"),
            Self::Expired => f.write_str("older than 15 minutes"),
            Self::Used => f.write_str("it counted before"),
            Self::Closed => f.write_str("the task is over"),
            Self::NothingProposed => f.write_str("the task proposes nothing"),
            Self::OtherAction => f.write_str("the task proposes another action by now"),
            Self::TooRisky(kind) => write!(f, "{kind} is allowed on the gateway alone"),
        }
    }
}

/// Does this press count? With the action where it allows one.
pub fn judge(
    press: &Press,
    asked: &Button,
    basis: &AnswerBasis<'_>,
) -> Result<Option<Digest>, AnswerVoid> {
    if !basis.users.contains(&press.user) {
        return Err(AnswerVoid::Stranger(press.user.clone()));
    }
    if press.chat != basis.chat {
        return Err(AnswerVoid::OtherChat);
    }
    if press.forwarded {
        return Err(AnswerVoid::Forwarded);
    }
    let (sent, now) = press.sent_at.zip(basis.now).ok_or(AnswerVoid::Undated)?;
    // A message of the future is of no clock that we know.
    if sent > now.plus(CLOCKS_DIFFER) {
        return Err(AnswerVoid::Undated);
    }
    if now.since(sent) >= LIVES {
        return Err(AnswerVoid::Expired);
    }
    if basis.used {
        return Err(AnswerVoid::Used);
    }
    if !basis.is_open {
        return Err(AnswerVoid::Closed);
    }
    if asked.verb != AnswerKind::Approve {
        return Ok(None);
    }
    let proposal = basis.proposal.ok_or(AnswerVoid::NothingProposed)?;
    let digest = proposal.digest();
    if digest.short() != asked.action {
        return Err(AnswerVoid::OtherAction);
    }
    if !may_be_allowed(proposal.kind) {
        return Err(AnswerVoid::TooRisky(proposal.kind));
    }
    Ok(Some(digest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::proposal::Terms;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis((1_772_000_000 + second) * 1_000)
    }

    fn key() -> AnswerKey {
        AnswerKey::new("secret", None, "5f0c77aa5f0c77aa")
    }

    fn proposal(kind: ActionKind) -> Proposal {
        Proposal {
            kind,
            command: None,
            text: "restart web.service".to_owned(),
            terms: Terms::default(),
        }
    }

    const TASK: TaskId = TaskId::from_number(17);

    /// What the messenger tells of a press on the button of this kind.
    fn press(key: &AnswerKey, verb: AnswerKind, action: &Proposal) -> Press {
        let digest = action.digest();
        let digest = (verb == AnswerKind::Approve).then_some(&digest);
        Press {
            id: "1".to_owned(),
            user: "42".to_owned(),
            chat: "-100".to_owned(),
            message: 5,
            sent_at: Some(at(0)),
            forwarded: false,
            data: key.data(verb, TASK, digest, "m1").unwrap(),
        }
    }

    #[test]
    fn only_a_fresh_press_of_a_listed_human_in_our_chat_counts_and_once() {
        let action = proposal(ActionKind::RemountRw);
        let users = ["42".to_owned()];
        let good = press(&key(), AnswerKind::Approve, &action);
        let basis = AnswerBasis {
            users: &users,
            chat: "-100",
            now: Some(at(899)),
            used: false,
            is_open: true,
            proposal: Some(&action),
        };
        let of = |press: &Press, basis: &AnswerBasis<'_>| {
            let asked = key().read(&press.data)?;
            judge(press, &asked, basis)
        };
        assert_eq!(of(&good, &basis), Ok(Some(action.digest())));
        let with = |change: &dyn Fn(&mut Press)| {
            let mut press = good.clone();
            change(&mut press);
            of(&press, &basis)
        };
        let stranger = AnswerVoid::Stranger("43".to_owned());
        assert_eq!(with(&|one| one.user = "43".to_owned()), Err(stranger));
        assert_eq!(
            with(&|one| one.chat = "-200".to_owned()),
            Err(AnswerVoid::OtherChat)
        );
        assert_eq!(
            with(&|one| one.forwarded = true),
            Err(AnswerVoid::Forwarded)
        );
        assert_eq!(with(&|one| one.sent_at = None), Err(AnswerVoid::Undated));
        assert_eq!(
            with(&|one| one.sent_at = Some(at(-2))),
            Err(AnswerVoid::Expired)
        );
        // Our own clock may say 1970: the messenger's counts.
        assert_eq!(
            with(&|one| one.sent_at = Some(at(2_000))),
            Err(AnswerVoid::Undated)
        );
        for byte in 0..good.data.len() {
            let forged = with(&|one| {
                let mut data: Vec<char> = one.data.chars().collect();
                let other = if data.get(byte) == Some(&'0') {
                    '1'
                } else {
                    '0'
                };
                *data.get_mut(byte).unwrap() = other;
                one.data = data.into_iter().collect();
            });
            assert!(
                matches!(forged, Err(AnswerVoid::NotOurs | AnswerVoid::OtherGateway)),
                "{byte}"
            );
        }
        for (basis, void) in [
            (AnswerBasis { now: None, ..basis }, AnswerVoid::Undated),
            (
                AnswerBasis {
                    now: Some(at(900)),
                    ..basis
                },
                AnswerVoid::Expired,
            ),
            (
                AnswerBasis {
                    used: true,
                    ..basis
                },
                AnswerVoid::Used,
            ),
            (
                AnswerBasis {
                    is_open: false,
                    ..basis
                },
                AnswerVoid::Closed,
            ),
            (
                AnswerBasis {
                    proposal: None,
                    ..basis
                },
                AnswerVoid::NothingProposed,
            ),
            (
                AnswerBasis {
                    proposal: Some(&proposal(ActionKind::SyncClock)),
                    ..basis
                },
                AnswerVoid::OtherAction,
            ),
        ] {
            assert_eq!(of(&good, &basis), Err(void));
        }
    }

    #[test]
    fn another_gateway_and_a_restore_make_it_void() {
        let action = proposal(ActionKind::RemountRw);
        let other = AnswerKey::new("secret", None, "11111111ffff");
        let data = press(&other, AnswerKind::Approve, &action).data;
        assert_eq!(key().read(&data), Err(AnswerVoid::OtherGateway));
        let restored = AnswerKey::new("secret", Some(at(0)), "5f0c77aa5f0c77aa");
        let data = press(&key(), AnswerKind::Approve, &action).data;
        assert_eq!(restored.read(&data), Err(AnswerVoid::NotOurs));
        assert!(key().read(&data).is_ok());
    }

    #[test]
    fn what_is_risky_a_stop_or_of_the_network_is_allowed_on_the_gateway_alone() {
        let users = ["42".to_owned()];
        for kind in ActionKind::ALL {
            let action = proposal(*kind);
            let press = press(&key(), AnswerKind::Approve, &action);
            let basis = AnswerBasis {
                users: &users,
                chat: "-100",
                now: Some(at(1)),
                used: false,
                is_open: true,
                proposal: Some(&action),
            };
            let asked = key().read(&press.data).unwrap();
            let may = judge(&press, &asked, &basis).is_ok();
            let never = [
                ActionKind::StopUnit,
                ActionKind::RestartInterface,
                ActionKind::RenewUplink,
                ActionKind::RunDeclared,
            ];
            let want = kind.risk() <= Risk::Medium && !never.contains(kind);
            assert_eq!(may, want, "{kind}");
        }
    }

    #[test]
    fn updates_are_read_as_the_vendor_writes_them() {
        let body = r#"{"ok":true,"result":[
            {"update_id":7,"message":{"text":"hi"}},
            {"update_id":9,"callback_query":{"id":"4","from":{"id":42,"is_bot":false,"first_name":"A"},
              "message":{"message_id":5,"date":1772000000,"chat":{"id":-100,"type":"supergroup"}},
              "chat_instance":"1","data":"x"}},
            {"update_id":8,"callback_query":{"id":"5","from":{"id":43},"message":{"message_id":6,"date":0,"chat":{"id":-100}},"data":"y"}}]}"#;
        let (all, next) = presses(body);
        assert_eq!(next, Some(10));
        let [first, second] = all.as_slice() else {
            unreachable!("two presses")
        };
        assert_eq!(
            (first.user.as_str(), first.chat.as_str(), first.message),
            ("42", "-100", 5)
        );
        assert_eq!(first.sent_at, Some(at(0)));
        assert_eq!(second.sent_at, None);
        for nonsense in ["", "{}", "[1]", r#"{"result":[{"callback_query":7}]}"#] {
            let (all, next) = presses(nonsense);
            assert!(next.is_none() && all.iter().all(|one| one.data.is_empty()));
        }
    }
}
