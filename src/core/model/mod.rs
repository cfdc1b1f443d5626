//! The words: what is found, stored, done and why; no rules.
pub mod action;
pub mod audit;
pub mod class;
pub mod finding;
pub mod hex;
pub mod task;
pub mod time;
pub mod unit;
