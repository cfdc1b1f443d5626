//! Who wrote a line of the journal, by the fields that only journald sets. What a writer says about itself
//! (identifier, message id, `UNIT=`, `COREDUMP_UNIT=`, `OBJECT_…=`) is believed of those alone whose word it is.

use std::borrow::Cow;

use crate::core::model::finding::Severity;
use crate::core::model::unit::is_unit_name;

/// The unit of the first process and of what it runs before a program is executed.
const MANAGER_UNIT: &str = "init.scope";
const COREDUMP_UNIT: &str = "systemd-coredump@";

/// The fields of an entry that its writer cannot choose; empty when missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trusted<'a> {
    pub transport: &'a str,
    pub pid: &'a str,
    pub uid: &'a str,
    /// Who logged in, also for what runs for him later: set at a login and by cron, then for good.
    pub login: &'a str,
    /// Of the system's manager: below a user's manager or a delegated group it is the unit above them.
    pub unit: &'a str,
    /// The unit is known to run as another user than this one.
    pub is_guest: bool,
}

impl Trusted<'_> {
    /// Root, or the user that the unit runs as.
    fn is_units(&self) -> bool {
        self.uid == "0" || (self.login.is_empty() && !self.is_guest)
    }

    /// Nobody says who logged in, and it may be a user's: cron, at or a shell run for him where no login is audited.
    pub fn may_be_guest(&self) -> bool {
        let users = self.uid.parse().is_ok_and(is_users);
        users && self.login.is_empty() && is_lasting(self.unit)
    }
}

/// Ids of people (login.defs) and of what they are handed (subuid); between lie those that systemd gives to services.
fn is_users(uid: u32) -> bool {
    (1_000..=60_000).contains(&uid) || uid >= BLOCK
}

/// Who wrote a line. Only the first five are the system's own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer<'a> {
    Kernel,
    /// The service manager: process 1, and its children until they run the unit's program.
    Manager,
    /// journald about itself.
    Journal,
    Coredump,
    /// A service that the system's manager runs, under root or its own user, but not what it runs for a user: for one that
    /// logged in, or under the id of another one.
    Service(&'a str),
    /// Root outside of a service: a login, a container.
    Root,
    /// Anybody else, by user id: free in everything that it says, and about nobody but itself.
    User(&'a str),
}

impl<'a> Writer<'a> {
    pub fn of(fields: &Trusted<'a>) -> Self {
        match (fields.transport, fields.unit) {
            ("kernel", _) => Self::Kernel,
            ("driver", _) => Self::Journal,
            (_, MANAGER_UNIT) => Self::Manager,
            _ if fields.pid == "1" => Self::Manager,
            (_, unit) if unit.starts_with(COREDUMP_UNIT) => Self::Coredump,
            (_, unit) if is_lasting(unit) && fields.is_units() => Self::Service(unit),
            _ if fields.uid == "0" => Self::Root,
            _ => Self::User(fields.uid),
        }
    }

    /// Whose share of new kinds a line counts against.
    pub fn name(self) -> Cow<'a, str> {
        match self {
            Self::Kernel => Cow::Borrowed("kernel"),
            Self::Manager => Cow::Borrowed(MANAGER_UNIT),
            Self::Journal => Cow::Borrowed("journald"),
            Self::Coredump => Cow::Borrowed("systemd-coredump"),
            Self::Service(unit) => Cow::Borrowed(unit),
            Self::Root => Cow::Borrowed("root"),
            Self::User("") => Cow::Borrowed("unknown user"),
            Self::User(uid) => Cow::Owned(share_of(uid)),
        }
    }

    /// The worst that a line of this writer may claim: only root, and what speaks for the system, knows that the host is
    /// at stake.
    pub fn severity(self, uid: &str, claimed: Severity) -> Severity {
        let trusted = match self {
            Self::Kernel | Self::Manager | Self::Journal | Self::Coredump | Self::Root => true,
            Self::Service(_) => matches!(uid, "0" | ""),
            Self::User(_) => false,
        };
        match trusted {
            true => claimed,
            false => claimed.min(Severity::Error),
        }
    }

    /// What a line is about that names no unit: `name` with its writer behind it where anybody may choose it. With
    /// a blank in it no unit, and no subject that a runbook or a root cause goes by, can be called so.
    pub fn subject(self, name: &str) -> String {
        let Self::User(uid) = self else {
            return name.to_owned();
        };
        match uid {
            "" => format!("{name} (unknown user)"),
            uid => format!("{name} (uid {uid})"),
        }
    }
}

/// Above the first block user ids are handed out in whole blocks, to users and containers: who has one can write under
/// each id of it (subuid(5)). A block that does not begin at a multiple is two.
const BLOCK: u32 = 65_536;

fn share_of(uid: &str) -> String {
    match uid.parse::<u32>().map(|id| id / BLOCK) {
        Ok(block) if block > 0 => {
            let first = block.saturating_mul(BLOCK);
            format!("uids {first}-{}", first.saturating_add(BLOCK - 1))
        }
        Ok(_) | Err(_) => format!("uid {uid}"),
    }
}

/// A service that is there tomorrow: `run-….service` was made for one command, whoever asked for it.
pub fn is_lasting(unit: &str) -> bool {
    unit.ends_with(".service") && !unit.starts_with("run-") && !is_users_manager(unit)
}

/// `user@1000.service`: runs what the user wants.
pub fn is_users_manager(unit: &str) -> bool {
    unit.starts_with("user@")
}

/// A program's name as a subject: any program may call itself like a unit, which it then is not.
pub fn program(name: &str) -> String {
    match is_unit_name(name) {
        true => format!("{name} (program)"),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVE: Trusted<'static> = Trusted {
        transport: "journal",
        pid: "812",
        uid: "1001",
        login: "1001",
        unit: "session-3.scope",
        is_guest: false,
    };

    #[test]
    fn a_writer_is_known_by_what_it_cannot_choose() {
        let unit = |unit| Writer::of(&Trusted { unit, ..EVE });
        for (writer, want) in [
            (Writer::of(&EVE), Writer::User("1001")),
            (unit("user@1001.service"), Writer::User("1001")),
            (unit(""), Writer::User("1001")),
            (unit("run-u7.service"), Writer::User("1001")),
            // A job of hers that cron runs.
            (unit("cron.service"), Writer::User("1001")),
            (
                Writer::of(&Trusted {
                    login: "",
                    unit: "app.service",
                    ..EVE
                }),
                Writer::Service("app.service"),
            ),
            // The same where logins are not audited, or sshd asks no PAM.
            (
                Writer::of(&Trusted {
                    login: "",
                    unit: "cron.service",
                    is_guest: true,
                    ..EVE
                }),
                Writer::User("1001"),
            ),
            (unit("init.scope"), Writer::Manager),
            (unit("systemd-coredump@0-1-0.service"), Writer::Coredump),
            (Writer::of(&Trusted { uid: "0", ..EVE }), Writer::Root),
            (Writer::of(&Trusted { pid: "1", ..EVE }), Writer::Manager),
            (
                Writer::of(&Trusted {
                    transport: "kernel",
                    ..EVE
                }),
                Writer::Kernel,
            ),
            (
                Writer::of(&Trusted {
                    transport: "driver",
                    ..EVE
                }),
                Writer::Journal,
            ),
            (Writer::of(&Trusted::default()), Writer::User("")),
        ] {
            assert_eq!(writer, want);
        }
    }

    #[test]
    fn a_guest_has_an_id_of_people_in_a_service_without_a_login() {
        for (uid, login, unit, may_be) in [
            ("1000", "", "cron.service", true),
            ("100000", "", "cron.service", true),
            ("0", "", "cron.service", false),
            ("33", "", "nginx.service", false),
            ("61200", "", "dynamic.service", false),
            ("65534", "", "dnsmasq.service", false),
            ("1000", "1000", "cron.service", false),
            ("1000", "", "session-3.scope", false),
            ("", "", "cron.service", false),
        ] {
            let fields = Trusted {
                transport: "syslog",
                pid: "9",
                uid,
                login,
                unit,
                is_guest: false,
            };
            assert_eq!(fields.may_be_guest(), may_be, "{uid} {unit}");
        }
    }

    #[test]
    fn all_the_ids_that_one_user_was_handed_are_one_writer() {
        for (uid, share) in [
            ("1001", "uid 1001"),
            ("65535", "uid 65535"),
            ("100000", "uids 65536-131071"),
            ("131071", "uids 65536-131071"),
            ("131072", "uids 131072-196607"),
            ("4294967295", "uids 4294901760-4294967295"),
            ("x", "uid x"),
            ("", "unknown user"),
        ] {
            assert_eq!(Writer::User(uid).name(), share, "{uid}");
        }
        let subordinate = Writer::User("100007");
        assert_eq!(subordinate.subject("app"), "app (uid 100007)");
    }

    #[test]
    fn a_users_word_is_capped_and_never_a_unit() {
        let eve = Writer::of(&EVE);
        let app = Writer::Service("app.service");
        for (writer, uid, most) in [
            (eve, "1001", Severity::Error),
            (app, "1001", Severity::Error),
            (app, "33", Severity::Error),
            (app, "0", Severity::Critical),
            (Writer::Root, "0", Severity::Critical),
        ] {
            assert_eq!(writer.severity(uid, Severity::Critical), most, "{uid}");
            assert_eq!(writer.severity(uid, Severity::Warning), Severity::Warning);
        }
        assert_eq!(eve.subject("web.service"), "web.service (uid 1001)");
        assert_eq!(program("web.service"), "web.service (program)");
        assert_eq!(program("web"), "web");
    }
}
