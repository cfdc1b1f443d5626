//! From a cause to an action: runbooks, phases, gates and the target.
pub mod decide;
pub mod ending;
pub mod fights;
pub mod gates;
pub mod host_facts;
pub mod kill_switch;
pub mod lack;
mod leave;
pub mod patience;
pub mod phases;
pub mod runbook;
pub mod silence;
pub mod spacing;
pub mod step;
pub mod target;
pub mod tried;

#[cfg(test)]
mod tests;
