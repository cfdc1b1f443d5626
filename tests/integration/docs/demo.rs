//! The demo in README.md is what `demo` prints, line by line: only times, numbers of processes and ports, and the hash
//! over them differ from run to run.

use regex::Regex;

use super::Result;
use super::parts::{compare, lines};
use crate::cli_tool::run;

/// What differs from run to run, and what stands for it.
const MASKS: &[(&str, &str)] = &[
    (r"(?m)^ +[0-9]+\.[0-9] s ", "TIME "),
    (r"demo-[0-9]+", "demo-PID"),
    (r"127\.0\.0\.1:[0-9]+", "127.0.0.1:PORT"),
    (r"tcp/[0-9]+", "tcp/PORT"),
    (r"process [0-9]+", "process PID"),
    (r"head [0-9a-f]+", "head HASH"),
];

fn masked(text: &str) -> String {
    MASKS.iter().fold(text.to_owned(), |text, (from, to)| {
        let from = Regex::new(from).expect("a mask");
        from.replace_all(&text, *to).into_owned()
    })
}

#[test]
fn the_demo_is_what_it_prints() -> Result {
    let ran = run(&["demo"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let own = env!("CARGO_BIN_EXE_autonomous-orchestrator");
    let shown = ran
        .out
        .replace(own, "/usr/local/bin/autonomous-orchestrator");
    let printed: String = shown
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    let fresh = format!("```text\n$ autonomous-orchestrator demo\n{printed}```\n");
    compare("README.md", "demo output", &fresh, |old, new| {
        lines(&masked(old), &masked(new))
    })
}
