//! The file: one SQLite database, then a seal of 48 bytes (magic, length, SHA-256 of all before it).
//!
//! A seal at the end was chosen over a file beside it (two files can part) and over digests in a table
//! (they would have to be read through the very pages they vouch for). SQLite takes its size from the
//! header and never looks at what follows.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};

use super::error::BundleError;

pub(super) const SCHEMA: &str = include_str!("bundle.sql");
/// Marks the database as ours: "AOkb".
pub(super) const APPLICATION_ID: i32 = 0x414f_6b62;
/// Version of tables and of the ranking data in them.
pub(super) const VERSION: i32 = 1;

const MAGIC: &[u8; 8] = b"AOBUNDLE";
const SEAL: usize = 48;
const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The database's page cache, in KiB: all the heap that a query may keep.
const CACHE_KIB: i32 = 256;

/// Appends the seal and makes the file durable.
pub(super) fn seal(path: &Path) -> Result<[u8; 32], BundleError> {
    let io = |why| BundleError::Io(path.to_owned(), why);
    let mut file = File::options()
        .read(true)
        .append(true)
        .open(path)
        .map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let digest = digest_of(&mut file, length).map_err(io)?;
    let mut seal = Vec::with_capacity(48);
    seal.extend_from_slice(MAGIC);
    seal.extend_from_slice(&length.to_le_bytes());
    seal.extend_from_slice(&digest);
    file.write_all(&seal).map_err(io)?;
    file.sync_all().map_err(io)?;
    Ok(digest)
}

/// Checks the seal; the digest of a whole bundle. Constant memory.
pub(super) fn check_seal(path: &Path) -> Result<[u8; 32], BundleError> {
    let io = |why| BundleError::Io(path.to_owned(), why);
    let foreign = |why: &str| BundleError::Foreign(path.to_owned(), why.to_owned());
    let torn = |why: String| BundleError::Torn(path.to_owned(), why);
    let mut file = File::open(path).map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(foreign("it is not a regular file"));
    }
    let mut head = [0_u8; 16];
    let size = meta.len();
    let sealed = size.saturating_sub(SEAL as u64);
    if sealed < 512 || file.read_exact(&mut head).is_err() || &head != SQLITE_MAGIC {
        return Err(foreign("it does not start like one"));
    }
    let mut tail = [0_u8; SEAL];
    file.seek(SeekFrom::Start(sealed)).map_err(io)?;
    file.read_exact(&mut tail).map_err(io)?;
    let (magic, rest) = tail.split_at(8);
    let (length, digest) = rest.split_at(8);
    if magic != MAGIC {
        return Err(torn("its end is missing".to_owned()));
    }
    let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
    if length != sealed {
        return Err(torn(format!("{sealed} bytes instead of {length}")));
    }
    file.rewind().map_err(io)?;
    let found = digest_of(&mut file, length).map_err(io)?;
    if digest != found {
        return Err(torn("its SHA-256 does not match".to_owned()));
    }
    Ok(found)
}

fn digest_of(file: &mut File, length: u64) -> std::io::Result<[u8; 32]> {
    file.rewind()?;
    let mut hash = Sha256::new();
    let mut left = file.take(length);
    let mut chunk = vec![0_u8; 64 * 1024];
    loop {
        match left.read(&mut chunk)? {
            0 => return Ok(hash.finalize().into()),
            n => hash.update(chunk.get(..n).unwrap_or(&[])),
        }
    }
}

/// Opens a checked bundle. `immutable`: no lock, no journal, nothing is ever written beside it.
pub(super) fn open_database(path: &Path) -> Result<Connection, BundleError> {
    let absolute = std::path::absolute(path).map_err(BundleError::io(path))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(uri(&absolute), flags)?;
    // trusted_schema and cell checks: the content may come from another machine. No mmap: a file that is
    // truncated in place would then end the process with SIGBUS instead of an error.
    database.execute_batch(&format!(
        "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA query_only=ON; PRAGMA mmap_size=0; PRAGMA cache_size=-{CACHE_KIB};"
    ))?;
    let number = |name: &str| database.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let foreign = |why: String| BundleError::Foreign(path.to_owned(), why);
    if number("application_id")? != APPLICATION_ID {
        return Err(foreign("it is another program's database".to_owned()));
    }
    match number("user_version")? {
        VERSION => Ok(database),
        other => Err(foreign(format!(
            "it has version {other}, this program reads {VERSION}"
        ))),
    }
}

/// `path` as a SQLite URI; every byte that means something in a URI is escaped.
fn uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri.push_str("?immutable=1&mode=ro");
    uri
}
