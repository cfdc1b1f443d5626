//! What systemd says of a unit that is down beside its state: which run was its last, what it requires, its sandbox; and
//! what is kept of that run's lines. Pure.

use std::borrow::Cow;

use crate::core::model::text::{both_ends, cut};
use crate::core::model::unit::UnitState;
use crate::core::reading::level::Level;
use crate::core::reading::shape;

/// Settings that can keep a program from what the host itself could do, and those that take it back.
const SANDBOX: &[&str] = &[
    "ProtectSystem",
    "ProtectHome",
    "ReadWritePaths",
    "ReadOnlyPaths",
    "InaccessiblePaths",
    "TemporaryFileSystem",
    "PrivateDevices",
    "DevicePolicy",
    "DeviceAllow",
    "DynamicUser",
    "StateDirectory",
    "CacheDirectory",
    "LogsDirectory",
    "RuntimeDirectory",
    "ConfigurationDirectory",
    "PrivateNetwork",
    "RestrictAddressFamilies",
];
/// What is asked beside them.
const ASKED: &[&str] = &[
    "InvocationID",
    "InactiveExitTimestamp",
    "ExecMainStartTimestamp",
    "ExecMainExitTimestamp",
    "Requires",
    "Requisite",
    "BindsTo",
];
/// A run that ended sooner than this after it began was short, microseconds.
const SHORT_US: u64 = 60_000_000;
/// Values of a setting that is off.
const OFF: &[&str] = &["", "no", "~", "auto", "[not set]"];
/// Longest setting kept, bytes.
const SETTING_CAP: usize = 300;
/// Most units that are asked for their state.
const NEEDS_MOST: usize = 16;
/// Bytes kept of the newest lines, of the oldest, and of those between that tell of a fault.
const TAIL_CAP: usize = 2_500;
const HEAD_CAP: usize = 1_000;
const TELLING_CAP: usize = 2_500;
/// Longest line kept, bytes.
const LINE_CAP: usize = 400;
/// Stands where lines were left out.
const GAP: &str = "…";

/// What systemd says of one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Of its last run; empty when it never ran.
    pub invocation: String,
    /// When that began, as systemd says it: a date, or microseconds since 1970; empty when it never did. Its main process
    /// was started, or it left the state of being down, whichever was later: a start that is refused is neither.
    began: String,
    /// When its main process was started, and when that ended, in microseconds since 1970; 0 where that is not said so.
    main: (u64, u64),
    /// Without which it does not start, and which can be missing or down.
    pub requires: Vec<String>,
    /// One `Name=value` a line, what is off left out.
    pub sandbox: String,
}

impl About {
    /// Something is read of the property of this name.
    pub fn asks(name: &str) -> bool {
        ASKED.contains(&name) || SANDBOX.contains(&name)
    }

    /// The names of all that is read, with commas between.
    pub fn names() -> String {
        let all: Vec<&str> = ASKED.iter().chain(SANDBOX).copied().collect();
        all.join(",")
    }

    /// Reads `Name=value` lines.
    pub fn read(shown: &str) -> Self {
        let mut about = Self::default();
        for (name, value) in shown.lines().filter_map(|line| line.split_once('=')) {
            about.take(name, value);
        }
        about.finish()
    }

    /// Takes one property, its value as `systemctl show` prints it.
    pub fn take(&mut self, name: &str, value: &str) {
        let us = || value.parse().unwrap_or(0);
        match name {
            "ExecMainStartTimestamp" => self.main.0 = us(),
            "ExecMainExitTimestamp" => self.main.1 = us(),
            _ => {}
        }
        match name {
            "InvocationID" if value.bytes().all(|c| c.is_ascii_hexdigit()) => {
                value.clone_into(&mut self.invocation);
            }
            "InactiveExitTimestamp" | "ExecMainStartTimestamp" => self.begins(value),
            "Requires" | "Requisite" | "BindsTo" => {
                let names = value.split_ascii_whitespace().filter(|name| can_lack(name));
                self.requires.extend(names.map(str::to_owned));
            }
            _ if SANDBOX.contains(&name) && !OFF.contains(&value) => {
                self.sandbox.push_str(name);
                self.sandbox.push('=');
                self.sandbox.push_str(cut(value, SETTING_CAP));
                self.sandbox.push('\n');
            }
            _ => {}
        }
    }

    fn begins(&mut self, time: &str) {
        // The name of the day stands before a date; microseconds have all the same length.
        let order = |time: &str| match time.split_once(' ') {
            Some((_, date)) => date.to_owned(),
            None => time.to_owned(),
        };
        if !["0", "n/a"].contains(&time) && order(time) > order(&self.began) {
            time.clone_into(&mut self.began);
        }
    }

    /// Its main process ended soon after it was started.
    pub fn is_short(&self) -> bool {
        let (began, ended) = self.main;
        let took = ended.checked_sub(began);
        began > 0 && took.is_some_and(|took| took < SHORT_US)
    }

    /// When it began, as `journalctl --since` takes it.
    pub fn since(&self) -> Option<String> {
        match self.began.parse::<u64>() {
            Ok(us) => Some(format!("@{}.{:06}", us / 1_000_000, us % 1_000_000)),
            Err(_) => Some(self.began.clone()).filter(|date| !date.is_empty()),
        }
    }

    /// With each requirement once, within their bound.
    pub fn finish(mut self) -> Self {
        self.requires.sort_unstable();
        self.requires.dedup();
        self.requires.truncate(NEEDS_MOST);
        self
    }
}

/// A unit that can be missing or down: slices, targets and the root are always there.
fn can_lack(name: &str) -> bool {
    let kinds = [".service", ".socket", ".mount", ".device", ".swap"];
    name != "-.mount" && kinds.iter().any(|kind| name.ends_with(kind))
}

/// States of several units, each as `NAME=LOAD/ACTIVE`.
pub fn needs(units: &[UnitState]) -> String {
    let state =
        |unit: &UnitState| format!("{}={}/{}", unit.name, unit.load_state, unit.active_state);
    units.iter().map(state).collect::<Vec<_>>().join(" ")
}

/// The lines of one run, newest first, within their bounds: the newest, the oldest, and between them what `tells` of a
/// fault or states that it is one.
pub fn bounded(newest_first: &str, tells: impl Fn(&str) -> bool) -> String {
    let lines: Vec<Cow<'_, str>> = newest_first
        .lines()
        .map(|line| both_ends(line.trim_end(), LINE_CAP))
        .filter(|line| !line.is_empty())
        .collect();
    let fit = |lines: &mut dyn Iterator<Item = &Cow<'_, str>>, cap: usize| {
        let mut used = 0_usize;
        lines
            .take_while(|line| {
                used = used.saturating_add(line.len()).saturating_add(1);
                used <= cap
            })
            .count()
    };
    let tail = fit(&mut lines.iter(), TAIL_CAP);
    let oldest = lines.get(tail..).unwrap_or(&[]);
    let first = fit(&mut oldest.iter().rev(), HEAD_CAP);
    let head = oldest.len().saturating_sub(first);
    let between = oldest.get(..head).unwrap_or(&[]);
    let mut kept: Vec<&str> = lines.iter().take(tail).map(AsRef::as_ref).collect();
    let mut left = TELLING_CAP;
    let mut skipped = false;
    for line in between {
        let loud = shape::read(line).level >= Some(Level::Error);
        if line.len() < left && (loud || tells(line)) {
            left = left.saturating_sub(line.len()).saturating_sub(1);
            kept.push(line.as_ref());
            skipped = false;
        } else if !skipped {
            kept.push(GAP);
            skipped = true;
        }
    }
    kept.extend(oldest.iter().skip(head).map(AsRef::as_ref));
    kept.join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn when_a_run_began_is_what_the_journal_takes() {
        let of = |shown: &str| About::read(shown).since();
        let (left, main) = ("InactiveExitTimestamp=", "ExecMainStartTimestamp=");
        for (shown, since) in [
            (
                format!("{left}1764434664000481\n{main}1764434664000482\n"),
                Some("@1764434664.000482"),
            ),
            (
                format!("{main}1764434664000481\n{left}1764434665000000\n"),
                Some("@1764434665.000000"),
            ),
            // Left before the main process was started, in another week.
            (
                format!("{left}Sun 2026-11-29 17:04:24 UTC\n{main}Mon 2026-11-30 07:04:24 UTC\n"),
                Some("Mon 2026-11-30 07:04:24 UTC"),
            ),
            (
                format!("{left}Sun 2026-11-29 17:04:24 UTC\n{main}n/a\n"),
                Some("Sun 2026-11-29 17:04:24 UTC"),
            ),
            (format!("{left}0\n{main}0\n"), None),
            (format!("{left}\n{main}n/a\n"), None),
        ] {
            assert_eq!(of(&shown).as_deref(), since, "{shown}");
        }
    }

    use super::*;

    #[test]
    fn a_run_is_short_where_its_ends_are_known_and_near() {
        let of = |began: u64, ended: &str| {
            let shown = format!("ExecMainStartTimestamp={began}\nExecMainExitTimestamp={ended}\n");
            About::read(&shown).is_short()
        };
        let began = 1_764_434_664_000_000;
        for (ended, short) in [
            ("1764434664000000", true),
            ("1764434723999999", true),
            ("1764434724000000", false),
            // Of the run before: it still runs.
            ("1764434663999999", false),
            ("0", false),
            ("Sun 2026-11-29 17:04:24 UTC", false),
        ] {
            assert_eq!(of(began, ended), short, "{ended}");
        }
        assert!(!of(0, "5"));
    }

    #[test]
    fn what_is_off_is_no_setting_and_what_is_always_there_no_need() {
        let about = About::read(
            "InvocationID=0123abcd\nRequires=sysinit.target system.slice -.mount db.service\nBindsTo=dev-ttyS4.device db.service\nProtectSystem=strict\nPrivateDevices=no\nReadWritePaths=/srv/x /run\nRestrictAddressFamilies=~\nUser=app\n",
        );
        assert_eq!(about.invocation, "0123abcd");
        assert_eq!(about.requires, ["db.service", "dev-ttyS4.device"]);
        assert_eq!(
            about.sandbox,
            "ProtectSystem=strict\nReadWritePaths=/srv/x /run\n"
        );
    }

    #[test]
    fn the_state_of_what_it_requires_is_one_word_each() {
        let unit = |name: &str, load: &str, active: &str| UnitState {
            name: name.to_owned(),
            load_state: load.to_owned(),
            active_state: active.to_owned(),
            ..UnitState::default()
        };
        let units = [
            unit("db.service", "loaded", "failed"),
            unit("dev-x.device", "not-found", "inactive"),
        ];
        assert_eq!(
            needs(&units),
            "db.service=loaded/failed dev-x.device=not-found/inactive"
        );
    }

    #[test]
    fn a_short_run_is_kept_whole() {
        let run = "c\nb\n\na\n";
        assert_eq!(bounded(run, |_| false), "c\nb\na");
    }

    #[test]
    fn of_a_long_line_the_end_is_kept_which_says_why() {
        let line = format!("cannot open {}: no such file", "part/of/it/".repeat(100));
        let kept = bounded(&line, |_| false);
        assert!(kept.starts_with("cannot open ") && kept.ends_with(": no such file"));
        assert!(kept.len() <= LINE_CAP + GAP.len(), "{kept}");
    }

    #[test]
    fn of_a_long_run_the_ends_are_kept_and_what_tells() {
        let line = |at: u32| match at {
            2_500 => "disk is on fire".to_owned(),
            2_600 => "level=error msg=boom".to_owned(),
            _ => format!("value {at} read"),
        };
        let lines: Vec<String> = (0..5_000).rev().map(line).collect();
        let kept = bounded(&lines.join("\n"), |line| line.contains("fire"));
        assert!(kept.len() < TAIL_CAP + HEAD_CAP + TELLING_CAP);
        for wanted in [
            "value 4999 read",
            "value 0 read",
            "disk is on fire",
            "msg=boom",
        ] {
            assert!(kept.contains(wanted), "{wanted}");
        }
        assert!(!kept.contains("value 2400 read"));
    }
}
