//! A case: open tasks with one root. The root is repaired first, what hangs on it waits.

use std::fmt;

use crate::core::model::class::Class;
use crate::core::model::id::TaskId;

/// An open task as part of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub task: TaskId,
    pub class: Class,
    pub subject: String,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}: {} {}", self.task, self.class, self.subject)
    }
}

/// A group of open tasks with one root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub root: Member,
    /// What hangs on the root, the oldest first; never empty.
    pub members: Vec<Member>,
    /// What they all fail of, where that is no condition: the root of the case then speaks for the others.
    pub shared: Option<String>,
}

impl Case {
    /// The case of `cases` that `task` is part of; a task has at most one.
    pub fn of(task: TaskId, cases: &[Self]) -> Option<&Self> {
        cases.iter().find(|case| {
            let mut parts = std::iter::once(&case.root).chain(&case.members);
            parts.any(|part| part.task == task)
        })
    }

    /// What it means for `task`, in a line.
    pub fn text(&self, task: TaskId) -> String {
        if task != self.root.task {
            return format!("belongs to {}", self.root);
        }
        let members: Vec<String> = self.members.iter().map(Member::to_string).collect();
        let members = members.join(", ");
        match &self.shared {
            Some(shared) => format!("of the same ({shared}) fails {members}"),
            None => format!("on it hangs {members}"),
        }
    }
}
