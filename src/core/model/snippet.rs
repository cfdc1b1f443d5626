//! A retrieved passage.

/// One retrieved passage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snippet {
    /// Key within its bundle; for ready-made snippets the given id.
    pub id: String,
    /// Higher is better; comparable only within one query.
    pub score: f64,
    pub title: String,
    pub source: String,
    /// From 1; 0 when the source has no lines.
    pub first_line: u32,
    pub last_line: u32,
    /// Commit or time of modification of the source; empty when unknown.
    pub revision: String,
    pub text: String,
    /// Query words that occur in it: why it matched.
    pub matched: Vec<String>,
}
