//! Which destination is told of what: kept in the store, since every process that changes a task queues the same rows.

use crate::core::config::Notify;
use crate::core::human::delivery::digest;
use crate::core::model::class::Class;
use crate::core::model::finding::Severity;

/// Destination of `[escalation.github]`: a tracker without a mark, as in version 9 of the schema and before.
pub const GITHUB: &str = "github";
/// What marks the word of a tracker.
const TRACKER: &str = "tracker-";

/// One destination, and what it wants to hear. Written as `NAME`, `NAME:SEVERITY:CLASS,CLASS`, or
/// `NAME:SEVERITY:CLASS,CLASS:tracker-PLACE` where a task has an issue with a number there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub destination: String,
    /// What is less severe is not told there.
    pub least: Severity,
    /// Empty = all.
    pub classes: Vec<Class>,
    /// Of a tracker: tells the place whose numbers its issues have from another of that name; empty at GitHub.
    pub issues_of: Option<String>,
}

impl Route {
    /// Everything.
    pub fn all(destination: &str) -> Self {
        Self {
            destination: destination.to_owned(),
            least: Severity::Info,
            classes: Vec::new(),
            issues_of: (destination == GITHUB).then(String::new),
        }
    }

    /// What a channel or tracker is told.
    pub fn of(notify: &Notify) -> Self {
        let classes = notify.classes.iter().filter_map(|class| class.parse().ok());
        let place = notify.kind.is_tracker().then(|| {
            let url = notify.url.trim_end_matches('/');
            let place = digest(&[notify.kind.as_str(), url, &notify.project]);
            place.get(..12).unwrap_or(&place).to_owned()
        });
        Self {
            destination: notify.name.clone(),
            least: notify.severity,
            classes: classes.collect(),
            issues_of: place,
        }
    }

    /// A task has one issue there, with a number that a later life of it takes over.
    pub fn is_tracker(&self) -> bool {
        self.issues_of.is_some()
    }

    /// What the numbers of issues belong to.
    pub fn numbering(&self) -> Option<String> {
        let place = self.issues_of.as_deref()?;
        Some(match place {
            "" => self.destination.clone(),
            place => format!("{} {place}", self.destination),
        })
    }

    pub fn takes_all(&self) -> bool {
        self.least == Severity::Info && self.classes.is_empty()
    }

    pub fn takes(&self, severity: Severity, class: Class) -> bool {
        severity >= self.least && (self.classes.is_empty() || self.classes.contains(&class))
    }

    /// As it is stored; one that takes everything as in version 9 of the schema.
    pub fn word(&self) -> String {
        let place = self.issues_of.as_deref().filter(|place| !place.is_empty());
        if self.takes_all() && place.is_none() {
            return self.destination.clone();
        }
        let classes: Vec<&str> = self.classes.iter().map(|class| class.as_str()).collect();
        let word = format!("{}:{}:{}", self.destination, self.least, classes.join(","));
        match place {
            Some(place) => format!("{word}:{TRACKER}{place}"),
            None => word,
        }
    }

    /// What cannot be read of it hides nothing: everything is told then.
    pub fn of_word(word: &str) -> Self {
        let mut parts = word.split(':');
        let all = Self::all(parts.next().unwrap_or(word));
        let least = parts.next().and_then(|least| least.parse().ok());
        let classes = parts.next().unwrap_or("").split(',');
        let place = parts.next().and_then(|mark| mark.strip_prefix(TRACKER));
        Self {
            least: least.unwrap_or(Severity::Info),
            classes: classes.filter_map(|class| class.parse().ok()).collect(),
            issues_of: place.map(str::to_owned).or(all.issues_of),
            destination: all.destination,
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
        let forge = Route {
            issues_of: Some("5f0c".to_owned()),
            ..Route::all("forge")
        };
        assert_eq!(forge.word(), "forge:info::tracker-5f0c");
        assert_eq!(Route::of_word(&forge.word()), forge);
        assert_eq!(forge.numbering().as_deref(), Some("forge 5f0c"));
        assert!(forge.takes_all() && forge.is_tracker() && !some.is_tracker());
        // What the version before wrote is GitHub.
        let github = Route::of_word("github");
        assert_eq!(github.numbering().as_deref(), Some("github"));
        assert!(some.takes(Severity::Critical, Class::DiskFull));
        assert!(!some.takes(Severity::Warning, Class::DiskFull));
        assert!(!some.takes(Severity::Critical, Class::InodeFull));
    }
}
