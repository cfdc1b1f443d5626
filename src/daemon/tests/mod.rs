//! The whole engine against a scripted host: SQLite is real, GitHub's tracker is real over a fake transport,
//! commands are answered by a script, and time passes only when a test says so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod answers;
mod approvals;
mod by_hand;
mod cases;
mod channels;
mod containers;
mod days;
mod ends;
mod gates;
mod gateway;
mod gauges;
mod gone;
mod habits;
mod issues;
mod life;
mod offline;
mod ourselves;
mod queues;
mod restore;
mod simulation;
mod stopped;
mod take_back;
mod trackers;
mod units;
mod weeks;
