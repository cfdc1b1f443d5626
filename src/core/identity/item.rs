//! Judging one item: by what stood before it, then by its shape.

use super::bytes::{self, ALNUM, AT, BACKSLASH, COLON, DASH, DIGIT, DOT, HEX, ITEM, LETTER, SLASH};
use super::kind::Kind;
use super::mask::{MaskRule, MaskRules};
use super::scan::{Expect, Scanner};
use super::words::Cue;
use super::{shape, words};

/// Longest address with its colons, in bytes.
const ADDRESS: usize = 64;

impl<R: MaskRules> Scanner<'_, '_, R> {
    /// One item: the longest run of item bytes. Returns where to go on.
    #[inline(always)]
    pub(super) fn item(&mut self, at: usize) -> usize {
        let mut seen = 0;
        let mut end = at;
        // Most items begin with letters, most words end with them: eight at a time.
        while let Some(chunk) = self.rest(end).first_chunk::<8>() {
            let letters = bytes::leading_letters(*chunk);
            if letters > 0 {
                seen |= LETTER;
                end = end.saturating_add(letters);
            }
            if letters < 8 {
                break;
            }
        }
        // What was seen before the last byte, which often is a full stop or a colon.
        let mut body = seen;
        for &byte in self.rest(end) {
            let classes = bytes::class(byte);
            if classes & ITEM == 0 {
                break;
            }
            body = seen;
            seen |= classes;
            end = end.saturating_add(1);
        }
        let stopped = matches!(self.before(end), Some(b':' | b'.'));
        let (to, most) = if stopped {
            (end.saturating_sub(1), body)
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
            && self.rules.has(MaskRule::Digits)
            && self.byte(from).is_some_and(|b| bytes::is(b, ALNUM))
            && self.before(to).is_some_and(|b| bytes::is(b, ALNUM))
            && !(to.saturating_sub(from) == 1 && self.leveled(from, to))
            && (dotted
                || !(words::is_standard(self.bytes(from, to))
                    || shape::is_errno(self.bytes(from, to))))
    }

    /// An item that is not letters alone.
    fn mixed(&mut self, at: usize, end: usize, seen: u16) -> usize {
        if seen & COLON != 0
            && seen & SLASH != 0
            && self.rules.has(MaskRule::Url)
            && let Some(next) = self.url(at, end)
        {
            return next;
        }
        let (from, to) = self.core(at, end);
        if from >= to {
            return self.punctuation(at, end);
        }
        if seen & DIGIT != 0 && self.rules.has(MaskRule::Literal) && self.outcome(from, to) {
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

    /// The item without the punctuation around it.
    #[inline(always)]
    fn core(&self, at: usize, end: usize) -> (usize, usize) {
        let mut from = at;
        let mut to = end;
        while to > from && matches!(self.before(to), Some(b'.' | b':' | b'-' | b'@')) {
            to = to.saturating_sub(1);
        }
        while from < to {
            match (self.byte(from), self.byte(from.saturating_add(1))) {
                // `::1` begins with what it is.
                (Some(b':'), Some(b':'))
                    if to.saturating_sub(from) <= ADDRESS
                        && shape::is_address(self.bytes(from, to)) =>
                {
                    break;
                }
                (Some(b'-'), Some(b'0'..=b'9')) | (Some(b'.'), Some(b'/' | b'.')) => break,
                (Some(b'.' | b':' | b'-' | b'@'), _) => from = from.saturating_add(1),
                _ => break,
            }
        }
        if to.saturating_sub(from) == 1 && matches!(self.byte(from), Some(b'/' | b'\\' | b'~')) {
            return (to, to);
        }
        (from, to)
    }

    /// An item told by its shape as a whole, else by its parts. Returns where to go on.
    fn shaped(&mut self, from: usize, to: usize, seen: u16) -> usize {
        let item = self.bytes(from, to);
        if seen & (SLASH | BACKSLASH) != 0
            && self.rules.has(MaskRule::Path)
            && let Some(skip) = shape::path_start(item)
        {
            return self.path(from, to, skip);
        }
        if seen & COLON != 0 {
            if item.len() <= ADDRESS && self.rules.has(MaskRule::Address) && shape::is_address(item)
            {
                self.number(from, to);
            } else if self.host_with_port(from, to) {
                self.mask(from, to, Kind::Host);
                self.done();
            } else {
                self.parts(from, to);
            }
            return to;
        }
        if seen & AT != 0 && self.rules.has(MaskRule::Url) && shape::is_mail(item) {
            self.mask(from, to, Kind::Mail);
            self.done();
            return to;
        }
        self.part(from, to, seen);
        to
    }

    /// `broker:1883` where a host stands: with a dot anywhere, else after a word for a peer, or as the first item,
    /// unless that begins a list of `key:number`.
    fn host_with_port(&self, from: usize, to: usize) -> bool {
        let Some(name) = shape::before_port(self.bytes(from, to)) else {
            return false;
        };
        if !self.rules.has(MaskRule::Host) || shape::is_file(name) {
            return false;
        }
        let (key_from, key_to) = self.key;
        let first = from == 0 && self.byte(to) == Some(b' ') && !self.number_is_keyed(to);
        name.contains(&b'.') || first || words::leads_to_host(self.bytes(key_from, key_to))
    }

    /// Whether the next item is `key:number` as well.
    fn number_is_keyed(&self, at: usize) -> bool {
        let next = self.ahead(at.saturating_add(1));
        let item = next.split(|&b| b == b' ').next().unwrap_or_default();
        item.windows(2)
            .any(|pair| matches!(pair, [b':', b'0'..=b'9']))
    }

    /// `LOCAL(0)`, `SHM(1)`: a reference clock where an address could stand.
    fn is_reference_clock(&self, from: usize, to: usize) -> bool {
        let (key_from, key_to) = self.key;
        matches!(
            self.bytes(to, to.saturating_add(3)),
            [b'(', b'0'..=b'9', b')']
        ) && self.rules.has(MaskRule::Host)
            && shape::is_symbol(self.bytes(from, to))
            && words::leads_to_host(self.bytes(key_from, key_to))
    }

    /// The parts of an item between colons.
    pub(super) fn parts(&mut self, from: usize, to: usize) {
        let mut start = from;
        let mut colons = 0_u32;
        while start < to {
            let rest = self.bytes(start, to);
            if start > from
                && rest.len() <= ADDRESS
                && self.rules.has(MaskRule::Address)
                && shape::is_address(rest)
            {
                self.number(start, to);
                return;
            }
            let mut len = 0_usize;
            let mut seen = 0;
            for &byte in rest {
                let classes = bytes::class(byte);
                if classes & COLON != 0 {
                    break;
                }
                seen |= classes;
                len = len.saturating_add(1);
            }
            if len > 0 {
                let part = rest.get(..len).unwrap_or_default();
                if colons == 1 && self.rules.has(MaskRule::Constant) && shape::is_switch(part) {
                    self.mask(start, start.saturating_add(len), Kind::Value);
                    self.done();
                } else {
                    self.part(start, start.saturating_add(len), seen);
                }
                colons = 0;
            }
            colons = colons.saturating_add(1);
            start = start.saturating_add(len).saturating_add(1);
        }
    }

    /// One part without a colon.
    #[inline(always)]
    fn part(&mut self, from: usize, to: usize, seen: u16) {
        if seen & DOT != 0 && (self.led(from, to) || self.dotted(from, to)) {
            return;
        }
        if seen & DIGIT != 0 && self.rules.has(MaskRule::Digits) {
            let item = self.bytes(from, to);
            if seen & (LETTER | HEX) != 0
                && self.rules.has(MaskRule::Standard)
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
                    start = start.saturating_add(at).saturating_add(1);
                }
            }
            self.number(start, to);
            return;
        }
        self.word(from, to);
    }

    /// `label......5`: leader dots part a label from its value.
    fn led(&mut self, from: usize, to: usize) -> bool {
        let leader = |at: usize| self.bytes(at, to).windows(3).position(|w| w == b"...");
        let Some(mut len) = leader(from) else {
            return false;
        };
        let mut at = from;
        loop {
            let label = self.bytes(at, at.saturating_add(len));
            if len > 0 {
                let seen = label.iter().fold(0, |seen, &b| seen | bytes::class(b));
                self.part(at, at.saturating_add(len), seen & !DOT);
            }
            if at.saturating_add(len) >= to {
                return true;
            }
            at = self.ruler(at.saturating_add(len), b'.');
            let rest = self.bytes(at, to);
            len = rest
                .windows(3)
                .position(|w| w == b"...")
                .unwrap_or(rest.len());
        }
    }

    /// Names with a dot inside: packages, files, units, hosts.
    fn dotted(&mut self, from: usize, to: usize) -> bool {
        let item = self.bytes(from, to);
        let mut end = to;
        let kind = if self.rules.has(MaskRule::Package) && shape::is_package(item) {
            if self.byte(to) == Some(b'$') {
                end = end.saturating_add(
                    self.ahead(to)
                        .iter()
                        .take_while(|&&b| b == b'$' || b.is_ascii_alphanumeric())
                        .count(),
                );
            }
            Kind::Name
        } else if self.rules.has(MaskRule::File) && shape::is_file(item) {
            Kind::Path
        } else if self.rules.has(MaskRule::Host) && shape::is_host(item) {
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
        let owned = self.cue == Cue::Thing && self.bytes(to, to.saturating_add(2)) == b" (";
        self.done();
        if owned {
            self.cue = Cue::Owner;
        }
        self.number = true;
        self.key = (from, to);
    }

    /// A word: letters, or an item that no shape claimed. Returns where to go on.
    #[inline(always)]
    fn word(&mut self, from: usize, to: usize) -> usize {
        let item = self.bytes(from, to);
        let context = self.expect != Expect::Nothing || self.cue != Cue::None || self.number;
        if self.bytes(to, to.saturating_add(2)) == b" (" && self.labelled(from, to) {
            self.mask(from, to, Kind::Value);
            self.done();
            return to;
        }
        if self.byte(to) == Some(b'(') && self.is_reference_clock(from, to) {
            let end = to.saturating_add(3);
            self.mask(from, end, Kind::Host);
            self.done();
            return end;
        }
        if !context && !words::may_be_listed(item) && !shape::is_long_hex(item) {
            self.unit = false;
            self.key = (from, to);
            return to;
        }
        self.telling(from, to)
    }

    /// `1 (leader), LOOKING (state), 2 (sid)`: in a list of values with their labels a word is a value as
    /// well. The mirror of `key: word` in a list of such pairs.
    fn labelled(&self, from: usize, to: usize) -> bool {
        if !self.rules.has(MaskRule::Pair) || self.bytes(from.saturating_sub(3), from) != b"), " {
            return false;
        }
        let ahead = self.ahead(to.saturating_add(2));
        let label = ahead
            .iter()
            .take_while(|&&b| bytes::is(b, ALNUM) || matches!(b, b'.' | b'_' | b' '))
            .count();
        label > 0
            && ahead.get(label) == Some(&b')')
            && matches!(ahead.get(label.saturating_add(1)), None | Some(b',' | b';'))
    }

    /// A word that context or a list may make more than plain text.
    fn telling(&mut self, from: usize, to: usize) -> usize {
        let item = self.bytes(from, to);
        if self.expect != Expect::Nothing
            && let Some(next) = self.value(from, to, to)
        {
            return next;
        }
        if self.number && self.rules.has(MaskRule::Unit) && words::is_unit(item) {
            return self.unit(item, to);
        }
        if let Some(kind) = self.variable(item, from, to) {
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
    fn variable(&self, item: &[u8], from: usize, to: usize) -> Option<Kind> {
        let rules = self.rules;
        let listed = words::may_be_listed(item);
        if listed && rules.has(MaskRule::Constant) && words::is_constant(item) {
            return Some(Kind::Value);
        }
        if self.cue != Cue::None && rules.has(MaskRule::Position) && self.named(item, from, to) {
            return Some(Kind::Name);
        }
        if listed && rules.has(MaskRule::Date) && words::is_date_word(item) && self.dated(to) {
            return Some(Kind::Date);
        }
        if listed && rules.has(MaskRule::Host) && words::is_localhost(item) {
            return Some(Kind::Host);
        }
        let hex = rules.has(MaskRule::Address)
            && (shape::is_long_hex(item) || (self.number && self.dumped(item, to)));
        hex.then_some(Kind::Number)
    }

    /// A unit goes with its number.
    fn unit(&mut self, item: &[u8], to: usize) -> usize {
        let end = if self.bytes(to, to.saturating_add(3)) == b"(s)" {
            to.saturating_add(3)
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
    fn named(&self, item: &[u8], from: usize, to: usize) -> bool {
        match self.cue {
            Cue::Name => {
                // `device: No such device`: a capital after a colon begins a sentence.
                let sentence = item.first().is_some_and(u8::is_ascii_uppercase)
                    && self.bytes(from.saturating_sub(2), from) == b": ";
                !sentence && !words::is_function_word(item)
            }
            Cue::Thing => self.rules.has(MaskRule::Thing) && shape::is_identifier(item),
            Cue::Peer => {
                self.byte(to) == Some(b'[')
                    && self
                        .byte(to.saturating_add(1))
                        .is_some_and(|b| b.is_ascii_digit())
            }
            Cue::Owner => self.byte(to) == Some(b')'),
            Cue::Actor => self.bytes(to, to.saturating_add(5)) == b"(uid=",
            Cue::None | Cue::Grant | Cue::Command | Cue::Exit | Cue::Status | Cue::Result => false,
        }
    }

    /// Whether a letters-only word stands in a hex dump: the next item is a hex group of its length.
    fn dumped(&self, item: &[u8], to: usize) -> bool {
        let len = item.len();
        if !matches!(len, 2 | 4) || !item.iter().all(u8::is_ascii_hexdigit) {
            return false;
        }
        let rest = self.bytes(to, to.saturating_add(6));
        let group = rest
            .iter()
            .skip(1)
            .take_while(|b| b.is_ascii_hexdigit())
            .count();
        rest.is_empty() || (rest.first() == Some(&b' ') && group == len)
    }

    /// Whether a weekday or month name stands in a date: a number or another such name follows.
    fn dated(&self, to: usize) -> bool {
        let ahead = self.bytes(to, to.saturating_add(16).min(self.text.len()));
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
