//! Untrusted text in Markdown and in shell lines: shown, never alive.

use std::fmt::Write as _;

use crate::core::human::delivery::defuse;
use crate::core::model::text::cut;

/// At most `cap` bytes, cut between lines where possible; an open fence or fold is closed.
pub fn fit(text: &str, cap: usize) -> String {
    if text.len() <= cap {
        return text.to_owned();
    }
    const ENDING: &str = "\n\n…cut: `tasks show` on the gateway has all.";
    // A title has no room for that.
    if cap < 4 * ENDING.len() {
        return format!("{}…", cut(text, cap.saturating_sub(3)).trim_end());
    }
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

/// A code fence that its content cannot close.
pub(super) fn fence(text: &str, cap: usize) -> String {
    let text = defuse(&printable(text));
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

/// Untrusted text as plain words: no markup, no mention, no reference, no HTML.
pub(super) fn escape(text: &str) -> String {
    one_line(text).chars().fold(String::new(), |mut out, c| {
        match c {
            '&' | '<' | '>' | '@' | '#' | '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '!'
            | '$' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            _ => out.push(c),
        }
        out
    })
}

/// Without control and direction-changing characters; lines and tabs stay.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, '\n' | '\t') || !(c.is_control() || is_direction(*c)))
        .collect()
}

pub(super) const fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

pub(super) fn one_line(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .collect();
    printable(&spaced)
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

pub(super) fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or("")
}

/// For a POSIX shell: as it is when harmless, else in single quotes.
pub(super) fn quote(text: &str) -> String {
    let text = one_line(text);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@._:/+-".contains(&byte);
    if !text.is_empty() && !text.starts_with('-') && text.bytes().all(plain) {
        return text;
    }
    // A name that starts with a dash would be an option even in quotes.
    let dash = if text.starts_with('-') { "./" } else { "" };
    format!("'{dash}{}'", text.replace('\'', "'\\''"))
}
