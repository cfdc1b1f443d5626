//! One integration binary: every module drives the real program as a black box.

mod docs;
mod layering;
mod github;
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
