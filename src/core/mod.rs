//! Pure core: no file system, network, process, thread, clock or database. `now` is an argument.
pub mod action;
pub mod advisors;
pub mod cause;
pub mod cause_rules;
pub mod class;
pub mod config;
pub mod consensus;
pub mod finding;
pub mod fingerprint;
pub mod retrieval;
pub mod runbook;
pub mod stem;
pub mod task;
pub mod time;
pub mod unit;
