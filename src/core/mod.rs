//! Pure core: no file system, network, process, thread, clock or database. `now` is an argument.
pub mod action;
pub mod audit;
pub mod class;
pub mod config;
pub mod correlate;
pub mod finding;
pub mod fingerprint;
pub mod phases;
pub mod policy;
pub mod redact;
pub mod stats;
pub mod task;
pub mod time;
pub mod unit;
