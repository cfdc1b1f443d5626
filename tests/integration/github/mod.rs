//! Escalations reach GitHub exactly once, and Gitea and GitLab.
//!
//! `schedules` runs the real courier and tracker against a simulated server in simulated time;
//! `stub` runs them over real TLS against `tests/e2e/github_stub.py`.

mod forge_schedules;
mod forges;
mod outbox;
mod replies;
mod schedules;
mod stub;
pub mod world;
