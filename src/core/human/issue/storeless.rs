//! What is told of the store while the store takes nothing: there is no task of it yet.

use std::fmt::Write as _;

use super::markup::{cell_code, escape, fence, title_line};
use super::{BODY_CAP, MEMBERS_MAX, QUOTE_CAP, STATUS_END, STATUS_START, TITLE_CAP, fit, seconds};
use crate::core::human::redact::Redactor;
use crate::core::model::text::cut;
use crate::core::model::time::Timestamp;

/// What is known without the store.
#[derive(Clone, Copy, Debug)]
pub struct StorelessFacts<'a> {
    pub host: &'a str,
    /// What the store says, the oldest first.
    pub troubles: &'a [String],
    /// Units that have failed, which nobody repairs now.
    pub failed: &'a [String],
    pub now: Timestamp,
}

/// Title and body, redacted.
pub fn storeless(facts: &StorelessFacts<'_>) -> (String, String) {
    let redactor = Redactor::new();
    let clean = |text: &str| redactor.redact(text);
    let newest = facts.troubles.last().map_or("", String::as_str);
    let title = format!(
        "{}: nothing can be recorded or repaired: {newest}",
        facts.host
    );
    let mut out = format!(
        "The store of gateway **{}** takes nothing. Faults are seen there, but neither recorded nor repaired, \
         and told by this message alone.\n\n{STATUS_START}\nopen, {} UTC\n{STATUS_END}\n\n### What happened\n\n{}",
        escape(facts.host),
        seconds(facts.now),
        fence(&clean(&facts.troubles.join("\n")), QUOTE_CAP)
    );
    if !facts.failed.is_empty() {
        out.push_str("\n### What has failed there and waits\n\n");
        for unit in facts.failed.iter().take(MEMBERS_MAX) {
            let _ = writeln!(out, "- {}", cell_code(unit));
        }
        if let Some(more @ 1..) = facts.failed.len().checked_sub(MEMBERS_MAX) {
            let _ = writeln!(out, "- and {more} more");
        }
    }
    out.push_str(
        "\n### What to do\n\n```sh\nautonomous-orchestrator doctor   # which disk, and how full\n\
         df -h /var/lib/autonomous-orchestrator; du -xh / | sort -h | tail -20\n```\n\n\
         Make space, or mend what the store says. Nothing else is needed: it goes on by itself, what was not recorded is \
         read again from its source, and what has failed is repaired then.\n",
    );
    (
        fit(&title_line(&clean(&title)), TITLE_CAP),
        cut(&out, BODY_CAP).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_stands_still_and_leaks_nothing() {
        let troubles = ["disk full: password=hunter2\nx".to_owned()];
        let failed: Vec<String> = (0..25).map(|n| format!("unit{n}.service")).collect();
        let (title, body) = storeless(&StorelessFacts {
            host: "gw",
            troubles: &troubles,
            failed: &failed,
            now: Timestamp::from_millis(0),
        });
        assert!(title.starts_with("gw: nothing can be recorded or repaired: disk full"));
        assert!(!title.contains('\n'));
        assert!(!title.contains("hunter2") && !body.contains("hunter2"));
        assert!(body.contains("- `unit0.service`") && body.contains("- and 5 more"));
    }
}
