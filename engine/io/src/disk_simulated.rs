//! A disk in memory that forgets what it may forget, and fails where it is told to.
//!
//! Promises: all it does follows from its seed and the calls made; it is never kinder than
//! [`Disk`]'s contract, so that code which survives it asks for every sync it needs. Deliberately
//! unknown: how long anything takes.

mod faults;
mod medium;
mod names;
mod state;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, check_aligned};
pub use faults::{Fault, Operation, Unsynced};
use medium::Contents;
use names::Node;
use state::{State, power_failure};

/// Size of a new disk: 1 TiB.
const CAPACITY_BYTES: u64 = 1 << 40;

/// The simulated disk. Clones are the same disk. It holds the directory `/`; all paths begin there.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

impl SimulatedDisk {
    /// An empty disk of 1 TiB. Print the seed where a failure is reported.
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(seed, CAPACITY_BYTES))) }
    }

    /// Places a fault at the `nth` operation of that kind from now; 1 is the next. `None` is any kind.
    pub fn place_fault(&self, operation: Option<Operation>, nth: u64, fault: Fault) {
        self.state.lock().fault_points.place(operation, nth, fault);
    }

    /// How many operations there have been. A test runs once to learn it, then once per operation
    /// with a crash there.
    pub fn operations(&self) -> u64 {
        self.state.lock().fault_points.operations()
    }

    /// Whether power is on. It fails by [`Fault::CrashDuring`], [`Fault::CrashAfter`] or
    /// [`SimulatedDisk::crash`]; from then on every call fails.
    pub fn is_powered(&self) -> bool {
        self.state.lock().powered
    }

    /// Power fails now.
    pub fn crash(&self) {
        self.state.lock().powered = false;
    }

    /// Power fails, if it has not, and comes back. Open handles are dead for good; fault points that
    /// were not reached are gone.
    pub fn restart(&self, unsynced: Unsynced) {
        self.state.lock().restart(unsynced);
    }

    /// Flips a random bit of the file at rest and answers the byte's offset; `None` when it is empty.
    pub fn flip_bit(&self, path: &Path) -> io::Result<Option<u64>> {
        self.state.lock().flip_bit(path)
    }

    /// Sets how many bytes fit on the disk; growing beyond it fails with `StorageFull`.
    pub fn set_capacity_bytes(&self, capacity_bytes: u64) {
        self.state.lock().capacity_bytes = capacity_bytes;
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock();
        state.check_power()?;
        work(&mut state)
    }

    fn file(&self, state: &State, number: u64) -> Arc<dyn DiskFile> {
        Arc::new(SimulatedFile { disk: self.clone(), number, boot: state.boot })
    }
}

impl Disk for SimulatedDisk {
    fn create(&self, path: &Path, size_bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.with_state(|state| {
            let number = state.create(path, size_bytes)?;
            Ok(self.file(state, number))
        })
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.with_state(|state| {
            let number = state.names.file(path)?;
            Ok(self.file(state, number))
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with_state(|state| state.change_names(Operation::Rename, |names| names.rename(from, to)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with_state(|state| state.change_names(Operation::Remove, |names| names.remove_file(path)))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.with_state(|state| {
            state.change_names(Operation::ChangeDirectory, |names| names.add(path, Node::Directory))
        })
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.with_state(|state| {
            state.change_names(Operation::ChangeDirectory, |names| names.remove_directory(path))
        })
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.with_state(|state| state.change_names(Operation::SyncDirectory, |names| names.sync(directory)))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.with_state(|state| state.names.list(directory))
    }

    fn free_bytes(&self, _directory: &Path) -> io::Result<u64> {
        self.with_state(|state| Ok(state.free_bytes()))
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    number: u64,
    boot: u64,
}

impl SimulatedFile {
    fn with_state<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.disk.with_state(|state| if state.boot == self.boot { work(state) } else { Err(power_failure()) })
    }

    fn with_contents<T>(&self, work: impl FnOnce(&Contents) -> io::Result<T>) -> io::Result<T> {
        self.with_state(|state| work(state.files.get(&self.number).ok_or(io::ErrorKind::NotFound)?))
    }
}

impl DiskFile for SimulatedFile {
    fn size_bytes(&self) -> io::Result<u64> {
        self.with_contents(|contents| Ok(contents.size_bytes() as u64))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.with_contents(|contents| contents.read(offset, into))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with_state(|state| state.write(self.number, offset, bytes, false))
    }

    fn write_durable_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        check_aligned(offset, bytes)?;
        self.with_state(|state| state.write(self.number, offset, bytes, true))
    }

    fn sync(&self) -> io::Result<()> {
        self.with_state(|state| state.sync(self.number))
    }

    fn truncate(&self, size_bytes: u64) -> io::Result<()> {
        self.with_state(|state| state.truncate(self.number, size_bytes))
    }
}
