//! What one part of the kernel says of one device within a moment is one event, however many ways it has to say it.

use crate::core::model::class::KERNEL;
use crate::core::reading::kernel::KernelFault;
use crate::core::reading::kernel_table::Row;

/// A burst is over when nothing was said of it for this long, microseconds.
const QUIET_US: u64 = 60_000_000;
/// The same where the lines have no time: this many lines.
const QUIET_LINES: u64 = 200;
/// Bursts that are remembered.
const BURSTS: usize = 16;

#[derive(Clone, Debug)]
struct Burst {
    row: &'static Row,
    /// What was told first, or what is worse than that.
    told: KernelFault,
    last_us: u64,
    last_line: u64,
}

/// The bursts under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Bursts {
    under_way: heapless::Vec<Burst, BURSTS>,
    now_us: u64,
    line: u64,
}

impl Bursts {
    /// A line passes.
    pub(super) fn pass(&mut self, now_us: u64) {
        // Time goes back where the machine booted again.
        if now_us < self.now_us.saturating_sub(QUIET_US) {
            self.under_way.clear();
        }
        self.now_us = now_us;
        self.line = self.line.saturating_add(1);
    }

    /// The event that `found` belongs to: itself, or the one under way that it continues.
    pub(super) fn same_event(&mut self, row: &'static Row, found: KernelFault) -> KernelFault {
        self.forget();
        let (now_us, line) = (self.now_us, self.line);
        let known = self
            .under_way
            .iter_mut()
            .find(|burst| burst.continues(row, &found));
        if let Some(burst) = known {
            burst.last_us = now_us;
            burst.last_line = line;
            if found.severity > burst.told.severity {
                burst.told = found;
            }
            return burst.told.clone();
        }
        if self.under_way.is_full() {
            self.under_way.remove(0);
        }
        let burst = Burst {
            row,
            told: found.clone(),
            last_us: now_us,
            last_line: line,
        };
        // There is room: one was removed above.
        let _ = self.under_way.push(burst);
        found
    }

    /// What is being told of this device; none of the kernel as a whole.
    pub(super) fn of_subject(&mut self, subject: &str) -> Option<KernelFault> {
        self.forget();
        let named = subject != KERNEL;
        let burst = self
            .under_way
            .iter()
            .find(|burst| named && burst.told.subject == subject)?;
        Some(burst.told.clone())
    }

    fn forget(&mut self) {
        let (now_us, line) = (self.now_us, self.line);
        self.under_way.retain(|burst| {
            let by_time = now_us.saturating_sub(burst.last_us) <= QUIET_US;
            let timed = now_us != 0;
            by_time && (timed || line.saturating_sub(burst.last_line) <= QUIET_LINES)
        });
    }
}

impl Burst {
    /// What anybody can have the kernel say, of a device called like one of the host's, continues nothing that it says
    /// itself.
    fn continues(&self, row: &'static Row, found: &KernelFault) -> bool {
        let told = &self.told;
        let same_row = std::ptr::eq(self.row, row);
        // Of the kernel as a whole only the same words are the same event.
        let same_part = self.row.area == row.area && found.subject != KERNEL;
        let same_subject = (told.class, &told.subject) == (found.class, &found.subject);
        told.said == found.said && same_subject && (same_row || same_part)
    }
}

#[cfg(test)]
mod tests {
    use crate::core::model::class::Class;
    use crate::core::reading::kernel::{KernelLine, KernelReader};

    fn messages(lines: &[(u64, &str)]) -> Vec<(Class, String, String)> {
        let mut reader = KernelReader::default();
        lines
            .iter()
            .filter_map(|(seconds, text)| {
                reader.line(&KernelLine::new(Some(seconds * 1_000_000), text))
            })
            .map(|fault| (fault.class, fault.subject, fault.message))
            .collect()
    }

    #[test]
    fn one_device_that_does_not_come_up_is_one_event() {
        let first = "usb 1-1.1: device descriptor read/64, error -71";
        let told = messages(&[
            (10, first),
            (11, "usb 1-1.1: Device not responding to setup address."),
            (12, "usb 1-1.1: device not accepting address 18, error -71"),
            (13, "usb 1-1-port1: unable to enumerate USB device"),
        ]);
        assert_eq!(told.len(), 4);
        let want = (Class::DeviceFault, "1-1.1".to_owned(), first.to_owned());
        assert!(told.iter().all(|one| *one == want), "{told:?}");
    }

    #[test]
    fn other_devices_and_later_times_are_other_events() {
        let told = messages(&[
            (10, "usb 1-1.1: device descriptor read/64, error -71"),
            (10, "usb 1-1.2: device not accepting address 18, error -71"),
            (900, "usb 1-1.1: device not accepting address 18, error -71"),
        ]);
        let heads: Vec<&str> = told
            .iter()
            .map(|one| one.2.get(..20).unwrap_or(""))
            .collect();
        assert_eq!(
            heads,
            [
                "usb 1-1.1: device de",
                "usb 1-1.2: device no",
                "usb 1-1.1: device no"
            ]
        );
    }

    #[test]
    fn a_users_interface_called_like_the_hosts_hides_no_fault_of_it() {
        let mut reader = KernelReader::default();
        let told: Vec<(bool, String)> = [
            "eth0: now running without any active interface!",
            "r8169 0000:02:00.0 eth0: NETDEV WATCHDOG: transmit queue 0 timed out",
            "tg3 0000:03:00.0 eth0: transmit timed out, resetting",
        ]
        .iter()
        .filter_map(|line| reader.line(&KernelLine::new(Some(10_000_000), line)))
        .map(|fault| (fault.said, fault.message.chars().take(5).collect()))
        .collect();
        let want = [(true, "eth0:"), (false, "r8169"), (false, "r8169")];
        assert_eq!(told, want.map(|(said, head)| (said, head.to_owned())));
    }

    #[test]
    fn what_is_worse_takes_over() {
        let told = messages(&[
            (10, "EXT4-fs (sda1): error count since last fsck: 3"),
            (
                11,
                "EXT4-fs error (device sda1): ext4_lookup:1855: inode #1: comm x: iget: checksum invalid",
            ),
            (12, "EXT4-fs (sda1): error count since last fsck: 4"),
        ]);
        let words: Vec<&str> = told
            .iter()
            .map(|one| one.2.get(..13).unwrap_or(""))
            .collect();
        assert_eq!(words, ["EXT4-fs (sda1", "EXT4-fs error", "EXT4-fs error"]);
    }
}
