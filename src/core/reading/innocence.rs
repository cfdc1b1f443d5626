//! Whose process is it? One that is in a unit's way may be ended only when it is provably the unit's own leftover;
//! every other one is somebody's, known or not.

use std::fmt;

use crate::core::model::healthy::{HealthyUnit, HealthyUnits, KnownFile, ProcessKey, Proof};
use crate::core::model::unit::{UnitState, unit_of_cgroup};

/// Where a process runs, by its control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A unit of the system's manager.
    Unit(String),
    /// What somebody who logged in runs, or left behind.
    Session(String),
    Container(String),
    /// In no group that names an owner: which proves nothing.
    Nowhere,
}

/// All that is known of a process that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    pub key: ProcessKey,
    /// The boot that its start time counts from.
    pub boot: String,
    /// Its control group, below that of the service manager.
    pub group: String,
    /// From boot to its start.
    pub started_us: u64,
    /// What it runs, as its descriptor tells; `None` when it may not be looked at.
    pub program: Option<KnownFile>,
    /// Arguments joined by blanks.
    pub command: String,
    pub user: u32,
    /// In a namespace of its own, on a terminal, or begun by a login: somebody set it up so.
    pub apart: bool,
}

/// Why it is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The unit works, or starts: what runs in it is the service itself.
    Working,
    OfUnit(String),
    OfSession(String),
    OfContainer(String),
    /// Nothing is known of the unit from when it was well.
    UnitUnknown,
    /// It never ran in the unit as far as that was seen.
    NeverSeen,
    /// Only a line, or a number, says that the port is the unit's.
    PortNotIts,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Working => f.write_str("the unit itself runs"),
            Self::OfUnit(unit) => write!(f, "it belongs to {unit}"),
            Self::OfSession(of) => write!(f, "somebody who logged in began it ({of})"),
            Self::OfContainer(of) => write!(f, "it lives in a container ({of})"),
            Self::UnitUnknown => {
                f.write_str("the unit was never seen well, so nothing is known to be its own")
            }
            Self::NeverSeen => {
                f.write_str("it was never seen to run in the unit: it may be anybody's")
            }
            Self::PortNotIts => f.write_str(
                "the port is neither declared by the unit nor was it seen to listen there",
            ),
        }
    }
}

impl std::error::Error for Doubt {}

/// Parts of a control group's path that container engines write.
const ENGINES: &[&str] = &[
    "docker",
    "lxc",
    "lxd",
    "kubepods",
    "kubepods.slice",
    "libpod_parent",
    "podman",
    "crio",
    "containerd",
    "garden",
    "machine",
    "machine.slice",
    "buildkit",
];
const ENGINE_PREFIXES: &[&str] = &[
    "docker-",
    "libpod-",
    "crio-",
    "cri-containerd-",
    "crun-",
    "lxc.",
    "lxc-",
    "machine-",
    "kubepods-",
    "nerdctl-",
];
/// Digits of a container's id.
const CONTAINER_ID: usize = 64;

/// Reads a control group's path, as it stands below the service manager's own.
pub fn place_of(group: &str) -> Owner {
    let mut parts = group.split('/').filter(|part| !part.is_empty());
    let engine = parts.clone().find(|part| is_of_engine(part));
    if let Some(part) = engine {
        return Owner::Container(part.to_owned());
    }
    let of_users = parts.next() == Some("user.slice");
    match unit_of_cgroup(group) {
        Some("init.scope") => Owner::Nowhere,
        Some(unit) if of_users || is_of_login(unit) => Owner::Session(unit.to_owned()),
        None if of_users => Owner::Session("user.slice".to_owned()),
        Some(unit) => Owner::Unit(unit.to_owned()),
        None => Owner::Nowhere,
    }
}

fn is_of_engine(part: &str) -> bool {
    let id = part.len() == CONTAINER_ID && part.bytes().all(|c| c.is_ascii_hexdigit());
    id || ENGINES.contains(&part) || ENGINE_PREFIXES.iter().any(|begin| part.starts_with(begin))
}

fn is_of_login(unit: &str) -> bool {
    unit.starts_with("session-") || unit.starts_with("user@")
}

/// Is `suspect` the own leftover of `unit`, as it is now and as it was while it was well?
pub fn leftover(unit: &UnitState, known: &HealthyUnits, suspect: &Suspect) -> Result<Proof, Doubt> {
    if unit.is_active() || (unit.main_pid != 0 && unit.main_pid == suspect.key.pid) {
        return Err(Doubt::Working);
    }
    let record = known.of(&unit.name);
    let place = place_of(&suspect.group);
    if place == Owner::Unit(unit.name.clone()) {
        return in_its_group(unit, suspect);
    }
    // A service without a group of its own shares that of who started it.
    let beside =
        record.is_some_and(|one| !suspect.group.is_empty() && one.control_group == suspect.group);
    match place {
        Owner::Unit(other) if !beside => return Err(Doubt::OfUnit(other)),
        Owner::Session(of) if !beside => return Err(Doubt::OfSession(of)),
        Owner::Container(of) if !beside => return Err(Doubt::OfContainer(of)),
        Owner::Unit(_) | Owner::Session(_) | Owner::Container(_) | Owner::Nowhere => {}
    }
    let record = record.ok_or(Doubt::UnitUnknown)?;
    if let Some(other) = another_that_ran(unit, known, suspect) {
        return Err(Doubt::OfUnit(other));
    }
    if record.ran(&suspect.boot, suspect.key) {
        return Ok(Proof::Ran);
    }
    if place == Owner::Nowhere && !suspect.apart && is_own_program(unit, known, record, suspect) {
        return Ok(Proof::OwnProgram);
    }
    Err(Doubt::NeverSeen)
}

/// What is in the group of a unit that is down, and began before it went down, nobody runs any more.
fn in_its_group(unit: &UnitState, suspect: &Suspect) -> Result<Proof, Doubt> {
    let down = matches!(unit.active_state.as_str(), "failed" | "inactive")
        || unit.sub_state == "auto-restart";
    let before = suspect.started_us < unit.inactive_enter_us;
    match unit.main_pid == 0 && down && before {
        true => Ok(Proof::InItsGroup),
        false => Err(Doubt::Working),
    }
}

fn another_that_ran(unit: &UnitState, known: &HealthyUnits, suspect: &Suspect) -> Option<String> {
    known
        .iter()
        .find(|(name, record)| *name != unit.name && record.ran(&suspect.boot, suspect.key))
        .map(|(name, _)| name.to_owned())
}

/// The unit's own program by device, inode and build, run as the unit runs it, and no other unit's.
fn is_own_program(
    unit: &UnitState,
    known: &HealthyUnits,
    record: &HealthyUnit,
    suspect: &Suspect,
) -> bool {
    let (Some(main), Some(program)) = (&record.main, &suspect.program) else {
        return false;
    };
    let shared = known.iter().any(|(name, other)| {
        *name != unit.name
            && other
                .main
                .as_ref()
                .is_some_and(|one| one.file.is_same_file(program))
    });
    record.boot == suspect.boot
        && main.file.is_same_file(program)
        && main.command == suspect.command
        && main.user == suspect.user
        && !is_everybodys(&main.file.path)
        && !shared
}

/// Does a program lie where the host keeps those that everybody runs: interpreters, shells, tools?
fn is_everybodys(path: &str) -> bool {
    const FOLDERS: &[&str] = &[
        "/bin",
        "/sbin",
        "/usr/bin",
        "/usr/sbin",
        "/usr/local/bin",
        "/usr/local/sbin",
        "/usr/lib/jvm",
    ];
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    FOLDERS.contains(&folder)
        || folder.starts_with("/usr/lib/jvm/")
        || folder.starts_with("/nix/store/")
}

#[cfg(test)]
#[path = "innocence_tests.rs"]
mod tests;
