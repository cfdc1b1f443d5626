//! Placeholder types.

/// What a variable part of a message was.
///
/// Shapes that one slot can take by chance share a type (a hexadecimal id may happen to have
/// decimal digits only), so that the type never splits one fault in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Number, hex, duration, size, version, time, address, id, UUID, hash: what digits tell.
    Num,
    /// Host name or e-mail address without a digit.
    Host,
    /// Rooted, relative or Windows path; file and unit names.
    Path,
    /// `scheme://…`
    Url,
    /// Value of `key=value`, quoted text, truth value, empty pair of brackets.
    Val,
    /// User, host or device in a known position.
    Name,
    /// Weekday or month.
    Date,
}

impl Kind {
    /// The placeholder text.
    pub const fn text(self) -> &'static str {
        match self {
            Kind::Num => "<num>",
            Kind::Host => "<host>",
            Kind::Path => "<path>",
            Kind::Url => "<url>",
            Kind::Val => "<val>",
            Kind::Name => "<name>",
            Kind::Date => "<time>",
        }
    }
}
