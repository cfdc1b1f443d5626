//! Is somebody installing something just now? What is missing then may be there in a moment.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::reading::unit_file::{Need, needs};
use crate::host::{Host, READ_CAP};
use crate::services;

/// Nothing changed for so long: it is over.
const QUIET: Duration = Duration::from_secs(10);
/// A package manager that holds its lock is asked again after this long.
const LOCK_RECHECK: Duration = Duration::from_secs(5);
/// What package managers lock while they work.
const LOCKS: &[&str] = &[
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/lib/apk/db/lock",
    "/var/lock/opkg.lock",
    "/run/opkg.lock",
    "/var/lib/rpm/.rpm.lock",
];
/// A drop-in of ours is no deployment.
const OWN: &str = "-autonomous-orchestrator-";

/// What is under way around `unit`, of which the path `lost` may be missing, and when to ask again.
pub fn under_way(
    host: &Host,
    unit: &UnitState,
    lost: Option<&str>,
    now: Timestamp,
) -> Option<(String, Timestamp)> {
    if let Some(lock) = LOCKS.iter().find(|lock| is_locked(host, lock)) {
        return Some((
            format!("a package manager holds {lock}"),
            now.plus(LOCK_RECHECK),
        ));
    }
    let files = std::iter::once(&unit.fragment_path).chain(&unit.drop_in_paths);
    let mut watched: Vec<String> = files.filter(|path| !path.contains(OWN)).cloned().collect();
    let needed = needs(&unit.name, &services::unit_files(host, unit)).needed;
    let programs = needed.iter().filter(|one| one.need == Need::Executable);
    watched.extend(programs.filter_map(|one| folder_of(&one.value)));
    watched.extend(lost.and_then(|lost| living_folder(host, lost)));
    let changed = |path: &String| Some((modified(host, path)?, path.clone()));
    let (at, path) = watched.iter().filter_map(changed).max()?;
    let is_recent = at <= now.plus(QUIET) && now < at.plus(QUIET);
    is_recent.then(|| (format!("{path} changed a moment ago"), at.plus(QUIET)))
}

fn folder_of(path: &str) -> Option<String> {
    let (folder, _) = path.rsplit_once('/')?;
    (!folder.is_empty()).then(|| folder.to_owned())
}

/// The nearest folder above that is there; the root's own changes say nothing.
fn living_folder(host: &Host, lost: &str) -> Option<String> {
    let view = host.of_init();
    let mut above = Path::new(lost).ancestors().skip(1);
    let living = above.find(|path| view.path(path).is_dir())?;
    (living != Path::new("/")).then(|| living.to_string_lossy().into_owned())
}

fn modified(host: &Host, path: &str) -> Option<Timestamp> {
    let modified = std::fs::metadata(host.of_init().path(path))
        .ok()?
        .modified()
        .ok()?;
    let since = modified.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis())
        .ok()
        .map(Timestamp::from_millis)
}

/// Does somebody hold a lock on the file? The kernel lists them all with device and inode (proc(5)).
fn is_locked(host: &Host, path: &str) -> bool {
    let Ok(meta) = std::fs::metadata(host.of_init().path(path)) else {
        return false;
    };
    let inode = meta.ino().to_string();
    let locks = host.read("/proc/locks", READ_CAP).unwrap_or_default();
    let (major, minor) = (nix::libc::major(meta.dev()), nix::libc::minor(meta.dev()));
    let device = format!("{major:02x}:{minor:02x}");
    locks
        .lines()
        .filter(|line| !line.contains("->"))
        .any(|line| {
            let place = line.split_ascii_whitespace().nth(5).unwrap_or_default();
            place
                .strip_prefix(device.as_str())
                .and_then(|rest| rest.strip_prefix(':'))
                == Some(inode.as_str())
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::host::clock::Clock;

    const SECOND: Duration = Duration::from_secs(1);

    fn put(root: &Path, path: &str, text: &str, at_s: u64) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        touch(&path, at_s);
    }

    fn touch(path: &Path, at_s: u64) {
        let file = fs::File::open(path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(at_s))
            .unwrap();
    }

    #[test]
    fn what_changed_a_moment_ago_is_waited_for_until_it_is_quiet() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        put(
            root,
            "etc/systemd/system/a.service",
            "[Service]\nExecStart=/opt/a/bin/run\n",
            1_000,
        );
        put(root, "opt/a/other", "", 1_000);
        touch(&root.join("opt/a"), 1_000);
        let host = Host::at(root, Clock::manual(Timestamp::default()));
        let mut unit = UnitState {
            name: "a.service".to_owned(),
            fragment_path: "/etc/systemd/system/a.service".to_owned(),
            ..UnitState::default()
        };
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let ask = |unit: &UnitState, now| under_way(&host, unit, Some("/opt/a/bin/run"), now);
        assert_eq!(ask(&unit, at(2_000)), None, "long over");
        touch(&root.join("opt/a"), 1_995);
        let (what, until) = ask(&unit, at(2_000)).unwrap();
        assert_eq!(
            (what.as_str(), until),
            ("/opt/a changed a moment ago", at(2_005))
        );
        assert_eq!(ask(&unit, until), None);
        touch(&root.join("opt/a"), 9_000);
        assert_eq!(ask(&unit, at(2_000)), None, "a clock that was set back");
        touch(&root.join("opt/a"), 1_000);
        put(root, "a.d/50-autonomous-orchestrator-x.conf", "", 1_999);
        unit.drop_in_paths = vec!["/a.d/50-autonomous-orchestrator-x.conf".to_owned()];
        assert_eq!(ask(&unit, at(2_000)), None, "ours");
        touch(&root.join("etc/systemd/system/a.service"), 1_999);
        assert!(ask(&unit, at(2_000)).is_some());
    }

    #[test]
    fn a_package_manager_at_work_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        put(root, "var/lib/dpkg/lock", "", 1_000);
        let host = Host::at(root, Clock::manual(Timestamp::default()));
        let meta = fs::metadata(root.join("var/lib/dpkg/lock")).unwrap();
        let (major, minor) = (nix::libc::major(meta.dev()), nix::libc::minor(meta.dev()));
        let held = |inode: u64| {
            format!("1: POSIX  ADVISORY  WRITE 70 {major:02x}:{minor:02x}:{inode} 0 EOF\n")
        };
        let now = Timestamp::from_millis(2_000_000);
        let ask = || under_way(&host, &UnitState::default(), None, now);
        put(root, "proc/locks", &held(meta.ino() + 1), 1_000);
        assert_eq!(ask(), None);
        put(root, "proc/locks", &held(meta.ino()), 1_000);
        let (what, until) = ask().unwrap();
        assert!(what.contains("/var/lib/dpkg/lock"), "{what}");
        assert_eq!(until, now.plus(5 * SECOND));
    }
}
