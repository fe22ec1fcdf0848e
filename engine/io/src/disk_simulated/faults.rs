//! The named faults, and where they are placed.

/// A kind of call that changes the disk, at which a fault can be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Making a file.
    Create,
    /// Either kind of write; a durable write counts once.
    Write,
    /// Syncing a file.
    Sync,
    /// Shortening a file.
    Truncate,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
    /// Making or removing a directory.
    ChangeDirectory,
    /// Syncing a directory.
    SyncDirectory,
}

/// What happens at a fault point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with `EIO`. A write has written any of its sectors. A sync has made any of the
    /// unsynced sectors durable, and the others never will be, whatever is synced later.
    /// A truncation is done or not.
    InputOutputError,
    /// Power fails during the call: any of its sectors are durable; a file that was being made may be
    /// shorter; a file that was being shortened is so or not; any other change of names is not done.
    CrashDuring,
    /// Power fails as the call returns; it has done all of its work and says so.
    CrashAfter,
    /// A write stores one bit wrongly and answers `Ok`. Other operations do nothing unusual.
    FlippedBit,
}

/// What becomes of writes and names that were not synced when power failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// All of it is lost.
    Lost,
    /// All of it is there.
    Kept,
    /// Any of it is there, sector by sector and in any order, as the seed has it.
    Any,
}

struct FaultPoint {
    /// `None` is any operation.
    operation: Option<Operation>,
    /// How many more such operations there are up to the fault, the one at fault included.
    countdown: u64,
    fault: Fault,
}

/// Counts operations and knows at which of them a fault waits.
#[derive(Default)]
pub(super) struct FaultPoints {
    points: Vec<FaultPoint>,
    operations: u64,
}

impl FaultPoints {
    pub(super) fn place(&mut self, operation: Option<Operation>, nth: u64, fault: Fault) {
        self.points.push(FaultPoint { operation, countdown: nth, fault });
    }

    pub(super) fn clear(&mut self) {
        self.points.clear();
    }

    pub(super) fn operations(&self) -> u64 {
        self.operations
    }

    /// Counts an operation and answers the fault that is placed at it.
    pub(super) fn reach(&mut self, operation: Operation) -> Option<Fault> {
        self.operations += 1;
        for point in &mut self.points {
            if point.operation.is_none_or(|kind| kind == operation) {
                point.countdown = point.countdown.saturating_sub(1);
            }
        }
        let reached = self.points.iter().position(|point| point.countdown == 0)?;
        Some(self.points.remove(reached).fault)
    }
}
