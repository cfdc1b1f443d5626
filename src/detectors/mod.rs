//! Detectors: each watches one aspect of the host and emits findings.

// Numbers from outside must not overflow; tests know theirs.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod clock_sync;
pub mod config_drift;
pub mod container_memory;
pub mod containers;
pub mod disk;
mod error;
mod ever_green;
pub mod journal;
pub mod journal_early;
pub mod journal_users;
pub mod kmsg;
pub mod last_run;
pub mod logfile;
pub mod memory;
pub mod mount_table;
pub mod network;
pub mod port_conflict;
pub mod probe;
pub mod readonly_fs;
pub mod service_failed;
pub mod service_flapping;
pub mod service_hung;
pub mod service_inactive;
pub mod stale_process;
pub mod stream;
pub mod suspects;
pub mod thermal;
pub mod unit_path;
pub mod uplink;
pub mod wear;

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::finding::Finding;
use crate::core::model::healthy::HealthyUnits;
use crate::core::model::sorted::SortedSet;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::reading::voice::SilentUnit;
use crate::detectors::suspects::Suspects;
use crate::host::net::account::Account;
use crate::host::{Host, is_gone};
use crate::services::{ServiceError, ServiceManager};

pub use self::error::DetectError;

/// The conditions that stand open in the store: gives detectors their hysteresis across restarts.
#[derive(Clone, Debug, Default)]
pub struct Open(SortedSet<(Class, String)>);

impl Open {
    pub(crate) fn new(open: impl IntoIterator<Item = (Class, String)>) -> Self {
        Self(open.into_iter().collect())
    }

    pub(crate) fn contains(&self, class: Class, subject: &str) -> bool {
        // A set of pairs cannot be asked by (Class, &str) without an owned key; it is small.
        self.0
            .iter()
            .any(|(c, s)| *c == class && s.as_str() == subject)
    }

    /// Is anything of this class open?
    pub(crate) fn any(&self, class: Class) -> bool {
        self.0.iter().any(|(c, _)| *c == class)
    }
}

/// The manager that did not tell its units, and why.
type Unasked = (&'static str, Arc<ServiceError>);

/// The open conditions that one detector could not look at, and why: they stay as they are.
#[derive(Debug, Default)]
pub(crate) struct Blind {
    pub conditions: Vec<(Class, String)>,
    pub why: Option<DetectError>,
}

/// A walk beyond the gateway: why it is wanted, and who pays for it.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    pub account: Arc<Account>,
    /// Something is not delivered.
    pub trouble: bool,
    /// The uplink's bytes of today are not used up.
    pub may_spend: bool,
}

/// One look at the host, shared by all detectors of a sweep: each source is read at most once.
#[derive(Debug)]
pub struct Snapshot<'a> {
    pub(crate) host: &'a Host,
    pub(crate) config: &'a Config,
    pub(crate) managers: &'a [Arc<dyn ServiceManager>],
    pub(crate) open: &'a Open,
    pub(crate) now: Timestamp,
    pub(crate) suspects: Suspects,
    /// Units whose log went silent against their habit.
    pub(crate) silent: Vec<SilentUnit>,
    /// What each unit was like while it was well.
    pub(crate) healthy: Cow<'a, HealthyUnits>,
    /// What the uplink's doctor may do; `None` where nobody says.
    pub(crate) errand: Option<Errand>,
    blind: RefCell<Blind>,
    units: OnceLock<Result<Vec<UnitState>, Unasked>>,
}

impl<'a> Snapshot<'a> {
    /// A look at the present of the host's clock; nothing is read yet.
    pub fn new(
        host: &'a Host,
        config: &'a Config,
        managers: &'a [Arc<dyn ServiceManager>],
        open: &'a Open,
    ) -> Self {
        Self {
            host,
            config,
            managers,
            open,
            now: host.clock.now(),
            suspects: Suspects::default(),
            silent: Vec::new(),
            healthy: Cow::Owned(HealthyUnits::default()),
            errand: None,
            blind: RefCell::default(),
            units: OnceLock::new(),
        }
    }

    /// A look that already knows the units, for detectors to which a change since then does not matter.
    pub(crate) fn knowing(mut self, units: Option<Vec<UnitState>>) -> Self {
        if let Some(units) = units {
            self.units = OnceLock::from(Ok(units));
        }
        self
    }

    /// A look at what the streams heard, too.
    #[must_use]
    pub(crate) fn suspecting(mut self, suspects: Suspects) -> Self {
        self.suspects = suspects;
        self
    }

    /// A look that knows who has gone silent.
    #[must_use]
    pub(crate) fn hearing(mut self, silent: Vec<SilentUnit>) -> Self {
        self.silent = silent;
        self
    }

    /// A look whose walk beyond the gateway is paid for.
    #[must_use]
    pub(crate) fn on(mut self, errand: Errand) -> Self {
        self.errand = Some(errand);
        self
    }

    /// A look that remembers what the units were like while they were well.
    #[must_use]
    pub(crate) fn remembering(mut self, healthy: &'a HealthyUnits) -> Self {
        self.healthy = Cow::Borrowed(healthy);
        self
    }

    /// The units, if anything asked for them.
    pub(crate) fn into_units(self) -> Option<Vec<UnitState>> {
        self.units.into_inner()?.ok()
    }

    /// What stands open of these classes and `subject`, of any where nobody can say of which, stays open. Nothing else is
    /// given up for it: many sources refuse all the time.
    fn could_not_look(&self, classes: &[Class], subject: Option<&str>, why: DetectError) {
        let concerns = |(class, of): &&(Class, String)| {
            classes.contains(class) && subject.is_none_or(|subject| subject == of)
        };
        let mut open = self.open.0.iter().filter(concerns).cloned().peekable();
        if open.peek().is_some() {
            let mut blind = self.blind.borrow_mut();
            blind.conditions.extend(open);
            blind.why.get_or_insert(why);
        }
    }

    /// What a source says of one subject, as [`told`]. A refusal is noted.
    fn told_of<T>(
        &self,
        class: Class,
        subject: &str,
        source: &str,
        read: io::Result<T>,
    ) -> Option<T> {
        told(source, read).unwrap_or_else(|why| {
            self.could_not_look(&[class], Some(subject), why);
            None
        })
    }

    /// What the detector that just looked could not look at.
    pub(crate) fn take_blind(&self) -> Blind {
        self.blind.take()
    }

    /// The unit that a process belongs to, by the first manager that knows.
    fn unit_of(&self, pid: u32) -> Option<String> {
        let mut managers = self.managers.iter();
        managers.find_map(|manager| manager.unit_of(pid))
    }

    /// Units of every service manager present; one query per manager and sweep.
    pub(crate) fn units(&self) -> Result<&[UnitState], DetectError> {
        let units = self.units.get_or_init(|| {
            let mut all = Vec::new();
            for manager in self.managers {
                match manager.units() {
                    Ok(units) => all.extend(units),
                    Err(why) => return Err((manager.name(), Arc::new(why))),
                }
            }
            Ok(all)
        });
        match units {
            Ok(units) => Ok(units),
            Err((manager, why)) => Err(DetectError::Units(manager, Arc::clone(why))),
        }
    }
}

/// What one run of a detector says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Its source does not exist on this host: no fault, nothing to clear.
    Absent(String),
    /// All conditions that hold now; open conditions of its classes not among them are over, but for those that it
    /// could not look at.
    Present(Vec<Finding>),
}

/// One sweeping detector. `examine` is also the verification after a repair.
pub trait Detector: Send + Sync + fmt::Debug {
    /// By which it is switched off, listed and logged; unique.
    fn name(&self) -> &'static str;
    /// Classes that this detector alone raises by sweeping, and clears.
    fn classes(&self) -> &'static [Class];
    /// Time between sweeps.
    fn interval(&self, config: &Config) -> Duration;
    /// Looks now. A source that does not exist on this host is [`Sweep::Absent`], no error.
    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError>;
    /// What a later life of this program has to know, in a text of its own that changes only with what it says;
    /// none where nothing of the kind was seen.
    fn memory(&self) -> Option<String> {
        None
    }
    /// Its memory is to be written down at once: a power cut must not take that.
    fn has_news(&self) -> bool {
        false
    }
    /// Takes back what an earlier life gave as its `memory`: nothing, where it looked and gave none. What cannot be read
    /// is not known.
    fn recall(&self, _memory: &str) {}
}

/// What a source says; `None` where this host does not have it. One that is there and cannot be read is no answer:
/// neither healthy nor failed.
fn told<T>(source: &str, read: io::Result<T>) -> Result<Option<T>, DetectError> {
    match read {
        Ok(told) => Ok(Some(told)),
        Err(why) if is_gone(&why) => Ok(None),
        Err(why) => Err(DetectError::Source(source.to_owned(), why)),
    }
}

/// Time between unit sweeps where the journal pokes; where nothing tells the scanner sweeps sooner.
fn unit_interval(config: &Config) -> Duration {
    Duration::from_secs(config.detect.unit_sweep_s.max(1))
}

/// Our own units are never judged: no daemon can repair itself from within.
pub fn is_own(unit: &str) -> bool {
    unit.starts_with(crate::core::reading::journal_entry::OWN_NAME)
}

/// Time between sweeps of disk, memory, mounts and processes.
fn host_interval(config: &Config) -> Duration {
    Duration::from_secs(config.detect.host_sweep_s.max(1))
}

/// The table of all sweeping detectors, in the order of a sweep: causes before their symptoms.
pub fn all() -> Vec<Box<dyn Detector>> {
    vec![
        Box::new(readonly_fs::ReadonlyFs::default()),
        Box::new(disk::Disk::default()),
        Box::new(memory::Memory),
        Box::new(unit_path::InvalidUnitPath::default()),
        Box::new(port_conflict::PortConflict::default()),
        Box::new(service_failed::ServiceFailed),
        Box::new(service_inactive::ServiceInactive::default()),
        Box::new(service_flapping::ServiceFlapping::default()),
        Box::new(config_drift::ConfigDrift::default()),
        Box::new(containers::Containers::default()),
        Box::new(probe::Probes::default()),
        Box::new(service_hung::ServiceHung::default()),
        Box::new(stale_process::StaleProcess::default()),
        Box::new(uplink::Uplink::default()),
        Box::new(network::Network),
        Box::new(thermal::Thermal),
        Box::new(clock_sync::ClockSync),
        Box::new(wear::Wear),
    ]
}

#[cfg(test)]
mod tests;
