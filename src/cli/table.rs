//! Aligned tables: as wide as the terminal, colour only where a human looks.

use std::fmt::Write as _;

use crate::core::model::inert;

/// A colour by what it says, not by what it looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    Good,
    Warn,
    Bad,
    Dim,
    Strong,
}

impl Tone {
    const ALL: [Self; 6] = [
        Self::Plain,
        Self::Good,
        Self::Warn,
        Self::Bad,
        Self::Dim,
        Self::Strong,
    ];

    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("32"),
            Self::Warn => Some("33"),
            Self::Bad => Some("31"),
            Self::Dim => Some("2"),
            Self::Strong => Some("1"),
        }
    }

    /// `text` in this tone, if `colour` is on.
    pub(super) fn paint(self, text: &str, colour: bool) -> String {
        match self.code() {
            Some(code) if colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            _ => text.to_owned(),
        }
    }
}

/// One cell. Its text becomes one inert line when the table is drawn.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// From this width on the last column stays in those rows that have room for it; below all rows are alike.
const WIDE: usize = 120;
/// Less room than this for the last column counts as none, in characters.
const ROOM_MIN: usize = 40;
/// Narrowest that a column is cut or broken to, in characters.
const LAST_MIN: usize = 16;
/// A name in front of a value is at most this wide, with what is between them.
const NAME_MOST: usize = 24;
/// Before lines of the last column below their row.
const INDENT: usize = 4;

/// Rows under a heading. The last column is set below its row where it does not fit, and only when a width is given; what
/// then is still too wide is cut and stands in full below.
#[derive(Clone, Debug)]
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// A line's cells, inert.
type Line = Vec<(String, Tone)>;

impl Table {
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self {
            head: head.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The drawn table, one line a row, each ending in a newline. On a terminal that is too narrow for it, the last
    /// column of each row follows in full below, behind those cells that had to be cut.
    pub(super) fn draw(&self, width: Option<usize>, colour: bool) -> String {
        let head: Vec<Cell> = self
            .head
            .iter()
            .map(|name| Cell::new(*name, Tone::Strong))
            .collect();
        let lines: Vec<Line> = std::iter::once(&head)
            .chain(&self.rows)
            .map(|row| {
                row.iter()
                    .map(|cell| (inert::line(&cell.text).into_owned(), cell.tone))
                    .collect()
            })
            .collect();
        let mut widths = vec![0_usize; self.head.len()];
        for line in &lines {
            for (wide, (text, _)) in widths.iter_mut().zip(line) {
                *wide = (*wide).max(text.chars().count());
            }
        }
        let needed = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        let last = widths.last().copied().unwrap_or_default();
        let below = width.filter(|width| {
            let shown = (*width + last).saturating_sub(needed);
            needed > *width && widths.len() > 1 && (*width < WIDE || shown < ROOM_MIN)
        });
        let mut out = String::new();
        let Some(room) = below else {
            let beside = needed.saturating_sub(last);
            for mut line in lines {
                let fits = |(text, _): &(String, Tone)| {
                    width.is_none_or(|width| beside + text.chars().count() <= width)
                };
                let last = line.pop_if(|last| widths.len() > 1 && !fits(last));
                draw_line(&mut out, &line, &widths, width, colour);
                below_row(&mut out, last.iter(), width.unwrap_or(usize::MAX), colour);
            }
            return out;
        };
        widths.pop();
        narrow(&mut widths, room);
        for mut line in lines {
            let last = line.pop();
            draw_line(&mut out, &line, &widths, Some(room), colour);
            let cells = line.iter().zip(&widths);
            let cut = cells.filter(|((text, _), wide)| text.chars().count() > **wide);
            below_row(
                &mut out,
                cut.map(|(cell, _)| cell).chain(&last),
                room,
                colour,
            );
        }
        out
    }
}

/// Cells in full, on lines of their own.
fn below_row<'c>(
    out: &mut String,
    cells: impl Iterator<Item = &'c (String, Tone)>,
    room: usize,
    colour: bool,
) {
    for (text, tone) in cells {
        for part in wrap(text, room.saturating_sub(INDENT)) {
            let _ = writeln!(out, "{:INDENT$}{}", "", tone.paint(&part, colour));
        }
    }
}

/// Takes from the widest of `widths` until all fit side by side into `room`.
fn narrow(widths: &mut [usize], room: usize) {
    let room = room.saturating_sub(2 * widths.len().saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        match widths.iter_mut().max() {
            Some(widest) if *widest > LAST_MIN => *widest -= 1,
            _ => return,
        }
    }
}

fn draw_line(
    out: &mut String,
    line: &[(String, Tone)],
    widths: &[usize],
    width: Option<usize>,
    colour: bool,
) {
    let mut used = 0;
    for (at, ((text, tone), wide)) in line.iter().zip(widths).enumerate() {
        let last = at + 1 == line.len();
        let room = match (last, width) {
            (true, Some(width)) => width.saturating_sub(used).max(LAST_MIN).min(*wide),
            _ => *wide,
        };
        let shown = shorten(text, room);
        out.push_str(&tone.paint(&shown, colour));
        if !last {
            let gap = wide.saturating_sub(shown.chars().count()) + 2;
            let _ = write!(out, "{:gap$}", "");
            used += wide + 2;
        }
    }
    while out.ends_with(' ') {
        out.pop();
    }
    out.push('\n');
}

/// `text` in lines of at most `room` characters, broken between words where possible; nothing of it is lost. A path is
/// to be copied: it is never broken, however long.
pub(super) fn wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(LAST_MIN);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > room {
            lines.push(std::mem::take(&mut line));
            used = 0;
        } else if used > 0 {
            line.push(' ');
            used += 1;
        }
        while word.len() > room && !word.contains(&'/') {
            lines.push(word.drain(..room).collect());
        }
        used += word.len();
        line.extend(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// `text` with each line that is wider than `room` broken between words, what follows below its value. Lines set in by
/// four or more are commands and what others wrote: as they are, so that a command can be copied.
pub(super) fn wrap_page(text: &str, room: Option<usize>) -> String {
    let Some(room) = room else {
        return text.to_owned();
    };
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start_matches(' ');
        let (wide, indent) = (line.trim_end().chars().count(), line.len() - bare.len());
        if wide <= room || indent >= INDENT {
            out.push_str(line);
            continue;
        }
        // `name  value`: the value goes on below itself.
        let value = bare.split_once("  ").map(|(_, value)| value.trim_start());
        let named = value.and_then(|value| line.strip_suffix(value));
        let (head, rest, hang) = match named.map(|head| (head, head.chars().count())) {
            Some((head, hang @ ..=NAME_MOST)) => (head, value.unwrap_or_default(), hang),
            _ => (
                line.strip_suffix(bare).unwrap_or_default(),
                bare,
                indent + 2,
            ),
        };
        // One word, as a path, is to be copied too.
        if !rest.trim_end().contains(' ') {
            out.push_str(line);
            continue;
        }
        let mut head = head.to_owned();
        for part in wrap(rest.trim_end(), room.saturating_sub(hang)) {
            let _ = writeln!(out, "{head}{part}");
            head = " ".repeat(hang);
        }
    }
    out
}

/// At most `room` characters, the last one an ellipsis when something was cut.
pub(super) fn shorten(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(room.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// `text` as it is written out: our own colours and line breaks stay, and whatever else an edge let through
/// is shown by its number.
pub(super) fn for_terminal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        out.push_str(&inert::lines(before));
        let (code, after_code) = after
            .strip_prefix('[')
            .and_then(|code| code.split_once('m'))
            .unwrap_or(("no colour", after));
        if code == "0" || Tone::ALL.iter().any(|tone| tone.code() == Some(code)) {
            let _ = write!(out, "\u{1b}[{code}m");
            rest = after_code;
        } else {
            out.push_str("\\x1b");
            rest = after;
        }
    }
    out.push_str(&inert::lines(rest));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["ID", "SUBJECT", "MESSAGE"]);
        table.row(["1".into(), "a.service".into(), "short".into()]);
        table.row([
            "12".into(),
            Cell::new("b", Tone::Bad),
            "a message that is longer than the terminal is wide".into(),
        ]);
        table
    }

    #[test]
    fn columns_line_up_and_what_has_no_room_in_its_row_stands_in_full_below() {
        let mut long = sample();
        let message = ["word"; 30].join(" ");
        let row = ["13".into(), "c".into(), message.as_str().into()];
        long.row(row);
        let drawn = long.draw(Some(120), false);
        let (rows, below) = drawn.split_at(drawn.find("13  c").unwrap_or_default());
        assert_eq!(rows, sample().draw(None, false));
        let lines: Vec<&str> = below.lines().collect();
        assert_eq!(lines.first(), Some(&"13  c"));
        let words: Vec<&str> = lines.iter().skip(1).map(|line| line.trim()).collect();
        assert_eq!(words.join(" "), message);
        assert!(drawn.lines().all(|line| line.chars().count() <= 120));
        assert!(sample().draw(None, false).contains("terminal is wide"));
    }

    #[test]
    fn a_path_is_never_broken() {
        let path = format!("/etc/systemd/system/{}.conf", "d".repeat(80));
        let mut table = Table::new(&["TASK", "ACTION"]);
        table.row(["4".into(), format!("drop-in: removes {path}").into()]);
        for width in [80, 120] {
            let drawn = table.draw(Some(width), false);
            assert!(drawn.contains(&path), "{drawn}");
        }
        assert_eq!(wrap(&format!("removes {path} now"), 40).len(), 3);
    }

    #[test]
    fn on_a_narrow_terminal_the_message_follows_in_full() {
        assert_eq!(
            sample().draw(Some(40), false),
            "ID  SUBJECT\n    MESSAGE\n1   a.service\n    short\n12  b\n    \
             a message that is longer than the\n    terminal is wide\n"
        );
        // What fits is left as it is.
        assert_eq!(sample().draw(Some(80), false), sample().draw(None, false));
    }

    #[test]
    fn wrapping_loses_nothing() {
        let word = "y".repeat(40);
        for text in ["", "a", "a b  c", &format!("one {word} two"), &word] {
            let lines = wrap(text, 20);
            assert!(
                lines.iter().all(|line| line.chars().count() <= 20),
                "{lines:?}"
            );
            let letters = |text: &str| text.replace(' ', "");
            assert_eq!(letters(&lines.concat()), letters(text));
        }
    }

    #[test]
    fn what_does_not_fit_beside_the_others_stands_in_full_below() {
        let mut table = Table::new(&["ID", "SUBJECT", "SEEN", "MESSAGE"]);
        let subject = "a-subject-of-more-than-thirty-characters";
        table.row(["1".into(), subject.into(), "2".into(), "short".into()]);
        table.row(["2".into(), "b".into(), "3".into(), "longer".into()]);
        let narrow = table.draw(Some(40), false);
        assert_eq!(
            narrow,
            "ID  SUBJECT                         SEEN\n    MESSAGE\n\
             1   a-subject-of-more-than-thirty…  2\n    a-subject-of-more-than-thirty-characters\n    short\n\
             2   b                               3\n    longer\n"
                .replace("    a-subject-of-more-than-thirty-characters", "    a-subject-of-more-than-thirty-charac\n    ters")
        );
        assert!(narrow.lines().all(|line| line.chars().count() <= 40));
    }

    #[test]
    fn on_a_wide_terminal_a_message_that_would_show_little_has_lines_of_its_own() {
        let mut table = Table::new(&["SUBJECT", "MESSAGE"]);
        table.row(["s".repeat(90).into(), "m".repeat(60).into()]);
        let drawn = table.draw(Some(120), false);
        assert!(
            drawn.ends_with(&format!("    {}\n", "m".repeat(60))),
            "{drawn}"
        );
    }

    #[test]
    fn a_page_is_broken_between_words_and_commands_stay_whole() {
        let page = "name         one two three four five six\n  prose of more than twenty\n    \
                    systemctl restart a-unit.service\nshort\n";
        assert_eq!(
            wrap_page(page, Some(30)),
            "name         one two three\n             four five six\n  prose of more than twenty\n    \
             systemctl restart a-unit.service\nshort\n"
        );
        assert_eq!(
            wrap_page("  prose of more than twenty\n", Some(24)),
            "  prose of more than\n    twenty\n"
        );
        let path = format!("writes  /{}\n", "p".repeat(30));
        assert_eq!(wrap_page(&path, Some(24)), path);
        assert_eq!(wrap_page(page, None), page);
    }

    #[test]
    fn colour_is_only_there_when_asked_for() {
        assert!(!sample().draw(None, false).contains('\u{1b}'));
        assert!(sample().draw(None, true).contains("\u{1b}[31mb\u{1b}[0m"));
    }

    #[test]
    fn hostile_text_cannot_drive_the_terminal() {
        let mut table = Table::new(&["A"]);
        table.row(["\u{1b}[2Jx\ny\u{202e}z".into()]);
        let drawn = table.draw(None, false);
        assert_eq!(drawn, "A\n\\x1b[2Jx\\ny\\u{202e}z\n");
    }

    #[test]
    fn only_our_own_colours_get_out() {
        let ours = Tone::Bad.paint("x", true);
        assert_eq!(for_terminal(&ours), ours);
        assert_eq!(
            for_terminal("a\u{1b}[2Jb\u{1b}]0;m\nc"),
            "a\\x1b[2Jb\\x1b]0;m\nc"
        );
        assert_eq!(for_terminal("a\u{1b}"), "a\\x1b");
    }
}
