//! Values of keys, and the outcomes among them that stay literal.

use super::bytes::{self, ALNUM, ITEM};
use super::kind::Kind;
use super::mask::{MaskRule, MaskRules};
use super::scan::{Expect, Scanner};
use super::words::Cue;
use super::{shape, words};

impl<R: MaskRules> Scanner<'_, '_, R> {
    /// `Level 2 halted`: the errno texts with a number in them.
    pub(super) fn leveled(&self, from: usize, to: usize) -> bool {
        let after = self.rest(to);
        let text = [&b" halted"[..], b" reset", b" not synchronized"]
            .iter()
            .any(|t| after.starts_with(t));
        text && self.rules.has(MaskRule::Literal)
            && self.bytes(from.saturating_sub(6), from) == b"Level "
    }

    /// Exit statuses and errno stay: `203/EXEC` after `status=`, the number after `exit code`.
    pub(super) fn outcome(&mut self, from: usize, to: usize) -> bool {
        let item = self.bytes(from, to);
        let (key_from, key_to) = self.key;
        let exempt = (self.cue == Cue::Status && shape::is_exit_status(item).is_some())
            || (self.expect == Expect::Value
                && self.bytes(key_from, key_to) == b"status"
                && shape::is_exit_status(item) == Some(true))
            || (item.first() == Some(&b'E') && shape::is_errno(item))
            || (item.len() == 1 && self.leveled(from, to));
        if exempt {
            self.done();
        }
        exempt
    }

    /// The value after `key=`; None if it turns out to be none.
    pub(super) fn value(&mut self, from: usize, to: usize, end: usize) -> Option<usize> {
        if self.expect == Expect::Member {
            self.expect = Expect::Nothing;
            return None;
        }
        if self.expect == Expect::ListValue {
            return self.pair(from, to);
        }
        if !self.rules.has(MaskRule::KeyValue) {
            return None;
        }
        let spaced = self.expect == Expect::SpacedValue;
        if spaced && self.byte(end) == Some(b'=') && self.byte(end.saturating_add(1)) != Some(b'=')
        {
            return None;
        }
        let item = self.bytes(from, to);
        let (key_from, key_to) = self.key;
        let digits = item.iter().any(u8::is_ascii_digit);
        if self.rules.has(MaskRule::Literal) {
            // `reason=AuthFail:code:5`: the outcome is a word, its details are scanned.
            let head = item.iter().position(|&b| b == b':').unwrap_or(item.len());
            let word = item
                .get(..head)
                .unwrap_or_default()
                .iter()
                .all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-' | b'/'));
            if (word && words::is_outcome_key(self.bytes(key_from, key_to)))
                || shape::is_errno(item)
            {
                self.done();
                self.parts(from.saturating_add(head), to);
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
    pub(super) fn pair(&mut self, from: usize, to: usize) -> Option<usize> {
        self.expect = Expect::Nothing;
        let (key_from, key_to) = self.key;
        let went_before = matches!(
            self.bytes(key_from.saturating_sub(2), key_from),
            b", " | b"; "
        );
        let listed = match self.byte(to) {
            Some(b',' | b';') => went_before || self.key_follows(to.saturating_add(1)),
            Some(b'}' | b']' | b')') | None => went_before,
            _ => false,
        };
        if !listed
            || self.bytes(from, to).contains(&b':')
            || !self.rules.has(MaskRule::Pair)
            || words::is_outcome_key(self.bytes(key_from, key_to))
        {
            return None;
        }
        self.mask(from, to, Kind::Value);
        self.done();
        Some(to)
    }

    /// Whether ` key:` comes next.
    pub(super) fn key_follows(&self, at: usize) -> bool {
        let ahead = self.ahead(at);
        let word = ahead
            .iter()
            .skip(1)
            .take_while(|&&b| bytes::is(b, ALNUM))
            .count();
        ahead.first() == Some(&b' ') && word > 0 && ahead.get(word.saturating_add(1)) == Some(&b':')
    }

    /// End of a list value: `a,b,c` or `A|B`, up to the next key.
    pub(super) fn listed(&self, to: usize) -> usize {
        let mut last = to;
        while matches!(self.byte(last), Some(b',' | b'|')) {
            let from = last.saturating_add(1);
            let ahead = self.ahead(from).iter();
            let len = ahead.take_while(|&&b| bytes::is(b, ITEM)).count();
            let next = from.saturating_add(len);
            if len == 0
                || self.byte(next) == Some(b'=')
                || self.bytes(next, next.saturating_add(2)) == b" ="
            {
                break;
            }
            last = next;
        }
        last
    }
}
