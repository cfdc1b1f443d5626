//! What changed on the box around a unit, read from the host: unit files, program, packages, boots, and the
//! history that the bundle tells. Everything is optional; a file system that hangs costs one deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::core::diagnosis::advisors::{Changes, SUSPECT};
use crate::core::model::facts::Key;
use crate::core::model::finding::Finding;
use crate::core::model::snippet::Snippet;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitName;
use crate::core::reading::unit_file;
use crate::host::{Host, READ_CAP, boot, files};

/// A healthy disk answers in milliseconds; a dead network mount never does.
const DEADLINE: Duration = Duration::from_secs(2);
/// Set while a reading is under way: at most one thread can hang.
static READING: AtomicBool = AtomicBool::new(false);

/// Where service managers keep what describes a unit, in order of precedence.
const FOLDERS: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/etc/init.d",
];
/// Lists of the files of each package, written anew when it is installed or upgraded: dpkg and opkg.
const PACKAGES: &[&str] = &["/var/lib/dpkg/info/*.list", "/usr/lib/opkg/info/*.list"];
/// Packages changed lately that are looked into, the newest first.
const PACKAGES_MOST: usize = 20;
/// A drop-in of our own is no change by someone else.
const OWN: &str = "-autonomous-orchestrator-";

/// What changed around `finding`. Nothing is known when the host does not answer within two seconds.
pub(super) fn changes(host: &Host, finding: &Finding, snippets: &[Snippet]) -> Changes {
    let git = told_by(snippets);
    if READING.swap(true, Ordering::SeqCst) {
        return Changes {
            git,
            ..Changes::default()
        };
    }
    let (tell, told) = mpsc::channel();
    let (host, finding) = (host.clone(), finding.clone());
    let reader = std::thread::Builder::new().name("historian".to_owned());
    let started = reader.spawn(move || {
        let _ = tell.send(read(&host, &finding));
        READING.store(false, Ordering::SeqCst);
    });
    if started.is_err() {
        READING.store(false, Ordering::SeqCst);
    }
    let changes = told.recv_timeout(DEADLINE).unwrap_or_default();
    Changes { git, ..changes }
}

fn read(host: &Host, finding: &Finding) -> Changes {
    let unit = finding.unit();
    let unit_files = if UnitName::new(unit).is_ok() {
        unit_files(host, unit)
    } else {
        Vec::new()
    };
    let programs = programs(host, unit, &unit_files, finding);
    let newest = |paths: &[String]| paths.iter().filter_map(|path| modified(host, path)).max();
    let all: Vec<String> = unit_files.iter().chain(&programs).cloned().collect();
    Changes {
        unit_file_changed_at: newest(&unit_files),
        exe_changed_at: newest(&programs),
        last_boot: boot::booted_at(host),
        package_changes: packages(host, &all, finding.seen_at),
        git: Vec::new(),
    }
}

/// The unit's own file and its drop-ins; init scripts are named without a suffix.
fn unit_files(host: &Host, unit: &str) -> Vec<String> {
    let script = unit.strip_suffix(".service").unwrap_or(unit);
    let own = FOLDERS
        .iter()
        .flat_map(|folder| [format!("{folder}/{unit}"), format!("{folder}/{script}")])
        .find(|path| host.path(path).is_file());
    let drop_ins = FOLDERS
        .iter()
        .flat_map(|folder| files::glob(host, &format!("{folder}/{unit}.d/*.conf")))
        .map(|file| file.path)
        .filter(|path| !path.contains(OWN));
    own.into_iter().chain(drop_ins).collect()
}

/// What the unit starts, and the path that the finding names.
fn programs(host: &Host, unit: &str, unit_files: &[String], finding: &Finding) -> Vec<String> {
    let texts: Vec<String> = unit_files
        .iter()
        .filter_map(|path| host.read(path, READ_CAP).ok())
        .collect();
    let commands = unit_file::needs(unit, &texts).commands;
    commands
        .iter()
        .filter_map(|line| unit_file::program(line))
        .chain(finding.fact(Key::Path).map(str::to_owned))
        .collect()
}

fn modified(host: &Host, path: &str) -> Option<Timestamp> {
    let changed = std::fs::metadata(host.path(path)).ok()?.modified().ok()?;
    let since = changed.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis())
        .ok()
        .map(Timestamp::from_millis)
}

/// Packages that hold one of `paths` and were installed or upgraded within a day before the fault.
fn packages(host: &Host, paths: &[String], fault: Timestamp) -> Vec<(String, Timestamp)> {
    let mut lists: Vec<(Timestamp, String)> = PACKAGES
        .iter()
        .flat_map(|lists| files::glob(host, lists))
        .map(|file| {
            let at = Timestamp::from_millis(file.modified_s.saturating_mul(1000));
            (at, file.path)
        })
        .filter(|(at, _)| *at <= fault && fault.since(*at) <= SUSPECT)
        .collect();
    lists.sort_unstable_by(|a, b| b.cmp(a));
    let holds = |list: &str| {
        let text = host.read(list, READ_CAP).unwrap_or_default();
        text.lines()
            .any(|line| paths.iter().any(|path| merged(path) == merged(line)))
    };
    lists
        .into_iter()
        .take(PACKAGES_MOST)
        .filter(|(_, list)| holds(list))
        .map(|(at, list)| (format!("package {} changed", package(&list)), at))
        .collect()
}

/// `/usr/lib/x` and `/lib/x` are one file where `/usr` is merged.
fn merged(path: &str) -> &str {
    path.strip_prefix("/usr").unwrap_or(path)
}

/// `/var/lib/dpkg/info/libc6:arm64.list` is of `libc6`.
fn package(list: &str) -> &str {
    let name = list.rsplit('/').next().unwrap_or(list);
    let name = name.strip_suffix(".list").unwrap_or(name);
    name.split(':').next().unwrap_or(name)
}

/// Commits among the retrieved passages: their revision is `hash time`.
fn told_by(snippets: &[Snippet]) -> Vec<(String, Timestamp)> {
    snippets
        .iter()
        .filter_map(|snippet| {
            let (hash, at) = snippet.revision.split_once(' ')?;
            Some((
                format!("commit {hash} '{}'", snippet.title),
                at.parse().ok()?,
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::core::model::class::Class;
    use crate::core::model::finding::Severity;
    use crate::host::clock::Clock;

    fn write(root: &std::path::Path, path: &str, text: &str) {
        let at = root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, text).unwrap();
    }

    #[test]
    fn an_upgraded_package_that_holds_the_program_is_named() {
        let root = tempfile::tempdir().unwrap();
        let at = root.path();
        write(
            at,
            "/lib/systemd/system/broker.service",
            "[Service]\nExecStart=/usr/sbin/broker -c /etc/broker.conf\n",
        );
        write(
            at,
            "/etc/systemd/system/broker.service.d/50-autonomous-orchestrator-execstart.conf",
            "",
        );
        write(at, "/usr/sbin/broker", "");
        write(
            at,
            "/var/lib/dpkg/info/broker:arm64.list",
            "/.\n/usr/sbin/broker\n",
        );
        write(at, "/var/lib/dpkg/info/other.list", "/.\n/usr/sbin/other\n");
        let host = Host::at(at, Clock::system());
        let soon = host.clock.now().plus(Duration::from_secs(60));
        let finding = Finding::new(
            Class::ServiceFailed,
            "broker.service",
            Severity::Error,
            "x",
            "t",
            soon,
        );
        let found = read(&host, &finding);
        assert!(found.unit_file_changed_at.is_some() && found.exe_changed_at.is_some());
        let names: Vec<&str> = found
            .package_changes
            .iter()
            .map(|(n, _)| n.as_str())
            .collect();
        assert_eq!(names, ["package broker changed"]);
        let later = Finding {
            seen_at: soon.plus(SUSPECT + SUSPECT),
            ..finding
        };
        assert!(read(&host, &later).package_changes.is_empty());
        let files = unit_files(&host, "broker.service");
        assert_eq!(files, ["/lib/systemd/system/broker.service"]);
    }

    #[test]
    fn commits_are_told_by_the_bundle() {
        let snippet = Snippet {
            title: "Move the platform".to_owned(),
            revision: "abc1234 2026-03-01T09:00:00Z".to_owned(),
            ..Snippet::default()
        };
        let page = Snippet {
            revision: "2026-03-01".to_owned(),
            ..Snippet::default()
        };
        let told = told_by(&[snippet, page]);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0, "commit abc1234 'Move the platform'");
    }
}
