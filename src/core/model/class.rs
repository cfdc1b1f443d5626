//! The closed list of finding classes, each with the row of all that hangs on it.
//!
//! A new class is one row: the compiler asks for every field. What a class lacks elsewhere (documents, fixtures, a
//! runbook) is named by `cargo test --test integration docs::classes`.

use crate::core::model::cause::Cause;
use crate::core::model::facts::Key;
use crate::core::model::named::table;

/// Subject of what the kernel says without naming a part of the host.
pub const KERNEL: &str = "kernel";

/// How a condition of this class ends (design, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clearing {
    /// A sweep can look again: gone when the detector no longer reports the subject.
    Sweep,
    /// Only lines tell: gone after a quiet period without a repeat.
    Quiet,
    /// Until the machine boots again, or a quiet period.
    Reboot,
}

/// What on the host changes together with a condition: news of the one ask for a look at the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MovesWith {
    /// Nothing that tells: it is looked at when its time has come.
    Nothing,
    /// The state of its unit and of no other: it may be looked at alone.
    OwnUnit,
    /// The states of units, of which others count too.
    Units,
    /// The table of mounts.
    Mounts,
}

/// What of its evidence names the cause for certain, before any words do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldBy {
    /// Nothing: words and the class are all there is.
    Words,
    /// How its unit, or the unit's main process, ended.
    UnitState,
    /// How its container ended.
    ContainerState,
    /// What its process is: a zombie, or left over.
    Process,
    /// Who holds what it needs.
    Holder,
    /// The setting of the unit file that is wrong.
    Setting,
    /// The first broken stage of the way out.
    Stage,
}

impl ToldBy {
    /// True of what ran and ended, or does not do what it should: a unit, a container.
    pub fn tells_an_end(self) -> bool {
        matches!(self, Self::UnitState | Self::ContainerState)
    }
}

/// How long it waits before a human hears of it when nothing can repair it: it may end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Not at all.
    Never,
    /// As long as its manager may still restart it, and once more.
    FlapWindow,
    /// Until it is still said after the configured time.
    GoesOn,
}

/// All that is decided about a class without a finding.
#[derive(Debug)]
pub struct ClassRow {
    /// What ends a condition of it.
    pub clearing: Clearing,
    /// What it is called in a title.
    pub words: &'static str,
    /// Nobody but the kernel can know it: a line of anybody else that says so is a line.
    pub only_kernel: bool,
    /// The fact that its subject always is; none: its facts tell.
    pub subject: Option<Key>,
    pub moves_with: MovesWith,
    pub told_by: ToldBy,
    /// What it means where neither facts nor words tell more, and how sure that is, 0..=1.
    pub cause: Option<(Cause, f64)>,
    /// How near it stands to the root: of the conditions about one unit a lower one explains a higher one. None: it
    /// neither explains one nor is explained.
    pub rank: Option<u8>,
    /// The rank counts for a root only with this fact in its evidence; none: always.
    pub root_with: Option<Key>,
    /// Causes, named in conditions of any subject, that are a condition of this class.
    pub explains: &'static [Cause],
    /// A start of its unit is what helps, where nothing was changed.
    pub start_helps: bool,
    pub waits: Waits,
    /// Commands for a human where the cause has none, with `{fact}` where a finding fills something in; at least one
    /// needs no fact.
    pub steps: &'static [&'static str],
}

/// Of a unit that does not run as it should.
const UNIT_STEPS: &[&str] = &[
    "systemctl --failed",
    "systemctl status {unit}",
    "journalctl -u {unit} -n 50 --no-pager",
    "systemctl cat {unit}",
    "systemctl reset-failed {unit} && systemctl start {unit}   # once the cause is gone",
];
/// Of a file system that is full.
const SPACE_STEPS: &[&str] = &[
    "df -h {mount}; df -i {mount}",
    "du -xh --max-depth=2 {mount} | sort -h | tail -n 20",
    "journalctl --disk-usage",
];
const MEMORY_STEPS: &[&str] = &[
    "free -h",
    "ps -eo pid,rss,comm --sort=-rss | head -n 15",
    "journalctl -k -g 'Out of memory' --no-pager | tail -n 20",
];
/// Of a medium that may be failing.
const STORAGE_STEPS: &[&str] = &[
    "findmnt {mount}",
    "lsblk /dev/{device}",
    "journalctl -k -p err -n 50 --no-pager",
    "# Save what is needed first: storage that reports errors is often about to fail.",
];
/// Of a device that is off its bus, hung or crashed.
const DEVICE_STEPS: &[&str] = &[
    "journalctl -k -g {device} -n 50 --no-pager",
    "journalctl -k -p warning -n 50 --no-pager",
    "lsusb; lspci; ip -br link; ls -l /dev/serial/by-id",
    "# Cable, hub and power supply first: a device that comes back after a reset fails again.",
];
/// Of something that only its log tells more about.
const LOG_STEPS: &[&str] = &[
    "journalctl -u {unit} -n 50 --no-pager",
    "journalctl -p warning -n 50 --no-pager",
];
/// Of a container; the engine's command is `docker` or `podman`.
const CONTAINER_STEPS: &[&str] = &[
    "docker ps -a; podman ps -a",
    "docker logs --tail 50 {container}   # or: podman logs",
    "docker inspect {container}",
    "docker restart {container}   # once the cause is gone",
];
const KERNEL_STEPS: &[&str] = &["journalctl -k -n 200 --no-pager", "uname -a"];
const OWN_STEPS: &[&str] = &["autonomous-orchestrator doctor"];

table! {
    /// Finding class: what kind of fault was seen. The name is stored and printed, and part of the fingerprint.
    Class "class" ClassRow {
        /// The service manager says that a unit failed.
        ServiceFailed = "service_failed" {
            clearing: Clearing::Sweep, words: "service failed", only_kernel: false,
            subject: Some(Key::Unit), moves_with: MovesWith::OwnUnit,
            told_by: ToldBy::UnitState, cause: None,
            rank: Some(3), root_with: None, explains: &[],
            start_helps: true, waits: Waits::Never,
            steps: UNIT_STEPS,
        }
        /// A unit is enabled and wanted, and does not run.
        ServiceInactive = "service_inactive" {
            clearing: Clearing::Sweep, words: "service is not running", only_kernel: false,
            subject: Some(Key::Unit), moves_with: MovesWith::Units,
            told_by: ToldBy::UnitState, cause: Some((Cause::StoppedUnexpectedly, 0.7)),
            rank: Some(4), root_with: None, explains: &[],
            start_helps: true, waits: Waits::Never,
            steps: UNIT_STEPS,
        }
        /// A unit is restarted again and again within a window.
        ServiceFlapping = "service_flapping" {
            clearing: Clearing::Sweep, words: "service keeps restarting", only_kernel: false,
            subject: Some(Key::Unit), moves_with: MovesWith::Units,
            told_by: ToldBy::UnitState, cause: Some((Cause::KeepsRestarting, 0.6)),
            rank: Some(2), root_with: None, explains: &[],
            start_helps: false, waits: Waits::FlapWindow,
            steps: UNIT_STEPS,
        }
        /// A unit was ended because it stopped answering its watchdog.
        ServiceWatchdog = "service_watchdog" {
            clearing: Clearing::Sweep, words: "service missed its watchdog", only_kernel: false,
            subject: Some(Key::Unit), moves_with: MovesWith::OwnUnit,
            told_by: ToldBy::UnitState, cause: Some((Cause::WatchdogTimeout, 0.9)),
            rank: Some(3), root_with: None, explains: &[],
            start_helps: true, waits: Waits::Never,
            steps: UNIT_STEPS,
        }
        /// A unit runs and does nothing any more: its main process is stopped, or it takes no connection. Told, never
        /// acted on: whether it may be restarted is for a human, and a probe that fails as well knows better.
        ServiceHung = "service_hung" {
            clearing: Clearing::Sweep, words: "service hangs", only_kernel: false,
            subject: Some(Key::Unit), moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::Hung, 0.85)),
            rank: Some(6), root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: UNIT_STEPS,
        }
        /// Something else holds a port that a unit needs.
        PortConflict = "port_conflict" {
            clearing: Clearing::Sweep, words: "port is held by another process", only_kernel: false,
            subject: Some(Key::Unit), moves_with: MovesWith::Units,
            told_by: ToldBy::Holder, cause: None,
            rank: Some(1), root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: &[
                "ss -Hltunp   # who listens where",
                "ss -Hltunp 'sport = :{port}'   # who holds it",
                "ps -o pid,ppid,user,lstart,cmd -p {holder_pid}",
                "systemctl status {holder_unit}   # give one of the two another port",
            ],
        }
        /// A unit file names a path or user that the host does not have.
        InvalidUnitPath = "invalid_unit_path" {
            clearing: Clearing::Sweep, words: "unit names a path that does not exist", only_kernel: false,
            subject: Some(Key::Unit), moves_with: MovesWith::Units,
            told_by: ToldBy::Setting, cause: None,
            rank: Some(0), root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: &[
                "systemctl --failed",
                "systemctl cat {unit}",
                "ls -ld {path}",
                "systemctl edit {unit}   # correct the path, then:",
                "systemctl daemon-reload && systemctl restart {unit}",
            ],
        }
        /// A file system has few bytes left: above the high mark, until below the low one.
        DiskFull = "disk_full" {
            clearing: Clearing::Sweep, words: "disk is full", only_kernel: false,
            subject: Some(Key::Mount), moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::DiskFull, 0.95)),
            rank: None, root_with: None, explains: &[Cause::DiskFull],
            start_helps: false, waits: Waits::Never,
            steps: SPACE_STEPS,
        }
        /// A file system has few inodes left: above the high mark, until below the low one.
        InodeFull = "inode_full" {
            clearing: Clearing::Sweep, words: "file system is out of inodes", only_kernel: false,
            subject: Some(Key::Mount), moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::InodeFull, 0.95)),
            rank: None, root_with: None, explains: &[Cause::DiskFull, Cause::InodeFull],
            start_helps: false, waits: Waits::Never,
            steps: SPACE_STEPS,
        }
        /// Little memory is available on the host.
        MemoryPressure = "memory_pressure" {
            clearing: Clearing::Sweep, words: "memory is running out", only_kernel: false,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::OutOfMemory, 0.9)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: MEMORY_STEPS,
        }
        /// The kernel ended a process for lack of memory.
        OomKill = "oom_kill" {
            clearing: Clearing::Quiet, words: "kernel killed a process for lack of memory", only_kernel: true,
            subject: None, moves_with: MovesWith::Units,
            told_by: ToldBy::Words, cause: Some((Cause::OutOfMemory, 0.9)),
            rank: Some(6), root_with: None, explains: &[],
            start_helps: false, waits: Waits::GoesOn,
            steps: MEMORY_STEPS,
        }
        /// A file system that was mounted writable no longer is.
        ReadonlyFs = "readonly_fs" {
            clearing: Clearing::Sweep, words: "file system turned read-only", only_kernel: true,
            subject: Some(Key::Mount), moves_with: MovesWith::Mounts,
            told_by: ToldBy::Words, cause: Some((Cause::ReadonlyAfterError, 0.85)),
            rank: None, root_with: None, explains: &[Cause::ReadonlyAfterError],
            start_helps: false, waits: Waits::Never,
            steps: STORAGE_STEPS,
        }
        /// A storage device reports errors.
        IoError = "io_error" {
            clearing: Clearing::Quiet, words: "storage reports I/O errors", only_kernel: true,
            subject: Some(Key::Device), moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::MediaError, 0.8)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::GoesOn,
            steps: STORAGE_STEPS,
        }
        /// A device, its driver or its firmware fails: off the bus, hung, crashed.
        DeviceFault = "device_fault" {
            clearing: Clearing::Quiet, words: "device fails", only_kernel: true,
            subject: Some(Key::Device), moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::DeviceHung, 0.5)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: DEVICE_STEPS,
        }
        /// An eMMC says that it nears the end of its life.
        StorageWear = "storage_wear" {
            clearing: Clearing::Sweep, words: "storage is worn out", only_kernel: false,
            subject: Some(Key::Device), moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::StorageWorn, 0.95)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: STORAGE_STEPS,
        }
        /// A temperature is above its mark.
        Thermal = "thermal" {
            clearing: Clearing::Sweep, words: "too hot", only_kernel: false,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::Overheating, 0.9)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: LOG_STEPS,
        }
        /// A time service runs and the clock is not synchronised.
        ClockUnsynced = "clock_unsynced" {
            clearing: Clearing::Sweep, words: "clock is not synchronised", only_kernel: false,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::ClockWrong, 0.9)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: &["timedatectl", "date -u"],
        }
        /// An interface that the operator named is not up.
        NetworkDown = "network_down" {
            clearing: Clearing::Sweep, words: "network interface is down", only_kernel: false,
            subject: Some(Key::Device), moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::LinkDown, 0.85)),
            rank: Some(6), root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: &["ip -s link show {device}", "ip route"],
        }
        /// No way leads out: the first broken stage, from the box outwards, is its cause.
        UplinkDown = "uplink_down" {
            clearing: Clearing::Sweep, words: "uplink is down", only_kernel: false,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Stage, cause: Some((Cause::NetworkUnreachable, 0.5)),
            rank: None, root_with: None,
            explains: &[Cause::DnsFailed, Cause::NetworkUnreachable, Cause::ConnectionTimeout],
            start_helps: false, waits: Waits::FlapWindow,
            steps: &["ip -br link; ip -br addr; ip route", "ip neigh", "cat /etc/resolv.conf", "timedatectl"],
        }
        /// A zombie, a program that was removed, or a process that outlived its service.
        StaleProcess = "stale_process" {
            clearing: Clearing::Sweep, words: "stale process", only_kernel: false,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Process, cause: Some((Cause::StaleProcess, 0.85)),
            rank: Some(1), root_with: Some(Key::HolderPid), explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: &[
                "ps -o pid,ppid,stat,user,lstart,cmd -p {holder_pid}",
                "ps -eo pid,ppid,stat,lstart,cmd",
            ],
        }
        /// A line that the log rules call an error.
        LogError = "log_error" {
            clearing: Clearing::Quiet, words: "repeated error in a log", only_kernel: false,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: None,
            rank: Some(6), root_with: None, explains: &[],
            start_helps: false, waits: Waits::GoesOn,
            steps: LOG_STEPS,
        }
        /// A check that the operator declared fails.
        ProbeFailed = "probe_failed" {
            clearing: Clearing::Sweep, words: "probe fails", only_kernel: false,
            subject: Some(Key::Probe), moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::HealthCheckFailed, 0.6)),
            rank: Some(5), root_with: None, explains: &[],
            start_helps: true, waits: Waits::Never,
            steps: LOG_STEPS,
        }
        /// A container exited, is unhealthy, restarts again and again, or nears its memory limit.
        ContainerUnhealthy = "container_unhealthy" {
            clearing: Clearing::Sweep, words: "container is unhealthy", only_kernel: false,
            subject: Some(Key::Container), moves_with: MovesWith::Nothing,
            told_by: ToldBy::ContainerState, cause: Some((Cause::HealthCheckFailed, 0.6)),
            rank: Some(5), root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: CONTAINER_STEPS,
        }
        /// A unit file changed and the service manager still uses the old one.
        ConfigDrift = "config_drift" {
            clearing: Clearing::Sweep, words: "configuration changed", only_kernel: false,
            subject: Some(Key::Unit), moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::ConfigChanged, 0.9)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: LOG_STEPS,
        }
        /// The kernel stopped a thread, or itself.
        KernelOops = "kernel_oops" {
            clearing: Clearing::Reboot, words: "kernel oops", only_kernel: true,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::KernelFault, 0.8)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: KERNEL_STEPS,
        }
        /// The kernel found a state that should not be, and went on.
        KernelWarning = "kernel_warning" {
            clearing: Clearing::Reboot, words: "kernel warning", only_kernel: true,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::KernelFault, 0.8)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: KERNEL_STEPS,
        }
        /// A processor or a task has not come on for long: lock-up, stall, hung task.
        KernelLockup = "kernel_lockup" {
            clearing: Clearing::Reboot, words: "kernel lock-up", only_kernel: true,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::KernelFault, 0.8)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: KERNEL_STEPS,
        }
        /// Locks are taken in an order, or a context, that can end in a deadlock.
        KernelLockdep = "kernel_lockdep" {
            clearing: Clearing::Reboot, words: "kernel locking error", only_kernel: true,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::KernelFault, 0.8)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: KERNEL_STEPS,
        }
        /// The kernel touched memory that it should not: sanitizers, slab and list checks.
        KernelMemorySafety = "kernel_memory_safety" {
            clearing: Clearing::Reboot, words: "kernel memory error", only_kernel: true,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::KernelFault, 0.8)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: KERNEL_STEPS,
        }
        /// The kernel suspects memory of its own that nobody can reach any more.
        KernelLeak = "kernel_leak" {
            clearing: Clearing::Reboot, words: "kernel memory leak", only_kernel: true,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::KernelFault, 0.8)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: KERNEL_STEPS,
        }
        /// Any other report of the kernel about itself.
        KernelOther = "kernel_other" {
            clearing: Clearing::Reboot, words: "kernel error", only_kernel: true,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::KernelFault, 0.8)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: KERNEL_STEPS,
        }
        /// A detector of ours cannot look.
        SelfDetectorBroken = "self_detector_broken" {
            clearing: Clearing::Sweep, words: "a detector of the gateway is broken", only_kernel: false,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::SelfImpaired, 0.7)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: OWN_STEPS,
        }
        /// Our own database is in trouble.
        SelfStore = "self_store" {
            clearing: Clearing::Sweep, words: "the gateway's own store has a problem", only_kernel: false,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::SelfImpaired, 0.7)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: OWN_STEPS,
        }
        /// A destination takes nothing until a human changes something.
        SelfEscalationDown = "self_escalation_down" {
            clearing: Clearing::Sweep, words: "escalations cannot be delivered", only_kernel: false,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::SelfImpaired, 0.7)),
            rank: Some(6), root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: OWN_STEPS,
        }
        /// We missed a part of a stream.
        SelfGap = "self_gap" {
            clearing: Clearing::Quiet, words: "the gateway missed some observations", only_kernel: false,
            subject: None, moves_with: MovesWith::Nothing,
            told_by: ToldBy::Words, cause: Some((Cause::SelfImpaired, 0.7)),
            rank: None, root_with: None, explains: &[],
            start_helps: false, waits: Waits::Never,
            steps: OWN_STEPS,
        }
    }
}

impl Class {
    /// All that hangs on it.
    pub(crate) const fn row(self) -> &'static ClassRow {
        self.spec()
    }

    /// True for what nobody but the kernel can know.
    pub(crate) const fn is_kernels(self) -> bool {
        self.row().only_kernel
    }

    /// True for what the kernel tells of itself and of programs, not of a device or a file system: of those a host has
    /// only so many.
    pub(crate) const fn is_kernels_own(self) -> bool {
        self.is_kernels() && !matches!(self.row().subject, Some(Key::Device | Key::Mount))
    }

    /// What ends a condition of this class.
    pub const fn clearing(self) -> Clearing {
        self.row().clearing
    }
}

#[cfg(test)]
#[path = "class_tests.rs"]
mod tests;
