//! One integration binary: every module drives the real program as a black box.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod cli;
mod cli_errors;
mod cli_install;
mod cli_tool;
mod docs;
mod drain;
mod face;
mod fixtures;
mod fleet;
mod flood;
mod github;
mod import;
mod inert;
mod kill_matrix;
mod layering;
mod licences;
mod llm;
mod peers;
mod source;
mod store_crash;
mod stress;
mod upgrade;
