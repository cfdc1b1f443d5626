//! What a technician should know before anything is tried, and commands for him, by cause: `guidance.md`, which lies
//! packed in the binary.

use std::sync::LazyLock;

use crate::core::model::cause::Cause;
use crate::core::model::packed::packed;

static TEXT: LazyLock<String> = LazyLock::new(|| packed!("guidance.md").text());

/// What helps against a cause. Each goes on in the sentence that its name begins; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guidance {
    /// What can help.
    pub helps: &'static str,
    /// What is tried often and cannot.
    pub helps_not: &'static str,
    /// What to wait for.
    pub wait: &'static str,
    /// Commands for a human, with `{fact}` where a finding fills something in.
    pub steps: Vec<&'static str>,
}

impl Guidance {
    /// What is written of `cause`.
    pub fn of(cause: Cause) -> Self {
        let mut guidance = Self::default();
        for line in section(cause).lines() {
            if let Some(step) = line.strip_prefix("    ") {
                guidance.steps.push(step);
                continue;
            }
            match line.split_once(": ") {
                Some(("- helps", text)) => guidance.helps = text,
                Some(("- helps not", text)) => guidance.helps_not = text,
                Some(("- wait", text)) => guidance.wait = text,
                _ => {}
            }
        }
        guidance
    }

    /// Each with its name, what is empty left out.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let all = [
            ("What can help", self.helps),
            ("What cannot", self.helps_not),
            ("What to wait for", self.wait),
        ];
        all.into_iter().filter(|(_, text)| !text.is_empty())
    }
}

/// The lines below the heading of `cause`.
fn section(cause: Cause) -> &'static str {
    let mut sections = TEXT.split("\n## ");
    sections
        .find_map(|section| section.strip_prefix(cause.as_str())?.strip_prefix('\n'))
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_section_and_no_line_is_lost() {
        let headings: Vec<&str> = TEXT
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        let causes: Vec<&str> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        assert_eq!(headings, causes);
        let read = |cause: &Cause| {
            let guidance = Guidance::of(*cause);
            assert!(!guidance.helps.is_empty(), "{cause}");
            guidance.named().count() + guidance.steps.len()
        };
        let written = TEXT
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(Cause::ALL.iter().map(read).sum::<usize>(), written.count());
    }
}
