//! Cuts a byte stream into lines: partial last lines wait, endless ones are cut, NUL bytes are left out.

/// Bytes kept of one line; the rest of it is read and skipped.
pub const LINE_CAP: usize = 4096;

/// A line being read and how far the stream was consumed.
#[derive(Clone, Debug)]
pub struct LineSplitter {
    kept: Vec<u8>,
    /// Bytes of the line so far, kept or not.
    length: u64,
    cap: usize,
}

impl Default for LineSplitter {
    fn default() -> Self {
        Self::with_cap(LINE_CAP)
    }
}

impl LineSplitter {
    /// Keeps at most `cap` bytes of a line.
    pub const fn with_cap(cap: usize) -> Self {
        Self {
            kept: Vec::new(),
            length: 0,
            cap,
        }
    }

    /// Takes the next bytes and calls `each` for every finished line with its text (without line end,
    /// invalid UTF-8 as U+FFFD) and its length in the stream, line end included.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(&str, u64)) {
        let mut rest = bytes;
        while let Some(at) = line_end(rest) {
            let (line, tail) = rest.split_at(at);
            if self.length == 0 && line.len() <= self.cap && !line.contains(&0) {
                // It is here whole: no copy is needed.
                hand(line, (line.len() as u64).saturating_add(1), each);
            } else {
                self.keep(line);
                self.length = self.length.saturating_add(1);
                self.end(each);
            }
            rest = tail.get(1..).unwrap_or(&[]);
        }
        self.keep(rest);
    }

    /// The stream ended: a last line without line end counts as a line.
    pub fn finish(&mut self, each: &mut dyn FnMut(&str, u64)) {
        if self.length > 0 {
            self.end(each);
        }
    }

    pub fn clear(&mut self) {
        self.kept.clear();
        self.length = 0;
    }

    fn keep(&mut self, part: &[u8]) {
        self.length = self.length.saturating_add(part.len() as u64);
        // A writer that does not append leaves a hole of NULs after a truncation: it must not use up the cap.
        let room = self.cap.saturating_sub(self.kept.len());
        self.kept
            .extend(part.iter().copied().filter(|c| *c != 0).take(room));
    }

    fn end(&mut self, each: &mut dyn FnMut(&str, u64)) {
        hand(&self.kept, self.length, each);
        self.kept.clear();
        self.length = 0;
    }
}

fn hand(line: &[u8], length: u64, each: &mut dyn FnMut(&str, u64)) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // Sound text is looked through at once, the other character by character.
    match std::str::from_utf8(line) {
        Ok(line) => each(line, length),
        Err(_) => each(&String::from_utf8_lossy(line), length),
    }
}

/// Where the first line ends. Eight bytes at a step: bytes without a line end are most of what is read.
fn line_end(bytes: &[u8]) -> Option<usize> {
    let (words, _) = bytes.as_chunks::<8>();
    let before = words
        .iter()
        .take_while(|word| !has_line_end(**word))
        .count();
    let from = before.saturating_mul(8);
    let rest = bytes.get(from..)?;
    let at = rest.iter().position(|c| *c == b'\n')?;
    Some(from.saturating_add(at))
}

/// By the borrow that only a zero byte needs, once the line ends are made zero.
const fn has_line_end(word: [u8; 8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const ENDS: u64 = ONES * b'\n' as u64;
    let zeros = u64::from_le_bytes(word) ^ ENDS;
    zeros.wrapping_sub(ONES) & !zeros & (ONES << 7) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(parts: &[&[u8]]) -> Vec<(String, u64)> {
        let mut got = Vec::new();
        let mut splitter = LineSplitter::default();
        for part in parts {
            splitter.push(part, &mut |line, len| got.push((line.to_owned(), len)));
        }
        splitter.finish(&mut |line, len| got.push((line.to_owned(), len)));
        got
    }

    #[test]
    fn lines_come_whole_however_they_arrive() {
        let want = [
            ("ab".to_owned(), 3),
            (String::new(), 1),
            ("c".to_owned(), 1),
        ];
        assert_eq!(split(&[b"ab\n\nc"]), want);
        assert_eq!(split(&[b"a", b"b", b"\n", b"\nc"]), want);
        assert_eq!(split(&[]), []);
    }

    #[test]
    fn hostile_bytes_are_no_harm() {
        assert_eq!(split(&[b"\0\0a\0b\r\n"]), [("ab".to_owned(), 7)]);
        assert_eq!(split(&[b"\xff\n"]), [("\u{fffd}".to_owned(), 2)]);
        let long = vec![b'x'; 3_000_000];
        let got = split(&[&long, b"\nnext\n"]);
        assert_eq!(
            got.iter().map(|(l, n)| (l.len(), *n)).collect::<Vec<_>>(),
            [(LINE_CAP, 3_000_001), (4, 5)]
        );
        let hole = vec![0; 1_000_000];
        assert_eq!(split(&[&hole, b"end\n"]), [("end".to_owned(), 1_000_004)]);
    }

    use proptest::prelude::*;

    proptest! {
        /// However a stream is cut into pieces: the same lines, and their lengths are the whole stream.
        #[test]
        fn pieces_change_nothing(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(0_u8), Just(b'\r'), any::<u8>()], 0..6000),
            cuts in proptest::collection::vec(1_usize..700, 1..40),
        ) {
            let whole = split(&[&bytes]);
            let mut pieces: Vec<&[u8]> = Vec::new();
            let mut rest = bytes.as_slice();
            for cut in cuts {
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = tail;
            }
            pieces.push(rest);
            prop_assert_eq!(&split(&pieces), &whole);
            let lengths: u64 = whole.iter().map(|(_, length)| length).sum();
            prop_assert_eq!(lengths, bytes.len() as u64);
            prop_assert!(whole.iter().all(|(line, _)| line.len() <= 3 * LINE_CAP && !line.contains('\0')));
        }
    }
}
