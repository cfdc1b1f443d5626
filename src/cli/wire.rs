//! The narrow bridge to the parts that do the work: nothing else of the command line knows the daemon.

use std::io::ErrorKind::PermissionDenied;
use std::io::stdout;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::bundle::Bundle;
use crate::cli::error::{CliError, ErrorKind, Exit};
use crate::cli::fault::Fault;
use crate::cli::globals::Globals;
use crate::cli::table::{Cell, Table, Tone};
use crate::cli::typed::Typed;
use crate::cli::{shape, stored, tasks};
use crate::core::config::{ChannelKind, Config, Notify};
use crate::core::diagnosis::cause_rules::{self, CauseRules};
use crate::core::human::notice::Notice;
use crate::core::model::finding::Severity;
use crate::core::model::hint::Hint;
use crate::core::model::id::TaskId;
use crate::core::model::object::object;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitName;
use crate::core::reading::log_rules::RuleSet;
use crate::core::remedy::runbook::{self, Runbook};
use crate::daemon::explain::ExplainError;
use crate::daemon::once::{AskedProbe, Looked};
use crate::daemon::{
    self, Options, Runtime, StartError, Timing, demo as play, explain as reasoning, logging, once,
    supervisor,
};
use crate::escalation::channel::{Channel, ChannelError, Teller};
use crate::escalation::fleet_check;
use crate::escalation::github;
use crate::escalation::issues::IssuePlace;
use crate::escalation::issues::check::{self, Check};
use crate::escalation::textfile;
use crate::escalation::token::{self, TokenError};
use crate::host::Host;
use crate::host::lock::{self, LockError};
use crate::host::trusted::{self, Owners};
use crate::services::survey::{self, Surveyed};
use crate::services::{self, ServiceError, ServiceManager};

impl From<StartError> for CliError {
    fn from(why: StartError) -> Self {
        let kind = match why {
            StartError::Config(_) => ErrorKind::Config,
            StartError::Store(_) | StartError::State(..) | StartError::Untrusted(_) => {
                ErrorKind::Store
            }
            StartError::Running(_) => ErrorKind::Instance,
        };
        Self::hinted(kind, why)
    }
}

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let config = globals.proven_config()?;
    logging::start(&config.daemon.log_level);
    // Before the first thread: every thread inherits the mask, and only the supervisor reads them.
    if !typed.has("once") {
        supervisor::block_signals().map_err(|why| CliError::failed("signals").because(why))?;
    }
    let host = globals.host();
    let state = host.path(&config.daemon.state_dir);
    std::fs::create_dir_all(&state).map_err(|why| StartError::State(state.clone(), why))?;
    // Names in it are fixed, so that what a killed run left is replaced: nobody else may write there.
    trusted::state(&host, &state).map_err(StartError::Untrusted)?;
    let _lock = lock::acquire(&state.join("lock")).map_err(|why| match why {
        LockError::Held { .. } => StartError::Running(why),
        LockError::Io(path, why) => StartError::State(path, why),
    })?;
    let options = Options {
        config_file: globals.config_path().to_owned(),
        config_named: globals.config.is_some(),
        state_dir: globals
            .state_dir
            .as_ref()
            .map(|dir| dir.display().to_string()),
        dry_run: globals.dry_run,
        timing: Timing::default(),
    };
    let runtime = Runtime::start(host, config, &options)?;
    if typed.has("once") {
        let pass = once::run_once(&runtime)?;
        globals.print(&format!(
            "{} conditions seen, {} new tasks, {} ended\n",
            pass.findings, pass.new_tasks, pass.cleared
        ))?;
    } else {
        daemon::run(&runtime)?;
    }
    Ok(Exit::Done)
}

pub(super) fn scan(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let config = globals.proven_config()?;
    let scan = once::scan(&globals.host(), config)
        .map_err(|why| CliError::hinted(ErrorKind::Config, why))?;
    let json = object!({
        "findings": scan.findings.iter().map(shape::finding).collect::<Vec<_>>(),
        "detectors": scan.lines.iter().map(|line| {
            let (findings, note) = match &line.outcome {
                Looked::Found(count) => (Some(*count), None),
                Looked::Absent(_) | Looked::Broken(_) => (None, Some(line.outcome.to_string())),
            };
            object!({
                "name": line.detector,
                "findings": findings,
                "note": note,
                "milliseconds": line.millis,
            })
        }).collect::<Vec<_>>(),
    });
    let mut table = Table::new(&["SEVERITY", "CLASS", "SUBJECT", "MESSAGE"]);
    for finding in &scan.findings {
        table.row([
            Cell::new(finding.severity.as_str(), tone(finding.severity)),
            Cell::from(finding.class.as_str()),
            Cell::from(finding.subject.as_str()),
            Cell::from(finding.message.as_str()),
        ]);
    }
    globals.listing(&json, &table, "No faults found.")?;
    if typed.has("verbose") && !globals.json {
        let mut table = Table::new(&["DETECTOR", "OUTCOME", "MS"]);
        for line in &scan.lines {
            let outcome = line.outcome.to_string();
            table.row([line.detector.to_owned(), outcome, line.millis.to_string()].map(Cell::from));
        }
        globals.print(&format!(
            "\n{}",
            table.draw(globals.width(), globals.colour())
        ))?;
    }
    Ok(if scan.findings.is_empty() {
        Exit::Done
    } else {
        Exit::Findings
    })
}

const fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Critical | Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Warn,
        Severity::Info => Tone::Plain,
    }
}

/// Explains a task; with runbooks that are only tried, in front of those in force.
pub(super) fn explain_with(
    globals: &Globals,
    id: TaskId,
    tried: &[Runbook],
) -> Result<Exit, CliError> {
    let config = globals.readable_config()?;
    tasks::find(&stored::reader(globals, &config)?, id)?;
    let explained = reasoning::explain(&globals.host(), config, id, tried)?;
    if globals.json {
        globals.print_json(&explained.json())?;
    } else {
        globals.page(&explained.text())?;
    }
    Ok(Exit::Done)
}

impl From<ExplainError> for CliError {
    fn from(why: ExplainError) -> Self {
        let kind = match why {
            ExplainError::Store(_) => ErrorKind::Store,
            ExplainError::Load(_) => ErrorKind::Config,
            ExplainError::Service(_) => ErrorKind::Failed,
        };
        Self::hinted(kind, why)
    }
}

pub(super) fn demo(typed: &Typed, _globals: &Globals) -> Result<Exit, CliError> {
    if let Some(port) = typed.parsed::<u16>("serve")? {
        // The demo's own small service; hidden from help.
        let file = typed.path(0).unwrap_or_else(|| PathBuf::from("/dev/null"));
        if port == 0 {
            play::hold();
            return Ok(Exit::Done);
        }
        return play::serve(port, Path::new(&file))
            .map(|()| Exit::Done)
            .map_err(|why| CliError::of(ErrorKind::Failed, why));
    }
    typed.at_most(0)?;
    match play::run(&mut stdout()) {
        Ok(true) => Ok(Exit::Done),
        Ok(false) => Ok(Exit::Failed),
        Err(why) => {
            let hint = why.hint();
            Err(CliError::failed("demo").because(why).hint(hint))
        }
    }
}

/// The built-in rules behind the operator's own, as a daemon with this configuration has them.
pub(super) fn operators_rules(globals: &Globals) -> Result<RuleSet, CliError> {
    let config = globals.readable_config()?;
    let texts = daemon::loaded_config::texts(&globals.host(), &config.daemon.rules_dir)
        .map_err(|why| CliError::hinted(ErrorKind::Config, why))?;
    RuleSet::load(&texts).map_err(|why| CliError::hinted(ErrorKind::Config, why))
}

/// The built-in cause rules behind the operator's own, as a daemon with this configuration has them.
pub(super) fn operators_causes(globals: &Globals) -> Result<CauseRules, CliError> {
    let config = globals.readable_config()?;
    let texts = daemon::loaded_config::texts(&globals.host(), &config.daemon.causes_dir)
        .map_err(|why| CliError::hinted(ErrorKind::Config, why))?;
    CauseRules::load(&texts).map_err(|why| CliError::hinted(ErrorKind::Config, why))
}

/// What the daemon does not load because others could have written it: what keeps it from starting and from
/// reloading, and what it only goes without. A configuration that was named here is tried and not in force.
pub(super) fn distrusted(globals: &Globals, config: &Config) -> (Vec<Fault>, Vec<Fault>) {
    let only_tried = globals.config.as_deref();
    let bundle = Path::new(&config.daemon.bundle);
    let mut fatal = Vec::new();
    let mut without = Vec::new();
    for (file, why) in
        daemon::loaded_config::distrusted(&globals.host(), globals.config_path(), config)
    {
        let kind = if file == bundle || Some(file.as_path()) == only_tried {
            &mut without
        } else {
            &mut fatal
        };
        let part = if why.part == why.path {
            "it"
        } else {
            &why.part
        };
        kind.push(Fault {
            file: file.display().to_string(),
            line: 0,
            key: String::new(),
            what: format!("not loaded by the daemon: {part} {}", why.why),
            hint: why.hint().into_owned(),
        });
    }
    (fatal, without)
}

/// Commands that will be refused because others could have written what they run.
pub(super) fn untrusted_commands(host: &Host, config: &Config) -> Vec<String> {
    let commands = config.command.iter();
    let commands = commands.map(|one| ("command", &one.name, &one.argv, &one.user));
    let probes = config.probe.iter();
    let probes = probes.map(|one| ("probe", &one.name, &one.command, &one.user));
    let refused = |(kind, name, words, user): (&str, &String, &Vec<String>, &String)| {
        let own = nix::unistd::User::from_name(user).ok().flatten();
        let owners = Owners::of(host);
        let owners = match own {
            Some(user) => owners.or(user.uid.as_raw()),
            None => owners,
        };
        let words = (!words.is_empty()).then_some(words)?;
        let why = trusted::argv(host, words, &owners).err()?;
        (!why.is_absent()).then(|| format!("{kind} '{name}' is refused: {}", why.with_hint()))
    };
    commands.chain(probes).filter_map(refused).collect()
}

/// A configuration that others can read though an address in it opens a webhook or a ping to whoever knows it.
pub(super) fn open_address(globals: &Globals, config: &Config) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let path = globals.config_path();
    let mode = std::fs::metadata(path).ok()?.mode() & 0o777;
    let hooks = [ChannelKind::Webhook, ChannelKind::Slack, ChannelKind::Teams];
    let mut channels = config.notify.iter();
    let secret = !config.webhook.url.is_empty()
        || !config.ping.url.is_empty()
        || channels.any(|one| hooks.contains(&one.kind) && !one.url.is_empty());
    (secret && mode & 0o077 != 0).then(|| {
        let path = path.display();
        format!(
            "{path} can be read by others (mode {mode:o}), and the address of a webhook or a ping in it is a secret: \
             chmod 600 {path}"
        )
    })
}

/// Mistakes in the operator's rule files; their samples are tried too.
pub(super) fn check_rules(host: &Host, directory: &str) -> Vec<Fault> {
    mistakes(host, directory, |text| {
        let wrong = match RuleSet::load(std::slice::from_ref(text)) {
            Ok(rules) => rules.check_samples(),
            Err(why) => vec![why],
        };
        let faults = wrong.into_iter().map(|why| Fault {
            hint: why.hint().into_owned(),
            key: String::new(),
            what: why.what.to_string(),
            line: why.line,
            file: why.file,
        });
        faults.collect()
    })
}

/// Mistakes in the operator's cause rules; their samples are tried among all rules.
pub(super) fn check_causes(host: &Host, directory: &str) -> Vec<Fault> {
    mistakes(host, directory, |text| {
        let wrong = cause_rules::check(std::slice::from_ref(text));
        let faults = wrong.into_iter().map(|why| Fault {
            hint: why.hint().into_owned(),
            what: why.what.to_string(),
            key: why.what.key,
            line: why.line,
            file: why.file,
        });
        faults.collect()
    })
}

/// Mistakes in the operator's runbooks.
pub(super) fn check_runbooks(host: &Host, directory: &str) -> Vec<Fault> {
    mistakes(host, directory, |(file, text)| {
        let wrong = runbook::parse(file, text).err().into_iter();
        let faults = wrong.map(|why| Fault {
            hint: why.hint().into_owned(),
            what: why.what.to_string(),
            key: why.what.key,
            line: why.line,
            file: why.file,
        });
        faults.collect()
    })
}

/// What `check` says about the files of a directory, one at a time: a mistake in one must not hide those
/// of the next.
fn mistakes(
    host: &Host,
    directory: &str,
    check: impl Fn(&(String, String)) -> Vec<Fault>,
) -> Vec<Fault> {
    match daemon::loaded_config::texts(host, directory) {
        Ok(texts) => texts.iter().flat_map(check).collect(),
        Err(why) => vec![Fault {
            file: directory.to_owned(),
            line: 0,
            key: String::new(),
            what: why.to_string(),
            hint: why.hint().into_owned(),
        }],
    }
}

/// What runs here: services, and interfaces of real hardware that are up.
pub(super) fn survey(
    host: &Host,
    config: &Config,
) -> Result<(Vec<Surveyed>, Vec<String>), CliError> {
    let managers = services::present(host, config);
    let services =
        survey::survey(host, &managers).map_err(|why| CliError::of(ErrorKind::Failed, why))?;
    Ok((services, survey::interfaces(host)))
}

/// Asks the probe of this name, or all of them, once.
pub(super) fn ask_probes(host: &Host, config: &Config, name: Option<&str>) -> Vec<AskedProbe> {
    once::ask_probes(host, config, name)
}

/// Why the bundle is not used, if it is not, and what to do.
pub(super) fn bundle_problem(file: &Path) -> Option<(String, String)> {
    let why = Bundle::open(file).err()?;
    Some((why.to_string(), why.hint().into_owned()))
}

/// Steps of the operator's runbooks that run a command which the configuration does not declare.
pub(super) fn undeclared(host: &Host, config: &Config) -> Vec<Fault> {
    let texts = daemon::loaded_config::texts(host, &config.daemon.runbooks_dir).unwrap_or_default();
    let is_declared = |name: &str| config.command.iter().any(|one| one.name == name);
    let mut faults = Vec::new();
    for (file, text) in &texts {
        // What cannot be read is told already.
        for book in runbook::parse(file, text).unwrap_or_default() {
            let commands = book.steps.iter().filter_map(|step| step.command.as_deref());
            faults.extend(
                commands
                    .filter(|name| !is_declared(name))
                    .map(|name| Fault {
                        file: file.clone(),
                        line: 0,
                        key: String::new(),
                        what: format!("runbook '{}': no [[command]] is named '{name}'", book.id),
                        hint: "declare it in the configuration, or correct the name".to_owned(),
                    }),
            );
        }
    }
    faults
}

/// Is a unit of this name, whose `.service` may be left out, known to a service manager of this host? `None` where
/// there is none.
pub(super) fn is_known_unit(host: &Host, config: &Config, unit: &str) -> Option<bool> {
    let managers = services::present(host, config);
    let found = services::find_typed(&managers, unit);
    let unknown = matches!(found, Err(ServiceError::UnknownUnit(_)));
    (!managers.is_empty()).then_some(!unknown)
}

/// Units that the configuration names and no service manager of this host knows: the key, the unit, and what may be meant.
pub(super) fn unknown_units(host: &Host, config: &Config) -> Vec<(String, String, String)> {
    let managers = services::present(host, config);
    let probes = config.probe.iter().enumerate();
    let probed = probes.map(|(at, probe)| (format!("probe[{at}].unit"), probe.unit.clone()));
    // Classes stand there too, and what has no dot may be the subject of anything.
    let windows = config.maintenance.iter().enumerate();
    let left_alone = windows.flat_map(|(at, window)| {
        let units = window.only.iter().filter(|name| name.contains('.'));
        units.map(move |unit| (format!("maintenance[{at}].only"), unit.clone()))
    });
    let globs = ['*', '?'];
    let bounded = config.mode.unit.keys();
    let bounded = bounded.filter(|unit| !unit.contains(globs));
    let bounded = bounded.map(|unit| (format!("mode.unit.{unit}"), unit.clone()));
    probed
        .chain(left_alone)
        .chain(bounded)
        .filter(|(_, unit)| !managers.is_empty() && !unit.is_empty() && is_unknown(&managers, unit))
        .map(|(key, unit)| {
            let service = format!("{unit}.service");
            let meant = (!is_unknown(&managers, &service)).then_some(service);
            (key, unit, meant.unwrap_or_default())
        })
        .collect()
}

fn is_unknown(managers: &[Arc<dyn ServiceManager>], unit: &str) -> bool {
    match UnitName::new(unit) {
        Ok(name) => match services::find(managers, &name) {
            Ok((_, state)) => state.load_state == "not-found",
            Err(why) => matches!(why, ServiceError::UnknownUnit(_)),
        },
        Err(_) => true,
    }
}

/// What the way to the tracker says: text, good or not, and what to do.
pub(super) fn reach_tracker(config: &Config, now: Timestamp) -> Vec<(String, bool, String)> {
    told(match (&config.escalation.github, config.tracker()) {
        (Some(github), _) => github::check::check(github, credentials(), now),
        (None, Some(notify)) => IssuePlace::of(notify, credentials(), Duration::ZERO)
            .map(|place| {
                let timeout = Duration::from_secs(notify.timeout_s);
                check::check(&place, timeout, &notify.ca_file, now)
            })
            .unwrap_or_default(),
        (None, None) => Vec::new(),
    })
}

/// The same for the fleet's destinations.
pub(super) fn reach_fleet(config: &Config) -> Vec<(String, bool, String)> {
    told(fleet_check::fleet(config))
}

/// Who speaks on a channel beside the daemon.
fn teller(gateway: &str) -> Teller {
    Teller {
        gateway: gateway.to_owned(),
        gateway_id: gateway.to_owned(),
        credentials: credentials(),
        answer_key: None,
    }
}

/// What came of a marked test to this channel.
pub(super) fn test_channel(
    notify: &Notify,
    gateway: &str,
    now: Timestamp,
) -> Result<String, ChannelError> {
    let notice = Notice::test(&notify.name, gateway, now);
    Channel::open(notify, &teller(gateway))?.test(&notice, now)
}

/// Whether this channel can be reached and lets us in; nobody is told.
pub(super) fn check_channel(notify: &Notify, gateway: &str) -> Result<String, ChannelError> {
    Channel::open(notify, &teller(gateway))?.check()
}

/// Where the unit's credentials are (systemd.exec(5), `LoadCredential=`).
const CREDENTIALS: &str = "/run/credentials/autonomous-orchestrator.service";

/// The destinations whose token cannot be used, and why; what this user may not look at is left out.
pub(super) fn tokens_unusable(host: &Host, config: &Config) -> Vec<(String, String)> {
    let github = config.escalation.github.as_ref();
    let github = github.map(|github| {
        (
            "github",
            github.token_file.as_str(),
            "github-token".to_owned(),
        )
    });
    let channels = config.channels();
    let named = channels
        .iter()
        .map(|one| (one.name.as_str(), one.token_file.as_str(), one.credential()));
    let handed_over = credentials().unwrap_or_else(|| host.path(CREDENTIALS));
    let all = github
        .into_iter()
        .chain(named)
        .filter(|(_, file, _)| !file.is_empty());
    all.filter_map(|(name, file, credential)| {
        match token::read_named(&host.path(file), Some(&handed_over), &credential) {
            Ok(_) => None,
            Err(TokenError::Unreadable { why, .. }) if why.kind() == PermissionDenied => None,
            Err(why) => Some((name.to_owned(), why.to_string())),
        }
    })
    .collect()
}

/// Why metrics do not reach the collector of this directory, if they do not, and what to do.
pub(super) fn textfile_problem(host: &Host, directory: &str) -> Option<(String, String)> {
    let why = textfile::check(host, directory).err()?;
    Some((why.to_string(), why.hint().into_owned()))
}

fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

fn told(checks: Vec<Check>) -> Vec<(String, bool, String)> {
    checks
        .into_iter()
        .map(|check| (check.what, check.ok, check.advice))
        .collect()
}
