//! The mask rules, each of which can be left out to measure what it adds.
//!
//! The product always uses [`All`]; its tests are constants and vanish from the machine code.

/// One family of placeholders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Rule {
    /// Anything with a digit: numbers, hex, durations, versions, ids, UUIDs, times.
    Digits = 1,
    /// IPv6 and MAC addresses and letters-only hex, which digits alone do not tell.
    Hex = 1 << 1,
    /// Rooted, home, relative and Windows paths.
    Path = 1 << 2,
    /// `scheme://…` and `user@host`.
    Url = 1 << 3,
    /// The value after `key=` or `key =`.
    KeyValue = 1 << 4,
    /// Quoted strings.
    Quoted = 1 << 5,
    /// Names in known positions: `user X`, `password for X`, `host X`, `device X`.
    Position = 1 << 6,
    /// Dotted host names.
    Host = 1 << 7,
    /// File names and unit names, told by their suffix.
    File = 1 << 8,
    /// Weekday and month names, AM/PM and zones beside numbers.
    Date = 1 << 9,
    /// A unit after a number belongs to the number.
    Unit = 1 << 10,
    /// A run of placeholders is one placeholder.
    Runs = 1 << 11,
    /// true, false, null in any position; yes, no, on, off as a value.
    Bool = 1 << 12,
    /// A free-standing `()` or `[]` is an empty value.
    Empty = 1 << 13,
    /// Runs of white space count as one space.
    Space = 1 << 14,
    /// Exit statuses, results and errno are exempt from the masks.
    Literal = 1 << 15,
    /// Placeholders carry their type.
    Typed = 1 << 16,
}

impl Rule {
    /// Every rule with its name, in bit order: the table that the bench walks.
    pub const TABLE: [(Rule, &'static str); 17] = [
        (Rule::Digits, "digits"),
        (Rule::Hex, "hex"),
        (Rule::Path, "path"),
        (Rule::Url, "url"),
        (Rule::KeyValue, "key-value"),
        (Rule::Quoted, "quoted"),
        (Rule::Position, "position"),
        (Rule::Host, "host"),
        (Rule::File, "file"),
        (Rule::Date, "date"),
        (Rule::Unit, "unit"),
        (Rule::Runs, "runs"),
        (Rule::Bool, "bool"),
        (Rule::Empty, "empty"),
        (Rule::Space, "space"),
        (Rule::Literal, "literal"),
        (Rule::Typed, "typed"),
    ];
}

/// Which rules are in force.
pub trait RuleSet: Copy {
    /// Whether `rule` is in force.
    fn has(self, rule: Rule) -> bool;
}

/// Every rule: what the product uses.
#[derive(Clone, Copy, Debug)]
pub struct All;

impl RuleSet for All {
    #[inline(always)]
    fn has(self, _rule: Rule) -> bool {
        true
    }
}

/// A bit set of [`Rule`]s, for measurements.
#[derive(Clone, Copy, Debug)]
pub struct Only(pub u32);

impl RuleSet for Only {
    fn has(self, rule: Rule) -> bool {
        self.0 & rule as u32 != 0
    }
}
