//! One line, whatever wrote it, taken out of everything that it is wrapped in.
//!
//! Decided line by line: formats mix in one file, and a line may hold another. From the outside in come what
//! carried it (syslog, a container engine) and what its program put before it (a time, a level, JSON).

mod console;
mod container;
mod frame;
mod head;
mod json;
mod klog;
mod pairs;
mod said;
mod scan;
mod stamp;
mod syslog;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

pub use self::console::split_console;
pub(crate) use self::frame::is_frame;
use crate::core::model::named::named;
use crate::core::reading::level::Level;

named! {
    /// How a line, or a part of it, is written.
    Shape "shape" {
        Syslog = "syslog",
        Rfc5424 = "syslog (RFC 5424)",
        Facility = "syslog (facility.level)",
        Priority = "<priority>",
        Kernel = "kernel",
        Docker = "docker json-file",
        Cri = "CRI",
        Compose = "docker compose",
        Json = "JSON",
        Pairs = "logfmt",
        Klog = "klog",
        Stamped = "time and level",
        Level = "level",
        Plain = "plain",
    }
}

/// Envelopes around one line; deeper ones are text.
const DEPTH: usize = 4;

/// How one line is written: its shapes from the outside in, a byte for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Worn(u64);

impl Worn {
    /// At least one.
    pub fn shapes(self) -> impl Iterator<Item = Shape> {
        let plain = (self.0 == 0).then_some(Shape::Plain);
        let codes = self.0.to_le_bytes().into_iter();
        let shape = |code: u8| Shape::ALL.get(usize::from(code.checked_sub(1)?)).copied();
        plain.into_iter().chain(codes.filter_map(shape))
    }

    /// What does not fit any more is left out.
    fn put_on(&mut self, shape: Shape) {
        let used = u64::BITS.saturating_sub(self.0.leading_zeros()).div_ceil(8);
        let code = (shape as u64).saturating_add(1);
        self.0 |= code.checked_shl(used.saturating_mul(8)).unwrap_or(0);
    }
}

impl fmt::Display for Worn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, shape) in self.shapes().enumerate() {
            let between = if at == 0 { "" } else { " > " };
            write!(f, "{between}{shape}")?;
        }
        Ok(())
    }
}

/// A line without its envelopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken<'a> {
    /// What the program wrote: without what carried it, with its own time and level.
    pub text: Cow<'a, str>,
    /// What it said.
    pub message: Cow<'a, str>,
    /// Who wrote it, by the carrier; empty when unknown.
    pub program: Cow<'a, str>,
    pub host: Cow<'a, str>,
    /// What the program states, else the carrier.
    pub level: Option<Level>,
    /// The kernel's own words; [`split_console`] finds their times.
    pub kernel: bool,
    /// It is indented below another line.
    pub continues: bool,
    /// The program put something of its own before what it said: a time, a level, a name.
    pub stated: bool,
    /// Process of the program, by the carrier, where it says so.
    pub pid: Option<u32>,
    pub worn: Worn,
}

impl<'a> Spoken<'a> {
    fn plain(text: &'a str) -> Self {
        Self {
            text: uncoloured(Cow::Borrowed(match text.ends_with(ENDS) {
                true => text.trim_end_matches(ENDS),
                false => text,
            })),
            message: Cow::Borrowed(""),
            program: Cow::Borrowed(""),
            host: Cow::Borrowed(""),
            level: None,
            kernel: false,
            continues: false,
            stated: false,
            pid: None,
            worn: Worn::default(),
        }
    }

    /// The kernel's by its look alone: no carrier says so.
    pub fn is_console(&self) -> bool {
        self.kernel && self.program.is_empty()
    }

    /// Nobody signed it: it has neither a program nor a level.
    pub fn is_unsigned(&self) -> bool {
        self.program.is_empty() && self.level.is_none()
    }

    fn carried(&mut self, layer: Layer<'a>) {
        self.worn.put_on(layer.shape);
        if !layer.program.is_empty() {
            self.program = layer.program;
        }
        if !layer.host.is_empty() {
            self.host = Cow::Borrowed(layer.host);
        }
        self.level = layer.level.or(self.level);
        self.kernel = layer.kernel;
        self.pid = layer.pid.or(self.pid);
        self.text = match layer.message {
            // A part of what has been looked through.
            Cow::Borrowed(text) => Cow::Borrowed(text),
            // What was JSON or escaped shows its colours only now.
            Cow::Owned(text) => uncoloured(Cow::Owned(text)),
        };
    }
}

/// One envelope and what is in it.
#[derive(Debug)]
struct Layer<'a> {
    shape: Shape,
    message: Cow<'a, str>,
    program: Cow<'a, str>,
    host: &'a str,
    level: Option<Level>,
    kernel: bool,
    pid: Option<u32>,
    /// Its level is a word at the start: the carrier's own counts for more.
    weak: bool,
}

impl<'a> Layer<'a> {
    fn of(shape: Shape, message: Cow<'a, str>) -> Self {
        Self {
            shape,
            message,
            program: Cow::Borrowed(""),
            host: "",
            level: None,
            kernel: false,
            pid: None,
            weak: false,
        }
    }

    fn new(shape: Shape, message: &'a str) -> Self {
        Self::of(shape, Cow::Borrowed(message))
    }

    fn owned(shape: Shape, message: String) -> Self {
        Self::of(shape, Cow::Owned(message))
    }

    /// The same of a text that ends before the line does.
    fn kept<'b>(self) -> Layer<'b> {
        Layer {
            message: Cow::Owned(self.message.into_owned()),
            program: Cow::Owned(self.program.into_owned()),
            host: "",
            pid: self.pid,
            ..Layer::of(self.shape, Cow::Borrowed("")).with(self.level, self.kernel, self.weak)
        }
    }

    fn with(mut self, level: Option<Level>, kernel: bool, weak: bool) -> Self {
        (self.level, self.kernel, self.weak) = (level, kernel, weak);
        self
    }
}

/// Reads a line of a file, a console or a container.
pub fn read(line: &str) -> Spoken<'_> {
    let mut spoken = Spoken::plain(line);
    for _ in 0..DEPTH {
        let Some(layer) = peel(&spoken.text, carrier) else {
            break;
        };
        spoken.carried(layer);
        if spoken.kernel {
            break;
        }
    }
    said(spoken)
}

/// Reads what a program wrote where its carrier, the journal, keeps the rest apart: `level` is the carrier's.
pub fn read_text(text: &str, level: Option<Level>) -> Spoken<'_> {
    let mut spoken = Spoken::plain(text);
    spoken.level = level;
    said(spoken)
}

fn said(mut spoken: Spoken<'_>) -> Spoken<'_> {
    let frame = is_frame(&spoken.text);
    // What stands that far in goes on with the line before it, whatever level its carrier gave all of them.
    let (inner, continues) = match spoken.text.as_bytes() {
        [b' ', b' ', b' ', b' ', ..] | [b'\t', ..] => (true, true),
        [b' ', ..] | [b'-', b'-', b'-', ..] => (frame, true),
        _ => (frame, frame),
    };
    spoken.continues = continues;
    if !spoken.program.is_empty() && spoken.continues {
        spoken.text = trimmed(spoken.text);
    }
    spoken.message = spoken.text.clone();
    if spoken.kernel {
        return spoken;
    }
    let mut stated = None;
    for _ in 0..DEPTH {
        let Some(layer) = peel(&spoken.message, programs) else {
            break;
        };
        spoken.worn.put_on(layer.shape);
        spoken.stated = true;
        let ends = layer.weak;
        if !ends || spoken.level.is_none() {
            stated = stated.or(layer.level);
        }
        if ends {
            break;
        }
        spoken.message = layer.message;
    }
    let carried = spoken.level.filter(|_| !inner);
    spoken.level = stated.or(carried);
    spoken
}

type Peel = for<'b> fn(&'b str) -> Option<Layer<'b>>;

fn peel<'a>(text: &Cow<'a, str>, by: Peel) -> Option<Layer<'a>> {
    match text {
        Cow::Borrowed(text) => by(text),
        Cow::Owned(text) => by(text).map(Layer::kept),
    }
}

/// What carried a line.
fn carrier(text: &str) -> Option<Layer<'_>> {
    if opens_with_words(text) && !text.contains(']') {
        return None;
    }
    carrier_by_start(text)
}

fn carrier_by_start(text: &str) -> Option<Layer<'_>> {
    match *text.as_bytes().first()? {
        b'{' => json::read(text).filter(|layer| layer.shape == Shape::Docker),
        b'<' => syslog::priority(text),
        b'[' => console::read(text),
        b' ' | b'\t' => console::member(text),
        b'k' => console::read(text)
            .or_else(|| container::compose(text))
            .or_else(|| syslog::stamped(text))
            .or_else(|| shared(text)),
        b'0'..=b'9' => console::iso(text).or_else(|| {
            let stamp = stamp::read(text)?;
            container::cri(stamp).or_else(|| syslog::behind(text, stamp))
        }),
        b'A'..=b'Z' => syslog::stamped(text).or_else(|| shared(text)),
        _ => container::compose(text)
            .or_else(|| syslog::stamped(text))
            .or_else(|| shared(text)),
    }
}

/// True for a word in small letters with another behind it. So most messages begin, and no time, level, tag, pair or
/// bracket does: what is left is the kernel's stamp in the midst of a line and GLib's `**`.
fn opens_with_words(text: &str) -> bool {
    let joins = |c: &u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    let length = text.bytes().take_while(|c| joins(c)).count();
    let begins = text.bytes().next().is_some_and(|c| c.is_ascii_lowercase());
    begins
        && matches!(
            text.as_bytes().get(length..),
            Some([b' ', b'a'..=b'z' | b'A'..=b'Z', ..])
        )
}

/// A line of the console that somebody else began.
fn shared(text: &str) -> Option<Layer<'_>> {
    console::shares(text).then(|| Layer::new(Shape::Kernel, text).with(None, true, false))
}

/// What a program puts around its own words.
fn programs(text: &str) -> Option<Layer<'_>> {
    if opens_with_words(text) && !text.contains('*') {
        return None;
    }
    programs_by_start(text)
}

fn programs_by_start(text: &str) -> Option<Layer<'_>> {
    match *text.as_bytes().first()? {
        b'{' => json::read(text),
        b'A'..=b'Z' => klog::read(text)
            .or_else(|| head::read(text))
            .or_else(|| pairs::read(text)),
        b'a'..=b'z' => pairs::read(text).or_else(|| head::read(text)),
        b'0'..=b'9' | b'[' | b'(' | b'<' | b'|' | b'*' => head::read(text),
        _ => None,
    }
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_start()),
        Cow::Owned(text) => Cow::Owned(text.trim_start().to_owned()),
    }
}

/// What ends a line.
const ENDS: [char; 2] = ['\r', '\n'];

fn uncoloured(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.contains('\u{1b}') {
        // A colour may end behind the line's own end.
        true => Cow::Owned(without_colours(&text).trim_end_matches(ENDS).to_owned()),
        false => text,
    }
}

/// Without the escape sequences of a terminal.
fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut text = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let Some(sequence) = part.strip_prefix('[') else {
            text.push_str(part);
            continue;
        };
        let end = sequence.find(|c: char| c.is_ascii_alphabetic());
        let rest = end.and_then(|end| sequence.get(end.saturating_add(1)..));
        text.push_str(rest.unwrap_or(""));
    }
    text
}

/// True for what stands behind `error:` where there was none: `0`, `none`, `null`.
pub fn counts_none(rest: &str) -> bool {
    let value = rest.trim_start_matches([':', '=', ' ', '"', '\'', '(', '[']);
    let end = value
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(value.len());
    let (value, rest) = value.split_at_checked(end).unwrap_or((value, ""));
    let none = [
        "none", "null", "nil", "false", "ok", "off", "success", "0", "no",
    ];
    let ends = |rest: &str| {
        let rest = rest.trim_start_matches(['"', '\'']);
        rest.is_empty() || rest.starts_with([',', ';', '.', ')', ']', '}', '(', '|'])
    };
    let counted = value == "0" && rest.starts_with([' ', '/']);
    none.iter().any(|one| value.eq_ignore_ascii_case(one)) && (ends(rest) || counted)
}
