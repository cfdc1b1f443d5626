//! The one-pass scanner: message in, template out.
//!
//! It walks the message once, left to right, and looks ahead at most [`LOOK_AHEAD`] bytes past an
//! item, so that no line, however hostile, costs more than linear time. What it remembers of the
//! past is one key, one cue word and whether a number came last.

use super::bytes::{self, ALNUM, EQUALS, ITEM, OPEN, QUOTE, SPACE};
use super::kind::Kind;
use super::mask::{MaskRule, MaskRules};
use super::words::Cue;
use super::{shape, words};

/// How far a closing quote or bracket is looked for, in bytes: names are shorter than this.
pub const LOOK_AHEAD: usize = 256;

/// Longest text between two placeholders that can make them one run, in bytes.
const JOIN: usize = 4;

/// Where a value is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Nothing,
    /// Right after `key=`.
    Value,
    /// After `key= `: a value, unless what comes is the next key.
    SpacedValue,
    /// After `"key":`: a quoted value.
    Member,
    /// After `key: `: a value, if a list goes on or ends after it.
    ListValue,
}

/// State of one pass.
pub struct Scanner<'t, 'o, R> {
    pub(super) text: &'t str,
    pub(super) out: &'o mut String,
    pub(super) rules: R,
    /// Whether placeholders carry their type (the template) or not (the key that is hashed).
    pub(super) typed: bool,
    /// Everything of `text` before this is in `out` or masked.
    pub(super) flushed: usize,
    /// Where the last placeholder begins and ends in `out`; 0 for none.
    pub(super) masked: (usize, usize),
    /// Where the placeholder before it ends in `out`.
    pub(super) earlier: usize,
    pub(super) expect: Expect,
    pub(super) cue: Cue,
    /// A number came last: a unit may follow.
    pub(super) number: bool,
    /// A number with its unit came last.
    pub(super) unit: bool,
    /// The last key-like item, `from..to` in `text`.
    pub(super) key: (usize, usize),
    /// A quote that closes a phrase which is scanned as text.
    closing: usize,
}

impl<'t, 'o, R: MaskRules> Scanner<'t, 'o, R> {
    /// Writes the template of `text` to the end of `out`.
    pub fn run(text: &'t str, out: &'o mut String, typed: bool, rules: R) {
        let mut scanner = Scanner {
            text,
            out,
            rules,
            typed,
            flushed: 0,
            masked: (0, 0),
            earlier: 0,
            expect: Expect::Nothing,
            cue: Cue::None,
            number: false,
            unit: false,
            key: (0, 0),
            closing: usize::MAX,
        };
        let end = if rules.has(MaskRule::Space) {
            text.trim_end().len()
        } else {
            text.len()
        };
        let mut at = 0;
        while let Some(byte) = scanner.byte(at) {
            if at >= end {
                break;
            }
            let classes = bytes::class(byte);
            if classes & ITEM != 0 {
                at = scanner.item(at);
                // After an item comes one space, as a rule, and then the next item.
                if scanner.byte(at) == Some(b' ')
                    && !scanner
                        .byte(at.saturating_add(1))
                        .is_some_and(|b| bytes::is(b, SPACE))
                {
                    scanner.spaced(at);
                    at = at.saturating_add(1);
                }
            } else if classes & SPACE != 0 {
                at = scanner.space(at);
            } else {
                at = scanner.mark(at, byte, classes);
            }
        }
        scanner.flush(end);
    }

    #[inline(always)]
    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    #[inline(always)]
    pub(super) fn before(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at.checked_sub(1)?).copied()
    }

    #[inline(always)]
    pub(super) fn bytes(&self, from: usize, to: usize) -> &'t [u8] {
        self.text.as_bytes().get(from..to).unwrap_or_default()
    }

    /// What follows, as far as one may look.
    #[inline(always)]
    pub(super) fn ahead(&self, at: usize) -> &'t [u8] {
        self.bytes(at, self.text.len().min(at.saturating_add(LOOK_AHEAD)))
    }

    #[inline(always)]
    pub(super) fn rest(&self, at: usize) -> &'t [u8] {
        self.bytes(at, self.text.len())
    }

    /// Forgets the context: the item did not continue it.
    #[inline(always)]
    pub(super) fn done(&mut self) {
        self.expect = Expect::Nothing;
        self.cue = Cue::None;
        self.number = false;
        self.unit = false;
        self.key = (0, 0);
    }

    /// Copies the literal text up to `to`.
    #[inline(always)]
    pub(super) fn flush(&mut self, to: usize) {
        if self.flushed < to {
            self.out
                .push_str(self.text.get(self.flushed..to).unwrap_or_default());
            self.flushed = to;
        }
    }

    /// Replaces `from..to` by a placeholder; a run of placeholders stays one.
    pub(super) fn mask(&mut self, from: usize, to: usize, kind: Kind) {
        let signed = from > self.flushed && self.signed(from, to);
        self.flush(if signed { from.saturating_sub(1) } else { from });
        self.flushed = to;
        let (_, last) = self.masked;
        if last > 0 && self.rules.has(MaskRule::Runs) && self.joins(last) {
            self.out.truncate(last);
            return;
        }
        let start = self.out.len();
        self.out.push_str(if self.typed {
            kind.text(self.bytes(from, to))
        } else {
            "<*>"
        });
        self.earlier = last;
        self.masked = (start, self.out.len());
    }

    /// Whether a sign or a bound (`+5`, `<1 sec`, `>30s`) stands right before the value.
    #[inline(always)]
    fn signed(&self, from: usize, to: usize) -> bool {
        let Some(sign @ (b'+' | b'<' | b'>')) = self.before(from) else {
            return false;
        };
        let earlier = self.before(from.saturating_sub(1));
        let free = earlier.is_none_or(|b| !bytes::is(b, ALNUM) && b != b')');
        // `<6>` is a pair of brackets; `->5` and `=>5` are arrows.
        free && (sign == b'+'
            || (matches!(earlier, Some(b' ' | b'(' | b'='))
                && self.byte(from).is_some_and(|b| b.is_ascii_digit())
                && self.byte(to) != Some(b'>')))
    }

    /// Whether only separators stand between the last placeholder and the end.
    #[inline(always)]
    fn joins(&self, last: usize) -> bool {
        let tail = self.out.as_bytes().get(last..).unwrap_or_default();
        tail.len() <= JOIN
            && tail.iter().all(|b| {
                matches!(
                    b,
                    b' ' | b',' | b':' | b'/' | b'-' | b'|' | b'#' | b';' | b'.' | b'+'
                )
            })
    }

    /// White space: one space stands for a run.
    #[inline(always)]
    fn space(&mut self, at: usize) -> usize {
        let one = at.saturating_add(1);
        let mut next = one;
        while self.byte(next).is_some_and(|b| bytes::is(b, SPACE)) {
            next = next.saturating_add(1);
        }
        if (next > one || at == 0 || self.byte(at) != Some(b' ')) && self.rules.has(MaskRule::Space)
        {
            self.flush(at);
            if at > 0 {
                self.out.push(' ');
            }
            self.flushed = next;
        }
        if next == one {
            self.spaced(at);
        } else if self.expect == Expect::Value {
            self.expect = Expect::SpacedValue;
        }
        next
    }

    /// What one space does to the context.
    #[inline(always)]
    fn spaced(&mut self, at: usize) {
        if self.expect == Expect::Value {
            self.expect = Expect::SpacedValue;
        } else if self.key.1.saturating_add(1) == at && self.before(at) == Some(b':') {
            self.expect = Expect::ListValue;
        }
    }

    /// Punctuation that is no part of an item.
    fn mark(&mut self, at: usize, byte: u8, classes: u16) -> usize {
        if classes & EQUALS != 0 {
            return self.equals(at);
        }
        if classes & QUOTE != 0
            && self.rules.has(MaskRule::Quoted)
            && at != self.closing
            && let Some(next) = self.quote(at, byte)
        {
            return next;
        }
        if classes & OPEN != 0
            && let Some(next) = self.open(at, byte)
        {
            return next;
        }
        if byte == b')' && self.unit && self.restated(at) {
            self.done();
            return at.saturating_add(1);
        }
        if byte == b'*'
            && self.number
            && let Some(next) = self.overflown(at)
        {
            return next;
        }
        self.number = false;
        self.unit = false;
        if !matches!(byte, b'+' | b'*' | b'$' | b'%' | b'&' | b'#' | b'!' | b'^') {
            self.expect = Expect::Nothing;
        }
        if !matches!(byte, b'(' | b'[' | b'<') {
            self.cue = Cue::None;
        }
        self.ruler(at, byte)
    }

    /// `3552 **** 3375`: a number that did not fit its field, among numbers.
    fn overflown(&mut self, at: usize) -> Option<usize> {
        let stars = self.ahead(at).iter().take_while(|&&b| b == b'*').count();
        let next = at.saturating_add(stars);
        if stars < 2
            || self.before(at) != Some(b' ')
            || !self.byte(next).is_none_or(|b| bytes::is(b, SPACE))
            || !self.rules.has(MaskRule::Digits)
        {
            return None;
        }
        self.mask(at, next, Kind::Number);
        Some(next)
    }

    /// The length of a ruler (`****`, `====`) is no identity: from four on they are all alike.
    pub(super) fn ruler(&mut self, at: usize, byte: u8) -> usize {
        let mut next = at.saturating_add(1);
        while self.byte(next) == Some(byte) {
            next = next.saturating_add(1);
        }
        if next.saturating_sub(at) > 4 && self.rules.has(MaskRule::Space) {
            self.flush(at.saturating_add(4));
            self.flushed = next;
        }
        next
    }

    /// `12345 bytes (12 kB)`: the parenthesis repeats the number in another unit.
    fn restated(&mut self, at: usize) -> bool {
        let (start, end) = self.masked;
        let repeats = self.rules.has(MaskRule::Unit)
            && self.earlier > 0
            && self.flushed == at
            && self.out.len() == end
            && matches!(
                self.out.as_bytes().get(self.earlier..start),
                Some(b" (" | b"(")
            );
        if repeats {
            self.out.truncate(self.earlier);
            self.masked = (0, self.earlier);
            self.flushed = at.saturating_add(1);
        }
        repeats
    }

    /// `()` and `[]` that stand free are empty values; `(USER) CMD (COMMAND)` is cron's line.
    fn open(&mut self, at: usize, byte: u8) -> Option<usize> {
        let close = if byte == b'(' { b')' } else { b']' };
        let next = at.saturating_add(1);
        if self.byte(next) == Some(close) {
            let free = self
                .before(at)
                .is_none_or(|b| matches!(b, b' ' | b'=' | b':'));
            if !free || !self.rules.has(MaskRule::Empty) {
                return None;
            }
            self.mask(next, next, Kind::Value);
            self.done();
            return Some(next.saturating_add(1));
        }
        if !self.rules.has(MaskRule::Position) {
            return None;
        }
        if byte == b'[' {
            let to = next.saturating_add(shape::process_tag(self.ahead(next))?);
            self.mask(next, to, Kind::Process);
            self.done();
            return Some(to.saturating_add(1));
        }
        if at == 0 {
            let len = self.ahead(1).iter().position(|&b| b == b')')?;
            if !self.rest(len.saturating_add(2)).starts_with(b" CMD (") {
                return None;
            }
            self.mask(1, len.saturating_add(1), Kind::Name);
            self.done();
            return Some(len.saturating_add(2));
        }
        if self.cue == Cue::Command {
            let end = self
                .rest(at)
                .iter()
                .rposition(|&b| b == b')')?
                .saturating_add(at);
            self.mask(next, end, Kind::Value);
            self.done();
            return Some(end);
        }
        None
    }

    /// `=` after a key announces a value; `==`, `=>`, `!=` and rulers do not.
    fn equals(&mut self, at: usize) -> usize {
        let (from, to) = self.key;
        let keyed = to > from && matches!(self.bytes(to, at), b"" | b" ");
        self.number = false;
        self.unit = false;
        let next = at.saturating_add(1);
        if keyed && !matches!(self.byte(next), Some(b'=' | b'>')) {
            if words::is_command_key(self.bytes(from, to)) && self.rules.has(MaskRule::Position) {
                let end = self.text.trim_end().len();
                let end = end.max(next);
                self.mask(next, end, Kind::Value);
                self.done();
                return end;
            }
            // The key's cue (errno=, exit_code=, Result=) still holds.
            self.expect = Expect::Value;
            return next;
        }
        self.done();
        self.ruler(at, b'=')
    }

    /// Whether a quote at `at` stands where an object has its keys: after `{` or `,`.
    fn in_object(&self, at: usize) -> bool {
        let before = if self.before(at) == Some(b' ') {
            at.saturating_sub(1)
        } else {
            at
        };
        matches!(self.before(before), Some(b'{' | b','))
    }

    /// `u'name'`, `b'bytes'`: Python writes a letter before the quote.
    fn prefixed(&self, at: usize) -> bool {
        matches!(self.before(at), Some(b'u' | b'b' | b'r'))
            && matches!(
                at.checked_sub(2).and_then(|before| self.byte(before)),
                None | Some(b' ' | b'(' | b'[' | b'{' | b',' | b':' | b'=')
            )
    }

    /// A quoted string, if the quote opens one here. One token is a value; a phrase is text, since it
    /// may be the very message (`msg="connection refused"`).
    fn quote(&mut self, at: usize, quote: u8) -> Option<usize> {
        if self.before(at).is_some_and(|b| bytes::is(b, ALNUM)) && !self.prefixed(at) {
            return None;
        }
        let from = at.saturating_add(1);
        let ahead = self.ahead(from);
        let close = if quote == b'`' { b'\'' } else { quote };
        let mut len = 0;
        let mut phrase = false;
        loop {
            let byte = *ahead.get(len)?;
            let after = ahead.get(len.saturating_add(1)).copied().unwrap_or(b' ');
            let escaped = byte == b'\\' && after == quote;
            if (byte == close || byte == quote) && !bytes::is(after, ALNUM) {
                break;
            }
            if escaped {
                len = len.saturating_add(1);
            }
            phrase |= bytes::is(byte, SPACE);
            len = len.saturating_add(1);
        }
        let to = from.saturating_add(len);
        let is_key = !phrase && self.byte(to.saturating_add(1)) == Some(b':') && self.in_object(at);
        let (key_from, key_to) = self.key;
        let assigned = !matches!(self.expect, Expect::Nothing | Expect::ListValue);
        let text = if assigned {
            words::is_message_key(self.bytes(key_from, key_to))
        } else {
            phrase && !shape::is_agent(self.bytes(from, to))
        };
        let text = text || is_key || self.cue == Cue::Result;
        if text && self.rules.has(MaskRule::Literal) {
            self.done();
            self.closing = to;
            if !is_key {
                return Some(from);
            }
            self.key = (from, to);
            self.expect = Expect::Member;
            // Past the colon, so that it does not end the key.
            return Some(to.saturating_add(2));
        }
        self.mask(from, to, Kind::Quoted);
        self.done();
        Some(to.saturating_add(1))
    }
}
