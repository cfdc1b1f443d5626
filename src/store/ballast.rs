//! The ballast: space reserved beside the database, given up once when the disk is full, so that the
//! state changes that repair the disk can still be written.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use crate::store::options::StoreOptions;
use crate::store::paths::beside;

/// Free space, in multiples of the ballast, above which it is made again: never eat the last blocks.
const ROOM: u64 = 8;

fn path(options: &StoreOptions) -> PathBuf {
    beside(&options.path, "ballast")
}

/// Reserves the space. Best effort: a disk that is nearly full now is left alone.
pub(super) fn make(options: &StoreOptions) {
    let path = path(options);
    if options.ballast_bytes == 0
        || fs::metadata(&path).is_ok_and(|meta| meta.len() >= options.ballast_bytes)
        || !has_room(options)
    {
        return;
    }
    // Real blocks of varied bytes: a sparse or compressed file would reserve nothing.
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&path)?;
        let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
        let mut left = options.ballast_bytes;
        while left > 0 {
            let mut block = Vec::with_capacity(16 << 10);
            while block.len() < 16 << 10 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                block.extend_from_slice(&seed.to_le_bytes());
            }
            let part = usize::try_from(left)
                .unwrap_or(block.len())
                .min(block.len());
            file.write_all(block.get(..part).unwrap_or(&block))?;
            left = left.saturating_sub(part as u64);
        }
        file.sync_all()
    };
    if let Err(why) = write() {
        log::warn!("store: cannot reserve {}: {why}", path.display());
        let _ = fs::remove_file(&path);
    }
}

fn has_room(options: &StoreOptions) -> bool {
    room(options).is_some_and(|room| room >= options.ballast_bytes.saturating_mul(ROOM))
}

/// Bytes that this process may still write beside the database, if that can be told.
pub(super) fn room(options: &StoreOptions) -> Option<u64> {
    let fs = nix::sys::statvfs::statvfs(options.path.parent()?).ok()?;
    // The field types differ between 32 and 64 bit targets.
    #[allow(clippy::useless_conversion)]
    let (blocks, size) = (
        u64::from(fs.blocks_available()),
        u64::from(fs.fragment_size()),
    );
    Some(blocks.saturating_mul(size))
}

/// Frees the reserve; true when there was one.
pub(super) fn free(options: &StoreOptions) -> bool {
    fs::remove_file(path(options)).is_ok()
}
