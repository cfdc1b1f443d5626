//! Errors that tell what to do apart from what went wrong.

use std::borrow::Cow;
use std::error::Error;

/// The error's own text says what failed and why; a human also wants to know what to do about it.
pub trait Hint: Error {
    /// Empty where the text leaves nothing to say.
    fn hint(&self) -> Cow<'static, str>;

    /// `what failed: why: what to do`.
    fn with_hint(&self) -> String {
        match self.hint() {
            hint if hint.is_empty() => self.to_string(),
            hint => format!("{self}: {hint}"),
        }
    }
}
