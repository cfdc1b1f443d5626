//! What each init needs: files, links, and the commands that enable, start and stop.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::Tree;
use crate::cli::error::CliError;
use crate::cli::help::NAME;
use crate::core::model::named::named;
use crate::core::model::packed::{Packed, packed};
use crate::host::Host;

const UNIT: &str = "/etc/systemd/system/autonomous-orchestrator.service";
const TMPFILES: &str = "/etc/tmpfiles.d/autonomous-orchestrator.conf";
const SCRIPT: &str = "/etc/init.d/autonomous-orchestrator";
const LOGROTATE: &str = "/etc/logrotate.d/autonomous-orchestrator";
/// Buildroot and BusyBox start every S??* in the order of the names.
const BUSYBOX_LINK: &str = "/etc/init.d/S99autonomous-orchestrator";

/// A path, its text and its mode.
pub(super) type Installed = (&'static str, Packed, u32);

const SYSTEMD_FILES: &[Installed] = &[
    (UNIT, packed!("service"), 0o644),
    (TMPFILES, packed!("tmpfiles"), 0o644),
];
const OPENRC_FILES: &[Installed] = &[
    (SCRIPT, packed!("openrc"), 0o755),
    (LOGROTATE, packed!("logrotate"), 0o644),
];
const SYSV_FILES: &[Installed] = &[(SCRIPT, packed!("sysv"), 0o755)];

/// Longest that an init may take to stop or start us; the daemon drains in 5 s, scripts wait up to 15.
const DEADLINE: Duration = Duration::from_secs(90);

named! {
    /// The init that runs the service.
    Init "init" {
        Systemd = "systemd",
        OpenRc = "openrc",
        SysV = "sysv",
    }
}

/// One command for the init.
#[derive(Clone, Debug)]
pub(super) struct InitOrder {
    program: String,
    args: Vec<String>,
    /// Failing is no failure of ours: it was perhaps never started.
    may_fail: bool,
}

impl InitOrder {
    fn new(program: &str, args: &[&str]) -> Self {
        Self {
            program: program.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            may_fail: false,
        }
    }

    fn may_fail(mut self) -> Self {
        self.may_fail = true;
        self
    }

    /// As a human types it.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.program, self.args.join(" "))
    }

    pub(super) fn give(&self) -> Result<(), CliError> {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let failed = match Host::real().run(&self.program, &args, DEADLINE) {
            Ok(output) if output.success() => return Ok(()),
            Ok(output) => CliError::failed(format!("{self}: {}", output.reason())),
            Err(why) => CliError::failed(self.to_string()).because(why),
        };
        if self.may_fail {
            return Ok(());
        }
        Err(failed.hint(format!("run it by hand, then `{NAME} install` again")))
    }
}

impl fmt::Display for InitOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run        {}", self.line())
    }
}

impl Init {
    /// The init that runs here. The directories under /run say what was booted, not what is installed.
    pub(super) fn find(tree: &Tree) -> Result<Self, CliError> {
        if tree.has("/run/systemd/system") {
            Ok(Self::Systemd)
        } else if tree.has("/run/openrc") || tree.has("/sbin/openrc-run") {
            Ok(Self::OpenRc)
        } else if tree.has("/etc/init.d") {
            Ok(Self::SysV)
        } else {
            Err(CliError::failed(
                "install: no systemd, OpenRC or /etc/init.d found: nothing would start it at boot",
            )
            .hint(format!(
                "name one with --init, or let your init run `{NAME} run`"
            )))
        }
    }

    pub(super) const fn files(self) -> &'static [Installed] {
        match self {
            Self::Systemd => SYSTEMD_FILES,
            Self::OpenRc => OPENRC_FILES,
            Self::SysV => SYSV_FILES,
        }
    }

    /// A masked unit was switched off by a human; overwriting the mask would switch it on.
    pub(super) fn refuse_masked(self, tree: &Tree) -> Result<(), CliError> {
        let masked = self == Self::Systemd
            && std::fs::read_link(tree.path(Path::new(UNIT)))
                .is_ok_and(|target| target == Path::new("/dev/null"));
        if masked {
            return Err(CliError::failed(format!(
                "{UNIT}: the unit is masked: somebody switched it off"
            ))
            .hint(format!("`systemctl unmask {NAME}` first")));
        }
        Ok(())
    }

    /// Links that start and stop it with the runlevels, where no tool makes them.
    pub(super) fn links(self, tree: &Tree) -> Vec<(PathBuf, PathBuf)> {
        if self != Self::SysV || has_tool(tree) {
            return Vec::new();
        }
        if tree.has("/etc/rc2.d") {
            let start = ["2", "3", "4", "5"].map(|level| (level, "S99"));
            let stop = ["0", "1", "6"].map(|level| (level, "K01"));
            return start
                .into_iter()
                .chain(stop)
                .filter(|(level, _)| tree.has(&format!("/etc/rc{level}.d")))
                .map(|(level, order)| {
                    (
                        PathBuf::from(format!("/etc/rc{level}.d/{order}{NAME}")),
                        PathBuf::from(format!("../init.d/{NAME}")),
                    )
                })
                .collect();
        }
        if tree.has("/etc/init.d/rcS") {
            return vec![(PathBuf::from(BUSYBOX_LINK), PathBuf::from(NAME))];
        }
        Vec::new()
    }

    pub(super) fn enable(self) -> Vec<InitOrder> {
        match self {
            Self::Systemd => vec![
                InitOrder::new("systemctl", &["daemon-reload"]),
                InitOrder::new("systemctl", &["enable", NAME]),
                InitOrder::new("systemd-tmpfiles", &["--create", TMPFILES]).may_fail(),
            ],
            Self::OpenRc => vec![InitOrder::new("rc-update", &["add", NAME, "default"])],
            Self::SysV => match runlevel_tool() {
                Some(("update-rc.d", _)) => {
                    vec![InitOrder::new("update-rc.d", &[NAME, "defaults"])]
                }
                Some((tool, _)) => vec![InitOrder::new(tool, &["--add", NAME])],
                None => Vec::new(),
            },
        }
    }

    /// Starts it, or restarts one that runs.
    pub(super) fn start(self, runs: bool) -> InitOrder {
        let word = if runs { "restart" } else { "start" };
        match self {
            Self::Systemd => InitOrder::new("systemctl", &[word, NAME]),
            Self::OpenRc => InitOrder::new("rc-service", &[NAME, word]),
            Self::SysV => InitOrder::new(SCRIPT, &[word]),
        }
    }

    /// Stops and disables; what is not there needs no stopping.
    pub(super) fn stop(self, tree: &Tree) -> Vec<InitOrder> {
        match self {
            Self::Systemd if tree.has(UNIT) => {
                vec![InitOrder::new("systemctl", &["disable", "--now", NAME])]
            }
            Self::OpenRc if tree.has(SCRIPT) => vec![
                InitOrder::new("rc-service", &["--ifstarted", NAME, "stop"]),
                InitOrder::new("rc-update", &["del", NAME, "default"]).may_fail(),
            ],
            Self::SysV if tree.has(SCRIPT) => vec![InitOrder::new(SCRIPT, &["stop"])],
            Self::Systemd | Self::OpenRc | Self::SysV => Vec::new(),
        }
    }

    /// After the files are gone: the init forgets them.
    pub(super) fn forget(self) -> Vec<InitOrder> {
        match self {
            Self::Systemd => vec![
                InitOrder::new("systemctl", &["daemon-reload"]),
                InitOrder::new("systemctl", &["reset-failed", NAME]).may_fail(),
            ],
            Self::OpenRc => Vec::new(),
            Self::SysV => match runlevel_tool() {
                Some(("update-rc.d", _)) => {
                    vec![InitOrder::new("update-rc.d", &[NAME, "remove"]).may_fail()]
                }
                Some((tool, _)) => vec![InitOrder::new(tool, &["--del", NAME]).may_fail()],
                None => Vec::new(),
            },
        }
    }

    /// What a human may want to do beside.
    pub(super) fn advice(self, tree: &Tree) -> Vec<String> {
        if self != Self::SysV {
            return Vec::new();
        }
        let mut advice = Vec::new();
        if self.links(tree).is_empty() && !has_tool(tree) {
            advice.push(format!(
                "note: no runlevel directories here: have your boot scripts call `{SCRIPT} start`"
            ));
        }
        let line = if tree.has("/etc/rc2.d") {
            format!("ao:2345:respawn:{SCRIPT} foreground")
        } else {
            format!("::respawn:{SCRIPT} foreground")
        };
        advice.push(format!(
            "note: this init does not restart what dies; one line in /etc/inittab does: {line}"
        ));
        advice
    }
}

/// Tools that keep the runlevel links, and where they are.
const RUNLEVEL_TOOLS: &[(&str, &str)] = &[
    ("update-rc.d", "/usr/sbin/update-rc.d"),
    ("chkconfig", "/sbin/chkconfig"),
];

fn runlevel_tool() -> Option<(&'static str, &'static str)> {
    RUNLEVEL_TOOLS
        .iter()
        .copied()
        .find(|(_, path)| Path::new(path).exists())
}

fn has_tool(tree: &Tree) -> bool {
    RUNLEVEL_TOOLS.iter().any(|(_, path)| tree.has(path))
}
