//! From bytes to facts: log lines, kernel messages, unit states and unit files.

// Numbers from outside must not overflow; tests know theirs.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod accept_queue;
pub mod container;
pub mod container_state;
pub mod crash_loop;
pub mod errno;
pub mod innocence;
pub mod intent;
pub mod ip_record;
pub mod journal_entry;
pub mod kernel;
pub mod kernel_table;
pub mod last_run;
pub mod level;
pub mod lines;
pub mod log_rules;
pub mod logline;
pub mod manager_lines;
pub mod ports;
pub mod shape;
pub mod starting;
pub mod trace;
pub mod unit_file;
pub mod unit_state;
pub mod uplink;
pub mod voice;
pub mod wanted;
pub mod words;
pub mod writer;
