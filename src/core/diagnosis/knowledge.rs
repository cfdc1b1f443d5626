//! What ships inside the binary: short texts of our own about the causes and the systems' own names for
//! them, so that a box without a bundle is served too. Pure.

use crate::core::model::cause::Cause;
use crate::core::model::packed::{Packed, packed};
use crate::core::model::snippet::Snippet;

/// Name and text of each file.
pub const FILES: &[(&str, Packed)] = &[
    ("services.md", packed!("services.md")),
    ("storage.md", packed!("storage.md")),
    ("network.md", packed!("network.md")),
    ("programs.md", packed!("programs.md")),
    ("kernel.md", packed!("kernel.md")),
    ("errno.md", packed!("errno.md")),
];

/// The section about `cause`: the one whose heading begins with its name.
pub fn about(cause: Cause) -> Option<Snippet> {
    FILES.iter().find_map(|(file, packed)| {
        let mut found: Option<Snippet> = None;
        for (number, line) in (1_u32..).zip(packed.text().lines()) {
            let heading = line.strip_prefix("## ");
            match (&mut found, heading) {
                (Some(_), Some(_)) => break,
                (Some(snippet), None) => {
                    snippet.text.push_str(line);
                    snippet.text.push('\n');
                    if !line.trim().is_empty() {
                        snippet.last_line = number;
                    }
                }
                (None, Some(heading)) if heading.split(':').next() == Some(cause.as_str()) => {
                    found = Some(Snippet {
                        id: format!("builtin:{file}#{cause}"),
                        title: heading.to_owned(),
                        source: format!("builtin:{file}"),
                        first_line: number,
                        last_line: number,
                        ..Snippet::default()
                    });
                }
                _ => {}
            }
        }
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_section() {
        for cause in Cause::ALL {
            let snippet = about(*cause);
            assert!(
                snippet.is_some_and(|one| one.text.len() > 60 && one.last_line > one.first_line),
                "{cause}"
            );
        }
    }
}
