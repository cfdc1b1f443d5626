//! D-Bus messages as bytes: as much of the specification as a client of systemd needs. Pure; whatever bytes come in,
//! nothing panics, recurses without end or reads beyond its message.

use std::fmt;

use crate::services::systemd::decode::Value;

/// Longest message that is taken: a list of some 50,000 units.
pub const MESSAGE_MOST: usize = 16 << 20;
/// The fixed part of a header, with the length of its fields.
const FIXED: usize = 16;
/// Deepest nesting of containers; the specification allows 64, systemd uses 4.
const DEPTH_MOST: u8 = 32;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The message ends within a value.
    Torn,
    TooLong(usize),
    /// What is not as the specification has it.
    Malformed(&'static str),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn => f.write_str("a message ends within a value"),
            Self::TooLong(length) => write!(f, "a message of {length} bytes"),
            Self::Malformed(what) => write!(f, "malformed message: {what}"),
        }
    }
}

impl std::error::Error for WireError {}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    Call,
    Return,
    Error,
    Signal,
}

/// One message, within the bytes it came in. Fields that it does not have are empty.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    pub kind: MessageKind,
    /// Serial of the call that this answers; 0 for none.
    pub reply_to: u32,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    pub error: &'a str,
    pub sender: &'a str,
    pub signature: &'a str,
    body: ValueReader<'a>,
}

impl<'a> Message<'a> {
    pub fn body(&self) -> ValueReader<'a> {
        self.body.clone()
    }

    /// True for the signal `member` of `interface`.
    pub fn is_signal(&self, interface: &str, member: &str) -> bool {
        self.kind == MessageKind::Signal && self.interface == interface && self.member == member
    }
}

/// Length of the message that begins `bytes`; `None` while too few of them are there to tell.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, WireError> {
    let Some(head) = bytes.get(..FIXED) else {
        return Ok(None);
    };
    let mut reader = ValueReader::of(head, is_big(head)?);
    reader.take(4)?;
    let body = reader.size()?;
    reader.take(4)?;
    let fields = reader.size()?;
    let total = FIXED
        .saturating_add(fields)
        .saturating_add(7)
        .saturating_sub(fields.wrapping_add(7) % 8)
        .saturating_add(body);
    if total > MESSAGE_MOST {
        return Err(WireError::TooLong(total));
    }
    Ok(Some(total))
}

fn is_big(head: &[u8]) -> Result<bool, WireError> {
    match head.first() {
        Some(b'l') => Ok(false),
        Some(b'B') => Ok(true),
        _ => Err(WireError::Malformed("byte order")),
    }
}

/// Reads one whole message.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, WireError> {
    let mut reader = ValueReader::of(bytes, is_big(bytes)?);
    let kind = match reader.take(4)?.get(1) {
        Some(1) => MessageKind::Call,
        Some(2) => MessageKind::Return,
        Some(3) => MessageKind::Error,
        Some(4) => MessageKind::Signal,
        _ => return Err(WireError::Malformed("kind of message")),
    };
    reader.size()?;
    // Its own number: nothing is ever answered.
    reader.number()?;
    let mut message = Message {
        kind,
        reply_to: 0,
        path: "",
        interface: "",
        member: "",
        error: "",
        sender: "",
        signature: "",
        body: ValueReader::of(&[], reader.big),
    };
    let mut fields = reader.array(8)?;
    while !fields.is_over() {
        field(&mut fields, &mut message)?;
    }
    reader.align(8);
    let body = bytes.get(reader.at..).ok_or(WireError::Torn)?;
    message.body = ValueReader::of(body, reader.big);
    Ok(message)
}

fn field<'a>(fields: &mut ValueReader<'a>, message: &mut Message<'a>) -> Result<(), WireError> {
    fields.align(8);
    let code = fields.byte()?;
    let types = fields.signature()?;
    match (code, types) {
        (1, "o") => message.path = fields.text()?,
        (2, "s") => message.interface = fields.text()?,
        (3, "s") => message.member = fields.text()?,
        (4, "s") => message.error = fields.text()?,
        (5, "u") => message.reply_to = fields.number()?,
        (7, "s") => message.sender = fields.text()?,
        (8, "g") => message.signature = fields.signature()?,
        _ => fields.skip(types)?,
    }
    Ok(())
}

/// Reads values one after the other. Its first byte stands at a multiple of eight of the message.
#[derive(Clone, Debug)]
pub struct ValueReader<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
}

impl<'a> ValueReader<'a> {
    fn of(bytes: &'a [u8], big: bool) -> Self {
        Self { bytes, at: 0, big }
    }

    pub fn is_over(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Bytes that are not read yet, for the fuzzer.
    #[cfg(fuzzing)]
    pub fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let end = self.at.checked_add(count).ok_or(WireError::Torn)?;
        let taken = self.bytes.get(self.at..end).ok_or(WireError::Torn)?;
        self.at = end;
        Ok(taken)
    }

    /// `N` bytes at a multiple of `N`, the lowest first.
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.align(N);
        let mut bytes: [u8; N] = self.take(N)?.try_into().map_err(|_| WireError::Torn)?;
        if self.big {
            bytes.reverse();
        }
        Ok(bytes)
    }

    pub fn byte(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_le_bytes(self.fixed()?))
    }

    pub fn number(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.fixed()?))
    }

    pub fn flag(&mut self) -> Result<bool, WireError> {
        Ok(self.number()? != 0)
    }

    fn size(&mut self) -> Result<usize, WireError> {
        usize::try_from(self.number()?).map_err(|_| WireError::TooLong(usize::MAX))
    }

    /// A string or an object path.
    pub fn text(&mut self) -> Result<&'a str, WireError> {
        let length = self.size()?;
        self.str_of(length)
    }

    pub fn signature(&mut self) -> Result<&'a str, WireError> {
        let length = usize::from(self.byte()?);
        self.str_of(length)
    }

    fn str_of(&mut self, length: usize) -> Result<&'a str, WireError> {
        let bytes = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(bytes).map_err(|_| WireError::Malformed("text is not UTF-8"))
    }

    /// The elements of an array whose type stands at multiples of `to`.
    pub fn array(&mut self, to: usize) -> Result<Self, WireError> {
        let length = self.size()?;
        self.align(to);
        let at = self.at;
        self.take(length)?;
        let bytes = self.bytes.get(..self.at).ok_or(WireError::Torn)?;
        Ok(Self {
            bytes,
            at,
            big: self.big,
        })
    }

    /// The entries of a dictionary or the structures of an array.
    pub fn entries(&mut self) -> Result<Self, WireError> {
        self.array(8)
    }

    /// Goes to the next entry; false after the last one.
    pub fn next_entry(&mut self) -> bool {
        if !self.is_over() {
            self.align(8);
        }
        !self.is_over()
    }

    /// Passes over one value of the type `types`.
    pub fn skip(&mut self, types: &str) -> Result<(), WireError> {
        let mut types = Types(types.as_bytes());
        self.skip_one(&mut types, 0)
    }

    fn skip_one(&mut self, types: &mut Types<'_>, depth: u8) -> Result<(), WireError> {
        let deeper = deeper(depth)?;
        match types.next()? {
            b'y' => drop(self.take(1)?),
            b'n' | b'q' => drop(self.fixed::<2>()?),
            b'b' | b'i' | b'u' | b'h' => drop(self.fixed::<4>()?),
            b'x' | b't' | b'd' => drop(self.fixed::<8>()?),
            b's' | b'o' => {
                let length = self.size()?;
                self.take(length.saturating_add(1))?;
            }
            b'g' => drop(self.signature()?),
            b'v' => {
                let mut inner = Types(self.signature()?.as_bytes());
                self.skip_one(&mut inner, deeper)?;
            }
            b'a' => {
                self.array(types.alignment()?)?;
                types.pass(deeper)?;
            }
            open @ (b'(' | b'{') => {
                self.align(8);
                while !types.closes(open) {
                    self.skip_one(types, deeper)?;
                }
            }
            _ => return Err(WireError::Malformed("signature")),
        }
        Ok(())
    }

    /// The value of a variant, as far as something is read of its type.
    pub fn variant(&mut self) -> Result<Value<'a>, WireError> {
        let types = self.signature()?;
        Ok(match types {
            "s" | "o" => Value::Text(self.text()?),
            "b" => Value::Flag(self.flag()?),
            "y" => Value::Number(self.byte()?.into()),
            "q" => Value::Number(u16::from_le_bytes(self.fixed()?).into()),
            "u" => Value::Number(self.number()?.into()),
            "t" => Value::Number(u64::from_le_bytes(self.fixed()?)),
            "i" => Value::Number(positive(i32::from_le_bytes(self.fixed()?).into())),
            "x" => Value::Number(positive(i64::from_le_bytes(self.fixed()?))),
            "(uo)" => {
                self.align(8);
                let number = self.number()?;
                self.text()?;
                Value::Number(number.into())
            }
            "ay" => Value::Bytes({
                let bytes = self.array(1)?;
                bytes.bytes.get(bytes.at..).unwrap_or_default()
            }),
            "(aiai)" => {
                self.align(8);
                Value::Ends(self.numbers()?, self.numbers()?)
            }
            "as" => Value::Words(self.first_texts(4, "")?),
            // `DeviceAllow=`, `TemporaryFileSystem=`: the path comes first.
            "a(ss)" => Value::Words(self.first_texts(8, "s")?),
            // `RestrictAddressFamilies=`: whether these are the only ones, or those that are not.
            "(bas)" => {
                self.align(8);
                let only = self.flag()?;
                let mut words = self.first_texts(4, "")?;
                if only == words.is_empty() {
                    words.insert(0, if only { "none" } else { "~" });
                }
                Value::Words(words)
            }
            // `Exec…=`: the program comes first.
            "a(sasbttttuii)" => Value::Words(self.first_texts(8, "asbttttuii")?),
            _ => {
                self.skip(types)?;
                Value::Other
            }
        })
    }

    fn numbers(&mut self) -> Result<Vec<i32>, WireError> {
        let mut elements = self.array(4)?;
        let mut numbers = Vec::new();
        while !elements.is_over() {
            numbers.push(i32::from_le_bytes(elements.fixed()?));
        }
        Ok(numbers)
    }

    /// The text that begins each element of an array; `rest` is what else an element has.
    fn first_texts(&mut self, alignment: usize, rest: &str) -> Result<Vec<&'a str>, WireError> {
        let mut elements = self.array(alignment)?;
        let mut texts = Vec::new();
        while !elements.is_over() {
            elements.align(alignment);
            texts.push(elements.text()?);
            let mut types = Types(rest.as_bytes());
            while !types.0.is_empty() {
                elements.skip_one(&mut types, 0)?;
            }
        }
        Ok(texts)
    }

    /// Passes over a variant.
    pub fn skip_variant(&mut self) -> Result<(), WireError> {
        self.skip("v")
    }
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn deeper(depth: u8) -> Result<u8, WireError> {
    if depth >= DEPTH_MOST {
        return Err(WireError::Malformed("nested too deep"));
    }
    Ok(depth.saturating_add(1))
}

/// The letters of a signature, one after the other.
struct Types<'a>(&'a [u8]);

impl Types<'_> {
    fn next(&mut self) -> Result<u8, WireError> {
        let (first, rest) = self
            .0
            .split_first()
            .ok_or(WireError::Malformed("signature"))?;
        self.0 = rest;
        Ok(*first)
    }

    /// At multiples of what a value of the next type stands.
    fn alignment(&self) -> Result<usize, WireError> {
        Ok(match self.0.first() {
            Some(b'y' | b'g' | b'v') => 1,
            Some(b'n' | b'q') => 2,
            Some(b'b' | b'i' | b'u' | b'h' | b's' | b'o' | b'a') => 4,
            Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
            _ => return Err(WireError::Malformed("signature")),
        })
    }

    /// Takes the end of what `open` began, if it is next.
    fn closes(&mut self, open: u8) -> bool {
        let close = if open == b'(' { b')' } else { b'}' };
        let is_next = self.0.first() == Some(&close);
        if is_next {
            self.0 = self.0.get(1..).unwrap_or_default();
        }
        is_next
    }

    /// Passes over one whole type.
    fn pass(&mut self, depth: u8) -> Result<(), WireError> {
        let deeper = deeper(depth)?;
        match self.next()? {
            b'a' => self.pass(deeper),
            open @ (b'(' | b'{') => {
                while !self.closes(open) {
                    self.pass(deeper)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// A method call; all arguments that systemd wants of us are texts.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The name on a bus; empty where there is only the other side.
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    pub args: &'a [&'a str],
}

impl Call<'_> {
    pub fn bytes(&self, serial: u32) -> Vec<u8> {
        let mut body = Writer::default();
        for arg in self.args {
            body.text(arg);
        }
        let types = "s".repeat(self.args.len());
        let mut fields = Writer::default();
        fields.field(1, "o", self.path);
        fields.field(2, "s", self.interface);
        fields.field(3, "s", self.member);
        if !self.destination.is_empty() {
            fields.field(6, "s", self.destination);
        }
        if !types.is_empty() {
            fields.field(8, "g", &types);
        }
        message(1, serial, &fields, &body)
    }
}

/// The bytes of a message, the lowest first. Flags are none: an answer is wanted, and nothing is started for it.
fn message(kind: u8, serial: u32, fields: &Writer, body: &Writer) -> Vec<u8> {
    let mut message = Writer(vec![b'l', kind, 0, 1]);
    message.size(body.0.len());
    message.number(serial);
    message.size(fields.0.len());
    message.0.extend(&fields.0);
    message.align(8);
    message.0.extend(&body.0);
    message.0
}

/// A change of a unit's with this body, for the fuzzer: what stands behind a head that holds is read at all.
#[cfg(fuzzing)]
pub fn change_with(body: &[u8]) -> Vec<u8> {
    let mut fields = Writer::default();
    fields.field(1, "o", "/org/freedesktop/systemd1/unit/web_2eservice");
    fields.field(2, "s", "org.freedesktop.DBus.Properties");
    fields.field(3, "s", "PropertiesChanged");
    message(4, 1, &fields, &Writer(body.to_vec()))
}

/// Writes values one after the other, each where its type stands.
#[derive(Debug, Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, number: u32) {
        self.align(4);
        self.0.extend(number.to_le_bytes());
    }

    /// What we send is far below four gigabytes.
    fn size(&mut self, size: usize) {
        self.number(u32::try_from(size).unwrap_or(u32::MAX));
    }

    fn text(&mut self, text: &str) {
        self.size(text.len());
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, types: &str) {
        self.0.push(u8::try_from(types.len()).unwrap_or(u8::MAX));
        self.0.extend(types.as_bytes());
        self.0.push(0);
    }

    fn field(&mut self, code: u8, types: &str, value: &str) {
        self.align(8);
        self.0.push(code);
        self.signature(types);
        if types == "g" {
            self.signature(value);
        } else {
            self.text(value);
        }
    }
}

/// What the other side says, for tests.
#[cfg(test)]
#[allow(clippy::indexing_slicing)]
pub mod spoken {
    use super::{Writer, message};

    /// A value of a body.
    #[derive(Clone, Debug)]
    pub enum Said {
        Text(String),
        Number(u32),
        Long(u64),
        Flag(bool),
        Variant(&'static str, Box<Said>),
        /// Values side by side: a structure or an entry.
        Group(Vec<Said>),
        /// Elements of a type that stands at multiples of the number.
        List(usize, Vec<Said>),
    }

    pub fn text(text: &str) -> Said {
        Said::Text(text.to_owned())
    }

    pub fn variant(types: &'static str, value: Said) -> Said {
        Said::Variant(types, Box::new(value))
    }

    /// The dictionary of properties with these values.
    pub fn properties(entries: Vec<(&str, Said)>) -> Said {
        let entry = |(name, value)| Said::Group(vec![text(name), value]);
        Said::List(8, entries.into_iter().map(entry).collect())
    }

    fn write(body: &mut Writer, said: &Said) {
        match said {
            Said::Text(text) => body.text(text),
            Said::Number(number) => body.number(*number),
            Said::Flag(flag) => body.number((*flag).into()),
            Said::Long(long) => {
                body.align(8);
                body.0.extend(long.to_le_bytes());
            }
            Said::Variant(types, value) => {
                body.signature(types);
                write(body, value);
            }
            Said::Group(values) => {
                body.align(8);
                values.iter().for_each(|value| write(body, value));
            }
            Said::List(alignment, elements) => {
                body.number(0);
                let length_at = body.0.len() - 4;
                body.align(*alignment);
                let begin = body.0.len();
                elements.iter().for_each(|element| write(body, element));
                let length = u32::try_from(body.0.len() - begin).unwrap_or(0);
                body.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
            }
        }
    }

    fn said(kind: u8, mut fields: Writer, sender: &str, types: &str, values: &[Said]) -> Vec<u8> {
        if !sender.is_empty() {
            fields.field(7, "s", sender);
        }
        fields.field(8, "g", types);
        let mut body = Writer::default();
        values.iter().for_each(|value| write(&mut body, value));
        message(kind, 1, &fields, &body)
    }

    fn answer(serial: u32) -> Writer {
        let mut fields = Writer::default();
        fields.align(8);
        fields.0.push(5);
        fields.signature("u");
        fields.number(serial);
        fields
    }

    pub fn reply(serial: u32, sender: &str, types: &str, values: &[Said]) -> Vec<u8> {
        said(2, answer(serial), sender, types, values)
    }

    pub fn error(serial: u32, sender: &str, name: &str, why: &str) -> Vec<u8> {
        let mut fields = answer(serial);
        fields.field(4, "s", name);
        said(3, fields, sender, "s", &[text(why)])
    }

    pub fn signal(
        path: &str,
        (interface, member): (&str, &str),
        sender: &str,
        types: &str,
        values: &[Said],
    ) -> Vec<u8> {
        let mut fields = Writer::default();
        fields.field(1, "o", path);
        fields.field(2, "s", interface);
        fields.field(3, "s", member);
        said(4, fields, sender, types, values)
    }
}

#[cfg(test)]
mod tests;
