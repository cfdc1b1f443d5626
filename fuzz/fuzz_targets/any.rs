//! One binary for each reader in `src/daemon/fuzzing.rs`, which is told apart by its name.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    autonomous_orchestrator::fuzzing::run(env!("CARGO_BIN_NAME"), data);
});
