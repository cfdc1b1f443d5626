//! The composition root: what runs, on which thread, and in which order it stops.
//!
//! Threads: supervisor (the caller's), `writer` (owned by the store), `scanner`, one `stream-…` per
//! source, `worker-1…N`, `courier`, `fleet`. Producers stop first, then those they feed; the writer is last.

mod answers;
pub mod attempt;
mod awaited;
pub mod bell;
mod by_hand;
pub mod carry_out;
pub mod changes;
pub mod courier;
pub mod days;
pub mod demo;
mod desk;
pub mod diagnose;
mod ends;
pub mod escalate;
pub mod explain;
pub mod feedback;
pub mod fleet;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod gather;
mod gauges;
mod gone;
pub mod habits;
pub mod healthy;
mod heard;
pub mod host_facts;
pub mod job;
pub mod kill_point;
pub mod llm;
pub mod loaded_config;
pub mod logging;
pub mod manager;
mod memory;
pub mod once;
pub mod ourselves;
pub mod outbox;
mod returns;
mod run;
pub mod runtime;
pub mod safe_start;
pub mod scanner;
pub mod status;
pub mod stopped;
pub mod storeless;
pub mod storm_limit;
pub mod streams;
pub mod supervisor;
pub mod take_back;
#[cfg(test)]
mod tests;
pub mod transports;
mod underway;
pub mod untold;
pub mod uplink;
pub mod verify;
pub mod worker;

pub use run::run;
pub use runtime::{Options, Runtime, StartError, Timing};
