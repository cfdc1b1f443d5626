//! The demo in README.md is what `demo` prints. Which of two detectors sees a fault first differs from run to
//! run, and with it cause and action; times, numbers and hashes do as well. All else must be alike.

use std::collections::BTreeSet;

use regex::Regex;

use super::Result;
use super::parts::compare;
use crate::cli_tool::run;

/// What differs from run to run, and what stands for it.
const MASKS: &[(&str, &str)] = &[
    (r"^ +[0-9.]+ s +task [0-9]+ +", "event "),
    (r"(/[^ ()]*)?/autonomous-orch[a-z]*[);]*( .*)?$", " PROGRAM"),
    (r"demo-[0-9]+", "demo-PID"),
    (r"127\.0\.0\.1:[0-9]+|tcp/[0-9]+", "PORT"),
    (r"process [0-9]+", "process PID"),
    (r"[0-9]+ events, head [0-9a-f]+", "EVENTS"),
    (r"^[0-9]+ tasks closed as fixed", "N tasks closed as fixed"),
    (r"^event found +(probe|service)_.*", "event found FAULT"),
    (
        r"^event diagnosed +(process_killed|connection|health).*",
        "event diagnosed CAUSE",
    ),
    (r"(restart|reset-failed and start|start) demo-web", "START"),
    (r" +— +| +", " "),
    (r"^event first_green .*", "event first_green"),
];

/// Seen in those runs alone in which one detector finds the root and another its symptom.
const SELDOM: [&str; 2] = ["over with its root cause", "gone before anything was done"];

fn masked(text: &str) -> Vec<String> {
    let masks: Vec<_> = MASKS
        .iter()
        .map(|(from, to)| (Regex::new(from).expect("a mask"), to))
        .collect();
    let mask = |line: &str| {
        masks.iter().fold(line.to_owned(), |line, (from, to)| {
            from.replace_all(&line, **to).into_owned()
        })
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .filter(|line| {
            !line.starts_with("```") && !SELDOM.iter().any(|seldom| line.contains(seldom))
        })
        .map(|line| mask(line.trim_end()).trim_end().to_owned())
        .collect()
}

/// Titles and what the first fault makes, which one detector alone sees, must be the very same; of the others
/// nothing may be told that did not happen.
fn unlike(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (masked(old), masked(new));
    let firm = |lines: &[String]| -> BTreeSet<String> {
        let first = lines.iter().take_while(|line| !line.starts_with("1. "));
        let titles = lines.iter().filter(|line| !line.starts_with("event "));
        first.chain(titles).cloned().collect()
    };
    let told: BTreeSet<_> = old.iter().cloned().collect();
    let happened: BTreeSet<_> = new.iter().cloned().collect();
    let gone = told.difference(&happened).map(|line| format!("- {line}"));
    let (firm_old, firm_new) = (firm(&old), firm(&new));
    let lacks = firm_new
        .difference(&firm_old)
        .map(|line| format!("+ {line}"));
    gone.chain(lacks).collect()
}

#[test]
fn the_demo_is_what_it_prints() -> Result {
    let ran = run(&["demo"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let own = env!("CARGO_BIN_EXE_autonomous-orchestrator");
    let shown = ran
        .out
        .replace(own, "/usr/local/bin/autonomous-orchestrator");
    let lines: String = shown
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    let fresh = format!("```text\n$ autonomous-orchestrator demo\n{lines}```\n");
    compare("README.md", "demo output", &fresh, unlike)
}
