//! What is known of how units went down outlives this program, for as long as they are down and the host is up.

use std::time::Duration;

use super::gateway::{Gateway, UNIT};

const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Stopped by somebody, seen by a sweep, and this program starts anew without a word in the journal.
fn after_restart(meanwhile: impl FnOnce(&std::path::Path)) -> Gateway {
    let mut gateway = Gateway::with(|_| {});
    gateway.write(BOOT, "one\n");
    gateway.is_stopped(UNIT);
    gateway.sweep();
    let mut gateway = gateway.restarted(meanwhile);
    gateway.runs_for(Duration::from_secs(60));
    gateway
}

#[test]
fn a_unit_that_somebody_stopped_is_known_after_a_restart() {
    let gateway = after_restart(|_| {});
    assert!(gateway.tasks().is_empty(), "{:?}", gateway.tasks());
}

#[test]
fn after_a_boot_it_is_not_known_and_told_once() {
    let gateway = after_restart(|root| {
        let boot = root.join(BOOT.trim_start_matches('/'));
        std::fs::write(boot, "two\n").unwrap();
    });
    assert_eq!((gateway.issue_states().len(), gateway.starts()), (1, 0));
}
