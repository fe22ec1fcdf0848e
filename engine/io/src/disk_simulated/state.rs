//! The simulated machine's state, and every operation on it with the fault that is placed there.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::faults::{Fault, FaultPoints, Operation, Unsynced};
use super::medium::Contents;
use super::names::{Names, Node};
use crate::disk::check_shortens;
use crate::randomness::SimulatedRandomness;

pub(super) struct State {
    pub(super) names: Names,
    pub(super) files: BTreeMap<u64, Contents>,
    next_file: u64,
    pub(super) fault_points: FaultPoints,
    pub(super) powered: bool,
    /// Counts restarts; a handle from before a restart is dead.
    pub(super) boot: u64,
    pub(super) capacity_bytes: u64,
    pub(super) randomness: SimulatedRandomness,
}

fn coin(randomness: &SimulatedRandomness) -> bool {
    randomness.next_u64() >> 63 == 1
}

pub(super) fn power_failure() -> io::Error {
    io::Error::other("the simulated machine has lost power")
}

fn input_output_error() -> io::Error {
    const EIO: i32 = 5;
    io::Error::from_raw_os_error(EIO)
}

/// Whether a call with that fault ends before all is done.
fn cuts_short(fault: Option<Fault>) -> bool {
    matches!(fault, Some(Fault::InputOutputError | Fault::CrashDuring))
}

impl State {
    pub(super) fn new(seed: u64, capacity_bytes: u64) -> Self {
        Self {
            names: Names::new(),
            files: BTreeMap::new(),
            next_file: 0,
            fault_points: FaultPoints::default(),
            powered: true,
            boot: 0,
            capacity_bytes,
            randomness: SimulatedRandomness::new(seed),
        }
    }

    pub(super) fn restart(&mut self, unsynced: Unsynced) {
        let randomness = &self.randomness;
        let survives = || match unsynced {
            Unsynced::Lost => false,
            Unsynced::Kept => true,
            Unsynced::Any => coin(randomness),
        };
        for contents in self.files.values_mut() {
            if unsynced == Unsynced::Any {
                contents.reorder_unsynced(randomness);
            }
            contents.persist(|_| survives());
            contents.show_durable();
        }
        self.names.crash(survives);
        self.files.retain(|number, _| self.names.refers_to(*number));
        self.fault_points.clear();
        self.powered = true;
        self.boot += 1;
    }

    pub(super) fn check_power(&self) -> io::Result<()> {
        if self.powered { Ok(()) } else { Err(power_failure()) }
    }

    /// Carries out an operation: `work` does the part of it that the fault leaves, and its result
    /// stands unless the fault has one of its own.
    fn operate<T>(
        &mut self,
        operation: Operation,
        work: impl FnOnce(&mut Self, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let fault = self.fault_points.reach(operation);
        let result = work(self, fault);
        if matches!(fault, Some(Fault::CrashDuring | Fault::CrashAfter)) {
            self.powered = false;
        }
        match fault {
            None | Some(Fault::CrashAfter | Fault::FlippedBit) => result,
            Some(Fault::InputOutputError) => Err(input_output_error()),
            Some(Fault::CrashDuring) => Err(power_failure()),
        }
    }

    /// Carries out a change of names, which is done wholly or not at all.
    pub(super) fn change_names(
        &mut self,
        operation: Operation,
        work: impl FnOnce(&mut Names) -> io::Result<()>,
    ) -> io::Result<()> {
        self.operate(
            operation,
            |state, fault| {
                if cuts_short(fault) { Ok(()) } else { work(&mut state.names) }
            },
        )
    }

    /// Makes a file of durable zeros and answers its number.
    pub(super) fn create(&mut self, path: &Path, size_bytes: u64) -> io::Result<u64> {
        self.operate(Operation::Create, |state, fault| match fault {
            // The error comes once the file has been removed again.
            Some(Fault::InputOutputError) => Err(input_output_error()),
            Some(Fault::CrashDuring) => {
                let shorter = state.randomness.next_u64() % size_bytes.saturating_add(1);
                state.add_file(path, shorter)
            }
            _ => state.add_file(path, size_bytes),
        })
    }

    fn add_file(&mut self, path: &Path, size_bytes: u64) -> io::Result<u64> {
        if size_bytes > self.free_bytes() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let number = self.next_file;
        self.names.add(path, Node::File(number))?;
        self.next_file += 1;
        self.files.insert(number, Contents::zeros(size_bytes as usize));
        Ok(number)
    }

    pub(super) fn write(&mut self, number: u64, offset: u64, bytes: &[u8], durable: bool) -> io::Result<()> {
        self.operate(Operation::Write, |state, fault| {
            let free_bytes = state.free_bytes();
            let contents = state.files.get_mut(&number).ok_or(io::ErrorKind::NotFound)?;
            let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
            let end = offset.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
            if end.saturating_sub(contents.size_bytes()) as u64 > free_bytes {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let mut bytes = bytes.to_vec();
            if fault == Some(Fault::FlippedBit) && !bytes.is_empty() {
                let bit = state.randomness.next_u64() as usize % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            let written = contents.write(offset, &bytes, || !cuts_short(fault) || coin(&state.randomness));
            // Power that fails during a write has let the medium finish some sectors already.
            if durable || fault == Some(Fault::CrashDuring) {
                contents.persist(|sector| written.contains(&sector));
            }
            Ok(())
        })
    }

    pub(super) fn sync(&mut self, number: u64) -> io::Result<()> {
        self.operate(Operation::Sync, |state, fault| {
            let contents = state.files.get_mut(&number).ok_or(io::ErrorKind::NotFound)?;
            contents.persist(|_| !cuts_short(fault) || coin(&state.randomness));
            if fault == Some(Fault::InputOutputError) {
                contents.forget_unsynced();
            }
            Ok(())
        })
    }

    pub(super) fn truncate(&mut self, number: u64, size_bytes: u64) -> io::Result<()> {
        self.operate(Operation::Truncate, |state, fault| {
            let contents = state.files.get_mut(&number).ok_or(io::ErrorKind::NotFound)?;
            check_shortens(contents.size_bytes() as u64, size_bytes)?;
            if !cuts_short(fault) || coin(&state.randomness) {
                contents.truncate(size_bytes as usize);
            }
            Ok(())
        })
    }

    pub(super) fn flip_bit(&mut self, path: &Path) -> io::Result<Option<u64>> {
        let number = self.names.file(path)?;
        let random = self.randomness.next_u64();
        let offset = self.files.get_mut(&number).and_then(|contents| contents.flip_bit(random));
        Ok(offset.map(|offset| offset as u64))
    }

    pub(super) fn free_bytes(&self) -> u64 {
        let used: usize = self.files.values().map(Contents::size_bytes).sum();
        self.capacity_bytes.saturating_sub(used as u64)
    }
}
