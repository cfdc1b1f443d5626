//! The title of an issue: the root and what it has done, on one line.

use crate::core::model::sorted::SortedSet;

use super::markup::{first_line, title_line};
use super::{IssueFacts, TITLE_CAP};
use crate::core::model::case::Member;
use crate::core::model::cause::Cause;
use crate::core::model::class::{Class, ToldBy};
use crate::core::model::text::cut;

/// `host: root: effect` where it is part of a case, else `host: subject: cause`.
pub(super) fn title(facts: &IssueFacts<'_>, clean: &impl Fn(&str) -> String) -> String {
    let (host, task) = (facts.host, facts.task);
    let whole = match facts.case {
        None => format!("{host}: {}", said(facts, clean)),
        Some(case) if case.root.task == task.id => {
            let root = state(task.class, &task.subject).map(|state| clean(&state));
            let root = root.unwrap_or_else(|| said(facts, clean));
            with_effect(&format!("{host}: {root}"), &clean(&effect(&case.members)))
        }
        Some(case) => {
            let root = &case.root;
            let state = state(root.class, &root.subject).unwrap_or_else(|| root.subject.clone());
            let own = Member {
                task: task.id,
                class: task.class,
                subject: task.subject.clone(),
            };
            format!("{host}: {}: {}", clean(&effect(&[own])), clean(&state))
        }
    };
    title_line(&whole)
}

/// What it is about and its cause, or else the words of its class.
fn said(facts: &IssueFacts<'_>, clean: &impl Fn(&str) -> String) -> String {
    let what = match (first_line(facts.cause), first_line(&facts.task.message)) {
        ("", "") => facts.task.class.row().words.to_owned(),
        // What was said tells more than that nobody knows why.
        (cause, said) if !said.is_empty() && cause == Cause::Unknown.describe() => clean(said),
        ("", _) => facts.task.class.row().words.to_owned(),
        (cause, _) => clean(cause),
    };
    match facts.task.subject.as_str() {
        "" => what,
        subject => format!("{}: {what}", clean(subject)),
    }
}

/// `/data is full`: the thing in place of its kind. A unit is told by its cause instead.
fn state(class: Class, subject: &str) -> Option<String> {
    let row = class.row();
    let (_, state) = row.words.split_once(" is ")?;
    let is_thing = row.told_by == ToldBy::Words && !subject.is_empty();
    is_thing.then(|| format!("{subject} is {state}"))
}

/// What hangs on it, in three words.
fn effect(members: &[Member]) -> String {
    let down = |member: &&Member| member.class.row().told_by == ToldBy::UnitState;
    let stopped: SortedSet<&str> = members
        .iter()
        .filter(down)
        .map(|member| member.subject.as_str())
        .collect();
    match (stopped.len(), stopped.first(), members) {
        (0, _, [one]) => format!("{}: {}", one.subject, one.class.row().words),
        (0, _, all) => format!("{} more faults", all.len()),
        (1, Some(unit), _) => format!("{unit} stopped"),
        (many, _, _) => format!("{many} services stopped"),
    }
}

/// The effect is kept where both are too long.
fn with_effect(root: &str, effect: &str) -> String {
    let effect = cut(effect, TITLE_CAP / 2);
    let room = TITLE_CAP.saturating_sub(effect.len() + ": ".len());
    let root = root.trim_end_matches('.');
    match root.len() <= room {
        true => format!("{root}: {effect}"),
        false => {
            let room = room.saturating_sub("…".len());
            format!("{}…: {effect}", cut(root, room).trim_end())
        }
    }
}
