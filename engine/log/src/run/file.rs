//! A run's file: reads and writes whose failures say which file and where.
//!
//! Promises: an error names the file, never the folder it is in. Deliberately unknown: what the bytes mean.

use std::fmt::Display;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use nimbus_io::{Disk, DiskFile};
use nimbus_namespace::{Result, StorageError};

/// An open run file.
pub(super) struct RunFile {
    file: Arc<dyn DiskFile>,
    name: String,
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl RunFile {
    /// Makes an empty file.
    pub(super) fn create(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let name = name_of(path);
        match disk.create(path, 0) {
            Ok(file) => Ok(Self { file, name }),
            Err(error) => Err(StorageError::Io(format!("{name}: {error}"))),
        }
    }

    /// Opens a file.
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let name = name_of(path);
        match disk.open(path) {
            Ok(file) => Ok(Self { file, name }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StorageError::Corruption(format!("{name}, offset 0: the file is missing")))
            }
            Err(error) => Err(StorageError::Io(format!("{name}: {error}"))),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn size_bytes(&self) -> Result<u64> {
        self.file.size_bytes().map_err(|error| self.failure(&error))
    }

    /// Reads what lies there. The caller has made sure that the file is at least that long.
    pub(super) fn read(&self, extent: Range<u64>) -> Result<Bytes> {
        self.read_into(extent.start, vec![0; (extent.end - extent.start) as usize])
    }

    /// As [`RunFile::read`], into memory that is at hand and as long as what is to be read.
    pub(super) fn read_into(&self, offset: u64, mut content: Vec<u8>) -> Result<Bytes> {
        match self.file.read_at(offset, &mut content) {
            Ok(()) => Ok(content.into()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damage(offset, "the file has become shorter"))
            }
            Err(error) => Err(self.failure(&error)),
        }
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_at(offset, bytes).map_err(|error| self.failure(&error))
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync().map_err(|error| self.failure(&error))
    }

    /// The error for a failed call.
    pub(super) fn failure(&self, error: &io::Error) -> StorageError {
        StorageError::Io(format!("{}: {error}", self.name))
    }

    /// The error for bytes that are not what was written.
    pub(super) fn damage(&self, offset: u64, what: impl Display) -> StorageError {
        StorageError::Corruption(format!("{}, offset {offset}: {what}", self.name))
    }
}
