//! Where the tests kill the daemon.

/// Debug builds end here by SIGKILL when `AO_KILL_AT` names the step: the kill matrices of the tests.
pub fn reached(_step: std::fmt::Arguments<'_>) {
    #[cfg(debug_assertions)]
    if std::env::var("AO_KILL_AT").is_ok_and(|wanted| wanted == _step.to_string()) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
    }
}
