//! The one-pass scanner: message in, template out.

use super::kind::Kind;
use super::rules::{Rule, RuleSet};
use super::words::{self, Cue};

// Byte classes; an item's classes are OR-ed while its end is sought.
const LETTER: u16 = 1;
const HEX: u16 = 1 << 1;
const DIGIT: u16 = 1 << 2;
const DOT: u16 = 1 << 3;
const COLON: u16 = 1 << 4;
const SLASH: u16 = 1 << 5;
const BACK: u16 = 1 << 6;
const AT: u16 = 1 << 7;
const DASH: u16 = 1 << 8;
const TILDE: u16 = 1 << 9;
const SPACE: u16 = 1 << 10;
const QUOTE: u16 = 1 << 11;
const EQUALS: u16 = 1 << 12;
const OPEN: u16 = 1 << 13;
const OTHER: u16 = 1 << 14;
const ATOM: u16 = LETTER | HEX | DIGIT | DOT | COLON | SLASH | BACK | AT | DASH | TILDE;

const CLASS: [u16; 256] = classes();

const fn classes() -> [u16; 256] {
    let mut table = [OTHER; 256];
    let mut i = 0;
    while i < 256 {
        #[allow(clippy::indexing_slicing)] // const evaluation: an index out of range fails the build
        {
            table[i] = class_of(i as u8);
        }
        i += 1;
    }
    table
}

const fn class_of(byte: u8) -> u16 {
    match byte {
        b'a'..=b'f' | b'A'..=b'F' => HEX,
        b'g'..=b'z' | b'G'..=b'Z' | b'_' | 0x80.. => LETTER,
        b'0'..=b'9' => DIGIT,
        b'.' => DOT,
        b':' => COLON,
        b'/' => SLASH,
        b'\\' => BACK,
        b'@' => AT,
        b'-' => DASH,
        b'~' => TILDE,
        b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0 => SPACE,
        b'"' | b'\'' | b'`' => QUOTE,
        b'=' => EQUALS,
        b'(' | b'[' => OPEN,
        _ => OTHER,
    }
}

#[inline(always)]
fn class(byte: u8) -> u16 {
    CLASS.get(usize::from(byte)).copied().unwrap_or(OTHER)
}

/// Where a value is expected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Nothing,
    /// Right after `key=`.
    Value,
    /// After `key= `: a value, unless what comes is the next key.
    SpacedValue,
}

/// State of one pass.
pub struct Scanner<'t, 'o, R> {
    text: &'t str,
    out: &'o mut String,
    rules: R,
    /// Everything of `text` before this is in `out` or masked.
    flushed: usize,
    /// Length of `out` right after the last placeholder; 0 for none (a placeholder is never empty).
    masked: usize,
    expect: Expect,
    cue: Cue,
    /// The last item was a number: a unit may follow.
    number: bool,
    /// End of the last key-like item, for `key =`.
    key: (usize, usize),
}

impl<'t, 'o, R: RuleSet> Scanner<'t, 'o, R> {
    /// Writes the template of `text` to the end of `out`.
    pub fn run(text: &'t str, out: &'o mut String, rules: R) {
        let mut scanner = Scanner {
            text,
            out,
            rules,
            flushed: 0,
            masked: 0,
            expect: Expect::Nothing,
            cue: Cue::None,
            number: false,
            key: (0, 0),
        };
        let end = if rules.has(Rule::Space) { text.trim_end().len() } else { text.len() };
        let mut at = 0;
        while let Some(byte) = scanner.byte(at) {
            if at >= end {
                break;
            }
            let classes = class(byte);
            at = if classes & ATOM != 0 {
                scanner.atom(at)
            } else if classes & SPACE != 0 {
                scanner.space(at)
            } else {
                scanner.mark(at, byte, classes)
            };
        }
        scanner.flush(end);
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    #[inline(always)]
    fn bytes(&self, from: usize, to: usize) -> &'t [u8] {
        self.text.as_bytes().get(from..to).unwrap_or_default()
    }

    /// Copies the literal text up to `to`.
    #[inline(always)]
    fn flush(&mut self, to: usize) {
        if self.flushed < to {
            self.out.push_str(self.text.get(self.flushed..to).unwrap_or_default());
        }
        self.flushed = self.flushed.max(to);
    }

    /// Replaces `from..to` by a placeholder; a run of placeholders stays one.
    #[inline(always)]
    fn mask(&mut self, from: usize, to: usize, kind: Kind) {
        self.flush(from);
        self.flushed = to;
        if self.rules.has(Rule::Runs) && self.masked > 0 && self.joins() {
            self.out.truncate(self.masked);
            return;
        }
        self.out.push_str(if self.rules.has(Rule::Typed) { kind.text() } else { "<*>" });
        self.masked = self.out.len();
    }

    /// Whether only separators stand between the last placeholder and the end.
    fn joins(&self) -> bool {
        let tail = self.out.as_bytes().get(self.masked..).unwrap_or_default();
        tail.len() <= 4
            && tail.iter().all(|b| matches!(b, b' ' | b',' | b':' | b'/' | b'-' | b'|' | b'#' | b';' | b'.' | b'+'))
    }

    /// White space: one space stands for a run.
    fn space(&mut self, at: usize) -> usize {
        let run = self.bytes(at, self.text.len()).iter().take_while(|&&b| class(b) & SPACE != 0).count();
        let next = at + run;
        if self.rules.has(Rule::Space) && (run > 1 || at == 0 || self.byte(at) != Some(b' ')) {
            self.flush(at);
            if at > 0 {
                self.out.push(' ');
            }
            self.flushed = next;
        }
        if self.expect == Expect::Value {
            // `key = value` has its space before the sign as well: there a value must follow.
            self.expect = Expect::SpacedValue;
        }
        next
    }

    /// Punctuation that is no part of an item.
    fn mark(&mut self, at: usize, byte: u8, classes: u16) -> usize {
        if classes & EQUALS != 0 {
            return self.equals(at);
        }
        if classes & QUOTE != 0 && self.rules.has(Rule::Quoted) {
            if let Some(next) = self.quote(at, byte) {
                return next;
            }
        }
        if classes & OPEN != 0 && self.rules.has(Rule::Empty) {
            let close = if byte == b'(' { b')' } else { b']' };
            let free = at == 0 || self.byte(at.wrapping_sub(1)).is_some_and(|b| matches!(b, b' ' | b'=' | b':'));
            if free && self.byte(at + 1) == Some(close) {
                self.flush(at + 1);
                self.mask(at + 1, at + 1, Kind::Val);
                self.expect = Expect::Nothing;
                return at + 2;
            }
        }
        self.expect = Expect::Nothing;
        self.number = false;
        if !matches!(byte, b'(' | b'[' | b':' | b'<') {
            self.cue = Cue::None;
        }
        at + 1
    }

    /// `=` after a key announces a value; `==`, `=>`, `!=` and rulers do not.
    fn equals(&mut self, at: usize) -> usize {
        let (from, to) = self.key;
        let gap = self.bytes(to, at);
        let keyed = to > from && gap.iter().all(|&b| b == b' ') && gap.len() <= 1;
        let next = self.byte(at + 1);
        self.number = false;
        if keyed && next != Some(b'=') && next != Some(b'>') {
            self.expect = Expect::Value;
            // The key's own cue (errno=, exit_code=, Result=, rhost=) still holds.
            return at + 1;
        }
        self.expect = Expect::Nothing;
        self.cue = Cue::None;
        self.key = (0, 0);
        let run = self.bytes(at, self.text.len()).iter().take_while(|&&b| b == b'=').count();
        at + run.max(1)
    }

    /// A quoted string, if the quote opens one here.
    fn quote(&mut self, at: usize, quote: u8) -> Option<usize> {
        let before = at.checked_sub(1).and_then(|i| self.byte(i)).unwrap_or(b' ');
        if class(before) & (LETTER | HEX | DIGIT) != 0 {
            return None;
        }
        let rest = self.bytes(at + 1, self.text.len());
        let close = if quote == b'`' { b'\'' } else { quote };
        let mut len = 0;
        loop {
            let tail = rest.get(len..).unwrap_or_default();
            len += tail.iter().position(|&b| b == close || b == quote)?;
            let after = rest.get(len + 1).copied().unwrap_or(b' ');
            if class(after) & (LETTER | HEX | DIGIT) == 0 {
                break;
            }
            len += 1;
        }
        let (from, to) = (at + 1, at + 1 + len);
        let inner = self.bytes(from, to);
        let was = (self.expect, self.cue);
        self.expect = Expect::Nothing;
        self.cue = Cue::None;
        self.number = false;
        if self.rules.has(Rule::Literal) && was.1 == Cue::Result {
            return Some(to + 1);
        }
        self.flush(from);
        self.mask(from, to, Kind::Val);
        let _ = inner;
        Some(to + 1)
    }

    /// One item: the longest run of item bytes, judged by its shape and what stood before it.
    fn atom(&mut self, at: usize) -> usize {
        let mut seen = 0;
        let mut end = at;
        for &byte in self.bytes(at, self.text.len()) {
            let classes = class(byte);
            if classes & ATOM == 0 {
                break;
            }
            seen |= classes;
            end += 1;
        }
        if seen & (LETTER | HEX | DIGIT) == seen && seen & DIGIT == 0 {
            self.word(at, end);
            return end;
        }
        if self.rules.has(Rule::Url) && seen & COLON != 0 && seen & SLASH != 0 {
            if let Some(next) = self.url(at, end) {
                return next;
            }
        }
        let (from, to) = self.core(at, end);
        if from >= to {
            // Punctuation alone (`--`, `...`, `/`).
            self.number = false;
            if self.bytes(at, end) != b":" {
                self.cue = Cue::None;
            }
            if self.bytes(at, end) == b"/" && self.expect == Expect::Value && self.rules.has(Rule::KeyValue) {
                self.mask(at, end, Kind::Val);
            }
            self.expect = Expect::Nothing;
            return end;
        }
        if seen & DIGIT != 0 && self.rules.has(Rule::Literal) && self.status(from, to) {
            return end;
        }
        if self.expect != Expect::Nothing && self.value(from, to, end) {
            return end;
        }
        self.shaped(from, to, seen);
        if to < end && self.byte(end - 1) != Some(b':') && self.byte(end - 1) != Some(b'.') {
            self.number = false;
        }
        end
    }

    /// The item without the punctuation around it.
    fn core(&self, at: usize, end: usize) -> (usize, usize) {
        let mut from = at;
        let mut to = end;
        while to > from && matches!(self.byte(to - 1), Some(b'.' | b':' | b'-' | b'@')) {
            to -= 1;
        }
        while from < to {
            match self.byte(from) {
                Some(b'-') if self.byte(from + 1).is_some_and(|b| b.is_ascii_digit()) => break,
                Some(b'.') if matches!(self.byte(from + 1), Some(b'/' | b'.')) => break,
                Some(b'.' | b':' | b'-' | b'@') => from += 1,
                _ => break,
            }
        }
        if to - from == 1 && matches!(self.byte(from), Some(b'/' | b'\\' | b'~')) {
            return (to, to);
        }
        (from, to)
    }

    /// Exit statuses and errno: `203/EXEC` after `status=`, the number after `exit code`.
    fn status(&mut self, from: usize, to: usize) -> bool {
        let item = self.bytes(from, to);
        let mut parts = item.splitn(2, |&b| b == b'/');
        let number = parts.next().unwrap_or_default();
        let name = parts.next();
        let digits = !number.is_empty() && number.len() <= 3 && number.iter().all(u8::is_ascii_digit);
        let named = name.is_some_and(|n| n.len() >= 2 && n.iter().all(|b| b.is_ascii_uppercase() || *b == b'_'));
        let (key_from, key_to) = self.key;
        let exempt = digits
            && ((named && self.expect != Expect::Nothing && self.bytes(key_from, key_to) == b"status")
                || (self.cue == Cue::Status && (named || name.is_none())));
        if exempt || is_errno(item) {
            self.done();
            return true;
        }
        false
    }

    fn done(&mut self) {
        self.expect = Expect::Nothing;
        self.cue = Cue::None;
        self.number = false;
        self.key = (0, 0);
    }

    /// The value after `key=`. False if it turns out to be no value.
    fn value(&mut self, from: usize, to: usize, end: usize) -> bool {
        if !self.rules.has(Rule::KeyValue) {
            return false;
        }
        let spaced = self.expect == Expect::SpacedValue;
        if spaced && self.byte(end) == Some(b'=') && self.byte(end + 1) != Some(b'=') {
            return false;
        }
        let item = self.bytes(from, to);
        let (key_from, key_to) = self.key;
        let literal = self.rules.has(Rule::Literal)
            && (is_symbol(item) || is_result_key(self.bytes(key_from, key_to)));
        if literal {
            self.done();
            return true;
        }
        self.mask(from, to, Kind::Val);
        self.done();
        self.number = item.last().is_some_and(u8::is_ascii_digit);
        true
    }

    /// `scheme://…` up to white space, a quote or a closing bracket.
    fn url(&mut self, at: usize, end: usize) -> Option<usize> {
        let item = self.bytes(at, end);
        let colon = item.windows(3).position(|w| w == b"://")?;
        let start = item.get(..colon)?.iter().rposition(|b| !b.is_ascii_alphanumeric() && *b != b'+').map_or(0, |p| p + 1);
        if start >= colon {
            return None;
        }
        let rest = self.bytes(at, self.text.len());
        let mut len = rest
            .iter()
            .position(|&b| class(b) & SPACE != 0 || matches!(b, b'"' | b'\'' | b'<' | b'>' | b')' | b']' | b'}' | b'|'))
            .unwrap_or(rest.len());
        while len > colon + 3 && matches!(rest.get(len - 1), Some(b'.' | b',' | b':' | b';' | b'!')) {
            len -= 1;
        }
        self.mask(at + start, at + len, Kind::Url);
        self.done();
        Some(at + len)
    }

    /// An item that is not letters alone.
    fn shaped(&mut self, from: usize, to: usize, seen: u16) {
        let item = self.bytes(from, to);
        if self.rules.has(Rule::Path) && seen & (SLASH | BACK) != 0 {
            if let Some(skip) = path_start(item) {
                if skip > 0 {
                    self.pieces(from, from + skip);
                }
                // `path:line` and `path: text` end the path at the colon, a drive letter does not.
                let tail = item.get(skip + 2..).unwrap_or_default();
                let len = tail.iter().position(|&b| b == b':').map_or(item.len() - skip, |p| p + 2);
                self.mask(from + skip, from + skip + len, Kind::Path);
                self.done();
                if skip + len < item.len() {
                    self.pieces(from + skip + len, to);
                }
                return;
            }
        }
        if self.rules.has(Rule::Hex) && seen & COLON != 0 && is_address(item) {
            self.mask(from, to, Kind::Num);
            self.done();
            self.number = true;
            return;
        }
        if self.rules.has(Rule::Url) && seen & AT != 0 && is_mail(item) {
            self.mask(from, to, Kind::Host);
            self.done();
            return;
        }
        if seen & COLON != 0 {
            self.pieces(from, to);
        } else {
            self.piece(from, to);
        }
    }

    /// The parts of an item between colons.
    fn pieces(&mut self, from: usize, to: usize) {
        let mut start = from;
        let mut colons = 0;
        while start < to {
            let rest = self.bytes(start, to);
            let len = rest.iter().position(|&b| b == b':').unwrap_or(rest.len());
            if len > 0 {
                if colons == 1 && self.rules.has(Rule::Bool) && is_switch(rest.get(..len).unwrap_or_default()) {
                    self.mask(start, start + len, Kind::Val);
                    self.done();
                } else {
                    self.piece(start, start + len);
                }
                colons = 0;
            }
            colons += 1;
            start += len + 1;
        }
    }

    /// One part without a colon.
    fn piece(&mut self, from: usize, to: usize) {
        let item = self.bytes(from, to);
        if self.rules.has(Rule::Digits) && item.iter().any(u8::is_ascii_digit) {
            // `Class@1f2e`: the class is a word, the identity is not.
            let at = item.iter().position(|&b| b == b'@').unwrap_or(0);
            let skip = if at > 0 && !item.get(..at).unwrap_or_default().iter().any(u8::is_ascii_digit) { at + 1 } else { 0 };
            self.mask(from + skip, to, Kind::Num);
            self.done();
            self.number = true;
            return;
        }
        if self.rules.has(Rule::File) && has_file_suffix(item) {
            self.mask(from, to, Kind::Path);
            self.done();
            return;
        }
        if self.rules.has(Rule::Host) && is_host(item) {
            self.mask(from, to, Kind::Host);
            self.done();
            return;
        }
        self.word(from, to);
    }

    /// A word: letters, or an item that no shape claimed.
    fn word(&mut self, from: usize, to: usize) {
        let item = self.bytes(from, to);
        if self.expect != Expect::Nothing && self.value(from, to, to) {
            return;
        }
        let rules = self.rules;
        let before = self.cue;
        let masked = if self.number && rules.has(Rule::Unit) && words::is_unit(item) {
            self.unit(to);
            return;
        } else if rules.has(Rule::Bool) && is_truth(item) {
            Some(Kind::Val)
        } else if rules.has(Rule::Position) && self.named(item) {
            Some(Kind::Name)
        } else if rules.has(Rule::Date) && item.len() >= 3 && words::is_date_word(item) && self.dated(to) {
            Some(Kind::Num)
        } else if rules.has(Rule::Hex) && item.len() >= 8 && item.iter().all(u8::is_ascii_hexdigit) {
            Some(Kind::Num)
        } else {
            None
        };
        if let Some(kind) = masked {
            self.mask(from, to, kind);
            self.done();
            return;
        }
        self.done();
        self.key = (from, to);
        self.cue = words::cue(item, before);
    }

    /// A unit goes with its number.
    fn unit(&mut self, to: usize) {
        let mut end = to;
        if self.bytes(to, to + 3) == b"(s)" {
            end += 3;
        }
        self.out.truncate(self.masked.max(0));
        self.flushed = end;
        self.done();
    }

    /// Whether the word is a name because of the word before it.
    fn named(&self, item: &[u8]) -> bool {
        match self.cue {
            Cue::User | Cue::Host | Cue::Device | Cue::GrantFor => !words::is_function_word(item),
            _ => false,
        }
    }

    /// Whether a weekday or month name stands in a date: a number or another such name beside it.
    fn dated(&self, to: usize) -> bool {
        let rest = self.bytes(to, self.text.len());
        let skip = rest.iter().take_while(|b| matches!(b, b' ' | b',' | b'-' | b'/')).count();
        if skip == 0 || skip > 3 {
            return false;
        }
        let tail = rest.get(skip..).unwrap_or_default();
        let word = tail.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        tail.first().is_some_and(u8::is_ascii_digit) || words::is_date_word(tail.get(..word).unwrap_or_default())
    }
}

/// `EADDRINUSE`, `E2BIG`: an upper-case name that begins with E.
fn is_errno(item: &[u8]) -> bool {
    item == b"E2BIG"
}

/// An all-capitals name: errno, state, signal, status. Written so because it is one of a closed set.
fn is_symbol(item: &[u8]) -> bool {
    item.len() >= 2
        && item.iter().all(|b| b.is_ascii_uppercase() || *b == b'_')
        && item.iter().any(u8::is_ascii_uppercase)
}

/// Keys whose value is an outcome, not a parameter.
fn is_result_key(key: &[u8]) -> bool {
    matches!(key, b"code" | b"Result" | b"result" | b"status" | b"errno" | b"error" | b"err")
}

fn is_truth(item: &[u8]) -> bool {
    matches!(item, b"true" | b"false" | b"True" | b"False" | b"TRUE" | b"FALSE" | b"null")
}

fn is_switch(item: &[u8]) -> bool {
    is_truth(item) || matches!(item, b"yes" | b"no" | b"Yes" | b"No" | b"YES" | b"NO" | b"on" | b"off" | b"none" | b"nil")
}

/// Offset at which a path begins in the item.
fn path_start(item: &[u8]) -> Option<usize> {
    let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'~' | 0x80..);
    let first = item.first()?;
    if *first == b'/' || *first == b'\\' {
        return item.get(1).filter(|b| word(b) || **b == *first).map(|_| 0);
    }
    if first.is_ascii_alphabetic() && item.get(1) == Some(&b':') && matches!(item.get(2), Some(b'\\' | b'/')) {
        return Some(0);
    }
    if item.starts_with(b"./") || item.starts_with(b"../") || item.starts_with(b"~/") {
        return Some(0);
    }
    // `key:/path`, `nfs:/export`
    let colon = item.iter().position(|&b| b == b':')?;
    let tail = item.get(colon + 1..)?;
    let mut next = tail.iter();
    if matches!(next.next(), Some(b'/' | b'\\')) && next.next().is_some_and(word) {
        return Some(colon + 1);
    }
    None
}

/// IPv6 or MAC: groups of hex digits between colons.
fn is_address(item: &[u8]) -> bool {
    let mut colons = 0;
    let mut digit = false;
    let mut pairs = true;
    let mut group = 0;
    for &b in item {
        match b {
            b':' => {
                colons += 1;
                pairs &= group == 2;
                group = 0;
            }
            b'.' => {}
            _ if b.is_ascii_hexdigit() => {
                digit |= b.is_ascii_digit();
                group += 1;
            }
            _ => return false,
        }
        if group > 4 {
            return false;
        }
    }
    colons >= 2 && (digit || (pairs && colons == 5))
}

/// `user@host.tld`
fn is_mail(item: &[u8]) -> bool {
    let Some(at) = item.iter().position(|&b| b == b'@') else { return false };
    let tail = item.get(at + 1..).unwrap_or_default();
    at > 0 && tail.contains(&b'.') && !tail.contains(&b'/') && tail.last().is_some_and(u8::is_ascii_alphabetic)
}

fn last_label(item: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = item.iter().rposition(|&b| b == b'.')?;
    Some((item.get(..dot)?, item.get(dot + 1..)?))
}

fn has_file_suffix(item: &[u8]) -> bool {
    last_label(item).is_some_and(|(stem, suffix)| !stem.is_empty() && words::is_file_suffix(suffix))
}

fn is_host(item: &[u8]) -> bool {
    last_label(item).is_some_and(|(stem, label)| {
        words::is_top_level(label)
            && stem.len() >= 2
            && stem.iter().all(|b| b.is_ascii_lowercase() || matches!(b, b'-' | b'.' | b'_'))
            && !stem.windows(2).any(|w| w == b"..")
    })
}
