//! A source that is there and cannot be read is neither healthy nor failed, one row each. A folder where a file is
//! expected stands for what refuses to be read: that holds for root as well.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

use super::*;
use crate::core::config::DeclaredService;
use crate::host::clock::Clock;

const DATA: &str = "36 35 8:1 / /data rw - ext4 /dev/sda1 rw\n";

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Absent,
    Found(usize),
    /// With the source that it names.
    CouldNotLook(&'static str),
}

struct Row {
    name: &'static str,
    detector: Box<dyn Detector>,
    /// Files with their text; without one it is a folder.
    tree: &'static [(&'static str, Option<&'static str>)],
    /// Stands open already.
    open: Option<(Class, &'static str)>,
    answer: Answer,
}

fn row(
    name: &'static str,
    detector: impl Detector + 'static,
    tree: &'static [(&'static str, Option<&'static str>)],
    open: Option<(Class, &'static str)>,
    answer: Answer,
) -> Row {
    Row {
        name,
        detector: Box::new(detector),
        tree,
        open,
        answer,
    }
}

fn thermal() -> Vec<Row> {
    const ZONE: &str = "sys/class/thermal/thermal_zone0/temp";
    let hot = Some((Class::Thermal, "thermal_zone0"));
    let new = || thermal::Thermal;
    vec![
        row("no sensor", new(), &[], None, Answer::Absent),
        row(
            "cool",
            new(),
            &[(ZONE, Some("40000"))],
            hot,
            Answer::Found(0),
        ),
        row(
            "a sensor that is off",
            new(),
            &[(ZONE, None)],
            None,
            Answer::Found(0),
        ),
        row(
            "was hot, refuses",
            new(),
            &[(ZONE, None)],
            hot,
            Answer::CouldNotLook("thermal_zone0"),
        ),
        row(
            "was hot, says nonsense",
            new(),
            &[(ZONE, Some("?"))],
            hot,
            Answer::CouldNotLook("thermal_zone0"),
        ),
        row(
            "no folder",
            new(),
            &[("sys/class/thermal", Some(""))],
            None,
            Answer::CouldNotLook("/sys/class/thermal"),
        ),
    ]
}

fn mounts() -> Vec<Row> {
    const TABLE: &str = "proc/self/mountinfo";
    let full = Some((Class::DiskFull, "/data"));
    let disk = disk::Disk::default;
    let read_only = readonly_fs::ReadonlyFs::default;
    vec![
        row("no table", disk(), &[], full, Answer::Absent),
        row(
            "a table that refuses",
            disk(),
            &[(TABLE, None)],
            full,
            Answer::CouldNotLook("mount table"),
        ),
        row(
            "size not told",
            disk(),
            &[(TABLE, Some(DATA))],
            None,
            Answer::Found(0),
        ),
        row(
            "was full, size not told",
            disk(),
            &[(TABLE, Some(DATA))],
            full,
            Answer::CouldNotLook("/data"),
        ),
        row("no table", read_only(), &[], None, Answer::Absent),
        row(
            "a table that refuses",
            read_only(),
            &[(TABLE, None)],
            None,
            Answer::CouldNotLook("mount table"),
        ),
        row(
            "no fstab",
            read_only(),
            &[(TABLE, Some(DATA))],
            None,
            Answer::Found(0),
        ),
        row(
            "fstab refuses",
            read_only(),
            &[(TABLE, Some(DATA)), ("etc/fstab", None)],
            None,
            Answer::CouldNotLook("/etc/fstab"),
        ),
    ]
}

fn network() -> Vec<Row> {
    const STATE: &str = "sys/class/net/wan0/operstate";
    let ports = port_conflict::PortConflict::default;
    vec![
        row(
            "up",
            network::Network,
            &[(STATE, Some("up"))],
            None,
            Answer::Found(0),
        ),
        row("gone", network::Network, &[], None, Answer::Found(1)),
        row(
            "refuses",
            network::Network,
            &[(STATE, None)],
            None,
            Answer::CouldNotLook("operstate"),
        ),
        row(
            "nobody listens",
            ports(),
            &[("proc/net/tcp", Some(""))],
            None,
            Answer::Found(0),
        ),
        row(
            "sockets refuse",
            ports(),
            &[("proc/net/tcp", None)],
            None,
            Answer::CouldNotLook("who holds tcp/80"),
        ),
    ]
}

fn build(root: &Path, tree: &[(&str, Option<&str>)]) {
    for (path, text) in tree {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text {
            Some(text) => fs::write(path, text).unwrap(),
            None => fs::create_dir(path).unwrap(),
        }
    }
}

#[test]
fn a_source_that_cannot_be_read_is_neither_healthy_nor_failed() {
    let mut config = Config::default();
    config.detect.interfaces = vec!["wan0".to_owned()];
    config.service.push(DeclaredService {
        name: "app".to_owned(),
        port: "tcp/80".to_owned(),
        ..DeclaredService::default()
    });
    for row in thermal().into_iter().chain(mounts()).chain(network()) {
        let dir = tempfile::tempdir().unwrap();
        build(dir.path(), row.tree);
        let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
        let open = Open::new(row.open.map(|(class, subject)| (class, subject.to_owned())));
        let look = Snapshot::new(&host, &config, &[], &open);
        let (name, detector) = (row.name, row.detector.name());
        match (row.detector.examine(&look), row.answer) {
            (Ok(Sweep::Absent(_)), Answer::Absent) => {}
            (Ok(Sweep::Present(found)), Answer::Found(count)) if found.len() == count => {}
            (Err(why), Answer::CouldNotLook(source)) if why.to_string().contains(source) => {}
            (said, wanted) => panic!("{detector}: {name}: {said:?}, not {wanted:?}"),
        }
    }
}

#[test]
fn every_detector_can_be_switched_off_by_its_name() {
    let names: Vec<&str> = super::all().iter().map(|one| one.name()).collect();
    assert_eq!(names, crate::core::config::check::DETECTORS);
}
