//! A source that is there and cannot be read is neither healthy nor failed, one row each. A folder where a file is
//! expected stands for what refuses to be read: that holds for root as well.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

use super::*;
use crate::core::config::DeclaredService;
use crate::core::model::unit::UnitName;
use crate::host::clock::Clock;
use crate::services::{Order, Ordered};

const UNIT: &str = "meter.service";
const STAT: &str = "proc/70/stat";
const STOPPED: &str = "70 (meterd) T 1 70 70 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 10000 0";
const FD: &str = "proc/70/fd";
const TCP: &str = "proc/net/tcp";
/// Somebody listens on port 80.
const LISTENS: &str = "header\n 0: 00000000:0050 00000000:0000 0A 0:0 0:0 0 0 0 41206 1\n";
/// And does not take a connection.
const WAITS: &str = "header\n 0: 00000000:0050 00000000:0000 0A 0:0 0:0 0 0 0 41206 1\n \
    1: 0100007F:0050 0100007F:A004 01 0:0 0:0 0 0 0 0 1\n";
const DATA: &str = "36 35 8:1 / /data rw - ext4 /dev/sda1 rw\n";

/// A manager with one unit.
#[derive(Debug)]
pub struct One {
    unit: UnitState,
    /// Every process belongs to it; else none.
    has_all: bool,
}

impl One {
    pub fn with_all(unit: UnitState) -> Self {
        let has_all = true;
        Self { unit, has_all }
    }

    pub fn with_none(unit: UnitState) -> Self {
        let has_all = false;
        Self { unit, has_all }
    }
}

impl ServiceManager for One {
    fn name(&self) -> &'static str {
        "one"
    }

    fn units(&self) -> Result<Vec<UnitState>, ServiceError> {
        Ok(vec![self.unit.clone()])
    }

    fn unit(&self, _: &UnitName) -> Result<UnitState, ServiceError> {
        Ok(self.unit.clone())
    }

    fn order(&self, _: Order, _: &UnitName, _: Duration) -> Result<Ordered, ServiceError> {
        Ok(Ordered::DONE)
    }

    fn reload(&self) -> Result<(), ServiceError> {
        Ok(())
    }

    fn unit_of(&self, _pid: u32) -> Option<String> {
        self.has_all.then(|| self.unit.name.clone())
    }
}

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

fn uplink() -> Vec<Row> {
    const ROUTES: &str = "proc/net/route";
    const OPEN: Option<(Class, &str)> = Some((Class::UplinkDown, "uplink"));
    const WAY: &str = "head\nwan0 00000000 010200C0 0003 0 0 0 00000000 0 0 0\n";
    const ON: (&str, Option<&str>) = ("sys/class/net/wan0/flags", Some("0x1003"));
    const UP: (&str, Option<&str>) = ("sys/class/net/wan0/operstate", Some("up"));
    let new = uplink::Uplink::default;
    vec![
        row("no network", new(), &[], None, Answer::Absent),
        row(
            "never had a route",
            new(),
            &[(ROUTES, Some("head\n"))],
            None,
            Answer::Absent,
        ),
        row(
            "refuses",
            new(),
            &[(ROUTES, None)],
            OPEN,
            Answer::CouldNotLook("/proc/net/route"),
        ),
        row(
            "whole",
            new(),
            &[(ROUTES, Some(WAY)), ON, UP],
            OPEN,
            Answer::Found(0),
        ),
        row(
            "broken, and open",
            new(),
            &[(ROUTES, Some(WAY)), UP],
            OPEN,
            Answer::Found(1),
        ),
        row(
            "broken at one look alone",
            new(),
            &[(ROUTES, Some(WAY)), UP],
            None,
            Answer::Found(0),
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
            &[(TCP, Some(""))],
            None,
            Answer::Found(0),
        ),
        row(
            "sockets refuse",
            ports(),
            &[(TCP, None)],
            None,
            Answer::CouldNotLook("who holds tcp/80"),
        ),
        row(
            "a process refuses, another's conflict is open",
            ports(),
            &[(TCP, Some(LISTENS)), (FD, Some(""))],
            Some((Class::PortConflict, UNIT)),
            Answer::Found(0),
        ),
        row(
            "was held, a process refuses",
            ports(),
            &[(TCP, Some(LISTENS)), (FD, Some(""))],
            Some((Class::PortConflict, "app")),
            Answer::CouldNotLook("who holds tcp/80: process 70"),
        ),
        row(
            "was held, its holder has ended",
            ports(),
            &[(TCP, Some(LISTENS)), ("proc/70/comm", Some(""))],
            Some((Class::PortConflict, "app")),
            Answer::Found(0),
        ),
    ]
}

fn services() -> Vec<Row> {
    let hung = Some((Class::ServiceHung, UNIT));
    let new = service_hung::ServiceHung::default;
    vec![
        row(
            "stands still",
            new(),
            &[(STAT, Some(STOPPED))],
            hung,
            Answer::Found(1),
        ),
        row(
            "its main process has ended",
            new(),
            &[("proc/70/comm", Some(""))],
            hung,
            Answer::Found(0),
        ),
        row(
            "its main process refuses",
            new(),
            &[(STAT, None)],
            None,
            Answer::Found(0),
        ),
        row(
            "stood still, its main process refuses",
            new(),
            &[(STAT, None)],
            hung,
            Answer::CouldNotLook("/proc/70/stat"),
        ),
        row(
            "a connection waits, its process refuses",
            new(),
            &[(TCP, Some(WAITS)), (FD, Some(""))],
            None,
            Answer::Found(0),
        ),
        row(
            "was deaf, a connection waits, its process refuses",
            new(),
            &[(TCP, Some(WAITS)), (FD, Some(""))],
            hung,
            Answer::CouldNotLook("/proc/70/fd"),
        ),
    ]
}

fn processes() -> Vec<Row> {
    const EXE: &str = "proc/70/exe";
    const OTHER: &str = "proc/71/stat";
    let stale = Some((Class::StaleProcess, UNIT));
    let new = stale_process::StaleProcess::default;
    vec![
        row("no processes", new(), &[], stale, Answer::Absent),
        row(
            "ended meanwhile",
            new(),
            &[("proc/70/comm", Some(""))],
            stale,
            Answer::Found(0),
        ),
        row(
            "a program refuses",
            new(),
            &[(EXE, Some(""))],
            None,
            Answer::Found(0),
        ),
        row(
            "was removed, the program refuses",
            new(),
            &[(EXE, Some(""))],
            stale,
            Answer::CouldNotLook("/proc/70/exe"),
        ),
        row(
            "a process refuses",
            new(),
            &[(OTHER, None)],
            Some((Class::ServiceHung, UNIT)),
            Answer::Found(0),
        ),
        row(
            "did not collect its children, one refuses",
            new(),
            &[(OTHER, None)],
            stale,
            Answer::CouldNotLook("/proc/71/stat"),
        ),
    ]
}

fn storage() -> Vec<Row> {
    const LIFE: &str = "sys/block/mmcblk0/device/life_time";
    const RESERVE: &str = "sys/block/mmcblk0/device/pre_eol_info";
    const OTHER: &str = "sys/block/mmcblk1/device/life_time";
    const OTHERS_RESERVE: &str = "sys/block/mmcblk1/device/pre_eol_info";
    let worn = Some((Class::StorageWear, "mmcblk0"));
    let new = || wear::Wear;
    vec![
        row("no device", new(), &[], worn, Answer::Absent),
        row(
            "no folder",
            new(),
            &[("sys/block", Some(""))],
            None,
            Answer::CouldNotLook("/sys/block"),
        ),
        row(
            "no eMMC",
            new(),
            &[("sys/block/sda/size", Some("1"))],
            None,
            Answer::Absent,
        ),
        row(
            "one refuses beside a worn one",
            new(),
            &[
                (LIFE, None),
                (OTHER, Some("0x0b 0x01")),
                (OTHERS_RESERVE, Some("0x01")),
            ],
            None,
            Answer::Found(1),
        ),
        row(
            "was worn, refuses beside one that is well",
            new(),
            &[
                (LIFE, None),
                (RESERVE, Some("0x01")),
                (OTHER, Some("0x01 0x01")),
                (OTHERS_RESERVE, Some("0x01")),
            ],
            worn,
            Answer::CouldNotLook(LIFE),
        ),
        row(
            "was worn, says what nobody understands",
            new(),
            &[(LIFE, Some("0x01 what")), (RESERVE, Some("0x01"))],
            worn,
            Answer::CouldNotLook("/sys/block/mmcblk0"),
        ),
        row(
            "was worn, its reserve refuses",
            new(),
            &[(LIFE, Some("0x01 0x01")), (RESERVE, None)],
            worn,
            Answer::CouldNotLook(RESERVE),
        ),
    ]
}

fn memory() -> Vec<Row> {
    const MEMINFO: &str = "proc/meminfo";
    let new = || memory::Memory;
    vec![
        row("no table", new(), &[], None, Answer::Absent),
        row(
            "an old kernel",
            new(),
            &[(MEMINFO, Some("MemTotal: 9 kB\n"))],
            None,
            Answer::Absent,
        ),
        row(
            "refuses",
            new(),
            &[(MEMINFO, None)],
            None,
            Answer::CouldNotLook("/proc/meminfo"),
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
    let unit = UnitState {
        name: UNIT.to_owned(),
        load_state: "loaded".to_owned(),
        active_state: "active".to_owned(),
        main_pid: 70,
        ..UnitState::default()
    };
    let managers: [Arc<dyn ServiceManager>; 1] = [Arc::new(One::with_all(unit))];
    let tables = [
        thermal(),
        mounts(),
        uplink(),
        network(),
        services(),
        processes(),
        storage(),
        memory(),
    ];
    for row in tables.into_iter().flatten() {
        let dir = tempfile::tempdir().unwrap();
        build(dir.path(), row.tree);
        let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
        let open = Open::new(row.open.map(|(class, subject)| (class, subject.to_owned())));
        let look = Snapshot::new(&host, &config, &managers, &open);
        let (name, detector) = (row.name, row.detector.name());
        let said = row.detector.examine(&look);
        let blind = look.take_blind().why;
        match (blind.map_or(said, Err), row.answer) {
            (Ok(Sweep::Absent(_)), Answer::Absent) => {}
            (Ok(Sweep::Present(found)), Answer::Found(count)) if found.len() == count => {}
            (Err(why), Answer::CouldNotLook(source)) if why.to_string().contains(source) => {}
            (said, wanted) => panic!("{detector}: {name}: {said:?}, not {wanted:?}"),
        }
    }
}

#[test]
fn what_refuses_keeps_nothing_else_from_being_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let zone = |number: u8, text| {
        let path = format!("sys/class/thermal/thermal_zone{number}/temp");
        build(dir.path(), &[(&path, text)]);
    };
    zone(0, None);
    zone(1, Some("99000"));
    zone(2, Some("40000"));
    let (config, host) = (
        Config::default(),
        Host::at(dir.path(), Clock::manual(Timestamp::default())),
    );
    let condition = |zone: &str| (Class::Thermal, zone.to_owned());
    let open = Open::new(["thermal_zone0", "thermal_zone2"].map(condition));
    let look = Snapshot::new(&host, &config, &[], &open);
    let Ok(Sweep::Present(found)) = thermal::Thermal.examine(&look) else {
        panic!("it looked");
    };
    assert!(found.iter().map(|one| &*one.subject).eq(["thermal_zone1"]));
    assert_eq!(look.take_blind().conditions, [condition("thermal_zone0")]);
    assert!(look.take_blind().conditions.is_empty(), "taken");
}

#[test]
fn every_detector_can_be_switched_off_by_its_name() {
    let names: Vec<&str> = super::all().iter().map(|one| one.name()).collect();
    assert_eq!(
        names,
        crate::core::config::check::DETECTORS,
        "all() of src/detectors/mod.rs and DETECTORS of src/core/config/check.rs name the same, in the same order"
    );
}
