//! Why nothing is told of a unit: what `explain` says of one that no open task is about. Reads only.

use std::fmt::Write as _;

use serde_json::Value;

use crate::core::config::Config;
use crate::core::model::text::matches_glob;
use crate::core::model::unit::UnitState;
use crate::core::reading::starting::at;
use crate::core::reading::unit_state::has_unit_type;
use crate::core::reading::wanted::Unwanted;
use crate::core::remedy::silence::Scope;
use crate::daemon::explain::ExplainError;
use crate::daemon::status::Daemon;
use crate::daemon::{by_hand, ends, loaded_config};
use crate::detectors;
use crate::host::{Host, boot};
use crate::services::{self, ServiceError};
use crate::store::Reader;

/// A unit as its manager shows it, and why no fault is seen in that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    pub unit: String,
    /// In a word, for programs.
    pub state: &'static str,
    /// The same for humans: since when, whether it is silenced, and what changes it.
    pub text: String,
}

/// Looks at the unit of this name, whose `.service` may be left out.
pub fn look(
    host: &Host,
    config: &Config,
    reader: &Reader,
    name: &str,
) -> Result<Untold, ExplainError> {
    let managers = services::present(host, config);
    if managers.is_empty() {
        return Err(ServiceError::Absent("a service manager".to_owned()).into());
    }
    loaded_config::recall(host, &managers);
    ends::recall(host, reader, &managers)?;
    let (manager, unit) = services::find_typed(&managers, name)?;
    let is_up = unit.is_active();
    let (state, why, order) = match of_settings(&unit, config) {
        Some((state, why, order)) => (state, why.to_owned(), order),
        None if is_up => ("runs", "runs, and no fault is seen in it".to_owned(), ""),
        None => match heard_stop(host, config, &unit.name) {
            Some(heard) => heard,
            None => match services::unwanted(manager.as_ref(), &unit, host, config)? {
                Some(why) => {
                    let (state, order) = word(&why);
                    match by_hand::stop_of_ours(host, reader, &unit)? {
                        Some(ours) => (state, by_hand::told_stop(&ours), ""),
                        None => (state, why.to_string(), order),
                    }
                }
                None => {
                    let why = format!("is {}, which the next look finds", unit.active_state);
                    ("down", why, "start")
                }
            },
        },
    };
    let since_us = match is_up {
        true => unit.active_enter_us,
        false => unit.inactive_enter_us,
    };
    let name = unit.name.as_str();
    let mut text = format!("{name} {why}");
    if let Some(at) = at(since_us, boot::booted_at(host)) {
        let _ = write!(text, " (since {} UTC)", at.second());
    }
    if let Some((key, mode)) = config.unit_mode(name) {
        let _ = write!(
            text,
            "\nmode {mode} at most: [mode.unit] \"{key}\" = \"{mode}\""
        );
    }
    if let Some(terms) = silenced(host, config, reader, name)? {
        let _ = write!(text, "\n{terms}");
    }
    if has_unit_type(name) && !order.is_empty() {
        let _ = write!(
            text,
            "\n\nwhat a human can do\n    systemctl {order} {name}"
        );
    }
    // A copy, so that the rest of the unit is not dropped field by field.
    let unit = name.to_owned();
    Ok(Untold { unit, state, text })
}

/// Why the daemon leaves it alone: it heard what no journal tells, as a stop of what is down.
fn heard_stop(
    host: &Host,
    config: &Config,
    unit: &str,
) -> Option<(&'static str, String, &'static str)> {
    let daemon = Daemon::ask(host, config);
    let mut stopped = daemon.stopped().iter();
    let one = stopped.find(|one| one.get("unit").and_then(Value::as_str) == Some(unit))?;
    let why = one.get("why")?.as_str()?;
    Some(match one.get("stopped_for").is_some_and(Value::is_u64) {
        // `undo` starts it.
        true => ("stopped", why.to_owned(), ""),
        false => ("stopped", format!("{why}: it stays as it is"), "start"),
    })
}

/// What no look would change.
fn of_settings(
    unit: &UnitState,
    config: &Config,
) -> Option<(&'static str, &'static str, &'static str)> {
    let mut ignored = config.detect.ignore_units.iter();
    if detectors::is_own(&unit.name) {
        Some(("own", "is this program's own, which `doctor` looks at", ""))
    } else if ignored.any(|glob| matches_glob(glob, &unit.name)) {
        Some((
            "ignored",
            "is never judged: detect.ignore_units names it",
            "",
        ))
    } else if unit.load_state == "masked" || unit.unit_file_state.starts_with("masked") {
        Some(("masked", "is masked", "unmask"))
    } else {
        None
    }
}

/// Why it is not wanted up, in a word, and the order that changes that.
const fn word(why: &Unwanted) -> (&'static str, &'static str) {
    match why {
        Unwanted::OnPurpose(_) => ("stopped", "start"),
        Unwanted::Disabled => ("disabled", "enable --now"),
        Unwanted::Condition | Unwanted::Flag(_) | Unwanted::Lacks(_) | Unwanted::Asserts(_) => {
            ("condition", "")
        }
        Unwanted::NotKnown | Unwanted::ByHand => ("not_wanted", "start"),
        Unwanted::Manager(_)
        | Unwanted::Nobody
        | Unwanted::OnDemand(_)
        | Unwanted::JobOf(_)
        | Unwanted::Transient
        | Unwanted::Done
        | Unwanted::Prevented(_)
        | Unwanted::Refuses
        | Unwanted::Misread(_)
        | Unwanted::Repairing(_)
        | Unwanted::InPlaceOf(_)
        | Unwanted::Needs(..)
        | Unwanted::Serves(_)
        | Unwanted::Socket(_) => ("not_wanted", ""),
    }
}

/// On which terms a human wants it left alone: ordered, or by a window of the configuration.
fn silenced(
    host: &Host,
    config: &Config,
    reader: &Reader,
    unit: &str,
) -> Result<Option<String>, ExplainError> {
    let now = host.clock.now();
    let silences = reader.silences()?;
    let ordered = silences.at(now).find(|one| one.scope.is_about(unit));
    if let Some(one) = ordered {
        return Ok(Some(format!("silenced {}", one.terms())));
    }
    let mut windows = config.maintenance.iter();
    let open = windows.find_map(|window| {
        let mut only = window.only.iter();
        only.any(|name| Scope::of_word(name).is_about(unit))
            .then(|| window.open_at(now, host.clock.ahead_s()))
            .flatten()
    });
    Ok(open.map(|open| open.text))
}
