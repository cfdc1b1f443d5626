//! Pure core: no file system, network, process, thread, clock or database. `now` is an argument.
pub mod action;
pub mod class;
pub mod config;
pub mod finding;
pub mod fingerprint;
pub mod judge;
pub mod judge_unit;
pub mod kernel;
pub mod kernel_table;
pub mod lines;
pub mod logline;
pub mod rules;
pub mod task;
pub mod time;
pub mod unit;
pub mod unitfile;
