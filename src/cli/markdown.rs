//! The Markdown of an issue as a terminal shows it: what is for the tracker alone is gone, code is set off.

use crate::cli::table::Tone;
use crate::core::model::inert;

/// `text` without marks, comments, folds and entities; each line inert. What a table of one row says stands below each
/// other where it is wider than `room`.
pub(super) fn plain(text: &str, room: Option<usize>, colour: bool) -> String {
    let mut out = String::new();
    let mut table: Vec<Vec<String>> = Vec::new();
    // Ticks of the open fence.
    let mut fence = 0;
    for line in text.lines() {
        let ticks = line.bytes().take_while(|byte| *byte == b'`').count();
        if fence > 0 {
            if ticks >= fence && line.trim_end().len() == ticks {
                fence = 0;
            } else {
                push(&mut out, &inert::line(&format!("    {line}")));
            }
            continue;
        }
        if line.starts_with('|') {
            table.extend(cells(line));
            continue;
        }
        draw(&mut out, &mut table, room);
        match ticks {
            3.. => fence = ticks,
            _ => push(&mut out, &outside(line, colour)),
        }
    }
    draw(&mut out, &mut table, room);
    out.trim().to_owned()
}

/// Adds a line; of several empty ones only the first.
fn push(out: &mut String, line: &str) {
    if line.trim().is_empty() && (out.is_empty() || out.ends_with("\n\n")) {
        return;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// A line outside of code and tables.
fn outside(line: &str, colour: bool) -> String {
    let trimmed = line.trim();
    let is_mark = trimmed.starts_with("<!--") && trimmed.ends_with("-->");
    if is_mark || matches!(trimmed, "<details>" | "</details>") {
        return String::new();
    }
    for (name, ending) in [("summary", ":"), ("sub", "")] {
        let inner = trimmed
            .strip_prefix(&format!("<{name}>"))
            .and_then(|rest| rest.strip_suffix(&format!("</{name}>")));
        if let Some(inner) = inner {
            return inert::line(&format!("{}{ending}", words(inner))).into_owned();
        }
    }
    let heading = trimmed.trim_start_matches('#');
    match heading.strip_prefix(' ') {
        Some(title) if heading.len() < trimmed.len() => {
            Tone::Strong.paint(&inert::line(&words(title)), colour)
        }
        _ => inert::line(&words(line)).into_owned(),
    }
}

/// Words without their marks. What is foreign in them has its own marks as entities, which are read last; code is
/// taken as it stands.
fn words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 1 {
            out.push_str(&part.replace("\\|", "|"));
        } else {
            let bare = part.replace("**", "").replace("_(", "(").replace(")_", ")");
            out.push_str(&entities(&bare));
        }
    }
    out
}

/// `&#95;` as the character that it stands for; what takes no room on the screen is left out.
fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("&#") {
        out.push_str(before);
        let number = after.split_once(';').and_then(|(number, tail)| {
            let c = char::from_u32(number.parse().ok()?)?;
            Some((c, tail))
        });
        rest = match number {
            Some(('\u{200b}', tail)) => tail,
            Some((c, tail)) => {
                out.push(c);
                tail
            }
            None => {
                out.push_str("&#");
                after
            }
        };
    }
    out.push_str(rest);
    out
}

/// The cells of a table's line; none of the line below its head.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().trim_matches('|').replace("\\|", "\u{0}");
    let cells: Vec<String> = inner
        .split('|')
        .map(|cell| words(cell.trim()).replace('\u{0}', "|"))
        .collect();
    let is_rule = cells
        .iter()
        .all(|cell| !cell.is_empty() && cell.chars().all(|c| c == '-' || c == ':'));
    (!is_rule).then_some(cells)
}

/// A table with its columns below each other; one of a single row that has no room, turned.
fn draw(out: &mut String, table: &mut Vec<Vec<String>>, room: Option<usize>) {
    if let ([head, row], Some(room)) = (table.as_slice(), room) {
        let width =
            |(name, cell): (&String, &String)| 2 + name.chars().count().max(cell.chars().count());
        if head.iter().zip(row).map(width).sum::<usize>() > room + 2 {
            let pair = |(name, cell): (&String, &String)| vec![name.clone(), cell.clone()];
            *table = head.iter().zip(row).map(pair).collect();
        }
    }
    let mut widths: Vec<usize> = Vec::new();
    for row in table.iter() {
        widths.resize(widths.len().max(row.len()), 0);
        for (wide, cell) in widths.iter_mut().zip(row) {
            *wide = (*wide).max(cell.chars().count());
        }
    }
    for row in table.drain(..) {
        let cells = row.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, &wide)| format!("{cell:<wide$}"))
            .collect();
        push(out, &inert::line(&padded.join("  ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_reads_as_text() {
        let issue = "`a_b.service`: **failed** on gateway **gw1**.\n\n<!-- x:status -->\n\
                     | State | Seen |\n|---|---|\n| open &#124; x | `a\\|b*` |\n<!-- /x:status -->\n\n\
                     ### What happened\n\n```text\n<b> **raw** &#95; # it\n```\n\n\
                     **Why:** reset&#95;failed&#95;start, &#91;Errno 98&#93; _(confidence 83 %)_ &#64;&#8203;me\n\n\
                     <details>\n<summary>Evidence</summary>\n\n````text\n```\nx\n````\n\n</details>\n\n<sub>task 17</sub>\n";
        let want = "a_b.service: failed on gateway gw1.\n\n\
                    State     Seen\nopen | x  a|b*\n\n\
                    What happened\n\n    <b> **raw** &#95; # it\n\n\
                    Why: reset_failed_start, [Errno 98] (confidence 83 %) @me\n\n\
                    Evidence:\n\n    ```\n    x\n\ntask 17";
        assert_eq!(plain(issue, None, false), want);
    }

    #[test]
    fn a_row_that_has_no_room_is_turned() {
        let table = "| State | Seen |\n|---|---|\n| open | twice |\n";
        assert_eq!(plain(table, Some(12), false), "State  Seen\nopen   twice");
        assert_eq!(plain(table, Some(11), false), "State  open\nSeen   twice");
    }

    #[test]
    fn text_that_is_none_stays_as_it_is() {
        for text in ["&#x41; &#; &", "#hash", "a * b", "</pre><script>"] {
            assert_eq!(plain(text, None, false), text);
        }
        assert_eq!(plain("", None, false), "");
        assert_eq!(plain("a\u{1b}[31mb", None, true), "a\\x1b[31mb");
    }
}
