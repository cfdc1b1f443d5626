//! The mask rules, each of which can be left out to measure what it adds.
//!
//! The product always uses [`All`]; its tests are constants and vanish from the machine code.

/// One family of placeholders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MaskRule {
    /// Anything with a digit: numbers, hex, durations, versions, ids, UUIDs, times.
    Digits = 1,
    /// IPv6 and MAC addresses and letters-only hex, which digits alone do not tell.
    Address = 1 << 1,
    /// Rooted, home, relative and Windows paths.
    Path = 1 << 2,
    /// `scheme://…` and `user@host`.
    Url = 1 << 3,
    /// The value after `key=` or `key =`.
    KeyValue = 1 << 4,
    /// Quoted tokens.
    Quoted = 1 << 5,
    /// Names in known positions: `user X`, `password for X`, `host X`, cron's and sudo's commands.
    Position = 1 << 6,
    /// Identifiers after a noun for a thing: `class X`, `module X`, `service X`.
    Thing = 1 << 7,
    /// Dotted host names.
    Host = 1 << 8,
    /// Reverse-DNS names of packages, classes and bundles.
    Package = 1 << 9,
    /// File names and unit names, told by their suffix.
    File = 1 << 10,
    /// Weekday and month names in a date.
    Date = 1 << 11,
    /// A unit after a number belongs to the number.
    Unit = 1 << 12,
    /// A run of placeholders is one placeholder.
    Runs = 1 << 13,
    /// true, false, null, NaN in any position; yes, no, on, off after `key:`.
    Constant = 1 << 14,
    /// A free-standing `()` or `[]` is an empty value.
    Empty = 1 << 15,
    /// Runs of white space and long rulers count as one.
    Space = 1 << 16,
    /// Names of standards that hold a digit (IPv6, ext4) stay words.
    Standard = 1 << 17,
    /// Exit statuses, results, errno and quoted messages are exempt from the masks.
    Literal = 1 << 18,
    /// The word of `key: word` in a list of such pairs.
    Pair = 1 << 19,
}

impl MaskRule {
    /// Every rule with its name, in bit order: the table that the bench walks.
    pub const TABLE: [(MaskRule, &'static str); 20] = [
        (MaskRule::Digits, "digits"),
        (MaskRule::Address, "address"),
        (MaskRule::Path, "path"),
        (MaskRule::Url, "url"),
        (MaskRule::KeyValue, "key-value"),
        (MaskRule::Quoted, "quoted"),
        (MaskRule::Position, "position"),
        (MaskRule::Thing, "thing"),
        (MaskRule::Host, "host"),
        (MaskRule::Package, "package"),
        (MaskRule::File, "file"),
        (MaskRule::Date, "date"),
        (MaskRule::Unit, "unit"),
        (MaskRule::Runs, "runs"),
        (MaskRule::Constant, "constant"),
        (MaskRule::Empty, "empty"),
        (MaskRule::Space, "space"),
        (MaskRule::Standard, "standard"),
        (MaskRule::Literal, "literal"),
        (MaskRule::Pair, "pair"),
    ];
}

/// Which rules are in force.
pub trait MaskRules: Copy {
    /// Whether `rule` is in force.
    fn has(self, rule: MaskRule) -> bool;
}

/// Every rule: what the product uses.
#[derive(Clone, Copy, Debug)]
pub struct All;

impl MaskRules for All {
    #[inline(always)]
    fn has(self, _rule: MaskRule) -> bool {
        true
    }
}

/// A bit set of [`MaskRule`]s, for measurements.
#[derive(Clone, Copy, Debug)]
pub struct Only(pub u32);

impl MaskRules for Only {
    fn has(self, rule: MaskRule) -> bool {
        self.0 & rule as u32 != 0
    }
}
