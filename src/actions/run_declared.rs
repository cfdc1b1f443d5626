//! Runs a command that the operator declared: argv, declared user, capped in time, memory and output.

use std::fmt;
use std::time::Duration;

use nix::unistd::User;

use crate::actions::error::Why;
use crate::actions::{Action, ActionContext, ActionError, Basis, Done, IRREVERSIBLE, Undo};
use crate::core::config::DeclaredCommand;
use crate::core::model::action::ActionKind;
use crate::core::model::proposal::Terms;
use crate::core::model::text::cut;
use crate::core::model::unit::UnitName;
use crate::core::remedy::target::TargetError;
use crate::host::exec::{Command, Confinement};
use crate::host::files;
use crate::host::trusted::{self, Argv, Owners};
use crate::services;

/// Most of the output kept as evidence, in bytes.
const OUTPUT_KEPT: usize = 2_000;

/// A command the operator declared under this name.
#[derive(Debug)]
pub struct RunDeclared {
    pub(super) name: String,
}

impl RunDeclared {
    pub fn of(basis: &Basis<'_>) -> Result<Self, TargetError> {
        let name = basis.command.ok_or(TargetError::NoCommand)?;
        if !basis.config.command.iter().any(|one| one.name == name) {
            return Err(TargetError::NotDeclared(name.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
        })
    }

    fn declared<'a>(
        &self,
        context: &'a ActionContext<'_>,
    ) -> Result<&'a DeclaredCommand, ActionError> {
        let name = &self.name;
        let mut commands = context.config.command.iter();
        commands
            .find(|command| command.name == *name && !name.is_empty())
            .ok_or_else(|| ActionError::refused(format!("no command '{name}' is declared")))
    }
}

impl fmt::Display for RunDeclared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run declared command {}", self.name)
    }
}

fn user(command: &DeclaredCommand) -> Result<Option<User>, ActionError> {
    if command.user.is_empty() {
        return Ok(None);
    }
    match User::from_name(&command.user) {
        Ok(Some(user)) => Ok(Some(user)),
        _ => Err(ActionError::refused(format!(
            "{}: no such user '{}'",
            command.name, command.user
        ))),
    }
}

/// A declared command with its files: nobody who has fewer rights than the command can have written them.
fn proven(context: &ActionContext<'_>, command: &DeclaredCommand) -> Result<Argv, ActionError> {
    if command.argv.is_empty() {
        let why = format!("{}: empty argv", command.name);
        return Err(ActionError::refused(why));
    }
    let owners = Owners::of(context.host);
    let owners = match user(command)? {
        Some(user) => owners.or(user.uid.as_raw()),
        None => owners,
    };
    trusted::argv(context.host, &command.argv, &owners)
        .map_err(|why| ActionError::refused(Why::from(why).at(&command.name)))
}

impl Action for RunDeclared {
    fn kind(&self) -> ActionKind {
        ActionKind::RunDeclared
    }

    fn unit(&self) -> Option<&UnitName> {
        None
    }

    fn terms(&self, context: &ActionContext<'_>) -> Result<Terms, ActionError> {
        let declared = self.declared(context)?;
        let mut terms = Terms::undone_by(IRREVERSIBLE).with("command", &declared.name);
        for word in &declared.argv {
            terms = terms.with("word", word);
        }
        terms = terms
            .with("user", &declared.user)
            .with("seconds", declared.timeout_s)
            .with("memory MiB", declared.memory_mib);
        let mut name = "program";
        for (path, opened) in proven(context, declared)?.files {
            let file = files::identity(opened.into())
                .map_err(|why| ActionError::gone(Why::from(why).at(&path)))?;
            terms = terms.with_file(name, &path, &file);
            name = "file";
        }
        Ok(terms)
    }

    fn precondition(&self, context: &ActionContext<'_>) -> Result<(), ActionError> {
        let command = self.declared(context)?;
        if user(command)?.is_none() && nix::unistd::geteuid().is_root() {
            return Err(ActionError::refused(format!(
                "{}: names no user; write user = \"root\" to run it as root",
                command.name
            )));
        }
        proven(context, command).map(|_| ())
    }

    fn undo_record(&self, _context: &ActionContext<'_>) -> Result<Undo, ActionError> {
        Ok(Undo::None)
    }

    fn act(&self, context: &ActionContext<'_>) -> Result<Done, ActionError> {
        let declared = self.declared(context)?;
        // The descriptors stay open until the command has ended: they are the files that were proven.
        let proven = proven(context, declared)?;
        let args: Vec<&str> = declared.argv.iter().skip(1).map(String::as_str).collect();
        let seconds = declared.timeout_s.max(1);
        let confinement = Confinement {
            user: user(declared)?,
            memory_bytes: declared.memory_mib.max(1) << 20,
            address_bytes: declared.memory_mib.max(1) << 20,
            cpu_seconds: seconds,
        };
        let command = Command::new(&proven.program, &args, Duration::from_secs(seconds))
            .confined(&confinement);
        let out = services::outside::run(context.host, context.managers, &command)
            .map_err(ActionError::failed)?;
        let done = Done::new(format!("{}: exit status {}", declared.name, out.status))
            .noting("output", cut(&out.text(), OUTPUT_KEPT));
        if out.success() {
            Ok(done)
        } else {
            Err(ActionError::failed(format!(
                "{}: {}",
                declared.name,
                out.reason()
            )))
        }
    }
}
