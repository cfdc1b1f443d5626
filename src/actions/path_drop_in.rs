//! A unit points at a path that has moved: a drop-in with the new path. The unit itself is never edited.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::{getegid, geteuid};

use crate::actions::error::Why;
use crate::actions::{Action, ActionContext, ActionError, Basis, Done, Undo, daemon_reload, units};
use crate::core::model::action::ActionKind;
use crate::core::model::facts::Key;
use crate::core::model::proposal::Terms;
use crate::core::model::unit::{UnitName, UnitState};
use crate::core::reading::unit_file::Need;
use crate::core::remedy::target::{self, TargetError};
use crate::host::READ_CAP;
use crate::host::files::{self, Medium};
use crate::host::trusted::{self, Folder, Owners};
use crate::services;
use crate::services::standing::Standing;

/// Below it systemd reads the administrator's drop-ins (systemd.unit(5)).
const DROP_IN_BASE: &str = "/etc/systemd/system";
/// In the name of every file of ours, so that no other is ever restored over or removed.
pub const MARK: &str = "-autonomous-orchestrator-";
/// Unit files are for everybody to read.
const MODE: u32 = 0o644;

#[derive(Debug)]
pub struct PathDropIn {
    pub(super) unit: UnitName,
    /// `ExecStart`, `WorkingDirectory` or `EnvironmentFile`.
    pub(super) setting: String,
    pub(super) old: String,
    pub(super) new: String,
}

impl PathDropIn {
    pub fn of(basis: &Basis<'_>) -> Result<Self, TargetError> {
        let finding = basis.finding;
        let setting = target::fact(finding, Key::Setting)?;
        if !matches!(
            setting,
            "ExecStart" | "WorkingDirectory" | "EnvironmentFile"
        ) {
            return Err(TargetError::Setting(setting.to_owned()));
        }
        let old = target::unit_path(finding, Key::Path)?;
        let new = target::unit_path(finding, Key::MovedTo)?;
        if old == new {
            return Err(TargetError::SamePath);
        }
        Ok(Self {
            unit: target::unit(finding)?,
            setting: setting.to_owned(),
            old,
            new,
        })
    }
}

impl fmt::Display for PathDropIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            unit,
            setting,
            old,
            new,
        } = self;
        write!(f, "drop-in for {unit}: {setting} {old} -> {new}")
    }
}

/// Where the drop-in goes. Drop-ins count in the order of their names, so one of the administrator's
/// that would come later, as `override.conf` does, is gone past.
fn drop_in(target: &PathDropIn, others: &[String]) -> String {
    let name = format!("{MARK}{}.conf", target.setting.to_lowercase());
    let usual = format!("50{name}");
    let covered = others
        .iter()
        .filter_map(|path| path.rsplit('/').next())
        .any(|other| !other.contains(MARK) && other > usual.as_str());
    let name = if covered { format!("zz{name}") } else { usual };
    format!("{DROP_IN_BASE}/{}.d/{name}", target.unit)
}

/// The unit as its manager has it now.
fn state(context: &ActionContext<'_>, unit: &UnitName) -> Result<UnitState, ActionError> {
    services::find(context.managers, unit)
        .map(|(_, state)| state)
        .map_err(ActionError::gone)
}

impl Action for PathDropIn {
    fn kind(&self) -> ActionKind {
        ActionKind::PathDropIn
    }

    fn unit(&self) -> Option<&UnitName> {
        Some(&self.unit)
    }

    fn terms(&self, context: &ActionContext<'_>) -> Result<Terms, ActionError> {
        let state = state(context, &self.unit)?;
        let texts = services::unit_files(context.host, &state);
        let mut terms =
            Terms::undone_by("put the drop-in back as it was, or remove it; daemon-reload")
                .with("unit", &self.unit)
                .with("setting", &self.setting)
                .with("old", &self.old)
                .with("writes", drop_in(self, &state.drop_in_paths))
                .with("writes owner", format!("{}:{}", geteuid(), getegid()))
                .with("writes mode", format!("{MODE:04o}"));
        for line in replaced(self, &lines(self, &texts)?) {
            terms = terms.with("line", line);
        }
        let proven = self.prove(context, &state, &texts)?;
        let file = files::identity(proven)
            .map_err(|why| ActionError::gone(Why::from(why).at(&self.new)))?;
        Ok(terms.with_file("new", &self.new, &file))
    }

    /// The old path is still missing, the new one is there, of the right kind and nobody else's to change, and
    /// the unit still has the old one in its setting.
    fn precondition(&self, context: &ActionContext<'_>) -> Result<(), ActionError> {
        if context.host.of_init().path(&self.old).exists() {
            let why = format!("{} exists again", self.old);
            return Err(ActionError::gone(why));
        }
        let state = state(context, &self.unit)?;
        let texts = services::unit_files(context.host, &state);
        self.prove(context, &state, &texts)?;
        folder(context, &drop_in(self, &state.drop_in_paths))?;
        lines(self, &texts).map(|_| ())
    }

    fn undo_record(&self, context: &ActionContext<'_>) -> Result<Undo, ActionError> {
        let state = state(context, &self.unit)?;
        let texts = services::unit_files(context.host, &state);
        let written = Some(text(self, &lines(self, &texts)?));
        let path = drop_in(self, &state.drop_in_paths);
        folder(context, &path)?;
        let owners = Owners::of(context.host);
        let backup =
            match trusted::open(context.host, &path, &owners) {
                Ok(existing) => {
                    let bytes = existing.bytes(READ_CAP).map_err(Why::from);
                    let copy = bytes.and_then(|bytes| keep(context, &path, "", &bytes));
                    Some(copy.map_err(|why| {
                        ActionError::refused(why.at(&format!("no backup of {path}")))
                    })?)
                }
                Err(why) if why.is_absent() => None,
                Err(why) => return Err(ActionError::refused(why)),
            };
        Ok(Undo::RestoreFile {
            path,
            backup,
            written,
        })
    }

    fn act(&self, context: &ActionContext<'_>) -> Result<Done, ActionError> {
        let before = state(context, &self.unit)?;
        let texts = services::unit_files(context.host, &before);
        let values = lines(self, &texts)?;
        let path = drop_in(self, &before.drop_in_paths);
        let failed = |why: io::Error| ActionError::failed(Why::from(why).at(&path));
        let folder = match folder(context, &path)? {
            Some(folder) => folder,
            None => made_folder(context, &path)?,
        };
        // Once more, right before it counts: the descriptor stays open until the drop-in is in effect.
        let _proven = self.prove(context, &before, &texts)?;
        let text = text(self, &values);
        folder
            .write(name_of(&path), text.as_bytes(), MODE, Medium::Flushed)
            .map_err(failed)?;
        daemon_reload::reload(context)?;
        let after = state(context, &self.unit)?;
        if still_names(&after, self) {
            return Err(ActionError::failed(format!(
                "{path} is not in effect: {} still has {}",
                self.unit, self.old
            )));
        }
        let mut message = format!("wrote {path}");
        // A unit that runs keeps running with what it has; one that failed over this path gets its start.
        if after.is_failed()
            && let Some(why) = units::start_if_wanted(context, &self.unit)?
        {
            message.push_str(&format!("; not started: {why}"));
        }
        Ok(Done::new(message).noting("path", path))
    }
}

impl PathDropIn {
    /// Proves the new place: of the right kind, and nobody's who has fewer rights than the unit. What comes back
    /// is the very file or directory.
    fn prove(
        &self,
        context: &ActionContext<'_>,
        state: &UnitState,
        texts: &[String],
    ) -> Result<OwnedFd, ActionError> {
        let need = match self.setting.as_str() {
            "WorkingDirectory" => Need::Directory,
            "ExecStart" => Need::Executable,
            _ => Need::File,
        };
        Standing::of(context.host, state, texts)
            .prove(&context.host.of_init(), need, &self.old, &self.new)
            .map_err(|why| match why.is_absent() {
                true => ActionError::gone(why),
                false => ActionError::refused(why),
            })
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(folder, _)| folder)
}

fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The proven folder of a drop-in; none where it is still to be made.
fn folder(context: &ActionContext<'_>, path: &str) -> Result<Option<Folder>, ActionError> {
    plain(context, path)?;
    match trusted::folder(context.host, folder_of(path), &Owners::of(context.host)) {
        Ok(folder) => Ok(Some(folder)),
        // All above it was proven on the way.
        Err(why) if why.is_absent() => Ok(None),
        Err(why) => Err(ActionError::refused(why)),
    }
}

fn made_folder(context: &ActionContext<'_>, path: &str) -> Result<Folder, ActionError> {
    let at = context.host.path(folder_of(path));
    fs::create_dir_all(&at)
        // Our own umask keeps everybody out; unit files are for everybody to read.
        .and_then(|()| fs::set_permissions(&at, fs::Permissions::from_mode(0o755)))
        .map_err(|why| ActionError::failed(Why::from(why).at(path)))?;
    trusted::folder(context.host, folder_of(path), &Owners::of(context.host))
        .map_err(ActionError::refused)
}

/// Refuses a drop-in whose file or folder is a symbolic link, whoever set it: what is written there would land
/// elsewhere.
fn plain(context: &ActionContext<'_>, path: &str) -> Result<(), ActionError> {
    let file = context.host.path(path);
    let link = |path: &Path| path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
    if link(&file) || file.parent().is_some_and(link) {
        let why = format!("{path} is, or lies behind, a symbolic link");
        return Err(ActionError::refused(why));
    }
    Ok(())
}

/// Writes what stands at `path` into the backups, under a name with this `end`; the copy's path.
fn keep(context: &ActionContext<'_>, path: &str, end: &str, bytes: &[u8]) -> Result<String, Why> {
    let now = context.host.clock.now().to_string();
    let stamp: String = now.chars().filter(char::is_ascii_digit).collect();
    let name = format!(
        "{}.{stamp}{end}",
        path.trim_start_matches('/').replace('/', "_")
    );
    fs::create_dir_all(context.backup_dir)?;
    let backups = context.host.named(context.backup_dir)?;
    let folder = trusted::folder(context.host, &backups, &Owners::of(context.host))?;
    folder.write(&name, bytes, 0o600, Medium::Flushed)?;
    Ok(context.backup_dir.join(name).display().to_string())
}

/// The setting's lines as the unit and its drop-ins have them, in effect order, that name the old path.
fn lines(target: &PathDropIn, texts: &[String]) -> Result<Vec<String>, ActionError> {
    let mut values: Vec<String> = Vec::new();
    for text in texts {
        collect(text, &target.setting, &mut values);
    }
    if values.iter().any(|value| names(value, &target.old)) {
        Ok(values)
    } else {
        Err(ActionError::gone(format!(
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
fn text(target: &PathDropIn, values: &[String]) -> String {
    let mut text = format!(
        "# Written by autonomous-orchestrator: {} moved to {}.\n# Remove this file when the unit names the new path.\n[Service]\n",
        target.old, target.new
    );
    if target.setting != "WorkingDirectory" {
        text.push_str(&format!("{}=\n", target.setting));
    }
    for line in replaced(target, values) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The setting's lines with the new path.
fn replaced(target: &PathDropIn, values: &[String]) -> Vec<String> {
    // A percent sign starts a specifier there.
    let new = target.new.replace('%', "%%");
    let line = |value: &String| {
        let value = replace(value, &target.old, &new).unwrap_or_else(|| value.clone());
        format!("{}={value}", target.setting)
    };
    values.iter().map(line).collect()
}

/// Does the manager still hold the old path, as far as it tells?
fn still_names(unit: &UnitState, target: &PathDropIn) -> bool {
    match target.setting.as_str() {
        "WorkingDirectory" => names(&unit.working_directory, &target.old),
        "ExecStart" => unit.exec_start.iter().any(|path| names(path, &target.old)),
        _ => false,
    }
}

/// Puts the file back as it was, and lets systemd read it. Of what stands there and is not what was `written` a copy is
/// kept.
pub fn restore(
    context: &ActionContext<'_>,
    path: &str,
    backup: Option<&str>,
    written: Option<&str>,
) -> Result<String, ActionError> {
    let own = path.strip_prefix(DROP_IN_BASE).is_some_and(|rest| {
        let parts: Vec<&str> = rest.split('/').collect();
        matches!(parts.as_slice(), ["", folder, name]
            if folder.ends_with(".d") && name.contains(MARK) && name.ends_with(".conf"))
    });
    if !own {
        return Err(ActionError::refused(format!(
            "{path} is not a drop-in of ours"
        )));
    }
    let Some(folder) = folder(context, path)? else {
        return Ok(format!("{path} is gone already"));
    };
    let failed = |why: io::Error| ActionError::failed(Why::from(why).at(path));
    let earlier = match backup {
        Some(backup) => {
            let copy = context.host.named(Path::new(backup)).map_err(failed)?;
            let copy = trusted::open(context.host, &copy, &Owners::of(context.host));
            let copy = copy.map_err(ActionError::refused)?;
            Some(copy.bytes(READ_CAP).map_err(failed)?)
        }
        None => None,
    };
    // Whoever wrote it: it is copied, for root alone to read, and counts for nothing.
    let kept = match trusted::open(context.host, path, &Owners::anybody(context.host)) {
        Ok(now) => {
            let now = now.bytes(READ_CAP).map_err(failed)?;
            let is_known = written.is_some_and(|text| text.as_bytes() == now)
                || earlier.as_ref().is_some_and(|bytes| *bytes == now);
            match is_known {
                true => None,
                false => Some(keep(context, path, ".taken_back", &now).map_err(|why| {
                    ActionError::refused(why.at(&format!("no copy of {path} as it is now")))
                })?),
            }
        }
        Err(why) if why.is_absent() => None,
        Err(why) => return Err(ActionError::refused(why)),
    };
    match earlier {
        Some(bytes) => folder.write(name_of(path), &bytes, MODE, Medium::Flushed),
        None => folder.remove(name_of(path)),
    }
    .map_err(failed)?;
    // Removed only when nothing else lies in it.
    let _ = fs::remove_dir(context.host.path(folder_of(path)));
    daemon_reload::reload(context)?;
    let mut done = match backup {
        Some(_) => format!("{path} is as it was"),
        None => format!("{path} is removed"),
    };
    if let Some(copy) = kept {
        done.push_str(&format!(
            "; it was not as this program wrote it: a copy is kept at {copy}"
        ));
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn moved(old: &str, new: &str) -> PathDropIn {
        PathDropIn {
            unit: UnitName::new("a.service").unwrap(),
            setting: "ExecStart".to_owned(),
            old: old.to_owned(),
            new: new.to_owned(),
        }
    }

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
    fn ours_comes_after_the_administrators() {
        let target = moved("/old", "/new");
        let name = |others: &[&str]| {
            let others: Vec<String> = others.iter().map(|one| (*one).to_owned()).collect();
            drop_in(&target, &others)
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned()
        };
        let usual = "50-autonomous-orchestrator-execstart.conf";
        assert_eq!(name(&[]), usual);
        assert_eq!(name(&["/etc/systemd/system/a.service.d/10-x.conf"]), usual);
        assert_eq!(
            name(&["/etc/systemd/system/a.service.d/override.conf"]),
            "zz-autonomous-orchestrator-execstart.conf"
        );
        assert_eq!(
            name(&["/x/zz-autonomous-orchestrator-workingdirectory.conf"]),
            usual
        );
    }

    #[test]
    fn a_list_setting_is_reset_before_it_is_set() {
        let target = moved("/old/run", "/new/run");
        let text = text(&target, &["/old/run --x".to_owned()]);
        assert!(
            text.ends_with("[Service]\nExecStart=\nExecStart=/new/run --x\n"),
            "{text}"
        );
    }
}
