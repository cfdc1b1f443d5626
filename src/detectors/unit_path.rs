//! Paths and users that unit files name and the host does not have: found before the unit fails.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use crate::core::config::{Config, DeclaredService};
use crate::core::model::class::Class;
use crate::core::model::facts::{Fact, MovedHow};
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::reading::unit_file::{Need, Needed, best_candidate, is_shared_by_users, needs};
use crate::core::reading::unit_state::is_excluded;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};
use crate::host::{Host, READ_CAP};
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

/// A search is not repeated for this long: a unit that fails again and again makes many sweeps.
const SEARCH_LIFE: Duration = Duration::from_secs(60);

/// What the last searches found, by lost path.
type Searches = BTreeMap<String, (Timestamp, Option<(String, MovedHow<'static>)>)>;

#[derive(Debug, Default)]
pub struct InvalidUnitPath {
    searches: Mutex<Searches>,
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
        let view = View::new(look.host, &self.searches);
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
        && (enabled || unit.is_active() || unit.is_failed() || unit.is_changing())
}

/// Whose paths are looked at.
struct Judged<'a> {
    unit: &'a str,
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
    searches: &'a Mutex<Searches>,
    /// Names in /etc/passwd; `None` when users also come from elsewhere.
    users: Option<String>,
}

impl<'a> View<'a> {
    fn new(host: &'a Host, searches: &'a Mutex<Searches>) -> Self {
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
            searches,
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
            severity: if unit.is_active() {
                Severity::Warning
            } else {
                Severity::Error
            },
            standing: Standing::of(self.host, unit, &texts),
            now,
        };
        for needed in &needs.needed {
            if let Some(what) = self.wrong(needed) {
                found.push(self.finding(&judged, needed, what, found.len()));
            }
        }
    }

    fn declared(&self, service: &DeclaredService, now: Timestamp, found: &mut Vec<Finding>) {
        let program = service.start.first().cloned().unwrap_or_default();
        let judged = Judged {
            unit: &service.name,
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
                && let Some(what) = self.wrong(&needed)
            {
                found.push(self.finding(&judged, &needed, what, found.len()));
            }
        }
    }

    /// What is wrong with a needed thing; `None` when it is there, or when it cannot be known.
    fn wrong(&self, needed: &Needed) -> Option<&'static str> {
        if needed.need == Need::User {
            let known = self
                .users
                .as_ref()?
                .lines()
                .any(|line| line.split(':').next() == Some(needed.value.as_str()));
            return (!known).then_some("does not exist");
        }
        match std::fs::metadata(self.below(&needed.value)) {
            Ok(meta) => match needed.need {
                Need::Directory if !meta.is_dir() => Some("is no directory"),
                Need::Executable if !meta.is_file() => Some("is no file"),
                Need::Executable if meta.permissions().mode() & 0o111 == 0 => {
                    Some("is not executable")
                }
                Need::Directory | Need::Executable | Need::File | Need::User => None,
            },
            Err(why) if is_gone(&why) => {
                // An absolute link would leave the root that we look through: ask without it as well.
                let here = std::fs::metadata(self.host.path(&needed.value));
                here.is_err_and(|why| is_gone(&why))
                    .then_some("does not exist")
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
        what: &str,
        searched: usize,
    ) -> Finding {
        let Judged {
            unit,
            severity,
            now,
            ..
        } = *judged;
        let message = format!("{} {what}: {}", needed.setting, needed.value);
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
        .with(Fact::Path(&needed.value));
        if needed.need == Need::User || what != "does not exist" || searched >= SEARCHES_MOST {
            return finding;
        }
        match self.searched(judged, &needed.value, needed.need) {
            Some((place, how)) => finding.with(Fact::Moved { to: &place, how }),
            None => finding,
        }
    }

    /// The last search for this path while it is fresh and the place it found is still there, else a new one.
    fn searched(
        &self,
        judged: &Judged<'_>,
        lost: &str,
        need: Need,
    ) -> Option<(String, MovedHow<'static>)> {
        let now = judged.now;
        let serves = |path: &Path| self.serves(&judged.standing, path, need);
        let mut searches = self.searches.lock().ok()?;
        searches.retain(|_, (at, _)| now.since(*at) < SEARCH_LIFE);
        if let Some((_, known)) = searches.get(lost)
            && known
                .as_ref()
                .is_none_or(|(place, _)| serves(Path::new(place)))
        {
            return known.clone();
        }
        let places: Vec<&str> = match need {
            Need::Executable => USUAL_PLACES.to_vec(),
            Need::Directory | Need::File | Need::User => [USUAL_PLACES, PLACES_OF_DATA].concat(),
        };
        let found = self.moved_to(lost, &places, &serves);
        searches.insert(lost.to_owned(), (now, found.clone()));
        found
    }

    /// Where a lost path may stand now: the only best namesake below its nearest living ancestor, else in
    /// the usual places.
    fn moved_to(
        &self,
        lost: &str,
        places: &[&str],
        serves: &dyn Fn(&Path) -> bool,
    ) -> Option<(String, MovedHow<'static>)> {
        let ancestor = Path::new(lost)
            .ancestors()
            .skip(1)
            .find(|path| self.below(&path.to_string_lossy()).is_dir())?
            .to_path_buf();
        // A folder that all users share is no place of this unit's.
        if ancestor != Path::new("/") && !ancestor.to_str().is_none_or(is_shared_by_users) {
            let near = self.namesakes(&ancestor, lost, serves);
            if let Some(place) = best_candidate(lost, &near) {
                return Some((place.to_owned(), MovedHow::Sibling));
            }
            if !near.is_empty() {
                return None;
            }
        }
        let mut far = Vec::new();
        for place in places {
            for found in self.namesakes(Path::new(place), lost, serves) {
                if !far.contains(&found) {
                    far.push(found);
                }
            }
        }
        best_candidate(lost, &far).map(|place| (place.to_owned(), MovedHow::SameName))
    }

    /// Files or directories with the name of `lost` below `start`, within the search bounds.
    fn namesakes(&self, start: &Path, lost: &str, serves: &dyn Fn(&Path) -> bool) -> Vec<String> {
        let Some(name) = Path::new(lost).file_name() else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut queue = VecDeque::from([(start.to_path_buf(), 0)]);
        let mut looked = 0_usize;
        while let Some((directory, depth)) = queue.pop_front() {
            let Ok(entries) = std::fs::read_dir(self.below(&directory.to_string_lossy())) else {
                continue;
            };
            for entry in entries.flatten() {
                looked = looked.saturating_add(1);
                if looked > SEARCH_ENTRIES {
                    return found;
                }
                let path = directory.join(entry.file_name());
                let Ok(kind) = entry.file_type() else {
                    continue;
                };
                if entry.file_name() == name && serves(&path) {
                    found.push(path.to_string_lossy().into_owned());
                }
                if kind.is_dir() && depth < SEARCH_DEPTH {
                    queue.push_back((path, depth.saturating_add(1)));
                }
            }
        }
        found
    }

    /// Of the right kind, and nobody's who has fewer rights than the unit.
    fn serves(&self, standing: &Standing, path: &Path, need: Need) -> bool {
        need != Need::User
            && path
                .to_str()
                .is_some_and(|path| standing.prove(&self.init, need, path).is_ok())
    }
}

fn is_gone(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::fs;

    use super::*;
    use crate::core::model::facts::Key;
    use crate::host::clock::Clock;

    fn write(root: &Path, path: &str, text: &str, mode: u32) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn examine(root: &Path, unit_text: &str) -> Vec<Finding> {
        write(root, "etc/systemd/system/app.service", unit_text, 0o644);
        write(root, "etc/passwd", "root:x:0:0::/root:/bin/sh\n", 0o644);
        let host = Host::at(root, Clock::manual(Timestamp::from_millis(0)));
        let unit = UnitState {
            name: "app.service".to_owned(),
            fragment_path: "/etc/systemd/system/app.service".to_owned(),
            unit_file_state: "enabled".to_owned(),
            ..UnitState::default()
        };
        assert!(concerns(&unit));
        let mut found = Vec::new();
        let searches = Mutex::default();
        View::new(&host, &searches).unit(&unit, Timestamp::from_millis(0), &mut found);
        found
    }

    #[test]
    fn a_moved_program_is_named_with_its_new_place() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "opt/app/v2/bin/run", "x", 0o755);
        write(dir.path(), "opt/app/doc/run", "x", 0o644);
        let found = examine(dir.path(), "[Service]\nExecStart=/opt/app/v1/bin/run --x\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].fact(Key::MovedTo), Some("/opt/app/v2/bin/run"));
        assert_eq!(found[0].fact(Key::Setting), Some("ExecStart"));
        assert_eq!(
            found[0].message,
            "ExecStart does not exist: /opt/app/v1/bin/run"
        );
    }

    #[test]
    fn places_of_users_are_not_searched_for_a_program() {
        let dir = tempfile::tempdir().unwrap();
        for place in ["home/eve/bin", "srv/eve", "tmp", "var/tmp"] {
            write(dir.path(), &format!("{place}/meterd"), "x", 0o755);
        }
        let moved = |lines: &str| {
            let found = examine(dir.path(), &format!("[Service]\n{lines}\n"));
            found[0].fact(Key::MovedTo).map(str::to_owned)
        };
        assert_eq!(moved("ExecStart=/usr/local/bin/meterd"), None);
        // Its own old folder was one that all users share.
        assert_eq!(moved("ExecStart=/home/gone/bin/meterd"), None);
        write(dir.path(), "opt/build/meterd", "x", 0o755);
        assert_eq!(
            moved("ExecStart=/usr/local/bin/meterd").as_deref(),
            Some("/opt/build/meterd")
        );
        // Data lies in /srv.
        write(dir.path(), "srv/plant/recipes/a", "x", 0o644);
        let data = moved("WorkingDirectory=/var/lib/plant/recipes");
        assert_eq!(data.as_deref(), Some("/srv/plant/recipes"));
        // What everybody can write stands for nothing.
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(dir.path().join("srv/plant"), open).unwrap();
        assert_eq!(moved("WorkingDirectory=/var/lib/plant/recipes"), None);
    }

    #[test]
    fn users_directories_and_modes_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "usr/bin/tool", "x", 0o644);
        let found = examine(
            dir.path(),
            "[Service]\nExecStart=/usr/bin/tool\nUser=gone\nWorkingDirectory=/srv/gone\nEnvironmentFile=-/etc/gone\n",
        );
        let said: Vec<_> = found.iter().map(|f| f.message.as_str()).collect();
        assert_eq!(
            said,
            [
                "ExecStart is not executable: /usr/bin/tool",
                "WorkingDirectory does not exist: /srv/gone",
                "User does not exist: gone",
            ]
        );
    }

    #[test]
    fn a_false_condition_is_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        let text =
            "[Unit]\nConditionPathExists=/usr/bin/tool\n[Service]\nExecStart=/usr/bin/tool\n";
        assert_eq!(examine(dir.path(), text), []);
    }
}
