//! Which destination is told of what: kept in the store, since every process that changes a task queues the same rows.

use crate::core::model::class::Class;
use crate::core::model::finding::Severity;

/// One destination, and what it wants to hear. Written as `NAME`, or `NAME:SEVERITY:CLASS,CLASS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub destination: String,
    /// What is less severe is not told there.
    pub least: Severity,
    /// Empty = all.
    pub classes: Vec<Class>,
}

impl Route {
    /// Everything.
    pub fn all(destination: &str) -> Self {
        Self {
            destination: destination.to_owned(),
            least: Severity::Info,
            classes: Vec::new(),
        }
    }

    pub fn takes(&self, severity: Severity, class: Class) -> bool {
        severity >= self.least && (self.classes.is_empty() || self.classes.contains(&class))
    }

    /// As it is stored; one that takes everything as in version 9 of the schema.
    pub fn word(&self) -> String {
        if self.least == Severity::Info && self.classes.is_empty() {
            return self.destination.clone();
        }
        let classes: Vec<&str> = self.classes.iter().map(|class| class.as_str()).collect();
        format!("{}:{}:{}", self.destination, self.least, classes.join(","))
    }

    /// What cannot be read of it hides nothing: everything is told then.
    pub fn of_word(word: &str) -> Self {
        let mut parts = word.split(':');
        let destination = parts.next().unwrap_or(word);
        let least = parts.next().and_then(|least| least.parse().ok());
        let classes = parts.next().unwrap_or("").split(',');
        Self {
            destination: destination.to_owned(),
            least: least.unwrap_or(Severity::Info),
            classes: classes.filter_map(|class| class.parse().ok()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_read_as_it_was_written() {
        let some = Route {
            least: Severity::Error,
            classes: vec![Class::DiskFull, Class::ServiceFailed],
            ..Route::all("ops")
        };
        assert_eq!(some.word(), "ops:error:disk_full,service_failed");
        assert_eq!(Route::all("github").word(), "github");
        for route in [some.clone(), Route::all("github")] {
            assert_eq!(Route::of_word(&route.word()), route);
        }
        assert_eq!(Route::of_word("ops:loud:x"), Route::all("ops"));
        assert!(some.takes(Severity::Critical, Class::DiskFull));
        assert!(!some.takes(Severity::Warning, Class::DiskFull));
        assert!(!some.takes(Severity::Critical, Class::InodeFull));
    }
}
