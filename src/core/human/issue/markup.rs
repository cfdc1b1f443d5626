//! Untrusted text in Markdown and in shell lines: shown, never alive.

use std::fmt::Write as _;

use super::TITLE_CAP;
use crate::core::human::delivery::defuse;
use crate::core::model::inert;
use crate::core::model::text::cut;

/// At most `cap` bytes, cut between lines where possible; an open fence or fold is closed.
pub fn fit(text: &str, cap: usize) -> String {
    if text.len() <= cap {
        return text.to_owned();
    }
    const ENDING: &str = "\n\n…cut: `tasks show` on the gateway has all.";
    let room = cap.saturating_sub(ENDING.len() + 64);
    let head = cut(text, room);
    let head = head
        .rfind('\n')
        .and_then(|at| head.get(..at))
        .filter(|line| line.len() > room / 2)
        .unwrap_or(head);
    let mut out = head.to_owned();
    let mut open: Option<usize> = None;
    for line in head.lines() {
        let ticks = line.bytes().take_while(|byte| *byte == b'`').count();
        match open {
            None if ticks >= 3 => open = Some(ticks),
            Some(width) if ticks >= width && line.trim_end().len() == ticks => open = None,
            _ => {}
        }
    }
    if let Some(width) = open.filter(|width| *width < 32) {
        let _ = write!(out, "\n{}", "`".repeat(width));
    }
    if head.matches("<details>").count() > head.matches("</details>").count() {
        out.push_str("\n\n</details>");
    }
    out + ENDING
}

/// `text` without what GitLab takes for a command of whoever writes it: a line that is `/word`, or begins so, also in a
/// code block that a line of the log seems to end. A space of no width in front takes its life.
pub fn without_commands(text: &str) -> String {
    let is_command = |line: &str| {
        let word = line.trim_start().strip_prefix('/').map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphabetic() && c != '_');
            rest.split_at(end.unwrap_or(rest.len()))
        });
        word.is_some_and(|(word, rest)| {
            !word.is_empty() && rest.chars().next().is_none_or(|c| !c.is_ascii_graphic())
        })
    };
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if is_command(line) {
            out.push('\u{200b}');
        }
        out.push_str(line);
    }
    out
}

/// An issue's title: one line of at most `TITLE_CAP` bytes, whatever it was made of.
pub fn title_line(text: &str) -> String {
    let line = one_line(text);
    if line.len() <= TITLE_CAP {
        return line;
    }
    format!("{}…", cut(&line, TITLE_CAP - "…".len()).trim_end())
}

/// A code fence that its content cannot close.
pub(super) fn fence(text: &str, cap: usize) -> String {
    let text = defuse(&inert::lines(text));
    let shown = cut(text.trim_end(), cap);
    let dots = if shown.len() < text.trim_end().len() {
        "\n…"
    } else {
        ""
    };
    let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let ticks = "`".repeat(longest.max(2) + 1);
    format!("{ticks}text\n{shown}{dots}\n{ticks}\n")
}

/// Inline code of one line.
pub(super) fn code(text: &str) -> String {
    let text = defuse(&one_line(text)).replace('`', "'");
    format!("`{}`", if text.is_empty() { " " } else { &text })
}

/// Inline code within a table, where a bar would start a new cell.
pub(super) fn cell_code(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// What GitHub makes alive in words, and where a space of no width takes its life: a mention and a reference
/// (entities alone do not help: it looks at the text after they are read), and addresses that become links.
const LIVELY: [(&str, &str, &str); 5] = [
    ("@", "&#64;", ""),
    ("#", "&#35;", ""),
    ("GH-", "GH-", ""),
    ("://", ":", "//"),
    ("www.", "www.", ""),
];
const NO_WIDTH: &str = "&#8203;";

/// Untrusted text as plain words: no markup, no mention, no reference, no link, no HTML.
pub(super) fn escape(text: &str) -> String {
    let text = one_line(text);
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let lively = LIVELY.iter().find(|(word, ..)| {
            rest.get(..word.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(word))
        });
        let taken = lively.map_or(c.len_utf8(), |(word, ..)| word.len());
        match (c, lively) {
            ('w' | 'W' | 'g' | 'G', Some((_, _, after))) => {
                let _ = write!(out, "{}{NO_WIDTH}{after}", rest.get(..taken).unwrap_or(""));
            }
            (_, Some((_, before, after))) => {
                let _ = write!(out, "{before}{NO_WIDTH}{after}");
            }
            (
                '&' | '<' | '>' | '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '!' | '$',
                None,
            ) => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            (_, None) => out.push(c),
        }
        rest = rest.get(taken..).unwrap_or("");
    }
    out
}

/// On one line, runs of white space as one space.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    inert::line(&words.join(" ")).into_owned()
}

pub(super) fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or("")
}
