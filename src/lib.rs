//! autonomous-orchestrator: finds faults on an unattended Linux gateway, repairs what it may,
//! proves the repair and escalates the rest exactly once. `ARCHITECTURE.md` draws the flow.
pub mod actions;
pub mod bundle;
pub mod cli;
pub mod core;
pub mod daemon;
pub mod detectors;
pub mod escalation;
pub mod host;
pub mod services;
pub mod store;
