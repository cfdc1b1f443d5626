//! Ends a left-over process of a unit that holds what the unit needs, then starts the unit.

use std::fmt;

use crate::actions::error::Why;
use crate::actions::{Action, ActionContext, ActionError, Basis, Done, Undo, units};
use crate::core::model::action::{ActionKind, ProcessIdentity};
use crate::core::model::facts::Key;
use crate::core::model::healthy::Proof;
use crate::core::model::proposal::Terms;
use crate::core::model::unit::{UnitName, UnitState};
use crate::core::reading::innocence;
use crate::core::remedy::target::{self, TargetError};
use crate::host::net::listeners;
use crate::host::signals::{self, SignalError, TERM_GRACE};
use crate::host::{Host, procfs};
use crate::services::{self, census};

/// Most processes that share one port and are ended for it: a service forks its workers with the socket open.
const SHARERS_MOST: usize = 32;

#[derive(Debug)]
pub struct TerminateProcess {
    pub(super) process: ProcessIdentity,
    /// Port (`tcp/8080`) that it is ended for; one that let it go meanwhile is left alone.
    pub(super) holds: Option<String>,
    /// Unit whose leftover it is; started afterwards.
    pub(super) unit: UnitName,
}

impl TerminateProcess {
    pub fn of(basis: &Basis<'_>) -> Result<Self, TargetError> {
        let finding = basis.finding;
        if let Some(holder) = finding
            .fact(Key::HolderUnit)
            .filter(|holder| !holder.is_empty())
        {
            return Err(TargetError::OwnedProcess(holder.to_owned()));
        }
        target::fact(finding, Key::Leftover)?;
        let holder = finding.evidence.holder();
        let holder = holder.ok_or(TargetError::Missing(Key::HolderPid))?;
        if holder.pid <= 1 {
            return Err(TargetError::InitProcess(holder.pid));
        }
        Ok(Self {
            process: ProcessIdentity {
                pid: holder.pid,
                start_ticks: holder.start_ticks,
                exe: target::fact(finding, Key::HolderExe)?.to_owned(),
            },
            holds: finding.fact(Key::Port).map(str::to_owned),
            unit: target::unit(finding)?,
        })
    }

    /// Everybody who has to go: the process, and who shares its port, each proven to be the unit's own leftover.
    fn doomed(&self, context: &ActionContext<'_>) -> Result<Vec<Doomed>, ActionError> {
        let (_, unit) = services::find(context.managers, &self.unit).map_err(ActionError::gone)?;
        let mut doomed = vec![prove(context, &unit, self.process.clone())?];
        let Some(port) = self.holds.as_deref() else {
            return Ok(doomed);
        };
        let holders = listeners::holders(context.host, port)
            .map_err(|why| ActionError::refused(Why::from(why).at(&format!("who holds {port}"))))?;
        let key = |one: &ProcessIdentity| (one.pid, one.start_ticks);
        let holders: Vec<ProcessIdentity> = holders
            .seen
            .into_iter()
            .map(|one| ProcessIdentity {
                pid: one.pid,
                start_ticks: one.start_ticks,
                exe: one.exe,
            })
            .collect();
        if !holders.iter().any(|one| key(one) == key(&self.process)) {
            let pid = self.process.pid;
            let why = format!("process {pid} let go of {port}");
            return Err(ActionError::gone(why));
        }
        if holders.len() > SHARERS_MOST {
            let why = format!("{} processes hold {port}", holders.len());
            return Err(ActionError::refused(why));
        }
        for other in holders
            .into_iter()
            .filter(|one| key(one) != key(&self.process))
        {
            doomed.push(prove(context, &unit, other)?);
        }
        Ok(doomed)
    }
}

/// A process that was proven to be the unit's own leftover.
struct Doomed {
    process: ProcessIdentity,
    proof: Proof,
    user: u32,
}

/// Still the same process, not protected, and the unit's own leftover by all that is known now.
fn prove(
    context: &ActionContext<'_>,
    unit: &UnitState,
    process: ProcessIdentity,
) -> Result<Doomed, ActionError> {
    let host = context.host;
    signals::check(host, &process).map_err(refuse)?;
    let pid = process.pid;
    let suspect = census::suspect(host, pid, context.healthy.of(&unit.name))
        .map_err(|why| ActionError::refused(Why::from(why).at(&format!("process {pid}"))))?
        .filter(|one| one.key.start_ticks == process.start_ticks)
        .ok_or_else(|| ActionError::gone(format!("process {pid} is gone")))?;
    let proof = innocence::leftover(unit, context.healthy, &suspect)
        .map_err(|why| ActionError::refused(format!("process {pid} is left alone: {why}")))?;
    Ok(Doomed {
        process,
        proof,
        user: suspect.user,
    })
}

impl fmt::Display for TerminateProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProcessIdentity { pid, exe, .. } = &self.process;
        write!(f, "terminate process {pid} ({exe})")
    }
}

fn refuse(why: SignalError) -> ActionError {
    match why {
        SignalError::Gone(_) => ActionError::gone(why),
        SignalError::Protected(_) => ActionError::refused(why),
        SignalError::Endless(_) | SignalError::Unsent(..) => ActionError::failed(why),
    }
}

impl Action for TerminateProcess {
    fn kind(&self) -> ActionKind {
        ActionKind::TerminateProcess
    }

    fn unit(&self) -> Option<&UnitName> {
        Some(&self.unit)
    }

    fn terms(&self, context: &ActionContext<'_>) -> Result<Terms, ActionError> {
        let mut terms = Terms::undone_by("nothing: an ended process does not come back");
        for doomed in self.doomed(context)? {
            let ProcessIdentity {
                pid,
                start_ticks,
                exe,
            } = &doomed.process;
            terms = terms
                .with("process", pid)
                .with("started at tick", start_ticks)
                .with("program", exe)
                .with("of user", doomed.user)
                .with("is a leftover", doomed.proof);
        }
        if let Some(port) = &self.holds {
            terms = terms.with("holds", port);
        }
        Ok(terms.with("then starts", &self.unit))
    }

    fn precondition(&self, context: &ActionContext<'_>) -> Result<(), ActionError> {
        self.doomed(context).map(drop)
    }

    fn undo_record(&self, _context: &ActionContext<'_>) -> Result<Undo, ActionError> {
        // An ended process cannot be brought back: that is why it is medium risk and only a proven leftover.
        Ok(Undo::None)
    }

    fn act(&self, context: &ActionContext<'_>) -> Result<Done, ActionError> {
        let doomed = self.doomed(context)?;
        let command = command_of(context.host, self.process.pid);
        let mut ended = Vec::new();
        for one in &doomed {
            let pid = one.process.pid;
            match context.host.end_process(&one.process, TERM_GRACE) {
                Ok(how) => ended.push(format!("process {pid} ended after {how}")),
                // One that shared the port went with the others.
                Err(SignalError::Gone(_)) if !ended.is_empty() => {}
                Err(why) => return Err(refuse(why)),
            }
        }
        let mut message = ended.join(", ");
        if let Some(why) = units::start_if_wanted(context, &self.unit)? {
            message.push_str(&format!("; {} not started: {why}", self.unit));
        }
        Ok(Done::new(message).noting("holder_command", command))
    }
}

fn command_of(host: &Host, pid: u32) -> String {
    let process = procfs::process(host, pid).ok().flatten();
    process.map_or_else(String::new, |one| one.cmdline)
}
