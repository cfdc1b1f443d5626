//! `approve`: a human allows one action on one target, after having read all of it.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::cli::error::{CliError, ErrorKind, Exit};
use crate::cli::globals::Globals;
use crate::cli::tasks::{change, find};
use crate::cli::typed::Typed;
use crate::cli::{shape, stored, trial};
use crate::core::model::action::ActionKind;
use crate::core::model::inert;

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let id = typed.task_id(0)?;
    typed.at_most(1)?;
    let config = globals.load_config()?;
    let actor = stored::actor(typed)?;
    let minutes: Option<u64> = typed.parsed("for")?;
    let seconds = minutes.map_or(config.fix.approval_s, |minutes| minutes.saturating_mul(60));
    let until = stored::until(&format!("{seconds}s"), &globals.host().clock)?;
    let kind: Option<ActionKind> = typed.parsed("action")?;
    let task = find(&stored::reader(globals, &config)?, id)?;
    let finding = task.finding();
    let proposal = task.proposal.ok_or_else(|| {
        CliError::new(ErrorKind::Failed, format!("task {id} proposes no action"))
            .hint(format!("see `explain {id}` for what it waits for"))
    })?;
    if let Some(key) = trial::setting(&config, &finding, &proposal) {
        let what = format!(
            "task {id}: the mode of this action is observe: nothing is done with leave either"
        );
        let hint = format!("set {key} = \"suggest\", reload, then approve");
        return Err(CliError::new(ErrorKind::Failed, what).hint(hint));
    }
    let digest = proposal.digest();
    let named = typed.parsed::<String>("digest")?;
    let meant = named.as_ref().is_none_or(|named| digest.is_meant_by(named))
        && kind.is_none_or(|kind| kind == proposal.kind);
    if !meant {
        return Err(CliError::new(
            ErrorKind::Failed,
            format!("task {id} proposes something else: {}", proposal.brief()),
        )
        .hint(format!("see `tasks show {id}` for all of it")));
    }
    if !globals.json {
        let text = proposal.to_string();
        let whole = shape::whole(&proposal);
        globals.print(&format!("{}\n{whole}", inert::line(&text)))?;
    }
    if named.is_none() && !globals.dry_run {
        let hint = format!(
            "`approve {id} --digest DIGEST` allows what you have read, --yes whatever stands there"
        );
        confirmed(typed, globals, &hint)?;
    }
    let done = format!(
        "approved until {}: {} ({})",
        shape::moment(until),
        proposal.text,
        digest.short()
    );
    change(globals, id, &inert::line(&done), |store, now| {
        store.approve(id, &digest, until, &actor, now)
    })
}

/// `--yes`, or a human at a terminal who says so. What is done is what was printed.
pub(super) fn confirmed(typed: &Typed, globals: &Globals, hint: &str) -> Result<(), CliError> {
    if typed.has("yes") {
        return Ok(());
    }
    let refused = |what: &str| {
        CliError::new(ErrorKind::Failed, format!("nothing is done: {what}")).hint(hint)
    };
    if globals.json || !io::stdin().is_terminal() {
        return Err(refused("nobody is there to be asked"));
    }
    let mut out = io::stderr();
    let _ = write!(out, "do this? [y/N] ").and_then(|()| out.flush());
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    match (read, answer.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Ok(()),
        (Ok(_), _) => Err(refused("the answer was no")),
        (Err(why), _) => Err(refused("no answer").because(why)),
    }
}
