//! The units as systemd lists them, with the properties of those alone that changed since they were last read.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::core::model::manager_event::{Happening, ManagerState};
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::unit::{UnitName, UnitState};
use crate::core::reading::last_run::About;
use crate::services::systemd::bus::{
    BusConnection, BusError, MANAGER, MANAGER_PATH, PROPERTIES, unit_path,
};
use crate::services::systemd::decode::{Draft, is_watched};
use crate::services::systemd::wire::{Message, ValueReader, WireError};

/// Everything is read anew after this time: no signal tells that a unit file changed on the disk.
const FRESH_FOR: Duration = Duration::from_secs(300);
/// Changed units remembered between two sweeps; more is as if all had changed.
const CHANGED_MOST: usize = 4_096;
const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// One unit of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    name: String,
    load: String,
    active: String,
    sub: String,
}

impl Listed {
    /// `(ssssssouso)`: name, description, states, the unit that it follows, its object, its job.
    fn read(row: &mut ValueReader<'_>) -> Result<Self, WireError> {
        let name = row.text()?.to_owned();
        row.text()?;
        let states = [row.text()?, row.text()?, row.text()?].map(str::to_owned);
        let [load, active, sub] = states;
        row.skip("s")?;
        row.skip("o")?;
        row.skip("u")?;
        row.skip("s")?;
        row.skip("o")?;
        Ok(Self {
            name,
            load,
            active,
            sub,
        })
    }

    fn is_of(&self, state: &UnitState) -> bool {
        (&self.load, &self.active, &self.sub)
            == (&state.load_state, &state.active_state, &state.sub_state)
    }
}

/// What was heard since the last sweep began.
#[derive(Debug, Default)]
struct News {
    changed: SortedSet<String>,
    /// Counts what made everything unknown.
    lost: u64,
    /// Somebody hears systemd's signals and tells of them here.
    followed: bool,
}

/// What the last sweep read.
#[derive(Debug, Default)]
struct Swept {
    units: SortedMap<String, UnitState>,
    /// When everything was last read; `None` when it has to be.
    since: Option<Instant>,
    lost: u64,
}

/// The units as they were last read, and what of it does not hold any more. News never wait for a sweep.
#[derive(Debug, Default)]
pub struct Known {
    news: Mutex<News>,
    swept: Mutex<Swept>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl News {
    fn forget(&mut self) {
        self.lost = self.lost.wrapping_add(1);
        self.changed.clear();
    }

    fn changed(&mut self, unit: &str) {
        if self.changed.len() >= CHANGED_MOST {
            self.forget();
        }
        self.changed.insert(unit.to_owned());
    }
}

impl Known {
    /// From now on changes are told, or are not any more.
    pub fn follow(&self, followed: bool) {
        let mut news = locked(&self.news);
        news.followed = followed;
        news.forget();
    }

    /// Nothing is known any more.
    pub fn forget(&self) {
        locked(&self.news).forget();
    }

    /// Takes a word of the manager's: what it speaks of is read anew.
    pub fn hear(&self, happening: &Happening) {
        let mut news = locked(&self.news);
        match happening {
            Happening::UnitChanged(change) => news.changed(&change.unit),
            Happening::UnitNew(unit) | Happening::UnitRemoved(unit) => news.changed(unit),
            Happening::Reloading(_) | Happening::Gap => news.forget(),
            Happening::JobNew { .. }
            | Happening::JobRemoved { .. }
            | Happening::Signal { .. }
            | Happening::ManagerState(_) => {}
        }
    }

    /// All watched units: one list, and the properties of what changed, is failed or is not known.
    pub fn sweep(
        &self,
        connection: &mut BusConnection,
        end: Instant,
    ) -> Result<Vec<UnitState>, BusError> {
        // One sweep at a time: a second one would put back what is older.
        let mut swept = locked(&self.swept);
        let followed = swept.drop_stale(&mut locked(&self.news));
        let listed = list(connection, end)?;
        let mut units = Vec::with_capacity(listed.len());
        let mut unread = Vec::new();
        for unit in listed {
            match swept.units.get(&unit.name) {
                Some(state) if unit.is_of(state) && !state.is_failed() => units.push(state.clone()),
                _ => unread.push(unit.name),
            }
        }
        units.extend(read(connection, &unread, end)?);
        units.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if followed {
            let named = |unit: &UnitState| (unit.name.clone(), unit.clone());
            swept.units = units.iter().map(named).collect();
        }
        Ok(units)
    }
}

impl Swept {
    /// Drops what does not hold any more; says whether what is read now can be kept.
    fn drop_stale(&mut self, news: &mut News) -> bool {
        let old = self.since.is_none_or(|at| at.elapsed() >= FRESH_FOR);
        if old || !news.followed || self.lost != news.lost {
            self.units.clear();
            self.since = Some(Instant::now());
            self.lost = news.lost;
        }
        for unit in std::mem::take(&mut news.changed) {
            self.units.remove(&unit);
        }
        news.followed
    }
}

fn list(connection: &mut BusConnection, end: Instant) -> Result<Vec<Listed>, BusError> {
    let call = connection.manager("ListUnits", &[]);
    connection.ask(&call, end, &mut |_| {}, rows)
}

fn rows(message: &Message<'_>) -> Result<Vec<Listed>, WireError> {
    let mut rows = message.body().entries()?;
    let mut listed = Vec::new();
    while rows.next_entry() {
        let unit = Listed::read(&mut rows)?;
        if is_watched(&unit.name) {
            listed.push(unit);
        }
    }
    Ok(listed)
}

/// The manager as a whole.
pub fn manager_state(
    connection: &mut BusConnection,
    end: Instant,
) -> Result<ManagerState, BusError> {
    let args = [MANAGER, "SystemState"];
    let call = connection
        .peer()
        .call(MANAGER_PATH, PROPERTIES, "Get", &args);
    connection.ask(&call, end, &mut |_| {}, |message| {
        let state = message.body().variant()?;
        Ok(ManagerState::of(&state.text()))
    })
}

/// Units of these names, in their order. What is gone meanwhile is left out.
pub fn read(
    connection: &mut BusConnection,
    names: &[String],
    end: Instant,
) -> Result<Vec<UnitState>, BusError> {
    let asked: Vec<(String, [&str; 1])> = names
        .iter()
        .map(|name| (unit_path(name), [interface(name)]))
        .collect();
    let peer = connection.peer();
    let calls = asked
        .iter()
        .map(|(path, args)| peer.call(path, PROPERTIES, "GetAll", args));
    let mut units: Vec<Option<UnitState>> = vec![None; names.len()];
    connection.ask_all(calls, end, &mut |number, answer| {
        if let (Some(place), Some(message)) = (units.get_mut(number), answer) {
            *place = properties(message)?;
        }
        Ok(())
    })?;
    Ok(units.into_iter().flatten().collect())
}

/// Which properties tell of a unit: of kinds that run nothing those of every unit, of the others all.
fn interface(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "target" | "device" | "slice")) => UNIT,
        _ => "",
    }
}

/// What goes with a unit that is down.
pub fn about(
    connection: &mut BusConnection,
    unit: &UnitName,
    end: Instant,
) -> Result<About, BusError> {
    let (path, args) = (unit_path(unit.as_str()), [interface(unit.as_str())]);
    let call = connection.peer().call(&path, PROPERTIES, "GetAll", &args);
    connection.ask(&call, end, &mut |_| {}, |message| {
        let mut about = About::default();
        let mut entries = message.body().entries()?;
        while entries.next_entry() {
            let name = entries.text()?;
            match About::asks(name) {
                true => about.take(name, &entries.variant()?.shown()),
                false => entries.skip_variant()?,
            }
        }
        Ok(about.finish())
    })
}

fn properties(message: &Message<'_>) -> Result<Option<UnitState>, WireError> {
    let mut draft = Draft::new();
    let mut entries = message.body().entries()?;
    while entries.next_entry() {
        let name = entries.text()?;
        if !draft.take(name, || entries.variant())? {
            entries.skip_variant()?;
        }
    }
    Ok(draft.finish())
}

/// Reads an answer in both ways, for the fuzzer.
#[cfg(fuzzing)]
pub fn read_answer(message: &Message<'_>) {
    let _ = rows(message);
    let _ = properties(message);
}
