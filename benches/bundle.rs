//! Retrieval from a bundle against SQLite FTS5 over the same passages, in one process.
//!
//!   bundle BUNDLE QUERIES     QUERIES: `id TAB text` lines; scripts/bench-bundle.sh makes both
//!
//! Prints times a query (the ten best), the growth of anonymous memory, and the sizes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;
use std::time::Instant;

use autonomous_orchestrator::{Bundle, Query};
use rusqlite::{Connection, OpenFlags};

const BEST: usize = 10;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let [bundle, queries] = words.as_slice() else {
        eprintln!("see the head of benches/bundle.rs; scripts/bench-bundle.sh runs it");
        return;
    };
    let text = std::fs::read_to_string(queries).unwrap();
    let queries: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once('\t').map(|(_, text)| text))
        .collect();
    sizes(Path::new(bundle));
    ours(Path::new(bundle), &queries);
    fts5(Path::new(bundle), &queries);
}

fn read_only(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

fn sizes(path: &Path) {
    let bundle = read_only(path);
    let number = |sql: &str| -> f64 { bundle.query_row(sql, [], |row| row.get(0)).unwrap() };
    println!(
        "{} passages, {:.1} MB whole, {:.1} MB of text, {:.2} MB index without text",
        number("SELECT count(*) * 1.0 FROM snippet"),
        std::fs::metadata(path).unwrap().len() as f64 / 1e6,
        number("SELECT sum(length(title) + length(text)) / 1e6 FROM snippet"),
        number(
            "SELECT ((SELECT sum(length(data)) FROM bucket) + (SELECT sum(length(vector)) FROM snippet)) / 1e6"
        ),
    );
}

/// Anonymous resident memory, KiB (`/proc/self/status`).
fn anonymous() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon"))
        .unwrap();
    line.split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// Each query once, after a tenth of them to warm up.
fn measure(name: &str, queries: &[&str], mut ask: impl FnMut(&str) -> usize) {
    for query in queries.iter().take(queries.len() / 10) {
        ask(query);
    }
    let mut found = 0;
    let mut times: Vec<u128> = queries
        .iter()
        .map(|query| {
            let started = Instant::now();
            found += ask(query);
            started.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!(
        "{name}: {} queries, {found} found, median {} us, p99 {} us, most {} us",
        queries.len(),
        at(50),
        at(99),
        at(100)
    );
}

fn ours(path: &Path, queries: &[&str]) {
    let before = anonymous();
    let started = Instant::now();
    let bundle = Bundle::open(path).unwrap();
    println!(
        "opened and verified in {} ms",
        started.elapsed().as_millis()
    );
    measure("bundle", queries, |text| {
        bundle.rank(&Query::of_text(text), BEST).unwrap().len()
    });
    println!("anonymous memory grew by {} KiB", anonymous() - before);
}

/// Porter stemming, any of the words, the title counted twice: what a plain user of FTS5 would write.
fn fts5(path: &Path, queries: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("fts5.db");
    let db = Connection::open(&file).unwrap();
    db.execute_batch("CREATE VIRTUAL TABLE s USING fts5(title, text, tokenize = 'porter')")
        .unwrap();
    db.execute_batch(&format!(
        "ATTACH 'file:{}?mode=ro' AS b; INSERT INTO s SELECT title, text FROM b.snippet; DETACH b;
         INSERT INTO s (s) VALUES ('optimize')",
        path.display()
    ))
    .unwrap();
    let mut statement = db
        .prepare("SELECT rowid FROM s WHERE s MATCH ?1 ORDER BY bm25(s, 2.0, 1.0) LIMIT 10")
        .unwrap();
    measure("FTS5  ", queries, |text| {
        let words: Vec<String> = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| word.len() > 1)
            .map(|word| format!("\"{word}\""))
            .collect();
        if words.is_empty() {
            return 0;
        }
        let rows = statement
            .query_map([words.join(" OR ")], |row| row.get::<_, i64>(0))
            .unwrap();
        rows.count()
    });
}
