//! The status file under /run: what the daemon is doing, readable without the store.

use serde_json::json;

use crate::core::model::inert;
use crate::daemon::Runtime;

/// Writes `status.json` below the runtime directory; a failure is logged once a change and never fatal.
pub fn write(runtime: &Runtime, state: &str) {
    let loaded = runtime.loaded();
    let counts = runtime.store.reader().and_then(|reader| reader.counts());
    let text = json!({
        "state": state,
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "at": runtime.host.clock.now().to_string(),
        "started_at": runtime.started_at.to_string(),
        "mode_limit": loaded.config.mode.limit.as_str(),
        "kill_switch": runtime.kill_switch(&loaded),
        "managers": loaded.managers.iter().map(|manager| manager.name()).collect::<Vec<_>>(),
        "journal": runtime.journal_followed(),
        "open_tasks": counts.as_ref().map(|counts| counts.open).ok(),
        "store_error": counts.as_ref().err().map(ToString::to_string),
    });
    let path = runtime
        .host
        .path(&loaded.config.daemon.runtime_dir)
        .join("status.json");
    if let Err(why) = crate::host::files::write_atomic(
        &path,
        inert::json(&format!("{text:#}\n")).as_bytes(),
        0o644,
    ) {
        log::debug!("status file {}: {why}", path.display());
    }
}
