//! Files: what a log store needs of a file system, and what each call leaves durable.
//!
//! Promises: every way in which bytes or names become durable is a call of its own, so that a
//! simulated disk can lose whatever was not asked for. Deliberately unknown: what the bytes mean.
//! Calls block; whoever runs on an async executor calls them where blocking is allowed. Errors are
//! those of the operating system. After a failed write or sync nobody knows what the medium holds:
//! the caller stops writing and recovers by reading.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::aligned::AlignedBuffer;

/// What a medium writes at once or not at all.
pub const SECTOR_BYTES: usize = 512;

/// Offset and length of a durable write are multiples of this, as direct I/O asks.
pub const BLOCK_BYTES: usize = 4096;

/// Told how a durable write ended, and given its buffer back for another use. It runs on a thread that
/// others wait for: it hands on and returns.
pub type WriteDone = Box<dyn FnOnce(io::Result<()>, AlignedBuffer) + Send>;

/// A file system, or a part of one. Paths name files by their directory and name; the directory
/// exists already. A new, renamed or removed name is certain to survive a crash only after
/// [`Disk::sync_directory`] of the directory it is in.
pub trait Disk: Send + Sync {
    /// Makes a file of `size_bytes` zeros, allocated and durable as contents; fails if the name is
    /// taken. Writes inside the size then change no metadata, which makes them cheap to sync. A crash
    /// during the call may leave a shorter file.
    fn create(&self, path: &Path, size_bytes: u64) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file, replacing the file `to` if there is one. A crash leaves all of it or nothing.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name. Open handles go on reading it.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory; fails if the name is taken.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in `directory` durable, as they are now.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// The paths of what is in `directory`, files and directories, ascending.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// Bytes that may still be written where `directory` is.
    fn free_bytes(&self, directory: &Path) -> io::Result<u64>;

    /// How many durable writes are being waited for now, in all files. With few of them a caller does
    /// best to write on its own thread, with many to start a write and let it be carried out elsewhere.
    fn in_flight(&self) -> usize {
        0
    }
}

/// An open file. Writes of different calls at the same place are not ordered unless one call has
/// returned before the other begins.
pub trait DiskFile: Send + Sync {
    /// Length of the file.
    fn size_bytes(&self) -> io::Result<u64>;

    /// Fills all of `into` from `offset`; `UnexpectedEof` when the file ends before that.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, lengthening the file where needed. Visible to reads at
    /// once, durable only after [`DiskFile::sync`]; a crash before keeps any of its sectors.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Writes `bytes` so that they are durable when the call returns; other writes that wait for a
    /// sync may go on waiting. `InvalidInput` unless `offset` and the length are multiples of
    /// [`BLOCK_BYTES`]. A crash or an error during the call keeps any of its sectors.
    fn write_durable_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Does what [`DiskFile::write_durable_at`] does, elsewhere where the disk can. `done` is called
    /// exactly once with what that would have answered, on any thread, possibly before this returns.
    /// After a failure the buffer that comes back may be an empty one.
    fn start_durable_write(&self, offset: u64, buffer: AlignedBuffer, done: WriteDone) {
        let result = self.write_durable_at(offset, &buffer);
        done(result, buffer);
    }

    /// Gives up what is held open for durable writes only. A later one is as good, and opens it again.
    fn finish_writing(&self) {}

    /// Makes all returned writes of this file durable, and its length.
    fn sync(&self) -> io::Result<()>;

    /// Shortens the file to `size_bytes`, durably when the call returns; `InvalidInput` when it is not
    /// as long as that. A crash or an error during the call leaves either length.
    fn truncate(&self, size_bytes: u64) -> io::Result<()>;
}

/// Refuses a durable write that is not of whole blocks.
pub(crate) fn check_aligned(offset: u64, bytes: &[u8]) -> io::Result<()> {
    if offset.is_multiple_of(BLOCK_BYTES as u64) && bytes.len().is_multiple_of(BLOCK_BYTES) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "a durable write is not of whole blocks"))
}

/// Refuses a truncation that would lengthen the file.
pub(crate) fn check_shortens(size_bytes: u64, new_size_bytes: u64) -> io::Result<()> {
    if new_size_bytes <= size_bytes {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "a truncation does not lengthen a file"))
}
