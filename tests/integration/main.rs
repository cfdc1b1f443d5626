//! One integration binary: every module drives the real program as a black box.

mod import;
mod store_crash;
mod stress;
