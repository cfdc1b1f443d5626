//! The gates before an action, by the names under which they are stored and told.

use crate::core::model::named::named;

named! {
    /// A gate, in the order in which they are asked.
    Gate "gate" {
        /// No human wants it left alone for a while.
        Silence = "silence",
        /// The operator's file that stops every repair.
        KillSwitch = "kill_switch",
        /// A maintenance window of the configuration, or one that was ordered.
        Maintenance = "maintenance",
        /// The wall clock is plausible.
        Clock = "clock",
        /// The time after a start in which a host settles.
        StartupGrace = "startup_grace",
        /// No failing root explains it.
        Inhibition = "inhibition",
        /// Nobody installs something just now that may end it.
        Deployment = "deployment",
        /// The fault is still there, and the action still fits.
        Precondition = "precondition",
        /// Somebody or something wants the unit to run.
        Wanted = "wanted",
        /// The mode allows the risk, or a human approved.
        Mode = "mode",
        /// Attempts are left for fingerprint, unit and host.
        Budget = "budget",
        /// No other disruptive action is under way.
        Slot = "slot",
    }
}
