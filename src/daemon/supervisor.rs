//! The supervisor: signals, reload, watchdog, maintenance, the status file.

use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::AsFd;

use crate::core::model::hint::Hint;
use crate::daemon::runtime::Runtime;
use crate::daemon::status;

/// Pace of the loop: signals are answered at once, everything else at this pace.
const PACE: Duration = Duration::from_secs(1);
/// The service manager hears this often that all threads are alive, or four times within its own limit.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
const STATUS_EVERY: Duration = Duration::from_secs(10);
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);
/// A thread without a heartbeat for this long is stuck. Longer than the longest order to a service
/// manager plus the verification of phase 1, shorter than the unit's watchdog.
pub const STUCK_AFTER: Duration = Duration::from_secs(100);
/// `WatchdogSec=` of the installed unit, in seconds.
const WATCHDOG_S: u64 = 120;
/// Default busy timeout of the store, in seconds.
const BUSY_TIMEOUT_S: u64 = 30;
const _: () = assert!(WATCHDOG_S >= 4 * BUSY_TIMEOUT_S);
const _: () = assert!(STUCK_AFTER.as_secs() < WATCHDOG_S);
const _: () = assert!(crate::services::ORDER_MOST.as_secs() + 15 < STUCK_AFTER.as_secs());
const _: () = assert!(crate::escalation::http::ATTEMPT_MOST.as_secs() < STUCK_AFTER.as_secs());

/// Signals that the supervisor takes; blocked in every thread from the start of the process.
pub fn signals() -> SigSet {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    set
}

/// Blocks the signals above. Called once, before any thread starts; children get a clean mask.
pub fn block_signals() -> nix::Result<()> {
    signals().thread_block()
}

/// Runs until SIGTERM, SIGINT or an internal stop.
pub fn supervise(runtime: &Runtime) {
    let signal_fd =
        SignalFd::with_flags(&signals(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC);
    notify(&[sd_notify::NotifyState::Ready]);
    log::info!("ready");
    status::write(runtime, "running");
    let mut last_status = Instant::now();
    let mut last_maintenance = Instant::now();
    let mut last_head = String::new();
    let mut last_alive = Instant::now();
    let alive_every = sd_notify::watchdog_enabled().map_or(ALIVE_EVERY, |within| within / 4);
    while !runtime.stopping() {
        wait_for_signal(runtime, signal_fd.as_ref().ok());
        if last_alive.elapsed() >= alive_every.min(ALIVE_EVERY) {
            last_alive = Instant::now();
            if runtime.all_threads_alive(STUCK_AFTER) {
                notify(&[sd_notify::NotifyState::Watchdog]);
            }
        }
        if last_status.elapsed() >= STATUS_EVERY {
            last_status = Instant::now();
            status::write(runtime, "running");
        }
        if last_maintenance.elapsed() >= MAINTAIN_EVERY {
            last_maintenance = Instant::now();
            maintain(runtime, &mut last_head);
        }
    }
    notify(&[sd_notify::NotifyState::Stopping]);
    log::info!("stopping");
}

fn notify(state: &[sd_notify::NotifyState<'_>]) {
    // Not under a service manager that listens: nothing to tell.
    let _ = sd_notify::notify(state);
}

fn wait_for_signal(runtime: &Runtime, signal_fd: Option<&SignalFd>) {
    let Some(signal_fd) = signal_fd else {
        runtime.halt.pause(PACE);
        return;
    };
    let timeout = PollTimeout::try_from(PACE).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(signal_fd.as_fd(), PollFlags::POLLIN)];
    if poll(&mut fds, timeout).is_err() {
        return;
    }
    while let Ok(Some(info)) = signal_fd.read_signal() {
        if info.ssi_signo == Signal::SIGHUP as u32 {
            reload(runtime);
        } else {
            runtime.host.stop_waiting();
            runtime.stop();
        }
    }
}

/// Takes over a changed configuration as one; a bad one leaves the old in force.
fn reload(runtime: &Runtime) {
    match runtime.reload() {
        Ok(()) => log::info!("configuration reloaded"),
        Err(why) => log::error!(
            "reload refused, the old configuration stays in force: {}",
            why.with_hint()
        ),
    }
}

fn maintain(runtime: &Runtime, last_head: &mut String) {
    let now = runtime.host.clock.now();
    if runtime
        .loaded()
        .bundle
        .as_ref()
        .is_some_and(|bundle| bundle.is_replaced())
    {
        reload(runtime);
    }
    match runtime.store.end_due_silences(now) {
        Ok(0) => {}
        Ok(_) => runtime.work.ring(),
        Err(why) => log::error!("silences: {}", why.with_hint()),
    }
    match runtime.store.maintain(now) {
        Ok(done) => log::debug!("maintenance: {done:?}"),
        Err(why) => log::error!("maintenance: {}", why.with_hint()),
    }
    // The head of the audit chain goes into the log daily, so that cutting the tail shows.
    let day: String = now.to_string().chars().take(10).collect();
    if *last_head != day
        && let Ok(head) = runtime
            .store
            .reader()
            .and_then(|reader| reader.audit_head())
    {
        log::info!("audit head {head}");
        *last_head = day;
    }
}
