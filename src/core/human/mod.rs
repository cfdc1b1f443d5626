//! What a human gets to read, and how it reaches them: issues, deliveries, answers, figures.
pub mod alert;
pub mod delivery;
pub mod feedback;
pub mod guidance;
pub mod issue;
pub mod metrics;
pub mod next_steps;
pub mod redact;
pub mod reply;
pub mod stats;
#[cfg(test)]
mod tests;
pub mod webhook;
