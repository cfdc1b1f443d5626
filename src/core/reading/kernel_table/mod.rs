//! What the kernel prints for each fault: its own message formats, one file per subsystem, first fit decides.
//!
//! A row names its formats ([`pattern`]), what they mean, and samples that must and must not fit; the samples
//! are run by the tests of this file. Formats are matched wherever they stand in a message: since 6.x many
//! drivers put their name and the bus address before the text that older kernels printed alone.

mod block;
mod bus;
mod can;
mod clock;
mod file_system;
mod hardware;
mod index;
mod memory;
mod name;
mod network;
mod ordinary;
mod pattern;
mod power;
mod reports;
mod serial;
mod usb;
mod wireless;

use crate::core::model::class::Class;
use crate::core::model::finding::Severity;

pub use self::index::find;
pub use self::name::{device_of_head, plain};

/// A part of the kernel; what it says of one device within a moment is one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Ordinary lines that the kernel itself calls errors.
    Ordinary,
    Usb,
    Serial,
    Can,
    Network,
    Wireless,
    Block,
    FileSystem,
    Memory,
    Hardware,
    Bus,
    Power,
    Clock,
    /// Reports of many lines: oops, warning, lock-up, lockdep, sanitizer.
    Report,
}

/// What a format says: fault and severity; none for an ordinary line.
pub type Meaning = Option<(Class, Severity)>;

/// Formats of one meaning.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub area: Area,
    pub patterns: &'static [&'static str],
    pub meaning: Meaning,
    /// Lines that must fit, each with the device or place that it names; empty: none.
    #[cfg(test)]
    pub fits: &'static [(&'static str, &'static str)],
    /// Lines that must not.
    #[cfg(test)]
    pub fits_not: &'static [&'static str],
}

impl Row {
    /// Whether a line that may be of this class only can be one of its faults; an ordinary line is none.
    pub fn may_be(&self, only: Option<Class>) -> bool {
        let class = self.meaning.map(|(class, _)| class);
        only.is_none() || class.is_none() || class == only
    }
}

/// A row that fits a line.
#[derive(Clone, Copy, Debug)]
pub struct Fit<'a> {
    pub row: &'static Row,
    /// Device, file system or place in the source, as the line writes it; empty when it names none.
    pub named: &'a str,
}

/// The table of one subsystem: `class severity [formats] yes "line" = "device" no "line";`
macro_rules! rows {
    ($area:ident $( $(#[$doc:meta])* $class:ident $severity:ident [ $($pattern:literal),+ $(,)? ]
        yes $( $yes:literal = $named:literal ),+ $( no $( $no:literal ),+ )? ; )+) => {
        pub(super) static ROWS: &[$crate::core::reading::kernel_table::Row] = &[ $(
            $(#[$doc])*
            $crate::core::reading::kernel_table::Row {
                area: $crate::core::reading::kernel_table::Area::$area,
                patterns: &[ $( $pattern ),+ ],
                meaning: Some((
                    $crate::core::model::class::Class::$class,
                    $crate::core::model::finding::Severity::$severity,
                )),
                #[cfg(test)]
                fits: &[ $( ($yes, $named) ),+ ],
                #[cfg(test)]
                fits_not: &[ $( $( $no ),+ )? ],
            },
        )+ ];
    };
}
use rows;

/// All tables in the order in which they are asked.
static TABLES: [&[Row]; 14] = [
    ordinary::ROWS,
    usb::ROWS,
    serial::ROWS,
    can::ROWS,
    network::ROWS,
    wireless::ROWS,
    file_system::ROWS,
    block::ROWS,
    memory::ROWS,
    hardware::ROWS,
    bus::ROWS,
    power::ROWS,
    clock::ROWS,
    reports::ROWS,
];

/// The text without the tags that kernels of different age put before the same message.
pub fn bare(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some(next) = [
        "[ ",
        "watchdog: ",
        "NMI watchdog: ",
        "Watchdog ",
        "rcu: ",
        "traps: PANIC",
    ]
    .iter()
    .find_map(|tag| rest.strip_prefix(tag))
    {
        rest = next.trim_start();
    }
    rest
}

/// A line of each format.
#[cfg(test)]
pub fn samples() -> impl Iterator<Item = &'static str> {
    let rows = TABLES.iter().copied().flatten();
    rows.flat_map(|row| row.fits.iter().map(|(line, _)| *line))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn all() -> impl Iterator<Item = &'static Row> {
        TABLES.iter().copied().flatten()
    }

    /// What takes the line instead of this row, in words.
    fn wrong(row: &'static Row, line: &str, named: &str) -> Option<String> {
        match find(bare(line)) {
            None => Some(format!("nothing fits {line:?}")),
            Some(hit) if !std::ptr::eq(hit.row, row) => {
                Some(format!("{line:?} is taken by {:?}", hit.row.patterns))
            }
            Some(hit) if plain(hit.named) != named => {
                Some(format!("{line:?} names {:?}", plain(hit.named)))
            }
            Some(_) => None,
        }
    }

    #[test]
    fn each_row_fits_its_samples_and_no_row_before_it_does() {
        let wrong: Vec<String> = all()
            .flat_map(|row| {
                row.fits
                    .iter()
                    .map(move |(line, named)| wrong(row, line, named))
            })
            .flatten()
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn no_row_fits_what_it_must_not() {
        for row in all() {
            for line in row.fits_not {
                let taken = find(bare(line)).is_some_and(|hit| std::ptr::eq(hit.row, row));
                assert!(!taken, "{line}: taken by {:?}", row.patterns);
            }
        }
    }

    #[test]
    fn every_format_can_be_looked_up_and_is_written_once() {
        let mut seen = crate::core::model::sorted::SortedSet::new();
        for row in all() {
            for pattern in row.patterns {
                assert!(seen.insert(*pattern), "{pattern} stands twice");
                assert!(
                    pattern::literals(pattern).any(|text| text.len() >= index::GRAM),
                    "{pattern} has no text to look for"
                );
            }
        }
        assert!(seen.len() > 400, "{}", seen.len());
    }

    #[test]
    fn tags_of_different_kernels_are_left_out() {
        for line in [
            "BUG: soft lockup - CPU#0 stuck for 22s! [swapper/0:1]",
            "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [swapper/0:1]",
            "NMI watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [swapper/0:1]",
        ] {
            assert!(bare(line).starts_with("BUG: soft"), "{line}");
        }
    }
}
