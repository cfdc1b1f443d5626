//! One integration binary: every module drives the real program as a black box.

mod docs;
mod layering;
mod github;
