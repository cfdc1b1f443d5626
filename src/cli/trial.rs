//! A trial: what would have been done, where the mode only observes, and the setting that turns it on.

use std::time::Duration;

use serde_json::Value;

use crate::cli::shape;
use crate::core::config::{Config, Mode};
use crate::core::model::facts::Key;
use crate::core::model::finding::Finding;
use crate::core::model::object::object;
use crate::core::model::proposal::Proposal;
use crate::core::model::sorted::SortedMap;
use crate::core::model::task::{Resolution, Status, Task};
use crate::core::model::time::Timestamp;
use crate::store::{Reader, StoreError};

/// How far back is looked.
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// An action that is not taken as it is configured now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Would {
    action: String,
    times: u64,
    /// So many of these faults ended by themselves.
    by_itself: u64,
    open: u64,
    /// Of the configuration.
    turned_on_by: String,
}

/// Those of the last week.
pub(super) fn of(
    reader: &Reader,
    config: &Config,
    now: Timestamp,
) -> Result<Vec<Would>, StoreError> {
    Ok(counted(&reader.not_done(now.minus(WEEK))?, config))
}

fn counted(tasks: &[Task], config: &Config) -> Vec<Would> {
    let mut by_action: SortedMap<&str, Would> = SortedMap::new();
    for task in tasks {
        let Some(proposal) = &task.proposal else {
            continue;
        };
        let Some(turned_on_by) = setting(config, &task.finding(), proposal) else {
            continue;
        };
        let would = by_action.entry(&proposal.text).or_insert_with(|| Would {
            action: proposal.text.clone(),
            turned_on_by,
            ..Would::default()
        });
        would.times += 1;
        would.by_itself += u64::from(task.resolution == Some(Resolution::SelfCleared));
        would.open += u64::from(task.status != Status::Closed);
    }
    by_action.into_values().collect()
}

/// The setting that keeps an action from being taken, with leave too.
pub(super) fn setting(config: &Config, finding: &Finding, proposal: &Proposal) -> Option<String> {
    let kind = proposal.kind;
    let risk = config.risk_against(finding, kind, proposal.command.as_deref());
    let bound = config.action_mode(kind);
    if config.mode_for(finding, risk).min(bound) > Mode::Observe {
        return None;
    }
    if bound == Mode::Observe {
        return Some(format!("[mode.action] {kind}"));
    }
    if config.mode.limit == Mode::Observe {
        return Some("[mode] limit".to_owned());
    }
    let class = finding.class;
    let units = [Some(finding.unit()), finding.fact(Key::HolderUnit)];
    let mut own = units
        .into_iter()
        .flatten()
        .filter_map(|unit| config.unit_mode(unit));
    Some(match own.find(|(_, mode)| *mode == Mode::Observe) {
        Some((unit, _)) => format!("[mode.unit] \"{unit}\""),
        None if config.mode.class.contains_key(class.as_str()) => format!("[mode.class] {class}"),
        None => format!("[mode] {risk}"),
    })
}

impl Would {
    pub(super) fn text(&self) -> String {
        format!(
            "would have done `{}` {} in a week ({} ended by themselves, {} open); `{} = \"auto\"` turns it on",
            self.action,
            shape::counted(self.times, "time", "times"),
            self.by_itself,
            self.open,
            self.turned_on_by
        )
    }

    pub(super) fn json(&self) -> Value {
        object!({
            "action": self.action,
            "times": self.times,
            "ended_by_itself": self.by_itself,
            "open": self.open,
            "turned_on_by": self.turned_on_by,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::class::Class;

    #[test]
    fn the_setting_that_keeps_an_action_from_being_taken_is_named() {
        let proposal = Proposal {
            kind: crate::core::model::action::ActionKind::RestartUnit,
            command: None,
            text: "restart web.service".to_owned(),
            terms: Default::default(),
        };
        let now = Timestamp::from_millis(0);
        let finding = Task::sample(1, Class::ServiceFailed, "web.service", now).finding();
        let told = |text: &str| setting(&Config::parse(text).unwrap(), &finding, &proposal);
        for (text, want) in [
            ("", None),
            ("[mode]\nlimit = \"observe\"\n", Some("[mode] limit")),
            ("[mode]\nlow = \"observe\"\n", Some("[mode] low")),
            (
                "[mode.class]\nservice_failed = \"observe\"\n",
                Some("[mode.class] service_failed"),
            ),
            (
                "[mode.unit]\n\"web.*\" = \"observe\"\n",
                Some("[mode.unit] \"web.*\""),
            ),
        ] {
            assert_eq!(told(text).as_deref(), want, "{text}");
        }
    }
}
