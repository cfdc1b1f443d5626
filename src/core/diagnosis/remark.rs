//! Whether a line of a run is no more than a remark: what it tells of did not end the run. Pure.

use std::sync::OnceLock;

use crate::core::diagnosis::phrases::Phrases;
use crate::core::reading::level::Level;
use crate::core::reading::shape;

/// What is said of a fault that the program tries to overcome: it may have given up.
const TRIES: &[&str] = &[
    "retrying",
    "will retry",
    "will try again",
    "trying again",
    "retry in",
    "retry attempt",
    "retry #",
    "next try",
    "next attempt",
    "reconnecting",
    "reconnect in",
    "warning:",
    "warn:",
    "info:",
    "for example",
];

/// What is said of a fault that the program does without what is missing.
const WITHOUT: &[&str] = &[
    "ignoring",
    "ignored",
    "skipping",
    "skipped",
    "falling back",
    "using default",
    "defaulting to",
    "continuing",
    "auto correcting",
    "non-fatal",
    "not fatal",
    "deprecated",
    "(optional)",
];

/// Tools that prepare a run. Where anything else was said besides, the run went on after them.
const PREPARING: &[&str] = &[
    "chown:",
    "chmod:",
    "chgrp:",
    "cp:",
    "mv:",
    "ln:",
    "rm:",
    "mkdir:",
    "touch:",
    "sed:",
    "cat:",
    "grep:",
    "find:",
    "stat:",
    "s6-chown:",
    "s6-chmod:",
    "mknod:",
    "sysctl:",
    "iptables:",
    "ip6tables:",
    "RTNETLINK answers:",
    "usermod:",
    "groupmod:",
];

/// What is said of a fault that ends a run.
const GRAVE: &[&str] = &[
    "error",
    "fatal",
    "panic",
    "exception",
    "traceback",
    "failed",
    "unable to",
    "cannot",
    "can't",
    "could not",
    "couldn't",
    "invalid",
    "unknown",
    "abort",
];

/// How a line begins that states an error without a level.
const OPENINGS: &[&str] = &[
    "fatal",
    "error",
    "panic",
    "failed",
    "unable",
    "cannot",
    "can't",
    "could not",
    "couldn't",
    "invalid",
    "unknown",
    "unsupported",
    "missing",
];

/// What only sums up, whoever says it: a remark before it is still the reason.
const NO_NEWS: &[&str] = &[
    "giving up",
    "gave up",
    "attempts",
    "retries",
    "failed to start",
    "process exited, code=",
    "failed with result",
    "start request repeated",
];

/// The level at which PostgreSQL writes what the server itself meets, errors included.
const DATABASE_LOG: &str = "LOG:  ";

/// How much a line of a run says about why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Of a level below an error, the program says that it does without: no reason, whatever follows.
    Without,
    /// By its level, by what it says, or by the tool that says it.
    Remark,
    Plain,
    /// It tells of a fault, and not as one that the program lives with.
    Grave,
    /// It states itself that it is an error, by its level or by how it begins.
    Stated,
}

/// Weighs one line.
pub fn weigh(line: &str) -> Weight {
    static WORDS: OnceLock<Phrases> = OnceLock::new();
    let of = |list: &'static [&str], owner| list.iter().map(move |text| (*text, owner));
    let lists = || {
        of(TRIES, 0)
            .chain(of(GRAVE, 1))
            .chain(of(NO_NEWS, 2))
            .chain(of(WITHOUT, 3))
    };
    let mut found = [false; 4];
    let words = WORDS.get_or_init(|| Phrases::new(lists()));
    words.find(line, &mut |owner, _| {
        let found = usize::try_from(owner).ok().and_then(|at| found.get_mut(at));
        found.into_iter().for_each(|found| *found = true);
    });
    let [tries, grave, no_news, without] = found;
    let spoken = shape::read(line);
    let said = spoken.message.trim_start();
    let tool = PREPARING.iter().any(|tool| said.starts_with(tool));
    let below = spoken.level.is_some_and(|level| level < Level::Error);
    let below = below && !is_inner(said) && !(grave && line.contains(DATABASE_LOG));
    let opens = |opening: &&str| {
        let start = said.get(..opening.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(opening))
    };
    let above = spoken.level.is_some_and(|level| level >= Level::Error);
    let above = above || spoken.level.is_none() && OPENINGS.iter().any(opens);
    match (tries || tool || below, no_news) {
        _ if without && below => Weight::Without,
        _ if without => Weight::Remark,
        (true, _) => Weight::Remark,
        (false, false) if above => Weight::Stated,
        (false, false) if grave => Weight::Grave,
        _ => Weight::Plain,
    }
}

/// What an error was caused by counts as the error does, whatever level it is written at.
fn is_inner(said: &str) -> bool {
    const INNER: &str = "caused by";
    let start = said.trim_start_matches(['-', ' ']).get(..INNER.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(INNER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_end_the_run_is_a_remark() {
        for (line, weight) in [
            (
                "level=warn msg=\"skipping plugins, the directory does not exist\"",
                Weight::Without,
            ),
            (
                "chown: /data/app.conf: Read-only file system",
                Weight::Remark,
            ),
            ("WARN upstream: connection refused", Weight::Remark),
            (
                "uplink: connection refused, next try in 5 s",
                Weight::Remark,
            ),
            (
                "10-setup.sh: info: can not modify it (read-only?)",
                Weight::Remark,
            ),
            ("ERROR upstream: connection refused", Weight::Stated),
            ("chown to app failed", Weight::Grave),
            ("ERROR giving up after 3 attempts", Weight::Plain),
            (
                "app.service: Failed with result 'exit-code'.",
                Weight::Plain,
            ),
            ("upstream: connection refused", Weight::Plain),
            ("Fatal error : unknown driver pps", Weight::Stated),
            (
                "2024-05-30 12:12:20 UTC [26] LOG:  could not read segment 1: Input/output error",
                Weight::Grave,
            ),
            ("unknown driver pps", Weight::Stated),
            (
                "2024-05-30T12:12:20Z [WARN] - caused by: hub error: [401 Unauthorized]",
                Weight::Grave,
            ),
            ("", Weight::Plain),
        ] {
            assert_eq!(weigh(line), weight, "{line}");
        }
    }
}
