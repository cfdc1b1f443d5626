//! Lines that go on with the error before them: the trace that a run time prints below it, whose last reason is often
//! the one that counts.

use crate::core::identity::Fingerprint;
use crate::core::model::facts::{Fact, Key};
use crate::core::model::finding::Finding;
use crate::core::model::text::cut;
use crate::core::reading::shape::{Spoken, is_frame};

/// Writers whose last error may go on. One that is pushed out has its trace told line by line.
const WRITERS_MOST: usize = 8;
/// Of what a trace says as much is kept, in bytes.
const KEPT_BYTES: usize = 2_000;

/// The last error of each writer, while its trace may still come.
#[derive(Clone, Debug, Default)]
pub struct Traces(Vec<Open>);

#[derive(Clone, Debug)]
struct Open {
    writer: String,
    finding: Fingerprint,
    /// The exception itself is still to be named.
    unnamed: bool,
}

/// A line belongs to an error that was found before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoesOn {
    pub finding: Fingerprint,
    /// It names a reason; a frame names none.
    pub reason: bool,
}

impl Traces {
    /// What the next line of `writer` goes on with, if it does.
    pub fn goes_on(&mut self, writer: &str, spoken: &Spoken<'_>) -> Option<GoesOn> {
        let at = self.0.iter().position(|one| one.writer == writer)?;
        let open = self.0.get_mut(at)?;
        let reason = if spoken.stated {
            None
        } else {
            open.take(&spoken.message, spoken.continues)
        };
        let finding = open.finding;
        if reason.is_none() {
            self.0.remove(at);
        }
        reason.map(|reason| GoesOn { finding, reason })
    }

    /// A line of `writer` made this finding.
    pub fn begins(&mut self, writer: &str, finding: Fingerprint, spoken: &Spoken<'_>) {
        self.0.retain(|one| one.writer != writer);
        if self.0.len() >= WRITERS_MOST {
            self.0.remove(0);
        }
        self.0.push(Open {
            writer: writer.to_owned(),
            finding,
            unnamed: !is_exception(&spoken.message),
        });
    }
}

impl Open {
    /// Does a line that states nothing of its own go on with it, and does it name a reason?
    fn take(&mut self, text: &str, indented: bool) -> Option<bool> {
        let line = text.trim();
        let links = [
            "During handling of the above exception",
            "The above exception was the direct cause",
        ];
        if links.iter().any(|link| line.starts_with(link)) {
            self.unnamed = true;
            return Some(false);
        }
        if ["Caused by: ", "Suppressed: "]
            .iter()
            .any(|start| line.starts_with(start))
        {
            return Some(true);
        }
        if line.is_empty() || is_frame(line) {
            return Some(false);
        }
        if self.unnamed && line.starts_with("Traceback (most recent call last)") {
            return Some(false);
        }
        if indented {
            return Some(false);
        }
        (std::mem::take(&mut self.unnamed) && is_exception(line)).then_some(true)
    }
}

/// `java.io.IOException: …`, `serial.serialutil.SerialException: …`, `OSError: …`: the name of a class that is thrown.
fn is_exception(text: &str) -> bool {
    let name = text.split(':').next().unwrap_or(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '$');
    let last = name.rsplit('.').next().unwrap_or(name);
    let thrown = ["Exception", "Error", "Failure", "Fault"];
    let is_class = thrown
        .iter()
        .any(|end| last.ends_with(end) && last.len() > end.len());
    is_class && name.chars().all(plain) && last.starts_with(|c: char| c.is_ascii_uppercase())
}

/// What a trace says is kept beside the line that began it, the newest first.
pub fn add_reason(finding: &mut Finding, reason: &str) {
    let known = finding.evidence.text(Key::Log).unwrap_or("");
    let all = format!("{}\n{known}", reason.trim());
    let kept = cut(all.trim_end(), KEPT_BYTES).to_owned();
    *finding = finding.clone().with(Fact::Log(&kept));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::reading::shape;

    /// `!` begins a finding, `|` goes on without a reason, `+` with one, `.` stands for itself.
    fn follow(lines: &[&str]) {
        let mut traces = Traces::default();
        let finding = crate::core::identity::fingerprint("log_error", "app", "x");
        for line in lines {
            let (want, text) = line.split_at(1);
            let spoken = shape::read(text);
            let goes_on = traces.goes_on("", &spoken);
            let is = match goes_on {
                Some(GoesOn { reason: true, .. }) => "+",
                Some(GoesOn { reason: false, .. }) => "|",
                None if want == "!" => {
                    traces.begins("", finding, &spoken);
                    "!"
                }
                None => ".",
            };
            assert_eq!(is, want, "{text}");
        }
    }

    #[test]
    fn a_trace_of_java_belongs_to_its_error() {
        follow(&[
            "!2018-12-29 10:59:01.868 [ERROR] [handler] - bridge is offline",
            "+java.io.IOException: java.net.ConnectException: refused",
            "|        at org.x.Y.send(Y.java:94)",
            "|        ... 12 more",
            "+Caused by: java.net.ConnectException: refused",
            "|        at org.x.Y.send(Y.java:94)",
            ".2018-12-29 10:59:02.868 [INFO ] [handler] - trying again",
            ".java.io.IOException: not of an error",
        ]);
    }

    #[test]
    fn a_chain_of_python_belongs_to_its_error() {
        follow(&[
            "!2023-06-22 15:08:32.562 ERROR (MainThread) [app] Couldn't start",
            "|Traceback (most recent call last):",
            "|  File \"/x.py\", line 322, in open",
            "|    self.fd = os.open()",
            "+FileNotFoundError: [Errno 2] No such file or directory: '/dev/x'",
            "|",
            "|During handling of the above exception, another exception occurred:",
            "|",
            "|Traceback (most recent call last):",
            "|  File \"/y.py\", line 3, in run",
            "+serial.serialutil.SerialException: [Errno 2] could not open port /dev/x",
            ".Traceback (most recent call last):",
        ]);
    }

    #[test]
    fn the_next_exception_is_an_event_of_its_own() {
        follow(&[
            "!java.lang.IllegalStateException: a",
            "|\tat org.x.Y.send(Y.java:94)",
            "+Caused by: java.io.IOException: b",
            "!java.lang.IllegalStateException: c",
            ".the disk is gone",
            ".Caused by: what was not found",
        ]);
    }

    #[test]
    fn only_names_of_what_is_thrown_are_exceptions() {
        for (text, is) in [
            ("OSError: [Errno 5] x", true),
            ("a.b.C$DException", true),
            ("Error: connect ECONNREFUSED", false),
            ("SomeError happened: x", false),
            ("lowerError: x", false),
            ("", false),
        ] {
            assert_eq!(is_exception(text), is, "{text}");
        }
    }

    #[test]
    fn writers_are_told_apart_and_bounded() {
        let mut traces = Traces::default();
        let finding =
            |n: usize| crate::core::identity::fingerprint("log_error", &n.to_string(), "x");
        let head = shape::read("x");
        for n in 0..20 {
            traces.begins(&n.to_string(), finding(n), &head);
        }
        let cause = shape::read("Caused by: y");
        assert_eq!(traces.goes_on("3", &cause), None);
        assert_eq!(traces.goes_on("19", &cause).unwrap().finding, finding(19));
        assert_eq!(traces.0.len(), WRITERS_MOST);
    }
}
