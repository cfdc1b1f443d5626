//! The words: what is found, stored, done and why; no rules.
pub mod action;
pub mod audit;
pub mod candidate;
pub mod case;
pub mod cause;
pub mod class;
pub mod facts;
pub mod finding;
pub mod gate;
pub mod habit;
pub mod healthy;
pub mod hex;
pub mod hint;
pub mod id;
pub mod inert;
pub mod manager_event;
pub mod named;
#[allow(
    clippy::cast_possible_truncation,
    reason = "the one place where fractions are cut down"
)]
pub mod narrow;
pub mod object;
pub mod packed;
pub mod port;
pub mod proposal;
pub mod snippet;
pub mod sorted;
pub mod task;
pub mod text;
pub mod time;
pub mod unit;
