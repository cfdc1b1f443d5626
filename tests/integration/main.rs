//! One integration binary: every module drives the real program as a black box.

mod fleet;
mod github;
