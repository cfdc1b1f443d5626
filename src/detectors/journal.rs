//! The journal, followed through `journalctl`: linking libsystemd would end the static binary.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};

use crate::core::model::manager_event::ManagerEvent;
use crate::core::model::time::Timestamp;
use crate::core::reading::journal_entry::{JournalJudge, JournalLine};
use crate::core::reading::manager_lines::{self, ManagerLine};
use crate::core::reading::writer::Trusted;
use crate::detectors::DetectError;
use crate::detectors::journal_early::{Early, PLACES};
use crate::detectors::journal_users::UnitUsers;
use crate::detectors::stream::{Collector, Sink, StreamContext, StreamEnd, StreamStop};
use crate::host::Host;
use crate::host::clock::CLOCK_FLOOR;
use crate::host::exec::{Command, ExecError};

/// Name of this stream, the key of its cursor.
pub const STREAM: &str = "journal";

const FIELDS: &str = "--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT,UNIT,JOB_ID,JOB_TYPE,JOB_RESULT,UNIT_RESULT,INVOCATION_ID,MESSAGE_ID,_PID,_UID,_AUDIT_LOGINUID,_TRANSPORT,COREDUMP_UNIT,COREDUMP_COMM,CONTAINER_NAME";
const FOLLOW: [&str; 7] = [
    "-q",
    "-o",
    "json",
    "--follow",
    "--no-tail",
    "--no-pager",
    FIELDS,
];
/// Longest entry, bytes: fields over 4096 bytes come as null, so this is never reached by an honest one.
const ENTRY_CAP: usize = 256 << 10;
const READ_CHUNK: usize = 64 << 10;
const QUERY_DEADLINE: Duration = Duration::from_secs(20);
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MOST: Duration = Duration::from_secs(60);
/// After this many ends in a row without a line the stream counts as broken.
const ENDS_MOST: u32 = 5;

/// One entry of `journalctl -o json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Entry<'a> {
    #[serde(rename = "__CURSOR", borrow)]
    pub cursor: Text<'a>,
    #[serde(rename = "__REALTIME_TIMESTAMP", borrow)]
    pub realtime_us: Text<'a>,
    #[serde(rename = "MESSAGE", borrow)]
    pub message: Text<'a>,
    #[serde(rename = "PRIORITY", borrow)]
    pub priority: Text<'a>,
    #[serde(rename = "SYSLOG_IDENTIFIER", borrow)]
    pub identifier: Text<'a>,
    #[serde(rename = "_SYSTEMD_UNIT", borrow)]
    pub unit: Text<'a>,
    #[serde(rename = "UNIT", borrow)]
    pub about: Text<'a>,
    #[serde(rename = "MESSAGE_ID", borrow)]
    pub message_id: Text<'a>,
    #[serde(rename = "JOB_ID", borrow)]
    pub job_id: Text<'a>,
    #[serde(rename = "JOB_TYPE", borrow)]
    pub job_type: Text<'a>,
    #[serde(rename = "JOB_RESULT", borrow)]
    pub job_result: Text<'a>,
    #[serde(rename = "UNIT_RESULT", borrow)]
    pub unit_result: Text<'a>,
    #[serde(rename = "INVOCATION_ID", borrow)]
    pub invocation_id: Text<'a>,
    #[serde(rename = "_PID", borrow)]
    pub pid: Text<'a>,
    #[serde(rename = "_UID", borrow)]
    pub uid: Text<'a>,
    #[serde(rename = "_AUDIT_LOGINUID", borrow)]
    pub login: Text<'a>,
    #[serde(rename = "_TRANSPORT", borrow)]
    pub transport: Text<'a>,
    #[serde(rename = "COREDUMP_UNIT", borrow)]
    pub coredump_unit: Text<'a>,
    #[serde(rename = "COREDUMP_COMM", borrow)]
    pub coredump_comm: Text<'a>,
    #[serde(rename = "CONTAINER_NAME", borrow)]
    pub container: Text<'a>,
}

/// A field: text, an array of bytes when it is not clean UTF-8, an array of texts when the field stands
/// several times (the first counts), or null when it is too long.
#[derive(Debug, Default)]
pub struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a journal field")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Text::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                #[derive(Deserialize)]
                #[serde(untagged)]
                enum Item {
                    Byte(u8),
                    Text(String),
                    Other(serde::de::IgnoredAny),
                }
                let mut bytes = Vec::new();
                let mut first = None;
                while let Some(item) = items.next_element::<Item>()? {
                    match item {
                        Item::Byte(byte) => bytes.push(byte),
                        Item::Text(text) => first = first.or(Some(text)),
                        Item::Other(_) => {}
                    }
                }
                let text = first.unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned());
                Ok(Text(Cow::Owned(text)))
            }
        }
        from.deserialize_any(Any)
    }
}

impl Entry<'_> {
    /// Parses one line of output; `None` when it is not an entry.
    pub fn parse(line: &[u8]) -> Option<Entry<'_>> {
        serde_json::from_slice(line).ok()
    }

    pub fn line(&self) -> JournalLine<'_> {
        JournalLine {
            message: self.message.as_str(),
            priority: self.priority.as_str(),
            identifier: self.identifier.as_str(),
            trusted: Trusted {
                transport: self.transport.as_str(),
                pid: self.pid.as_str(),
                uid: self.uid.as_str(),
                login: self.login.as_str(),
                unit: self.unit.as_str(),
                is_guest: false,
            },
            about: self.about.as_str(),
            message_id: self.message_id.as_str(),
            coredump_unit: self.coredump_unit.as_str(),
            coredump_comm: self.coredump_comm.as_str(),
            container: self.container.as_str(),
        }
    }

    /// What the service manager says in it, if it is the manager's.
    fn word(&self, now: Timestamp) -> Option<ManagerEvent> {
        let what = manager_lines::happening(&ManagerLine {
            pid: self.pid.as_str(),
            unit: self.about.as_str(),
            message: self.message.as_str(),
            message_id: self.message_id.as_str(),
            job_id: self.job_id.as_str(),
            job_type: self.job_type.as_str(),
            job_result: self.job_result.as_str(),
            unit_result: self.unit_result.as_str(),
            invocation_id: self.invocation_id.as_str(),
        })?;
        let seen = self.seen_at(now);
        Some(ManagerEvent { seen, what })
    }

    /// When it was written; `now` when the entry says nothing believable.
    fn seen_at(&self, now: Timestamp) -> Timestamp {
        self.realtime_us
            .as_str()
            .parse::<i64>()
            .map(|us| Timestamp::from_millis(us / 1000))
            .ok()
            .filter(|at| *at >= CLOCK_FLOOR && *at <= now)
            .unwrap_or(now)
    }
}

/// True when this host keeps a journal.
pub fn is_present(host: &Host) -> bool {
    PLACES.iter().any(|place| host.path(place).is_dir())
}

/// True when the journal of this host holds the kernel's lines: then `/dev/kmsg` is not read as well.
pub fn carries_kernel(host: &Host) -> bool {
    let args = ["-k", "-n", "1", "-q", "-o", "cat", "--no-pager"];
    host.run("journalctl", &args, QUERY_DEADLINE)
        .is_ok_and(|out| out.success() && !out.stdout.is_empty())
}

/// Follows the journal until stopped.
pub fn run(context: &StreamContext<'_>, sink: &mut Sink<'_>) -> Result<StreamEnd, DetectError> {
    if !is_present(context.host) {
        return Ok(StreamEnd::Absent("no journal on this host".to_owned()));
    }
    let position = match &context.position {
        Some(position) if !position.is_empty() => position.clone(),
        _ => match newest_cursor(context.host) {
            Ok(cursor) => cursor,
            Err(ExecError::Absent(why)) => {
                return Ok(StreamEnd::Absent(format!("{why}: not installed")));
            }
            Err(why) => return Err(DetectError::Exec(why)),
        },
    };
    let mut follower = Follower {
        context,
        judge: JournalJudge::new(std::process::id()),
        collector: Collector::new(STREAM, position),
        users: UnitUsers::default(),
        fresh: true,
    };
    if context.position.is_none() && !follower.collector.position().is_empty() {
        // Stored before the first line comes: a crash until then must not move the start.
        follower.collector.count_line();
        if follower.collector.flush(sink).is_err() {
            return Ok(StreamEnd::Stopped);
        }
    }
    let mut ends = 0_u32;
    let mut backoff = BACKOFF_FIRST;
    loop {
        match follower.follow(sink) {
            Ok(Followed::Stopped) | Err(StreamError::Stop) => return Ok(StreamEnd::Stopped),
            Ok(Followed::Ended { lines, why }) => {
                ends = if lines > 0 { 0 } else { ends.saturating_add(1) };
                backoff = if lines > 0 { BACKOFF_FIRST } else { backoff };
                if ends >= ENDS_MOST {
                    return Err(DetectError::JournalEnds(why));
                }
            }
            Err(StreamError::Broken(why)) => return Err(why),
        }
        if context.stopped() {
            return Ok(StreamEnd::Stopped);
        }
        context.pause(backoff);
        backoff = backoff.saturating_mul(2).min(BACKOFF_MOST);
    }
}

/// Cursor of the newest entry; empty for an empty journal, which is then read from its start.
fn newest_cursor(host: &Host) -> Result<String, ExecError> {
    let args = [
        "-n",
        "1",
        "-q",
        "-o",
        "json",
        "--no-pager",
        "--output-fields=PRIORITY",
    ];
    let out = host.run("journalctl", &args, QUERY_DEADLINE)?;
    let cursor = out.stdout.split(|c| *c == b'\n').find_map(Entry::parse);
    Ok(cursor.map_or_else(String::new, |entry| entry.cursor.as_str().to_owned()))
}

enum Followed {
    Stopped,
    Ended { lines: u64, why: String },
}

enum StreamError {
    Stop,
    Broken(DetectError),
}

impl From<StreamStop> for StreamError {
    fn from(_: StreamStop) -> Self {
        Self::Stop
    }
}

struct Follower<'a, 'b> {
    context: &'a StreamContext<'b>,
    judge: JournalJudge,
    collector: Collector,
    users: UnitUsers,
    /// No entry of this child was seen yet: the first must be the one of the cursor.
    fresh: bool,
}

impl Follower<'_, '_> {
    fn follow(&mut self, sink: &mut Sink<'_>) -> Result<Followed, StreamError> {
        let broken = |what, why| StreamError::Broken(DetectError::Journal(what, why));
        let position = match self.collector.position() {
            "" => "--boot".to_owned(),
            // With --cursor the first entry is the known one: its absence shows that lines were lost.
            known => format!("--cursor={known}"),
        };
        let args = [&FOLLOW[..], &[position.as_str()]].concat();
        let host = self.context.host;
        let mut output = host
            .follow(&Command::new("journalctl", &args, Duration::MAX))
            .map_err(|why| StreamError::Broken(DetectError::Exec(why)))?;
        self.fresh = true;
        let mut lines = 0_u64;
        let mut early = Early::new(host);
        let mut pending = Vec::with_capacity(READ_CHUNK);
        loop {
            if self.context.stopped() {
                return Ok(Followed::Stopped);
            }
            let wait = if self.collector.has_news() {
                Duration::ZERO
            } else {
                early.pause()
            };
            if !output
                .is_readable(wait)
                .map_err(|why| broken("poll", why))?
            {
                early.look();
                self.collector.flush(sink)?;
                continue;
            }
            let open = output
                .fill(&mut pending, READ_CHUNK)
                .map_err(|why| broken("read", why))?;
            lines = lines.saturating_add(self.take_lines(&mut pending, sink)?);
            if !open {
                self.collector.flush(sink)?;
                return Ok(Followed::Ended {
                    lines,
                    why: output.last_words(),
                });
            }
        }
    }

    fn take_lines(
        &mut self,
        pending: &mut Vec<u8>,
        sink: &mut Sink<'_>,
    ) -> Result<u64, StreamError> {
        let mut lines = 0_u64;
        let mut rest = pending.as_slice();
        while let Some(len) = rest.iter().position(|c| *c == b'\n') {
            let (line, behind) = rest.split_at(len);
            if let Some(entry) = Entry::parse(line) {
                self.entry(&entry);
                lines = lines.saturating_add(1);
            }
            rest = behind.get(1..).unwrap_or(&[]);
            if self.collector.is_full() {
                self.collector.flush(sink)?;
            }
        }
        let left = rest.len();
        pending.drain(..pending.len().saturating_sub(left));
        if pending.len() > ENTRY_CAP {
            pending.clear();
            let now = self.context.host.clock.now();
            self.collector
                .gap("an entry larger than 256 KiB was skipped", now);
        }
        Ok(lines)
    }

    fn entry(&mut self, entry: &Entry<'_>) {
        let now = self.context.host.clock.now();
        if std::mem::take(&mut self.fresh) && !self.collector.position().is_empty() {
            if entry.cursor.as_str() == self.collector.position() {
                return;
            }
            let what = "the journal no longer holds the last entry read: entries may be lost; raise SystemMaxUse= in journald.conf";
            self.collector.gap(what, now);
        }
        let mut line = entry.line();
        line.trusted.is_guest =
            line.trusted.may_be_guest() && self.users.differ(self.context, &line.trusted, now);
        let verdict = self
            .judge
            .judge(&line, &self.context.rules, entry.seen_at(now));
        if verdict.poke {
            self.collector.poke();
        }
        if let Some(word) = entry.word(now) {
            self.collector.manager_said(word);
        }
        if let Some(unit) = verdict.port_taken {
            self.collector.port_taken(unit);
        }
        if let Some(finding) = verdict.finding {
            self.collector.add(finding);
        }
        if let Some((of, reason)) = verdict.reason {
            self.collector.add_reason(of, &reason);
        }
        if entry.unit.as_str().ends_with(".service") {
            self.collector.heard(entry.unit.as_str());
        }
        self.collector.advance(entry.cursor.as_str());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_shape_of_a_field_is_read() {
        let line = br#"{"__CURSOR":"s=1","MESSAGE":[72,105,255],"PRIORITY":"3","_SYSTEMD_UNIT":["a.service","b.service"],"UNIT":null,"__REALTIME_TIMESTAMP":"1763878648123456","X":{"y":1}}"#;
        let entry = Entry::parse(line).unwrap();
        assert_eq!(entry.cursor.as_str(), "s=1");
        assert_eq!(entry.message.as_str(), "Hi\u{fffd}");
        assert_eq!(entry.unit.as_str(), "a.service");
        assert_eq!(entry.about.as_str(), "");
        let now = Timestamp::from_millis(1_763_878_700_000);
        assert_eq!(entry.seen_at(now).as_millis(), 1_763_878_648_123);
        assert_eq!(entry.seen_at(Timestamp::from_millis(5)).as_millis(), 5);
    }

    #[test]
    fn escapes_and_garbage_are_no_harm() {
        let entry = Entry::parse(br#"{"MESSAGE":"a\tb \u00e9"}"#).unwrap();
        assert_eq!(entry.message.as_str(), "a\tb \u{e9}");
        for bad in [&b""[..], b"{", b"[1]", b"\xff\xfe", b"{\"MESSAGE\":{}}"] {
            assert!(Entry::parse(bad).is_none() || bad == b"[1]", "{bad:?}");
        }
    }

    use proptest::prelude::*;

    proptest! {
        /// Whatever journalctl prints, or a disk made of it: no panic, and a field's text comes out whole.
        #[test]
        fn any_bytes_and_any_text(bytes in proptest::collection::vec(any::<u8>(), 0..400), text in "\\PC{0,200}", raw in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Entry::parse(&bytes);
            let line = serde_json::json!({"MESSAGE": text, "PRIORITY": "3", "UNIT": raw}).to_string();
            let entry = Entry::parse(line.as_bytes()).unwrap();
            prop_assert_eq!(entry.message.as_str(), text.as_str());
            prop_assert_eq!(entry.about.as_str(), &*String::from_utf8_lossy(&raw));
            static RULES: std::sync::OnceLock<crate::core::reading::log_rules::RuleSet> = std::sync::OnceLock::new();
            let rules = RULES.get_or_init(|| crate::core::reading::log_rules::RuleSet::builtin().unwrap());
            let now = Timestamp::from_millis(1_763_878_700_000);
            JournalJudge::new(1).judge(&entry.line(), rules, now);
        }
    }
}
