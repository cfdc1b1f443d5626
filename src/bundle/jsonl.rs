//! Ready-made snippets: one JSON object a line with `id`, `title`, `text`, and optionally `source`,
//! `first_line`, `last_line`. A bad line is reported and left out; it never spoils the rest.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::error::{BundleError, LeftOut};
use super::report::Builder;
use super::source::{Passage, Source, one_line, without_secrets};
use crate::core::human::redact::Redactor;
use crate::core::model::hex::hex;

/// Longest line, in bytes. Only this much of one line is ever in memory.
const LINE_MAX: u64 = 1 << 20;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    id: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    first_line: u32,
    #[serde(default)]
    last_line: u32,
}

/// Reads the file; what is left out, and why, is in the builder's report.
pub(super) fn read(path: &Path, builder: &mut Builder) -> Result<Vec<Source>, BundleError> {
    let file = std::fs::File::open(path).map_err(BundleError::io(path))?;
    let mut reader = BufReader::new(file);
    let mut own = Source {
        path: path.display().to_string(),
        kind: "snippets",
        ..Source::default()
    };
    let mut named: Vec<Source> = Vec::new();
    let mut hash = Sha256::new();
    let (mut line, mut number) = (Vec::new(), 0_u32);
    loop {
        line.clear();
        let read = reader
            .by_ref()
            .take(LINE_MAX)
            .read_until(b'\n', &mut line)
            .map_err(BundleError::io(path))?;
        if read == 0 {
            break;
        }
        number = number.saturating_add(1);
        hash.update(&line);
        own.bytes += read as u64;
        let place = || format!("{}:{number}", path.display());
        if read as u64 == LINE_MAX && line.last() != Some(&b'\n') {
            own.bytes += rest_of_line(&mut reader, &mut hash).map_err(BundleError::io(path))?;
            builder.skip(place(), &LeftOut::LongLine);
            continue;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match passage(&builder.redactor, &line, number, path) {
            Err(why) => builder.skip(place(), &why),
            Ok((_, passage, _)) if !builder.has_room(passage.text.len()) => {
                builder.skip(place(), &LeftOut::Full);
                break;
            }
            Ok((source, passage, redacted)) => put(&mut own, &mut named, source, passage, redacted),
        }
    }
    own.sha256 = hex(&hash.finalize());
    for source in &mut named {
        source.sha256.clone_from(&own.sha256);
    }
    named.push(own);
    Ok(named)
}

fn rest_of_line(reader: &mut impl BufRead, hash: &mut Sha256) -> std::io::Result<u64> {
    let mut skipped = 0;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(skipped);
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(chunk.len(), |at| at + 1);
        hash.update(chunk.get(..used).unwrap_or(&[]));
        reader.consume(used);
        skipped += used as u64;
        if end.is_some() {
            return Ok(skipped);
        }
    }
}

fn passage(
    redactor: &Redactor,
    line: &[u8],
    number: u32,
    path: &Path,
) -> Result<(String, Passage, u64), LeftOut> {
    let line: Line = serde_json::from_slice(line).map_err(LeftOut::Form)?;
    if line.text.trim().is_empty() && line.title.trim().is_empty() {
        return Err(LeftOut::Empty);
    }
    let (text, in_text) = without_secrets(redactor, &line.text).ok_or(LeftOut::Unclear)?;
    let (title, in_title) = without_secrets(redactor, &line.title).ok_or(LeftOut::Unclear)?;
    let (first, last) = match (line.source.is_empty(), line.first_line) {
        (true, _) | (false, 0) => (0, 0),
        (false, first) => (first, line.last_line.max(first)),
    };
    let mut passage = Passage::new(&title, &text, first, last);
    // Without a source of its own the snippet is cited by its line in this file.
    if line.source.is_empty() {
        (passage.first_line, passage.last_line) = (number, number);
    }
    passage.key = one_line(&line.id);
    if passage.key.is_empty() {
        passage.key = format!("{}:{number}", path.display());
    }
    Ok((one_line(&line.source), passage, in_text + in_title))
}

fn put(own: &mut Source, named: &mut Vec<Source>, source: String, passage: Passage, redacted: u64) {
    let to = if source.is_empty() {
        own
    } else {
        let at = named
            .iter()
            .position(|known| known.path == source)
            .unwrap_or_else(|| {
                named.push(Source {
                    path: source,
                    kind: "snippets",
                    ..Source::default()
                });
                named.len() - 1
            });
        match named.get_mut(at) {
            Some(source) => source,
            None => own,
        }
    };
    to.redacted += redacted;
    to.passages.push(passage);
}
