//! Pure core: no file system, network, process, thread, clock or database. `now` is an argument.
pub mod fingerprint;
