//! Pure core: no file system, network, process, thread, clock or database. `now` is an argument.
pub mod action;
pub mod cause;
pub mod cause_rules;
pub mod class;
pub mod config;
pub mod finding;
pub mod fingerprint;
pub mod task;
pub mod time;
pub mod unit;
