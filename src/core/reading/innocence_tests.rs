use proptest::prelude::*;

use super::*;

const BOOT: &str = "b";

fn key(pid: u32, start_ticks: u64) -> ProcessKey {
    ProcessKey { start_ticks, pid }
}

fn program(path: &str, inode: u64) -> KnownFile {
    KnownFile {
        path: path.to_owned(),
        device: 1,
        inode,
        bytes: 9,
        sha256: Some("ab".to_owned()),
        ..KnownFile::default()
    }
}

/// `a.service`, down since second 100.
fn down() -> UnitState {
    UnitState {
        name: "a.service".to_owned(),
        active_state: "failed".to_owned(),
        inactive_enter_us: 100_000_000,
        ..UnitState::default()
    }
}

/// As it was while it was well: process 70 of tick 500, `/opt/a/run --x` of user 5.
fn well() -> HealthyUnit {
    HealthyUnit {
        boot: BOOT.to_owned(),
        control_group: "/system.slice/a.service".to_owned(),
        main: Some(crate::core::model::healthy::MainProgram {
            file: program("/opt/a/run", 7),
            command: "/opt/a/run --x".to_owned(),
            user: 5,
        }),
        processes: [key(70, 500)].into(),
        ..HealthyUnit::default()
    }
}

fn known(all: &[(&str, HealthyUnit)]) -> HealthyUnits {
    all.iter()
        .map(|(unit, record)| ((*unit).to_owned(), record.clone()))
        .collect()
}

fn suspect(group: &str, pid: u32) -> Suspect {
    Suspect {
        key: key(pid, 500),
        boot: BOOT.to_owned(),
        group: group.to_owned(),
        started_us: 5_000_000,
        program: None,
        command: String::new(),
        user: 0,
        apart: false,
    }
}

fn judged(suspect: &Suspect) -> Result<Proof, Doubt> {
    leftover(&down(), &known(&[("a.service", well())]), suspect)
}

#[test]
fn groups_name_their_owner() {
    let id = "0f".repeat(32);
    for (group, want) in [
        (
            "/system.slice/a.service",
            Owner::Unit("a.service".to_owned()),
        ),
        (
            "/system.slice/a.service/sub",
            Owner::Unit("a.service".to_owned()),
        ),
        (
            "/user.slice/user-0.slice/session-3.scope",
            Owner::Session("session-3.scope".to_owned()),
        ),
        (
            "/system.slice/user@1000.service/a.service",
            Owner::Session("user@1000.service".to_owned()),
        ),
        (
            "/user.slice/user-0.slice",
            Owner::Session("user.slice".to_owned()),
        ),
        ("/docker/0a1b", Owner::Container("docker".to_owned())),
        (
            "/system.slice/docker-0a.scope",
            Owner::Container("docker-0a.scope".to_owned()),
        ),
        (
            "/machine.slice/libpod-0a.scope/container",
            Owner::Container("machine.slice".to_owned()),
        ),
        (
            "/system.slice/a.service/libpod-payload-0a",
            Owner::Container("libpod-payload-0a".to_owned()),
        ),
        (
            "/lxc.payload.web/init.scope",
            Owner::Container("lxc.payload.web".to_owned()),
        ),
        (&format!("/other/{id}"), Owner::Container(id.clone())),
        ("/init.scope", Owner::Nowhere),
        ("/cat-orphan", Owner::Nowhere),
        ("/", Owner::Nowhere),
        ("", Owner::Nowhere),
    ] {
        assert_eq!(place_of(group), want, "{group}");
    }
}

#[test]
fn what_ran_in_the_unit_is_its_leftover_and_nobody_elses() {
    assert_eq!(judged(&suspect("/", 70)), Ok(Proof::Ran));
    assert_eq!(judged(&suspect("/", 71)), Err(Doubt::NeverSeen));
    let again = Suspect {
        key: key(70, 501),
        ..suspect("/", 70)
    };
    assert_eq!(
        judged(&again),
        Err(Doubt::NeverSeen),
        "its number was given again"
    );
    for group in [
        "/docker/0a",
        "/system.slice/b.service",
        "/user.slice/user-0.slice/session-1.scope",
    ] {
        assert!(
            judged(&suspect(group, 70)).is_err(),
            "{group}: it has another owner now"
        );
    }
    let nothing = HealthyUnits::default();
    assert_eq!(
        leftover(&down(), &nothing, &suspect("/", 70)),
        Err(Doubt::UnitUnknown)
    );
    let two = known(&[("a.service", well()), ("b.service", well())]);
    assert_eq!(
        leftover(&down(), &two, &suspect("/", 70)),
        Err(Doubt::OfUnit("b.service".to_owned()))
    );
}

#[test]
fn what_is_in_the_group_of_a_unit_that_is_down_is_its_leftover() {
    let inside = suspect("/system.slice/a.service/worker", 99);
    assert_eq!(judged(&inside), Ok(Proof::InItsGroup));
    let later = Suspect {
        started_us: 200_000_000,
        ..inside.clone()
    };
    assert_eq!(judged(&later), Err(Doubt::Working), "a start is under way");
    for state in ["active", "reloading", "activating", "deactivating"] {
        let unit = UnitState {
            active_state: state.to_owned(),
            ..down()
        };
        let told = leftover(&unit, &known(&[("a.service", well())]), &inside);
        assert_eq!(told, Err(Doubt::Working), "{state}");
    }
}

#[test]
fn the_units_own_program_is_known_by_build_arguments_and_user() {
    let own = Suspect {
        program: Some(program("", 7)),
        command: "/opt/a/run --x".to_owned(),
        user: 5,
        ..suspect("/", 80)
    };
    assert_eq!(judged(&own), Ok(Proof::OwnProgram));
    let other = |change: fn(&mut Suspect)| {
        let mut one = own.clone();
        change(&mut one);
        judged(&one)
    };
    for told in [
        other(|one| one.program = Some(program("", 8))),
        other(|one| one.program = None),
        other(|one| one.command.push('y')),
        other(|one| one.user = 0),
        other(|one| one.apart = true),
        other(|one| one.boot = "c".to_owned()),
    ] {
        assert_eq!(told, Err(Doubt::NeverSeen));
    }
    // An interpreter is everybody's, whatever it was told to run.
    let mut record = well();
    if let Some(main) = &mut record.main {
        main.file.path = "/usr/bin/python3.11".to_owned();
    }
    let units = known(&[("a.service", record)]);
    assert_eq!(leftover(&down(), &units, &own), Err(Doubt::NeverSeen));
    // A second unit runs the same program.
    let mut second = well();
    second.processes.clear();
    let units = known(&[("a.service", well()), ("b.service", second)]);
    assert_eq!(leftover(&down(), &units, &own), Err(Doubt::NeverSeen));
}

#[test]
fn a_service_without_a_group_of_its_own_shares_that_of_who_started_it() {
    let session = "/user.slice/user-0.slice/session-1.scope";
    let mut record = well();
    record.control_group = session.to_owned();
    let units = known(&[("a.service", record)]);
    assert_eq!(
        leftover(&down(), &units, &suspect(session, 70)),
        Ok(Proof::Ran)
    );
    let beside = suspect(session, 71);
    assert_eq!(leftover(&down(), &units, &beside), Err(Doubt::NeverSeen));
}

proptest! {
    /// Whatever a process looks like: without its record, and outside of the unit's group, it is never ended.
    #[test]
    fn nothing_but_a_record_makes_a_leftover(
        group in "(/[a-z0-9@.-]{1,16}){0,4}", command in ".{0,20}", user in 0..3_u32, ticks in 0..9_u64, pid in 2..9_u32,
    ) {
        let one = Suspect { key: key(pid, ticks), command, user, ..suspect(&group, pid) };
        let told = leftover(&down(), &HealthyUnits::default(), &one);
        let inside = place_of(&group) == Owner::Unit("a.service".to_owned());
        prop_assert_eq!(told.is_ok(), inside);
    }
}
