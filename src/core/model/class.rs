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
    ($( $variant:ident $name:literal $clearing:ident; )*) => {
        /// Finding class: what kind of fault was seen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Class { $( $variant, )* }

        impl Class {
            /// All classes, in the order of the documentation.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            /// The stored and printed name.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            pub const fn clearing(self) -> Clearing {
                match self { $( Self::$variant => Clearing::$clearing, )* }
            }
        }
    };
}

classes! {
    ServiceFailed "service_failed" Sweep;
    ServiceInactive "service_inactive" Sweep;
    ServiceFlapping "service_flapping" Sweep;
    ServiceWatchdog "service_watchdog" Sweep;
    PortConflict "port_conflict" Sweep;
    InvalidUnitPath "invalid_unit_path" Sweep;
    DiskFull "disk_full" Sweep;
    InodeFull "inode_full" Sweep;
    MemoryPressure "memory_pressure" Sweep;
    OomKill "oom_kill" Quiet;
    ReadonlyFs "readonly_fs" Sweep;
    IoError "io_error" Quiet;
    StorageWear "storage_wear" Sweep;
    Thermal "thermal" Sweep;
    ClockUnsynced "clock_unsynced" Sweep;
    NetworkDown "network_down" Sweep;
    StaleProcess "stale_process" Sweep;
    LogError "log_error" Quiet;
    ProbeFailed "probe_failed" Sweep;
    ContainerUnhealthy "container_unhealthy" Sweep;
    ConfigDrift "config_drift" Sweep;
    KernelOops "kernel_oops" Reboot;
    KernelWarning "kernel_warning" Reboot;
    KernelLockup "kernel_lockup" Reboot;
    KernelLockdep "kernel_lockdep" Reboot;
    KernelMemorySafety "kernel_memory_safety" Reboot;
    KernelLeak "kernel_leak" Reboot;
    KernelOther "kernel_other" Reboot;
    SelfDetectorBroken "self_detector_broken" Sweep;
    SelfStore "self_store" Sweep;
    SelfEscalationDown "self_escalation_down" Sweep;
    SelfGap "self_gap" Quiet;
}

impl Class {
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
