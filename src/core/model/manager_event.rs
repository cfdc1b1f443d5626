//! What a service manager says of its units and jobs as it happens, whoever carried it: its bus or its journal entries.

use crate::core::model::time::Timestamp;

/// One word of the manager, and when it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerEvent {
    pub seen: Timestamp,
    pub what: Happening,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    JobNew {
        id: JobId,
        unit: String,
        kind: JobKind,
    },
    /// A job's end. It may be the only word of its job.
    JobRemoved {
        id: JobId,
        unit: String,
        kind: JobKind,
        result: JobResult,
    },
    UnitChanged(UnitChange),
    /// Somebody had the manager send this unit a signal (`SIGTERM`, …); only its journal entries tell.
    Signal {
        unit: String,
        signal: String,
    },
    /// The manager loaded the unit.
    UnitNew(String),
    /// The manager forgot the unit: its state, result and log fields are gone with it.
    UnitRemoved(String),
    /// `true` when the manager begins to read its files anew, `false` when it is done.
    Reloading(bool),
    ManagerState(ManagerState),
    /// Words may have been lost before this one (connection, queue): what was not heard is not known.
    Gap,
}

/// The manager's number of a job; it only grows, so a greater one came later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId(u32);

impl JobId {
    /// What the manager says where no job is.
    pub const NONE: Self = Self(0);

    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }
}

impl std::str::FromStr for JobId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The state of a unit as its manager tells it in one word; `None` where that word did not carry the part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitChange {
    pub unit: String,
    /// `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`, `maintenance`.
    pub active: Option<String>,
    pub sub: Option<String>,
    pub result: Option<String>,
    /// 32 lower-case hex digits; empty when the unit has not run since it was loaded.
    pub invocation_id: Option<String>,
    /// The job that waits or runs for it now; 0 for none.
    pub job: Option<JobId>,
    pub main_pid: Option<u32>,
    pub n_restarts: Option<u32>,
    /// Microseconds since boot.
    pub active_exit_us: Option<u64>,
    pub inactive_enter_us: Option<u64>,
}

/// Gives an enum of the manager's words both ways; what a later manager adds is `Other`. It stands apart from `named!`,
/// whose lists are ours and closed: there a name that is not listed is an error, here it is a word like any other.
macro_rules! manager_words {
    ($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name {
            $($(#[$note])* $variant,)+
            /// A word that this program does not know, or none was said.
            #[default]
            Other,
        }

        impl $name {
            pub fn of(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    _ => Self::Other,
                }
            }

            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other => "unknown",
                }
            }
        }
    };
}

manager_words!(
    /// What a job does (`JobType` of org.freedesktop.systemd1(5), `JOB_TYPE=` of the journal).
    JobKind {
        Start = "start",
        VerifyActive = "verify-active",
        Stop = "stop",
        Reload = "reload",
        Restart = "restart",
        ReloadOrStart = "reload-or-start",
        TryRestart = "try-restart",
        TryReload = "try-reload",
        Nop = "nop",
    }
);

impl JobKind {
    /// True for a job that takes the unit out of `active`, even if only to start it again.
    pub const fn stops(self) -> bool {
        matches!(self, Self::Stop | Self::Restart | Self::TryRestart)
    }
}

manager_words!(
    /// How a job ended (`JobRemoved`, `JOB_RESULT=`).
    JobResult {
        Done = "done",
        Canceled = "canceled",
        Timeout = "timeout",
        Failed = "failed",
        Dependency = "dependency",
        /// Its condition was false, or the job had nothing to do.
        Skipped = "skipped",
        Invalid = "invalid",
        Assert = "assert",
        Unsupported = "unsupported",
        Collected = "collected",
        Once = "once",
        Frozen = "frozen",
        Concurrency = "concurrency",
    }
);

manager_words!(
    /// The manager as a whole (`SystemState`).
    ManagerState {
        Initializing = "initializing",
        Starting = "starting",
        Running = "running",
        Degraded = "degraded",
        Maintenance = "maintenance",
        Stopping = "stopping",
    }
);

impl ManagerState {
    /// True once the boot is over and before the shutdown: only then is a job of ours in nobody's way.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Running | Self::Degraded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_goes_both_ways_and_a_later_managers_word_is_kept_apart() {
        for word in ["start", "stop", "try-restart", "reload-or-start", "nop"] {
            assert_eq!(JobKind::of(word).word(), word);
        }
        for word in ["done", "canceled", "dependency", "skipped", "once"] {
            assert_eq!(JobResult::of(word).word(), word);
        }
        for word in ["starting", "running", "degraded", "stopping"] {
            assert_eq!(ManagerState::of(word).word(), word);
        }
        assert_eq!(JobKind::of("explode"), JobKind::Other);
        assert_eq!(JobResult::of(""), JobResult::Other);
    }

    #[test]
    fn a_restart_leaves_active_and_a_reload_does_not() {
        assert!(JobKind::Restart.stops() && JobKind::Stop.stops());
        assert!(!JobKind::Reload.stops() && !JobKind::Start.stops());
    }

    #[test]
    fn a_manager_that_boots_or_stops_is_not_settled() {
        assert!(ManagerState::Degraded.is_settled());
        for word in ["initializing", "starting", "stopping", "maintenance", "?"] {
            assert!(!ManagerState::of(word).is_settled(), "{word}");
        }
    }
}
