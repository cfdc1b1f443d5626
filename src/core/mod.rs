//! Pure core: no file system, network, process, thread, clock or database. `now` is an argument.
//!
//! The rooms lie along the way of a fault: the words, its identity, how it is read, why it is, what is done,
//! who is told.
pub mod config;
pub mod diagnosis;
pub mod human;
pub mod identity;
pub mod model;
pub mod reading;
pub mod remedy;
