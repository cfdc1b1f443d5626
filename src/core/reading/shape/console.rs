//! The kernel's own way to print: `[   12.345678]` before each message, and what `dmesg` makes of it.

use super::scan::{bracketed, digits, number, word};
use super::stamp::{self, Form};
use super::{Layer, Shape, syslog};
use crate::core::reading::level::Level;

/// `kern  :err   : [ 12.345678] …` (`dmesg -x`), `[Wed Nov 16 08:02:19 2016] …` (`dmesg -T`), `[Nov16 08:02] …` and
/// `[  +0.142453] …` (`dmesg -H`), a line with the kernel's stamp; journalctl's monotonic form has the same stamp and a
/// host behind it.
pub(super) fn read(text: &str) -> Option<Layer<'_>> {
    if let Some(layer) = decoded(text) {
        return Some(layer);
    }
    if let Some(rest) = stamp::behind_kernels(text) {
        let monotonic = syslog::monotonic(rest.trim_start());
        return Some(monotonic.unwrap_or_else(|| kernel(text)));
    }
    dated(text).map(kernel)
}

/// `2026-05-01T10:00:02,123456+00:00 …` (`dmesg --time-format iso`): nobody else has a comma and microseconds there.
pub(super) fn iso(text: &str) -> Option<Layer<'_>> {
    iso_dated(text).map(kernel)
}

fn iso_dated(text: &str) -> Option<&str> {
    let marks = [text.as_bytes().get(19)?, text.as_bytes().get(26)?];
    if !matches!(marks, [b',', b'+' | b'-']) {
        return None;
    }
    let (time, rest) = word(text);
    stamp::read(time)?.rest.is_empty().then_some(rest)
}

fn kernel(text: &str) -> Layer<'_> {
    Layer {
        kernel: true,
        ..Layer::new(Shape::Kernel, text)
    }
}

/// Behind the time of `dmesg -T` or `-H`. Programs stamp like that too, and then say a level in brackets.
fn dated(text: &str) -> Option<&str> {
    let (inner, rest) = bracketed(text, 40).filter(|_| text.starts_with('['))?;
    let is_whole = |stamp: stamp::Stamp<'_>| stamp.form == Form::Weekday && stamp.rest.is_empty();
    let is_kernels = is_step(inner) || is_minute(inner) || stamp::read(inner).is_some_and(is_whole);
    (is_kernels && !rest.starts_with(" [")).then(|| rest.trim_start())
}

/// `  +0.142453`: the time since the line before, with the comma of some languages.
fn is_step(inner: &str) -> bool {
    let step = inner.trim_start().strip_prefix('+');
    step.and_then(|step| step.split_once(['.', ',']))
        .is_some_and(|(seconds, micros)| {
            number(seconds).is_some() && micros.len() == 6 && number(micros).is_some()
        })
}

/// `Nov16 08:02`.
fn is_minute(inner: &str) -> bool {
    let day = inner.trim_start_matches(char::is_alphabetic);
    let is_day = |text: &str| digits(text, 1, 2).is_some_and(|(_, rest)| rest.is_empty());
    let is_clock = |text: &str| {
        text.split_once(':')
            .is_some_and(|(h, m)| is_day(h) && is_day(m))
    };
    day.len() < inner.len()
        && day
            .split_once(' ')
            .is_some_and(|(day, clock)| is_day(day) && is_clock(clock))
}

fn decoded(text: &str) -> Option<Layer<'_>> {
    let rest = text.strip_prefix("kern")?.trim_start().strip_prefix(':')?;
    let (level, rest) = rest.split_once(':')?;
    let level = Level::of_word(level.trim())?;
    Some(Layer {
        level: Some(level),
        ..kernel(undated(rest.trim_start()))
    })
}

/// The other times of `dmesg` may stand behind its levels.
fn undated(text: &str) -> &str {
    dated(text).or_else(|| iso_dated(text)).unwrap_or(text)
}

/// `dmesg --json`: one member a line, of which the message counts.
pub(super) fn member(text: &str) -> Option<Layer<'_>> {
    let value = text.trim_start().strip_prefix("\"msg\": ")?;
    let value = value.trim_end().trim_end_matches(',');
    let message: String = serde_json::from_str(value).ok()?;
    Some(Layer {
        kernel: true,
        ..Layer::owned(Shape::Kernel, message)
    })
}

/// Where a kernel message starts in console output: after the last `[ seconds.micros]`, with the caller
/// tag `[ T123]`/`[ C0]` removed. Console output of several writers may share one line.
pub fn split_console(line: &str) -> impl Iterator<Item = (Option<u64>, &str)> {
    let mut rest = Some((None, line));
    std::iter::from_fn(move || {
        let (at, text) = rest.take()?;
        match find_stamp(text) {
            Some((start, end, micros)) => {
                rest = text.get(end..).map(|tail| (Some(micros), tail));
                Some((at, strip_caller(text.get(..start).unwrap_or(""))))
            }
            None => Some((at, strip_caller(text))),
        }
    })
    .filter(|(at, text)| at.is_some() || !text.trim().is_empty())
}

/// Start and end byte and microseconds of the next `[   12.345678]`.
fn find_stamp(text: &str) -> Option<(usize, usize, u64)> {
    text.match_indices('[').find_map(|(open, _)| {
        let (stamp, behind) = text.get(open..)?.strip_prefix('[')?.split_once(']')?;
        let end = text.len().checked_sub(behind.len())?;
        Some((open, end, stamp::since_boot_us(stamp)?))
    })
}

/// True when the kernel's stamp stands anywhere: its console shares a line with who else writes there.
pub(super) fn shares(text: &str) -> bool {
    text.contains(']') && text.contains("] ") && text.contains('.') && find_stamp(text).is_some()
}

fn strip_caller(text: &str) -> &str {
    let text = text.trim_start_matches(' ');
    let Some((tag, tail)) = bracketed(text, 16).filter(|_| text.starts_with('[')) else {
        return text;
    };
    let (tag, more) = word(tag.trim());
    let caller = tag.strip_prefix(['T', 'C']).unwrap_or("");
    let is_one = !caller.is_empty() && caller.bytes().all(|c| c.is_ascii_digit());
    match is_one && more.is_empty() {
        true => tail.trim_start_matches(' '),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_lines_may_be_shared() {
        let got: Vec<_> = split_console("login: [   59.806466][ T6792] BUG: x").collect();
        assert_eq!(got, [(None, "login: "), (Some(59_806_466), "BUG: x")]);
        let got: Vec<_> = split_console("[    1.000000] a [<ffff>] b[ 2.000000] c").collect();
        assert_eq!(
            got,
            [(Some(1_000_000), "a [<ffff>] b"), (Some(2_000_000), "c")]
        );
        assert_eq!(split_console("").count(), 0);
    }
}
