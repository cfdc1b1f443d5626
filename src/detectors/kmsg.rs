//! The kernel's own log device, read where no journal carries the kernel's lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::core::reading::journal_entry::of_kernel;
use crate::core::reading::kernel::{KernelLine, KernelReader};
use crate::core::reading::level::Level;
use crate::detectors::DetectError;
use crate::detectors::stream::{Collector, Sink, StreamContext, StreamEnd, StreamStop, WAIT};
use crate::host::READ_CAP;

/// Name of this stream, the key of its cursor.
pub const STREAM: &str = "kmsg";

const DEVICE: &str = "/dev/kmsg";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Longest record that the kernel gives (`CONSOLE_EXT_LOG_MAX`), bytes.
const RECORD_CAP: usize = 8192;

/// One record: `6,339,5140900,-;message` and continuation lines that begin with a blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub sequence: u64,
    pub micros: u64,
    /// False for what user space wrote into the device.
    pub from_kernel: bool,
    pub level: Level,
    pub message: &'a str,
}

impl<'a> Record<'a> {
    pub fn parse(text: &'a str) -> Option<Self> {
        let (head, rest) = text.split_once(';')?;
        let mut fields = head.split(',');
        let priority: u32 = fields.next()?.parse().ok()?;
        Some(Self {
            sequence: fields.next()?.parse().ok()?,
            micros: fields.next()?.parse().ok()?,
            from_kernel: priority >> 3 == 0,
            level: Level::of_syslog(u8::try_from(priority & 7).ok()?),
            message: rest.split('\n').next().unwrap_or(""),
        })
    }
}

/// Follows `/dev/kmsg` until stopped.
pub fn run(context: &StreamContext<'_>, sink: &mut Sink<'_>) -> Result<StreamEnd, DetectError> {
    let path = context.host.path(DEVICE);
    if !Path::new(&path).exists() {
        return Ok(StreamEnd::Absent(format!("no {DEVICE} on this host")));
    }
    let boot = context
        .host
        .read(BOOT_ID, READ_CAP)
        .map_err(|why| DetectError::KernelLog("boot id", why))?;
    let mut device = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(&path)
        .map_err(|why| DetectError::KernelLog("cannot open", why))?;
    let mut follower = Follower::new(context, boot.trim());
    if follower.at_end {
        device
            .seek(SeekFrom::End(0))
            .map_err(|why| DetectError::KernelLog("cannot seek", why))?;
    }
    match follower.follow(&mut device, sink) {
        Ok(()) | Err(Stop::Asked) => Ok(StreamEnd::Stopped),
        Err(Stop::Broken(why)) => Err(DetectError::KernelLog("cannot read", why)),
    }
}

enum Stop {
    Asked,
    Broken(io::Error),
}

impl From<StreamStop> for Stop {
    fn from(_: StreamStop) -> Self {
        Self::Asked
    }
}

struct Follower<'a, 'b> {
    context: &'a StreamContext<'b>,
    boot: String,
    /// Last record judged, of this boot.
    last: Option<u64>,
    /// The very first start: what the kernel said before is history.
    at_end: bool,
    kernel: KernelReader,
    collector: Collector,
}

impl<'a, 'b> Follower<'a, 'b> {
    fn new(context: &'a StreamContext<'b>, boot: &str) -> Self {
        let known = context.position.as_deref().and_then(|p| p.split_once(' '));
        // After a reboot everything in the buffer is new.
        let last = known
            .filter(|(id, _)| *id == boot)
            .and_then(|(_, sequence)| sequence.parse().ok());
        Self {
            context,
            boot: boot.to_owned(),
            last,
            at_end: known.is_none(),
            kernel: KernelReader::default(),
            collector: Collector::new(STREAM, context.position.clone().unwrap_or_default()),
        }
    }

    fn follow(&mut self, device: &mut File, sink: &mut Sink<'_>) -> Result<(), Stop> {
        let mut record = vec![0_u8; RECORD_CAP];
        while !self.context.stopped() {
            match device.read(&mut record) {
                Ok(0) => return Ok(()),
                Ok(got) => {
                    let text =
                        String::from_utf8_lossy(record.get(..got).unwrap_or(&[])).into_owned();
                    self.record(&text);
                    if self.collector.is_full() {
                        self.collector.flush(sink)?;
                    }
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                    self.collector.flush(sink)?;
                    wait(device).map_err(Stop::Broken)?;
                }
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) if why.raw_os_error() == Some(libc::EPIPE) => {
                    // The ring was overwritten before it was read; the next read gives the oldest left.
                    self.lost();
                }
                Err(why) => return Err(Stop::Broken(why)),
            }
        }
        Ok(())
    }

    fn lost(&mut self) {
        let now = self.context.host.clock.now();
        let what = "the kernel overwrote records that were not read yet; raise log_buf_len=";
        self.collector.gap(what, now);
    }

    fn record(&mut self, text: &str) {
        let Some(record) = Record::parse(text) else {
            return;
        };
        if let Some(last) = self.last {
            if record.sequence <= last {
                return;
            }
            if record.sequence > last.saturating_add(1) && !self.collector.has_news() {
                self.lost();
            }
        }
        self.last = Some(record.sequence);
        let line = KernelLine {
            at_us: Some(record.micros),
            level: Some(record.level),
            text: record.message,
        };
        if record.from_kernel
            && let Some(fault) = self.kernel.line(&line)
        {
            let verdict = of_kernel(&fault, STREAM, self.context.host.clock.now());
            if verdict.poke {
                self.collector.poke();
            }
            if let Some(finding) = verdict.finding {
                self.collector.add(finding);
            }
        }
        let position = format!("{} {}", self.boot, record.sequence);
        self.collector.advance(&position);
    }
}

fn wait(device: &File) -> io::Result<()> {
    let timeout = PollTimeout::try_from(WAIT).unwrap_or(PollTimeout::ZERO);
    let mut fds = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(why) => Err(why.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn records_are_read() {
        let text =
            "3,339,5140900,-;EXT4-fs error (device sda1): x\n SUBSYSTEM=block\n DEVICE=b8:1\n";
        let record = Record::parse(text).unwrap();
        assert_eq!(
            (record.sequence, record.micros, record.from_kernel),
            (339, 5_140_900, true)
        );
        assert_eq!(record.message, "EXT4-fs error (device sda1): x");
        assert!(!Record::parse("30,1,2,-;systemd[1]: x").unwrap().from_kernel);
        for bad in ["", ";", "x,1,2,-;m", "6,1"] {
            assert_eq!(Record::parse(bad), None, "{bad}");
        }
    }
}
