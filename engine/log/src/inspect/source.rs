//! A file that is looked into.
//!
//! Promises: opened for reading only; a read answers all that was asked for or says in words why not, and
//! asks for no more memory than the file is long.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::Bytes;

/// An open file and its length when it was opened.
pub(crate) struct Source {
    file: File,
    size_bytes: u64,
}

impl Source {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // Asked before opening, since a pipe would hold up whoever opens it.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let file = File::open(path)?;
        let size_bytes = file.metadata()?.len();
        Ok(Self { file, size_bytes })
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The bytes from `offset` on.
    pub(crate) fn read(&self, offset: u64, length: u64) -> Result<Bytes, String> {
        if offset.checked_add(length).is_none_or(|end| end > self.size_bytes) {
            return Err("the file ends too early".into());
        }
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, offset).map_err(|error| error.to_string())?;
        Ok(bytes.into())
    }
}
