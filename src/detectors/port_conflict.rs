//! Ports that a unit needs and something else holds.

use std::sync::Mutex;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::{Fact, Holder};
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::healthy::Proof;
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::reading::innocence::{self, Doubt};
use crate::core::reading::journal_entry::tells_port_taken;
use crate::core::reading::ports::{of_command, of_message};
use crate::core::reading::unit_file::needs;
use crate::core::reading::unit_state::{is_excluded, should_run};
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};
use crate::host::exec::ExecError;
use crate::host::net::listeners::{self, Holders, PortHolder};
use crate::services::{self, census};

/// Units whose log is read in one sweep: a storm must not fork for each.
const LOGS_MOST: usize = 8;
const LOG_DEADLINE: Duration = Duration::from_secs(5);

/// When the unit last went down, and its restarts: a new one means new words in its log.
type Life = (u64, u32);

/// Ports a unit was refused, with the state of the unit they were read in: read again when it changed.
#[derive(Debug, Default)]
pub struct PortConflict {
    told: Mutex<SortedMap<String, (Life, Vec<String>)>>,
}

impl Detector for PortConflict {
    fn name(&self) -> &'static str {
        "port_conflict"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::PortConflict]
    }

    fn interval(&self, config: &Config) -> Duration {
        super::unit_interval(config)
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        if look.managers.is_empty() && look.config.service.is_empty() {
            return Ok(Sweep::Absent("no service manager".to_owned()));
        }
        let mut found = Vec::new();
        let mut logs = 0;
        let units = look.units()?;
        if let Ok(mut told) = self.told.lock() {
            told.retain(|name, _| {
                units
                    .iter()
                    .any(|unit| unit.name == *name && !unit.is_active())
            });
        }
        for unit in units {
            let open = look.open.contains(Class::PortConflict, &unit.name);
            // From 200 on systemd itself failed, before the program could ask for a port.
            let ran = !(200..=245).contains(&unit.exit_status) && !unit.exit_code.is_empty();
            let refused = ran || unit.result == "resources";
            let down = (unit.is_failed() || unit.is_changing()) && refused;
            let suspect = down || open || look.suspects.contains(&unit.name, look.now);
            if super::is_own(&unit.name) || is_excluded(unit, &look.config.detect.ignore_units) {
                continue;
            }
            if !suspect {
                found.extend(before_it_starts(unit, units, look)?);
                continue;
            }
            let ports = self.ports_refused(unit, look, &mut logs)?;
            found.extend(judge(unit, &ports, look)?);
        }
        for service in &look.config.service {
            let running = units
                .iter()
                .any(|unit| unit.name == service.name && unit.is_active());
            if !running && !service.port.is_empty() {
                let unit = UnitState {
                    name: service.name.clone(),
                    ..UnitState::default()
                };
                found.extend(judge(&unit, std::slice::from_ref(&service.port), look)?);
            }
        }
        found.sort_by(|a, b| a.subject.cmp(&b.subject));
        found.dedup_by(|a, b| a.subject == b.subject);
        Ok(Sweep::Present(found))
    }
}

/// An enabled unit that waits for its start while another unit, which declares the same port, listens on it:
/// two units that can never both run.
fn before_it_starts(
    unit: &UnitState,
    units: &[UnitState],
    look: &Snapshot<'_>,
) -> Result<Option<Finding>, DetectError> {
    let waits = unit.active_state == "inactive" && should_run(unit, &|_| true);
    if !waits || unit.fragment_path.is_empty() {
        return Ok(None);
    }
    for port in declared(unit, look) {
        let Some(held) = held(unit, &port, look)? else {
            continue;
        };
        let mut others = units.iter();
        let other = others.find(|other| Some(&other.name) == held.owner.as_ref());
        if other.is_some_and(|other| declared(other, look).contains(&port)) {
            return Ok(Some(held.finding(unit, &port, look.now)));
        }
    }
    Ok(None)
}

impl PortConflict {
    /// Ports that the unit was refused, by its own last words and what it declares.
    fn ports_refused(
        &self,
        unit: &UnitState,
        look: &Snapshot<'_>,
        logs: &mut usize,
    ) -> Result<Vec<String>, DetectError> {
        let state = (unit.inactive_enter_us, unit.n_restarts);
        let mut told = self.told.lock().map_err(|_| DetectError::Poisoned)?;
        if let Some((seen, ports)) = told.get(&unit.name)
            && *seen == state
            && !look.suspects.contains(&unit.name, look.now)
        {
            return Ok(ports.clone());
        }
        // A conflict that stands open is asked for whatever the storm: no answer would read as its end.
        let open = look.open.contains(Class::PortConflict, &unit.name);
        if *logs >= LOGS_MOST && !open {
            return Ok(Vec::new());
        }
        *logs = logs.saturating_add(1);
        let ports = read_ports(unit, look)?;
        told.insert(unit.name.clone(), (state, ports.clone()));
        Ok(ports)
    }
}

fn read_ports(unit: &UnitState, look: &Snapshot<'_>) -> Result<Vec<String>, DetectError> {
    let args = [
        "-u",
        &unit.name,
        "-n",
        "20",
        "-q",
        "-o",
        "cat",
        "--no-pager",
    ];
    let out = match look.host.run("journalctl", &args, LOG_DEADLINE) {
        Ok(out) => out,
        Err(ExecError::Absent(_)) => return Ok(Vec::new()),
        Err(why) => return Err(DetectError::Exec(why)),
    };
    let text = out.text();
    let refused: Vec<&str> = text.lines().filter(|line| tells_port_taken(line)).collect();
    if refused.is_empty() {
        return Ok(Vec::new());
    }
    let mut ports: Vec<String> = refused.iter().filter_map(|line| of_message(line)).collect();
    if ports.is_empty() {
        ports = its_own(unit, look);
    }
    ports.sort();
    ports.dedup();
    Ok(ports)
}

/// Ports in the unit's files: listening sockets, and options of its command that say where it listens; of a declared
/// service the operator's own.
fn declared(unit: &UnitState, look: &Snapshot<'_>) -> Vec<String> {
    let needs = needs(&unit.name, &services::unit_files(look.host, unit));
    let commands = needs.commands.iter().flat_map(|line| of_command(line));
    let services = look.config.service.iter();
    let operators = services
        .filter(|service| service.name == unit.name && !service.port.is_empty())
        .map(|service| service.port.clone());
    let own = needs.listens.iter().cloned().chain(commands);
    own.chain(operators).collect()
}

/// Ports that are the unit's: declared, or seen to be listened on while it was well.
fn its_own(unit: &UnitState, look: &Snapshot<'_>) -> Vec<String> {
    let mut ports = declared(unit, look);
    let known = look.healthy.of(&unit.name);
    ports.extend(known.iter().flat_map(|record| &record.ports).cloned());
    ports
}

/// The first refused port that somebody else, or a leftover, holds.
fn judge(
    unit: &UnitState,
    ports: &[String],
    look: &Snapshot<'_>,
) -> Result<Option<Finding>, DetectError> {
    for port in ports {
        if let Some(held) = held(unit, port, look)? {
            return Ok(Some(held.finding(unit, port, look.now)));
        }
    }
    Ok(None)
}

/// Who holds a port that the unit wants.
struct Held {
    holder: PortHolder,
    /// The unit that it belongs to.
    owner: Option<String>,
    user: u32,
    /// It is the unit's own leftover, and so is everybody else who holds the port.
    verdict: Result<Proof, Doubt>,
}

/// A port that the unit itself holds is no conflict, whoever else shares it. Where one of several holders is a
/// stranger, he is the one to tell of: to end the others frees nothing.
fn held(unit: &UnitState, port: &str, look: &Snapshot<'_>) -> Result<Option<Held>, DetectError> {
    let source = |why| DetectError::Source(format!("who holds {port}"), why);
    let Holders { seen, mut refused } = listeners::holders(look.host, port).map_err(source)?;
    let mut found: Option<Held> = None;
    for holder in seen {
        let record = look.healthy.of(&unit.name);
        let suspect = match census::suspect(look.host, holder.pid, record) {
            Ok(Some(suspect)) => suspect,
            Ok(None) => continue,
            Err(why) => {
                refused.push((holder.pid, why));
                continue;
            }
        };
        let verdict = match innocence::leftover(unit, &look.healthy, &suspect) {
            Err(Doubt::Working) => return Ok(None),
            Ok(_) if !its_own(unit, look).iter().any(|one| one == port) => Err(Doubt::PortNotIts),
            verdict => verdict,
        };
        let worse = found.as_ref().is_none_or(|one| one.verdict.is_ok()) && verdict.is_err();
        if found.is_none() || worse {
            found = Some(Held {
                owner: owner(unit, holder.pid, look),
                holder,
                user: suspect.user,
                verdict,
            });
        }
    }
    // Nobody is seen to hold it: whoever refuses may be the one.
    if found.is_none()
        && let Some((pid, why)) = refused.into_iter().next()
    {
        let who = DetectError::Source(format!("who holds {port}: process {pid}"), why);
        look.could_not_look(&[Class::PortConflict], Some(&unit.name), who);
    }
    Ok(found)
}

/// The other unit that a process belongs to.
fn owner(unit: &UnitState, pid: u32, look: &Snapshot<'_>) -> Option<String> {
    look.unit_of(pid).filter(|owner| *owner != unit.name)
}

impl Held {
    fn finding(&self, unit: &UnitState, port: &str, now: Timestamp) -> Finding {
        let holder = &self.holder;
        let of = match (&self.owner, &self.verdict) {
            (Some(name), _) => format!("unit {name}"),
            (None, Ok(_)) => "the unit's own past".to_owned(),
            (None, Err(_)) => "no unit".to_owned(),
        };
        let why = self.verdict.as_ref().err().map(ToString::to_string);
        let message = format!("port {port} is held by {} of {of}", holder.comm);
        Finding::new(
            Class::PortConflict,
            &unit.name,
            Severity::Error,
            &message,
            "sockets",
            now,
        )
        .with(Fact::Unit(&unit.name))
        .with(port.parse().ok().map(Fact::Port))
        .with(Fact::Holder(Holder {
            pid: holder.pid,
            start_ticks: holder.start_ticks,
            command: &holder.cmdline,
            exe: &holder.exe,
        }))
        .with(Fact::HolderUser(self.user))
        .with(self.owner.as_deref().map(Fact::HolderUnit))
        .with(self.verdict.as_ref().ok().copied().map(Fact::Leftover))
        .with(why.as_deref().map(Fact::LeftAlone))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::TcpListener;

    use super::*;
    use crate::core::config::DeclaredService;
    use crate::core::model::facts::Key;
    use crate::detectors::Open;
    use crate::host::Host;

    #[test]
    fn a_declared_port_held_by_a_stranger_is_named() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = format!("tcp/{}", socket.local_addr().unwrap().port());
        let mut config = Config::default();
        config.service.push(DeclaredService {
            name: "app".to_owned(),
            port: port.clone(),
            ..DeclaredService::default()
        });
        let (host, open) = (Host::real(), Open::default());
        let look = Snapshot::new(&host, &config, &[], &open);
        let Ok(Sweep::Present(found)) = PortConflict::default().examine(&look) else {
            return;
        };
        let found = found.first().unwrap();
        assert_eq!(found.fact(Key::Port), Some(port.as_str()));
        let own = std::process::id().to_string();
        assert_eq!(found.fact(Key::HolderPid), Some(own.as_str()));
        assert_eq!(found.fact(Key::HolderUnit), None);
        drop(socket);
        let look = Snapshot::new(&host, &config, &[], &open);
        let nothing = Sweep::Present(Vec::new());
        assert_eq!(PortConflict::default().examine(&look).unwrap(), nothing);
    }
}
