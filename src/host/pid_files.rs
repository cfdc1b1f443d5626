//! Pid files: which process one names, and whether that can still be the process that was meant.

use std::io;

use nix::unistd::{SysconfVar, sysconf};

use crate::host::procfs::{self, Process};
use crate::host::trusted::{self, Distrust, Owners, Untrusted};
use crate::host::{Host, READ_CAP, files, is_gone};

/// A daemon writes its pid file after it started; clocks of file systems and processes are this coarse.
const SLACK_S: i64 = 2;
/// Most levels of parents that are followed.
const ANCESTRY_MOST: usize = 64;
/// Where services keep them.
const PLACES: [&str; 4] = [
    "/run/*.pid",
    "/run/*/*.pid",
    "/var/run/*.pid",
    "/var/run/*/*.pid",
];

/// The live process that a pid file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedProcess {
    pub process: Process,
    /// It ran before the file was written. Otherwise its number was given again, or the clock was set.
    pub sure: bool,
}

/// Most a pid file holds: a number and a line end.
const FILE_CAP: u64 = 64;

/// The live process behind a pid file: no zombie and no kernel thread. A file speaks for processes of the user
/// it belongs to; root's, for those of every user. A file or process that refuses the look is no dead one.
pub fn named(host: &Host, path: &str) -> io::Result<Option<NamedProcess>> {
    let file = match trusted::open(host, path, &Owners::anybody(host)) {
        Ok(file) => file,
        Err(Untrusted {
            why: Distrust::Io(why),
            ..
        }) if !is_gone(&why) => return Err(why),
        // Not there, or nothing that a service would write.
        Err(_) => return Ok(None),
    };
    let text = match file.bytes(FILE_CAP) {
        Err(why) if why.kind() == io::ErrorKind::FileTooLarge => return Ok(None),
        bytes => String::from_utf8(bytes?).unwrap_or_default(),
    };
    let Some(pid) = text.trim().parse::<u32>().ok().filter(|pid| *pid > 1) else {
        return Ok(None);
    };
    let alive = |one: &Process| {
        let is_program = !one.exe.is_empty() || !one.cmdline.is_empty();
        let speaks_for = file.owner() == one.uid || Owners::of(host).has(file.owner());
        one.state != 'Z' && is_program && speaks_for
    };
    let latest = file.modified_s().saturating_add(SLACK_S);
    let process = procfs::process(host, pid)?.filter(alive);
    Ok(process.map(|process| NamedProcess {
        sure: started_s(host, &process).is_some_and(|started| started <= latest),
        process,
    }))
}

/// Wall time of a process's start in seconds, by the clock as it is now.
fn started_s(host: &Host, process: &Process) -> Option<i64> {
    let text = host.read("/proc/stat", READ_CAP).ok()?;
    let booted: i64 = text
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    booted.checked_add_unsigned(started_us(process) / 1_000_000)
}

/// Microseconds from boot to the start of a process.
pub fn started_us(process: &Process) -> u64 {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    let ticks = u64::try_from(ticks).unwrap_or(100);
    let scaled = process.start_ticks.saturating_mul(1_000_000);
    scaled.checked_div(ticks).unwrap_or(scaled)
}

/// Whose process this is by the pid files in /run: its own or that of one of its parents. The name is
/// the file's without `.pid`.
pub fn owner(host: &Host, pid: u32) -> Option<String> {
    let line = ancestry(host, pid);
    PLACES
        .iter()
        .flat_map(|place| files::glob(host, place))
        .find_map(|file| {
            let named = named(host, &file.path).ok()??;
            let name = file.path.rsplit('/').next()?.strip_suffix(".pid")?;
            (named.sure && line.contains(&named.process.pid)).then(|| name.to_owned())
        })
}

/// A process and its parents, up to but without init.
pub fn ancestry(host: &Host, pid: u32) -> Vec<u32> {
    let mut line = vec![pid];
    while let Some(parent) = line
        .last()
        .and_then(|pid| procfs::process(host, *pid).ok()?)
        .map(|process| process.ppid)
    {
        if parent <= 1 || line.contains(&parent) || line.len() >= ANCESTRY_MOST {
            break;
        }
        line.push(parent);
    }
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::host::clock::Clock;
    use std::fs;
    use std::path::Path;

    /// A host with one process, number 70, that started 100 s after a boot at 1,700,000,000.
    fn host(dir: &Path) -> Host {
        fs::create_dir_all(dir.join("proc/70")).unwrap();
        fs::create_dir_all(dir.join("run")).unwrap();
        fs::write(dir.join("proc/stat"), "cpu 1 2\nbtime 1700000000\n").unwrap();
        let stat = "70 (meter) S 1 70 70 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 10000 0";
        fs::write(dir.join("proc/70/stat"), stat).unwrap();
        fs::write(dir.join("proc/70/cmdline"), "/usr/bin/meter\0-d").unwrap();
        Host::at(dir, Clock::manual(Timestamp::default()))
    }

    fn written(path: &Path, text: &str, at_s: u64) {
        fs::write(path, text).unwrap();
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at_s);
        fs::File::open(path).unwrap().set_modified(at).unwrap();
    }

    #[test]
    fn a_number_that_was_given_again_is_not_sure() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        let file = dir.path().join("run/meter.pid");
        let found = |path| named(&host, path).unwrap();
        written(&file, "70\n", 1_700_000_101);
        assert!(found("/run/meter.pid").unwrap().sure);
        assert_eq!(owner(&host, 70).as_deref(), Some("meter"));
        written(&file, "70\n", 1_700_000_050);
        assert!(!found("/run/meter.pid").unwrap().sure);
        assert_eq!(owner(&host, 70), None);
    }

    #[test]
    fn a_strangers_pid_file_names_only_his_own_process() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: needs root to give files away");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        let file = dir.path().join("run/meter.pid");
        written(&file, "70\n", 1_700_000_101);
        std::os::unix::fs::chown(&file, Some(65_533), None).unwrap();
        for (uid, is) in [(0, false), (65_532, false), (65_533, true)] {
            let status = format!("Name: meter\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n");
            fs::write(dir.path().join("proc/70/status"), status).unwrap();
            assert_eq!(
                named(&host, "/run/meter.pid").unwrap().is_some(),
                is,
                "{uid}"
            );
        }
    }

    #[test]
    fn a_fifo_in_the_place_of_a_pid_file_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
        nix::unistd::mkfifo(&dir.path().join("run/meter.pid"), mode).unwrap();
        assert!(named(&host, "/run/meter.pid").unwrap().is_none());
        assert_eq!(owner(&host, 70), None);
        assert!(host.read("/run/meter.pid", 10).is_err());
    }

    #[test]
    fn what_refuses_the_look_is_no_dead_process() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        written(&dir.path().join("run/meter.pid"), "70\n", 1_700_000_101);
        fs::remove_file(dir.path().join("proc/70/stat")).unwrap();
        assert!(named(&host, "/run/meter.pid").unwrap().is_none());
        fs::create_dir(dir.path().join("proc/70/stat")).unwrap();
        assert!(named(&host, "/run/meter.pid").is_err());
        assert_eq!(owner(&host, 70), None);
    }

    #[test]
    fn torn_and_hostile_pid_files_name_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        for text in ["", "x", "-70", "0", "1", "71", "99999999999", "70 71"] {
            written(&dir.path().join("run/a.pid"), text, 1_700_000_101);
            assert!(named(&host, "/run/a.pid").unwrap().is_none(), "{text:?}");
        }
        assert!(named(&host, "/run/none.pid").unwrap().is_none());
    }
}
