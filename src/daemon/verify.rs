//! Verification: the detector that found a condition looks again.

use crate::core::model::class::{Clearing, MovesWith, ToldBy};
use crate::core::model::facts::Key;
use crate::core::model::finding::Finding;
use crate::core::model::hint::Hint;
use crate::core::model::task::Task;
use crate::core::model::unit::{UnitName, UnitState};
use crate::core::reading::unit_state::{Rest, rest_of};
use crate::core::remedy::ending::Seen;
use crate::daemon::healthy;
use crate::daemon::loaded_config::LoadedConfig;
use crate::detectors::{DetectError, Detector, Open, Snapshot, Sweep};
use crate::host::Host;
use crate::services;
use crate::store::Reader;

/// A second look's finding with what only the first one read, such as the unit's log of that moment.
pub fn with_first_sight(mut finding: Finding, task: &Task) -> Finding {
    finding.evidence.complete(&task.evidence);
    finding
}

/// The unit of the task as the only one, where its detector judges each unit for itself: asking systemd
/// about all of them took 100 ms on a small host, about one 13 ms, and a repair looks three times. `None`
/// where the others count too, or the unit is not to be found: then all are asked.
fn unit_alone(loaded: &LoadedConfig, task: &Task) -> Option<Vec<UnitState>> {
    if task.class.row().moves_with != MovesWith::OwnUnit {
        return None;
    }
    let name = UnitName::new(&task.subject).ok()?;
    let (_, state) = services::find(&loaded.managers, &name).ok()?;
    (state.name == task.subject).then(|| vec![state])
}

/// What it means that the detector no longer sees the fault: green is the state that was wanted.
fn unseen(look: &Snapshot<'_>, task: &Task, blind: Option<DetectError>) -> Seen {
    if let Some(why) = blind {
        return Seen::CouldNotLook(why.with_hint());
    }
    let units = look.units().unwrap_or_default();
    // A container that is gone with the unit that runs it is not well.
    let runs_it = task
        .evidence
        .text(Key::Unit)
        .filter(|_| task.class.row().told_by == ToldBy::ContainerState);
    let is_down = |unit: &UnitState| Some(unit.name.as_str()) == runs_it && !unit.is_active();
    if units.iter().any(is_down) {
        return Seen::Present(task.finding());
    }
    let unit = units.iter().find(|unit| unit.name == task.subject);
    match rest_of(task.class, unit) {
        None | Some(Rest::Reached) => Seen::Clear,
        Some(Rest::Unwanted(why)) => Seen::Over(why),
        Some(Rest::Short(why)) => {
            log::debug!("task {}: not failed, but it {why}", task.id);
            Seen::Present(task.finding())
        }
    }
}

/// Asks the detector of the task's class whether the condition still holds.
pub fn look(
    host: &Host,
    loaded: &LoadedConfig,
    detectors: &[Box<dyn Detector>],
    task: &Task,
    reader: &Reader,
) -> Seen {
    if task.class.clearing() != Clearing::Sweep {
        return Seen::Stands;
    }
    let mut all = detectors.iter();
    let Some(detector) = all.find(|one| one.classes().contains(&task.class)) else {
        return Seen::Stands;
    };
    let known = match healthy::known_to(task.class, reader) {
        Ok(known) => known,
        Err(why) => return Seen::CouldNotLook(why.to_string()),
    };
    // Counts as open, so that hysteresis asks for the low mark before it says clear.
    let open = Open::new([(task.class, task.subject.clone())]);
    let look = Snapshot::new(host, &loaded.config, &loaded.managers, &open)
        .remembering(&known)
        .knowing(unit_alone(loaded, task));
    let result = detector.examine(&look);
    // Of this task: nothing else stands open for this look.
    let blind = look.take_blind().why;
    match result {
        Ok(Sweep::Present(findings)) => findings
            .into_iter()
            .find(|finding| finding.class == task.class && finding.subject == task.subject)
            .map_or_else(|| unseen(&look, task, blind), Seen::Present),
        Ok(Sweep::Absent(why)) => Seen::CouldNotLook(why),
        Err(why) => Seen::CouldNotLook(why.with_hint()),
    }
}
