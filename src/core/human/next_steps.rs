//! What a human can do next: commands to copy, of the named cause or else of the class, filled with the facts.
//!
//! Facts tell of what others wrote (names, paths, log lines), and a human pastes the line into a shell: a value that is
//! not what its name says takes its command with it, every other one is a single word.

use crate::core::human::guidance::Guidance;
use crate::core::model::cause::Cause;
use crate::core::model::class::KERNEL;
use crate::core::model::facts::Key;
use crate::core::model::finding::Finding;
use crate::core::model::inert::is_active;
use crate::core::model::unit::UnitName;

/// Longest value in a command, in bytes.
const VALUE_CAP: usize = 1_024;

/// Each one line, the most telling first: the runbook's notes as comments, what it suggests, then what goes with the
/// cause, or else the class.
pub fn next_steps(
    cause: Cause,
    finding: &Finding,
    notes: &str,
    suggested: &[String],
) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    let mut add = |template: &str| {
        let filled = fill(template, finding);
        if let Some(step) = filled.filter(|step| !steps.contains(step)) {
            steps.push(step);
        }
    };
    for template in suggested {
        add(template);
    }
    for template in Guidance::of(cause).steps {
        add(template);
    }
    if !steps.iter().any(|step| !step.starts_with('#')) {
        let of_class = finding.class.row().steps.iter();
        steps = of_class
            .filter_map(|template| fill(template, finding))
            .collect();
    }
    let notes = notes.lines().filter(|line| !line.trim().is_empty());
    let notes = notes.map(|line| format!("# {}", line.trim()));
    let never_green = finding.evidence.was_never_green();
    let probe = quoted(&finding.subject);
    let asks = never_green.then(|| format!("autonomous-orchestrator probe test {probe}"));
    notes.chain(asks).chain(steps).collect()
}

fn fill(template: &str, finding: &Finding) -> Option<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}')?;
        let key = name.parse().ok()?;
        filled.push_str(before);
        filled.push_str(&word(key, finding)?);
        rest = tail;
    }
    filled.push_str(rest);
    Some(filled)
}

/// The fact, or the subject where that is what the class is about.
fn known(key: Key, finding: &Finding) -> Option<&str> {
    let subject = finding.subject.as_str();
    let is_subject = finding.class.row().subject == Some(key) && subject != KERNEL
        || key == Key::Unit && subject.ends_with(".service") && subject == finding.unit();
    finding.fact(key).or(is_subject.then_some(subject))
}

/// What fills `key` in, as one word of a POSIX shell; none where it is not what the key says.
fn word(key: Key, finding: &Finding) -> Option<String> {
    if key == Key::Port {
        return finding.evidence.port().map(|port| port.number.to_string());
    }
    let value = known(key, finding)?;
    match key {
        Key::Unit | Key::HolderUnit => {
            let name = UnitName::new(value).ok();
            name.map(|name| quoted(name.as_str()))
        }
        Key::HolderPid => value.parse::<u32>().ok().map(|pid| pid.to_string()),
        Key::Path | Key::MovedTo | Key::Namesake | Key::Mount => {
            (value.starts_with('/') && is_shown_as_it_is(value)).then(|| quoted(value))
        }
        // Commands name it below /dev.
        Key::Device => {
            let name = value.strip_prefix("/dev/").unwrap_or(value);
            let is_name = !name.starts_with(['-', '.', '/']) && !name.contains("..");
            (is_name && is_shown_as_it_is(name)).then(|| quoted(name))
        }
        // Its name says more than its id.
        Key::Container => {
            let name = finding.subject.as_str();
            let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            let fits = !name.starts_with('-') && name.chars().all(is_name);
            fits.then(|| quoted(name))
        }
        // Filled in above, or nothing that a command takes.
        Key::Port
        | Key::Result
        | Key::ExitCode
        | Key::ExitStatus
        | Key::Restarts
        | Key::Crashes
        | Key::CrashingFor
        | Key::Requires
        | Key::StartLimit
        | Key::Setting
        | Key::NotExecutable
        | Key::MovedHow
        | Key::HolderStart
        | Key::HolderCommand
        | Key::HolderExe
        | Key::HolderUser
        | Key::Leftover
        | Key::LeftAlone
        | Key::Zombies
        | Key::UsedPercent
        | Key::AvailableBytes
        | Key::FullIn
        | Key::DeletedOpen
        | Key::Probe
        | Key::StartingUntil
        | Key::WasGreen
        | Key::FailedWith
        | Key::Needs
        | Key::Sandbox
        | Key::ShortRun
        | Key::Log
        | Key::Detectors
        | Key::OnlyWords
        | Key::Project
        | Key::Proven
        | Key::Answered
        | Key::Stage
        | Key::StageCause
        | Key::StageSays
        | Key::Networks
        | Key::Run => None,
    }
}

/// Nothing in it acts on a terminal, or looks like something else.
fn is_shown_as_it_is(text: &str) -> bool {
    let is_plain = |c: char| !is_active(c) && (c == ' ' || !c.is_whitespace());
    !text.is_empty() && text.len() <= VALUE_CAP && text.chars().all(is_plain)
}

fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@._:/+-".contains(&byte);
    match text.bytes().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;
    use crate::core::model::class::Class;
    use crate::core::model::facts::Fact;
    use crate::core::model::finding::Severity;
    use crate::core::model::port::Port;
    use crate::core::model::time::Timestamp;
    use crate::core::remedy::runbook::{Runbook, builtin};
    use std::sync::OnceLock;

    fn finding(class: Class, subject: &str) -> Finding {
        let at = Timestamp::from_millis(0);
        Finding::new(class, subject, Severity::Error, "x", "t", at)
    }

    /// Every template with the facts that it asks for; one that no value fits would never be shown.
    fn templates() -> impl Iterator<Item = (String, &'static str)> {
        static BOOKS: OnceLock<Vec<Runbook>> = OnceLock::new();
        let books = BOOKS.get_or_init(builtin).iter();
        let suggested = books.flat_map(|book| {
            let all = book.suggestions.iter();
            all.map(|text| (book.id.clone(), text.as_str()))
        });
        let causes = Cause::ALL
            .iter()
            .map(|one| (one.to_string(), Guidance::of(*one).steps));
        let classes = Class::ALL
            .iter()
            .map(|one| (one.to_string(), one.row().steps.to_vec()));
        let all = causes.chain(classes);
        all.flat_map(|(of, steps)| steps.into_iter().map(move |step| (of.clone(), step)))
            .chain(suggested)
    }

    #[test]
    fn every_template_asks_for_facts_that_can_be_filled_in() {
        let port = Port::tcp(8_080).to_string();
        for (of, template) in templates() {
            let mut full = finding(Class::LogError, "");
            for key in Key::ALL {
                full.evidence.set(key.as_str(), "/a/b");
            }
            for (key, value) in [
                (Key::Unit, "a.service"),
                (Key::HolderUnit, "a.service"),
                (Key::HolderPid, "70"),
                (Key::Port, &port),
                (Key::Device, "/dev/sda1"),
            ] {
                full.evidence.set(key.as_str(), value);
            }
            let filled = fill(template, &full);
            let is_full = filled.is_some_and(|line| !line.contains(['{', '\n']));
            assert!(is_full, "{of}: no fact fills in '{template}'");
        }
    }

    #[test]
    fn the_cause_comes_before_the_class_and_one_without_its_facts_is_left_out() {
        let failed = finding(Class::ServiceFailed, "app.service");
        assert_eq!(
            next_steps(Cause::StartLimit, &failed, "", &[]),
            [
                "journalctl -u app.service -n 100 --no-pager",
                "systemctl reset-failed app.service && systemctl start app.service   # once the cause is gone"
            ]
        );
        let steps = next_steps(Cause::PathMissing, &failed, "", &[]);
        assert!(
            steps.iter().all(|step| !step.starts_with("ls")),
            "{steps:?}"
        );
        let moved = failed.with(Fact::Path("/opt/a b"));
        let steps = next_steps(Cause::PathMissing, &moved, "", &[]);
        assert!(steps.contains(&"ls -ld '/opt/a b'".to_owned()), "{steps:?}");
        let held = finding(Class::PortConflict, "web.service").with(Fact::Port(Port::tcp(80)));
        let steps = next_steps(Cause::Unknown, &held, "", &[]);
        assert!(
            steps.iter().any(|step| step.contains("sport = :80'")),
            "{steps:?}"
        );
    }

    #[test]
    fn each_class_has_commands_though_nothing_is_known_of_it() {
        for class in Class::ALL {
            let steps = next_steps(Cause::Unknown, &finding(*class, ""), "", &[]);
            assert!(!steps.is_empty(), "src/core/model/class.rs: {class}: steps");
        }
    }

    #[test]
    fn a_hostile_value_is_one_word_or_takes_its_command_with_it() {
        let hostile = [
            "x; reboot",
            "-rf",
            "--help",
            "a.service'$(reboot)'",
            "*",
            "`id`.service",
            "$HOME",
            "/x; rm -rf '$HOME'",
            "/x\nreboot",
            "/x\u{1b}[2J",
            "/x\u{202e}y",
            "/x\u{2028}y",
            "../../sda",
            "tcp/80'; reboot",
            "70; reboot",
            "",
        ];
        for (value, (of, template)) in hostile
            .iter()
            .flat_map(|v| templates().map(move |t| (v, t)))
        {
            let mut finding = finding(Class::LogError, value);
            for key in Key::ALL {
                finding.evidence.set(key.as_str(), *value);
            }
            let Some(line) = fill(template, &finding).filter(|line| line != template) else {
                continue;
            };
            // What is left outside of quotes and values is the template alone.
            let quoted = format!("'{}'", value.replace('\'', r"'\''"));
            let shape = template
                .split('{')
                .map(|part| part.split_once('}').map_or(part, |(_, rest)| rest));
            let want: String = shape.collect();
            assert_eq!(line.replace(&quoted, ""), want, "{of}: {value:?}");
            assert!(line.lines().count() == 1 && !line.chars().any(char::is_control));
        }
    }
}
