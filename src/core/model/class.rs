//! The closed list of finding classes and what each means for clearing and repair.

use std::fmt;
use std::str::FromStr;

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

macro_rules! classes {
    ($( $(#[$note:meta])* $variant:ident $name:literal $clearing:ident; )*) => {
        /// Finding class: what kind of fault was seen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Class { $( $(#[$note])* $variant, )* }

        impl Class {
            /// All classes, in the order of the documentation.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            /// The stored and printed name.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            /// What ends a condition of this class.
            pub const fn clearing(self) -> Clearing {
                match self { $( Self::$variant => Clearing::$clearing, )* }
            }
        }
    };
}

classes! {
    /// The service manager says that a unit failed.
    ServiceFailed "service_failed" Sweep;
    /// A unit is enabled and wanted, and does not run.
    ServiceInactive "service_inactive" Sweep;
    /// A unit is restarted again and again within a window.
    ServiceFlapping "service_flapping" Sweep;
    /// A unit was ended because it stopped answering its watchdog.
    ServiceWatchdog "service_watchdog" Sweep;
    /// Something else holds a port that a unit needs.
    PortConflict "port_conflict" Sweep;
    /// A unit file names a path or user that the host does not have.
    InvalidUnitPath "invalid_unit_path" Sweep;
    /// A file system has few bytes left: above the high mark, until below the low one.
    DiskFull "disk_full" Sweep;
    /// A file system has few inodes left: above the high mark, until below the low one.
    InodeFull "inode_full" Sweep;
    /// Little memory is available on the host.
    MemoryPressure "memory_pressure" Sweep;
    /// The kernel ended a process for lack of memory.
    OomKill "oom_kill" Quiet;
    /// A file system that was mounted writable no longer is.
    ReadonlyFs "readonly_fs" Sweep;
    /// A storage device reports errors.
    IoError "io_error" Quiet;
    /// An eMMC says that it nears the end of its life.
    StorageWear "storage_wear" Sweep;
    /// A temperature is above its mark.
    Thermal "thermal" Sweep;
    /// A time service runs and the clock is not synchronised.
    ClockUnsynced "clock_unsynced" Sweep;
    /// An interface that the operator named is not up.
    NetworkDown "network_down" Sweep;
    /// A zombie, a program that was removed, or a process that outlived its service.
    StaleProcess "stale_process" Sweep;
    /// A line that the log rules call an error.
    LogError "log_error" Quiet;
    /// A check that the operator declared fails.
    ProbeFailed "probe_failed" Sweep;
    /// A container exited, is unhealthy, restarts again and again, or nears its memory limit.
    ContainerUnhealthy "container_unhealthy" Sweep;
    /// A unit file changed and the service manager still uses the old one.
    ConfigDrift "config_drift" Sweep;
    /// The kernel stopped a thread, or itself.
    KernelOops "kernel_oops" Reboot;
    /// The kernel found a state that should not be, and went on.
    KernelWarning "kernel_warning" Reboot;
    /// A processor or a task has not come on for long: lock-up, stall, hung task.
    KernelLockup "kernel_lockup" Reboot;
    /// Locks are taken in an order, or a context, that can end in a deadlock.
    KernelLockdep "kernel_lockdep" Reboot;
    /// The kernel touched memory that it should not: sanitizers, slab and list checks.
    KernelMemorySafety "kernel_memory_safety" Reboot;
    /// The kernel suspects memory of its own that nobody can reach any more.
    KernelLeak "kernel_leak" Reboot;
    /// Any other report of the kernel about itself.
    KernelOther "kernel_other" Reboot;
    /// A detector of ours cannot look.
    SelfDetectorBroken "self_detector_broken" Sweep;
    /// Our own database is in trouble.
    SelfStore "self_store" Sweep;
    /// A destination takes nothing until a human changes something.
    SelfEscalationDown "self_escalation_down" Sweep;
    /// We missed a part of a stream.
    SelfGap "self_gap" Quiet;
}

impl Class {
    /// True for what nobody but the kernel can know.
    pub const fn is_kernels(self) -> bool {
        matches!(
            self,
            Self::OomKill
                | Self::ReadonlyFs
                | Self::IoError
                | Self::KernelOops
                | Self::KernelWarning
                | Self::KernelLockup
                | Self::KernelLockdep
                | Self::KernelMemorySafety
                | Self::KernelLeak
                | Self::KernelOther
        )
    }

    /// True for findings about this program itself.
    pub const fn is_self(self) -> bool {
        matches!(
            self,
            Self::SelfDetectorBroken | Self::SelfStore | Self::SelfEscalationDown | Self::SelfGap
        )
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No class has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownClass(pub String);

impl fmt::Display for UnknownClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown class '{}'", self.0)
    }
}

impl std::error::Error for UnknownClass {}

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(name: &str) -> Result<Self, UnknownClass> {
        Self::ALL
            .iter()
            .copied()
            .find(|class| class.as_str() == name)
            .ok_or_else(|| UnknownClass(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for class in Class::ALL {
            assert_eq!(class.as_str().parse(), Ok(*class));
        }
    }
}
