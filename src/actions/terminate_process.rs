//! Ends a stale process that holds what a unit needs, then starts the unit.

use std::fmt;

use crate::actions::{Action, ActionContext, ActionError, Basis, Done, Undo, units};
use crate::core::model::action::{ActionKind, ProcessIdentity};
use crate::core::model::facts::Key;
use crate::core::model::proposal::Terms;
use crate::core::model::unit::UnitName;
use crate::core::remedy::target::{self, TargetError};
use crate::host::net::listeners::{self, PortHolder};
use crate::host::procfs;
use crate::host::signals::{self, SignalError, TERM_GRACE};

#[derive(Debug)]
pub struct TerminateProcess {
    pub(super) process: ProcessIdentity,
    /// Port (`tcp/8080`) that it is ended for; one that let it go meanwhile is left alone.
    pub(super) holds: Option<String>,
    /// Unit that waits for what the process holds; started afterwards when given.
    pub(super) then_start: Option<UnitName>,
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
            then_start: target::unit(finding).ok(),
        })
    }
}

impl fmt::Display for TerminateProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProcessIdentity { pid, exe, .. } = &self.process;
        write!(f, "terminate process {pid} ({exe})")
    }
}

fn refuse(why: SignalError) -> ActionError {
    match why {
        SignalError::Gone(why) => ActionError::PreconditionGone(why),
        SignalError::Protected(why) => ActionError::Refused(why),
        SignalError::Failed(why) => ActionError::Failed(why),
    }
}

impl Action for TerminateProcess {
    fn kind(&self) -> ActionKind {
        ActionKind::TerminateProcess
    }

    fn unit(&self) -> Option<&UnitName> {
        self.then_start.as_ref()
    }

    fn terms(&self, _context: &ActionContext<'_>) -> Result<Terms, ActionError> {
        let ProcessIdentity {
            pid,
            start_ticks,
            exe,
        } = &self.process;
        let mut terms = Terms::undone_by("nothing: an ended process does not come back")
            .with("process", pid)
            .with("started at tick", start_ticks)
            .with("program", exe);
        if let Some(port) = &self.holds {
            terms = terms.with("holds", port);
        }
        if let Some(unit) = &self.then_start {
            terms = terms.with("then starts", unit);
        }
        Ok(terms)
    }

    /// Still the same process, still in the way, not protected, and of no unit.
    fn precondition(&self, context: &ActionContext<'_>) -> Result<(), ActionError> {
        let process = &self.process;
        signals::check(context.host, process).map_err(refuse)?;
        if let Some(unit) = context
            .managers
            .iter()
            .find_map(|manager| manager.unit_of(process.pid))
        {
            return Err(ActionError::Refused(format!(
                "process {} belongs to {unit}",
                process.pid
            )));
        }
        let this = |holder: &PortHolder| {
            (holder.pid, holder.start_ticks) == (process.pid, process.start_ticks)
        };
        let in_the_way = match self.holds.as_deref() {
            None => true,
            Some(port) => listeners::holders(context.host, port)
                .map_err(|why| ActionError::Refused(format!("who holds {port}: {why}")))?
                .iter()
                .any(this),
        };
        if !in_the_way {
            return Err(ActionError::PreconditionGone(format!(
                "process {} let go of {}",
                process.pid,
                self.holds.as_deref().unwrap_or_default()
            )));
        }
        Ok(())
    }

    fn undo_record(&self, _context: &ActionContext<'_>) -> Result<Undo, ActionError> {
        // An ended process cannot be brought back: that is why it is medium risk and only a stale one.
        Ok(Undo::None)
    }

    fn act(&self, context: &ActionContext<'_>) -> Result<Done, ActionError> {
        let process = &self.process;
        let command =
            procfs::process(context.host, process.pid).map_or_else(String::new, |one| one.cmdline);
        let ended = context
            .host
            .end_process(process, TERM_GRACE)
            .map_err(refuse)?;
        let mut message = format!("process {} ended after {ended}", process.pid);
        if let Some(unit) = &self.then_start
            && let Some(why) = units::start_if_wanted(context, unit)?
        {
            message.push_str(&format!("; {unit} not started: {why}"));
        }
        Ok(Done::new(message).noting("holder_command", command))
    }
}
