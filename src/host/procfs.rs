//! Processes, from /proc. Reading and parsing are two functions.

use std::fs::DirEntry;
use std::io;
use std::os::unix::fs::MetadataExt;

use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::host::{Host, READ_CAP, is_gone};

/// Most bytes kept of a command line.
const CMDLINE_CAP: usize = 512;

/// One process as of now. (pid, start_ticks) names it for ever; a pid alone does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub ppid: u32,
    /// `R`, `S`, `D`, `Z`, `T`, …
    pub state: char,
    /// Name of the program, at most 15 bytes; may hold anything.
    pub comm: String,
    /// Clock ticks since boot at its start.
    pub start_ticks: u64,
    /// Target of `/proc/PID/exe` without the kernel's " (deleted)"; empty for kernel threads.
    pub exe: String,
    /// The executable was removed or replaced since the start.
    pub deleted: bool,
    /// Arguments joined by blanks.
    pub cmdline: String,
    pub uid: u32,
    /// Somebody's terminal can reach it.
    pub on_terminal: bool,
}

/// Fields of `/proc/PID/stat` that are used (proc_pid_stat(5)). The name stands in parentheses and may
/// itself hold blanks and parentheses: the last `)` ends it.
pub fn parse_stat(text: &str) -> Option<Process> {
    let (head, tail) = text.rsplit_once(')')?;
    let (pid, comm) = head.split_once('(')?;
    let pid = pid.trim().parse().ok()?;
    let comm = comm.to_owned();
    let mut fields = tail.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let ppid = fields.next()?.parse().ok()?;
    // State is field 3, the terminal field 7, the start time field 22.
    let on_terminal = fields.nth(2)? != "0";
    let start_ticks = fields.nth(14)?.parse().ok()?;
    Some(Process {
        pid,
        ppid,
        state,
        comm,
        start_ticks,
        on_terminal,
        ..Process::default()
    })
}

/// One process, or `None` when it is gone. What refuses the look is not gone.
pub fn process(host: &Host, pid: u32) -> io::Result<Option<Process>> {
    let stat = match host.read(format!("/proc/{pid}/stat"), READ_CAP) {
        Err(why) if is_gone(&why) => return Ok(None),
        read => read?,
    };
    let Some(mut process) = parse_stat(&stat) else {
        return Ok(None);
    };
    let exe = std::fs::read_link(host.path(format!("/proc/{pid}/exe")))
        .map(|path| path.to_string_lossy().into_owned())
        .unwrap_or_default();
    let kept = exe.strip_suffix(" (deleted)");
    process.deleted = kept.is_some();
    process.exe = kept.unwrap_or(&exe).to_owned();
    let cmdline = host
        .read(format!("/proc/{pid}/cmdline"), CMDLINE_CAP as u64)
        .unwrap_or_default();
    process.cmdline = cmdline.trim_end_matches('\0').replace('\0', " ");
    process.uid = uid(&host
        .read(format!("/proc/{pid}/status"), READ_CAP)
        .unwrap_or_default());
    Ok(Some(process))
}

fn uid(status: &str) -> u32 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_ascii_whitespace().next())
        .and_then(|id| id.parse().ok())
        .unwrap_or(u32::MAX)
}

/// Process ids, ascending; none where there is no /proc.
pub fn pids(host: &Host) -> io::Result<Vec<u32>> {
    let entries: Vec<DirEntry> = match std::fs::read_dir(host.path("/proc")) {
        Err(why) if is_gone(&why) => return Ok(Vec::new()),
        entries => entries?.collect::<io::Result<_>>()?,
    };
    let number = |entry: &DirEntry| entry.file_name().to_str()?.parse().ok();
    let mut pids: Vec<u32> = entries.iter().filter_map(number).collect();
    pids.sort_unstable();
    Ok(pids)
}

/// Which of `files`, by device and inode, a process has open, as far as we may look.
pub fn open_among(host: &Host, files: &SortedSet<(u64, u64)>) -> io::Result<SortedSet<(u64, u64)>> {
    let open = pids(host)?
        .into_iter()
        .filter_map(|pid| std::fs::read_dir(host.path(format!("/proc/{pid}/fd"))).ok())
        .flat_map(|entries| entries.flatten())
        .filter_map(|entry| std::fs::metadata(entry.path()).ok())
        .map(|meta| (meta.dev(), meta.ino()))
        .filter(|file| files.contains(file));
    Ok(open.collect())
}

/// Deleted files on `device` that a process still has open: space that no removal frees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedOpen {
    pub pid: u32,
    pub comm: String,
    /// Space that its deleted files take, each once.
    pub bytes: u64,
}

/// The process that holds most space of deleted files on `device`.
pub fn most_deleted_open(host: &Host, device: u64) -> Option<DeletedOpen> {
    pids(host)
        .ok()?
        .into_iter()
        .filter_map(|pid| {
            let entries = std::fs::read_dir(host.path(format!("/proc/{pid}/fd"))).ok()?;
            let sizes: SortedMap<u64, u64> = entries
                .flatten()
                .filter_map(|entry| std::fs::metadata(entry.path()).ok())
                .filter(|meta| meta.is_file() && meta.dev() == device && meta.nlink() == 0)
                .map(|meta| (meta.ino(), meta.blocks().saturating_mul(512)))
                .collect();
            Some((pid, sizes.values().sum::<u64>()))
        })
        .max_by_key(|(_, bytes)| *bytes)
        .filter(|(_, bytes)| *bytes > 0)
        .map(|(pid, bytes)| DeletedOpen {
            pid,
            comm: process(host, pid)
                .ok()
                .flatten()
                .map_or_else(String::new, |process| process.comm),
            bytes,
        })
}

/// What a process holds open, by name; nothing without the right to see it.
pub fn open_paths(host: &Host, pid: u32) -> Vec<String> {
    let entries = std::fs::read_dir(host.path(format!("/proc/{pid}/fd")));
    let links = entries.into_iter().flatten().flatten();
    links
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter_map(|target| target.into_os_string().into_string().ok())
        .filter(|target| target.starts_with('/'))
        .collect()
}

/// The cgroup path of a process, of the hierarchy that the service manager uses: v2's only one, or
/// v1's `name=systemd`.
pub fn cgroup(host: &Host, pid: u32) -> Option<String> {
    parse_cgroup(&host.read(format!("/proc/{pid}/cgroup"), READ_CAP).ok()?)
}

/// The same below the service manager's own group: one that runs in a container sees the container's first.
pub fn group_below_manager(host: &Host, pid: u32) -> Option<String> {
    let manager = cgroup(host, 1).unwrap_or_default();
    let manager = manager.strip_suffix("/init.scope").unwrap_or("");
    cgroup(host, pid)?.strip_prefix(manager).map(str::to_owned)
}

fn parse_cgroup(text: &str) -> Option<String> {
    let of = |wanted: &str| {
        text.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            (controllers == wanted).then(|| path.to_owned())
        })
    };
    of("name=systemd")
        .filter(|path| path != "/")
        .or_else(|| of(""))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_may_hold_blanks_and_parentheses() {
        let line = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3";
        let process = parse_stat(line).unwrap();
        assert_eq!((process.pid, process.ppid, process.state), (42, 1, 'S'));
        assert_eq!(
            (process.comm.as_str(), process.start_ticks),
            ("a) b (c)", 987_654)
        );
    }

    #[test]
    fn torn_lines_are_no_process() {
        for text in ["", "42", "42 (x", ")(", "42 (x) S 1"] {
            assert!(parse_stat(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn both_cgroup_layouts_are_read() {
        let v1 = "5:memory:/x\n1:name=systemd:/system.slice/a.service\n0::/\n";
        assert_eq!(parse_cgroup(v1).unwrap(), "/system.slice/a.service");
        assert_eq!(
            parse_cgroup("0::/system.slice/b.service\n").unwrap(),
            "/system.slice/b.service"
        );
    }

    #[test]
    fn this_process_is_seen() {
        let own = process(&Host::real(), std::process::id());
        let own = own.unwrap().unwrap();
        assert!(own.start_ticks > 0 && !own.exe.is_empty());
    }

    #[test]
    fn a_process_that_refuses_to_be_looked_at_is_not_gone() {
        use crate::core::model::time::Timestamp;
        use crate::host::clock::Clock;
        let dir = tempfile::tempdir().unwrap();
        let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
        assert_eq!(pids(&host).unwrap(), [0; 0]);
        assert_eq!(process(&host, 70).unwrap(), None);
        // A folder cannot be read as a file, nor a file as a folder.
        std::fs::create_dir_all(dir.path().join("proc/70/stat")).unwrap();
        assert!(process(&host, 70).is_err());
        assert_eq!(pids(&host).unwrap(), [70]);
        std::fs::remove_dir_all(dir.path().join("proc")).unwrap();
        std::fs::write(dir.path().join("proc"), "").unwrap();
        assert!(pids(&host).is_err());
        assert!(open_among(&host, &SortedSet::new()).is_err());
    }
}
