//! Numbers of rows, each table's of its own type, and those that a tracker gives: a task's never stands where an issue's
//! belongs.

/// Declares such a type; its text and its JSON are the number.
macro_rules! id {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        pub struct $type(i64);

        impl $type {
            /// As the row has it.
            pub const fn from_number(number: i64) -> Self {
                Self(number)
            }

            /// As the row has it.
            pub const fn number(self) -> i64 {
                self.0
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id! {
    /// A row of `tasks`; never used again.
    TaskId
}

id! {
    /// A row of `attempts`.
    AttemptId
}

id! {
    /// A row of `escalations`.
    EscalationId
}

id! {
    /// A row of `outbox`: grows with the order of booking.
    OutboxId
}

id! {
    /// A row of `task_history`: grows with the order of what happened.
    EventId
}

id! {
    /// An issue, by the number that its tracker gave it.
    IssueNumber
}

id! {
    /// An event of an issue: grows with the order in which its tracker saw them.
    IssueEventId
}

impl EventId {
    /// Before the first event.
    pub const START: Self = Self(0);
}

impl Default for IssueEventId {
    /// Before the first event.
    fn default() -> Self {
        Self(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_are_the_number() {
        let id = TaskId::from_number(12);
        assert_eq!(format!("{id} {id:>4}"), "12   12");
        assert_eq!(serde_json::json!({ "id": id }).to_string(), r#"{"id":12}"#);
    }
}
