//! autonomous-orchestrator: finds faults on an unattended Linux gateway, repairs what it may,
//! proves the repair and escalates the rest exactly once. `ARCHITECTURE.md` draws the flow.
//!
//! The library is there for the program, its tests and its benches: what they need is named here, everything
//! else is private, so that the compiler finds what nobody uses (`tests/integration/face.rs` finds what nobody needs
//! here). None of it is promised to other programs.
#![deny(missing_docs, rustdoc::broken_intra_doc_links)]

mod actions;
mod bundle;
mod cli;
mod core;
mod daemon;
mod detectors;
mod escalation;
mod host;
mod services;
mod store;

pub use bundle::Bundle;
pub use cli::main;
pub use core::diagnosis::advisors::Advisor;
pub use core::diagnosis::cause_rules::{CauseRules, Context, Place};
pub use core::diagnosis::naming::name_cause;
pub use core::diagnosis::retrieval::Query;
pub use core::human::alert::{Alert, Speaker, alerts};
pub use core::human::delivery::{
    Counted, Delivery, Operation, PUT_OFF_MOST, State, is_marked, label, marker,
};
pub use core::identity::{MaskRule, Only, lossy_line, template_with};
pub use core::model::action::ActionKind;
pub use core::model::audit::{Event, GENESIS, chain, delivery_key};
pub use core::model::cause::Cause;
pub use core::model::class::{Class, Clearing};
pub use core::model::facts::{Fact, Facts};
pub use core::model::finding::{Finding, Severity};
pub use core::model::gate::Gate;
pub use core::model::id::{IssueNumber, OutboxId, TaskId};
pub use core::model::proposal::{Proposal, Terms};
pub use core::model::sorted::SortedMap;
pub use core::model::task::{Outcome, Phase, Resolution, Status, Task, Transition, WaitsFor};
pub use core::model::time::Timestamp;
pub use core::remedy::phases::{Plan, plan};
pub use core::remedy::runbook::{parse as parse_runbooks, select as select_runbooks};
pub use daemon::diagnose::diagnose;
pub use daemon::outbox::StoreOutbox;
pub use daemon::{Options, Runtime, Timing};
pub use detectors::probe::Probes;
pub use detectors::{Detector, Open, Snapshot, Sweep};
pub use escalation::alertmanager::{Alertmanager, Round};
pub use escalation::courier::{Courier, Limits};
pub use escalation::github::check::check as check_github;
pub use escalation::github::{GitHub, Settings};
pub use escalation::http::{Https, Request, Response, SendError, Transport, Verb};
pub use escalation::issues::{IssuePlace, IssueTracker};
pub use escalation::mqtt::{Broker, Client, MqttError, Will};
pub use escalation::outbox::{Outbox, OutboxError};
pub use escalation::smtp::{MailError, Security, Server};
pub use escalation::token::Secret;
pub use host::Host;
pub use host::clock::Clock;
pub use host::net::Tls;
pub use store::{
    Booked, Booking, Cursor, Intake, NewEscalation, OutboxRow, Proposed, RunOutcome, Store,
    StoreError, StoreOptions, TaskFilter, import,
};

/// The settings that a test sets.
pub mod config {
    pub use crate::core::config::{Budget, Config, Github, Probe};
}

/// Every reader of foreign bytes by the name of its target, for `fuzz/`.
#[cfg(fuzzing)]
#[doc(hidden)]
pub use daemon::fuzzing;
