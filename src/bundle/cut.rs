//! Cuts texts into passages at their own seams: headings, sections, paragraphs. Pure.

use super::source::Passage;

/// A passage aims to be read whole: at most about a screen.
const LINES_MAX: usize = 60;
const BYTES_MAX: usize = 4096;

/// Lines of one section, collected until it ends.
struct Section<'a> {
    title: String,
    lines: Vec<&'a str>,
    first: usize,
}

impl Section<'_> {
    fn new(title: String, first: usize) -> Self {
        Self {
            title,
            lines: Vec::new(),
            first,
        }
    }

    /// The section as passages: cut at the last empty line before it grows too long.
    fn close(self, out: &mut Vec<Passage>) {
        let (mut from, mut bytes, mut blank) = (0, 0, 0);
        for (at, line) in self.lines.iter().enumerate() {
            bytes += line.len() + 1;
            if at > from && (at - from >= LINES_MAX || bytes > BYTES_MAX) {
                let end = if blank > from { blank } else { at };
                self.part(from, end, out);
                from = end;
                bytes = self
                    .lines
                    .iter()
                    .take(at + 1)
                    .skip(end)
                    .map(|line| line.len() + 1)
                    .sum();
            }
            if line.trim().is_empty() {
                blank = at + 1;
            }
        }
        self.part(from, self.lines.len(), out);
    }

    fn part(&self, from: usize, end: usize, out: &mut Vec<Passage>) {
        let Some(lines) = self.lines.get(from..end) else {
            return;
        };
        let (Some(head), Some(tail)) = (
            lines.iter().position(|line| !line.trim().is_empty()),
            lines.iter().rposition(|line| !line.trim().is_empty()),
        ) else {
            return;
        };
        let text = lines.get(head..=tail).unwrap_or(&[]).join("\n");
        let number = |at: usize| u32::try_from(self.first + from + at).unwrap_or(u32::MAX);
        out.push(Passage::new(&self.title, &text, number(head), number(tail)));
    }
}

/// Markdown at its headings; the title of a passage is the path of headings that leads to it.
pub(super) fn markdown(name: &str, text: &str) -> Vec<Passage> {
    let mut out = Vec::new();
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut section = Section::new(name.to_owned(), 1);
    let mut fence: Option<&str> = None;
    for (at, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        match fence {
            Some(mark) if bare.starts_with(mark) => fence = None,
            Some(_) => {}
            None => {
                fence = ["```", "~~~"]
                    .into_iter()
                    .find(|mark| bare.starts_with(mark))
            }
        }
        if fence.is_none()
            && let Some((level, heading)) = heading(line)
        {
            std::mem::replace(&mut section, Section::new(String::new(), at + 1)).close(&mut out);
            path.retain(|(other, _)| *other < level);
            path.push((level, heading));
            let titles: Vec<&str> = path.iter().map(|(_, title)| *title).collect();
            section.title = titles.join(" / ");
        }
        section.lines.push(line);
    }
    section.close(&mut out);
    // A heading alone says nothing that the next passage's title does not.
    out.retain(|passage| passage.text.lines().count() > 1 || heading(&passage.text).is_none());
    out
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.bytes().take_while(|c| *c == b'#').count();
    let rest = line.get(level..)?;
    ((1..=6).contains(&level) && rest.starts_with([' ', '\t']))
        .then(|| (level, rest.trim().trim_end_matches('#').trim_end()))
}

/// Configuration and unit files: at `[sections]` where the file is long, else whole.
pub(super) fn config(name: &str, text: &str) -> Vec<Passage> {
    let long = text.lines().count() > LINES_MAX || text.len() > BYTES_MAX;
    let mut out = Vec::new();
    let mut section = Section::new(name.to_owned(), 1);
    for (at, line) in text.lines().enumerate() {
        let bare = line.trim();
        if long && bare.starts_with('[') && bare.ends_with(']') {
            std::mem::replace(&mut section, Section::new(format!("{name} {bare}"), at + 1))
                .close(&mut out);
        }
        section.lines.push(line);
    }
    section.close(&mut out);
    out
}

/// Text without structure, cut at empty lines.
pub(super) fn plain(name: &str, text: &str) -> Vec<Passage> {
    let mut out = Vec::new();
    let mut section = Section::new(name.to_owned(), 1);
    section.lines = text.lines().collect();
    section.close(&mut out);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn markdown_is_cut_at_headings_with_true_lines() {
        let text = "intro\n\n# A\n\nunder a\n```\n# not a heading\n```\n## B\nunder b\n# C\n";
        let got = markdown("readme", text);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            got.iter().map(|one| one.title.as_str()).collect::<Vec<_>>(),
            ["readme", "A", "A / B"]
        );
        for one in &got {
            let (first, last) = (one.first_line as usize, one.last_line as usize);
            assert_eq!(one.text, lines[first - 1..last].join("\n"));
        }
    }

    #[test]
    fn long_sections_are_cut_at_empty_lines_and_lose_nothing() {
        let text: String = (0..500)
            .map(|n| {
                if n % 7 == 0 {
                    "\n".to_owned()
                } else {
                    format!("line {n}\n")
                }
            })
            .collect();
        let got = plain("long", &text);
        assert!(got.len() > 5);
        let lines: Vec<&str> = text.lines().collect();
        let mut kept = 0;
        for one in &got {
            let (first, last) = (one.first_line as usize, one.last_line as usize);
            assert_eq!(one.text, lines[first - 1..last].join("\n"));
            kept += one.text.lines().filter(|line| !line.is_empty()).count();
        }
        assert_eq!(kept, lines.iter().filter(|line| !line.is_empty()).count());
    }

    #[test]
    fn a_short_unit_stays_whole_and_a_long_file_is_cut_at_sections() {
        assert_eq!(
            config("a.service", "[Unit]\nA=1\n[Service]\nB=2\n").len(),
            1
        );
        let long = format!("[a]\n{}[b]\nx=1\n", "k=v\n".repeat(70));
        assert_eq!(
            config("x.conf", &long).last().map(|one| one.title.clone()),
            Some("x.conf [b]".to_owned())
        );
    }
}
