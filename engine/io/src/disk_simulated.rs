//! A disk in memory that forgets what it may forget, and fails where it is told to.
//!
//! Promises: all it does follows from its seed and the calls made; it is never kinder than
//! [`Disk`]'s contract, so that code which survives it asks for every sync it needs. Deliberately
//! unknown: how long anything takes.

mod faults;
mod medium;
mod names;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, check_aligned};
use crate::randomness::SimulatedRandomness;
use faults::FaultPoints;
pub use faults::{Fault, Operation, Unsynced};
use medium::Contents;
use names::{Names, Node};

struct State {
    names: Names,
    files: BTreeMap<u64, Contents>,
    next_file: u64,
    fault_points: FaultPoints,
    powered: bool,
    /// Counts restarts; a handle from before a restart is dead.
    boot: u64,
    capacity_bytes: u64,
    randomness: SimulatedRandomness,
}

/// The simulated disk. Clones are the same disk. It holds the directory `/`; all paths begin there.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

impl SimulatedDisk {
    /// An empty disk of 1 TiB. Print the seed where a failure is reported.
    pub fn new(seed: u64) -> Self {
        let state = State {
            names: Names::new(),
            files: BTreeMap::new(),
            next_file: 0,
            fault_points: FaultPoints::default(),
            powered: true,
            boot: 0,
            capacity_bytes: 1 << 40,
            randomness: SimulatedRandomness::new(seed),
        };
        Self { state: Arc::new(Mutex::new(state)) }
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
        let state = &mut *self.state.lock();
        let randomness = &state.randomness;
        let survives = || match unsynced {
            Unsynced::Lost => false,
            Unsynced::Kept => true,
            Unsynced::Any => coin(randomness),
        };
        for contents in state.files.values_mut() {
            if unsynced == Unsynced::Any {
                contents.reorder_unsynced(randomness);
            }
            contents.persist(|_| survives());
            contents.show_durable();
        }
        state.names.crash(survives);
        state.files.retain(|number, _| state.names.refers_to(*number));
        state.fault_points.clear();
        state.powered = true;
        state.boot += 1;
    }

    /// Flips a random bit of the file at rest and answers the byte's offset; `None` when it is empty.
    pub fn flip_bit(&self, path: &Path) -> io::Result<Option<u64>> {
        let state = &mut *self.state.lock();
        let number = state.names.file(path)?;
        let random = state.randomness.next_u64();
        let offset = state.files.get_mut(&number).and_then(|contents| contents.flip_bit(random));
        Ok(offset.map(|offset| offset as u64))
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

fn coin(randomness: &SimulatedRandomness) -> bool {
    randomness.next_u64() >> 63 == 1
}

fn power_failure() -> io::Error {
    io::Error::other("the simulated machine has lost power")
}

fn input_output_error() -> io::Error {
    const EIO: i32 = 5;
    io::Error::from_raw_os_error(EIO)
}

impl State {
    fn check_power(&self) -> io::Result<()> {
        if self.powered { Ok(()) } else { Err(power_failure()) }
    }

    /// Carries out an operation that is done wholly or not at all.
    fn whole<T>(
        &mut self,
        operation: Operation,
        work: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        match self.fault_points.reach(operation) {
            None | Some(Fault::FlippedBit) => work(self),
            Some(Fault::InputOutputError) => Err(input_output_error()),
            Some(Fault::CrashDuring) => {
                self.powered = false;
                Err(power_failure())
            }
            Some(Fault::CrashAfter) => {
                let result = work(self);
                self.powered = false;
                result
            }
        }
    }

    /// Makes a file of durable zeros and answers its number.
    fn create(&mut self, path: &Path, size_bytes: u64) -> io::Result<u64> {
        if size_bytes > self.free_bytes() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let number = self.next_file;
        self.names.add(path, Node::File(number))?;
        self.next_file += 1;
        self.files.insert(number, Contents::zeros(size_bytes as usize));
        Ok(number)
    }

    fn write(&mut self, number: u64, offset: u64, bytes: &[u8], durable: bool) -> io::Result<()> {
        let fault = self.fault_points.reach(Operation::Write);
        let free_bytes = self.free_bytes();
        let contents = self.files.get_mut(&number).ok_or(io::ErrorKind::NotFound)?;
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = offset.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        if end.saturating_sub(contents.size_bytes()) as u64 > free_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut bytes = bytes.to_vec();
        if fault == Some(Fault::FlippedBit) && !bytes.is_empty() {
            let bit = self.randomness.next_u64() as usize % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let cut_short = matches!(fault, Some(Fault::InputOutputError | Fault::CrashDuring));
        let written = contents.write(offset, &bytes, || !cut_short || coin(&self.randomness));
        // Power that fails during a write has let the medium finish some sectors already.
        if durable || fault == Some(Fault::CrashDuring) {
            contents.persist(|sector| written.contains(&sector));
        }
        self.outcome(fault)
    }

    fn sync(&mut self, number: u64) -> io::Result<()> {
        let fault = self.fault_points.reach(Operation::Sync);
        let contents = self.files.get_mut(&number).ok_or(io::ErrorKind::NotFound)?;
        let cut_short = matches!(fault, Some(Fault::InputOutputError | Fault::CrashDuring));
        contents.persist(|_| !cut_short || coin(&self.randomness));
        if fault == Some(Fault::InputOutputError) {
            contents.forget_unsynced();
        }
        self.outcome(fault)
    }

    /// How an operation ends that could be done in part.
    fn outcome(&mut self, fault: Option<Fault>) -> io::Result<()> {
        if matches!(fault, Some(Fault::CrashDuring | Fault::CrashAfter)) {
            self.powered = false;
        }
        match fault {
            None | Some(Fault::CrashAfter | Fault::FlippedBit) => Ok(()),
            Some(Fault::InputOutputError) => Err(input_output_error()),
            Some(Fault::CrashDuring) => Err(power_failure()),
        }
    }

    fn free_bytes(&self) -> u64 {
        let used: usize = self.files.values().map(Contents::size_bytes).sum();
        self.capacity_bytes.saturating_sub(used as u64)
    }
}

impl Disk for SimulatedDisk {
    fn create(&self, path: &Path, size_bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.with_state(|state| {
            let fault = state.fault_points.reach(Operation::Create);
            if fault == Some(Fault::InputOutputError) {
                return Err(input_output_error());
            }
            let size_bytes = match fault {
                Some(Fault::CrashDuring) => state.randomness.next_u64() % size_bytes.saturating_add(1),
                _ => size_bytes,
            };
            let number = state.create(path, size_bytes)?;
            state.outcome(fault)?;
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
        self.with_state(|state| state.whole(Operation::Rename, |state| state.names.rename(from, to)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with_state(|state| state.whole(Operation::Remove, |state| state.names.remove_file(path)))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.with_state(|state| {
            state.whole(Operation::ChangeDirectory, |state| state.names.add(path, Node::Directory))
        })
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.with_state(|state| {
            state.whole(Operation::ChangeDirectory, |state| state.names.remove_directory(path))
        })
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.with_state(|state| state.whole(Operation::SyncDirectory, |state| state.names.sync(directory)))
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
}
