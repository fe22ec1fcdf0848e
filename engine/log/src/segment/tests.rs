//! A segment that is opened while its name is being removed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use nimbus_io::{Disk, DiskFile, SimulatedDisk};
use nimbus_types::Sequence;

use super::Segment;

/// Opens and removes the segment, as compaction does, just before somebody else opens it.
struct Removing {
    disk: SimulatedDisk,
    segment: OnceLock<Arc<Segment>>,
}

impl Disk for Removing {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.segment.get().unwrap().file(&self.disk).unwrap();
        self.disk.remove(path)?;
        self.disk.open(path)
    }

    fn create(&self, path: &Path, size_bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(path, size_bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.create_directory(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_directory(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.disk.sync_directory(directory)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(directory)
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        self.disk.free_bytes(directory)
    }
}

#[test]
fn a_segment_whose_name_goes_while_it_is_opened_stays_readable() {
    let path = Path::new("/segment-0000000001");
    let disk = SimulatedDisk::new(1);
    disk.create(path, 8192).unwrap();
    let segment = Arc::new(Segment::sealed(path.to_owned(), 1, 7, Sequence(1), 8192));
    let removing = Removing { disk: disk.clone(), segment: OnceLock::from(Arc::clone(&segment)) };
    let file = segment.file(&removing).unwrap();
    assert_eq!(file.size_bytes().unwrap(), 8192);
    assert!(disk.open(path).is_err());
}
