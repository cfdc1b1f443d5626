//! Units that somebody stopped and that would be up otherwise. Nobody is told of them: the status file lists them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::core::config::Detect;
use crate::core::model::object::object;
use crate::core::model::text::matches_glob;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::reading::starting::at;
use crate::core::reading::unit_state::{has_unit_type, is_excluded, kept_down};

/// A host has few of them; more than these are not listed.
const LISTED_MOST: usize = 64;

/// One unit that is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    pub unit: String,
    /// What somebody did, as in `was stopped by somebody`.
    pub why: String,
    /// When it went down; `None` where its manager does not say.
    pub since: Option<Timestamp>,
}

/// Those among all `units` of a host, which went down last first.
pub fn among(units: &[UnitState], detect: &Detect, booted_at: Option<Timestamp>) -> Vec<Stopped> {
    let down: Vec<&UnitState> = units.iter().filter(|one| one.purpose().is_some()).collect();
    if down.is_empty() {
        return Vec::new();
    }
    let active = units.iter().filter(|unit| unit.is_active());
    let active: BTreeSet<&str> = active.map(|unit| unit.name.as_str()).collect();
    // Run levels have no unit that could be down.
    let is_up = |name: &str| !has_unit_type(name) || active.contains(name);
    let stopped = down.into_iter().filter_map(|unit| {
        let mut globs = detect.wanted_units.iter();
        let is_listed = globs.any(|glob| matches_glob(glob, &unit.name));
        let purpose = kept_down(unit, &is_up, is_listed)?;
        (!is_excluded(unit, &detect.ignore_units)).then(|| Stopped {
            unit: unit.name.clone(),
            why: purpose.to_string(),
            since: at(unit.inactive_enter_us, booted_at),
        })
    });
    let mut stopped: Vec<Stopped> = stopped.collect();
    stopped.sort_by(|a, b| (b.since, &a.unit).cmp(&(a.since, &b.unit)));
    stopped.truncate(LISTED_MOST);
    stopped
}

impl Stopped {
    /// Since when, where that is known.
    pub fn text(&self) -> String {
        let since = self
            .since
            .map(|at| format!(", down since {} UTC", at.second()));
        format!("{} {}{}", self.unit, self.why, since.unwrap_or_default())
    }

    pub(super) fn json(&self) -> Value {
        let since = self.since.map(|at| at.to_string());
        object!({ "unit": self.unit, "why": self.why, "since": since })
    }

    /// The same read back; `None` where one of its fields is missing.
    pub(super) fn of_json(said: &Value) -> Option<Self> {
        let text = |key| said.get(key).and_then(Value::as_str);
        Some(Self {
            unit: text("unit")?.to_owned(),
            why: text("why")?.to_owned(),
            since: text("since").and_then(|at| at.parse().ok()),
        })
    }
}
