//! `doctor`: one line a check, with what to do.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access, geteuid};
use serde_json::{Value, json};

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::Tone;
use crate::cli::typed::Typed;
use crate::cli::{config, shape, stored, wire};
use crate::core::config::Config;
use crate::core::model::hint::Hint;
use crate::core::model::inert;
use crate::core::model::named::named;
use crate::core::model::object::object;
use crate::core::remedy::step::Reason;
use crate::daemon::host_facts::{self, StoreFacts};
use crate::daemon::status::Daemon;
use crate::host::Host;
use crate::host::boot::host_name;
use crate::host::files::secret_file_problem;
use crate::host::procfs;
use crate::host::trusted::{self, Owners};
use crate::store::{Reader, Store, StoreError};

/// Below this much free space beside the store a repair may not be booked any more.
const SPACE_FAIL_BYTES: u64 = 4 << 20;
const SPACE_WARN_BYTES: u64 = 64 << 20;

named! {
    /// How a check ended.
    CheckEnd "level" {
        Ok = "ok",
        Warn = "warn",
        Fail = "FAIL",
    }
}

impl CheckEnd {
    const fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Warn => Tone::Warn,
            Self::Fail => Tone::Bad,
        }
    }
}

/// All checks so far, in order.
#[derive(Debug, Default)]
struct Page(Vec<(CheckEnd, &'static str, String, String)>);

impl Page {
    fn ok(&mut self, name: &'static str, what: impl Into<String>) {
        self.0
            .push((CheckEnd::Ok, name, what.into(), String::new()));
    }

    fn warn(&mut self, name: &'static str, what: impl Into<String>, to_do: impl Into<String>) {
        self.0
            .push((CheckEnd::Warn, name, what.into(), to_do.into()));
    }

    fn fail(&mut self, name: &'static str, what: impl Into<String>, to_do: impl Into<String>) {
        self.0
            .push((CheckEnd::Fail, name, what.into(), to_do.into()));
    }
}

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let host = globals.host();
    let mut page = Page::default();
    let config = check_config(&mut page, globals);
    check_rights(&mut page, &host, &config);
    check_store(&mut page, globals, &config);
    check_bundle(&mut page, &host, &config);
    check_space(&mut page, &host, &config);
    check_daemon(&mut page, &host, &config);
    check_sources(&mut page, &host, &config);
    check_clock(&mut page, &host);
    check_tracker(&mut page, &host, &config, typed.has("offline"));
    check_fleet(&mut page, &host, &config, typed.has("offline"));
    let failed = page.0.iter().any(|(level, ..)| *level == CheckEnd::Fail);
    if globals.json {
        globals.print_json(&to_json(&page))?;
    } else {
        globals.print(&draw(&page, globals.colour()))?;
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn to_json(page: &Page) -> Value {
    page.0
        .iter()
        .map(|(level, name, what, to_do)| {
            object!({
                "check": name,
                "level": level.as_str().to_lowercase(),
                "what": what,
                "to_do": if to_do.is_empty() { Value::Null } else { json!(to_do) },
            })
        })
        .collect()
}

fn draw(page: &Page, colour: bool) -> String {
    let mut text = String::new();
    for (level, name, what, to_do) in &page.0 {
        let mark = level
            .tone()
            .paint(&format!("{:<4}", level.as_str()), colour);
        let _ = writeln!(text, "{mark}  {name:<13} {}", inert::line(what));
        if !to_do.is_empty() {
            let _ = writeln!(text, "{:20} -> {}", "", inert::line(to_do));
        }
    }
    let count = |wanted| page.0.iter().filter(|(level, ..)| *level == wanted).count() as u64;
    let _ = writeln!(
        text,
        "\n{} ok, {}, {}",
        count(CheckEnd::Ok),
        shape::counted(count(CheckEnd::Warn), "warning", "warnings"),
        shape::counted(count(CheckEnd::Fail), "failure", "failures")
    );
    text
}

fn check_config(page: &mut Page, globals: &Globals) -> Config {
    let path = globals.config_path().display().to_string();
    let to_do = "correct it, then run `config check`";
    let config::Read {
        config,
        mistakes,
        distrusted,
    } = match config::read(globals) {
        Ok(read) => read,
        Err(why) => {
            page.fail("configuration", why.told(), to_do);
            // The other checks still help.
            return Config::default();
        }
    };
    for mistake in &mistakes {
        page.fail("configuration", mistake.to_string(), to_do);
    }
    if mistakes.is_empty() {
        let from = if globals.config_path().exists() {
            path
        } else {
            format!("{path} does not exist, all defaults hold")
        };
        page.ok("configuration", from);
    }
    for why in distrusted {
        page.warn("trust", why.to_string(), "until then it goes without");
    }
    if let Some(why) = wire::open_address(globals, &config) {
        page.warn("secrets", why, "replace the address if it may have leaked");
    }
    // A store that cannot be read is told by its own check.
    let store = stored::reader(globals, &config).ok();
    let store = store.and_then(|reader| StoreFacts::of(&reader).ok());
    check_paused(page, &globals.host(), &config, store.unwrap_or_default());
    config
}

/// Why no repair is made now.
fn check_paused(page: &mut Page, host: &Host, config: &Config, store: StoreFacts) {
    let life = Daemon::ask(host, config).life();
    let paused = host_facts::paused(host, config, life, store);
    if paused.is_empty() {
        page.ok("repairs", "not paused");
    }
    for one in paused {
        let to_do = match one.reason {
            Reason::KillSwitch(_) => {
                let file = &config.daemon.kill_switch;
                format!("remove {file} when the reason is gone")
            }
            Reason::Clock => "set the clock, or start a time service".to_owned(),
            // Nothing else holds for the whole host.
            Reason::Maintenance(_)
            | Reason::Silenced(_)
            | Reason::TakenBack
            | Reason::StartupGrace
            | Reason::NoTarget { .. }
            | Reason::Precondition { .. }
            | Reason::Deployment(_)
            | Reason::SymptomOf { .. }
            | Reason::SameAs { .. }
            | Reason::Mode(_)
            | Reason::Changed(_)
            | Reason::Budget(_)
            | Reason::Slot
            | Reason::MayPass
            | Reason::OnlyAWarning
            | Reason::Habit
            | Reason::InDigest
            | Reason::Spaced { .. }
            | Reason::Starting
            | Reason::NeverGreen(_)
            | Reason::MayStillShow
            | Reason::NothingSafe
            | Reason::NoneTaken
            | Reason::NotHeld { .. }
            | Reason::Breaks(_)
            | Reason::Held(_)
            | Reason::NotLasting(_)
            | Reason::GoneUntouched
            | Reason::GoneUnverified
            | Reason::NoMoreLines
            | Reason::NeverSeenHere
            | Reason::GoneWithUnit
            | Reason::OverWithRoot { .. }
            | Reason::EndedByItself
            | Reason::Stable
            | Reason::QuietWindow
            | Reason::CouldNotLook(_)
            | Reason::Unwanted(_)
            | Reason::NotVerified(_) => "wait: it ends by itself".to_owned(),
        };
        page.warn("repairs", format!("paused: {}", one.reason), to_do);
    }
}

fn check_rights(page: &mut Page, host: &Host, config: &Config) {
    if geteuid().is_root() {
        page.ok("user", "root");
    } else {
        page.warn(
            "user",
            format!("uid {}: some checks see less", geteuid()),
            "run `sudo autonomous-orchestrator doctor`",
        );
    }
    let directory = host.path(&config.daemon.state_dir);
    let shown = directory.display().to_string();
    match std::fs::metadata(&directory) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => page.warn(
            "state",
            format!("{shown} does not exist yet"),
            "the daemon makes it at its first start",
        ),
        Err(why) => page.fail("state", format!("{shown}: {why}"), "make it accessible"),
        Ok(meta) if !meta.is_dir() => page.fail(
            "state",
            format!("{shown} is not a directory"),
            "move it away, or name another with daemon.state_dir",
        ),
        Ok(meta) => {
            if let Err(why) = access(&directory, AccessFlags::W_OK | AccessFlags::X_OK) {
                page.fail(
                    "state",
                    format!("{shown} cannot be written: {}", why.desc()),
                    "mount it read-write, or give this user the right",
                );
            } else if let Err(why) = trusted::state(host, &directory) {
                page.fail("state", why.to_string(), why.hint());
            } else if meta.mode() & 0o077 != 0 {
                page.warn(
                    "state",
                    format!("{shown} is open to others (mode {:o})", meta.mode() & 0o777),
                    format!("chmod 700 {shown}: it holds lines of your logs"),
                );
            } else {
                page.ok("state", format!("{shown}, private and writable"));
            }
        }
    }
}

fn check_store(page: &mut Page, globals: &Globals, config: &Config) {
    let options = stored::options(globals, config);
    let shown = options.path.display().to_string();
    match std::fs::metadata(&options.path) {
        Ok(_) => {}
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
            let to_do = "the daemon makes it at its first start; `import` adopts an old one";
            return page.warn("store", format!("{shown} does not exist yet"), to_do);
        }
        Err(why) => return page.warn("store", format!("{shown}: {why}"), "run as root"),
    }
    let restore =
        "keep a copy; the daemon sets it aside and restores the newest backup at its next start";
    let to_do = |why: &StoreError| {
        let is_damaged = matches!(why, StoreError::Corrupt(_) | StoreError::Sqlite(_));
        if is_damaged {
            restore.into()
        } else {
            why.hint()
        }
    };
    let reader: Reader = match Store::open_read_only(&options) {
        Ok(reader) => reader,
        Err(why) => return page.fail("store", of_store(&shown, &why), to_do(&why)),
    };
    match reader.integrity() {
        Ok(answer) if answer == "ok" => page.ok("store", format!("{shown}, every page is sound")),
        Ok(answer) => return page.fail("store", format!("{shown}: {answer}"), restore),
        Err(why) => return page.fail("store", of_store(&shown, &why), to_do(&why)),
    }
    match reader.audit_verify() {
        Ok(Ok(report)) => page.ok(
            "audit",
            format!(
                "{} events, head {}",
                report.events,
                report.head_hash.get(..16).unwrap_or(&report.head_hash)
            ),
        ),
        Ok(Err(broken)) => page.fail(
            "audit",
            broken.to_string(),
            "keep a copy and compare it with the head hashes in the log and the escalations",
        ),
        Err(why) => page.fail("audit", why.with_hint(), "see the store"),
    }
    if let Ok(counts) = reader.counts() {
        if counts.outbox_dead > 0 {
            page.warn(
                "outbox",
                format!("{} deliveries were given up", counts.outbox_dead),
                "see `outbox`, mend the cause, then `outbox retry`",
            );
        } else {
            page.ok("outbox", format!("{} waiting", counts.outbox_waiting));
        }
    }
}

/// Some of its errors name the file themselves.
fn of_store(shown: &str, why: &StoreError) -> String {
    let why = why.to_string();
    match why.starts_with(shown) {
        true => why,
        false => format!("{shown}: {why}"),
    }
}

/// The bundle as the daemon would open it. None at all is no fault.
fn check_bundle(page: &mut Page, host: &Host, config: &Config) {
    let file = host.path(&config.daemon.bundle);
    if !file.exists() {
        return;
    }
    match wire::bundle_problem(&file) {
        None => page.ok("bundle", file.display().to_string()),
        Some((why, to_do)) => page.warn("bundle", format!("not used: {why}"), to_do),
    }
}

fn check_space(page: &mut Page, host: &Host, config: &Config) {
    let mut directory: PathBuf = host.path(&config.daemon.state_dir);
    while !directory.exists() {
        match directory.parent() {
            Some(parent) => directory = parent.to_owned(),
            None => return,
        }
    }
    let shown = directory.display().to_string();
    let stat = match statvfs(&directory) {
        Ok(stat) => stat,
        Err(why) => {
            return page.warn(
                "disk",
                format!("{shown}: {}", why.desc()),
                "check the mount",
            );
        }
    };
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)] // Field widths differ by target.
    let free = stat.blocks_available() as u64 * stat.fragment_size() as u64;
    let text = format!("{} MiB free at {shown}", free >> 20);
    if free < SPACE_FAIL_BYTES {
        page.fail("disk", text, "free space: nothing can be recorded");
    } else if free < SPACE_WARN_BYTES {
        page.warn("disk", text, "free space soon");
    } else {
        page.ok("disk", text);
    }
}

fn check_daemon(page: &mut Page, host: &Host, config: &Config) {
    match Daemon::ask(host, config).pid() {
        Some(pid) if is_replaced(host, pid) => page.warn(
            "daemon",
            format!("running, pid {pid}, from a program file that was replaced since"),
            "restart the service: it is not the installed one that runs",
        ),
        Some(pid) => page.ok("daemon", format!("running, pid {pid}")),
        None => page.warn(
            "daemon",
            "not running",
            "start the service, or `install --start` it",
        ),
    }
}

/// The program was installed anew and the old one still runs.
fn is_replaced(host: &Host, pid: u64) -> bool {
    let process = u32::try_from(pid).ok();
    let process = process.and_then(|pid| procfs::process(host, pid).ok().flatten());
    process.is_some_and(|one| one.deleted)
}

fn check_sources(page: &mut Page, host: &Host, config: &Config) {
    let has = |path: &str| host.path(path).exists();
    if has("/run/systemd/system") {
        page.ok("init", "systemd");
    } else if has("/run/openrc") {
        page.ok("init", "OpenRC");
    } else if has("/etc/init.d") {
        page.ok("init", "SysV scripts");
    } else if config.service.is_empty() {
        page.warn(
            "init",
            "no systemd, OpenRC or SysV scripts: services are not watched",
            "declare them as [[service]] in the configuration",
        );
    } else {
        page.ok(
            "init",
            format!("{} declared services", config.service.len()),
        );
    }
    let journal = has("/run/log/journal") || has("/var/log/journal");
    match (config.detect.journal, journal) {
        (false, _) => page.ok("journal", "switched off in the configuration"),
        (true, false) => page.ok("journal", "absent on this host"),
        (true, true) => match find_program(host, "journalctl") {
            Some(_) => page.ok("journal", "present"),
            None => page.warn(
                "journal",
                "there is a journal but no journalctl",
                "install systemd's journalctl",
            ),
        },
    }
    if config.detect.kernel_log && !journal {
        match std::fs::File::open(host.path("/dev/kmsg")) {
            Ok(_) => page.ok("kernel log", "/dev/kmsg"),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                page.ok("kernel log", "absent on this host");
            }
            Err(why) => page.warn(
                "kernel log",
                format!("/dev/kmsg: {why}"),
                "run as root with CAP_SYSLOG",
            ),
        }
    }
    for file in &config.log_file {
        match trusted::open(host, &file.path, &Owners::anybody(host)) {
            Ok(_) => page.ok("log file", file.path.as_str()),
            Err(why) if why.is_absent() => page.warn(
                "log file",
                why.to_string(),
                "it is followed as soon as it can be read",
            ),
            Err(why) => page.warn("log file", why.to_string(), why.hint()),
        }
    }
}

fn find_program(host: &Host, name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/local/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| host.path(path).exists())
}

fn check_clock(page: &mut Page, host: &Host) {
    if !host.clock.is_sane() {
        page.fail(
            "clock",
            format!("says {}: before this program was built", host.clock.wall()),
            "set it, or start time synchronisation: nothing is repaired until then",
        );
        return;
    }
    let timesyncd = host.path("/run/systemd/timesync");
    if timesyncd.exists() && !timesyncd.join("synchronized").exists() {
        page.warn(
            "clock",
            "systemd-timesyncd has not synchronised it yet",
            "check that a time server is reachable: `timedatectl timesync-status`",
        );
    } else {
        page.ok("clock", format!("{} UTC", host.clock.wall()));
    }
}

/// Token, trust, reachability and rights, in this order. A bad token FAILs: nothing can ever be delivered.
/// The uplink comes and goes by design: deliveries wait, so that is a warning.
fn check_tracker(page: &mut Page, host: &Host, config: &Config, offline: bool) {
    let channels = config.destinations();
    if channels.is_empty() {
        let to_do = "configure escalation.github, a [[notify]] or alertmanager; until then look at `status`";
        page.warn(
            "told",
            "nobody is told: no tracker and no channel is configured",
            to_do,
        );
    }
    let (token, credential) = match (&config.escalation.github, config.tracker()) {
        (Some(github), _) => (&github.token_file, "github-token".to_owned()),
        (None, Some(notify)) => (&notify.token_file, notify.credential()),
        (None, None) => {
            if !channels.is_empty() {
                page.ok("told", channels.join(", "));
            }
            return;
        }
    };
    let token = host.path(token);
    let is_handed_over = std::env::var_os("CREDENTIALS_DIRECTORY")
        .is_some_and(|directory| Path::new(&directory).join(&credential).exists());
    if !token.exists() && !is_handed_over {
        let to_do = format!(
            "write the token alone into {0} and chmod 600 {0}, or hand it over as the systemd credential {credential}",
            token.display()
        );
        return page.warn(
            "token",
            format!("{} does not exist", token.display()),
            to_do,
        );
    }
    if let Some(why) = Some(&token)
        .filter(|token| token.exists())
        .and_then(|token| secret_file_problem(token))
    {
        let to_do = format!(
            "write the token alone into {0}, then chmod 600 {0}; replace it if it may have leaked",
            token.display()
        );
        return page.fail("token", why, to_do);
    }
    if offline {
        return page.ok("network", "not looked at (--offline)");
    }
    for (what, good, to_do) in wire::reach_tracker(config, host.clock.now()) {
        if good {
            page.ok("tracker", what);
        } else {
            page.warn("tracker", what, to_do);
        }
    }
}

/// Alertmanager, webhook, ping, metrics: those that are named.
fn check_fleet(page: &mut Page, host: &Host, config: &Config, offline: bool) {
    let textfile = &config.metrics.textfile;
    if !textfile.is_empty() {
        match wire::textfile_problem(host, textfile) {
            None => page.ok("metrics", textfile.as_str()),
            Some((why, to_do)) => page.warn("metrics", format!("{textfile}: {why}"), to_do),
        }
    }
    if offline {
        return;
    }
    let gateway = host_name(host, &config.daemon.host_name);
    for notify in &config.channels() {
        let name = &notify.name;
        match wire::check_channel(notify, &gateway) {
            Ok(what) => page.ok("channel", format!("{name}: {what}")),
            Err(why) => page.warn("channel", format!("{name}: {why}"), why.hint().into_owned()),
        }
    }
    for (what, good, to_do) in wire::reach_fleet(config) {
        if good {
            page.ok("fleet", what);
        } else {
            page.warn("fleet", what, to_do);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::host::clock::Clock;

    #[test]
    fn an_old_program_that_still_runs_is_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        for (exe, want) in [
            ("/usr/local/bin/autonomous-orchestrator", CheckEnd::Ok),
            (
                "/usr/local/bin/autonomous-orchestrator (deleted)",
                CheckEnd::Warn,
            ),
        ] {
            let process = dir.path().join("proc/7");
            std::fs::create_dir_all(&process).unwrap();
            std::fs::create_dir_all(dir.path().join("run")).unwrap();
            let status = "{\"state\":\"running\",\"pid\":7}";
            std::fs::write(dir.path().join("run/status.json"), status).unwrap();
            let cmdline = "/usr/local/bin/autonomous-orchestrator\0run\0";
            std::fs::write(process.join("cmdline"), cmdline).unwrap();
            let own = std::fs::read_to_string("/proc/self/stat").unwrap();
            std::fs::write(process.join("stat"), own).unwrap();
            let _ = std::fs::remove_file(process.join("exe"));
            std::os::unix::fs::symlink(exe, process.join("exe")).unwrap();
            let host = Host::at(dir.path(), Clock::manual(Timestamp::from_millis(0)));
            let mut config = Config::default();
            config.daemon.runtime_dir = "/run".to_owned();
            let mut page = Page::default();
            check_daemon(&mut page, &host, &config);
            let ends: Vec<_> = page.0.iter().map(|one| one.0).collect();
            assert_eq!(ends, [want], "{exe}");
        }
    }
}
