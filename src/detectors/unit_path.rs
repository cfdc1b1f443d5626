//! Paths and users that unit files name and the host does not have: found before the unit fails.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::core::config::{Config, DeclaredService};
use crate::core::model::class::Class;
use crate::core::model::facts::{Fact, MovedHow};
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::healthy::{HealthyUnits, KnownFile};
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::reading::unit_file::{
    Need, Needed, best_candidate, is_set_aside, is_shared_by_users, needs,
};
use crate::core::reading::unit_state::is_excluded;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};
use crate::host::{Host, READ_CAP, known_files, packages};
use crate::services;
use crate::services::standing::Standing;

/// Bounds of the search for where a path went: directory levels and entries looked at.
const SEARCH_DEPTH: usize = 4;
const SEARCH_ENTRIES: usize = 4_000;
/// Searches of one sweep; the others say only what is missing.
const SEARCHES_MOST: usize = 8;
/// Where programs and services live, searched when nothing of the old path is left. None is a place of users:
/// a namesake there is anybody's.
const USUAL_PLACES: &[&str] = &[
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/opt",
    "/usr/local",
];

/// Where data may lie beside; never searched for a program.
const PLACES_OF_DATA: &[&str] = &["/srv"];

/// Paths whose last sight is remembered.
const PRESENT_MOST: usize = 8_192;

/// A search is not repeated for this long: a unit that fails again and again makes many sweeps.
const SEARCH_LIFE: Duration = Duration::from_secs(60);

/// Where a lost path may be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// The very file.
    SameFile(String),
    /// Its very content, and newer.
    SameContent(String),
    /// A package manager's record says so: the place, and whose.
    Recorded(String, String),
    /// Something of its name is.
    Namesake(String),
    Nothing,
}

impl Found {
    fn place(&self) -> Option<&str> {
        match self {
            Self::SameFile(place)
            | Self::SameContent(place)
            | Self::Recorded(place, _)
            | Self::Namesake(place) => Some(place),
            Self::Nothing => None,
        }
    }

    fn fact(&self) -> Option<Fact<'_>> {
        let moved = |to, how| Some(Fact::Moved { to, how });
        match self {
            Self::SameFile(to) => moved(to, MovedHow::SameFile),
            Self::SameContent(to) => moved(to, MovedHow::SameContent),
            Self::Recorded(to, whose) => moved(to, MovedHow::Record(whose)),
            Self::Namesake(place) => Some(Fact::Namesake(place)),
            Self::Nothing => None,
        }
    }
}

/// What this detector remembers between two looks.
#[derive(Debug, Default)]
struct Memory {
    /// What the last searches found, by lost path.
    searches: SortedMap<String, (Timestamp, Found)>,
    /// When a path that a unit needs was last seen where it should be.
    present: SortedMap<String, Timestamp>,
}

#[derive(Debug, Default)]
pub struct InvalidUnitPath {
    memory: Mutex<Memory>,
}

impl Detector for InvalidUnitPath {
    fn name(&self) -> &'static str {
        "invalid_unit_path"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::InvalidUnitPath]
    }

    fn interval(&self, config: &Config) -> Duration {
        Duration::from_secs(config.detect.path_sweep_s.max(1))
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        let declared = &look.config.service;
        if look.managers.is_empty() && declared.is_empty() {
            return Ok(Sweep::Absent("no service manager".to_owned()));
        }
        let view = View::new(look.host, &look.healthy, &self.memory);
        let mut found = Vec::new();
        for unit in look.units()? {
            if concerns(unit) && !is_excluded(unit, &look.config.detect.ignore_units) {
                view.unit(unit, look.now, &mut found);
            }
        }
        for service in declared {
            view.declared(service, look.now, &mut found);
        }
        Ok(Sweep::Present(found))
    }
}

/// Only units that matter: enabled, running, starting or failed.
fn concerns(unit: &UnitState) -> bool {
    let enabled = unit.unit_file_state.starts_with("enabled");
    !unit.fragment_path.is_empty()
        && !super::is_own(&unit.name)
        // Who stopped it may be at work on it, and starts it when it is done.
        && unit.purpose().is_none()
        && (enabled || unit.is_active() || unit.is_failed() || unit.is_changing())
}

/// What is wrong with a needed thing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Gone,
    NoDirectory,
    NoFile,
    NotExecutable,
}

impl Wrong {
    const fn words(self) -> &'static str {
        match self {
            Self::Gone => "does not exist",
            Self::NoDirectory => "is no directory",
            Self::NoFile => "is no file",
            Self::NotExecutable => "is not executable",
        }
    }
}

/// Whose paths are looked at.
struct Judged<'a> {
    unit: &'a str,
    /// The unit's own file; empty where there is none.
    file: &'a str,
    severity: Severity,
    /// Who may own what stands for something of it.
    standing: Standing,
    now: Timestamp,
}

/// The file system as the service manager sees it.
struct View<'a> {
    host: &'a Host,
    /// As PID 1 sees it: our own sandbox may hide some.
    init: Host,
    healthy: &'a HealthyUnits,
    memory: &'a Mutex<Memory>,
    /// Names in /etc/passwd; `None` when users also come from elsewhere.
    users: Option<String>,
}

impl<'a> View<'a> {
    fn new(host: &'a Host, healthy: &'a HealthyUnits, memory: &'a Mutex<Memory>) -> Self {
        let elsewhere = host
            .read("/etc/nsswitch.conf", READ_CAP)
            .unwrap_or_default()
            .lines()
            .filter(|line| line.starts_with("passwd"))
            .any(|line| {
                ["ldap", "sss", "winbind", "nis"]
                    .iter()
                    .any(|from| line.contains(from))
            });
        let users = if elsewhere {
            None
        } else {
            host.read("/etc/passwd", READ_CAP).ok()
        };
        Self {
            host,
            init: host.of_init(),
            healthy,
            memory,
            users,
        }
    }

    fn below(&self, path: &str) -> PathBuf {
        self.init.path(path)
    }

    fn unit(&self, unit: &UnitState, now: Timestamp, found: &mut Vec<Finding>) {
        let texts = services::unit_files(self.host, unit);
        let needs = needs(&unit.name, &texts);
        // A false condition is the author's own way to say: not on this host.
        let skipped = needs.conditions.iter().any(|condition| {
            condition
                .strip_prefix('!')
                .map_or_else(|| self.is_missing(condition), |path| !self.is_missing(path))
        });
        if needs.other_root || skipped {
            return;
        }
        let judged = Judged {
            unit: &unit.name,
            file: &unit.fragment_path,
            severity: if unit.is_active() {
                Severity::Warning
            } else {
                Severity::Error
            },
            standing: Standing::of(self.host, unit, &texts),
            now,
        };
        // What is not loaded yet is not what a start runs; that it waits to be loaded is a fault of its own.
        let starts = |needed: &&Needed| {
            !unit.need_daemon_reload
                || needed.need != Need::Executable
                || unit.exec_start.contains(&needed.value)
        };
        for needed in needs.needed.iter().filter(starts) {
            match self.wrong(needed) {
                Some(wrong) => found.push(self.finding(&judged, needed, wrong, found.len())),
                None => self.is_there(&needed.value, now),
            }
        }
    }

    fn is_there(&self, path: &str, now: Timestamp) {
        if let Ok(mut memory) = self.memory.lock()
            && (memory.present.len() < PRESENT_MOST || memory.present.contains_key(path))
        {
            memory.present.insert(path.to_owned(), now);
        }
    }

    fn declared(&self, service: &DeclaredService, now: Timestamp, found: &mut Vec<Finding>) {
        let program = service.start.first().cloned().unwrap_or_default();
        let judged = Judged {
            unit: &service.name,
            file: "",
            severity: Severity::Error,
            standing: Standing::of_root(self.host),
            now,
        };
        let wanted = [
            ("ExecStart", Need::Executable, program),
            (
                "WorkingDirectory",
                Need::Directory,
                service.directory.clone(),
            ),
        ];
        for (setting, need, value) in wanted {
            let needed = Needed {
                setting,
                need,
                value,
            };
            if needed.value.starts_with('/')
                && let Some(wrong) = self.wrong(&needed)
            {
                found.push(self.finding(&judged, &needed, wrong, found.len()));
            }
        }
    }

    /// What is wrong with a needed thing; `None` when it is there, or when it cannot be known.
    fn wrong(&self, needed: &Needed) -> Option<Wrong> {
        if needed.need == Need::User {
            let known = self
                .users
                .as_ref()?
                .lines()
                .any(|line| line.split(':').next() == Some(needed.value.as_str()));
            return (!known).then_some(Wrong::Gone);
        }
        match std::fs::metadata(self.below(&needed.value)) {
            Ok(meta) => match needed.need {
                Need::Directory if !meta.is_dir() => Some(Wrong::NoDirectory),
                Need::Executable if !meta.is_file() => Some(Wrong::NoFile),
                Need::Executable if meta.permissions().mode() & 0o111 == 0 => {
                    Some(Wrong::NotExecutable)
                }
                Need::Directory | Need::Executable | Need::File | Need::User => None,
            },
            Err(why) if is_gone(&why) => {
                // An absolute link would leave the root that we look through: ask without it as well.
                let here = std::fs::metadata(self.host.path(&needed.value));
                here.is_err_and(|why| is_gone(&why)).then_some(Wrong::Gone)
            }
            Err(_) => None,
        }
    }

    fn is_missing(&self, path: &str) -> bool {
        std::fs::metadata(self.below(path)).is_err_and(|why| is_gone(&why))
            && std::fs::metadata(self.host.path(path)).is_err_and(|why| is_gone(&why))
    }

    fn finding(
        &self,
        judged: &Judged<'_>,
        needed: &Needed,
        wrong: Wrong,
        searched: usize,
    ) -> Finding {
        let Judged {
            unit,
            severity,
            now,
            ..
        } = *judged;
        let message = format!("{} {}: {}", needed.setting, wrong.words(), needed.value);
        let finding = Finding::new(
            Class::InvalidUnitPath,
            unit,
            severity,
            &message,
            "unit_files",
            now,
        )
        .with(Fact::Unit(unit))
        .with(Fact::Setting(needed.setting))
        .with(Fact::Path(&needed.value))
        .with((wrong == Wrong::NotExecutable).then_some(Fact::NotExecutable));
        if needed.need == Need::User || wrong != Wrong::Gone || searched >= SEARCHES_MOST {
            return finding;
        }
        let found = self.searched(judged, &needed.value, needed.need);
        finding.with(found.fact())
    }

    /// The last search for this path while it is fresh and the place it found is still there, else a new one.
    fn searched(&self, judged: &Judged<'_>, lost: &str, need: Need) -> Found {
        let now = judged.now;
        let serves = |path: &Path| self.serves(&judged.standing, need, lost, path);
        let Ok(mut memory) = self.memory.lock() else {
            return Found::Nothing;
        };
        let live = |at: &Timestamp| now.since(*at) < SEARCH_LIFE;
        memory.searches.retain(|_, (at, _)| live(at));
        if let Some((_, known)) = memory.searches.get(lost)
            && known.place().is_none_or(|place| serves(Path::new(place)))
        {
            return known.clone();
        }
        let recorded = packages::moved(self.host, judged.file, lost);
        if let Some((place, whose)) = recorded.filter(|(place, _)| serves(Path::new(place))) {
            let found = Found::Recorded(place, whose);
            memory
                .searches
                .insert(lost.to_owned(), (now, found.clone()));
            return found;
        }
        let record = self.healthy.of(judged.unit);
        let search = Search {
            view: self,
            lost,
            known: record.and_then(|record| record.file(lost)),
            last_seen: memory.present.get(lost).copied(),
            serves: &serves,
        };
        let found = search.run(need);
        memory
            .searches
            .insert(lost.to_owned(), (now, found.clone()));
        found
    }

    /// Of the right kind, and nobody's who has fewer rights than the unit.
    fn serves(&self, standing: &Standing, need: Need, lost: &str, path: &Path) -> bool {
        let proves = |path| standing.prove(&self.init, need, lost, path).is_ok();
        need != Need::User && path.to_str().is_some_and(proves)
    }
}

/// A search for what is no longer at its path.
struct Search<'a> {
    view: &'a View<'a>,
    lost: &'a str,
    /// As it stood there while its unit was well.
    known: Option<&'a KnownFile>,
    /// When it was last seen there, by this process.
    last_seen: Option<Timestamp>,
    serves: &'a dyn Fn(&Path) -> bool,
}

impl Search<'_> {
    /// Below the lost path's nearest living ancestor, else in the usual places: the very file, or else the only one
    /// with its content, or else the best of its namesakes.
    fn run(&self, need: Need) -> Found {
        let mut near = Vec::new();
        // A folder that all users share is no place of this unit's.
        if let Some(ancestor) = self.living_ancestor()
            && ancestor != Path::new("/")
            && !ancestor.to_str().is_none_or(is_shared_by_users)
        {
            near = self.candidates(&ancestor);
        }
        let nearby = self.best(&near);
        if nearby != Found::Nothing || !near.is_empty() {
            return nearby;
        }
        let places = match need {
            Need::Executable => USUAL_PLACES.to_vec(),
            Need::Directory | Need::File | Need::User => [USUAL_PLACES, PLACES_OF_DATA].concat(),
        };
        let mut far: Vec<PathBuf> = Vec::new();
        for place in places {
            for found in self.candidates(Path::new(place)) {
                if !far.contains(&found) {
                    far.push(found);
                }
            }
        }
        self.best(&far)
    }

    fn living_ancestor(&self) -> Option<PathBuf> {
        let mut above = Path::new(self.lost).ancestors().skip(1);
        let living = above.find(|path| self.view.below(&path.to_string_lossy()).is_dir());
        living.map(Path::to_path_buf)
    }

    fn best(&self, candidates: &[PathBuf]) -> Found {
        let named = |path: &Path| path.to_string_lossy().into_owned();
        let known = |path: &Path| {
            let path = named(path);
            known_files::looked_at(&self.view.init, &path, &path).ok()
        };
        let is_aside = |path: &Path| is_set_aside(self.lost, &path.to_string_lossy());
        if let Some(same) = candidates
            .iter()
            .find(|path| known(path).is_some_and(|one| self.is_it(&one)))
        {
            return match is_aside(same) {
                true => Found::Namesake(named(same)),
                false => Found::SameFile(named(same)),
            };
        }
        let copies: Vec<&PathBuf> = candidates
            .iter()
            .filter(|path| !is_aside(path) && self.is_its_copy(path))
            .collect();
        if let [copy] = copies.as_slice() {
            return Found::SameContent(named(copy));
        }
        let name = Path::new(self.lost).file_name();
        let names = candidates.iter().filter(|path| path.file_name() == name);
        let names: Vec<String> = names.map(|path| named(path)).collect();
        best_candidate(self.lost, &names)
            .map_or(Found::Nothing, |place| Found::Namesake(place.to_owned()))
    }

    /// The very file, which had no second name: else this may be that one. A folder's number is given again soon, so
    /// its name has to be the same too.
    fn is_it(&self, candidate: &KnownFile) -> bool {
        let name = |path: &str| path.rsplit('/').next().map(str::to_owned);
        self.known.is_some_and(|known| {
            known.is_same_file(candidate)
                && known.names == 1
                && candidate.names == 1
                && (!known.is_folder || name(&candidate.path) == name(&known.path))
        })
    }

    /// Of the lost file's name and content, and made, or moved, since that was last seen: a backup is older.
    fn is_its_copy(&self, path: &Path) -> bool {
        let (Some(known), Some(last_seen)) = (self.known, self.last_seen) else {
            return false;
        };
        if path.file_name() != Path::new(self.lost).file_name() {
            return false;
        }
        let text = path.to_string_lossy();
        let is_new = std::fs::metadata(self.view.below(&text)).is_ok_and(|meta| {
            // A second name of the lost file changed when the first went; a backup, when its owner was set anew.
            let is_second_name = (meta.dev(), meta.ino()) == (known.device, known.inode);
            let born = meta.created().ok().and_then(millis_of);
            if is_second_name || born.is_some_and(|born| born < last_seen) {
                return false;
            }
            let changed = meta
                .ctime()
                .saturating_mul(1_000)
                .saturating_add(meta.ctime_nsec() / 1_000_000);
            meta.len() == known.bytes && Timestamp::from_millis(changed) >= last_seen
        });
        is_new
            && known_files::known(&self.view.init, &text, &text, None)
                .is_ok_and(|one| known.is_same_content(&one))
    }

    /// What has the lost name, or its number and device, below `start`, within the search bounds.
    fn candidates(&self, start: &Path) -> Vec<PathBuf> {
        let Some(name) = Path::new(self.lost).file_name() else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut queue = VecDeque::from([(start.to_path_buf(), 0)]);
        let mut looked = 0_usize;
        while let Some((directory, depth)) = queue.pop_front() {
            let Ok(entries) = std::fs::read_dir(self.view.below(&directory.to_string_lossy()))
            else {
                continue;
            };
            for entry in entries.flatten() {
                looked = looked.saturating_add(1);
                if looked > SEARCH_ENTRIES {
                    return found;
                }
                let path = directory.join(entry.file_name());
                let Ok(meta) = entry.metadata() else {
                    continue;
                };
                let numbers = self.known.map(|known| (known.device, known.inode));
                let is_it = entry.file_name() == name || numbers == Some((meta.dev(), meta.ino()));
                if is_it && (self.serves)(&path) {
                    found.push(path.clone());
                }
                if meta.is_dir() && depth < SEARCH_DEPTH {
                    queue.push_back((path, depth.saturating_add(1)));
                }
            }
        }
        found
    }
}

fn millis_of(time: SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    let millis = i64::try_from(since.as_millis()).ok()?;
    Some(Timestamp::from_millis(millis))
}

fn is_gone(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests;
