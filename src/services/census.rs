//! Who runs where: the processes of the host by unit, what each unit listens on and what it is made of. From it comes
//! the record of what is healthy, and what is known of a process that stands in the way.

use std::io;

use crate::core::model::healthy::{HealthyUnit, KnownFile, MainProgram, ProcessKey};
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::unit::UnitState;
use crate::core::reading::innocence::{Owner, Suspect, place_of};
use crate::core::reading::unit_file::{Need, needs};
use crate::host::net::listeners::{self, Listener};
use crate::host::procfs::Process;
use crate::host::{Host, boot, known_files, pid_files, procfs};
use crate::services;

/// Unconnected UDP sockets from here on are a client's that waits for its answer.
const PASSING_UDP: u16 = 32_768;

/// One process, as far as it takes to say whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counted {
    key: ProcessKey,
    parent: u32,
    group: String,
}

/// All processes of one moment.
#[derive(Clone, Debug, Default)]
pub struct Census {
    boot: String,
    processes: Vec<Counted>,
}

impl Census {
    pub fn take(host: &Host) -> Self {
        let counted = |pid| {
            let stat = host.read(format!("/proc/{pid}/stat"), 1_024).ok()?;
            let process = procfs::parse_stat(&stat).filter(|one| one.state != 'Z')?;
            Some(Counted {
                key: key_of(&process),
                parent: process.ppid,
                group: procfs::group_below_manager(host, pid).unwrap_or_default(),
            })
        };
        Self {
            boot: boot::id(host),
            processes: procfs::pids(host)
                .unwrap_or_default()
                .into_iter()
                .filter_map(counted)
                .collect(),
        }
    }

    /// What runs in `unit`: in its control group, or where it has none below its main process.
    fn of(&self, unit: &UnitState) -> Vec<&Counted> {
        if !unit.control_group.is_empty() {
            let place = Owner::Unit(unit.name.clone());
            let inside = |one: &&Counted| place_of(&one.group) == place;
            return self.processes.iter().filter(inside).collect();
        }
        let mut line: Vec<&Counted> = self.processes.iter().collect();
        line.retain(|one| unit.main_pid > 1 && self.descends(one, unit.main_pid));
        line
    }

    /// The processes of `unit`.
    pub fn pids_of(&self, unit: &UnitState) -> Vec<u32> {
        self.of(unit).iter().map(|one| one.key.pid).collect()
    }

    fn descends(&self, one: &Counted, from: u32) -> bool {
        let mut at = one;
        // No line of parents is longer than all processes.
        for _ in 0..self.processes.len() {
            if at.key.pid == from {
                return true;
            }
            match self
                .processes
                .iter()
                .find(|parent| parent.key.pid == at.parent)
            {
                Some(parent) => at = parent,
                None => return false,
            }
        }
        false
    }

    /// Is the main process that the manager told of still there? One without any is asked for none.
    pub fn runs(&self, unit: &UnitState) -> bool {
        unit.main_pid <= 1
            || self
                .processes
                .iter()
                .any(|one| one.key.pid == unit.main_pid)
    }

    fn is_alive(&self, key: &ProcessKey) -> bool {
        self.processes.iter().any(|one| one.key == *key)
    }
}

/// Which process listens where; read anew only when the listening sockets changed.
#[derive(Clone, Debug, Default)]
pub struct ListeningProcesses {
    sockets: Vec<Listener>,
    ports: SortedMap<u32, SortedSet<String>>,
}

impl ListeningProcesses {
    /// True when sockets came or went since.
    pub fn refresh(&mut self, host: &Host, census: &Census) -> io::Result<bool> {
        let mut sockets = listeners::listeners(host)?;
        sockets.retain(|one| one.protocol != "udp" || one.port < PASSING_UDP);
        if sockets == self.sockets {
            return Ok(false);
        }
        let of_inode: SortedMap<u64, String> = sockets
            .iter()
            .map(|one| (one.inode, format!("{}/{}", one.protocol, one.port)))
            .collect();
        let pids = census.processes.iter().map(|one| one.key.pid);
        let held = |pid| {
            // Of one that may not be looked at nothing is learned.
            let inodes = listeners::sockets_of(host, pid).unwrap_or_default();
            let ports: SortedSet<String> = inodes
                .iter()
                .filter_map(|inode| of_inode.get(inode).cloned())
                .collect();
            (!ports.is_empty()).then_some((pid, ports))
        };
        self.ports = pids.filter_map(held).collect();
        self.sockets = sockets;
        Ok(true)
    }
}

impl ListeningProcesses {
    /// TCP ports that a process listens on.
    pub fn tcp_of(&self, pid: u32) -> Vec<u16> {
        let ports = self.ports.get(&pid).into_iter().flatten();
        let tcp = ports.filter_map(|port| port.strip_prefix("tcp/"));
        tcp.filter_map(|number| number.parse().ok()).collect()
    }
}

/// What `unit` is like now that it is well. What was known `before` and still holds is not read again.
pub fn record(
    host: &Host,
    census: &Census,
    listening: &ListeningProcesses,
    unit: &UnitState,
    before: Option<&HealthyUnit>,
) -> HealthyUnit {
    let inside = census.of(unit);
    let mut processes: SortedSet<ProcessKey> = inside.iter().map(|one| one.key).collect();
    let mut ports: SortedSet<String> = inside
        .iter()
        .filter_map(|one| listening.ports.get(&one.key.pid))
        .flatten()
        .cloned()
        .collect();
    let before = before.filter(|one| one.boot == census.boot);
    if let Some(before) = before {
        // What ran in it and lives on elsewhere is its own still.
        let alive = before.processes.iter().filter(|key| census.is_alive(key));
        processes.extend(alive.copied());
        if ports.is_empty() {
            ports.clone_from(&before.ports);
        }
    }
    let group = inside.iter().find(|one| one.key.pid == unit.main_pid);
    HealthyUnit {
        boot: census.boot.clone(),
        control_group: group
            .or(inside.first())
            .map_or_else(String::new, |one| one.group.clone()),
        main: main_program(host, unit, before),
        processes,
        ports,
        files: files(host, unit, before),
    }
    .bounded()
}

fn main_program(
    host: &Host,
    unit: &UnitState,
    before: Option<&HealthyUnit>,
) -> Option<MainProgram> {
    let before = before.and_then(|one| one.main.as_ref());
    let Ok(process) = procfs::process(host, unit.main_pid) else {
        // Not gone: what it was is what it is.
        return before.cloned();
    };
    let process = process.filter(|one| one.pid > 1 && !one.exe.is_empty())?;
    let before = before.map(|main| &main.file);
    Some(MainProgram {
        file: program_of(host, &process, before)?,
        command: process.cmdline,
        user: process.uid,
    })
}

/// The very file that a process runs, whatever has become of its name.
fn program_of(host: &Host, process: &Process, before: Option<&KnownFile>) -> Option<KnownFile> {
    known_files::known(
        host,
        &format!("/proc/{}/exe", process.pid),
        &process.exe,
        before,
    )
    .ok()
}

/// What the unit's settings name, as PID 1 sees it.
fn files(host: &Host, unit: &UnitState, before: Option<&HealthyUnit>) -> Vec<KnownFile> {
    let needs = needs(&unit.name, &services::unit_files(host, unit));
    if needs.other_root {
        return Vec::new();
    }
    let mut paths: Vec<&str> = needs
        .needed
        .iter()
        .filter(|needed| needed.need != Need::User)
        .map(|needed| needed.value.as_str())
        .collect();
    if paths.is_empty() {
        // Of a manager without unit files.
        paths = unit.exec_start.iter().map(String::as_str).collect();
        paths.extend(
            [unit.working_directory.as_str()]
                .iter()
                .filter(|path| path.starts_with('/')),
        );
    }
    let view = host.of_init();
    let known = |path: &str| {
        let before = before.and_then(|one| one.file(path));
        match known_files::known(&view, path, path, before) {
            Ok(known) => Some(known),
            // It runs on without it: what stood there last is how it is known again elsewhere.
            Err(why) if why.kind() == io::ErrorKind::NotFound => before.cloned(),
            Err(_) => None,
        }
    };
    paths.into_iter().filter_map(known).collect()
}

/// What is known of a process that stands in the way of a unit with this record; none when it is gone.
pub fn suspect(host: &Host, pid: u32, record: Option<&HealthyUnit>) -> io::Result<Option<Suspect>> {
    let Some(process) = procfs::process(host, pid)? else {
        return Ok(None);
    };
    Ok(Some(Suspect {
        key: key_of(&process),
        boot: boot::id(host),
        group: procfs::group_below_manager(host, pid).unwrap_or_default(),
        started_us: pid_files::started_us(&process),
        program: its_program(host, &process, record),
        apart: process.on_terminal
            || was_begun_by_login(host, pid)
            || is_in_own_namespace(host, pid),
        user: process.uid,
        command: process.cmdline,
    }))
}

/// What it runs. Its content is read only where all else says that it is the unit's own.
fn its_program(host: &Host, process: &Process, record: Option<&HealthyUnit>) -> Option<KnownFile> {
    let at = format!("/proc/{}/exe", process.pid);
    let seen = known_files::looked_at(host, &at, &process.exe).ok()?;
    let main = record.and_then(|one| one.main.as_ref());
    match main.is_some_and(|main| main.file.is_same_file(&seen)) {
        true => program_of(host, process, None),
        false => Some(seen),
    }
}

fn key_of(process: &Process) -> ProcessKey {
    ProcessKey {
        start_ticks: process.start_ticks,
        pid: process.pid,
    }
}

/// The audit's login id stays with everything that somebody began; all ones is nobody (proc(5)).
fn was_begun_by_login(host: &Host, pid: u32) -> bool {
    let id = host
        .read(format!("/proc/{pid}/loginuid"), 32)
        .unwrap_or_default();
    id.trim().parse::<u32>().is_ok_and(|id| id != u32::MAX)
}

/// Whether it has a namespace that process 1 has not, or may not be asked.
fn is_in_own_namespace(host: &Host, pid: u32) -> bool {
    let space =
        |pid: u32, kind: &str| std::fs::read_link(host.path(format!("/proc/{pid}/ns/{kind}"))).ok();
    ["pid", "mnt", "net", "ipc", "uts", "user"]
        .iter()
        .any(|kind| space(pid, kind).is_none_or(|its| space(1, kind) != Some(its)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::host::clock::Clock;

    fn process(root: &Path, pid: u32, parent: u32, group: &str) {
        let dir = root.join(format!("proc/{pid}"));
        fs::create_dir_all(dir.join("fd")).unwrap();
        let stat = format!("{pid} (x) S {parent} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {pid}00 0");
        fs::write(dir.join("stat"), stat).unwrap();
        fs::write(dir.join("cgroup"), format!("0::{group}\n")).unwrap();
    }

    fn host(root: &Path) -> Host {
        fs::create_dir_all(root.join("proc/sys/kernel/random")).unwrap();
        fs::write(root.join("proc/sys/kernel/random/boot_id"), "b1\n").unwrap();
        fs::create_dir_all(root.join("proc/net")).unwrap();
        let head = "  sl  local_address rem_address st\n";
        fs::write(root.join("proc/net/tcp"), head).unwrap();
        process(root, 1, 0, "/init.scope");
        Host::at(root, Clock::manual(Timestamp::default()))
    }

    fn unit(control_group: &str, main_pid: u32) -> UnitState {
        UnitState {
            name: "a.service".to_owned(),
            active_state: "active".to_owned(),
            control_group: control_group.to_owned(),
            main_pid,
            ..UnitState::default()
        }
    }

    fn pids(record: &HealthyUnit) -> Vec<u32> {
        record.processes.iter().map(|key| key.pid).collect()
    }

    #[test]
    fn a_unit_has_what_runs_in_its_group_and_what_ran_there() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        process(dir.path(), 10, 1, "/system.slice/a.service");
        process(dir.path(), 11, 10, "/system.slice/a.service/worker");
        process(dir.path(), 12, 10, "/system.slice/docker-0a.scope");
        process(dir.path(), 13, 10, "/system.slice/b.service");
        let unit = unit("/system.slice/a.service", 10);
        let listening = ListeningProcesses::default();
        let first = record(&host, &Census::take(&host), &listening, &unit, None);
        assert_eq!((pids(&first), first.boot.as_str()), (vec![10, 11], "b1"));
        // Moved elsewhere it lives on; the main process was started anew.
        process(dir.path(), 11, 1, "/elsewhere");
        fs::remove_dir_all(dir.path().join("proc/10")).unwrap();
        process(dir.path(), 14, 1, "/system.slice/a.service");
        let census = Census::take(&host);
        let second = record(&host, &census, &listening, &unit, Some(&first));
        assert_eq!(pids(&second), [11, 14]);
        let other_boot = HealthyUnit {
            boot: "b0".to_owned(),
            ..first
        };
        let third = record(&host, &census, &listening, &unit, Some(&other_boot));
        assert_eq!(pids(&third), [14], "numbers of another boot mean nothing");
    }

    #[test]
    fn a_service_without_a_group_has_its_main_process_and_what_descends_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        process(dir.path(), 10, 1, "/");
        process(dir.path(), 11, 10, "/");
        process(dir.path(), 12, 11, "/");
        process(dir.path(), 13, 1, "/");
        let listening = ListeningProcesses::default();
        let census = Census::take(&host);
        let found = record(&host, &census, &listening, &unit("", 10), None);
        assert_eq!(pids(&found), [10, 11, 12]);
        let nothing = record(&host, &census, &listening, &unit("", 0), None);
        assert_eq!(pids(&nothing), [0_u32; 0]);
        let there =
            [("", 10), ("", 14), ("", 0)].map(|(group, pid)| census.runs(&unit(group, pid)));
        assert_eq!(there, [true, false, true]);
    }

    #[test]
    fn what_its_settings_name_is_remembered_as_it_stood_there() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        fs::create_dir_all(dir.path().join("opt/a")).unwrap();
        fs::write(dir.path().join("opt/a/run"), "x").unwrap();
        let file =
            "[Service]\nExecStart=/opt/a/run --x\nWorkingDirectory=/opt/a\nEnvironmentFile=/gone\n";
        fs::write(dir.path().join("a.service"), file).unwrap();
        let unit = UnitState {
            fragment_path: "/a.service".to_owned(),
            ..unit("", 0)
        };
        let listening = ListeningProcesses::default();
        let look = |before| record(&host, &Census::take(&host), &listening, &unit, before);
        let found = look(None);
        let names: Vec<(&str, bool)> = found
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.is_folder))
            .collect();
        assert_eq!(names, [("/opt/a/run", false), ("/opt/a", true)]);
        assert_eq!(found.files[0].sha256.as_deref().map(str::len), Some(64));
        fs::rename(dir.path().join("opt/a/run"), dir.path().join("opt/run")).unwrap();
        let moved_while_it_runs = look(Some(&found));
        assert_eq!(moved_while_it_runs.files, found.files);
        fs::write(
            dir.path().join("a.service"),
            "[Service]\nWorkingDirectory=/opt/a\n",
        )
        .unwrap();
        let named_no_more = look(Some(&found));
        assert_eq!(named_no_more.files, found.files[1..]);
    }

    #[test]
    fn this_process_listens_where_it_says() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = format!("tcp/{}", socket.local_addr().unwrap().port());
        let host = Host::real();
        let census = Census::take(&host);
        let mut listening = ListeningProcesses::default();
        assert!(listening.refresh(&host, &census).unwrap());
        assert!(listening.ports[&std::process::id()].contains(&port));
        let own = suspect(&host, std::process::id(), None).unwrap().unwrap();
        assert!(own.program.is_some() && !own.command.is_empty() && !own.boot.is_empty());
    }
}
