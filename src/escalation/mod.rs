//! EDGE: the only HTTP client. Puts what the outbox holds in front of a human, once.
//!
//! [`courier`] decides when, a [`tracker::Tracker`] knows how, [`http`] moves the bytes, [`token`] reads the secret.

pub mod alertmanager;
pub mod channel;
pub mod courier;
pub mod fleet_check;
pub mod github;
pub mod http;
pub mod issues;
pub mod llm;
pub mod mqtt;
pub mod outbox;
pub mod ping;
pub mod smtp;
pub mod textfile;
pub mod token;
pub mod tracker;
