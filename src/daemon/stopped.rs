//! Units that somebody, or a repair, stopped and that would be up otherwise. Nobody is told of them: the status file
//! lists them.

use serde_json::Value;

use crate::core::config::Config;
use crate::core::model::object::object;
use crate::core::model::text::matches_glob;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::reading::starting::at;
use crate::core::reading::unit_state::{has_unit_type, is_excluded, kept_down};
use crate::daemon::by_hand;
use crate::host::{Host, boot};
use crate::store::{Reader, StoreError};

/// A host has few of them; more than these are not listed.
const LISTED_MOST: usize = 64;

/// Those among all `units` of a host as they are told, which went down last first: `unit`, `why`, `stopped_for` (the
/// task for which this program did it, or null), `since` (RFC 3339; null where the manager does not say), and `text`.
pub fn among(
    units: &[UnitState],
    config: &Config,
    host: &Host,
    reader: &Reader,
) -> Result<Vec<Value>, StoreError> {
    let (detect, booted_at) = (&config.detect, boot::booted_at(host));
    let runs = |name: &str| units.iter().any(|one| one.name == name && one.is_active());
    // Run levels have no unit that could be down.
    let is_up = |name: &str| !has_unit_type(name) || runs(name);
    let (mut order, mut stopped) = (Vec::new(), Vec::new());
    for unit in units {
        let mut globs = detect.wanted_units.iter();
        let quiet = config.probe.iter().filter(|probe| probe.unit == unit.name);
        let quiet: Vec<&str> = quiet.map(|probe| probe.name.as_str()).collect();
        let is_listed = globs.any(|glob| matches_glob(glob, &unit.name)) || !quiet.is_empty();
        let Some(purpose) = kept_down(unit, &is_up, is_listed) else {
            continue;
        };
        if stopped.len() == LISTED_MOST || is_excluded(unit, &detect.ignore_units) {
            continue;
        }
        let down_us = unit.inactive_enter_us;
        let since = at(down_us, booted_at);
        let down_since = since.map(|at| format!(", down since {} UTC", at.second()));
        let ours = by_hand::stop_of_ours(host, reader, unit)?;
        let stopped_for = ours.as_ref().map(|stop| stop.task_id);
        let why = ours.map_or_else(|| purpose.to_string(), |stop| by_hand::told_stop(&stop));
        let mut text = format!("{} {why}{}", unit.name, down_since.unwrap_or_default());
        if !quiet.is_empty() {
            text += &format!("; its probe is quiet: {}", quiet.join(", "));
        }
        let one = object!({
            "unit": unit.name,
            "why": why,
            "stopped_for": stopped_for,
            "since": since.map(Timestamp::rfc3339),
            "text": text,
        });
        let place = order.iter().position(|other| *other < down_us);
        let place = place.unwrap_or(order.len());
        order.insert(place, down_us);
        stopped.insert(place, one);
    }
    Ok(stopped)
}
