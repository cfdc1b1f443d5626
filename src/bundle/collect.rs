//! Finds and reads the input files: what may go in, what kind it is, how it is cut.

use std::path::{Path, PathBuf};

use super::error::{BadLine, BundleError, LeftOut};
use super::report::Builder;
use super::source::{Passage, Source, sha256_hex, without_secrets};
use super::{cut, inflate, man};
use crate::core::human::redact::Redactor;
use crate::core::model::named::named;
use crate::core::model::text::matches_glob;
use crate::core::model::time::Timestamp;
use crate::host::Host;
use crate::host::trusted::{self, Distrust, Owners};

/// Larger files are data or logs, not instructions.
const FILE_MAX: usize = 4 << 20;
const DEPTH_MAX: usize = 24;
/// Most files of one build.
const FILES_MAX: usize = 100_000;

/// Never read, whatever the scope says: keys, password files, credentials. Matched against the name and
/// the whole path, without regard to case.
const DENIED: &[&str] = &[
    "*.key",
    "*.pem",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.ppk",
    "*.gpg",
    "*.ovpn",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "ssh_host_*",
    "shadow",
    "shadow-",
    "gshadow",
    "gshadow-",
    "opasswd",
    ".env",
    ".env.*",
    "*.env",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    "htpasswd*",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    "*secret*",
    "*credential*",
    "*password*",
    "*passwd*",
    "*.token",
    "token",
    "*_token",
    "*token.txt",
    "auth.json",
    "kubeconfig*",
    "*.tfstate*",
    "wpa_supplicant*.conf",
    "*/.ssh/*",
    "*/.gnupg/*",
    "*/.aws/*",
    "*/.kube/*",
    "*/.docker/*",
    "*/ssl/private/*",
    "*/letsencrypt/*",
    "*/wireguard/*",
    "*/system-connections/*",
    "*/.git/*",
    "*/lost+found/*",
    "*/proc/[0-9]*",
    "*.nmconnection",
    "machine-id",
    "*_history",
];

/// The scope file: one rule a line, `allow GLOB` or `deny GLOB`; `#` begins a comment. With any `allow`
/// line only what one of them matches goes in. What is denied by default stays denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeFile {
    allow: Vec<String>,
    deny: Vec<String>,
}

impl ScopeFile {
    pub(super) fn read(path: &Path) -> Result<Self, BundleError> {
        let text = std::fs::read_to_string(path).map_err(BundleError::io(path))?;
        Self::parse(&text).map_err(|bad| BundleError::Input(path.to_owned(), bad))
    }

    fn parse(text: &str) -> Result<Self, BadLine> {
        let mut scope = Self::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once(char::is_whitespace) {
                Some(("allow", glob)) => scope.allow.push(glob.trim().to_owned()),
                Some(("deny", glob)) => scope.deny.push(glob.trim().to_owned()),
                _ => {
                    return Err(BadLine {
                        number: at + 1,
                        line: line.to_owned(),
                        wanted: "neither 'allow GLOB' nor 'deny GLOB'",
                    });
                }
            }
        }
        Ok(scope)
    }

    /// Why `path` may not go in, if so.
    fn refusal(&self, path: &Path) -> Option<LeftOut> {
        let whole = path.to_string_lossy();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let lower = (whole.to_lowercase(), name.to_lowercase());
        if DENIED
            .iter()
            .any(|glob| matches_glob(glob, &lower.0) || matches_glob(glob, &lower.1))
        {
            return Some(LeftOut::MayHoldSecrets);
        }
        let hit = |globs: &[String]| {
            globs
                .iter()
                .any(|glob| matches_glob(glob, &whole) || matches_glob(glob, &name))
        };
        if hit(&self.deny) {
            return Some(LeftOut::Denied);
        }
        (!self.allow.is_empty() && !hit(&self.allow)).then_some(LeftOut::NotAllowed)
    }
}

/// Reads `root` (a file or a directory, recursively) into `out`, in order of path.
pub(super) fn read(
    root: &Path,
    scope: &ScopeFile,
    builder: &mut Builder,
    out: &mut Vec<Source>,
) -> Result<(), BundleError> {
    let meta = std::fs::metadata(root).map_err(BundleError::io(root))?;
    let mut files = Vec::new();
    if meta.is_dir() {
        walk(root, 0, builder, &mut files);
    } else {
        files.push(root.to_owned());
    }
    files.sort();
    for file in files {
        let named = file.as_path() == root;
        match one(&file, named, scope, &builder.redactor) {
            Ok(Some(source)) => {
                if !source
                    .passages
                    .iter()
                    .all(|passage| builder.has_room(passage.text.len()))
                {
                    builder.skip(file.display(), &LeftOut::Full);
                    return Ok(());
                }
                out.push(source);
            }
            Ok(None) => {}
            Err(why) => builder.skip(file.display(), &why),
        }
    }
    Ok(())
}

/// Regular files below `directory`. Symbolic links are not followed: they repeat what is read anyway, and
/// can form loops or lead out of the scope.
fn walk(directory: &Path, depth: usize, builder: &mut Builder, files: &mut Vec<PathBuf>) {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) if depth < DEPTH_MAX => entries,
        Ok(_) => return builder.skip(directory.display(), &LeftOut::TooDeep),
        Err(why) => return builder.skip(directory.display(), &LeftOut::Io(why)),
    };
    let mut below = Vec::new();
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => below.push(entry.path()),
            Ok(kind) if kind.is_file() && files.len() < FILES_MAX => files.push(entry.path()),
            Ok(kind) if kind.is_file() => {
                return builder.skip(directory.display(), &LeftOut::TooManyFiles);
            }
            _ => {}
        }
    }
    below.sort();
    for directory in below
        .iter()
        .filter(|path| path.file_name().is_none_or(|name| name != ".git"))
    {
        walk(directory, depth + 1, builder, files);
    }
}

named! {
    /// What a file is, by its name alone.
    DocumentKind "kind of document" {
        Markdown = "markdown",
        Unit = "unit",
        Config = "config",
        Man = "man",
        Text = "text",
    }
}

impl DocumentKind {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_lowercase();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        let parent = path
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str())
            .unwrap_or("");
        let ending = plain.rsplit_once('.').map_or("", |(_, ending)| ending);
        let manual = ending.starts_with(|c: char| c.is_ascii_digit()) && parent.starts_with("man");
        Some(match ending {
            _ if manual => Self::Man,
            _ if plain != name => return None,
            "md" | "markdown" | "mdown" => Self::Markdown,
            "service" | "socket" | "timer" | "mount" | "path" | "target" | "slice"
            | "automount" | "swap" => Self::Unit,
            "conf" if parent.ends_with(".d") && parent.contains(".service") => Self::Unit,
            "conf" | "cfg" | "cnf" | "ini" | "toml" | "yaml" | "yml" | "rules" | "network"
            | "netdev" | "link" | "properties" => Self::Config,
            "txt" | "rst" | "adoc" | "text" => Self::Text,
            "" if matches!(
                name.as_str(),
                "readme" | "install" | "changelog" | "runbook" | "notes" | "todo"
            ) =>
            {
                Self::Text
            }
            "" if matches!(
                parent,
                "init.d" | "sites-enabled" | "sites-available" | "conf.d"
            ) =>
            {
                Self::Config
            }
            _ => return None,
        })
    }
}

/// Reads one file. `Ok(None)`: not a kind that is read.
fn one(
    path: &Path,
    named: bool,
    scope: &ScopeFile,
    redactor: &Redactor,
) -> Result<Option<Source>, LeftOut> {
    // A file that was named itself is read as text whatever its ending.
    let Some(kind) = DocumentKind::of(path).or(named.then_some(DocumentKind::Text)) else {
        return Ok(None);
    };
    if let Some(why) = scope.refusal(path) {
        return Err(why);
    }
    let (bytes, modified) = read_file(path)?;
    let sha256 = sha256_hex(&bytes);
    let size = bytes.len() as u64;
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        inflate::gunzip(&bytes, FILE_MAX).ok_or(LeftOut::Damaged)?
    } else {
        bytes
    };
    if bytes.iter().take(8192).any(|byte| *byte == 0) {
        return Err(LeftOut::Binary);
    }
    let text = String::from_utf8_lossy(&bytes);
    let (text, redacted) = without_secrets(redactor, &text).ok_or(LeftOut::Unclear)?;
    Ok(Some(Source {
        path: path.display().to_string(),
        kind: kind.as_str(),
        revision: modified,
        sha256,
        bytes: size,
        redacted,
        passages: passages(kind, path, &text),
    }))
}

/// Its bytes, and when it was changed. Anybody may own it, but no link leads to it that others could have set since it
/// was listed, and no FIFO that took its place is waited for.
fn read_file(path: &Path) -> Result<(Vec<u8>, String), LeftOut> {
    let host = Host::real();
    let path = std::path::absolute(path).map_err(LeftOut::Io)?;
    let file = trusted::open(&host, &path.to_string_lossy(), &Owners::anybody(&host));
    let file = file.map_err(|why| match matches!(why.why, Distrust::Kind(_)) {
        true => LeftOut::NotRegular,
        false => LeftOut::Io(why.into()),
    })?;
    let most = FILE_MAX as u64;
    let is_large = |why: &std::io::Error| why.kind() == std::io::ErrorKind::FileTooLarge;
    let bytes = file.bytes(most).map_err(|why| match is_large(&why) {
        true => LeftOut::TooLarge(most),
        false => LeftOut::Io(why),
    })?;
    let modified = Timestamp::from_millis(file.modified_s().saturating_mul(1000)).to_string();
    let modified = crate::core::model::text::cut(&modified, 19).to_owned();
    Ok((bytes, modified))
}

fn passages(kind: DocumentKind, path: &Path, text: &str) -> Vec<Passage> {
    let part = |path: Option<&Path>| {
        path.and_then(Path::file_name)
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let name = part(Some(path));
    let parent = part(path.parent());
    match kind {
        DocumentKind::Markdown => cut::markdown(
            name.rsplit_once('.')
                .map_or(name.as_str(), |(stem, _)| stem),
            text,
        ),
        // A drop-in belongs to the unit whose directory it is in.
        DocumentKind::Unit if parent.ends_with(".d") => cut::config(
            &format!("{} drop-in {name}", parent.trim_end_matches(".d")),
            text,
        ),
        DocumentKind::Unit | DocumentKind::Config => cut::config(&name, text),
        DocumentKind::Man => man::cut(name.strip_suffix(".gz").unwrap_or(&name), text),
        DocumentKind::Text => cut::plain(&name, text),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn secrets_are_denied_by_name() {
        let scope = ScopeFile::default();
        for path in [
            "/etc/shadow",
            "/root/.ssh/config.txt",
            "/opt/app/.env",
            "/x/server.key",
            "/etc/ssl/private/a.txt",
            "/opt/API_SECRETS.md",
        ] {
            assert!(scope.refusal(Path::new(path)).is_some(), "{path}");
        }
        for path in [
            "/etc/nginx/nginx.conf",
            "/opt/app/README.md",
            "/usr/share/man/man5/systemd.unit.5.gz",
        ] {
            assert!(scope.refusal(Path::new(path)).is_none(), "{path}");
        }
    }

    #[test]
    fn the_scope_file_narrows() {
        let scope =
            ScopeFile::parse("# only ours\nallow /opt/*\ndeny *draft*\n").unwrap_or_default();
        assert!(scope.refusal(Path::new("/opt/a.md")).is_none());
        assert!(scope.refusal(Path::new("/srv/a.md")).is_some());
        assert!(scope.refusal(Path::new("/opt/draft.md")).is_some());
        assert_eq!(
            ScopeFile::parse("allow x\npermit y"),
            Err(BadLine {
                number: 2,
                line: "permit y".to_owned(),
                wanted: "neither 'allow GLOB' nor 'deny GLOB'",
            })
        );
    }

    #[test]
    fn no_file_is_read_through_what_somebody_put_in_its_place() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for (folder, mode) in [("open", 0o777), ("secret", 0o755)] {
            std::fs::create_dir(at(folder)).unwrap();
            std::fs::set_permissions(at(folder), std::fs::Permissions::from_mode(mode)).unwrap();
            std::fs::write(at(folder).join("a.md"), "text").unwrap();
        }
        symlink(at("secret"), at("open/folder")).unwrap();
        symlink(at("secret/a.md"), at("open/file.md")).unwrap();
        assert_eq!(read_file(&at("open/a.md")).unwrap().0, b"text");
        for link in ["open/folder/a.md", "open/file.md"] {
            assert!(
                matches!(read_file(&at(link)), Err(LeftOut::Io(_))),
                "{link}"
            );
        }
        assert!(matches!(read_file(&at("secret")), Err(LeftOut::NotRegular)));
    }

    #[test]
    fn kinds_by_name() {
        for (path, kind) in [
            ("/opt/CLAUDE.md", Some(DocumentKind::Markdown)),
            (
                "/etc/systemd/system/a.service.d/override.conf",
                Some(DocumentKind::Unit),
            ),
            ("/usr/share/man/man8/mount.8.gz", Some(DocumentKind::Man)),
            ("/etc/mosquitto/mosquitto.conf", Some(DocumentKind::Config)),
            ("/usr/bin/ls", None),
            ("/var/log/syslog.2.gz", None),
        ] {
            assert_eq!(DocumentKind::of(Path::new(path)), kind, "{path}");
        }
    }
}
