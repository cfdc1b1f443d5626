//! `init`: a first configuration, proposed from what runs here and from a monitrc where there is one.

mod monit;

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use crate::cli::approve::confirmed;
use crate::cli::config::EXAMPLE;
use crate::cli::error::{CliError, ErrorKind, Exit};
use crate::cli::globals::Globals;
use crate::cli::typed::Typed;
use crate::cli::wire;
use crate::core::config::Config;
use crate::host::Host;
use crate::host::files::write_atomic;
use crate::services::survey::Surveyed;
use monit::Monitored;

/// Where Debian and the others keep it, and the folders that it includes.
const MONITRC: [&str; 2] = ["/etc/monit/monitrc", "/etc/monitrc"];
const MONIT_FOLDERS: [&str; 3] = [
    "/etc/monit/conf-enabled",
    "/etc/monit/conf.d",
    "/etc/monit.d",
];
/// Largest monitrc that is read, in bytes.
const FILE_CAP: u64 = 1 << 20;

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let host = globals.host();
    let config = Config::default();
    let (services, interfaces) = wire::survey(&host, &config)?;
    let text = proposed(&services, &interfaces, &monitored(&host));
    // What is proposed can be used as it is.
    Config::parse(&text)
        .map_err(|why| CliError::failed("what was proposed is no configuration").because(why))?;
    globals.print(&text)?;
    let asked = typed.has("yes") || io::stdin().is_terminal();
    if globals.dry_run || globals.json || !asked {
        return Ok(Exit::Done);
    }
    write(typed, globals, &text)?;
    Ok(Exit::Done)
}

/// Writes it where nothing of the operator's stands, with leave.
fn write(typed: &Typed, globals: &Globals, text: &str) -> Result<(), CliError> {
    let path = globals.config_path();
    let shown = path.display().to_string();
    let hint = format!("`init > proposed.toml`, and take over from it into {shown} what you want");
    if let Ok(there) = std::fs::read_to_string(path)
        && there != EXAMPLE.text()
        && there != text
    {
        let what = format!("{shown} holds a configuration already: it is left as it is");
        return Err(CliError::new(ErrorKind::Failed, what).hint(hint));
    }
    let instead = match path.exists() {
        true => ", in place of the example that `install` wrote",
        false => "",
    };
    tell(&format!("for {shown}{instead}"))?;
    confirmed(typed, globals, &hint)?;
    let failed = |why| {
        CliError::file(
            format!("{shown}: cannot be written"),
            why,
            "run it with sudo",
        )
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    write_atomic(path, text.as_bytes(), 0o600).map_err(failed)?;
    tell("written: `config check`, then start or reload the service")
}

/// On standard error: the proposal alone stands on standard output.
fn tell(text: &str) -> Result<(), CliError> {
    use std::io::Write;
    Ok(writeln!(io::stderr(), "{text}")?)
}

/// What Monit watches here.
fn monitored(host: &Host) -> Monitored {
    let mut all = Monitored::default();
    for file in MONITRC {
        if let Ok(text) = host.read(file, FILE_CAP) {
            all.read(file, &text);
        }
    }
    for folder in MONIT_FOLDERS {
        let entries = std::fs::read_dir(host.path(folder))
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        for name in names {
            let file = format!("{folder}/{name}");
            if let Ok(text) = host.read(&file, FILE_CAP) {
                all.read(&file, &text);
            }
        }
    }
    all
}

/// A string as TOML writes it: JSON's escapes are among its own (TOML v1.0.0, "String").
fn quoted(text: &str) -> String {
    serde_json::Value::from(text.replace('\u{7f}', "")).to_string()
}

/// The configuration as text: what is sure is switched on, the rest stands there to be switched on.
fn proposed(services: &[Surveyed], interfaces: &[String], monit: &Monitored) -> String {
    let mut out = "# Proposed from what runs here now. Every key that is not here keeps its default: `config default` shows them all.\n\n\
                   [mode]\n# A trial: nothing is done, and `status` tells what would have been. Take this line out when you trust it.\n\
                   limit = \"observe\"\n\n[detect]\n# Units kept running though nothing wants them, by name or glob.\n#wanted_units = []\n"
        .to_owned();
    let names: Vec<_> = interfaces.iter().map(|name| quoted(name)).collect();
    let _ = writeln!(
        out,
        "# Up now; a fault when one of them is down.\n{}interfaces = [{}]",
        if names.is_empty() { "#" } else { "" },
        names.join(", ")
    );
    bounds(&mut out, monit);
    out.push_str(
        "\n# Nobody is told without a destination: this, a [[notify]] or [alertmanager].\n#[escalation.github]\n\
         #repository = \"owner/name\"\n#token_file = \"/etc/autonomous-orchestrator/github.token\"\n",
    );
    let mut taken: Vec<&str> = Vec::new();
    let worth = |one: &&Surveyed| one.own || !one.ports.is_empty() || !one.devices.is_empty();
    for one in services.iter().filter(worth) {
        service(&mut out, one, monit, &mut taken);
    }
    for probe in monit
        .probes
        .iter()
        .filter(|one| !taken.contains(&one.name.as_str()))
    {
        let unit = services
            .iter()
            .find(|service| service.unit == format!("{}.service", probe.name));
        let _ = write!(out, "\n# As {} watches it.\n", probe.place);
        probe_section(
            &mut out,
            &probe.name,
            &probe.check,
            unit.map(|one| one.unit.as_str()),
        );
    }
    if !monit.left.is_empty() {
        out.push_str("\n# Of the monitrc, not carried over. Processes, disks and memory are watched without a word here, by the bounds of \
             [detect].\n");
        for line in &monit.left {
            let _ = writeln!(out, "#   {}", line.replace(|c: char| c.is_control(), " "));
        }
    }
    out
}

/// How full disks and memory may be, as Monit has it.
fn bounds(out: &mut String, monit: &Monitored) {
    if !monit.bounds.is_empty() {
        out.push_str("# As the monitrc has them, the lowest of each.\n");
    }
    for (key, percent) in &monit.bounds {
        let _ = match key.strip_suffix("_high_percent") {
            Some(what) => writeln!(
                out,
                "{key} = {percent}\n{what}_low_percent = {}",
                percent.saturating_sub(5)
            ),
            // Monit counts what is used, this what is left.
            None => writeln!(out, "{key} = {}", 100_u8.saturating_sub(*percent)),
        };
    }
}

fn service<'a>(
    out: &mut String,
    one: &'a Surveyed,
    monit: &'a Monitored,
    taken: &mut Vec<&'a str>,
) {
    let short = one.unit.strip_suffix(".service").unwrap_or(&one.unit);
    let ports: Vec<_> = one.ports.iter().map(ToString::to_string).collect();
    let mut has = Vec::new();
    if !ports.is_empty() {
        has.push(format!("listens on {}", ports.join(", ")));
    }
    if !one.devices.is_empty() {
        let devices: Vec<_> = one.devices.iter().map(String::as_str).collect();
        has.push(format!("holds {}", devices.join(", ")));
    }
    let what = match has.is_empty() {
        true => "runs; watched as every unit is, without a word here".to_owned(),
        false => has.join("; "),
    };
    let _ = write!(
        out,
        "\n# {}: {what}.\n",
        one.unit.replace(|c: char| c.is_control(), " ")
    );
    let known = monit.probes.iter().filter(|probe| probe.name == short);
    let mut probed = false;
    for probe in known {
        taken.push(&probe.name);
        probed = true;
        probe_section(out, short, &probe.check, Some(&one.unit));
    }
    if !probed && let Some(port) = one.ports.first() {
        // A port says that it takes connections; an address of its own says more.
        probe_section(
            out,
            short,
            &format!("tcp = \"127.0.0.1:{port}\""),
            Some(&one.unit),
        );
    }
    for log in &one.logs {
        let _ = write!(
            out,
            "\n[[log_file]]\npath = {}\nunit = {}\n",
            quoted(log),
            quoted(&one.unit)
        );
    }
}

fn probe_section(out: &mut String, name: &str, check: &str, unit: Option<&str>) {
    let _ = write!(out, "[[probe]]\nname = {}\n{check}\n", quoted(name));
    if let Some(unit) = unit {
        let _ = writeln!(out, "unit = {}", quoted(unit));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn service_of(
        unit: &str,
        own: bool,
        ports: &[u16],
        devices: &[&str],
        logs: &[&str],
    ) -> Surveyed {
        let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect();
        Surveyed {
            unit: unit.to_owned(),
            own,
            ports: ports.iter().copied().collect(),
            devices: texts(devices),
            logs: texts(logs),
        }
    }

    #[test]
    fn what_is_proposed_can_be_used() {
        let services = [
            service_of("cron.service", false, &[], &[], &[]),
            service_of(
                "mosquitto.service",
                false,
                &[1883, 8883],
                &[],
                &["/var/log/mosquitto/mosquitto.log"],
            ),
            service_of("plc.service", true, &[], &["/dev/ttyUSB0"], &[]),
            service_of("odd\"name@1.service", true, &[9000], &[], &[]),
        ];
        let mut monit = Monitored::default();
        monit.read("/etc/monit/monitrc", "check process mosquitto with pidfile /run/m.pid\n  if failed port 8883 then restart\n\
            check host plant with address 10.0.0.7\n  if failed port 80 protocol http request \"/up\" then alert\n\
            check system $HOST\n  if memory usage > 80% then alert\n  if loadavg (5min) > 4 then alert\n\
            check filesystem root with path /\n  if space usage > 80% then alert\n");
        let text = proposed(&services, &["eth0".to_owned()], &monit);
        let config = Config::parse(&text).unwrap();
        let probes: Vec<_> = config
            .probe
            .iter()
            .map(|one| {
                (
                    one.name.as_str(),
                    one.tcp.as_str(),
                    one.http.as_str(),
                    one.unit.as_str(),
                )
            })
            .collect();
        assert_eq!(
            probes,
            [
                ("mosquitto", "127.0.0.1:8883", "", "mosquitto.service"),
                ("odd\"name@1", "127.0.0.1:9000", "", "odd\"name@1.service"),
                ("plant", "", "http://10.0.0.7:80/up", ""),
            ]
        );
        assert_eq!(config.log_file.len(), 1);
        let detect = &config.detect;
        assert_eq!(
            [
                detect.memory_low_percent,
                detect.disk_high_percent,
                detect.disk_low_percent
            ],
            [20, 80, 75]
        );
        assert_eq!(config.detect.interfaces, ["eth0"]);
        assert!(text.contains("# plc.service: holds /dev/ttyUSB0.\n"));
        assert!(!text.contains("cron.service"));
        assert!(text.contains("#   check system $HOST\n"), "{text}");
    }

    #[test]
    fn an_empty_host_has_a_configuration_too() {
        let text = proposed(&[], &[], &Monitored::default());
        let config = Config::parse(&text).unwrap();
        assert!(config.probe.is_empty() && config.detect.interfaces.is_empty());
    }
}
