//! Paths and URLs, which run on past the end of an item, and items of punctuation alone.

use super::bytes::{self, ITEM, QUOTE, SPACE};
use super::kind::Kind;
use super::mask::{MaskRule, MaskRules};
use super::scan::{Expect, Scanner};
use super::words::Cue;

impl<R: MaskRules> Scanner<'_, '_, R> {
    /// Punctuation alone: `--`, `...`, `/`.
    pub(super) fn punctuation(&mut self, at: usize, end: usize) -> usize {
        let item = self.bytes(at, end);
        let root =
            self.expect == Expect::Value || self.bytes(end, end.saturating_add(6)) == b" HTTP/";
        if item == b"/" && root && self.rules.has(MaskRule::Path) {
            self.mask(at, end, Kind::Path);
        }
        self.number = false;
        if item != b":" {
            self.cue = Cue::None;
        }
        self.expect = Expect::Nothing;
        match item.first() {
            Some(&byte) if item.len() > 4 => self.ruler(at, byte),
            _ => end,
        }
    }

    /// `scheme://…` up to white space, a quote or a closing bracket.
    pub(super) fn url(&mut self, at: usize, end: usize) -> Option<usize> {
        let item = self.bytes(at, end);
        let colon = item.windows(3).position(|w| w == b"://")?;
        let scheme = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        let start = item
            .get(..colon)?
            .iter()
            .rposition(|b| !scheme(b))
            .map_or(0, |p| p.saturating_add(1));
        if start >= colon {
            return None;
        }
        let rest = self.rest(at);
        let closes = |b: u8| {
            bytes::is(b, SPACE)
                || matches!(b, b'"' | b'\'' | b'<' | b'>' | b')' | b']' | b'}' | b'|')
        };
        let mut len = rest.iter().position(|&b| closes(b)).unwrap_or(rest.len());
        while len > colon.saturating_add(3)
            && matches!(
                rest.get(len.saturating_sub(1)),
                Some(b'.' | b',' | b':' | b';' | b'!')
            )
        {
            len = len.saturating_sub(1);
        }
        self.mask(at.saturating_add(start), at.saturating_add(len), Kind::Url);
        self.done();
        Some(at.saturating_add(len))
    }

    /// A path. `path:line` and `path: text` end it at the colon; a drive letter does not.
    pub(super) fn path(&mut self, from: usize, to: usize, skip: usize) -> usize {
        let item = self.bytes(from, to);
        let start = from.saturating_add(skip);
        if skip > 0 {
            self.parts(from, start);
        }
        let tail = item.get(skip.saturating_add(2)..).unwrap_or_default();
        let mut end = tail
            .iter()
            .position(|&b| b == b':')
            .map_or(to, |p| start.saturating_add(2).saturating_add(p));
        if end == to {
            end = self.bracketed(to);
        }
        self.mask(start, end, Kind::Path);
        self.done();
        if end < to {
            self.parts(end, to);
        }
        end.max(to)
    }

    /// End of a path that runs on through balanced brackets (`/var/x[2017,07]-a(1).txt`).
    pub(super) fn bracketed(&self, at: usize) -> usize {
        let mut depth = 0u32;
        let mut end = at;
        for (here, &b) in (at..).zip(self.ahead(at)) {
            match b {
                b'[' | b'(' => depth = depth.saturating_add(1),
                b']' | b')' if depth > 0 => depth = depth.saturating_sub(1),
                b',' if depth > 0 => {}
                b'$' | b'+' | b'#' | b'%' => {}
                b':' if depth == 0 => break,
                b'?' if depth == 0 => return self.queried(here),
                _ if bytes::is(b, ITEM) => {}
                _ => break,
            }
            if depth == 0 {
                end = here.saturating_add(1);
            }
        }
        while end > at && matches!(self.before(end), Some(b'.' | b'-')) {
            end = end.saturating_sub(1);
        }
        end
    }

    /// End of a path with a query (`/a?b=c&d`): it runs to white space or a quote.
    pub(super) fn queried(&self, at: usize) -> usize {
        let rest = self.rest(at);
        at.saturating_add(
            rest.iter()
                .position(|&b| bytes::is(b, SPACE | QUOTE) || b == b')')
                .unwrap_or(rest.len()),
        )
    }
}
