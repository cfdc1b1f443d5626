//! Has the network manager of the uplink's interface set it up anew. The way back is armed in PID 1, or in a process of
//! its own, before anything is changed: it comes by itself when nobody calls it off, also after our death.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::actions::error::Why;
use crate::actions::{self, Action, ActionContext, ActionError, Basis, Done, Undo};
use crate::core::model::action::ActionKind;
use crate::core::model::facts::Key;
use crate::core::model::proposal::Terms;
use crate::core::model::unit::UnitName;
use crate::core::reading::ip_record::InterfaceRecord;
use crate::core::reading::journal_entry::OWN_NAME;
use crate::core::reading::uplink::{Reach, Way};
use crate::core::remedy::target::{self, TargetError};
use crate::host::exec::{Command, Output};
use crate::host::files;
use crate::host::net::{logins, ways};

/// Time for a manager's order, and for a question to it.
const DEADLINE: Duration = Duration::from_secs(20);
const QUESTION: Duration = Duration::from_secs(5);
/// How long the way out is given to be better.
const BETTER_WITHIN: Duration = Duration::from_secs(25);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_secs(1);
/// The way back comes by itself so long after it was armed.
const UNDONE_AFTER: Duration = Duration::from_secs(80);
/// Orders of one manager.
const ORDERS_MOST: u64 = 2;

// Nobody takes back what may still get better; and a worker that waits is no worker that hangs.
const _: () =
    assert!(ORDERS_MOST * DEADLINE.as_secs() + BETTER_WITHIN.as_secs() < UNDONE_AFTER.as_secs());

#[derive(Debug)]
pub struct RenewUplink {
    pub(super) interface: String,
}

/// Who set the interface up.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Adapter {
    /// With the connection that is active on it.
    NetworkManager(String),
    Networkd,
    Ifupdown,
}

impl RenewUplink {
    pub fn of(basis: &Basis<'_>) -> Result<Self, TargetError> {
        let name = target::fact(basis.finding, Key::Device)?;
        // It becomes a part of a file's and of a unit's name.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        match name.starts_with(['-', '.']) || !name.chars().all(plain) {
            true => Err(TargetError::Missing(Key::Device)),
            false => Ok(Self {
                interface: name.to_owned(),
            }),
        }
    }

    /// Its way out, as it is now.
    fn way(&self, context: &ActionContext<'_>) -> Result<Way, ActionError> {
        let wanted = [self.interface.clone()];
        let read =
            ways::ways(context.host, &wanted).map_err(|why| ActionError::gone(Why::from(why)))?;
        let mut own = read.ways.into_iter();
        own.find(|way| way.interface.name == self.interface && !way.is_v6)
            .ok_or_else(|| ActionError::gone(format!("the way out is not over {}", self.interface)))
    }

    fn adapter(&self, context: &ActionContext<'_>) -> Option<Adapter> {
        let interface = self.interface.as_str();
        let ask = |program: &str, args: &[&str]| {
            let out = context.host.run(program, args, QUESTION).ok();
            out.filter(Output::success).map(|out| out.text())
        };
        let fields = [
            "-g",
            "GENERAL.STATE,GENERAL.CON-UUID",
            "device",
            "show",
            interface,
        ];
        if let Some(text) = ask("nmcli", &fields) {
            let mut lines = text.lines();
            let is_managed = !lines.next().unwrap_or("10").starts_with("10 ");
            let connection = lines.next().unwrap_or("").trim();
            if is_managed && !connection.is_empty() {
                return Some(Adapter::NetworkManager(connection.to_owned()));
            }
        }
        // `INDEX NAME TYPE OPERATIONAL SETUP`
        let list = ["--no-legend", "--no-pager", "list", interface];
        if let Some(text) = ask("networkctl", &list) {
            let setup = text.split_ascii_whitespace().nth(4).unwrap_or("");
            if matches!(setup, "configured" | "configuring" | "pending" | "failed") {
                return Some(Adapter::Networkd);
            }
        }
        let state = ask("ifquery", &["--state", interface])?;
        (!state.trim().is_empty()).then_some(Adapter::Ifupdown)
    }

    fn record(&self, context: &ActionContext<'_>) -> Result<InterfaceRecord, ActionError> {
        let interface = self.interface.as_str();
        let ask = |args: &[&str]| {
            let out = context
                .host
                .run("ip", args, QUESTION)
                .map_err(ActionError::refused)?;
            match out.success() {
                true => Ok(out.text()),
                false => Err(ActionError::refused(format!("ip: {}", out.reason()))),
            }
        };
        Ok(InterfaceRecord::of(
            interface,
            &ask(&["-o", "address", "show", "dev", interface])?,
            &ask(&["route", "show", "dev", interface])?,
            // A kernel without IPv6 has none.
            &ask(&["-6", "route", "show", "dev", interface]).unwrap_or_default(),
        ))
    }
}

impl Adapter {
    fn name(&self) -> &'static str {
        match self {
            Self::NetworkManager(_) => "NetworkManager",
            Self::Networkd => "systemd-networkd",
            Self::Ifupdown => "ifupdown",
        }
    }

    /// Gives its orders, one after the other, to `run`.
    fn set_up(
        &self,
        interface: &str,
        is_on: bool,
        run: &dyn Fn(&[&str]) -> Result<(), ActionError>,
    ) -> Result<(), ActionError> {
        match self {
            Self::NetworkManager(connection) => run(&[
                "nmcli",
                "--wait",
                "15",
                "connection",
                "up",
                "uuid",
                connection,
                "ifname",
                interface,
            ]),
            Self::Networkd => {
                if !is_on {
                    run(&["networkctl", "up", interface])?;
                }
                run(&["networkctl", "reconfigure", interface])
            }
            Self::Ifupdown => {
                run(&["ifdown", "--force", interface])?;
                run(&["ifup", "--force", interface])
            }
        }
    }
}

impl fmt::Display for RenewUplink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "set up interface {} anew", self.interface)
    }
}

impl Action for RenewUplink {
    fn kind(&self) -> ActionKind {
        ActionKind::RenewUplink
    }

    fn unit(&self) -> Option<&UnitName> {
        None
    }

    fn terms(&self, context: &ActionContext<'_>) -> Result<Terms, ActionError> {
        let by = self.adapter(context);
        let back = format!(
            "its addresses and routes come back by themselves after {} s unless the way out works",
            UNDONE_AFTER.as_secs()
        );
        Ok(Terms::undone_by(back)
            .with("interface", &self.interface)
            .with("by", by.as_ref().map_or("nobody", Adapter::name)))
    }

    fn precondition(&self, context: &ActionContext<'_>) -> Result<(), ActionError> {
        let interface = self.interface.as_str();
        let way = self.way(context)?;
        let Some(broken) = way.broken(&[]) else {
            return Err(ActionError::gone(format!(
                "the way over {interface} is whole again"
            )));
        };
        if way.interface.is_gone || way.interface.carrier == Some(false) {
            let why = format!("{}: nothing on this box changes that", broken.says);
            return Err(ActionError::refused(why));
        }
        let is_used = logins::over(context.host, interface)
            .map_err(|why| ActionError::refused(Why::from(why).at("who is logged in")))?;
        if is_used {
            let why = format!(
                "somebody is logged in over {interface}, or it is not known that nobody is"
            );
            return Err(ActionError::refused(why));
        }
        if self.adapter(context).is_none() {
            let why =
                format!("no NetworkManager, systemd-networkd or ifupdown sets {interface} up here");
            return Err(ActionError::refused(why));
        }
        let tool = context
            .host
            .run("ip", &["-V"], QUESTION)
            .map_err(ActionError::refused)?;
        match tool.text().contains("iproute2") {
            true => Ok(()),
            // That of BusyBox takes no batch.
            false => Err(ActionError::refused("the way back needs `ip` of iproute2")),
        }
    }

    fn undo_record(&self, context: &ActionContext<'_>) -> Result<Undo, ActionError> {
        let is_on = self.way(context)?.interface.is_on;
        Ok(Undo::PutBack {
            interface: self.interface.clone(),
            lines: self.record(context)?.whole(&self.interface, is_on),
        })
    }

    fn act(&self, context: &ActionContext<'_>) -> Result<Done, ActionError> {
        let interface = self.interface.as_str();
        let adapter = self
            .adapter(context)
            .ok_or_else(|| ActionError::gone(format!("nobody sets {interface} up any more")))?;
        let (before, is_on) = (self.record(context)?, self.way(context)?.interface.is_on);
        arm(context, interface, &before.whole(interface, is_on))?;
        adapter.set_up(interface, is_on, &|order| {
            let out = actions::outside(context, order, DEADLINE).map_err(ActionError::failed)?;
            match out.success() {
                true => Ok(()),
                false => Err(ActionError::failed(format!(
                    "{}: {}",
                    order.join(" "),
                    out.reason()
                ))),
            }
        })?;
        let by_hand = self.await_better(context, &before)?;
        disarm(context, interface);
        let what = format!("{interface} set up anew by {}", adapter.name());
        Ok(Done::new(what).noting("put_back", by_hand))
    }
}

impl RenewUplink {
    /// Waits until the way out is whole up to its gateway, and puts back what was set by hand and got lost: those lines.
    fn await_better(
        &self,
        context: &ActionContext<'_>,
        before: &InterfaceRecord,
    ) -> Result<String, ActionError> {
        let clock = &context.host.clock;
        let started = clock.now();
        let mut says = String::new();
        let mut is_asked = false;
        while clock.now().since(started) < BETTER_WITHIN && !context.host.is_stopping() {
            clock.pass(PAUSE, std::thread::sleep);
            let Ok(way) = self.way(context) else {
                continue;
            };
            says = match way.broken(&[]) {
                Some(broken) => broken.says,
                // One that nobody asked yet is asked, and given a moment to stay silent.
                None if way.reach == Reach::Unknown && !is_asked => {
                    "its gateway is asked".to_owned()
                }
                None => {
                    let lost = before.lost(&self.record(context)?);
                    if !lost.is_empty() {
                        batch(context, &self.interface, &lost)?;
                    }
                    return Ok(lost);
                }
            };
            is_asked = way.gateway.as_deref().is_some_and(|gateway| {
                ways::provoke(gateway);
                way.reach == Reach::Unknown
            });
        }
        Err(ActionError::failed(format!(
            "the way out is no better: {says}"
        )))
    }
}

/// What stays of an armed way back: without its file it does nothing.
fn armed_file(context: &ActionContext<'_>, interface: &str) -> PathBuf {
    context.backup_dir.join(format!("uplink-{interface}.undo"))
}

fn timer(interface: &str) -> String {
    format!("{OWN_NAME}-undo-{interface}")
}

fn write(path: &std::path::Path, lines: &str) -> Result<(), ActionError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| files::write_atomic(path, lines.as_bytes(), 0o600))
        .map_err(|why| ActionError::failed(Why::from(why).at("the way back cannot be written")))
}

fn is_systemd(context: &ActionContext<'_>) -> bool {
    context
        .managers
        .iter()
        .any(|manager| manager.name() == "systemd")
}

/// Lets the way back come by itself.
fn arm(context: &ActionContext<'_>, interface: &str, lines: &str) -> Result<(), ActionError> {
    let file = armed_file(context, interface);
    call_off(context, interface);
    write(&file, lines)?;
    let path = file.display().to_string();
    let seconds = UNDONE_AFTER.as_secs().to_string();
    let armed = match is_systemd(context) {
        true => {
            let (unit, after) = (
                format!("--unit={}", timer(interface)),
                format!("--on-active={seconds}s"),
            );
            let args = [
                "--quiet",
                "--collect",
                &unit,
                &after,
                "--timer-property=AccuracySec=1s",
                "--",
                "ip",
                "-force",
                "-batch",
                &path,
            ];
            let out = context.host.run("systemd-run", &args, QUESTION);
            out.map(|out| out.success().then_some(()).ok_or(out.reason()))
        }
        false => {
            // Two commands one after the other, in a session of their own, without a shell.
            let args = [
                "/",
                "-maxdepth",
                "0",
                "-exec",
                "sleep",
                &seconds,
                ";",
                "-exec",
                "ip",
                "-force",
                "-batch",
                &path,
                ";",
            ];
            let command = Command::new("find", &args, QUESTION);
            context.host.launch(&command, &mut || true).map(|_| Ok(()))
        }
    };
    let armed = match armed {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(why)) => Why::from(why),
        Err(why) => Why::from(why),
    };
    let _ = fs::remove_file(&file);
    Err(ActionError::failed(
        armed.at("the way back cannot be armed, nothing was touched"),
    ))
}

fn disarm(context: &ActionContext<'_>, interface: &str) {
    if let Err(why) = fs::remove_file(armed_file(context, interface)) {
        log::warn!("the armed undo of {interface}: {why}");
    }
    call_off(context, interface);
}

/// A timer that is not there is called off already.
fn call_off(context: &ActionContext<'_>, interface: &str) {
    if is_systemd(context) {
        let unit = format!("{}.timer", timer(interface));
        let _ = context
            .host
            .run("systemctl", &["stop", "--quiet", &unit], QUESTION);
    }
}

fn batch(context: &ActionContext<'_>, interface: &str, lines: &str) -> Result<(), ActionError> {
    let file = context.backup_dir.join(format!("uplink-{interface}.batch"));
    write(&file, lines)?;
    let path = file.display().to_string();
    let order = ["ip", "-force", "-batch", path.as_str()];
    let out = actions::outside(context, &order, QUESTION).map_err(ActionError::failed);
    let _ = fs::remove_file(&file);
    match out?.success() {
        true => Ok(()),
        // The rest of the lines was carried out all the same.
        false => Err(ActionError::failed(format!(
            "not all of {interface} could be put back"
        ))),
    }
}

/// Takes a change back; one that came by itself meanwhile is the same once more.
pub(super) fn put_back(
    context: &ActionContext<'_>,
    interface: &str,
    lines: &str,
) -> Result<String, ActionError> {
    if context
        .host
        .path(format!("/sys/class/net/{interface}"))
        .exists()
    {
        batch(context, interface, lines)?;
    }
    disarm(context, interface);
    Ok(format!("{interface} has its addresses and routes again"))
}
