//! Kernel log lines: which fault they report, about what, and where a multi-line report ends.

mod burst;
mod oom;
mod program;
mod quoted;

use crate::core::model::class::{Class, KERNEL};
use crate::core::model::finding::Severity;
use crate::core::model::text::cut;
use crate::core::reading::kernel_table::{self, Area, Fit, bare, device_of_head, plain};
use crate::core::reading::level::Level;
use crate::core::reading::writer;

use self::burst::Bursts;
use self::oom::OomReader;

/// One message of the kernel without its time stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelLine<'a> {
    /// When it was printed, microseconds, where known.
    pub at_us: Option<u64>,
    /// The level that the kernel gave it, where its source carries one.
    pub level: Option<Level>,
    pub text: &'a str,
}

impl<'a> KernelLine<'a> {
    /// A line of which only text and perhaps time are known.
    #[cfg(test)]
    pub fn new(at_us: Option<u64>, text: &'a str) -> Self {
        Self {
            at_us,
            level: None,
            text,
        }
    }
}

/// One fault told by the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFault {
    pub class: Class,
    /// Device, unit or process where the kernel names one, or the place in its source; [`KERNEL`] otherwise.
    pub subject: String,
    pub severity: Severity,
    /// The line that names the fault.
    pub message: String,
    /// Unit the fault belongs to (OOM victim); empty when unknown.
    pub unit: String,
    /// Anybody can make the kernel say it, with a name or words of his own choice.
    pub said: bool,
}

/// A report is over when the kernel was silent for this long, microseconds.
const REPORT_GAP_US: u64 = 2_000_000;
/// Longest report, lines: a dump of all tasks on a big machine stays below.
const REPORT_LINES: u32 = 1_500;
/// After the cut mark this many lines may pass before the line that names the fault.
const CUT_LINES: u8 = 4;
/// This many restarts of one device within their window are a fault; a single one is ordinary.
const RESTARTS: u32 = 5;
const USB_WINDOW_US: u64 = 60_000_000;
/// A radio takes longer to come up before it fails again.
const RADIO_WINDOW_US: u64 = 600_000_000;

/// The report being read.
#[derive(Clone, Debug)]
struct Report {
    lines: u32,
    /// Its end mark was seen: only a closing panic still belongs to it.
    ended: bool,
    /// The worst that it told.
    worst: KernelFault,
}

/// Reads kernel lines in order and says each fault once. A stack trace belongs to the line that opened it.
#[derive(Clone, Debug, Default)]
pub struct KernelReader {
    report: Option<Report>,
    last_us: u64,
    /// Lines since `[ cut here ]` and the first of them.
    cut: Option<(u8, String)>,
    oom: OomReader,
    /// The device restarted last, how often, and since when.
    restarts: Option<(String, u32, u64)>,
    bursts: Bursts,
}

impl KernelReader {
    /// What the line tells, if anything; a repeat of what was told has the words of the first time.
    pub fn line(&mut self, line: &KernelLine<'_>) -> Option<KernelFault> {
        let text = line.text.trim_end();
        self.pass(line.at_us);
        let (program, own) = program::told_of(text);
        if let Some(fault) = self.special(text, program, own) {
            return Some(fault);
        }
        let masked = quoted::masked(own);
        let head = bare(&masked);
        let only = quoted::may_only_be(text);
        let chosen = program.is_some() || only.is_some_and(|only| only != Class::KernelLockup);
        if head.starts_with("---[ end") || head.starts_with("Kernel Offset:") {
            self.end_mark();
            return self.unnamed();
        }
        if head.starts_with("------------[ cut here ]") || head.starts_with("8<--- cut here") {
            let earlier = self.unnamed();
            if self.report.as_ref().is_none_or(|report| report.ended) {
                self.report = None;
                self.cut = Some((0, String::new()));
            }
            return earlier;
        }
        match kernel_table::find(head) {
            Some(hit) if is_quoted(&hit, line.level) => None,
            // Somebody's words fit it, not the kernel's.
            Some(hit) if !hit.row.may_be(only) || chosen && hit.row.area == Area::Report => {
                self.unknown(line.level, bare(own), text)
            }
            Some(hit) => self.known(hit, text, chosen),
            None => self.unknown(line.level, bare(own), text),
        }
    }

    /// The input is over: what was still waiting for its name.
    pub fn finish(&mut self) -> Option<KernelFault> {
        self.report = None;
        self.unnamed()
    }

    fn pass(&mut self, at_us: Option<u64>) {
        // Back by more than the disorder of several processors: the machine booted again.
        let quiet = at_us.is_some_and(|at| at.abs_diff(self.last_us) > REPORT_GAP_US);
        self.last_us = at_us.unwrap_or(self.last_us);
        self.bursts.pass(self.last_us);
        if let Some(report) = &mut self.report {
            report.lines = report.lines.saturating_add(1);
            if quiet || report.lines > REPORT_LINES {
                self.report = None;
            }
        }
    }

    fn end_mark(&mut self) {
        if let Some(report) = &mut self.report {
            report.ended = true;
        }
    }

    /// Lines whose meaning hangs on those before them, or whose subject is a program.
    fn special(&mut self, text: &str, program: Option<&str>, own: &str) -> Option<KernelFault> {
        if let Some(fault) = self.oom.line(own) {
            return Some(fault);
        }
        if let Some(name) = program.filter(|_| own.starts_with(": segfault at ")) {
            let subject = writer::program(name);
            let fault = fault(Class::LogError, &subject, Severity::Warning, text);
            return Some(KernelFault {
                said: true,
                ..fault
            });
        }
        restart(own).and_then(|(device, window)| self.restarted(device, window, text))
    }

    /// `chosen`: with a name or words that anybody may have chosen.
    fn known(&mut self, hit: Fit<'_>, text: &str, chosen: bool) -> Option<KernelFault> {
        let (class, severity) = hit.row.meaning?;
        let subject = match plain(hit.named) {
            name if name.is_empty() => KERNEL.to_owned(),
            name => name,
        };
        // The path of a group begins with units, which root alone makes.
        let group = text.strip_prefix("cgroup: fork rejected by pids controller in /");
        let named = hit.named.strip_prefix('/');
        let of_group = group
            .zip(named)
            .is_some_and(|(group, named)| group.starts_with(named));
        let said = chosen && !(of_group && writer::is_lasting(&subject));
        let (subject, severity) = match said {
            true if of_group => (subject, severity.min(Severity::Error)),
            true => (writer::program(&subject), severity.min(Severity::Error)),
            false => (subject, severity),
        };
        let found = KernelFault {
            said,
            ..fault(class, &subject, severity, text)
        };
        if hit.row.area == Area::Report {
            self.cut = None;
            return self.open(found);
        }
        // A warning may begin with what it is about: the line that names its place is then the same event.
        if self.cut.take_if(|(lines, _)| *lines == 0).is_some() {
            self.report = Some(Report {
                lines: 0,
                ended: false,
                worst: found.clone(),
            });
        }
        Some(self.bursts.same_event(hit.row, found))
    }

    /// A line that no row knows: part of what is being told, or a fault because the kernel calls it one.
    fn unknown(&mut self, level: Option<Level>, head: &str, text: &str) -> Option<KernelFault> {
        if let Some((lines, first)) = &mut self.cut {
            if first.is_empty() {
                cut(head, 400).clone_into(first);
            }
            *lines = lines.saturating_add(1);
            if *lines > CUT_LINES {
                return self.unnamed();
            }
            return None;
        }
        if self.report.is_some() || head.is_empty() {
            return None;
        }
        let severity = match level? {
            Level::Critical => Severity::Critical,
            Level::Error => Severity::Error,
            Level::Warning | Level::Notice | Level::Info | Level::Debug => return None,
        };
        let subject = device_of_head(head).map_or_else(|| KERNEL.to_owned(), plain);
        if let Some(told) = self.bursts.of_subject(&subject) {
            return Some(told);
        }
        // Nobody knows who chose its words.
        Some(KernelFault {
            said: true,
            ..fault(
                Class::KernelOther,
                &writer::program(&subject),
                severity,
                text,
            )
        })
    }

    /// A cut mark whose report named no known fault is still a fault.
    fn unnamed(&mut self) -> Option<KernelFault> {
        let (_, first) = self.cut.take()?;
        if first.is_empty() {
            return None;
        }
        self.open(fault(
            Class::KernelWarning,
            KERNEL,
            Severity::Warning,
            &first,
        ))
    }

    /// Opens a report, unless the line belongs to the one under way and tells nothing worse.
    fn open(&mut self, found: KernelFault) -> Option<KernelFault> {
        let closing = is_closing(bare(&found.message));
        if let Some(report) = &mut self.report
            && (!report.ended || closing)
        {
            if found.severity <= report.worst.severity {
                return None;
            }
            // Of the same kind: what was told is worse than it seemed.
            if report.worst.class == found.class {
                report.worst.severity = found.severity;
            } else {
                report.worst = found;
            }
            return Some(report.worst.clone());
        }
        self.report = Some(Report {
            lines: 0,
            ended: false,
            worst: found.clone(),
        });
        Some(found)
    }

    fn restarted(&mut self, device: &str, window_us: u64, text: &str) -> Option<KernelFault> {
        let now = self.last_us;
        let (count, since) = match &self.restarts {
            Some((last, count, since))
                if last == device && now.saturating_sub(*since) <= window_us =>
            {
                (count.saturating_add(1), *since)
            }
            _ => (1, now),
        };
        self.restarts = Some((device.to_owned(), count, since));
        (count == RESTARTS).then(|| fault(Class::DeviceFault, device, Severity::Warning, text))
    }
}

fn fault(class: Class, subject: &str, severity: Severity, text: &str) -> KernelFault {
    KernelFault {
        class,
        subject: subject.to_owned(),
        severity,
        message: text.trim().to_owned(),
        unit: String::new(),
        said: false,
    }
}

/// The kernel tells of no report of its own below a warning. What looks like one there begins with a name that somebody
/// chose, as of a network interface: `BUG: renamed from veth0`.
fn is_quoted(hit: &Fit<'_>, level: Option<Level>) -> bool {
    let report = hit.row.area == Area::Report;
    let leak = matches!(hit.row.meaning, Some((Class::KernelLeak, _)));
    let low = matches!(level, Some(Level::Notice | Level::Info | Level::Debug));
    report && low && !leak
}

/// Lines that end a report rather than start one.
fn is_closing(head: &str) -> bool {
    ["Kernel panic", "Oops", "Internal error"]
        .iter()
        .any(|start| head.starts_with(start))
}

/// The device that is brought back, and within which time that is too often:
/// `usb 1-1: reset high-speed USB device number 2 using xhci_hcd`, `ieee80211 phy0: Hardware restart was requested`.
fn restart(text: &str) -> Option<(&str, u64)> {
    let (bus, rest) = text.split_once(' ')?;
    let (device, rest) = rest.split_once(": ")?;
    match bus {
        "usb" => (rest.starts_with("reset ") && rest.contains(" USB device "))
            .then_some((device, USB_WINDOW_US)),
        "ieee80211" => rest
            .starts_with("Hardware restart was requested")
            .then_some((device, RADIO_WINDOW_US)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
