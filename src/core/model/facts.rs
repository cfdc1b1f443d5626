//! The evidence of a finding: facts beside its message, which detectors establish and causes, runbooks,
//! actions and humans read. Written as typed facts, kept as text by name, as in the store.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::model::healthy::Proof;
use crate::core::model::named::named;
use crate::core::model::port::Port;
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;

named! {
    /// Name of a fact. The set is closed: what is not here can be neither written nor required.
    Key "fact" {
        Unit = "unit",
        Result = "result",
        /// `exited`, `killed`, `dumped`.
        ExitCode = "exit_code",
        /// Exit status, or the signal's number.
        ExitStatus = "exit_status",
        Restarts = "n_restarts",
        /// Crashes of a loop that is minutes slow.
        Crashes = "crashes",
        /// Seconds from the first of them to the last.
        CrashingFor = "crashing_for_s",
        /// Units without which this one does not run, separated by blanks.
        Requires = "requires",
        /// `yes` when the service manager refuses to start the unit again so soon.
        StartLimit = "start_limit",
        /// Unit file setting that names the path (`ExecStart`, `WorkingDirectory`, …).
        Setting = "setting",
        Path = "path",
        /// `yes` when the path is there, without the right to execute it.
        NotExecutable = "not_executable",
        /// Where the path was found to have moved to.
        MovedTo = "moved_to",
        /// How the new place is known.
        MovedHow = "moved_how",
        /// Something of the lost path's name, which nothing proves to be it.
        Namesake = "namesake",
        /// Transport and number, as in `tcp/8080`.
        Port = "port",
        HolderPid = "holder_pid",
        /// Start time of the holder in clock ticks since boot (`/proc/PID/stat` field 22).
        HolderStart = "holder_start",
        HolderCommand = "holder_command",
        HolderExe = "holder_exe",
        /// Unit the holder belongs to; absent when it belongs to none.
        HolderUnit = "holder_unit",
        /// Number of the user that the holder runs as.
        HolderUser = "holder_user",
        /// How the holder is known to be the unit's own leftover; absent when it is not.
        Leftover = "leftover",
        /// Why the holder is left alone.
        LeftAlone = "left_alone",
        /// Ended children that a process does not collect.
        Zombies = "zombies",
        Mount = "mount",
        Device = "device",
        UsedPercent = "used_percent",
        AvailableBytes = "available_bytes",
        /// Seconds until the file system is full, at the pace of the last ten minutes.
        FullIn = "full_in_s",
        /// Who holds deleted files open on the file system.
        DeletedOpen = "deleted_open",
        Probe = "probe",
        /// `no` when the probe never answered well since it was configured.
        WasGreen = "was_green",
        /// Until when what is asked may still be starting.
        StartingUntil = "starting_until",
        /// What else broke at the same time, separated by commas.
        FailedWith = "failed_with",
        /// Detectors that cannot look for one and the same reason.
        Detectors = "detectors",
        /// What the unit requires, each as `NAME=LOAD/ACTIVE`, separated by blanks.
        Needs = "needs",
        /// Settings of the unit's sandbox, one `Name=value` a line.
        Sandbox = "sandbox",
        /// The run of the unit that the lines are of, as its manager numbers it.
        Run = "run",
        /// `yes` when that run ended within a minute.
        ShortRun = "short_run",
        /// Lines of the unit's last run, newest first.
        Log = "log",
        /// The container's id, as its engine gives it; absent where a restart is nobody's to try.
        Container = "container",
        /// The Compose project that the container is of.
        Project = "project",
        /// `yes` when the container ran well for long in this run and needs nothing that is down; else what speaks against it.
        Proven = "proven",
        /// Status of an HTTP answer that is a wrong one.
        Answered = "answered",
        /// The first broken stage of the way out.
        Stage = "stage",
        /// The cause that the stage names.
        StageCause = "stage_cause",
        /// What is wrong there, for a human.
        StageSays = "stage_says",
        /// Networks that this host is in itself, as `10.0.0.0/24`, separated by blanks.
        Networks = "networks",
        /// `yes` when a line states no level and no errno: its words alone tell of a fault.
        OnlyWords = "only_words",
    }
}

/// How the new place of a path is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MovedHow<'a> {
    /// A document or a commit in the bundle tells of the move: the citation. Whoever could write it could say
    /// anything.
    Bundle(&'a str),
    /// The operator's own map of moves: the citation.
    Map(&'a str),
    /// A record says so: a rename in git, the package that ships the unit. The citation.
    Record(&'a str),
    /// The very file that stood at the old place.
    SameFile,
    /// The very content of the lost file, made after that was last seen.
    SameContent,
}

const YES: &str = "yes";
const NO: &str = "no";
const TOLD: &str = "bundle: ";

impl fmt::Display for MovedHow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundle(citation) => write!(f, "{TOLD}{citation}"),
            Self::Map(citation) => write!(f, "map: {citation}"),
            Self::Record(citation) => write!(f, "record: {citation}"),
            Self::SameFile => f.write_str("same file"),
            Self::SameContent => f.write_str("same content"),
        }
    }
}

/// The process that is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder<'a> {
    /// May be another process by now: only with `start_ticks` is it the same.
    pub pid: u32,
    /// In clock ticks since boot.
    pub start_ticks: u64,
    /// Command line; empty when it could not be read.
    pub command: &'a str,
    /// Empty when it could not be read.
    pub exe: &'a str,
}

/// One fact, as it is established. An empty text is no fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact<'a> {
    /// The one that it is about, as its service manager names it.
    Unit(&'a str),
    /// Why the unit failed, in systemd's word: `exit-code`, `oom-kill`, `start-limit-hit`…
    Result(&'a str),
    /// How its main process ended.
    Exit {
        /// `exited`, `killed` or `dumped`.
        code: &'a str,
        /// Exit status, or the signal's number.
        status: i32,
    },
    /// How often the service manager started the unit again by itself.
    Restarts(u32),
    /// It crashes again and again, minutes apart.
    Crashing {
        /// So often.
        times: u32,
        /// From the first to the last; whole seconds are kept.
        span: Duration,
    },
    /// Units without which this one does not run, separated by blanks.
    Requires(&'a str),
    /// The service manager refuses to start the unit again so soon.
    StartLimit,
    /// Unit file setting that names the path.
    Setting(&'a str),
    /// Absolute, as the host names it.
    Path(&'a str),
    /// The path is there, without the right to execute it.
    NotExecutable,
    /// Where the path is now.
    Moved {
        /// Absolute, as the host names it.
        to: &'a str,
        /// Decides whether it may be relied on.
        how: MovedHow<'a>,
    },
    /// Something of the lost path's name that may be anything: a backup, another release. For a human.
    Namesake(&'a str),
    /// The one that cannot be had, or does not answer.
    Port(Port),
    /// Who is in the way.
    Holder(Holder<'a>),
    /// Unit that the holder belongs to; left out when it belongs to none.
    HolderUnit(&'a str),
    /// The user that the holder runs as.
    HolderUser(u32),
    /// The holder is the unit's own: the proof.
    Leftover(Proof),
    /// The holder is not known to be the unit's own: why.
    LeftAlone(&'a str),
    /// So many ended children, which their parent does not collect.
    Zombies(usize),
    /// Mount point.
    Mount(&'a str),
    /// Block device, network interface or thermal zone.
    Device(&'a str),
    /// Of the bytes or inodes, 0..=100.
    UsedPercent(u8),
    /// To whoever is not root; of memory, what could be had without swapping.
    AvailableBytes(u64),
    /// Time until the file system is full at the present pace; whole seconds are kept.
    FullIn(Duration),
    /// Who holds deleted files open, and how much, for a human.
    DeletedOpen(&'a str),
    /// Name of the operator's probe.
    Probe(&'a str),
    /// The probe answered well at least once since it was configured.
    WasGreen(bool),
    /// What the probe asks was started a moment ago, and is given until then.
    StartingUntil(Timestamp),
    /// What else broke at the same time, separated by commas: for a human.
    FailedWith(&'a str),
    /// Names of the detectors that cannot look, separated by blanks.
    Detectors(&'a str),
    /// What the unit requires, each as `NAME=LOAD/ACTIVE`, separated by blanks.
    Needs(&'a str),
    /// Settings of the unit's sandbox, one `Name=value` a line.
    Sandbox(&'a str),
    /// The run of the unit that the lines are of, as its manager numbers it.
    Run(&'a str),
    /// That run ended within a minute.
    ShortRun,
    /// Lines of the unit's last run, newest first, separated by newlines.
    Log(&'a str),
    /// The container's id, as its engine gives it.
    Container(&'a str),
    /// The Compose project that the container is of.
    Project(&'a str),
    /// The container ran well for long in this run; else what speaks against it.
    Proven(Result<(), &'a str>),
    /// Status of an HTTP answer that is a wrong one.
    Answered(u16),
    /// A line states no level and no errno: its words alone tell of a fault.
    OnlyWords,
    /// The first broken stage of the way out, by their stored names.
    Broken {
        /// Of the way out.
        stage: &'a str,
        /// That the stage names.
        cause: &'a str,
        /// For a human.
        says: &'a str,
    },
    /// Networks that this host is in itself, as `10.0.0.0/24`, separated by blanks.
    Networks(&'a str),
}

/// Facts by name. Rows of other versions, and adopted ones, may hold names that are no `Key`: those are
/// kept and shown, and nothing reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts(SortedMap<String, String>);

impl Facts {
    pub(crate) fn add(&mut self, fact: Fact<'_>) {
        match fact {
            Fact::Unit(unit) => self.put(Key::Unit, unit),
            Fact::Result(result) => self.put(Key::Result, result),
            Fact::Exit { code, status } => {
                self.put(Key::ExitCode, code);
                self.put(Key::ExitStatus, status.to_string());
            }
            Fact::Restarts(times) => self.put(Key::Restarts, times.to_string()),
            Fact::Crashing { times, span } => {
                self.put(Key::Crashes, times.to_string());
                self.put(Key::CrashingFor, span.as_secs().to_string());
            }
            Fact::Requires(units) => self.put(Key::Requires, units),
            Fact::StartLimit => self.put(Key::StartLimit, YES),
            Fact::Setting(setting) => self.put(Key::Setting, setting),
            Fact::Path(path) => self.put(Key::Path, path),
            Fact::NotExecutable => self.put(Key::NotExecutable, YES),
            Fact::Moved { to, how } => {
                self.put(Key::MovedTo, to);
                self.put(Key::MovedHow, how.to_string());
            }
            Fact::Namesake(path) => self.put(Key::Namesake, path),
            Fact::Port(port) => self.put(Key::Port, port.to_string()),
            Fact::Holder(holder) => {
                self.put(Key::HolderPid, holder.pid.to_string());
                self.put(Key::HolderStart, holder.start_ticks.to_string());
                self.put(Key::HolderCommand, holder.command);
                self.put(Key::HolderExe, holder.exe);
            }
            Fact::HolderUnit(unit) => self.put(Key::HolderUnit, unit),
            Fact::HolderUser(user) => self.put(Key::HolderUser, user.to_string()),
            Fact::Leftover(proof) => self.put(Key::Leftover, proof.to_string()),
            Fact::LeftAlone(why) => self.put(Key::LeftAlone, why),
            Fact::Zombies(count) => self.put(Key::Zombies, count.to_string()),
            Fact::Mount(point) => self.put(Key::Mount, point),
            Fact::Device(device) => self.put(Key::Device, device),
            Fact::UsedPercent(percent) => self.put(Key::UsedPercent, percent.to_string()),
            Fact::AvailableBytes(bytes) => self.put(Key::AvailableBytes, bytes.to_string()),
            Fact::FullIn(span) => self.put(Key::FullIn, span.as_secs().to_string()),
            Fact::DeletedOpen(holder) => self.put(Key::DeletedOpen, holder),
            Fact::Probe(name) => self.put(Key::Probe, name),
            Fact::WasGreen(was) => self.put(Key::WasGreen, if was { YES } else { NO }),
            Fact::StartingUntil(at) => self.put(Key::StartingUntil, at.to_string()),
            Fact::FailedWith(others) => self.put(Key::FailedWith, others),
            Fact::Detectors(names) => self.put(Key::Detectors, names),
            Fact::Needs(units) => self.put(Key::Needs, units),
            Fact::Sandbox(settings) => self.put(Key::Sandbox, settings),
            Fact::Run(run) => self.put(Key::Run, run),
            Fact::ShortRun => self.put(Key::ShortRun, YES),
            Fact::Log(lines) => self.put(Key::Log, lines),
            Fact::Container(id) => self.put(Key::Container, id),
            Fact::Project(name) => self.put(Key::Project, name),
            Fact::Answered(status) => self.put(Key::Answered, status.to_string()),
            Fact::Proven(proven) => self.put(Key::Proven, proven.err().unwrap_or(YES)),
            Fact::OnlyWords => self.put(Key::OnlyWords, YES),
            Fact::Broken { stage, cause, says } => {
                self.put(Key::Stage, stage);
                self.put(Key::StageCause, cause);
                self.put(Key::StageSays, says);
            }
            Fact::Networks(networks) => self.put(Key::Networks, networks),
        }
    }

    fn put(&mut self, key: Key, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.insert(key.as_str().to_owned(), value);
        }
    }

    /// The fact as it is written.
    pub fn text(&self, key: Key) -> Option<&str> {
        self.0.get(key.as_str()).map(String::as_str)
    }

    pub(crate) fn forget(&mut self, key: Key) {
        self.0.remove(key.as_str());
    }

    fn parsed<T: FromStr>(&self, key: Key) -> Option<T> {
        self.text(key)?.parse().ok()
    }

    pub(crate) fn exit_status(&self) -> Option<i32> {
        self.parsed(Key::ExitStatus)
    }

    /// For how long it has crashed again and again, minutes apart.
    pub fn crashing_for(&self) -> Option<Duration> {
        self.parsed(Key::CrashingFor).map(Duration::from_secs)
    }

    /// True when a line states no level and no errno: its words alone tell.
    pub fn only_words(&self) -> bool {
        self.text(Key::OnlyWords) == Some(YES)
    }

    /// True of a container that is known to have worked in this run.
    pub(crate) fn is_proven(&self) -> bool {
        self.text(Key::Proven) == Some(YES)
    }

    /// True when the service manager refuses to start the unit again so soon.
    pub fn start_limit(&self) -> bool {
        self.text(Key::StartLimit) == Some(YES)
    }

    /// True of a probe that never answered well: it proves nothing.
    pub(crate) fn was_never_green(&self) -> bool {
        self.text(Key::WasGreen) == Some(NO)
    }

    /// Until when what is asked may still be starting.
    pub fn starting_until(&self) -> Option<Timestamp> {
        self.parsed(Key::StartingUntil)
    }

    /// True when the unit does not run without `other`.
    pub(crate) fn requires(&self, other: &str) -> bool {
        let mut units = self.text(Key::Requires).unwrap_or("").split(' ');
        units.any(|unit| unit == other)
    }

    /// True when only a document tells of the new place.
    pub fn moved_is_told(&self) -> bool {
        self.text(Key::MovedHow)
            .is_some_and(|how| how.starts_with(TOLD))
    }

    pub(crate) fn port(&self) -> Option<Port> {
        self.parsed(Key::Port)
    }

    /// The process that is in the way, when it is known well enough to find it again.
    pub fn holder(&self) -> Option<Holder<'_>> {
        Some(Holder {
            pid: self.parsed(Key::HolderPid)?,
            start_ticks: self.parsed(Key::HolderStart)?,
            command: self.text(Key::HolderCommand).unwrap_or(""),
            exe: self.text(Key::HolderExe).unwrap_or(""),
        })
    }

    /// What the unit requires that is not as it should be: its name, and whether it exists at all. A service that ended
    /// well is no lack: a mount or a device that is not there is.
    pub fn unmet(&self) -> impl Iterator<Item = (&str, bool)> {
        let needs = self.text(Key::Needs).unwrap_or("").split(' ');
        needs.filter_map(|need| {
            let (name, state) = need.rsplit_once('=')?;
            let (load, active) = state.split_once('/')?;
            let is_thing = name.ends_with(".device") || name.ends_with(".mount");
            let is_there = load == "loaded" && !(name.ends_with(".device") && active != "active");
            let is_down = active == "failed" || active == "inactive" && is_thing;
            (!is_there || is_down).then_some((name, is_there))
        })
    }

    /// Lines of the unit's last run, newest first.
    pub fn log(&self) -> std::str::Lines<'_> {
        self.text(Key::Log).unwrap_or("").lines()
    }

    /// Takes from `other` what is not known here.
    pub fn complete(&mut self, other: &Self) {
        for (name, value) in &other.0 {
            if !self.0.contains_key(name) {
                self.0.insert(name.clone(), value.clone());
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and texts in the order of the names, for a human.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests;
