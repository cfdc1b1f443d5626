//! `install` and `uninstall`: files first, then the init, each step said and each repeatable.

mod files;
mod init;

use std::path::{Path, PathBuf};

use crate::actions::DROP_IN_MARK;
use crate::cli::command::CommandRow;
use crate::cli::config::EXAMPLE;
use crate::cli::error::{CliError, ErrorKind, Exit};
use crate::cli::globals::Globals;
use crate::cli::manual;
use crate::cli::typed::Typed;
use crate::core::config::Config;
use crate::daemon::status::Daemon;
use crate::escalation::textfile;
use files::{InstallStep, Tree};
use init::Init;

const BINARY: &str = "/usr/local/bin/autonomous-orchestrator";
const CONFIG_DIR: &str = "/etc/autonomous-orchestrator";
const STATE_DIR: &str = "/var/lib/autonomous-orchestrator";
const RUNTIME_DIR: &str = "/run/autonomous-orchestrator";

/// What was typed, understood.
struct Job<'a> {
    globals: &'a Globals,
    tree: Tree,
    init: Init,
    /// Below a prefix nothing is enabled, started or stopped.
    staged: bool,
}

impl<'a> Job<'a> {
    /// `name` is the command's.
    fn new(name: &str, typed: &Typed, globals: &'a Globals) -> Result<Self, CliError> {
        typed.at_most(0)?;
        let prefix = typed.value("prefix").map(PathBuf::from);
        let staged = prefix.is_some();
        if prefix.as_ref().is_some_and(|prefix| !prefix.is_dir()) {
            return Err(CliError::usage("--prefix: not a directory").hint("create it first"));
        }
        let tree = Tree::new(
            prefix.unwrap_or_else(|| PathBuf::from("/")),
            globals.dry_run,
        );
        let init = match typed.parsed::<Init>("init")? {
            Some(init) => init,
            None => Init::find(&tree)?,
        };
        if !staged && !globals.dry_run && !nix::unistd::geteuid().is_root() {
            return Err(CliError::new(
                ErrorKind::Permission,
                format!("{name}: only root may write to /etc and /usr/local"),
            )
            .hint("run it with sudo"));
        }
        Ok(Self {
            globals,
            tree,
            init,
            staged,
        })
    }

    fn say(&self, text: &str) -> Result<(), CliError> {
        let would = if self.globals.dry_run { "would: " } else { "" };
        self.globals.print(&format!("{would}{text}\n"))
    }

    fn step(&self, step: &InstallStep) -> Result<(), CliError> {
        self.say(&step.to_string())
    }

    /// Runs commands of the init, unless this is a staged or a dry run.
    fn orders(&self, orders: Vec<init::InitOrder>) -> Result<(), CliError> {
        if self.staged {
            return Ok(());
        }
        for order in orders {
            self.say(&order.to_string())?;
            if !self.globals.dry_run {
                order.give()?;
            }
        }
        Ok(())
    }
}

/// Where its reader is there: the manual page and what a shell completes, as `help --as` prints them. zsh has no
/// folder that it reads all of: its own start file does that.
const READERS: &[(&str, &str, &str)] = &[
    (
        "/usr/share/man",
        "/usr/local/share/man/man8/autonomous-orchestrator.8",
        "man",
    ),
    (
        "/usr/share/bash-completion",
        "/usr/local/share/bash-completion/completions/autonomous-orchestrator",
        "bash",
    ),
    (
        "/usr/share/fish",
        "/etc/fish/completions/autonomous-orchestrator.fish",
        "fish",
    ),
];

/// Path and form of what is read on this host.
fn readers(tree: &Tree) -> impl Iterator<Item = (&'static str, &'static str)> {
    READERS
        .iter()
        .filter(|(reader, _, _)| tree.has(reader))
        .map(|(_, path, form)| (*path, *form))
}

/// What an operator does after it.
const NEXT: &str = "next: `init` proposes a configuration from what runs here, `doctor` checks it all, `status` shows what is found";

pub(super) fn install(
    table: &[CommandRow],
    typed: &Typed,
    globals: &Globals,
) -> Result<Exit, CliError> {
    let job = Job::new("install", typed, globals)?;
    let (tree, init) = (&job.tree, job.init);
    job.say(&format!("init: {}", init.as_str()))?;
    init.refuse_masked(tree)?;
    if !job.staged {
        // One that would not start takes no place of one that runs, now or at its next start: nothing is touched.
        match globals.load_config() {
            Err(why) if globals.dry_run && why.kind() == ErrorKind::Permission => {}
            config => drop(config?),
        }
    }
    job.step(&tree.copy_self(Path::new(BINARY))?)?;
    job.step(&tree.directory(Path::new(CONFIG_DIR), 0o755)?)?;
    for name in ["rules.d", "causes.d", "runbooks.d"] {
        job.step(&tree.directory(&Path::new(CONFIG_DIR).join(name), 0o755)?)?;
    }
    job.step(&tree.directory(Path::new(STATE_DIR), 0o700)?)?;
    let config = Path::new(CONFIG_DIR).join("config.toml");
    // It may come to hold the address of a hook, which is a secret.
    job.step(&tree.write_new(&config, &EXAMPLE.text(), 0o600)?)?;
    for (path, text, mode) in init.files() {
        job.step(&tree.write(Path::new(path), &text.text(), *mode)?)?;
    }
    for (link, target) in init.links(tree) {
        job.step(&tree.link(&link, &target)?)?;
    }
    for (path, form) in readers(tree) {
        let text = manual::of(table, form).unwrap_or_default();
        job.step(&tree.write(Path::new(path), &text, 0o644)?)?;
    }
    job.orders(init.enable())?;
    for advice in init.advice(tree) {
        job.say(&advice)?;
    }
    if typed.has("start") {
        job.orders(vec![init.start(true)])?;
        job.say(NEXT)?;
    } else if !job.staged && !globals.dry_run {
        let config = globals.load_config().unwrap_or_default();
        let runs = Daemon::ask(&globals.host(), &config).running;
        let start = start_line(init, runs);
        globals.print(&format!("{NEXT}\n{start}\n"))?;
    }
    Ok(Exit::Done)
}

/// How what was installed comes to run: a start leaves one that runs as it is.
fn start_line(init: Init, runs: bool) -> String {
    let again = if runs { "re" } else { "" };
    format!("{again}start it with: {}", init.start(runs).line())
}

pub(super) fn uninstall(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let job = Job::new("uninstall", typed, globals)?;
    let (tree, init) = (&job.tree, job.init);
    job.orders(init.stop(tree))?;
    for (link, _) in init.links(tree) {
        job.step(&tree.remove(&link)?)?;
    }
    for (_, path, _) in READERS {
        job.step(&tree.remove(Path::new(path))?)?;
    }
    for (path, _, _) in init.files() {
        job.step(&tree.remove(Path::new(path))?)?;
    }
    job.orders(init.forget())?;
    job.step(&tree.remove(Path::new(BINARY))?)?;
    job.step(&tree.remove_tree(Path::new(RUNTIME_DIR))?)?;
    for stays in left(tree) {
        job.say(&stays)?;
    }
    if typed.has("purge") {
        job.step(&tree.remove_tree(Path::new(CONFIG_DIR))?)?;
        job.step(&tree.remove_tree(Path::new(STATE_DIR))?)?;
    } else if let Some(kept) = kept(tree) {
        globals.print(&kept)?;
    }
    Ok(Exit::Done)
}

/// What is kept, and how it goes: the program that could purge it is removed.
fn kept(tree: &Tree) -> Option<String> {
    let there =
        [CONFIG_DIR, STATE_DIR].map(|path| tree.has(path).then(|| tree.path(Path::new(path))));
    let there: Vec<_> = there
        .iter()
        .flatten()
        .map(|path| path.to_string_lossy())
        .collect();
    let (first, rest) = (there.join(" and "), there.join(" "));
    (!there.is_empty()).then(|| format!("kept: {first}; this removes them: rm -r {rest}\n"))
}

/// What the daemon wrote elsewhere, and why it is not removed.
fn left(tree: &Tree) -> Vec<String> {
    let units = Path::new("/etc/systemd/system");
    let mut said: Vec<String> = tree
        .below(units)
        .filter(|folder| folder.extension().is_some_and(|end| end == "d"))
        .flat_map(|folder| tree.below(&folder).collect::<Vec<_>>())
        .filter(|file| file.to_string_lossy().contains(DROP_IN_MARK))
        .map(|file| {
            format!(
                "stays: {}: a repair that its unit needs; remove it when the unit's own file is right",
                file.display()
            )
        })
        .collect();
    let config = tree.path(&Path::new(CONFIG_DIR).join("config.toml"));
    let config = std::fs::read_to_string(config).unwrap_or_default();
    let (config, _) = Config::read(&config);
    let metrics = format!("{}/{}", config.metrics.textfile, textfile::NAME);
    if tree.has(&metrics) {
        said.push(format!(
            "stays: {metrics}: the last figures, in the collector's directory"
        ));
    }
    if let Some(stays) = own_state(tree, &config.daemon.state_dir) {
        said.push(stays);
    }
    said
}

/// A state directory that is none of those which `install` made.
fn own_state(tree: &Tree, dir: &str) -> Option<String> {
    let is_own = !Path::new(dir).starts_with(STATE_DIR) && tree.has(dir);
    is_own.then(|| {
        let at = tree.path(Path::new(dir));
        format!(
            "stays: {0}: tasks, history and backups (daemon.state_dir); where nothing else lies in it, this removes it: rm -r '{0}'",
            at.display()
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_line_for_what_is_kept_works_without_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::new(dir.path().to_owned(), false);
        assert_eq!(kept(&tree), None);
        for path in [CONFIG_DIR, STATE_DIR] {
            std::fs::create_dir_all(tree.path(Path::new(path))).unwrap();
            let line = kept(&tree).unwrap();
            let order = line.split_once(": rm ").unwrap().1.trim_end();
            assert!(order.ends_with(path), "{line}");
        }
        let line = kept(&tree).unwrap();
        let order: Vec<_> = line
            .split_once(": rm ")
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        assert!(
            std::process::Command::new("rm")
                .args(&order)
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(kept(&tree), None, "{order:?}");
    }

    #[test]
    fn one_that_runs_is_restarted() {
        for (init, runs, want) in [
            (
                Init::Systemd,
                false,
                "start it with: systemctl start autonomous-orchestrator",
            ),
            (
                Init::Systemd,
                true,
                "restart it with: systemctl restart autonomous-orchestrator",
            ),
            (
                Init::OpenRc,
                true,
                "restart it with: rc-service autonomous-orchestrator restart",
            ),
            (
                Init::SysV,
                true,
                "restart it with: /etc/init.d/autonomous-orchestrator restart",
            ),
        ] {
            assert_eq!(start_line(init, runs), want);
        }
    }

    #[test]
    fn what_stays_is_said_with_why() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::new(dir.path().to_owned(), false);
        assert!(left(&tree).is_empty(), "nothing is there");
        for (path, text) in [
            (
                "/etc/systemd/system/app.service.d/50-autonomous-orchestrator-execstart.conf",
                "",
            ),
            ("/etc/systemd/system/app.service.d/own.conf", ""),
            (
                "/etc/autonomous-orchestrator/config.toml",
                "[daemon]\nstate_dir = \"/srv/state\"\n[metrics]\ntextfile = \"/var/lib/node_exporter\"\n",
            ),
            ("/srv/state/tasks.db", ""),
            ("/var/lib/node_exporter/autonomous_orchestrator.prom", ""),
        ] {
            tree.write(Path::new(path), text, 0o644).unwrap();
        }
        let said = left(&tree);
        let starts = [
            "stays: /etc/systemd/system/app.service.d/50-",
            "stays: /var",
            "stays: ",
        ];
        assert_eq!(said.len(), starts.len(), "{said:?}");
        for (line, start) in said.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
        let state = tree.path(Path::new("/srv/state"));
        let order = format!(": rm -r '{}'", state.display());
        let last = said.last().unwrap();
        assert!(last.ends_with(&order), "{last}");
        for usual in [
            STATE_DIR,
            "/var/lib/autonomous-orchestrator/deep",
            "/srv/none",
        ] {
            std::fs::create_dir_all(tree.path(Path::new(STATE_DIR)).join("deep")).unwrap();
            assert_eq!(own_state(&tree, usual), None, "{usual}");
        }
    }
}
