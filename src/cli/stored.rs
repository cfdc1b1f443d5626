//! Opening the store for a command, and what every command that writes needs.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::error::{CliError, ErrorKind};
use crate::cli::globals::Globals;
use crate::cli::typed::Typed;
use crate::core::config::Config;
use crate::core::model::hint::Hint;
use crate::core::model::inert;
use crate::core::model::time::Timestamp;
use crate::host::clock::Clock;
use crate::store::{Reader, Store, StoreError, StoreOptions};

/// Where the store is and its bounds, as the daemon has them.
pub(super) fn options(globals: &Globals, config: &Config) -> StoreOptions {
    StoreOptions {
        busy_timeout: Duration::from_millis(u64::from(config.store.busy_timeout_ms)),
        ballast_bytes: u64::from(config.store.ballast_kib) << 10,
        retain_days: config.store.retain_days,
        max_bytes: u64::from(config.store.max_mib) << 20,
        backup_every: Duration::from_secs(u64::from(config.store.backup_hours) * 3_600),
        ..StoreOptions::at(path(globals, config))
    }
}

pub(super) fn path(globals: &Globals, config: &Config) -> PathBuf {
    globals
        .host()
        .path(&config.daemon.state_dir)
        .join("tasks.db")
}

/// A reader for a listing. Never creates anything: a listing of nothing is a mistake worth telling.
pub(super) fn reader(globals: &Globals, config: &Config) -> Result<Reader, CliError> {
    let options = options(globals, config);
    must_exist(&options)?;
    Ok(Store::open_read_only(&options)?)
}

/// The store for a command that writes, beside a running daemon.
pub(super) fn store(globals: &Globals, config: &Config, now: Timestamp) -> Result<Store, CliError> {
    let options = options(globals, config);
    must_exist(&options)?;
    // Opening for writing sets a damaged file aside; only the daemon, which then holds no old handle to it,
    // may do that.
    let answer = Store::open_read_only(&options).and_then(|reader| reader.integrity())?;
    if answer != "ok" {
        return Err(StoreError::Corrupt(answer).into());
    }
    let (store, report) = Store::open(&options, now)?;
    for message in &report.messages {
        use io::Write;
        let _ = writeln!(io::stderr(), "store: {message}");
    }
    Ok(store)
}

fn must_exist(options: &StoreOptions) -> Result<(), CliError> {
    let path = options.path.display();
    match std::fs::File::open(&options.path) {
        Ok(_) => Ok(()),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Err(CliError::new(
            ErrorKind::NoStore,
            format!("{path}: there is no store yet"),
        )
        .hint("start the daemon, or name its directory with --state-dir")),
        Err(why) => {
            let (kind, hint) = if why.kind() == io::ErrorKind::PermissionDenied {
                (ErrorKind::Permission, "run as root")
            } else {
                (ErrorKind::Store, "see `doctor`")
            };
            let what = format!("{path}: cannot be opened");
            Err(CliError::new(kind, what).because(why).hint(hint))
        }
    }
}

/// A question that makes no sense is told apart from a store that does not work.
impl From<StoreError> for CliError {
    fn from(why: StoreError) -> Self {
        match why {
            StoreError::NoTask(_)
            | StoreError::WrongState { .. }
            | StoreError::NotProposed { .. }
            | StoreError::Import(..) => Self::hinted(ErrorKind::Failed, why),
            StoreError::Unusable { .. }
            | StoreError::NotReplaced { .. }
            | StoreError::Newer { .. }
            | StoreError::Older { .. }
            | StoreError::Empty(_)
            | StoreError::Busy
            | StoreError::Full
            | StoreError::Io(_)
            | StoreError::Corrupt(_)
            | StoreError::Closed
            | StoreError::Sqlite(_) => {
                let hint = why.hint();
                Self::new(ErrorKind::Store, "store").because(why).hint(hint)
            }
        }
    }
}

/// Who is written into the audit: `--by`, else whoever called sudo, else the user.
pub(super) fn actor(typed: &Typed) -> Result<String, CliError> {
    let given = typed.parsed::<String>("by")?;
    let named = given.or_else(|| {
        ["SUDO_USER", "USER", "LOGNAME"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    });
    let name = named.unwrap_or_else(|| {
        let uid = nix::unistd::getuid();
        let user = nix::unistd::User::from_uid(uid).ok().flatten();
        user.map_or_else(|| format!("uid {uid}"), |user| user.name)
    });
    // The name ends up in one line of the audit.
    let clean: String = name
        .chars()
        .filter(|c| !inert::is_active(*c))
        .take(64)
        .collect();
    if clean.trim().is_empty() {
        return Err(CliError::usage("--by '': an empty name says nothing").hint("give one"));
    }
    Ok(clean)
}

/// Longest snooze: after it nobody remembers why.
const SNOOZE_MAX: Duration = Duration::from_secs(90 * 86_400);

/// `30m`, `8h`, `2d`, a time in UTC with its day, or one of this host's clock on the wall without; always ahead of the
/// clock's now.
pub(super) fn until(text: &str, clock: &Clock) -> Result<Timestamp, CliError> {
    until_at(text, clock.now(), &|at| clock.ahead_at_s(at))
}

/// The same at `now`, with how far the clock on the wall is ahead of UTC at a time, in seconds.
fn until_at(
    text: &str,
    now: Timestamp,
    ahead_s: &dyn Fn(Timestamp) -> i64,
) -> Result<Timestamp, CliError> {
    let bad = |why: &str| {
        CliError::usage(format!("'{text}': {why}"))
            .hint("write 30m, 8h, 2d, 'HH:MM' (this host's clock) or 'YYYY-MM-DD HH:MM' (UTC), at most 90 days ahead")
    };
    let at = match span(text) {
        Some(span) => now.plus(span),
        None => text
            .parse()
            .or_else(|_| format!("{text}:00").parse())
            .or_else(|_| of_day(text, now, ahead_s).ok_or(()))
            .map_err(|()| bad("is neither a span nor a time"))?,
    };
    if at <= now {
        return Err(bad("is not in the future"));
    }
    if at.since(now) > SNOOZE_MAX {
        return Err(bad("is too far ahead"));
    }
    Ok(at)
}

/// The next moment that the clock on the wall shows `HH:MM`.
fn of_day(text: &str, now: Timestamp, ahead_s: &dyn Fn(Timestamp) -> i64) -> Option<Timestamp> {
    let moved = |at: Timestamp, by_s: i64| Timestamp::from_millis(at.as_millis() + by_s * 1_000);
    let on = |days: i64| {
        let day = moved(now, ahead_s(now) + days * 86_400).second();
        let shown: Timestamp = format!("{} {text}:00", day.get(..10)?).parse().ok()?;
        // The wall's hour may be moved before then.
        let about = moved(shown, -ahead_s(now));
        Some(moved(shown, -ahead_s(about)))
    };
    [0, 1].into_iter().filter_map(on).find(|at| *at > now)
}

fn span(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
    Some(Duration::from_secs(count.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn spans_and_times_are_read() {
        let now: Timestamp = "2026-01-01 00:00:00".parse().unwrap();
        let until = |text: &str, now| until_at(text, now, &|_| 0);
        assert_eq!(
            until("8h", now).unwrap().to_string(),
            "2026-01-01 08:00:00.000"
        );
        for midnight in ["2026-01-02 00:00:00", "2026-01-02 00:00"] {
            assert_eq!(
                until(midnight, now).unwrap().to_string(),
                "2026-01-02 00:00:00.000"
            );
        }
        let noon: Timestamp = "2026-01-01 12:00:00".parse().unwrap();
        for (time, at) in [
            ("22:30", "2026-01-01 22:30:00.000"),
            ("12:00", "2026-01-02 12:00:00.000"),
            ("06:00", "2026-01-02 06:00:00.000"),
        ] {
            assert_eq!(until(time, noon).unwrap().to_string(), at);
        }
        for bad in [
            "25:00",
            "6:0",
            "",
            "h",
            "0m",
            "-5m",
            "é",
            "91d",
            "99999999999999999999d",
            "18446744073709551615d",
            "2025-01-01 00:00:00",
        ] {
            assert!(until(bad, now).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_hour_without_its_day_is_of_the_clock_on_the_wall() {
        // Berlin: an hour ahead, two from the last Sunday of March at 01:00 UTC on.
        let summer: Timestamp = "2026-03-29 01:00:00".parse().unwrap();
        let berlin = |at: Timestamp| if at < summer { 3_600 } else { 7_200 };
        let new_york = |_: Timestamp| -18_000;
        type Ahead<'a> = &'a dyn Fn(Timestamp) -> i64;
        let rows: [(Ahead<'_>, &str, &str, &str); 8] = [
            (
                &berlin,
                "2026-01-01 20:00:00",
                "06:00",
                "2026-01-02 05:00:00",
            ),
            (
                &berlin,
                "2026-01-01 04:59:00",
                "06:00",
                "2026-01-01 05:00:00",
            ),
            (
                &berlin,
                "2026-01-01 05:00:00",
                "06:00",
                "2026-01-02 05:00:00",
            ),
            // There the day is another one than in UTC.
            (
                &berlin,
                "2026-01-01 23:30:00",
                "06:00",
                "2026-01-02 05:00:00",
            ),
            (
                &berlin,
                "2026-01-01 22:30:00",
                "00:15",
                "2026-01-01 23:15:00",
            ),
            (
                &berlin,
                "2026-03-28 21:00:00",
                "06:00",
                "2026-03-29 04:00:00",
            ),
            (
                &new_york,
                "2026-01-01 03:00:00",
                "22:30",
                "2026-01-01 03:30:00",
            ),
            (
                &new_york,
                "2026-01-01 12:00:00",
                "06:00",
                "2026-01-02 11:00:00",
            ),
        ];
        for (ahead_s, now, text, want) in rows {
            let at = until_at(text, now.parse().unwrap(), ahead_s).unwrap();
            assert_eq!(at.second(), want, "{text} at {now}");
        }
        let utc = until_at(
            "2026-01-02 06:00",
            summer.minus(Duration::from_secs(80 * 86_400)),
            &berlin,
        );
        assert!(utc.is_err(), "behind us");
        let now = "2026-01-01 20:00:00".parse().unwrap();
        let at = until_at("2026-01-02 06:00", now, &berlin).unwrap();
        assert_eq!(at.second(), "2026-01-02 06:00:00", "with its day: UTC");
    }
}
