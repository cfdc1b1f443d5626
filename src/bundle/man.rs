//! Man pages: troff with the man or mdoc macros, read as text. Not a typesetter: it keeps the words and
//! the lines they stand on, which is all that retrieval and citation need. Pure.

use super::source::Passage;

/// Macros whose arguments are words of the text.
const SPEAKING: &[&str] = &[
    "B", "I", "R", "BR", "RB", "BI", "IB", "IR", "RI", "SM", "SB", "IP", "TP", "TQ", "HP", "Nm",
    "Nd", "Fl", "Ar", "Cm", "Pa", "Xr", "Ev", "Va", "Vt", "Dv", "Er", "Sy", "Em", "Ic", "Li", "Ql",
    "Dq", "Sq", "Op", "It", "Fn", "Ft", "In", "Cd", "UR", "MT", "OP",
];
/// Sections that say nothing about use or faults.
const LEFT_OUT: &[&str] = &[
    "AUTHOR",
    "AUTHORS",
    "COPYRIGHT",
    "REPORTING BUGS",
    "COLOPHON",
    "AVAILABILITY",
    "HISTORY",
];

/// `name` as in `systemd.service.5`; one passage per section, long ones cut.
pub(super) fn cut(name: &str, text: &str) -> Vec<Passage> {
    let page = name.rsplit_once('.').map_or(name, |(page, _)| page);
    let mut out = Vec::new();
    let mut heading = String::new();
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        match read_line(line) {
            Line::Heading(new) => {
                close(page, &heading, &mut lines, &mut out);
                heading = new;
            }
            Line::Text(text) => lines.push((at + 1, text)),
            Line::Nothing => {}
        }
    }
    close(page, &heading, &mut lines, &mut out);
    out
}

enum Line {
    Heading(String),
    Text(String),
    Nothing,
}

fn read_line(line: &str) -> Line {
    let Some(request) = line.strip_prefix(['.', '\'']) else {
        let text = unescape(line);
        return if text.trim().is_empty() {
            Line::Nothing
        } else {
            Line::Text(text)
        };
    };
    let request = request.trim_start();
    let (name, rest) = request.split_once([' ', '\t']).unwrap_or((request, ""));
    let words = || {
        unescape(rest)
            .replace('"', " ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    match name {
        "SH" | "Sh" => Line::Heading(words()),
        "SS" | "Ss" => Line::Text(words()),
        _ if SPEAKING.contains(&name) => match words() {
            text if text.is_empty() => Line::Nothing,
            text => Line::Text(text),
        },
        _ => Line::Nothing,
    }
}

/// Escapes become the character they stand for, or nothing.
fn unescape(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('-') => out.push('-'),
            Some('e' | '\\') => out.push('\\'),
            Some(' ' | '~' | '0') => out.push(' '),
            Some('f' | 'F' | 'm' | 'M' | '*' | 'n' | 'k' | 'g') => skip_name(&mut chars),
            Some('s') => skip_size(&mut chars),
            Some('(') => special(&chars.by_ref().take(2).collect::<String>(), &mut out),
            Some('[') => {
                let name: String = chars.by_ref().take_while(|c| *c != ']').collect();
                special(&name, &mut out);
            }
            Some('"') => break,
            Some('h' | 'v' | 'w' | 'o' | 'l' | 'L' | 'D' | 'x' | 'Z') => skip_quoted(&mut chars),
            _ => {}
        }
    }
    out
}

fn skip_name(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        Some('(') => {
            let _ = chars.by_ref().take(2).count();
        }
        Some('[') => {
            let _ = chars.by_ref().take_while(|c| *c != ']').count();
        }
        _ => {}
    }
}

fn skip_size(chars: &mut std::str::Chars<'_>) {
    let rest = chars.as_str().trim_start_matches(['+', '-']);
    *chars = rest
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .chars();
}

fn skip_quoted(chars: &mut std::str::Chars<'_>) {
    if let Some(mark) = chars.next() {
        let _ = chars.by_ref().take_while(|c| *c != mark).count();
    }
}

fn special(name: &str, out: &mut String) {
    out.push_str(match name {
        "aq" | "cq" | "oq" => "'",
        "dq" | "lq" | "rq" => "\"",
        "bu" => "*",
        "em" | "en" | "hy" | "mi" => "-",
        "rs" => "\\",
        "ti" => "~",
        "ha" => "^",
        "->" => "->",
        "co" => "(c)",
        _ => "",
    });
}

fn close(page: &str, heading: &str, lines: &mut Vec<(usize, String)>, out: &mut Vec<Passage>) {
    const LINES: usize = 50;
    let lines = std::mem::take(lines);
    if LEFT_OUT.contains(&heading.to_ascii_uppercase().as_str()) {
        return;
    }
    for part in lines.chunks(LINES) {
        let (Some((first, _)), Some((last, _))) = (part.first(), part.last()) else {
            continue;
        };
        let text: Vec<&str> = part.iter().map(|(_, text)| text.as_str()).collect();
        let number = |at: &usize| u32::try_from(*at).unwrap_or(u32::MAX);
        out.push(Passage::new(
            format!("{page} {heading}").trim_end(),
            &text.join("\n"),
            number(first),
            number(last),
        ));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn words_and_lines_survive_the_markup() {
        let text = ".\\\" comment\n.TH X 8\n.SH NAME\nx \\- do \\fIthings\\fR\n.SH OPTIONS\n.TP\n.BR \\-a \", \" \\-\\-all\nAll of \\(lqthem\\(rq.\n.SH AUTHOR\nNobody\n";
        let got = cut("x.8", text);
        assert_eq!(got.len(), 2);
        assert_eq!(
            (
                got[0].title.as_str(),
                got[0].text.as_str(),
                got[0].first_line
            ),
            ("x NAME", "x - do things", 4)
        );
        assert_eq!(got[1].text, "-a , --all\nAll of \"them\".");
        assert_eq!((got[1].first_line, got[1].last_line), (7, 8));
    }

    #[test]
    fn broken_escapes_do_not_panic() {
        for text in [
            "\\", "\\(", "\\[", "\\f", "\\s", "\\h", "\\h'", ".", "'", ".\\\\", "\\s+", "\\(é",
        ] {
            cut("x.1", text);
        }
    }
}
