//! The commands of a host in a test: each is answered by a script, with effects on the fixture tree.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Command, ExecError, Executor, Following, Launch, Output};
use crate::core::model::action::ProcessIdentity;
use crate::host::Host;
use crate::host::signals::{Ended, SignalError};

/// How a command ends.
#[derive(Debug)]
pub struct Answer(Result<Output, ExecError>);

/// What a command does: reads its words, changes what stands for the host, answers.
type Script = Box<dyn FnMut(&[&str]) -> Answer + Send>;

/// Answers commands by their first words. One that no script knows fails the test.
#[derive(Default)]
pub struct Scripted {
    scripts: Mutex<Vec<(String, Script)>>,
    asked: Mutex<Vec<String>>,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A command that ends well and says `text`.
pub fn says(text: impl Into<Vec<u8>>) -> Answer {
    Answer(Ok(Output {
        status: 0,
        stdout: text.into(),
        stderr: Vec::new(),
    }))
}

/// A command that ends with `status` and says why.
pub fn fails(status: i32, why: &str) -> Answer {
    Answer(Ok(Output {
        status,
        stdout: Vec::new(),
        stderr: why.into(),
    }))
}

/// A command that is killed at its deadline.
pub fn hangs(program: &str) -> Answer {
    let program = program.to_owned();
    Answer(Err(ExecError::Deadline(program, Duration::from_secs(15))))
}

/// A command that is not installed.
pub fn absent(program: &str) -> Answer {
    Answer(Err(ExecError::Absent(program.to_owned())))
}

impl Scripted {
    /// Commands that begin with `words` are answered by `script`; of several the last one told counts.
    pub fn on(&self, words: &str, script: impl FnMut(&[&str]) -> Answer + Send + 'static) {
        locked(&self.scripts).insert(0, (words.to_owned(), Box::new(script)));
    }

    /// Every command so far, as one line each.
    pub fn asked(&self) -> Vec<String> {
        locked(&self.asked).clone()
    }

    fn answer(&self, command: &Command<'_>) -> Result<Output, ExecError> {
        let words = [&[command.program], command.args].concat();
        let line = words.join(" ");
        locked(&self.asked).push(line.clone());
        let mut scripts = locked(&self.scripts);
        let known = |start: &str| {
            line.strip_prefix(start)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        match scripts.iter_mut().find(|(start, _)| known(start)) {
            Some((_, script)) => script(&words).0,
            None => panic!("no script answers: {line}"),
        }
    }
}

impl Executor for Scripted {
    fn run(&self, command: &Command<'_>) -> Result<Output, ExecError> {
        self.answer(command)
    }

    /// Asked as `resolve NAME`, where a script knows that.
    fn resolves(&self, name: &str, _end: Instant) -> Option<bool> {
        let known = locked(&self.scripts)
            .iter()
            .any(|(start, _)| start == "resolve");
        known.then(|| {
            let asked = self.answer(&Command::new("resolve", &[name], Duration::ZERO));
            asked.is_ok_and(|output| output.success())
        })
    }

    fn start(&self, command: &Command<'_>) -> Result<i32, ExecError> {
        self.answer(command).map(|output| output.status)
    }

    fn launch(
        &self,
        command: &Command<'_>,
        is_up: &mut dyn FnMut() -> bool,
    ) -> Result<Launch, ExecError> {
        let output = self.answer(command)?;
        Ok(match is_up() {
            true => Launch::Up,
            false if output.success() => Launch::NotUp,
            false => Launch::EndedAtOnce,
        })
    }

    /// The whole output at once, then its end.
    fn follow(&self, command: &Command<'_>) -> Result<Following, ExecError> {
        let output = self.answer(command)?;
        let io = |why| ExecError::Io(command.program.to_owned(), why);
        let (reader, mut writer) = std::io::pipe().map_err(io)?;
        writer.write_all(&output.stdout).map_err(io)?;
        Following::new(reader.into()).map_err(io)
    }

    /// Asked as `end PID`.
    fn end_process(
        &self,
        _host: &Host,
        identity: &ProcessIdentity,
        grace: Duration,
    ) -> Result<Ended, SignalError> {
        let pid = identity.pid.to_string();
        match self.answer(&Command::new("end", &[&pid], grace)) {
            Ok(output) if output.success() => Ok(Ended::AfterTerm),
            Ok(output) => Err(SignalError::Endless(output.reason())),
            Err(why) => Err(SignalError::Endless(why.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_script_told_counts() {
        let scripted = Scripted::default();
        scripted.on("a", |_| says("first"));
        scripted.on("a b", |words| says(words.join("+")));
        let run = |args: &[&str]| {
            scripted
                .run(&Command::new("a", args, Duration::ZERO))
                .unwrap()
                .text()
        };
        assert_eq!(run(&["b", "c"]), "a+b+c");
        assert_eq!(run(&["bc"]), "first");
        assert_eq!(scripted.asked(), ["a b c", "a bc"]);
    }

    #[test]
    #[should_panic(expected = "no script answers: rm -rf /")]
    fn an_unknown_command_is_refused_loudly() {
        let _ = Scripted::default().run(&Command::new("rm", &["-rf", "/"], Duration::ZERO));
    }
}
