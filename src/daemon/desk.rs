//! What the language model answered, and whose turn it is to ask it.

use std::sync::Mutex;

use crate::core::diagnosis::advisors::Advice;
use crate::core::model::sorted::SortedMap;

/// Answers by fingerprint and what was offered.
#[derive(Debug, Default)]
pub struct Desk {
    pub(super) known: Mutex<SortedMap<String, Option<Advice>>>,
    /// One worker at a time asks: the budget is read and written as one.
    pub(super) asking: Mutex<()>,
}
