//! A unit points at a path that has moved: a drop-in with the new path. The unit itself is never edited.

use std::fs;
use std::path::{Path, PathBuf};

use crate::actions::{ActionError, Done, Undo, Workshop, daemon_reload, units};
use crate::core::action::Action;
use crate::core::finding::evidence;
use crate::core::unit::UnitName;
use crate::host::{READ_CAP, files};
use crate::services::{self, Order};

/// Below it systemd reads the administrator's drop-ins (systemd.unit(5)).
const DROP_IN_BASE: &str = "/etc/systemd/system";

struct Target<'a> {
    unit: &'a UnitName,
    setting: &'a str,
    old: &'a str,
    new: &'a str,
}

fn target(action: &Action) -> Result<Target<'_>, ActionError> {
    match action {
        Action::PathDropIn {
            unit,
            setting,
            old,
            new,
        } => Ok(Target {
            unit,
            setting,
            old,
            new,
        }),
        other => Err(ActionError::Refused(format!("{other} is no drop-in"))),
    }
}

fn drop_in(target: &Target<'_>) -> String {
    let setting = target.setting.to_lowercase();
    format!(
        "{DROP_IN_BASE}/{}.d/50-autonomous-orchestrator-{setting}.conf",
        target.unit
    )
}

/// The old path is still missing, the new one is there and of the right kind, and the unit still has
/// the old one in its setting.
pub fn precondition(shop: &Workshop<'_>, action: &Action) -> Result<(), ActionError> {
    let target = target(action)?;
    let gone = |why: String| Err(ActionError::PreconditionGone(why));
    if shop.host.path(target.old).exists() {
        return gone(format!("{} exists again", target.old));
    }
    let Ok(meta) = fs::metadata(shop.host.path(target.new)) else {
        return gone(format!("{} does not exist", target.new));
    };
    let fits = match target.setting {
        "WorkingDirectory" => meta.is_dir(),
        "ExecStart" => {
            meta.is_file()
                && std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o111 != 0
        }
        _ => meta.is_file(),
    };
    if !fits {
        return gone(format!(
            "{} is not what {} needs",
            target.new, target.setting
        ));
    }
    lines(shop, &target).map(|_| ())
}

/// The setting's lines as the unit and its drop-ins have them, in effect order, that name the old path.
fn lines(shop: &Workshop<'_>, target: &Target<'_>) -> Result<Vec<String>, ActionError> {
    let (_, state) = services::find(shop.managers, target.unit)
        .map_err(|why| ActionError::PreconditionGone(why.to_string()))?;
    let mut values: Vec<String> = Vec::new();
    for file in std::iter::once(&state.fragment_path).chain(&state.drop_in_paths) {
        let Ok(text) = shop.host.read(file, READ_CAP) else {
            continue;
        };
        collect(&text, target.setting, &mut values);
    }
    if values.iter().any(|value| names(value, target.old)) {
        Ok(values)
    } else {
        Err(ActionError::PreconditionGone(format!(
            "{} of {} does not name {}",
            target.setting, target.unit, target.old
        )))
    }
}

/// Values of `setting` in [Service], with continuation lines joined; an empty value resets the list.
fn collect(text: &str, setting: &str, values: &mut Vec<String>) {
    let joined = text.replace("\\\n", " ");
    let mut in_service = false;
    for line in joined.lines().map(str::trim) {
        if line.starts_with('[') {
            in_service = line == "[Service]";
        } else if in_service
            && !line.starts_with(['#', ';'])
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == setting
        {
            match value.trim() {
                "" => values.clear(),
                value => values.push(value.to_owned()),
            }
        }
    }
}

/// Does a value name the path as a whole word or as a prefix of one, up to a slash?
fn names(value: &str, path: &str) -> bool {
    replace(value, path, "").is_some()
}

/// `value` with every whole occurrence of `old` replaced.
fn replace(value: &str, old: &str, new: &str) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    let mut found = false;
    while let Some(at) = rest.find(old) {
        let (before, after) = (rest.get(..at)?, rest.get(at + old.len()..)?);
        let starts = before
            .chars()
            .next_back()
            .is_none_or(|c| !c.is_alphanumeric() && !"/._".contains(c));
        let ends = after
            .chars()
            .next()
            .is_none_or(|c| c == '/' || c.is_whitespace() || "\"';,:=".contains(c));
        out.push_str(before);
        out.push_str(if starts && ends { new } else { old });
        found |= starts && ends;
        rest = after;
    }
    out.push_str(rest);
    found.then_some(out)
}

/// The drop-in's text: list settings are reset first, as systemd.unit(5) wants it.
fn text(target: &Target<'_>, values: &[String]) -> String {
    let mut text = format!(
        "# Written by autonomous-orchestrator: {} moved to {}.\n# Remove this file when the unit names the new path.\n[Service]\n",
        target.old, target.new
    );
    if target.setting != "WorkingDirectory" {
        text.push_str(&format!("{}=\n", target.setting));
    }
    for value in values {
        let value = replace(value, target.old, target.new).unwrap_or_else(|| value.clone());
        text.push_str(&format!("{}={value}\n", target.setting));
    }
    text
}

pub fn undo_record(shop: &Workshop<'_>, action: &Action) -> Result<Undo, ActionError> {
    let path = drop_in(&target(action)?);
    let existing = shop.host.path(&path);
    let backup = if existing.exists() {
        let name = path.trim_start_matches('/').replace('/', "_");
        let stamp: String = shop
            .host
            .clock
            .now()
            .to_string()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        let backup = shop.backup_dir.join(format!("{name}.{stamp}"));
        let keep = || -> std::io::Result<()> {
            fs::create_dir_all(shop.backup_dir)?;
            files::write_atomic(&backup, &fs::read(&existing)?, 0o600)
        };
        keep().map_err(|why| ActionError::Refused(format!("no backup of {path}: {why}")))?;
        Some(backup.display().to_string())
    } else {
        None
    };
    Ok(Undo::RestoreFile { path, backup })
}

pub fn execute(shop: &Workshop<'_>, action: &Action) -> Result<Done, ActionError> {
    let target = target(action)?;
    let values = lines(shop, &target)?;
    let path = drop_in(&target);
    let file = shop.host.path(&path);
    let failed = |why: std::io::Error| ActionError::Failed(format!("{path}: {why}"));
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir).map_err(failed)?;
    }
    files::write_atomic(&file, text(&target, &values).as_bytes(), 0o644).map_err(failed)?;
    daemon_reload::reload(shop)?;
    let (_, state) = services::find(shop.managers, target.unit)
        .map_err(|why| ActionError::Failed(why.to_string()))?;
    // A unit that runs keeps running with what it has; one that failed over this path gets its start.
    if state.is_failed() {
        units::order_unit(shop, Order::ResetFailedStart, target.unit)?;
    }
    Ok(Done::new(format!("wrote {path}")).with(evidence::PATH, path))
}

/// Puts the file back as it was, and lets systemd read it.
pub fn restore(
    shop: &Workshop<'_>,
    path: &str,
    backup: Option<&str>,
) -> Result<String, ActionError> {
    let base = Path::new(DROP_IN_BASE);
    let inside = Path::new(path).starts_with(base) && !path.split('/').any(|part| part == "..");
    if !inside {
        return Err(ActionError::Refused(format!(
            "{path} is not a drop-in of ours"
        )));
    }
    let file: PathBuf = shop.host.path(path);
    let failed = |why: std::io::Error| ActionError::Failed(format!("{path}: {why}"));
    match backup {
        Some(backup) => {
            let bytes = fs::read(backup).map_err(failed)?;
            files::write_atomic(&file, &bytes, 0o644).map_err(failed)?;
        }
        None => match fs::remove_file(&file) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(failed(why)),
            _ => {}
        },
    }
    daemon_reload::reload(shop)?;
    Ok(format!("{path} is as it was"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_whole_paths_are_replaced() {
        let value = "-/opt/old/bin/run --home /opt/old --not /opt/older /srv/opt/old";
        assert_eq!(
            replace(value, "/opt/old", "/opt/new").unwrap(),
            "-/opt/new/bin/run --home /opt/new --not /opt/older /srv/opt/old"
        );
        assert_eq!(replace("/opt/older", "/opt/old", "/x"), None);
    }

    #[test]
    fn values_follow_resets_and_continuations() {
        let mut values = Vec::new();
        collect(
            "[Service]\nExecStart=/a \\\n --x\nExecStart=\nExecStart=/b\n[Unit]\nExecStart=/c\n",
            "ExecStart",
            &mut values,
        );
        assert_eq!(values, ["/b"]);
    }

    #[test]
    fn a_list_setting_is_reset_before_it_is_set() {
        let unit = UnitName::new("a.service").unwrap();
        let target = Target {
            unit: &unit,
            setting: "ExecStart",
            old: "/old/run",
            new: "/new/run",
        };
        let text = text(&target, &["/old/run --x".to_owned()]);
        assert!(
            text.ends_with("[Service]\nExecStart=\nExecStart=/new/run --x\n"),
            "{text}"
        );
    }
}
