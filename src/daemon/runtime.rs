//! What all threads share, and the small decisions that need more than one of its parts.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::actions::ActionContext;
use crate::core::config::Config;
use crate::core::model::action::ActionKind;
use crate::core::model::gate::Gate;
use crate::core::model::healthy::HealthyUnits;
use crate::core::model::hint::Hint;
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::task::{Resolution, Task, Transition};
use crate::core::model::time::Timestamp;
use crate::core::reading::voice::{SilentUnit, Voices};
use crate::core::remedy::gates::Closed;
use crate::core::remedy::host_facts::HostFacts;
use crate::core::remedy::step::Reason;
use crate::daemon::bell::Bell;
use crate::daemon::desk::Desk;
use crate::daemon::ends;
use crate::daemon::heard::HabitNotes;
use crate::daemon::host_facts::{self, Life, StoreFacts};
use crate::daemon::loaded_config::{self, LoadError, LoadedConfig};
use crate::daemon::memory;
use crate::daemon::safe_start::SafeStart;
use crate::daemon::storm_limit::StormLimit;
use crate::daemon::underway::Awaited;
use crate::daemon::uplink::Uplink;
use crate::detectors::suspects::Suspects;
use crate::detectors::{self, Detector};
use crate::host::Host;
use crate::host::lock::LockError;
use crate::host::trusted::Untrusted;
use crate::store::{Store, StoreError, StoreOptions};

/// How to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// May be missing where it was not named: then the defaults hold.
    pub config_file: PathBuf,
    /// The file was named on the command line: it must exist.
    pub config_named: bool,
    /// In place of the configured one.
    pub state_dir: Option<String>,
    /// Look, record and say what would be done; touch and send nothing.
    pub dry_run: bool,
    /// What `demo` and tests shorten.
    pub timing: Timing,
}

/// Times that `demo` and tests shorten; `None` means the built-in one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    pub(crate) clear_hold: Option<Duration>,
}

/// Why the daemon did not start.
#[derive(Debug)]
pub enum StartError {
    Config(LoadError),
    Store(StoreError),
    /// Another instance holds the lock.
    Running(LockError),
    /// The state directory cannot be used.
    State(PathBuf, io::Error),
    /// Others than this user could change what is in the state directory.
    Untrusted(Untrusted),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(why) => write!(f, "configuration: {why}"),
            Self::Store(why) => write!(f, "store: {why}"),
            Self::Running(who) => write!(f, "another instance is running ({who})"),
            Self::State(path, why) => write!(f, "state directory {}: {why}", path.display()),
            Self::Untrusted(why) => write!(f, "state directory: {why}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(why) => Some(why),
            Self::Store(why) => Some(why),
            Self::Running(why) => Some(why),
            Self::State(_, why) => Some(why),
            Self::Untrusted(why) => Some(why),
        }
    }
}

impl Hint for StartError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Config(why) => why.hint(),
            Self::Store(why) => why.hint(),
            Self::Running(_) => "stop it first, or ask it with 'status'".into(),
            Self::State(..) => {
                "create it writable for this user, or name another with daemon.state_dir".into()
            }
            Self::Untrusted(why) => why.hint(),
        }
    }
}

/// Shared by all threads of one daemon.
#[derive(Debug)]
pub struct Runtime {
    pub(crate) host: Host,
    /// Each thread works on this handle or a clone of it.
    pub store: Store,
    pub(crate) detectors: Vec<Box<dyn Detector>>,
    pub(crate) dry_run: bool,
    pub(crate) timing: Timing,
    pub(crate) started_at: Timestamp,
    /// Rung when a task may be due.
    pub(crate) work: Bell,
    /// Rung when units may have changed.
    pub(crate) poke: Bell,
    /// Rung when something may be deliverable.
    pub(crate) courier: Bell,
    /// Rung when everything must stop.
    pub(crate) halt: Bell,
    config_file: PathBuf,
    config_named: bool,
    state_dir: Option<String>,
    loaded: RwLock<Arc<LoadedConfig>>,
    stop: Arc<AtomicBool>,
    journal: AtomicBool,
    manager: AtomicBool,
    /// Humans wanted nothing repaired at the last look.
    held: AtomicBool,
    disruptive: Mutex<()>,
    /// Starts that take their time.
    pub(crate) awaited: Mutex<Vec<Awaited>>,
    /// What the streams heard and the next sweep judges.
    suspects: Mutex<Suspects>,
    voices: Mutex<Voices>,
    /// What somebody stopped, as the last look at all units found it.
    pub(crate) stopped: Mutex<Vec<Value>>,
    /// What the streams may still tell of as new.
    pub(crate) storm: Mutex<StormLimit>,
    /// What was heard and may be a habit.
    pub(crate) habits: Mutex<HabitNotes>,
    /// Set when this start is a safe one.
    safe_start: OnceLock<SafeStart>,
    /// Held by the worker that ends stability windows.
    pub(crate) windows: Mutex<()>,
    /// What telling costs.
    pub(crate) uplink: Uplink,
    pub(crate) llm: Desk,
    beats: Mutex<SortedMap<String, Instant>>,
    backup_dir: PathBuf,
    /// Who does not advise: a measurement takes one out.
    #[cfg(test)]
    pub(crate) left_out: Mutex<Vec<crate::core::diagnosis::advisors::Advisor>>,
}

impl Runtime {
    /// Opens the store and loads everything; the caller holds the instance lock.
    pub fn start(host: Host, config: Config, options: &Options) -> Result<Self, StartError> {
        let state = host.path(&config.daemon.state_dir);
        std::fs::create_dir_all(&state).map_err(|why| StartError::State(state.clone(), why))?;
        let now = host.clock.now();
        let loaded = LoadedConfig::load(&host, config).map_err(StartError::Config)?;
        let (store, report) =
            Store::open(&store_options(&host, &loaded.config), now).map_err(StartError::Store)?;
        let detectors = detectors::all();
        let reader = store.reader().map_err(StartError::Store)?;
        ends::recall(&host, &reader, &loaded.managers).map_err(StartError::Store)?;
        memory::recall(&reader, &detectors).map_err(StartError::Store)?;
        for line in &report.messages {
            log::warn!("store: {line}");
        }
        Ok(Self {
            detectors,
            dry_run: options.dry_run,
            timing: options.timing,
            started_at: now,
            work: Bell::default(),
            poke: Bell::default(),
            courier: Bell::default(),
            halt: Bell::default(),
            config_file: options.config_file.clone(),
            config_named: options.config_named,
            state_dir: options.state_dir.clone(),
            loaded: RwLock::new(Arc::new(loaded)),
            stop: Arc::new(AtomicBool::new(false)),
            journal: AtomicBool::new(false),
            manager: AtomicBool::new(false),
            held: AtomicBool::new(true),
            disruptive: Mutex::new(()),
            awaited: Mutex::default(),
            suspects: Mutex::default(),
            voices: Mutex::default(),
            stopped: Mutex::default(),
            storm: Mutex::default(),
            habits: Mutex::default(),
            safe_start: OnceLock::new(),
            windows: Mutex::new(()),
            uplink: Uplink::default(),
            llm: Desk::default(),
            beats: Mutex::new(SortedMap::new()),
            backup_dir: state.join("backups"),
            #[cfg(test)]
            left_out: Mutex::default(),
            host,
            store,
        })
    }

    /// What is in force now; a step that began with it keeps it through a reload.
    pub fn loaded(&self) -> Arc<LoadedConfig> {
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Loads the configuration again; nothing changes on an error.
    pub fn reload(&self) -> Result<(), LoadError> {
        let mut config = loaded_config::config(&self.host, &self.config_file, self.config_named)?;
        if let Some(dir) = &self.state_dir {
            dir.clone_into(&mut config.daemon.state_dir);
        }
        self.take_over(config)
    }

    /// From the next step of each thread on `config` holds, with all that it names.
    pub(crate) fn take_over(&self, config: Config) -> Result<(), LoadError> {
        let fresh = Arc::new(LoadedConfig::load(&self.host, config)?);
        for old in &self.loaded().managers {
            let ends = old.ends();
            for new in fresh.managers.iter().filter(|new| new.name() == old.name()) {
                new.remember(&ends);
            }
        }
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        self.poke.ring();
        self.work.ring();
        self.courier.ring();
        Ok(())
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        for bell in [&self.work, &self.poke, &self.courier, &self.halt] {
            bell.ring();
        }
    }

    /// The safe start, while it lasts.
    pub(crate) fn safe_start(&self) -> Option<SafeStart> {
        self.safe_start
            .get()
            .filter(|safe| !safe.is_over())
            .copied()
    }

    pub(crate) fn starts_safely(&self, safe: SafeStart) {
        // Said once, at the start.
        let _ = self.safe_start.set(safe);
    }

    /// A thread says that it is alive.
    pub fn beat(&self, thread: &str) {
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        match beats.get_mut(thread) {
            Some(at) => *at = Instant::now(),
            None => {
                beats.insert(thread.to_owned(), Instant::now());
            }
        }
    }

    /// A thread ends; no more signs of life are expected of it.
    pub(crate) fn ends(&self, thread: &str) {
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.remove(thread);
    }

    pub(crate) fn all_threads_alive(&self, stuck_after: Duration) -> bool {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck: Vec<&String> = beats
            .iter()
            .filter(|(_, at)| at.elapsed() > stuck_after)
            .map(|(name, _)| name)
            .collect();
        if !stuck.is_empty() {
            log::error!("no sign of life from: {stuck:?}");
        }
        stuck.is_empty()
    }

    /// True while something tells of units that change, so that they need not be polled.
    pub(crate) fn hears_of_units(&self) -> bool {
        self.journal_followed() || self.manager.load(Ordering::Relaxed)
    }

    pub(crate) fn set_manager_followed(&self, followed: bool) {
        self.manager.store(followed, Ordering::Relaxed);
    }

    /// True while the journal is read.
    pub fn journal_followed(&self) -> bool {
        self.journal.load(Ordering::Relaxed)
    }

    pub(crate) fn set_journal_followed(&self, followed: bool) {
        self.journal.store(followed, Ordering::Relaxed);
    }

    /// `units` told that a port was taken.
    pub fn suspect(&self, units: Vec<String>, now: Timestamp) {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        units.into_iter().for_each(|unit| suspects.add(unit, now));
    }

    pub(crate) fn suspects(&self) -> Suspects {
        let suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.clone()
    }

    /// `units` wrote to the journal.
    pub(crate) fn hear(&self, units: &SortedSet<String>, now: Timestamp) {
        let mut voices = self.voices.lock().unwrap_or_else(PoisonError::into_inner);
        units.iter().for_each(|unit| voices.hear(unit, now));
    }

    /// Units whose log went silent against their habit.
    pub(crate) fn silent(&self, now: Timestamp) -> Vec<SilentUnit> {
        let voices = self.voices.lock().unwrap_or_else(PoisonError::into_inner);
        voices.silent(now)
    }

    /// This daemon as the gates know it.
    fn life(&self) -> Life {
        Life {
            started_at: Some(self.started_at),
            dry_run: self.dry_run,
        }
    }

    /// Why no repair is made now, whatever the task.
    pub(crate) fn paused(&self, loaded: &LoadedConfig) -> Vec<Closed> {
        // An unreadable store is told elsewhere; what humans ordered by it is not known then.
        let reader = self
            .store
            .reader()
            .and_then(|reader| StoreFacts::of(&reader));
        let store = reader.unwrap_or_default();
        host_facts::paused(&self.host, &loaded.config, self.life(), store)
    }

    /// Humans want nothing repaired now: by the kill switch or a maintenance window.
    pub(crate) fn held_by_humans(&self, loaded: &LoadedConfig) -> bool {
        let by_humans = |reason: &Reason| match reason.gate() {
            Some(gate) => matches!(gate, Gate::KillSwitch | Gate::Maintenance),
            None => false,
        };
        self.paused(loaded).iter().any(|one| by_humans(&one.reason))
    }

    /// True once after humans let go of it.
    pub(crate) fn let_go(&self, loaded: &LoadedConfig) -> bool {
        let held = self.held_by_humans(loaded);
        self.held.swap(held, Ordering::Relaxed) && !held
    }

    /// What the gates ask of the host, read now.
    pub fn host_facts(&self, loaded: &LoadedConfig) -> Result<HostFacts, StoreError> {
        let store = StoreFacts::of(&self.store.reader()?)?;
        let life = self.life();
        Ok(host_facts::host_facts(
            &self.host,
            &loaded.config,
            life,
            store,
        ))
    }

    /// The host's slot for disruptive actions; `None` while another one is running.
    pub fn slot(&self, kind: ActionKind) -> Option<Option<MutexGuard<'_, ()>>> {
        if !kind.is_disruptive() {
            return Some(None);
        }
        match self.disruptive.try_lock() {
            Ok(guard) => Some(Some(guard)),
            Err(TryLockError::Poisoned(poisoned)) => Some(Some(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(crate) fn action_context<'a>(
        &'a self,
        loaded: &'a LoadedConfig,
        healthy: &'a HealthyUnits,
    ) -> ActionContext<'a> {
        ActionContext {
            host: &self.host,
            config: &loaded.config,
            managers: &loaded.managers,
            backup_dir: &self.backup_dir,
            healthy,
        }
    }

    /// Where actions keep what they change.
    pub fn backup_dir(&self) -> &Path {
        &self.backup_dir
    }

    pub(crate) fn host_name(&self, loaded: &LoadedConfig) -> String {
        crate::host::boot::host_name(&self.host, &loaded.config.daemon.host_name)
    }

    pub(crate) fn close(
        &self,
        task: &Task,
        resolution: Resolution,
        message: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let message = message.to_owned();
        self.store.transition(
            task.id,
            Transition::Close {
                resolution,
                message,
            },
            actor,
            now,
        )?;
        self.courier.ring();
        Ok(())
    }
}

/// Where the store is and its bounds, from the configuration.
pub fn store_options(host: &Host, config: &Config) -> StoreOptions {
    StoreOptions {
        busy_timeout: Duration::from_millis(u64::from(config.store.busy_timeout_ms)),
        ballast_bytes: u64::from(config.store.ballast_kib) << 10,
        retain_days: config.store.retain_days,
        max_bytes: u64::from(config.store.max_mib) << 20,
        backup_every: Duration::from_secs(u64::from(config.store.backup_hours) * 3_600),
        ..StoreOptions::at(host.path(&config.daemon.state_dir).join("tasks.db"))
    }
}
