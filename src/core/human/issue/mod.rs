//! The issue as a human reads it. Pure: facts in, Markdown out.
//!
//! Text from logs, units and the bundle is untrusted: it stands in code fences or is escaped, cannot ping
//! anybody, link anywhere or pass for one of our hidden markers, and is redacted.

mod markup;
mod storeless;
mod title;

use std::fmt::Write as _;

use self::markup::{cell_code, code, escape, fence, first_line, one_line};
pub use self::markup::{fit, title_line, without_commands};
pub use self::storeless::{StorelessFacts, storeless};
use crate::core::human::feedback::approving_label;
use crate::core::human::guidance::Guidance;
use crate::core::human::redact::Redactor;
use crate::core::model::case::{Case, Member};
use crate::core::model::class::Clearing;
use crate::core::model::facts::Key;
use crate::core::model::finding::Severity;
use crate::core::model::proposal::Proposal;
use crate::core::model::task::{Outcome, Resolution, Status, Task};
use crate::core::model::text::cut;
use crate::core::model::time::Timestamp;

/// Longest body sent, in bytes. GitHub ends at 65,536 characters; GitLab at 1,000,000 and Gitea beyond.
pub const BODY_CAP: usize = 60_000;
/// Longest title, in bytes. GitHub ends at 256 characters, GitLab and Gitea at 255.
pub const TITLE_CAP: usize = 200;
/// Longest single quotation, in bytes.
const QUOTE_CAP: usize = 8_000;
/// Quotations of the bundle shown.
const SNIPPETS_MAX: usize = 3;
const SNIPPET_CAP: usize = 1_500;
/// Rows of the table of attempts, newest kept.
const ATTEMPTS_MAX: usize = 20;
const CELL_CAP: usize = 300;
/// Tasks of a case that are named.
const MEMBERS_MAX: usize = 20;
const STATUS_START: &str = "<!-- autonomous-orchestrator:status -->";
const STATUS_END: &str = "<!-- /autonomous-orchestrator:status -->";

const _: () = assert!(
    QUOTE_CAP * 3
        + MEMBERS_MAX * CELL_CAP
        + SNIPPETS_MAX * SNIPPET_CAP
        + ATTEMPTS_MAX * CELL_CAP * 2
        < BODY_CAP
);

/// What an issue is made of.
#[derive(Clone, Debug)]
pub struct IssueFacts<'a> {
    pub host: &'a str,
    pub gateway_id: &'a str,
    pub task: &'a Task,
    /// Oldest first.
    pub attempts: &'a [AttemptLine],
    /// The diagnosis in a sentence; empty = none.
    pub cause: &'a str,
    /// What helps against it.
    pub guidance: Guidance,
    /// Commands for a human, each one line.
    pub steps: &'a [String],
    pub snippets: &'a [Citation],
    /// Why a human is needed.
    pub reason: &'a str,
    /// When it is tried again by itself, where it is.
    pub again: Option<Timestamp>,
    /// The case that it is part of, where there is one.
    pub case: Option<&'a Case>,
    /// What would be done with a human's leave.
    pub proposed: Option<Asked<'a>>,
    /// Answers on the issue itself are heard.
    pub replies: bool,
    /// Head of the audit chain.
    pub audit_head: &'a str,
    pub version: &'a str,
}

/// What a human is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub action: &'a Proposal,
    /// The issue has shown another action before: a label must name this one's digest.
    pub by_name: bool,
    /// Mode `observe`: nothing is done, with leave either.
    pub held_back: bool,
}

impl Asked<'_> {
    /// The label that allows it.
    fn label(&self) -> String {
        approving_label(&self.action.digest(), self.by_name)
    }
}

/// One thing that was tried.
#[derive(Clone, Debug)]
pub struct AttemptLine {
    pub at: Timestamp,
    pub phase: u8,
    pub action: String,
    /// `None` where no end is known.
    pub outcome: Option<Outcome>,
    pub message: String,
}

/// A passage of the bundle that supports the diagnosis.
#[derive(Clone, Debug)]
pub struct Citation {
    pub source: String,
    pub first_line: u32,
    pub last_line: u32,
    pub text: String,
}

/// Title and body of an issue; `status` is the block within the body that later updates replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub title: String,
    pub body: String,
    pub status: String,
}

/// Renders a new issue. Title and body keep their caps.
pub fn render(facts: &IssueFacts<'_>) -> Rendered {
    let redactor = Redactor::new();
    let clean = |text: &str| redactor.redact(text);
    // As it stands once this is told.
    let status = status_row(facts.task, Status::Escalated.as_str());
    let mut out = String::new();
    headline(&mut out, facts);
    let _ = write!(out, "\n{STATUS_START}\n{status}\n{STATUS_END}\n");
    let _ = write!(
        out,
        "\n### What happened\n\n{}",
        fence(&clean(&facts.task.message), QUOTE_CAP)
    );
    if !facts.reason.trim().is_empty() {
        let _ = write!(
            out,
            "\n**Why you are asked:** {}\n",
            escape(&sentence(&clean(facts.reason)))
        );
    }
    if let Some(at) = facts.again {
        let _ = write!(
            out,
            "\nIt is tried again by itself, the next time at {} UTC.\n",
            seconds(at)
        );
    }
    case(&mut out, facts, &clean);
    asked_for(&mut out, facts, &clean);
    diagnosis(&mut out, facts, &clean);
    tried(&mut out, facts, &clean);
    next_steps(&mut out, facts, &clean);
    fixed_how(&mut out, facts);
    evidence_fold(&mut out, facts.task, &clean);
    footer(&mut out, facts);
    Rendered {
        title: title::title(facts, &clean),
        body: fit(&out, BODY_CAP),
        status,
    }
}

fn headline(out: &mut String, facts: &IssueFacts<'_>) {
    let task = facts.task;
    let subject = match task.subject.as_str() {
        "" => String::new(),
        subject => format!("{}: ", code(subject)),
    };
    let _ = writeln!(
        out,
        "{subject}**{}** on gateway **{}**. It could not be repaired without you.",
        task.class.row().words,
        escape(facts.host)
    );
}

/// Where the task stands: the part of the body that is edited in place.
pub fn status_block(task: &Task) -> String {
    let state = match (task.resolution, task.status.as_str()) {
        (Some(resolution), _) => format!(
            "{}, at {} UTC",
            resolved(resolution),
            task.closed_at.map_or_else(String::new, seconds)
        ),
        (None, "fixed") => "fixed, being watched".to_owned(),
        (None, word) => word.replace('_', " "),
    };
    status_row(task, &state)
}

fn status_row(task: &Task, state: &str) -> String {
    let episode = match task.episode {
        0 | 1 => "first time on this gateway".to_owned(),
        n => format!("{} time on this gateway", ordinal(n)),
    };
    format!(
        "| State | Severity | Since | Last seen | Seen |\n|---|---|---|---|---|\n| {state} | {} {} | {} UTC | {} UTC | {}, {episode} |",
        severity_sign(task.severity),
        task.severity,
        seconds(task.detected_at),
        seconds(task.last_seen_at),
        times(task.seen_count),
    )
}

fn ordinal(n: u64) -> String {
    let ending = match (n % 100, n % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

fn times(count: u64) -> String {
    match count {
        0 | 1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

const fn resolved(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::Fixed => "fixed and verified",
        Resolution::SelfCleared => "over by itself",
        Resolution::Human => "closed by a human",
        Resolution::Superseded => "replaced by another task",
        Resolution::NotAFault => "not a fault",
        Resolution::Unverified => "over, but nobody could verify it",
    }
}

const fn severity_sign(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "🔴",
        Severity::Error => "🟠",
        Severity::Warning => "🟡",
        Severity::Info => "🔵",
    }
}

/// What it belongs to, or what hangs on it.
fn case(out: &mut String, facts: &IssueFacts<'_>, clean: &impl Fn(&str) -> String) {
    let Some(case) = facts.case else {
        return;
    };
    let part = |member: &Member| code(&clean(cut(&member.to_string(), CELL_CAP)));
    if case.root.task != facts.task.id {
        let _ = write!(
            out,
            "\n**Belongs to** {}: that is repaired first.\n",
            part(&case.root)
        );
        return;
    }
    hanging(out, case, clean);
}

/// All that hangs on the root of a case.
fn hanging(out: &mut String, case: &Case, clean: &impl Fn(&str) -> String) {
    let part = |member: &Member| code(&clean(cut(&member.to_string(), CELL_CAP)));
    match &case.shared {
        Some(shared) => {
            let shared = code(&clean(cut(shared, CELL_CAP)));
            let _ = write!(
                out,
                "\n**Of the same** ({shared}) fail these too, and are repaired after it:\n\n"
            );
        }
        None => out.push_str("\n**What hangs on it**, and is repaired after it:\n\n"),
    }
    for member in case.members.iter().take(MEMBERS_MAX) {
        let _ = writeln!(out, "- {}", part(member));
    }
    let more = case.members.len().saturating_sub(MEMBERS_MAX);
    if more > 0 {
        let _ = writeln!(out, "- and {more} more");
    }
}

/// The whole action, and how it is allowed: exactly this one.
fn asked_for(out: &mut String, facts: &IssueFacts<'_>, clean: &impl Fn(&str) -> String) {
    let Some(asked) = &facts.proposed else {
        return;
    };
    let mut lines = String::new();
    for (name, value) in asked.action.lines() {
        // Judged together: `password` and its value tell only as a pair.
        let pair = clean(&format!("{name}={}", one_line(&value)));
        let (name, value) = pair.split_once('=').unwrap_or((name, ""));
        let _ = writeln!(lines, "{name:<16} {}", cut(value, CELL_CAP));
    }
    if asked.held_back {
        let _ = writeln!(
            out,
            "\n### What would be done\n\n{}\nThe mode is `observe`: nothing is done, with leave either. `status` names the setting that lets it be approved.",
            fence(&lines, QUOTE_CAP)
        );
        return;
    }
    let _ = writeln!(
        out,
        "\n### What is proposed\n\n{}\nThis and nothing else is allowed, for one attempt, by:\n\n```sh\nautonomous-orchestrator approve {} --digest {}\n```",
        fence(&lines, QUOTE_CAP),
        facts.task.id,
        asked.action.digest().short()
    );
    if facts.replies {
        let more = match asked.by_name {
            true => " (another action was proposed here before: the label must name this one)",
            false => "",
        };
        let _ = writeln!(out, "\nOr by the label `{}`{more}.", asked.label());
    }
}

fn diagnosis(out: &mut String, facts: &IssueFacts<'_>, clean: &impl Fn(&str) -> String) {
    if facts.cause.trim().is_empty() && facts.snippets.is_empty() {
        return;
    }
    out.push_str("\n### Diagnosis\n");
    if !facts.cause.trim().is_empty() {
        let sure = facts
            .task
            .confidence
            .filter(|sure| sure.is_finite())
            .map_or_else(String::new, |sure| {
                format!(" _(confidence {:.0} %)_", (sure * 100.0).clamp(0.0, 100.0))
            });
        let _ = writeln!(out, "\n{}{sure}", escape(&sentence(&clean(facts.cause))));
    }
    if !facts.cause.trim().is_empty() {
        out.push('\n');
        for (name, text) in facts.guidance.named() {
            let _ = writeln!(out, "- **{name}:** {text}.");
        }
    }
    for snippet in facts.snippets.iter().take(SNIPPETS_MAX) {
        let _ = write!(
            out,
            "\nFrom {}, lines {}–{}:\n\n{}",
            code(&clean(&snippet.source)),
            snippet.first_line,
            snippet.last_line,
            fence(&clean(&snippet.text), SNIPPET_CAP)
        );
    }
}

/// With a capital letter at its start.
fn sentence(text: &str) -> String {
    let mut letters = text.trim().chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn tried(out: &mut String, facts: &IssueFacts<'_>, clean: &impl Fn(&str) -> String) {
    out.push_str("\n### What was tried\n\n");
    if facts.attempts.is_empty() {
        out.push_str("Nothing: no action was both known and allowed.\n");
        return;
    }
    out.push_str("| When (UTC) | Phase | Action | Result |\n|---|---|---|---|\n");
    let skipped = facts.attempts.len().saturating_sub(ATTEMPTS_MAX);
    if skipped > 0 {
        let _ = writeln!(out, "| … | | {skipped} earlier attempts | |");
    }
    for attempt in facts.attempts.iter().skip(skipped) {
        let outcome = match attempt.outcome {
            None => "❔ no end is known",
            Some(Outcome::Acted) => "❔ done, not verified yet",
            Some(Outcome::Verified) => "✅ verified",
            Some(Outcome::Failed) => "❌ failed",
            Some(Outcome::Refused) => "⛔ refused",
            Some(Outcome::Undone) => "↩️ taken back",
            Some(Outcome::Unknown) => "❔ not known whether it helped",
        };
        let message = escape(&clean(cut(first_line(&attempt.message), CELL_CAP)));
        let colon = if message.is_empty() { "" } else { ": " };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {outcome}{colon}{message} |",
            seconds(attempt.at),
            attempt.phase,
            cell_code(&clean(cut(&attempt.action, CELL_CAP))),
        );
    }
}

fn next_steps(out: &mut String, facts: &IssueFacts<'_>, clean: &impl Fn(&str) -> String) {
    out.push_str("\n### What you can do next\n\nOn the gateway:\n\n");
    let mut lines = facts.steps.join("\n");
    let id = facts.task.id;
    let _ = write!(
        lines,
        "\nautonomous-orchestrator tasks show {id}   # everything known"
    );
    out.push_str(&fence(clean(&lines).trim_start(), QUOTE_CAP).replacen("```text", "```sh", 1));
}

fn fixed_how(out: &mut String, facts: &IssueFacts<'_>) {
    let task = facts.task;
    let id = task.id;
    out.push_str("\n### How to tell the gateway\n\n");
    let by_itself = match task.class.clearing() {
        Clearing::Sweep => {
            "Repair it and do nothing more: the gateway looks again by itself, and closes this once it has stayed green."
        }
        Clearing::Quiet => {
            "Repair it and do nothing more: when the message stays away, the gateway closes this."
        }
        Clearing::Reboot => {
            "After a reboot, or when the message stays away, the gateway closes this by itself."
        }
    };
    let _ = writeln!(
        out,
        "{by_itself} To end it at once:\n\n```sh\nautonomous-orchestrator tasks close {id}                   # done by hand\nautonomous-orchestrator tasks close {id} --as not_a_fault  # there was no fault\nautonomous-orchestrator tasks ack {id}                     # I am on it: stop repairing\n```"
    );
    if facts.replies {
        out.push_str(
            "\nOr from here, for those whom the gateway listens to: close this issue (as not planned: there was no fault), or set a label:\n\n\
             | Label | Effect |\n|---|---|\n\
             | `orchestrator:ack` | I am on it: no repair until I am done |\n\
             | `orchestrator:snooze` | leave it alone for a day |\n\
             | `orchestrator:retry` | try again now |\n",
        );
        if let Some(asked) = facts.proposed.as_ref().filter(|one| !one.held_back) {
            let _ = writeln!(
                out,
                "| `{}` | take the action that is proposed above, where the gateway's mode is `suggest` |",
                asked.label()
            );
        }
    }
}

/// The last lines of `text` that fit.
fn newest(text: &str, cap: usize) -> &str {
    let over = text.len().saturating_sub(cap);
    if over == 0 {
        return text;
    }
    let mut starts = text.match_indices('\n').map(|(at, _)| at + 1);
    let first = starts.find(|at| *at >= over);
    first.and_then(|at| text.get(at..)).unwrap_or(text)
}

/// Facts beside the message; the unit's own log first, in the order in which it was said: a traceback reads from its top.
fn evidence_fold(out: &mut String, task: &Task, clean: &impl Fn(&str) -> String) {
    let log = task.evidence.text(Key::Log);
    let facts: Vec<_> = task
        .evidence
        .iter()
        .filter(|(name, _)| *name != Key::Log.as_str())
        .collect();
    if log.is_none() && facts.is_empty() {
        return;
    }
    out.push_str("\n<details>\n<summary>Evidence</summary>\n");
    if let Some(log) = log {
        let lines: Vec<&str> = log.lines().rev().collect();
        let log = clean(&lines.join("\n"));
        let _ = write!(out, "\n{}", fence(newest(&log, QUOTE_CAP), QUOTE_CAP));
    }
    if !facts.is_empty() {
        let mut table = String::new();
        for (key, value) in facts {
            // Judged together: `password` and its value tell only as a pair.
            let pair = clean(&format!("{key}={}", one_line(value)));
            let (key, value) = pair.split_once('=').unwrap_or((key, ""));
            let _ = writeln!(table, "{key} = {}", cut(value, CELL_CAP));
        }
        let _ = write!(out, "\n{}", fence(&table, QUOTE_CAP));
    }
    out.push_str("\n</details>\n");
}

fn footer(out: &mut String, facts: &IssueFacts<'_>) {
    let short = |text: &str| text.get(..12).unwrap_or(text).to_owned();
    let _ = writeln!(
        out,
        "\n<sub>Gateway {} · task {} · fingerprint {} · audit head {} · autonomous-orchestrator {}. Secrets are taken out before sending.</sub>",
        escape(&short(facts.gateway_id)),
        facts.task.id,
        escape(&short(&facts.task.issue_hash)),
        escape(&short(facts.audit_head)),
        escape(facts.version)
    );
}

/// `body` with the text between the status markers replaced; `None` when a human took them out.
pub fn replace_status(body: &str, status: &str) -> Option<String> {
    let (before, rest) = body.split_once(STATUS_START)?;
    let (_, after) = rest.split_once(STATUS_END)?;
    Some(format!(
        "{before}{STATUS_START}\n{}\n{STATUS_END}{after}",
        status.trim()
    ))
}

/// Comment on a problem that was seen again.
pub fn recurrence_comment(task: &Task, message: &str) -> String {
    format!(
        "Seen again at {} UTC, {} so far.\n\n{}",
        seconds(task.last_seen_at),
        times(task.seen_count),
        fence(&Redactor::new().redact(message), QUOTE_CAP)
    )
}

/// Comment on the issue of a case's root: more hangs on it than was told.
pub fn joined_comment(case: &Case) -> String {
    let redactor = Redactor::new();
    let mut out = "More hangs on it by now.\n".to_owned();
    hanging(&mut out, case, &|text: &str| redactor.redact(text));
    out
}

/// Comment with which an issue is closed.
pub fn closing_comment(resolution: Resolution, message: &str, now: Timestamp) -> String {
    let message = escape(&Redactor::new().redact(message));
    let what = match resolution {
        Resolution::Fixed => "Fixed: the detector that found it is green and stayed green",
        Resolution::SelfCleared => "Over by itself: nothing was changed",
        Resolution::Human => "Closed by a human on the gateway",
        Resolution::Superseded => "Replaced by another task",
        Resolution::NotAFault => "Not a fault, says a human on the gateway",
        Resolution::Unverified => "Over, but nobody could verify it",
    };
    let colon = if message.is_empty() { "." } else { ": " };
    format!("{what}, {} UTC{colon}{message}", seconds(now))
}

/// To the second: nobody reads milliseconds in an issue.
fn seconds(at: Timestamp) -> String {
    at.second()
}

#[cfg(test)]
pub(crate) mod tests;
