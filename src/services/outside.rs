//! Commands that run outside our own sandbox, which would keep them from becoming another user or from using
//! what we gave up: as transient units where systemd runs, directly elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::unistd::geteuid;

use crate::core::reading::journal_entry::OWN_NAME;
use crate::host::Host;
use crate::host::exec::{Command, Confinement, ExecError, Output};
use crate::services::ServiceManager;

/// systemd ends the unit this long after we gave it up.
const GRACE: Duration = Duration::from_secs(1);
/// Most processes and threads of an operator's command.
const TASKS_MOST: u32 = 64;

/// Runs a command to its end or its deadline with rights that our hardened unit gave up.
pub fn run(
    host: &Host,
    managers: &[Arc<dyn ServiceManager>],
    command: &Command<'_>,
) -> Result<Output, ExecError> {
    let systemd = managers.iter().any(|manager| manager.name() == "systemd");
    if !systemd || !geteuid().is_root() {
        return host.run_command(command);
    }
    let args = transient(command, &unit());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    host.run("systemd-run", &args, command.deadline)
}

/// A name of ours, so that nothing judges what we start ourselves, and that no other run has.
fn unit() -> String {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let number = RUNS.fetch_add(1, Ordering::Relaxed);
    format!("{OWN_NAME}-run-{}-{number}", std::process::id())
}

/// What systemd-run(1) is told.
fn transient(command: &Command<'_>, unit: &str) -> Vec<String> {
    let until = command.deadline.saturating_add(GRACE).as_secs().max(1);
    let mut args = vec![
        "--quiet".to_owned(),
        "--wait".to_owned(),
        "--collect".to_owned(),
        "--pipe".to_owned(),
        format!("--unit={unit}"),
        // Or the whole command would stand in the journal, each time.
        format!("--description=A command that {OWN_NAME} runs"),
        format!("--property=RuntimeMaxSec={until}"),
        "--property=TimeoutStopSec=2".to_owned(),
    ];
    if let Some(confinement) = command.confined {
        args.extend(limits(confinement));
    }
    args.push("--".to_owned());
    let words = std::iter::once(command.program).chain(command.args.iter().copied());
    // It would put variables in; a command is what was declared, letter by letter.
    args.extend(words.map(|word| word.replace('$', "$$")));
    args
}

fn limits(confinement: &Confinement) -> Vec<String> {
    let Confinement {
        user,
        memory_bytes,
        address_bytes,
        cpu_seconds,
    } = confinement;
    let mut limits = vec![
        "--working-directory=/".to_owned(),
        "--setenv=LC_ALL=C".to_owned(),
        format!("--property=MemoryMax={memory_bytes}"),
        "--property=MemorySwapMax=0".to_owned(),
        format!("--property=LimitAS={address_bytes}"),
        format!("--property=LimitCPU={cpu_seconds}"),
        "--property=LimitCORE=0".to_owned(),
        format!("--property=TasksMax={TASKS_MOST}"),
    ];
    if let Some(user) = user {
        limits.push(format!("--uid={}", user.name));
    }
    limits
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_confined_command_has_its_user_and_its_limits_and_keeps_its_words() {
        let own = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(0));
        let confinement = Confinement {
            user: own.unwrap(),
            memory_bytes: 1 << 20,
            address_bytes: 1 << 30,
            cpu_seconds: 7,
        };
        let words = ["-c", "echo $HOME; --uid=eve"];
        let command = Command::new("/bin/sh", &words, Duration::from_secs(7));
        let told = transient(&command.confined(&confinement), "u");
        for wanted in [
            "--uid=root",
            "--property=MemoryMax=1048576",
            "--property=LimitCPU=7",
            "--property=RuntimeMaxSec=8",
            "--unit=u",
        ] {
            assert!(told.iter().any(|arg| arg == wanted), "{wanted}: {told:?}");
        }
        let at = told.iter().position(|arg| arg == "--").unwrap();
        let (_, after) = told.split_at(at + 1);
        assert_eq!(after, ["/bin/sh", "-c", "echo $$HOME; --uid=eve"]);
    }

    #[test]
    fn each_run_has_a_name_of_ours_and_of_its_own() {
        assert!(unit().starts_with(OWN_NAME));
        assert_ne!(unit(), unit());
    }
}
