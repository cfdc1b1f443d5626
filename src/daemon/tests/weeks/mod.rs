//! Four weeks of one site whose faults come back: what each week takes, and what comes of it when one part of the
//! program is taken out. Intake, decision, attempt, proof and learning are the daemon's own, over a real SQLite file;
//! time is moved, never waited for.
//!
//! `AO_WEEKS_SEED` replays one seed, `AO_WEEKS_SEEDS` sets how many are summed up (one), `AO_WEEKS_SHOW` prints the
//! events of all tasks about a subject, `AO_WEEKS_ONLY` takes out one part alone.

mod model;
mod site;

use std::fmt::Write as _;
use std::time::Duration;

use crate::core::diagnosis::advisors::Advisor;
use crate::core::model::sorted::SortedMap;
use crate::core::model::task::{Outcome, Phase, Resolution, Task};
use crate::core::model::time::Timestamp;
use crate::store::{Attempt, TaskFilter};
use model::Model;
use site::{DAY, Event, KINDS, Kind, Site, WEEK, WEEKS};

use super::gateway::START;

/// What is taken out of the program, or put beside it.
#[derive(Clone, Copy, Debug)]
struct Setup {
    name: &'static str,
    without: Option<Advisor>,
    bundle: bool,
    learning: bool,
    model: Option<Model>,
}

const AS_SHIPPED: Setup = Setup {
    name: "all of it, no model (as shipped)",
    without: None,
    bundle: true,
    learning: true,
    model: None,
};

/// One fault, and all that came of it.
#[derive(Debug)]
struct Fault {
    kind: &'static Kind,
    at: Timestamp,
    attempts: usize,
    told: bool,
    /// Time to the first green and phase of the attempt that held.
    repaired: Option<(Duration, Phase)>,
}

/// What some faults came to.
#[derive(Debug, Default)]
struct Sum {
    faults: usize,
    attempts: usize,
    told: usize,
    times: Vec<Duration>,
    /// Repaired in phase 1, 2 and 3.
    phases: [usize; 3],
}

impl Sum {
    fn of<'a>(faults: impl Iterator<Item = &'a Fault>) -> Self {
        let mut sum = Self::default();
        for fault in faults {
            sum.faults += 1;
            sum.attempts += fault.attempts;
            sum.told += usize::from(fault.told);
            if let Some((time, phase)) = fault.repaired {
                sum.times.push(time);
                sum.phases[usize::from(phase.number()) - 1] += 1;
            }
        }
        sum.times.sort_unstable();
        sum
    }

    fn repaired(&self) -> usize {
        self.times.len()
    }

    fn per_repair(&self) -> f64 {
        self.attempts as f64 / self.repaired() as f64
    }

    /// A share of the repairs took no longer than this, in seconds.
    fn within(&self, percent: usize) -> f64 {
        let at = (self.repaired() * percent).div_ceil(100).max(1) - 1;
        self.times[at].as_secs_f64()
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn seeds() -> Vec<u64> {
    match number("AO_WEEKS_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("AO_WEEKS_SEEDS").unwrap_or(1)).collect(),
    }
}

/// Lives through the four weeks.
fn live(setup: Setup, seed: u64) -> Vec<Fault> {
    let mut site = Site::new(setup.bundle, |config| {
        if let Some(model) = setup.model {
            config.llm.url = model::serve(model);
            config.llm.model = "scripted".to_owned();
            config.llm.calls_per_hour = 1_000;
        }
    });
    let runtime = &site.gateway.runtime;
    runtime.left_out.lock().unwrap().extend(setup.without);
    let faults = site::schedule(seed);
    let mut coming: SortedMap<(Timestamp, usize), Event> = SortedMap::new();
    let mut count = 0;
    let mut plan = |coming: &mut SortedMap<_, _>, at, event| {
        count += 1;
        coming.insert((at, count), event);
    };
    for (nth, (at, _)) in faults.iter().enumerate() {
        plan(&mut coming, *at, Event::Breaks(nth));
        plan(&mut coming, site::human(*at), Event::Human(nth));
    }
    for day in 0..u32::try_from(WEEKS * 7).unwrap() {
        plan(&mut coming, START.plus(DAY * day), Event::Midnight);
    }
    let mut last = START;
    let mut came_to = Vec::new();
    while let Some(((at, _), event)) = coming.pop_first() {
        pass_until(&mut site, at, last, setup.learning);
        match event {
            Event::Breaks(nth) => {
                let kind = faults[nth].1;
                for (at, event) in site.breaks(kind, at) {
                    plan(&mut coming, at, event);
                }
                came_to.push((kind, at));
                last = at;
            }
            Event::DeviceBack(unit) => site.device_is_back(unit),
            Event::Human(nth) => {
                let kind = faults[nth].1;
                if site.is_broken(kind) {
                    site.repaired(kind, at);
                    last = at;
                }
            }
            Event::Midnight => drop(site.gateway.runtime.store.maintain(at).unwrap()),
        }
    }
    let end = START.plus(WEEK * u32::try_from(WEEKS).unwrap());
    let end = end.max(site.gateway.now().plus(DAY));
    pass_until(&mut site, end, last, setup.learning);
    judged(&site, &came_to)
}

/// All threads, again and again until `until`; often at first, seldom once nothing new is to be expected.
fn pass_until(site: &mut Site, until: Timestamp, last: Timestamp, learning: bool) {
    loop {
        site.gateway.sweep();
        while site.gateway.work() {
            if !learning {
                let (store, now) = (&site.gateway.runtime.store, site.gateway.now());
                store
                    .forget_learned(None, "test", "taken out", now)
                    .unwrap();
            }
        }
        site.gateway.deliver();
        let now = site.gateway.now();
        if now >= until {
            return;
        }
        let pause = pause(site, now, last);
        site.gateway.advance(pause.min(until.since(now)));
    }
}

/// Until the next pass: what is due next, and often while something new may show.
fn pause(site: &Site, now: Timestamp, last: Timestamp) -> Duration {
    let open = TaskFilter {
        open_only: true,
        ..TaskFilter::default()
    };
    let reader = site.gateway.runtime.store.reader().unwrap();
    let open = reader.tasks(&open).unwrap();
    let most = match (now.since(last).as_secs(), open.is_empty()) {
        (0..90, true) => 5,
        (90.., true) => 6 * 3_600,
        (0..90, false) => 30,
        (90..1_200, false) => 120,
        (1_200.., false) => 600,
    };
    let due = open
        .iter()
        .filter_map(|task| task.next_attempt_at.or(task.stable_until))
        .filter(|due| *due > now)
        .map(|due| due.since(now));
    let most = Duration::from_secs(most);
    due.min()
        .unwrap_or(most)
        .clamp(Duration::from_secs(1), most)
}

/// What came of each fault: by the rows of the store and by the state of the site.
fn judged(site: &Site, came_to: &[(&'static Kind, Timestamp)]) -> Vec<Fault> {
    let reader = site.gateway.runtime.store.reader().unwrap();
    reader.audit_verify().unwrap().unwrap();
    let tasks = site.gateway.tasks();
    let attempts = reader.all_attempts().unwrap();
    if let Ok(subject) = std::env::var("AO_WEEKS_SHOW") {
        for task in tasks.iter().filter(|task| task.subject == subject) {
            println!(
                "{} {} {:#?}",
                task.detected_at,
                task.message,
                site.gateway.events(task)
            );
        }
    }
    let fault = |(nth, (kind, at)): (usize, &(&'static Kind, Timestamp))| {
        let again = came_to[nth + 1..]
            .iter()
            .find(|(other, _)| other.subject == kind.subject);
        let end = again.map_or(Timestamp::from_millis(i64::MAX), |(_, at)| *at);
        let of_it: Vec<&Task> = tasks
            .iter()
            .filter(|task| task.subject == kind.subject && (*at..end).contains(&task.detected_at))
            .collect();
        let made = |task: &Task| {
            let of_task = attempts.iter().filter(|one| one.task_id == task.id);
            of_task
                .filter(|one| one.outcome != Some(Outcome::Refused))
                .collect::<Vec<&Attempt>>()
        };
        let fixed = of_it
            .iter()
            .find(|task| task.resolution == Some(Resolution::Fixed));
        let held = fixed.and_then(|task| {
            let held = |one: &&&Attempt| one.outcome == Some(Outcome::Verified);
            let green = task.first_green_at?.since(*at);
            let phase = made(task).iter().rfind(held)?.phase;
            Some((green, Phase::from_number(i64::from(phase))))
        });
        Fault {
            kind,
            at: *at,
            attempts: of_it.iter().map(|task| made(task).len()).sum(),
            told: of_it
                .iter()
                .any(|task| reader.times_told(task.id).unwrap() > 0),
            repaired: held,
        }
    };
    came_to.iter().enumerate().map(fault).collect()
}

fn week(fault: &Fault) -> usize {
    usize::try_from(fault.at.since(START).as_secs() / WEEK.as_secs()).unwrap()
}

/// The table of weeks, and below it the attempts of each kind in each week.
fn weeks_table(faults: &[Fault]) -> String {
    let mut text = "| week | faults | attempts | repaired | attempts per repair | told | time to green, median s |\n\
                    |---|---|---|---|---|---|---|\n"
        .to_owned();
    for nth in 0..WEEKS {
        let sum = Sum::of(faults.iter().filter(|fault| week(fault) == nth));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {:.2} | {} | {:.0} |",
            nth + 1,
            sum.faults,
            sum.attempts,
            sum.repaired(),
            sum.per_repair(),
            sum.told,
            sum.within(50)
        );
    }
    text.push_str("\n| kind of fault | a week | attempts in week 1, 2, 3, 4 | repaired | told |\n|---|---|---|---|---|\n");
    for kind in KINDS {
        let of_kind = || {
            faults
                .iter()
                .filter(|fault| fault.kind.subject == kind.subject)
        };
        let attempts: Vec<String> = (0..WEEKS)
            .map(|nth| {
                Sum::of(of_kind().filter(|fault| week(fault) == nth))
                    .attempts
                    .to_string()
            })
            .collect();
        let sum = Sum::of(of_kind());
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} of {} | {} |",
            kind.what,
            sum.faults / WEEKS,
            attempts.join(", "),
            sum.repaired(),
            sum.faults,
            sum.told
        );
    }
    text
}

fn lived(setup: Setup) -> Vec<Fault> {
    seeds()
        .into_iter()
        .flat_map(|seed| live(setup, seed))
        .collect()
}

#[test]
fn the_fourth_week_takes_fewer_attempts_per_repair_than_the_first() {
    for seed in seeds() {
        let faults = live(AS_SHIPPED, seed);
        println!("seed {seed}\n{}", weeks_table(&faults));
        let [first, last] = [0, WEEKS - 1]
            .map(|nth| Sum::of(faults.iter().filter(|fault| week(fault) == nth)).per_repair());
        assert!(
            last < first,
            "AO_WEEKS_SEED={seed}: {first:.2} attempts per repair in week 1, {last:.2} in week {WEEKS}"
        );
    }
}

/// Behind `scripts/bench-weeks.sh`.
#[test]
#[ignore = "a measurement; takes a minute"]
fn what_each_part_contributes() {
    let without = |name, advisor| Setup {
        name,
        without: Some(advisor),
        ..AS_SHIPPED
    };
    let setups = [
        AS_SHIPPED,
        without("without the operator", Advisor::Operator),
        without("without the historian", Advisor::Historian),
        without("without the analyst", Advisor::Analyst),
        Setup {
            name: "without the bundle",
            bundle: false,
            ..AS_SHIPPED
        },
        Setup {
            name: "without learning",
            learning: false,
            ..AS_SHIPPED
        },
        Setup {
            name: "with a model that is always right",
            model: Some(Model::Right),
            ..AS_SHIPPED
        },
        Setup {
            name: "with a model that is always wrong",
            model: Some(Model::Wrong),
            ..AS_SHIPPED
        },
    ];
    println!(
        "| what | faults | repaired | in phase 1, 2, 3 | attempts per repair | told | time to green, median s | p95 s |\n\
         |---|---|---|---|---|---|---|---|"
    );
    let only = std::env::var("AO_WEEKS_ONLY").unwrap_or_default();
    for setup in setups.iter().filter(|setup| setup.name.contains(&only)) {
        let faults = lived(*setup);
        let sum = Sum::of(faults.iter());
        let [first, second, third] = sum.phases;
        println!(
            "| {} | {} | {} | {first}, {second}, {third} | {:.2} | {} | {:.0} | {:.0} |",
            setup.name,
            sum.faults,
            sum.repaired(),
            sum.per_repair(),
            sum.told,
            sum.within(50),
            sum.within(95)
        );
    }
}
