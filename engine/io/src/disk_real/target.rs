//! Where a durable write goes: a descriptor, and what makes a write through it durable.
//!
//! Promises: bytes that [`Target::write`] took are durable, in whole, when it answers `Ok`.
//! Deliberately unknown: who waits for the write.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::ReadWriteFlags;

use crate::aligned::AlignedBuffer;
use crate::disk::BLOCK_BYTES;

/// A descriptor for durable writes.
#[derive(Clone)]
pub(super) enum Target {
    /// Opened `O_DIRECT | O_DSYNC`: a write is durable when it returns.
    Direct(Arc<File>),
    /// An ordinary descriptor: a write needs `fdatasync`, or `RWF_DSYNC` of its own.
    Buffered(Arc<File>),
}

/// Opens another descriptor of the same file, for direct and synchronous writes. It goes by
/// `/proc` rather than by the file's name, which may have changed.
pub(super) fn open_direct(file: &File) -> io::Result<File> {
    let flags = OFlags::DIRECT | OFlags::DSYNC;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new().read(true).write(true).custom_flags(flags.bits().cast_signed()).open(path)
}

impl Target {
    pub(super) fn file(&self) -> &File {
        match self {
            Self::Direct(file) | Self::Buffered(file) => file,
        }
    }

    /// Flags that make a single write call through the descriptor durable.
    pub(super) fn write_flags(&self) -> ReadWriteFlags {
        match self {
            Self::Direct(_) => ReadWriteFlags::empty(),
            Self::Buffered(_) => ReadWriteFlags::DSYNC,
        }
    }

    /// Writes whole blocks from any memory, on the calling thread.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Direct(file) if bytes.as_ptr().addr().is_multiple_of(BLOCK_BYTES) => {
                write_direct(file, offset, bytes)
            }
            Self::Direct(file) => write_direct(file, offset, &AlignedBuffer::from(bytes)),
            Self::Buffered(file) => {
                file.write_all_at(bytes, offset)?;
                file.sync_data()
            }
        }
    }
}

fn write_direct(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut progress = Progress::default();
    while progress.written < bytes.len() {
        let rest = &bytes[progress.written..];
        match file.write_at(rest, offset + progress.written as u64) {
            Ok(written) => progress.advance(written, bytes.len())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How much of a write has been done, for the next attempt to go on from.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// A multiple of [`BLOCK_BYTES`], so that the rest may be written directly.
    pub(super) written: usize,
}

impl Progress {
    /// Takes note that an attempt wrote `count` bytes more of `len`. A block of which only a part was
    /// written counts as not written; an attempt that completes no block fails with `WriteZero`.
    pub(super) fn advance(&mut self, count: usize, len: usize) -> io::Result<()> {
        let reached = (self.written + count) / BLOCK_BYTES * BLOCK_BYTES;
        if reached == self.written && reached < len {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.written = reached;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_write_goes_on_at_a_block() {
        let len = 3 * BLOCK_BYTES;
        let mut progress = Progress::default();
        progress.advance(BLOCK_BYTES + 512, len).unwrap();
        assert_eq!(progress.written, BLOCK_BYTES);
        progress.advance(2 * BLOCK_BYTES, len).unwrap();
        assert_eq!(progress.written, len);
    }

    #[test]
    fn a_write_that_gets_nowhere_fails() {
        for count in [0, BLOCK_BYTES - 1] {
            let error = Progress::default().advance(count, BLOCK_BYTES).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        }
        assert!(Progress::default().advance(0, 0).is_ok(), "nothing to write is written");
    }
}
