//! What tells one file from another, read cheaply enough to be asked of every service once a minute.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use sha2::{Digest, Sha256};

use crate::core::model::healthy::KnownFile;
use crate::core::model::hex::hex;
use crate::host::Host;

/// Content of larger files is not read.
const HASHED_MOST: u64 = 16 << 20;

/// The file or folder at `path`, as `view` shows it now, under the name `named`. Its content is read again only when
/// it is not the file of `before` any more.
pub fn known(
    view: &Host,
    path: &str,
    named: &str,
    before: Option<&KnownFile>,
) -> io::Result<KnownFile> {
    let at = view.path(path);
    let looked = std::fs::metadata(&at)?;
    if looked.is_dir() {
        return Ok(of(&looked, named));
    }
    if !looked.is_file() {
        return Err(io::Error::other("neither a file nor a folder"));
    }
    let seen = of(&looked, named);
    if let Some(before) = before.filter(|one| one.sha256.is_some() && one.is_same_file(&seen)) {
        return Ok(KnownFile {
            sha256: before.sha256.clone(),
            ..seen
        });
    }
    if looked.len() > HASHED_MOST {
        return Ok(seen);
    }
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(at)?;
    // What was opened, not what was looked at: another file may be there by now.
    let opened = file.metadata()?;
    Ok(KnownFile {
        sha256: digest(file)?,
        ..of(&opened, named)
    })
}

/// The same without a look at the content.
pub fn looked_at(view: &Host, path: &str, named: &str) -> io::Result<KnownFile> {
    Ok(of(&std::fs::metadata(view.path(path))?, named))
}

fn of(meta: &Metadata, named: &str) -> KnownFile {
    let is_folder = meta.is_dir();
    let modified = meta.mtime().saturating_mul(1_000);
    let modified = modified.saturating_add(meta.mtime_nsec() / 1_000_000);
    KnownFile {
        path: named.to_owned(),
        device: meta.dev(),
        inode: meta.ino(),
        bytes: if is_folder { 0 } else { meta.len() },
        owner: meta.uid(),
        modified_ms: if is_folder { 0 } else { modified },
        names: if is_folder { 1 } else { meta.nlink() },
        is_folder,
        sha256: None,
    }
}

/// Of the whole content; none of a file that grows beyond what is read.
fn digest(file: File) -> io::Result<Option<String>> {
    let mut hash = Sha256::new();
    let mut left = file.take(HASHED_MOST.saturating_add(1));
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = left.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        hash.update(bytes);
    }
    Ok((left.limit() > 0).then(|| hex(&hash.finalize())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::host::clock::Clock;

    #[test]
    fn a_moved_file_is_the_same_and_a_copy_has_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a"), "abc").unwrap();
        let first = known(&host, "/a", "/a", None).unwrap();
        assert_eq!((first.names, first.bytes), (1, 3));
        fs::copy(at("a"), at("copy")).unwrap();
        let copy = known(&host, "/copy", "/copy", None).unwrap();
        assert!(!first.is_same_file(&copy) && first.is_same_content(&copy));
        fs::hard_link(at("a"), at("second")).unwrap();
        assert_eq!(known(&host, "/a", "/a", Some(&first)).unwrap().names, 2);
        fs::remove_file(at("second")).unwrap();
        fs::rename(at("a"), at("b")).unwrap();
        assert!(first.is_same_file(&known(&host, "/b", "/b", None).unwrap()));
        assert!(known(&host, "/a", "/a", None).is_err());
        assert!(known(&host, "/", "/", None).unwrap().is_folder);
    }

    #[test]
    fn what_is_known_is_not_read_again_and_a_fifo_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
        fs::write(dir.path().join("a"), "abc").unwrap();
        let before = KnownFile {
            sha256: Some("as before".to_owned()),
            ..known(&host, "/a", "/a", None).unwrap()
        };
        let again = known(&host, "/a", "/a", Some(&before)).unwrap();
        assert_eq!(again.sha256.as_deref(), Some("as before"));
        fs::write(dir.path().join("a"), "abcd").unwrap();
        let changed = known(&host, "/a", "/a", Some(&before)).unwrap();
        assert_eq!(changed.sha256.map(|sha| sha.len()), Some(64));
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
        nix::unistd::mkfifo(&dir.path().join("f"), mode).unwrap();
        assert!(known(&host, "/f", "/f", None).is_err());
    }
}
