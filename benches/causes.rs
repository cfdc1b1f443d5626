//! What naming the cause of a line costs, by the number of rules: `cargo bench --bench causes`.
//!
//! One pass of the product beside two ways that were weighed: each text sought for itself, which is what the rules were
//! before, and one set of regular expressions. On a loaded machine of two cores: 25 µs a line, 136 µs, 7.3 ms.

use std::hint::black_box;
use std::time::Instant;

use autonomous_orchestrator::{CauseRules, Class, Context, Place};
use regex::bytes::{RegexSet, RegexSetBuilder};
use toml::de::DeTable;

const RULES: &str = include_str!("../src/core/diagnosis/causes.toml");
const LINES: &str = include_str!("../tests/fixtures/causes.tsv");
const ROUNDS: u32 = 20;

fn main() {
    let texts = texts();
    let lines: Vec<&str> = LINES
        .lines()
        .filter_map(|row| row.split('\t').nth(3))
        .collect();
    let rules = CauseRules::builtin();
    let place = Place {
        context: Context::Application,
        class: Class::LogError,
    };
    println!("{} texts, {} lines", texts.len(), lines.len());
    measure("one pass by heads", &lines, |line| {
        rules.name(place, line).is_some()
    });
    measure("each text for itself", &lines, |line| {
        let lower = line.to_ascii_lowercase();
        let found = |text: &String| text.split('&').all(|part| lower.contains(part));
        texts.iter().any(found)
    });
    let set = as_set(&texts);
    measure("one set of regular expressions", &lines, |line| {
        set.matches(line.as_bytes()).matched_any()
    });
}

fn texts() -> Vec<String> {
    let table = DeTable::parse(RULES).ok();
    let rules = table
        .as_ref()
        .and_then(|table| table.get_ref().get("rule")?.get_ref().as_array());
    let words = rules
        .into_iter()
        .flat_map(|all| all.iter())
        .filter_map(|rule| rule.get_ref().get("words")?.get_ref().as_array());
    words
        .flat_map(|all| all.iter())
        .filter_map(|text| Some(text.get_ref().as_str()?.to_owned()))
        .collect()
}

fn as_set(texts: &[String]) -> RegexSet {
    let pattern = |text: &String| {
        let parts: Vec<String> = text.split('&').map(regex::escape).collect();
        format!("(?i){}", parts.join(".*").replace(' ', "[ _]"))
    };
    RegexSetBuilder::new(texts.iter().map(pattern))
        .unicode(false)
        .size_limit(32 << 20)
        .dfa_size_limit(192 << 10)
        .build()
        .unwrap_or_else(|_| RegexSet::empty())
}

fn measure(name: &str, lines: &[&str], ask: impl Fn(&str) -> bool) {
    let start = Instant::now();
    let mut hits = 0_u32;
    for _ in 0..ROUNDS {
        for line in lines {
            hits += u32::from(black_box(ask(black_box(line))));
        }
    }
    let asked = ROUNDS * u32::try_from(lines.len()).unwrap_or(u32::MAX);
    let each = start.elapsed() / asked.max(1);
    println!("{name:<32} {each:>12.1?} a line, {} of {asked} found", hits);
}
