//! `fingerprint`: one message a line in, one fingerprint or template a line out.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, BufWriter, Write, stdin, stdout};

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::typed::Typed;
use crate::core::identity::{MESSAGE_CAP, Memo, lossy_line, template_into};
use crate::core::model::class::Class;
use crate::core::model::inert;
use crate::core::reading::shape;

/// Enough for thousands of lines a system call.
const BUFFER: usize = 64 << 10;
/// What of a line is kept; a few bytes over the cap so that a character across it is not broken.
const KEEP: usize = MESSAGE_CAP + 4;

/// Standard input to standard output, in order, with nothing else printed.
pub(super) fn run(typed: &Typed, _globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let class: Option<Class> = typed.parsed("class")?;
    let subject: Option<String> = typed.parsed("subject")?;
    filter(
        &mut BufReader::with_capacity(BUFFER, stdin().lock()),
        &mut BufWriter::with_capacity(BUFFER, stdout().lock()),
        class.unwrap_or(Class::LogError).as_str(),
        &subject.unwrap_or_default(),
        typed.has("template"),
    )?;
    Ok(Exit::Done)
}

/// Filters `input` to `output` in order and returns the number of lines.
///
/// Memory is bounded whatever the length of a line: beyond the first [`MESSAGE_CAP`] bytes it is skipped.
///
/// # Errors
/// Reading `input` or writing `output` failed.
fn filter(
    input: &mut dyn BufRead,
    output: &mut dyn Write,
    class: &str,
    subject: &str,
    as_template: bool,
) -> io::Result<u64> {
    let mut work = Work {
        memo: Memo::new(class, subject),
        template: String::with_capacity(2 * MESSAGE_CAP),
        as_template,
        lines: 0,
    };
    // The head of a line that spans buffers.
    let mut partial: Vec<u8> = Vec::with_capacity(KEEP);
    let mut open = false;
    loop {
        let buffer = match input.fill_buf() {
            Ok(buffer) => buffer,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let size = buffer.len();
        if size == 0 {
            break;
        }
        let mut rest = buffer;
        loop {
            // On a slice this is the standard library's memchr and cannot fail.
            let before = rest;
            let used = rest.skip_until(b'\n')?;
            let Some(line) = before.get(..used).and_then(|l| l.strip_suffix(b"\n")) else {
                rest = before;
                break;
            };
            if open {
                keep(&mut partial, line);
                work.line(&partial, output)?;
                partial.clear();
                open = false;
            } else {
                work.line(line, output)?;
            }
        }
        if !rest.is_empty() {
            keep(&mut partial, rest);
            open = true;
        }
        input.consume(size);
    }
    if open {
        work.line(&partial, output)?;
    }
    output.flush()?;
    Ok(work.lines)
}

fn keep(partial: &mut Vec<u8>, part: &[u8]) {
    let room = KEEP.saturating_sub(partial.len());
    partial.extend_from_slice(part.get(..room).unwrap_or(part));
}

/// What a line says, whatever wraps it: the same fault has one fingerprint in every log.
fn said(line: &str) -> Cow<'_, str> {
    let spoken = shape::read(line);
    if !spoken.kernel {
        return spoken.message;
    }
    // The kernel's stamp and caller are of this one line.
    match spoken.message {
        Cow::Borrowed(message) => Cow::Borrowed(kernel_text(message)),
        Cow::Owned(message) => Cow::Owned(kernel_text(&message).to_owned()),
    }
}

fn kernel_text(message: &str) -> &str {
    shape::split_console(message)
        .find(|(at, _)| at.is_some())
        .map_or(message, |(_, text)| text)
}

struct Work {
    memo: Memo,
    template: String,
    as_template: bool,
    lines: u64,
}

impl Work {
    fn line(&mut self, line: &[u8], output: &mut dyn Write) -> io::Result<()> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let message = lossy_line(line);
        self.lines += 1;
        if self.as_template {
            template_into(&said(&message), &mut self.template);
            output.write_all(inert::line(&self.template).as_bytes())?;
            return output.write_all(b"\n");
        }
        let mut text = [b'\n'; 65];
        let hex = self.memo.hex(&message, said, &mut self.template);
        if let Some(place) = text.get_mut(..64) {
            place.copy_from_slice(&hex);
        }
        output.write_all(&text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use std::io::{BufReader, Cursor};

    use super::*;
    use crate::core::identity::{fingerprint, template};

    fn run(input: &[u8], buffer: usize, as_template: bool) -> (u64, Vec<String>) {
        let mut output = Vec::new();
        let mut input = BufReader::with_capacity(buffer, Cursor::new(input));
        let lines = filter(&mut input, &mut output, "log_error", "", as_template).unwrap();
        let text = String::from_utf8(output).unwrap();
        (lines, text.lines().map(str::to_owned).collect())
    }

    #[test]
    fn one_line_in_one_line_out() {
        let (lines, out) = run(b"retry 1\n\nretry 2\r\n", 64, true);
        assert_eq!(
            (lines, out),
            (
                3,
                vec!["retry <num>".into(), String::new(), "retry <num>".into()]
            )
        );
        let (lines, out) = run(b"no end 5", 64, false);
        assert_eq!(
            (lines, out),
            (
                1,
                vec![fingerprint("log_error", "", "no end 7").to_string()]
            )
        );
        assert_eq!(run(b"", 64, false), (0, vec![]));
        assert_eq!(run(b"\n", 64, true), (1, vec![String::new()]));
    }

    #[test]
    fn the_stamp_of_the_kernel_is_no_part_of_its_message() {
        for line in [
            "[76261.584586] eth0: link lost",
            "[    1.117733][ T4562] eth0: link lost",
            "Oct  8 02:11:36 gw kernel: [  912.004120] eth0: link lost",
            "login: [   59.806466] eth0: link lost",
        ] {
            assert_eq!(said(line), "eth0: link lost", "{line}");
        }
    }

    #[test]
    fn the_size_of_the_buffer_changes_nothing() {
        let mut input = Vec::new();
        for i in 0..40u32 {
            input
                .extend(format!("line {i} é\u{1f600} of {}\n", "x".repeat(i as usize * 7)).bytes());
        }
        input.extend(b"\xff\xfe bad\0bytes\n");
        let whole = run(&input, 1 << 16, true);
        for buffer in [1, 2, 3, 7, 64] {
            assert_eq!(run(&input, buffer, true), whole);
        }
    }

    #[test]
    fn a_template_drives_no_terminal() {
        let (_, out) = run(inert::HOSTILE.as_bytes(), 64, true);
        assert!(!out.concat().chars().any(inert::is_active), "{out:?}");
    }

    #[test]
    fn a_line_of_megabytes_counts_by_its_head() {
        let mut input = "word é ".repeat(1 << 20).into_bytes();
        input.extend(b"\nnext 5\n");
        let (lines, out) = run(&input, 4096, true);
        assert_eq!(lines, 2);
        assert_eq!(out[0], template(&"word é ".repeat(1 << 10)));
        assert_eq!(out[1], "next <num>");
    }
}
