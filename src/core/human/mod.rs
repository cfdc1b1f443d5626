//! What a human gets to read, and how it reaches them: issues, deliveries, answers, figures.
pub mod alert;
pub mod answer;
pub mod chat;
pub mod delivery;
pub mod feedback;
pub mod guidance;
pub mod issue;
pub mod mail;
pub mod metrics;
pub mod mqtt;
pub mod next_steps;
pub mod notice;
pub mod redact;
pub mod reply;
pub mod route;
pub mod stats;
#[cfg(test)]
mod tests;
