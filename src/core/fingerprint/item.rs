//! Judging one item: by what stood before it, then by its shape.

use super::class::{
    self, ALNUM, AT, BACKSLASH, COLON, DASH, DIGIT, DOT, HEX, ITEM, LETTER, SLASH, SPACE,
};
use super::kind::Kind;
use super::rules::{Rule, RuleSet};
use super::scan::{Expect, Scanner};
use super::words::Cue;
use super::{shape, words};

/// Longest address with its colons, in bytes.
const ADDRESS: usize = 64;

impl<R: RuleSet> Scanner<'_, '_, R> {
    /// One item: the longest run of item bytes. Returns where to go on.
    #[inline(always)]
    pub(super) fn item(&mut self, at: usize) -> usize {
        let mut seen = 0;
        let mut end = at;
        // Most items begin with letters, most words end with them: eight at a time.
        while let Some(chunk) = self.rest(end).first_chunk::<8>() {
            let letters = class::leading_letters(*chunk);
            if letters > 0 {
                seen |= LETTER;
                end += letters;
            }
            if letters < 8 {
                break;
            }
        }
        // What was seen before the last byte, which often is a full stop or a colon.
        let mut body = seen;
        for &byte in self.rest(end) {
            let classes = class::class(byte);
            if classes & ITEM == 0 {
                break;
            }
            body = seen;
            seen |= classes;
            end += 1;
        }
        let stopped = matches!(self.before(end), Some(b':' | b'.'));
        let (to, most) = if stopped {
            (end - 1, body)
        } else {
            (end, seen)
        };
        if most & !(LETTER | HEX) == 0 {
            return if to > at {
                self.word(at, to).max(end)
            } else {
                self.punctuation(at, end)
            };
        }
        if self.plain_number(at, to, most) {
            self.number(at, to);
            return end;
        }
        self.mixed(at, end, seen)
    }

    /// Whether digits alone decide: no context, no name, no address, no literal.
    #[inline(always)]
    fn plain_number(&self, from: usize, to: usize, seen: u16) -> bool {
        let dotted = seen & !(DIGIT | DOT) == 0;
        let dashed = seen & !(LETTER | HEX | DIGIT | DASH) == 0;
        seen & DIGIT != 0
            && (dotted || dashed)
            && self.expect == Expect::Nothing
            && self.cue != Cue::Status
            && self.rules.has(Rule::Digits)
            && self.byte(from).is_some_and(|b| class::is(b, ALNUM))
            && self.before(to).is_some_and(|b| class::is(b, ALNUM))
            && (dotted
                || !(words::is_standard(self.bytes(from, to))
                    || shape::is_errno(self.bytes(from, to))))
    }

    /// An item that is not letters alone.
    fn mixed(&mut self, at: usize, end: usize, seen: u16) -> usize {
        if seen & COLON != 0
            && seen & SLASH != 0
            && self.rules.has(Rule::Url)
            && let Some(next) = self.url(at, end)
        {
            return next;
        }
        let (from, to) = self.core(at, end);
        if from >= to {
            return self.punctuation(at, end);
        }
        if seen & DIGIT != 0 && self.rules.has(Rule::Literal) && self.outcome(from, to) {
            return end;
        }
        if self.expect != Expect::Nothing
            && let Some(next) = self.value(from, to, end)
        {
            return next.max(end);
        }
        let next = self.shaped(from, to, seen);
        if next > to {
            return next.max(end);
        }
        if to < end && !matches!(self.before(end), Some(b':' | b'.')) {
            self.number = false;
        }
        end
    }

    /// Punctuation alone: `--`, `...`, `/`.
    fn punctuation(&mut self, at: usize, end: usize) -> usize {
        let item = self.bytes(at, end);
        if item == b"/" && self.expect == Expect::Value && self.rules.has(Rule::KeyValue) {
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

    /// The item without the punctuation around it.
    #[inline(always)]
    fn core(&self, at: usize, end: usize) -> (usize, usize) {
        let mut from = at;
        let mut to = end;
        while to > from && matches!(self.before(to), Some(b'.' | b':' | b'-' | b'@')) {
            to -= 1;
        }
        while from < to {
            match (self.byte(from), self.byte(from + 1)) {
                (Some(b'-'), Some(b'0'..=b'9')) | (Some(b'.'), Some(b'/' | b'.')) => break,
                (Some(b'.' | b':' | b'-' | b'@'), _) => from += 1,
                _ => break,
            }
        }
        if to - from == 1 && matches!(self.byte(from), Some(b'/' | b'\\' | b'~')) {
            return (to, to);
        }
        (from, to)
    }

    /// Exit statuses and errno stay: `203/EXEC` after `status=`, the number after `exit code`.
    fn outcome(&mut self, from: usize, to: usize) -> bool {
        let item = self.bytes(from, to);
        let (key_from, key_to) = self.key;
        let exempt = (self.cue == Cue::Status && shape::is_exit_status(item).is_some())
            || (self.expect == Expect::Value
                && self.bytes(key_from, key_to) == b"status"
                && shape::is_exit_status(item) == Some(true))
            || (item.first() == Some(&b'E') && shape::is_errno(item));
        if exempt {
            self.done();
        }
        exempt
    }

    /// The value after `key=`; None if it turns out to be none.
    fn value(&mut self, from: usize, to: usize, end: usize) -> Option<usize> {
        if self.expect == Expect::ListValue {
            return self.pair(from, to);
        }
        if !self.rules.has(Rule::KeyValue) {
            return None;
        }
        let spaced = self.expect == Expect::SpacedValue;
        if spaced && self.byte(end) == Some(b'=') && self.byte(end + 1) != Some(b'=') {
            return None;
        }
        let item = self.bytes(from, to);
        let (key_from, key_to) = self.key;
        let digits = item.iter().any(u8::is_ascii_digit);
        if self.rules.has(Rule::Literal) {
            // `reason=AuthFail:code:5`: the outcome is a word, its details are scanned.
            let head = item.iter().position(|&b| b == b':').unwrap_or(item.len());
            let word = item
                .get(..head)
                .unwrap_or_default()
                .iter()
                .all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-'));
            if (word && words::is_outcome_key(self.bytes(key_from, key_to)))
                || shape::is_errno(item)
            {
                self.done();
                self.parts(from + head, to);
                return Some(end);
            }
        }
        let last = self.listed(to);
        self.mask(from, last, Kind::Value);
        self.done();
        self.number = digits;
        Some(last)
    }

    /// The word of `key: word` where such pairs are listed: another follows it or went before it.
    fn pair(&mut self, from: usize, to: usize) -> Option<usize> {
        self.expect = Expect::Nothing;
        let (key_from, key_to) = self.key;
        let went_before = matches!(
            self.bytes(key_from.saturating_sub(2), key_from),
            b", " | b"; "
        );
        let listed = match self.byte(to) {
            Some(b',' | b';') => went_before || self.key_follows(to + 1),
            Some(b'}' | b']' | b')') | None => went_before,
            _ => false,
        };
        if !listed
            || self.bytes(from, to).contains(&b':')
            || !self.rules.has(Rule::Pair)
            || words::is_outcome_key(self.bytes(key_from, key_to))
        {
            return None;
        }
        self.mask(from, to, Kind::Value);
        self.done();
        Some(to)
    }

    /// Whether ` key:` comes next.
    fn key_follows(&self, at: usize) -> bool {
        let ahead = self.ahead(at);
        let word = ahead
            .iter()
            .skip(1)
            .take_while(|&&b| class::is(b, ALNUM))
            .count();
        ahead.first() == Some(&b' ') && word > 0 && ahead.get(word + 1) == Some(&b':')
    }

    /// End of a list value: `a,b,c` or `A|B`, up to the next key.
    fn listed(&self, to: usize) -> usize {
        let mut last = to;
        while matches!(self.byte(last), Some(b',' | b'|')) {
            let len = self
                .ahead(last + 1)
                .iter()
                .take_while(|&&b| class::is(b, ITEM))
                .count();
            let next = last + 1 + len;
            if len == 0 || self.byte(next) == Some(b'=') || self.bytes(next, next + 2) == b" =" {
                break;
            }
            last = next;
        }
        last
    }

    /// `scheme://…` up to white space, a quote or a closing bracket.
    fn url(&mut self, at: usize, end: usize) -> Option<usize> {
        let item = self.bytes(at, end);
        let colon = item.windows(3).position(|w| w == b"://")?;
        let scheme = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        let start = item
            .get(..colon)?
            .iter()
            .rposition(|b| !scheme(b))
            .map_or(0, |p| p + 1);
        if start >= colon {
            return None;
        }
        let rest = self.rest(at);
        let closes = |b: u8| {
            class::is(b, SPACE)
                || matches!(b, b'"' | b'\'' | b'<' | b'>' | b')' | b']' | b'}' | b'|')
        };
        let mut len = rest.iter().position(|&b| closes(b)).unwrap_or(rest.len());
        while len > colon + 3 && matches!(rest.get(len - 1), Some(b'.' | b',' | b':' | b';' | b'!'))
        {
            len -= 1;
        }
        self.mask(at + start, at + len, Kind::Url);
        self.done();
        Some(at + len)
    }

    /// An item told by its shape as a whole, else by its parts. Returns where to go on.
    fn shaped(&mut self, from: usize, to: usize, seen: u16) -> usize {
        let item = self.bytes(from, to);
        if seen & (SLASH | BACKSLASH) != 0
            && self.rules.has(Rule::Path)
            && let Some(skip) = shape::path_start(item)
        {
            return self.path(from, to, skip);
        }
        if seen & COLON != 0 {
            if item.len() <= ADDRESS && self.rules.has(Rule::Address) && shape::is_address(item) {
                self.number(from, to);
            } else {
                self.parts(from, to);
            }
            return to;
        }
        if seen & AT != 0 && self.rules.has(Rule::Url) && shape::is_mail(item) {
            self.mask(from, to, Kind::Mail);
            self.done();
            return to;
        }
        self.part(from, to, seen);
        to
    }

    /// A path. `path:line` and `path: text` end it at the colon; a drive letter does not.
    fn path(&mut self, from: usize, to: usize, skip: usize) -> usize {
        let item = self.bytes(from, to);
        if skip > 0 {
            self.parts(from, from + skip);
        }
        let tail = item.get(skip + 2..).unwrap_or_default();
        let mut end = tail
            .iter()
            .position(|&b| b == b':')
            .map_or(to, |p| from + skip + 2 + p);
        if end == to {
            end = self.bracketed(to);
        }
        self.mask(from + skip, end, Kind::Path);
        self.done();
        if end < to {
            self.parts(end, to);
        }
        end.max(to)
    }

    /// End of a path that runs on through balanced brackets (`/var/x[2017,07]-a(1).txt`).
    fn bracketed(&self, at: usize) -> usize {
        let mut depth = 0u32;
        let mut end = at;
        for (i, &b) in self.ahead(at).iter().enumerate() {
            match b {
                b'[' | b'(' => depth += 1,
                b']' | b')' if depth > 0 => depth -= 1,
                b',' if depth > 0 => {}
                b'$' | b'+' | b'#' | b'%' => {}
                b':' if depth == 0 => break,
                _ if class::is(b, ITEM) => {}
                _ => break,
            }
            if depth == 0 {
                end = at + i + 1;
            }
        }
        while end > at && matches!(self.before(end), Some(b'.' | b'-')) {
            end -= 1;
        }
        end
    }

    /// The parts of an item between colons.
    fn parts(&mut self, from: usize, to: usize) {
        let mut start = from;
        let mut colons = 0;
        while start < to {
            let rest = self.bytes(start, to);
            if start > from
                && rest.len() <= ADDRESS
                && self.rules.has(Rule::Address)
                && shape::is_address(rest)
            {
                self.number(start, to);
                return;
            }
            let mut len = 0;
            let mut seen = 0;
            for &byte in rest {
                let classes = class::class(byte);
                if classes & COLON != 0 {
                    break;
                }
                seen |= classes;
                len += 1;
            }
            if len > 0 {
                let part = rest.get(..len).unwrap_or_default();
                if colons == 1 && self.rules.has(Rule::Constant) && shape::is_switch(part) {
                    self.mask(start, start + len, Kind::Value);
                    self.done();
                } else {
                    self.part(start, start + len, seen);
                }
                colons = 0;
            }
            colons += 1;
            start += len + 1;
        }
    }

    /// One part without a colon.
    #[inline(always)]
    fn part(&mut self, from: usize, to: usize, seen: u16) {
        if seen & DOT != 0 && self.dotted(from, to) {
            return;
        }
        if seen & DIGIT != 0 && self.rules.has(Rule::Digits) {
            let item = self.bytes(from, to);
            if seen & (LETTER | HEX) != 0
                && self.rules.has(Rule::Standard)
                && words::is_standard(item)
            {
                self.done();
                self.key = (from, to);
                return;
            }
            let mut start = from;
            if seen & AT != 0 {
                // `Class@1f2e`: the class is a word, the identity is not.
                let at = item.iter().position(|&b| b == b'@').unwrap_or(0);
                let class = item.get(..at).unwrap_or_default();
                if at > 0 && !class.iter().any(u8::is_ascii_digit) {
                    start += at + 1;
                }
            }
            self.number(start, to);
            return;
        }
        self.word(from, to);
    }

    /// Names with a dot inside: packages, files, units, hosts.
    fn dotted(&mut self, from: usize, to: usize) -> bool {
        let item = self.bytes(from, to);
        let mut end = to;
        let kind = if self.rules.has(Rule::Package) && shape::is_package(item) {
            if self.byte(to) == Some(b'$') {
                end += self
                    .ahead(to)
                    .iter()
                    .take_while(|&&b| b == b'$' || b.is_ascii_alphanumeric())
                    .count();
            }
            Kind::Name
        } else if self.rules.has(Rule::File) && shape::is_file(item) {
            Kind::Path
        } else if self.rules.has(Rule::Host) && shape::is_host(item) {
            Kind::Host
        } else {
            return false;
        };
        self.mask(from, end, kind);
        self.done();
        true
    }

    /// What digits tell.
    #[inline(always)]
    fn number(&mut self, from: usize, to: usize) {
        self.mask(from, to, Kind::Number);
        self.done();
        self.number = true;
        self.key = (from, to);
    }

    /// A word: letters, or an item that no shape claimed. Returns where to go on.
    #[inline(always)]
    fn word(&mut self, from: usize, to: usize) -> usize {
        let item = self.bytes(from, to);
        let context = self.expect != Expect::Nothing || self.cue != Cue::None || self.number;
        if !context && !words::may_be_listed(item) && !shape::is_long_hex(item) {
            self.unit = false;
            self.key = (from, to);
            return to;
        }
        self.telling(from, to)
    }

    /// A word that context or a list may make more than plain text.
    fn telling(&mut self, from: usize, to: usize) -> usize {
        let item = self.bytes(from, to);
        if self.expect != Expect::Nothing
            && let Some(next) = self.value(from, to, to)
        {
            return next;
        }
        if self.number && self.rules.has(Rule::Unit) && words::is_unit(item) {
            return self.unit(item, to);
        }
        if let Some(kind) = self.variable(item, to) {
            self.mask(from, to, kind);
            self.done();
            self.number = kind == Kind::Number;
            return to;
        }
        let before = self.cue;
        self.done();
        self.key = (from, to);
        self.cue = words::cue(item, before);
        to
    }

    /// Whether a word is variable, by itself or because of what stands around it.
    #[inline(always)]
    fn variable(&self, item: &[u8], to: usize) -> Option<Kind> {
        let rules = self.rules;
        if rules.has(Rule::Constant) && words::is_constant(item) {
            return Some(Kind::Value);
        }
        if self.cue != Cue::None && rules.has(Rule::Position) && self.named(item, to) {
            return Some(Kind::Name);
        }
        let capital = item.first().is_some_and(u8::is_ascii_uppercase);
        if capital
            && item.len() >= 3
            && rules.has(Rule::Date)
            && words::is_date_word(item)
            && self.dated(to)
        {
            return Some(Kind::Date);
        }
        if rules.has(Rule::Host) && words::is_localhost(item) {
            return Some(Kind::Host);
        }
        let hex = rules.has(Rule::Address)
            && (shape::is_long_hex(item) || (self.number && self.dumped(item, to)));
        hex.then_some(Kind::Number)
    }

    /// A unit goes with its number.
    fn unit(&mut self, item: &[u8], to: usize) -> usize {
        let end = if self.bytes(to, to + 3) == b"(s)" {
            to + 3
        } else {
            to
        };
        let (start, last) = self.masked;
        self.out.truncate(last);
        if self.typed && matches!(self.out.get(start..), Some("<num>" | "<float>")) {
            self.out.truncate(start);
            self.out.push_str(Kind::measured(item));
            self.masked = (start, self.out.len());
        }
        self.flushed = end;
        self.done();
        self.unit = true;
        end
    }

    /// Whether the word is a name because of the word before it.
    fn named(&self, item: &[u8], to: usize) -> bool {
        match self.cue {
            Cue::Name => !words::is_function_word(item),
            Cue::Thing => self.rules.has(Rule::Thing) && shape::is_identifier(item),
            Cue::Peer => {
                self.byte(to) == Some(b'[') && self.byte(to + 1).is_some_and(|b| b.is_ascii_digit())
            }
            Cue::Actor => self.bytes(to, to + 5) == b"(uid=",
            _ => false,
        }
    }

    /// Whether a letters-only word stands in a hex dump: the next item is a hex group of its length.
    fn dumped(&self, item: &[u8], to: usize) -> bool {
        let len = item.len();
        if !matches!(len, 2 | 4) || !item.iter().all(u8::is_ascii_hexdigit) {
            return false;
        }
        let rest = self.bytes(to, to + 6);
        let group = rest
            .iter()
            .skip(1)
            .take_while(|b| b.is_ascii_hexdigit())
            .count();
        rest.is_empty() || (rest.first() == Some(&b' ') && group == len)
    }

    /// Whether a weekday or month name stands in a date: a number or another such name follows.
    fn dated(&self, to: usize) -> bool {
        let ahead = self.bytes(to, (to + 16).min(self.text.len()));
        let skip = ahead
            .iter()
            .take_while(|b| matches!(b, b' ' | b',' | b'-' | b'/'))
            .count();
        if skip == 0 || skip > 3 {
            return false;
        }
        let tail = ahead.get(skip..).unwrap_or_default();
        let word = tail.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        tail.first().is_some_and(u8::is_ascii_digit)
            || words::is_date_word(tail.get(..word).unwrap_or_default())
    }
}
