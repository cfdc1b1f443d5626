//! systemd by script: units in a map, with the answers of `systemctl` and `journalctl` about them.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::core::model::sorted::SortedMap;
use crate::host::clock::Clock;
use crate::host::exec::scripted::{Answer, Scripted, fails, hangs, says};

/// Where this program puts the new place of a program.
pub const DROP_IN: &str =
    "/etc/systemd/system/app.service.d/50-autonomous-orchestrator-execstart.conf";

/// What comes of an order to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStart {
    Runs,
    /// It runs, and its manager says since when, in microseconds since boot.
    RunsSince(u64),
    /// systemd refuses the order.
    Refused,
    /// The order is accepted and the unit fails at once.
    Fails,
    /// It runs, and systemd answers no question from then on.
    ThenSilence,
    /// The order is accepted and nothing comes of it.
    Skips,
    /// The order is accepted and the unit is starting from then on.
    TakesItsTime,
    /// The order does not come back within its time.
    Hangs,
}

/// How systemd answers questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    Well,
    /// Every question is refused.
    Denied,
    /// Every question hangs to its deadline.
    Hang,
}

#[derive(Clone, Debug)]
pub struct Unit {
    pub active_state: &'static str,
    pub result: &'static str,
    pub exit_status: u8,
    /// What wants it.
    pub wanted_by: &'static str,
    /// It cannot run beside this one.
    pub conflicts: &'static str,
    /// `enabled`, `disabled`, `masked`.
    pub file_state: &'static str,
    /// Its file is there.
    pub is_there: bool,
    pub fragment: String,
    /// Units that it requires, separated by blanks.
    pub requires: &'static str,
    /// The drop-in of this program is in effect.
    pub drop_in: bool,
    /// Its conditions were met at its last start.
    pub condition_result: bool,
    pub on_start: OnStart,
    /// Microseconds since boot; 0 where the manager does not say.
    pub started_us: u64,
    /// The same of its end.
    pub stopped_us: u64,
    /// Number of its last run; 0 where the manager does not say.
    pub run: u64,
    /// What it says at each run.
    pub says: &'static str,
}

#[derive(Debug)]
pub struct State {
    pub units: SortedMap<String, Unit>,
    pub answers: Answers,
    /// What it says of itself as a whole.
    pub manager: &'static str,
}

/// The scripted systemd of one host.
#[derive(Clone, Debug)]
pub struct Units(Arc<Mutex<State>>);

impl Units {
    pub fn new() -> Self {
        let units = Self(Arc::new(Mutex::new(State {
            units: SortedMap::new(),
            answers: Answers::Well,
            manager: "running",
        })));
        units.put("multi-user.target", "active");
        units
    }

    /// Answers the commands of one process of this program; the units outlive it.
    pub fn serve(&self, script: &Scripted, root: &Path, clock: &Arc<Clock>) {
        let (shown, ordered) = (self.clone(), self.clone());
        script.on("systemctl show", move |words| shown.show(words));
        for order in ["start", "restart", "stop"] {
            let (ordered, clock) = (ordered.clone(), Arc::clone(clock));
            script.on(&format!("systemctl {order}"), move |words| {
                ordered.order(words, &clock)
            });
        }
        script.on("systemctl reset-failed", |_| says(""));
        let (reloaded, drop_in) = (self.clone(), root.join(DROP_IN.trim_start_matches('/')));
        script.on("systemctl daemon-reload", move |_| {
            let there = drop_in.exists();
            for unit in reloaded.lock().units.values_mut() {
                unit.drop_in = there && !unit.fragment.is_empty();
            }
            says("")
        });
        let read = self.clone();
        script.on("journalctl", move |words| read.journal(words));
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A unit in this state, whose start will do what it should.
    pub fn put(&self, name: &str, active_state: &'static str) {
        let result = if active_state == "failed" {
            "exit-code"
        } else {
            "success"
        };
        let unit = Unit {
            active_state,
            result,
            exit_status: 1,
            wanted_by: "multi-user.target",
            conflicts: "",
            file_state: "enabled",
            is_there: true,
            fragment: String::new(),
            requires: "",
            drop_in: false,
            condition_result: true,
            on_start: OnStart::Runs,
            started_us: 0,
            stopped_us: 5,
            run: 0,
            says: "",
        };
        self.lock().units.insert(name.to_owned(), unit);
    }

    /// A failed unit, and what will come of its start.
    pub fn fail(&self, name: &str, on_start: OnStart) {
        self.put(name, "failed");
        self.change(name, |unit| unit.on_start = on_start);
    }

    /// A unit that failed, says why, and says it again at each start.
    pub fn fail_saying(&self, name: &str, says: &'static str) {
        self.fail(name, OnStart::Fails);
        let run = self.next_run();
        self.change(name, |unit| (unit.run, unit.says) = (run, says));
    }

    fn next_run(&self) -> u64 {
        let state = self.lock();
        state.units.values().map(|unit| unit.run).max().unwrap_or(0) + 1
    }

    /// The lines of a run, or of a unit.
    fn journal(&self, words: &[&str]) -> Answer {
        let state = self.lock();
        let asked = |name: &str, unit: &Unit| {
            let run = format!("_SYSTEMD_INVOCATION_ID={:032x}", unit.run);
            words.contains(&run.as_str()) || words.ends_with(&["-u", name])
        };
        let found = state.units.iter().find(|(name, unit)| asked(name, unit));
        says(found.map_or("", |(_, unit)| unit.says))
    }

    pub fn change(&self, name: &str, change: impl FnOnce(&mut Unit)) {
        change(self.lock().units.get_mut(name).unwrap());
    }

    pub fn answer(&self, answers: Answers) {
        self.lock().answers = answers;
    }

    pub fn show(&self, words: &[&str]) -> Answer {
        let state = self.lock();
        match state.answers {
            Answers::Well => {}
            Answers::Denied => return fails(1, "Failed to get properties: Access denied"),
            Answers::Hang => return hangs("systemctl"),
        }
        if words.contains(&"SystemState") {
            return says(state.manager);
        }
        let named = words.iter().position(|word| *word == "--");
        let mut text = String::new();
        match named {
            Some(at) => {
                for name in &words[at + 1..] {
                    block(&mut text, name, state.units.get(*name));
                }
            }
            None => {
                for (name, unit) in &state.units {
                    block(&mut text, name, Some(unit));
                }
            }
        }
        says(text)
    }

    pub fn order(&self, words: &[&str], clock: &Clock) -> Answer {
        let (verb, name) = (words[1], words[words.len() - 1]);
        let run = self.next_run();
        let mut state = self.lock();
        let Some(unit) = state.units.get_mut(name) else {
            return fails(5, "Unit not found.");
        };
        if verb == "stop" {
            (unit.active_state, unit.result) = ("inactive", "success");
            return says("");
        }
        if unit.run > 0 {
            unit.run = run;
        }
        match unit.on_start {
            OnStart::Runs => {
                (unit.active_state, unit.result) = ("active", "success");
                says("")
            }
            OnStart::RunsSince(us) => {
                (unit.active_state, unit.result) = ("active", "success");
                unit.started_us = us;
                says("")
            }
            OnStart::Refused => fails(1, "Job for unit failed."),
            OnStart::Fails => {
                (unit.active_state, unit.result) = ("failed", "exit-code");
                says("")
            }
            OnStart::TakesItsTime => {
                (unit.active_state, unit.result) = ("activating", "success");
                says("")
            }
            OnStart::Skips => {
                (unit.active_state, unit.result) = ("inactive", "success");
                says("")
            }
            OnStart::ThenSilence => {
                (unit.active_state, unit.result) = ("active", "success");
                state.answers = Answers::Hang;
                says("")
            }
            OnStart::Hangs => {
                clock.advance(Duration::from_secs(25));
                hangs("systemctl")
            }
        }
    }
}

fn block(text: &mut String, name: &str, unit: Option<&Unit>) {
    let Some(unit) = unit else {
        let _ = write!(
            text,
            "Id={name}\nLoadState=not-found\nActiveState=inactive\n\n"
        );
        return;
    };
    let _ = write!(
        text,
        "Id={name}\nLoadState={}\nActiveState={}\nResult={}\nType=simple\nUnitFileState={}\n\
         WantedBy={}\nConflicts={}\nFragmentPath={}\nRequires=sysinit.target {}\nConditionResult={}\n\
         ConditionTimestampMonotonic=1\n",
        if unit.is_there { "loaded" } else { "not-found" },
        unit.active_state,
        unit.result,
        unit.file_state,
        unit.wanted_by,
        unit.conflicts,
        unit.fragment,
        unit.requires,
        if unit.condition_result { "yes" } else { "no" }
    );
    if unit.run > 0 {
        let _ = writeln!(text, "InvocationID={:032x}", unit.run);
    }
    if unit.started_us > 0 {
        let _ = writeln!(text, "InactiveExitTimestampMonotonic={}", unit.started_us);
    }
    if unit.drop_in {
        let _ = writeln!(text, "DropInPaths={DROP_IN}");
    }
    if unit.active_state != "active" {
        let _ = writeln!(text, "InactiveEnterTimestampMonotonic={}", unit.stopped_us);
    }
    if unit.active_state == "failed" && unit.result == "exit-code" {
        let _ = write!(
            text,
            "ExecMainCode=1\nExecMainStatus={}\n",
            unit.exit_status
        );
    }
    text.push('\n');
}
