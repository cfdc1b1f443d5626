//! Units that are gone for good: their file was taken away, as by an uninstall, and nothing names them any more.

use std::io::ErrorKind::NotFound;

use crate::core::model::finding::Finding;
use crate::core::model::id::TaskId;
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::task::Task;
use crate::core::model::text::matches_glob;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::{UnitName, UnitState};
use crate::core::reading::unit_state::{is_gone, rest_of};
use crate::core::remedy::patience::GONE_AFTER;
use crate::daemon::runtime::Runtime;
use crate::services::ServiceError;
use crate::store::StoreError;

/// The row of `meta` that tells since when, a unit a line: a day outlasts many a life of this program.
const KEY: &str = "units_gone";

/// The units of open tasks that are gone, and those given up that their manager still lists as failed.
#[derive(Debug, Default)]
pub struct Gone {
    /// `None` before it was read.
    since: Option<SortedMap<String, Timestamp>>,
}

impl Gone {
    /// Takes in what a look at all units saw. Answers the tasks whose unit is gone for good.
    pub fn look(
        &mut self,
        runtime: &Runtime,
        units: &[UnitState],
        tasks: &[Task],
        now: Timestamp,
    ) -> Result<SortedSet<TaskId>, StoreError> {
        let known = match self.since.take() {
            Some(known) => known,
            None => read(&runtime.store.reader()?.meta(KEY)?.unwrap_or_default()),
        };
        let state = |name: &str| units.iter().find(|unit| unit.name == name);
        // What was given up is found anew as long as its manager lists it as failed.
        let given_up = |name: &str, since: Timestamp| {
            is_over(since, now) && state(name).is_some_and(|unit| is_gone(Some(unit)))
        };
        let mut all = known.clone();
        all.retain(|name, since| given_up(name, *since));
        let mut over = SortedSet::new();
        for task in tasks {
            let unit = state(&task.subject);
            if rest_of(task.class, unit).is_none() || !is_gone(unit) || listed(runtime, task) {
                continue;
            }
            // A time that a wrong clock wrote counts from now on.
            let since = known.get(&task.subject).map_or(now, |at| now.min(*at));
            let since = match is_over(since, now) {
                true if is_nowhere(runtime, &task.subject) => {
                    over.insert(task.id);
                    since
                }
                // It is there after all, or nobody could look.
                true => now,
                false => since,
            };
            all.insert(task.subject.clone(), since);
        }
        if all != known {
            let line = |(unit, since): (&String, &Timestamp)| format!("{unit} {since}\n");
            let text: String = all.iter().map(line).collect();
            runtime.store.set_meta(KEY, &text)?;
        }
        self.since = Some(all);
        Ok(over)
    }

    /// It tells of a unit that was given up, and nothing new.
    pub fn covers(&self, finding: &Finding, now: Timestamp) -> bool {
        let since = self.since.as_ref();
        let since = since.and_then(|all| all.get(&finding.subject));
        since.is_some_and(|since| is_over(*since, now)) && rest_of(finding.class, None).is_some()
    }
}

fn is_over(since: Timestamp, now: Timestamp) -> bool {
    now.since(since) >= GONE_AFTER
}

/// A line that cannot be read tells of no unit.
fn read(text: &str) -> SortedMap<String, Timestamp> {
    let unit = |line: &str| {
        let (unit, since) = line.split_once(' ')?;
        Some((unit.to_owned(), since.parse::<Timestamp>().ok()?))
    };
    text.lines().filter_map(unit).collect()
}

/// The operator wants it, whatever the host says.
fn listed(runtime: &Runtime, task: &Task) -> bool {
    let loaded = runtime.loaded();
    let mut globs = loaded.config.detect.wanted_units.iter();
    globs.any(|glob| matches_glob(glob, &task.subject))
}

/// No manager knows it, loaded or not, and no script of its name is left. What could not be asked is not gone.
fn is_nowhere(runtime: &Runtime, unit: &str) -> bool {
    let Ok(name) = UnitName::new(unit) else {
        return false;
    };
    let loaded = runtime.loaded();
    let mut managers = loaded.managers.iter();
    let script = runtime.host.path(format!("/etc/init.d/{unit}"));
    !loaded.managers.is_empty()
        && managers.all(|one| matches!(one.unit(&name), Err(ServiceError::UnknownUnit(_))))
        && script.metadata().is_err_and(|why| why.kind() == NotFound)
}
