//! Folders of stores: their size, copies of them, and the room left for them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::Outcome;

/// A phase does not begin, or stops, with less free space than this.
const LEAST_FREE_BYTES: u64 = 20 << 30;

/// Bytes of a block as `stat` counts them.
const BLOCK_BYTES: u64 = 512;

/// Bytes that the files in a folder take on disk; holes in them take none.
pub(super) fn disk_bytes(folder: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        bytes += if metadata.is_dir() { disk_bytes(&path)? } else { metadata.blocks() * BLOCK_BYTES };
    }
    Ok(bytes)
}

/// Copies a folder and syncs the copy, so that nothing is left to write when it is measured.
pub(super) fn copy(from: &Path, to: &Path) -> Outcome<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&source, &target)?;
        } else {
            fs::copy(source, &target)?;
            fs::File::open(target)?.sync_all()?;
        }
    }
    Ok(())
}

/// Fails when the disk below a folder gets full.
pub(super) fn check_room(folder: &Path) -> Outcome<()> {
    let disk = rustix::fs::statvfs(folder)?;
    let free_bytes = disk.f_bavail * disk.f_frsize;
    if free_bytes < LEAST_FREE_BYTES {
        return Err(format!("only {} GiB of disk are free", free_bytes >> 30).into());
    }
    Ok(())
}
