//! Placeholder types. They are for the reader: what is hashed has no types, because one slot may
//! hold `test9` today and `webmaster` tomorrow, an address or a host name.

/// What told that a part of a message is variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A digit, or hexadecimal digits only; the shape refines it.
    Number,
    /// A host name.
    Host,
    /// `user@host`
    Mail,
    /// A path, a file name or a unit name.
    Path,
    /// `scheme://…`
    Url,
    /// The value of a key, a truth value, an empty pair of brackets.
    Value,
    /// A quoted token.
    Quoted,
    /// A user, host, device, class in a known position.
    Name,
    /// A weekday or month.
    Date,
    /// `comm:pid`
    Process,
}

impl Kind {
    /// The placeholder for `item`.
    pub fn text(self, item: &[u8]) -> &'static str {
        match self {
            Kind::Number => number(item),
            Kind::Host => "<host>",
            Kind::Mail => "<mail>",
            Kind::Path => "<path>",
            Kind::Url => "<url>",
            Kind::Value => "<val>",
            Kind::Quoted => "<str>",
            Kind::Name => "<name>",
            Kind::Date => "<time>",
            Kind::Process => "<process>",
        }
    }

    /// The placeholder of a number with `unit`.
    pub fn measured(unit: &[u8]) -> &'static str {
        match unit.last() {
            Some(b'z') => "<num>",
            Some(b'B' | b'K' | b'M' | b'G' | b'b') => "<size>",
            _ if unit.starts_with(b"byte") => "<size>",
            _ if unit.first().is_some_and(u8::is_ascii_uppercase)
                || matches!(unit, b"am" | b"pm") =>
            {
                "<time>"
            }
            _ => "<duration>",
        }
    }
}

/// What kind of number: by the bytes it is made of, and their arrangement.
fn number(item: &[u8]) -> &'static str {
    let count = |byte: u8| item.iter().filter(|&&b| b == byte).count();
    let digits = item.iter().filter(|b| b.is_ascii_digit()).count();
    let all = |extra: &[u8]| item.iter().all(|b| b.is_ascii_digit() || extra.contains(b));
    let hex = |extra: &[u8]| {
        item.iter()
            .all(|b| b.is_ascii_hexdigit() || extra.contains(b))
    };
    let groups =
        |separator: u8, len: usize| item.split(|&b| b == separator).all(|g| g.len() == len);
    if all(b"-") && item.iter().skip(1).all(u8::is_ascii_digit) {
        return "<num>";
    }
    if (hex(b":") && count(b':') == 5 && groups(b':', 2))
        || (hex(b"-") && count(b'-') == 5 && groups(b'-', 2))
    {
        return "<mac>";
    }
    if hex(b":.") && count(b':') >= 2 && (count(b':') > 2 || !all(b":")) {
        return "<ip>";
    }
    if item.len() == 36 && hex(b"-") && count(b'-') == 4 {
        return "<uuid>";
    }
    match count(b'.') {
        3 if all(b".") => return "<ip>",
        1 if all(b".-") && count(b'-') <= 1 => return "<float>",
        2.. if all(b".") => return "<version>",
        _ => {}
    }
    if all(b"-/:.T") && (count(b'-') == 2 || count(b'/') == 2 || count(b':') >= 1) {
        return "<time>";
    }
    if item.starts_with(b"0x") || item.starts_with(b"0X") {
        return "<hex>";
    }
    if hex(b"") {
        return if matches!(item.len(), 32 | 40 | 64 | 128) {
            "<hash>"
        } else {
            "<hex>"
        };
    }
    if item.first().is_some_and(u8::is_ascii_digit) {
        let suffix = item
            .iter()
            .position(u8::is_ascii_alphabetic)
            .and_then(|p| item.get(p..));
        match suffix {
            Some(b"ms" | b"us" | b"ns" | b"s" | b"min" | b"h" | b"d" | b"sec") => {
                return "<duration>";
            }
            Some(
                b"B" | b"K" | b"M" | b"G" | b"T" | b"k" | b"kB" | b"KB" | b"MB" | b"GB" | b"KiB"
                | b"MiB" | b"GiB",
            ) => {
                return "<size>";
            }
            _ => {}
        }
    }
    if item.first().is_some_and(|b| *b == b'v' || *b == b'V') && digits > 0 && count(b'.') > 0 {
        return "<version>";
    }
    "<id>"
}
