//! `watch`: the page of `status` and the newest events, drawn anew where they changed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::history::told;
use crate::cli::table::{for_terminal, shorten};
use crate::cli::typed::Typed;
use crate::cli::{status, stored};
use crate::core::config::Config;
use crate::core::model::inert;

const PACE: Duration = Duration::from_secs(2);
/// Events that a page leaves room for, where the screen has it.
const EVENTS_LEAST: usize = 8;
/// From the top, nothing shown.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let config = globals.readable_config()?;
    let mut shown: Vec<String> = Vec::new();
    let mut last = (0, 0);
    loop {
        let (columns, rows) = globals.screen().ok_or_else(|| {
            CliError::usage("watch draws on a terminal, and there is none")
                .hint("`status` prints the page once")
        })?;
        let lines = lines(globals, &config, (columns, rows))?;
        let mut out = String::new();
        if last != (columns, rows) {
            out.push_str(CLEAR);
            shown.clear();
            last = (columns, rows);
        }
        draw(&mut out, &shown, &lines);
        let mut screen = std::io::stdout().lock();
        screen.write_all(out.as_bytes())?;
        screen.flush()?;
        drop(screen);
        shown = lines;
        std::thread::sleep(PACE);
    }
}

/// What fills the screen: the page, and in what is left the newest events.
fn lines(
    globals: &Globals,
    config: &Config,
    (columns, rows): (usize, usize),
) -> Result<Vec<String>, CliError> {
    let page = for_terminal(&status::text(globals, config));
    let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
    // Before the first start there is no store, and the page says so.
    if let Ok(reader) = stored::reader(globals, config) {
        let newest = u32::try_from(rows).unwrap_or(u32::MAX);
        let events = reader.history(None, newest)?;
        let events = events.iter();
        let events = events.map(|event| shorten(&inert::line(&told(event)), columns));
        lines = fitted(lines, events.collect(), rows.saturating_sub(1));
    }
    lines.truncate(rows.saturating_sub(1));
    Ok(lines)
}

/// The page, a gap and the newest `events`, the newest of which come last, in `room` lines: a long page gives way to a
/// few events.
fn fitted(mut page: Vec<String>, events: Vec<String>, room: usize) -> Vec<String> {
    let least = EVENTS_LEAST.min(events.len()).min(room / 2);
    let most = room.saturating_sub(least + 1);
    if page.len() > most {
        let more = page.len() + 1 - most;
        page.truncate(most.saturating_sub(1));
        page.push(format!("  and {more} more lines: `status`"));
    }
    let left = room.saturating_sub(page.len() + 1);
    let from = events.len().saturating_sub(left);
    page.push(String::new());
    page.extend(events.into_iter().skip(from));
    page
}

/// The lines that are not those shown, each at its place: little for a slow line, and nothing flickers.
fn draw(out: &mut String, shown: &[String], lines: &[String]) {
    for (at, line) in lines.iter().enumerate() {
        if shown.get(at) != Some(line) {
            let _ = write!(out, "\u{1b}[{};1H{line}\u{1b}[K", at + 1);
        }
    }
    let end = lines.len() + 1;
    if shown.len() > lines.len() {
        let _ = write!(out, "\u{1b}[{end};1H\u{1b}[J");
    } else if !out.is_empty() {
        let _ = write!(out, "\u{1b}[{end};1H");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_drawn() {
        let lines = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let drawn = |shown: &str, now: &str| {
            let mut out = String::new();
            draw(&mut out, &lines(shown), &lines(now));
            out
        };
        assert_eq!(drawn("a b", "a b"), "");
        assert_eq!(drawn("a b", "a c"), "\u{1b}[2;1Hc\u{1b}[K\u{1b}[3;1H");
        assert_eq!(drawn("a b c", "a b"), "\u{1b}[3;1H\u{1b}[J");
    }

    #[test]
    fn a_long_page_leaves_room_for_events() {
        let numbered = |what: &str, count: usize| -> Vec<String> {
            (1..=count).map(|n| format!("{what}{n}")).collect()
        };
        let shown = |page, events, room| {
            let lines = fitted(numbered("p", page), numbered("e", events), room);
            let count = |what: &str| lines.iter().filter(|line| line.starts_with(what)).count();
            assert!(lines.len() <= room, "{lines:?}");
            (count("p"), count("e"), lines)
        };
        let (page, events, lines) = shown(10, 40, 23);
        assert_eq!((page, events), (10, 12));
        assert_eq!(lines.last().map(String::as_str), Some("e40"));
        let (page, events, lines) = shown(20, 40, 23);
        assert_eq!((page, events), (13, 8));
        assert!(
            lines.contains(&"  and 7 more lines: `status`".to_owned()),
            "{lines:?}"
        );
        let (page, events, _) = shown(20, 2, 23);
        assert_eq!((page, events), (20, 2), "there are no more");
        assert_eq!(shown(20, 40, 8).1, 4);
    }
}
