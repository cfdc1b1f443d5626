//! `silence` and `maintenance`: what is left alone for a while.

use std::time::Duration;

use serde_json::Value;

use crate::cli::error::{CliError, ErrorKind, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::Table;
use crate::cli::tasks::find;
use crate::cli::typed::Typed;
use crate::cli::{shape, stored, wire};
use crate::core::config::Config;
use crate::core::model::inert;
use crate::core::model::task::Status;
use crate::core::model::text::cut;
use crate::core::model::unit::UnitName;
use crate::core::remedy::silence::{SILENCES_MOST, Scope, Silence, Silences};
use crate::host::Host;
use crate::store::TaskFilter;

/// Longest reason kept, in bytes.
const REASON_CAP: usize = 200;

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    match typed.word(0) {
        None if typed.words().is_empty() => list(globals),
        Some("list") => {
            typed.at_most(1)?;
            list(globals)
        }
        Some("end") => {
            typed.at_most(2)?;
            end(typed, globals, &scope(typed.word(1))?)
        }
        word => begin(typed, globals, scope(word)?, 1),
    }
}

pub(super) fn maintenance(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    match typed.word(0) {
        Some("end") => {
            typed.at_most(1)?;
            end(typed, globals, &Scope::Host)
        }
        _ => begin(typed, globals, Scope::Host, 0),
    }
}

fn scope(word: Option<&str>) -> Result<Scope, CliError> {
    let named = word.filter(|word| !word.trim().is_empty());
    let word = named.ok_or_else(|| {
        CliError::usage("what is to be left alone?").hint("name a unit, a class or a task's number")
    })?;
    match Scope::of_word(word) {
        Scope::Host => Err(CliError::usage("'*' is everything: that is no silence")
            .hint("`maintenance 2h` stops all repairs")),
        scope @ (Scope::Class(_) | Scope::Task(_) | Scope::Subject(_)) => Ok(scope),
    }
}

/// A silence from the words behind its scope: a time, then why.
fn ordered(typed: &Typed, globals: &Globals, scope: Scope, at: usize) -> Result<Silence, CliError> {
    let word = typed
        .word(at)
        .ok_or_else(|| CliError::usage("no time given: how long?").hint("write 30m, 2h or 1d"))?;
    // `2026-01-01 08:00:00` without quotes is two words and clear enough.
    let hour = typed.word(at + 1).filter(|_| word.contains('-'));
    let (text, why) = match hour {
        Some(hour) => (format!("{word} {hour}"), at + 2),
        None => (word.to_owned(), at + 1),
    };
    let words: Vec<_> = typed.words().iter().skip(why).collect();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let reason = words.join(" ");
    Ok(Silence {
        scope,
        until: stored::until(&text, &globals.host().clock)?,
        by: stored::actor(typed)?,
        reason: inert::line(cut(&reason, REASON_CAP)).into_owned(),
    })
}

fn begin(typed: &Typed, globals: &Globals, scope: Scope, at: usize) -> Result<Exit, CliError> {
    let config = globals.readable_config()?;
    let one = ordered(typed, globals, scope, at)?;
    let open = covered(globals, &config, &one)?;
    if !globals.dry_run {
        let now = globals.now();
        let store = stored::store(globals, &config, now)?;
        if !store.silence(one.clone(), now)? {
            let what = format!("there are {SILENCES_MOST} silences already");
            return Err(CliError::failed(what).hint("end one: `silence list`"));
        }
    }
    if globals.json {
        globals.print_json(&shape::silence(&one))?;
    } else {
        let would = if globals.dry_run { "would be " } else { "" };
        let until = shape::moment(one.until);
        let text = match one.scope {
            Scope::Host => {
                format!(
                    "{would}maintenance until {until}: nothing is repaired; `maintenance end` ends it sooner"
                )
            }
            Scope::Class(_) | Scope::Task(_) | Scope::Subject(_) => {
                let tasks = shape::counted(open, "open task", "open tasks");
                let critical = match one.scope {
                    Scope::Class(_) => "; what is critical is repaired and told all the same",
                    Scope::Host | Scope::Task(_) | Scope::Subject(_) => "",
                };
                let unknown = match &one.scope {
                    Scope::Subject(name) if is_unknown(globals, &config, name)? => {
                        format!(
                            "; no unit has this name here yet: `silence end {name}` takes it back"
                        )
                    }
                    Scope::Host | Scope::Task(_) | Scope::Class(_) | Scope::Subject(_) => {
                        String::new()
                    }
                };
                format!(
                    "{}: {would}left alone until {until}, {tasks} now{critical}{unknown}",
                    one.scope
                )
            }
        };
        globals.print(&format!("{}\n", inert::line(&text)))?;
    }
    Ok(Exit::Done)
}

/// It may be a unit's name and none is called so; nor is a probe, a device or an interface.
fn is_strange(host: &Host, config: &Config, name: &str) -> bool {
    let there = |folder: &&str| host.path(folder).join(name).exists();
    let is_other = config.probe.iter().any(|probe| probe.name == name)
        || ["/sys/class/net", "/dev"].iter().any(there);
    !is_other
        && UnitName::new(name).is_ok()
        && wire::is_known_unit(host, config, name) == Some(false)
}

/// The same, and no task was ever about it.
fn is_unknown(globals: &Globals, config: &Config, name: &str) -> Result<bool, CliError> {
    if !is_strange(&globals.host(), config, name) {
        return Ok(false);
    }
    let tasks = stored::reader(globals, config)?.tasks(&TaskFilter {
        subject: Some(name.to_owned()),
        limit: 1,
        ..TaskFilter::default()
    })?;
    Ok(tasks.is_empty())
}

/// Open tasks that it covers now; one that is named must be there.
fn covered(globals: &Globals, config: &Config, one: &Silence) -> Result<u64, CliError> {
    let reader = stored::reader(globals, config)?;
    if let Scope::Task(id) = one.scope {
        let task = find(&reader, id)?;
        if task.status == Status::Closed {
            return Err(CliError::failed(format!("task {id} is closed already")));
        }
    }
    let open = reader.tasks(&TaskFilter {
        open_only: true,
        ..TaskFilter::default()
    })?;
    let covers = open
        .iter()
        .filter(|task| one.scope.covers(task, &task.finding()));
    Ok(covers.count() as u64)
}

fn end(typed: &Typed, globals: &Globals, scope: &Scope) -> Result<Exit, CliError> {
    let actor = stored::actor(typed)?;
    let config = globals.readable_config()?;
    let now = globals.now();
    // `web` and `web.service` are one unit, whichever of them was typed before.
    let other = match scope {
        Scope::Subject(name) => Some(Scope::Subject(match name.strip_suffix(".service") {
            Some(short) => short.to_owned(),
            None => format!("{name}.service"),
        })),
        Scope::Host | Scope::Class(_) | Scope::Task(_) => None,
    };
    let mut ended = false;
    for scope in [Some(scope), other.as_ref()].into_iter().flatten() {
        ended |= match globals.dry_run {
            true => in_force(globals, &config)?
                .at(now)
                .any(|one| one.scope == *scope),
            false => stored::store(globals, &config, now)?.end_silence(scope, &actor, now)?,
        };
    }
    if !ended {
        let what = format!("{scope} is not silenced");
        return Err(CliError::new(ErrorKind::Failed, what).hint("see `silence list`"));
    }
    let would = if globals.dry_run { "would be " } else { "" };
    let what = match scope {
        Scope::Subject(name) if is_unknown(globals, &config, name)? => {
            "no longer silenced; no unit has this name here"
        }
        Scope::Subject(_) | Scope::Host | Scope::Class(_) | Scope::Task(_) => {
            "watched and repaired again"
        }
    };
    globals.print(&format!("{scope}: {would}{what}\n"))?;
    Ok(Exit::Done)
}

fn in_force(globals: &Globals, config: &Config) -> Result<Silences, CliError> {
    Ok(stored::reader(globals, config)?.silences()?)
}

/// What is left, in minutes up to two days: one that was ordered for 8 h has not 7 h just now.
fn left(span: Duration) -> String {
    let minutes = span.as_secs().div_ceil(60);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} m"),
        (hours @ 48.., _) => format!("{} d", hours.div_ceil(24)),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} m"),
    }
}

fn list(globals: &Globals) -> Result<Exit, CliError> {
    let config = globals.readable_config()?;
    let (all, now) = (in_force(globals, &config)?, globals.now());
    let mut table = Table::new(&["WHAT", "ENDS IN", "BY", "REASON"]);
    for one in all.at(now) {
        table.row([
            one.scope.to_string().into(),
            left(one.until.since(now)).into(),
            one.by.as_str().into(),
            one.reason.as_str().into(),
        ]);
    }
    let json = Value::Array(all.at(now).map(shape::silence).collect());
    globals.listing(&json, &table, "Nothing is silenced.")?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::config::Probe;
    use crate::core::model::time::Timestamp;
    use crate::host::clock::Clock;
    use crate::host::exec::scripted::{Scripted, says};
    use std::sync::Arc;

    #[test]
    fn what_is_left_is_no_hour_short() {
        for (seconds, want) in [
            (30, "1 m"),
            (60, "1 m"),
            (28_799, "8 h"),
            (28_700, "7 h 59 m"),
            (90_000, "25 h"),
            (604_799, "7 d"),
        ] {
            assert_eq!(left(Duration::from_secs(seconds)), want, "{seconds}");
        }
    }

    #[test]
    fn a_name_that_nothing_here_has_is_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["run/systemd/system", "sys/class/net/eth0", "dev/sda1"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let script = Arc::new(Scripted::default());
        script.on("systemctl show", |words| match words.last() {
            Some(&"web.service") => says("Id=web.service\nLoadState=loaded\nActiveState=active\n"),
            _ => says("Id=x\nLoadState=not-found\nActiveState=inactive\n"),
        });
        let clock = Clock::manual(Timestamp::from_millis(0));
        let host = Host::at(dir.path(), clock).with_executor(script);
        let mut config = Config::default();
        config.probe.push(Probe {
            name: "shop".to_owned(),
            ..Probe::default()
        });
        for (name, want) in [
            ("web.service", false),
            ("web", false),
            ("webb", true),
            ("webb.service", true),
            ("shop", false),
            ("eth0", false),
            ("sda1", false),
            ("/data", false),
        ] {
            assert_eq!(is_strange(&host, &config, name), want, "{name}");
        }
    }
}
