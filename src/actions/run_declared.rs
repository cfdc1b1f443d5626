//! Runs a command that the operator declared: argv, declared user, capped in time, memory and output.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::User;

use crate::actions::{ActionContext, ActionError, Done, Undo};
use crate::core::config::DeclaredCommand;
use crate::core::model::action::Action;
use crate::core::model::text::cut;
use crate::host::exec;

/// Most of the output kept as evidence, in bytes.
const OUTPUT_KEPT: usize = 2_000;

fn target<'a>(
    context: &'a ActionContext<'_>,
    action: &Action,
) -> Result<&'a DeclaredCommand, ActionError> {
    let Action::RunDeclared { name } = action else {
        return Err(ActionError::Refused(format!(
            "{action} is no declared command"
        )));
    };
    context
        .config
        .command
        .iter()
        .find(|command| command.name == *name && !name.is_empty())
        .ok_or_else(|| ActionError::Refused(format!("no command '{name}' is declared")))
}

fn user(command: &DeclaredCommand) -> Result<Option<User>, ActionError> {
    if command.user.is_empty() {
        return Ok(None);
    }
    match User::from_name(&command.user) {
        Ok(Some(user)) => Ok(Some(user)),
        _ => Err(ActionError::Refused(format!(
            "{}: no such user '{}'",
            command.name, command.user
        ))),
    }
}

pub fn precondition(context: &ActionContext<'_>, action: &Action) -> Result<(), ActionError> {
    let command = target(context, action)?;
    if user(command)?.is_none() && nix::unistd::geteuid().is_root() {
        return Err(ActionError::Refused(format!(
            "{}: names no user; write user = \"root\" to run it as root",
            command.name
        )));
    }
    Ok(())
}

pub fn undo_record(_shop: &ActionContext<'_>, _action: &Action) -> Result<Undo, ActionError> {
    Ok(Undo::None)
}

pub fn execute(context: &ActionContext<'_>, action: &Action) -> Result<Done, ActionError> {
    let declared = target(context, action)?;
    let Some((program, args)) = declared.argv.split_first() else {
        return Err(ActionError::Refused(format!(
            "{}: empty argv",
            declared.name
        )));
    };
    let mut command = Command::new(program);
    exec::plain_environment(&mut command);
    command.args(args).current_dir("/");
    if let Some(user) = user(declared)? {
        command
            .uid(user.uid.as_raw())
            .gid(user.gid.as_raw())
            .env("HOME", &user.dir)
            .env("USER", &user.name);
    }
    let bytes = declared.memory_mib.max(1) << 20;
    let seconds = declared.timeout_s.max(1);
    // SAFETY: setrlimit(2) is async-signal-safe and the closure allocates nothing.
    unsafe {
        command.pre_exec(move || {
            setrlimit(Resource::RLIMIT_AS, bytes, bytes)?;
            // What leaves the process group is still ended by its own use of the processor.
            setrlimit(Resource::RLIMIT_CPU, seconds, seconds)?;
            setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
            Ok(())
        });
    }
    let deadline = Duration::from_secs(seconds);
    let out = exec::run_command(command, program, deadline)
        .map_err(|why| ActionError::Failed(why.to_string()))?;
    let done = Done::new(format!("{}: exit status {}", declared.name, out.status))
        .with("output", cut(&out.text(), OUTPUT_KEPT));
    if out.success() {
        Ok(done)
    } else {
        Err(ActionError::Failed(format!(
            "{}: {}",
            declared.name,
            out.reason()
        )))
    }
}
