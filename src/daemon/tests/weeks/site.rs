//! The site of the four weeks: its units, what breaks them, and what alone repairs each.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use super::super::gateway::{Gateway, START, UNIT};
use super::super::simulation::Random;
use super::super::units::{DROP_IN, OnStart, Units};
use crate::bundle;
use crate::core::config::{Config, DeclaredCommand, Mode, Probe};
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::host::exec::scripted::{Answer, fails, says};
use crate::store::Intake;

const HOUR: Duration = Duration::from_secs(3_600);
pub const DAY: Duration = Duration::from_secs(24 * 3_600);
pub const WEEK: Duration = Duration::from_secs(7 * 24 * 3_600);
pub const WEEKS: usize = 4;
/// From this day on something else repairs what changes: half-way.
const CHANGES_ON: u32 = 14;
/// A device that went away comes back after this time.
const AWAY: Duration = Duration::from_secs(40);
/// Somebody repairs what is broken after this time.
const HUMAN_AFTER: Duration = Duration::from_secs(3 * 3_600);

const MEND: &str = "/usr/local/bin/mend";
const CHECK: &str = "/usr/local/bin/check";
const FRAGMENT: &str = "/etc/systemd/system/app.service";
const PROBE: &str = "panel";
const PANEL: &str = "panel.service";

/// What alone ends a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// Any start.
    Start,
    /// A start after the failures that systemd counted were forgotten; until then it refuses each.
    Reset,
    /// The operator's command, which starts the unit itself; after a mere start it fails at once.
    Command,
    /// The command for two weeks, from then on a start.
    Changes,
    /// A start once the device is back.
    Device,
    /// A restart of what runs and answers nothing.
    Restart,
    /// The program's new place, which the operator's map in the bundle tells.
    Place,
    /// Nothing; it is over by itself.
    Itself,
    /// A human.
    Human,
}

/// One kind of fault that comes back.
#[derive(Debug)]
pub struct Kind {
    pub what: &'static str,
    /// What its tasks are about.
    pub subject: &'static str,
    ends: Ends,
    per_week: u32,
}

const fn kind(what: &'static str, subject: &'static str, ends: Ends, per_week: u32) -> Kind {
    Kind {
        what,
        subject,
        ends,
        per_week,
    }
}

/// The same kinds as often in each week: weeks differ in their order and hours alone.
pub const KINDS: &[Kind] = &[
    kind("killed", "broker.service", Ends::Start, 4),
    kind("ends cleanly", "printer.service", Ends::Start, 2),
    kind(
        "start limit, book of two starts",
        "poller.service",
        Ends::Reset,
        3,
    ),
    kind(
        "a start, then a command; the command holds",
        "modem.service",
        Ends::Command,
        3,
    ),
    kind(
        "the same, but a start holds from week 3 on",
        "scanner.service",
        Ends::Changes,
        3,
    ),
    kind(
        "the same, both after research",
        "index.service",
        Ends::Command,
        3,
    ),
    kind(
        "start limit, both after research, a README tells",
        "queue.service",
        Ends::Reset,
        3,
    ),
    kind(
        "its device is away for 40 s",
        "camera.service",
        Ends::Device,
        2,
    ),
    kind("hangs; a probe tells", PROBE, Ends::Restart, 3),
    kind("its program moved, a map tells", UNIT, Ends::Place, 1),
    kind("a line; over by itself", "line.service", Ends::Itself, 3),
    kind("nothing repairs it", "licence.service", Ends::Human, 1),
];

/// What the operator wrote: which actions may be tried, in which order. None of it says which one holds.
const BOOKS: &str = r#"
[[runbook]]
id = "poller"
class = ["service_failed"]
subject = ["poller.service"]
[[runbook.step]]
action = "restart_unit"
phase = 1
[[runbook.step]]
action = "reset_failed_start"
phase = 1

[[runbook]]
id = "start-or-mend"
class = ["service_failed"]
subject = ["modem.service", "scanner.service"]
[[runbook.step]]
action = "reset_failed_start"
phase = 1
[[runbook.step]]
action = "run_declared"
phase = 1
command = "mend"

[[runbook]]
id = "index"
class = ["service_failed"]
subject = ["index.service"]
[[runbook.step]]
action = "reset_failed_start"
phase = 2
[[runbook.step]]
action = "run_declared"
phase = 2
command = "mend"

[[runbook]]
id = "queue"
class = ["service_failed"]
subject = ["queue.service"]
[[runbook.step]]
action = "restart_unit"
phase = 2
[[runbook.step]]
action = "reset_failed_start"
phase = 2
"#;

const README: &str = "# The queue\n\nqueue.service gives up after five failed starts and refuses each further one. \
    `systemctl reset-failed queue.service` makes it forget them; then it starts.\n";

/// Which deed repairs a unit now.
type Remedies = Arc<Mutex<SortedMap<String, Ends>>>;

/// What lies outside of the program.
pub struct Site {
    pub gateway: Gateway,
    remedies: Remedies,
    /// The panel runs and answers nothing.
    hangs: Arc<AtomicBool>,
    /// Releases so far of the program that moves.
    release: u32,
}

/// Something that happens to the site.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The fault of this number begins.
    Breaks(usize),
    /// The device of a unit is back.
    DeviceBack(&'static str),
    /// Somebody comes and repairs what is still broken.
    Human(usize),
    Midnight,
}

/// When each fault of the four weeks begins, and of which kind it is.
pub fn schedule(seed: u64) -> Vec<(Timestamp, &'static Kind)> {
    let mut random = Random::new(seed);
    let mut faults = Vec::new();
    for week in 0..WEEKS {
        for kind in KINDS {
            // One a day at most of each kind: what returns thrice within a day is told for that.
            let mut days: Vec<u64> = (0..7).collect();
            for _ in 0..kind.per_week {
                let place = usize::try_from(random.below(days.len() as u64)).unwrap();
                let day = days.remove(place);
                let second = random.below(20 * 3_600);
                let at = START
                    .plus(WEEK * u32::try_from(week).unwrap())
                    .plus(Duration::from_secs(day * 24 * 3_600 + second));
                faults.push((at, kind));
            }
        }
    }
    faults.sort_by_key(|(at, kind)| (*at, kind.subject));
    faults
}

impl Site {
    pub fn new(with_bundle: bool, set: impl FnOnce(&mut Config)) -> Self {
        let files = [("etc/autonomous-orchestrator/runbooks.d/own.toml", BOOKS)];
        let gateway = Gateway::at(START, &files, |config| {
            config.mode.medium = Mode::Auto;
            config.command.push(DeclaredCommand {
                name: "mend".to_owned(),
                argv: vec![MEND.to_owned()],
                risk: "low".to_owned(),
                user: "root".to_owned(),
                ..DeclaredCommand::default()
            });
            config.probe.push(Probe {
                name: PROBE.to_owned(),
                command: vec![CHECK.to_owned()],
                unit: PANEL.to_owned(),
                ..Probe::default()
            });
            set(config);
        });
        let site = Self {
            gateway,
            remedies: Remedies::default(),
            hangs: Arc::default(),
            release: 0,
        };
        site.build();
        if with_bundle {
            site.bundle();
        }
        let config = site.gateway.runtime.loaded().config.clone();
        site.gateway.runtime.take_over(config).unwrap();
        site
    }

    /// All is well and as old as the hills.
    fn build(&self) {
        let units = KINDS.iter().map(|kind| kind.subject);
        for unit in units.filter(|name| *name != PROBE).chain([PANEL]) {
            self.gateway.units.put(unit, "active");
            let path = format!("/etc/systemd/system/{unit}");
            self.written(
                &path,
                "[Service]\nExecStart=/usr/bin/true\n",
                START.minus(30 * DAY),
            );
        }
        self.gateway.program("/usr/bin/true");
        self.gateway.program(&moved(0));
        self.installed(&moved(0), START.minus(30 * DAY));
        self.gateway.program(MEND);
        self.gateway.program(CHECK);
        self.serve();
    }

    /// What the operator knows: the documents of the site, and where programs moved.
    fn bundle(&self) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("docs")).unwrap();
        std::fs::write(at("docs/README.md"), README).unwrap();
        let releases = 1..=u32::try_from(WEEKS).unwrap();
        let moves = releases.map(|one| format!("{} -> {}\n", named(one), moved(one)));
        std::fs::write(at("moves"), moves.collect::<String>()).unwrap();
        let options = bundle::BuildOptions {
            out: self
                .gateway
                .dir
                .path()
                .join("var/lib/autonomous-orchestrator/knowledge.bundle"),
            inputs: vec![at("docs")],
            snippets: Vec::new(),
            repositories: Vec::new(),
            path_map: Some(at("moves")),
            scope: None,
            without_knowledge: true,
        };
        bundle::build(&options, &mut |_| {}).unwrap();
    }

    /// What the commands of the site do.
    fn serve(&self) {
        let (units, remedies) = (self.gateway.units.clone(), self.remedies.clone());
        self.gateway
            .script
            .on("systemctl reset-failed", move |words| {
                let name = words.last().copied().unwrap_or_default();
                if remedies.lock().unwrap().get(name) == Some(&Ends::Reset) {
                    units.change(name, |unit| unit.on_start = OnStart::Runs);
                }
                says("")
            });
        let (units, hangs) = (self.gateway.units.clone(), self.hangs.clone());
        let clock = Arc::clone(&self.gateway.runtime.host.clock);
        self.gateway.script.on("systemctl restart", move |words| {
            if words.last() == Some(&PANEL) {
                hangs.store(false, Ordering::Relaxed);
            }
            units.order(words, &clock)
        });
        let (units, remedies) = (self.gateway.units.clone(), self.remedies.clone());
        let hangs = self.hangs.clone();
        let run = move |words: &[&str]| {
            if !words.contains(&CHECK) {
                return declared(&units, &remedies, words);
            }
            match hangs.load(Ordering::Relaxed) {
                true => fails(2, "CRITICAL: no answer within 5 s"),
                false => says("OK"),
            }
        };
        // As root in a transient unit, else directly.
        for start in ["systemd-run", MEND, CHECK] {
            self.gateway.script.on(start, run.clone());
        }
    }

    fn written(&self, path: &str, text: &str, at: Timestamp) {
        self.gateway.write(path, text);
        let file = self.gateway.dir.path().join(path.trim_start_matches('/'));
        let since = Duration::from_millis(u64::try_from(at.as_millis()).unwrap());
        let file = File::options().append(true).open(file).unwrap();
        file.set_modified(UNIX_EPOCH + since).unwrap();
    }

    /// The unit file names this program.
    fn installed(&self, program: &str, at: Timestamp) {
        let text = format!("[Service]\nExecStart={program}\n");
        self.written(FRAGMENT, &text, at);
        self.gateway.units.put(UNIT, "active");
        self.gateway
            .units
            .change(UNIT, |unit| FRAGMENT.clone_into(&mut unit.fragment));
    }

    /// A fault begins; what else will come of it, and when.
    pub fn breaks(&mut self, kind: &'static Kind, now: Timestamp) -> Vec<(Timestamp, Event)> {
        let (unit, units) = (kind.subject, self.gateway.units.clone());
        let mut ends = kind.ends;
        if ends == Ends::Changes {
            let changed = now >= START.plus(DAY * CHANGES_ON);
            ends = if changed { Ends::Start } else { Ends::Command };
        }
        self.remedies.lock().unwrap().insert(unit.to_owned(), ends);
        let mut later = Vec::new();
        match ends {
            Ends::Start if kind.what == "ends cleanly" => self.gateway.ends_by_itself(unit),
            Ends::Start => units.fail(unit, OnStart::Runs),
            Ends::Reset => units.fail(unit, OnStart::Refused),
            Ends::Command | Ends::Changes | Ends::Human => units.fail(unit, OnStart::Fails),
            Ends::Device => {
                units.fail(unit, OnStart::Fails);
                later.push((now.plus(AWAY), Event::DeviceBack(unit)));
            }
            Ends::Restart => self.hangs.store(true, Ordering::Relaxed),
            Ends::Place => {
                if self.gateway.exists(DROP_IN) {
                    self.gateway.remove(DROP_IN);
                }
                self.release += 1;
                self.installed(&named(self.release), now.minus(HOUR));
                self.gateway.program(&moved(self.release));
            }
            Ends::Itself => self.line(unit, now),
        }
        later
    }

    fn line(&self, unit: &str, now: Timestamp) {
        let severity = Severity::Error;
        let finding = Finding::new(Class::LogError, unit, severity, "it broke", "journal", now);
        let batch = Intake {
            findings: vec![finding],
            cursor: None,
        };
        self.gateway.runtime.store.intake(batch, now).unwrap();
    }

    pub fn device_is_back(&self, unit: &str) {
        self.gateway
            .units
            .change(unit, |unit| unit.on_start = OnStart::Runs);
    }

    /// True while what the fault broke does not work.
    pub fn is_broken(&self, kind: &Kind) -> bool {
        let state = self.gateway.units.lock();
        match kind.ends {
            Ends::Restart => self.hangs.load(Ordering::Relaxed),
            Ends::Place => !self.gateway.exists(DROP_IN) && !self.names_its_program(),
            Ends::Itself => false,
            Ends::Start
            | Ends::Reset
            | Ends::Command
            | Ends::Changes
            | Ends::Device
            | Ends::Human => state.units[kind.subject].active_state != "active",
        }
    }

    fn names_its_program(&self) -> bool {
        let text = self.gateway.runtime.host.read(FRAGMENT, 1_000).unwrap();
        text.contains(&moved(self.release))
    }

    /// Somebody repairs it.
    pub fn repaired(&self, kind: &Kind, now: Timestamp) {
        match kind.ends {
            Ends::Restart => self.hangs.store(false, Ordering::Relaxed),
            Ends::Place => self.installed(&moved(self.release), now),
            Ends::Itself => {}
            Ends::Start
            | Ends::Reset
            | Ends::Command
            | Ends::Changes
            | Ends::Device
            | Ends::Human => self.gateway.units.put(kind.subject, "active"),
        }
    }
}

/// Where a release of the program lies by its unit file.
fn named(release: u32) -> String {
    format!("/opt/app/{release}/run")
}

/// Where it lies indeed.
fn moved(release: u32) -> String {
    format!("/opt/app/{release}/bin/run")
}

/// Days and hours at which somebody is there, one after each fault.
pub fn human(at: Timestamp) -> Timestamp {
    at.plus(HUMAN_AFTER)
}

/// The operator's command mends every unit that waits for it.
fn declared(units: &Units, remedies: &Remedies, words: &[&str]) -> Answer {
    assert!(words.contains(&MEND), "{words:?}");
    let remedies = remedies.lock().unwrap();
    for (name, _) in remedies.iter().filter(|(_, ends)| **ends == Ends::Command) {
        units.put(name, "active");
    }
    says("")
}
