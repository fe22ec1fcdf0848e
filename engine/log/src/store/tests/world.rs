//! A simulated machine with one tenant, and what the tenant is known to hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nimbus_io::{Disk, SimulatedClock, SimulatedDisk, SimulatedRandomness, Unsynced};
use nimbus_namespace::conformance::{CommitBuilder, put, remove};
use nimbus_namespace::local::OpenMark;
use nimbus_namespace::{Direction, KeyChange, KeyRange, Result, Space, StorageError};
use nimbus_types::{Sequence, TenantId};

use crate::cache::Budget;
use crate::store::{Sizes, Store, Surroundings, Version};

/// Keys that histories write.
const KEYS: u64 = 60;

pub(super) fn tenant() -> TenantId {
    TenantId::parse("Acme").unwrap()
}

pub(super) fn folder() -> PathBuf {
    PathBuf::from("/tenant")
}

/// Small files, so that short histories meet every kind of upkeep.
pub(super) fn small_sizes() -> Sizes {
    Sizes {
        first_segment: 16 << 10,
        segment: 64 << 10,
        checkpoint: 96 << 10,
        // A checkpoint's run is of a lower class than one of all keys, which it is not always merged with.
        small_run: 512,
        pack: 64 << 10,
    }
}

/// A machine, its tenant, and a model of what the tenant was told.
pub(super) struct World {
    pub(super) disk: SimulatedDisk,
    pub(super) clock: Arc<SimulatedClock>,
    pub(super) surroundings: Surroundings,
    pub(super) random: SimulatedRandomness,
    pub(super) store: Option<Store>,
    /// What has been acknowledged.
    pub(super) model: CommitBuilder,
    /// What the model would be had the last, unacknowledged write come through.
    pub(super) unacknowledged: Option<CommitBuilder>,
}

impl World {
    /// A machine with an open, empty tenant.
    pub(super) fn new(seed: u64) -> Self {
        let disk = SimulatedDisk::new(seed);
        disk.create_directory(&folder()).unwrap();
        Store::create(&disk, &folder(), &tenant()).unwrap();
        disk.sync_directory(Path::new("/")).unwrap();
        let clock = Arc::new(SimulatedClock::default());
        let surroundings = Surroundings {
            disk: Arc::new(disk.clone()),
            randomness: Arc::new(SimulatedRandomness::new(seed ^ 1)),
            clock: clock.clone(),
            budget: Budget::new(1 << 20),
            sizes: small_sizes(),
        };
        let mut world = Self {
            disk,
            clock,
            surroundings,
            random: SimulatedRandomness::new(seed ^ 2),
            store: None,
            model: CommitBuilder::new(),
            unacknowledged: None,
        };
        world.open().unwrap();
        world
    }

    /// A number below `end`.
    pub(super) fn below(&self, end: u64) -> u64 {
        self.random.next_u64() % end
    }

    /// Opens the tenant, which has been closed.
    pub(super) fn open(&mut self) -> Result<()> {
        self.store = None;
        self.store = Some(Store::open(&self.surroundings, &folder(), &tenant(), OpenMark::default())?);
        Ok(())
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// Ends the process, and the machine with it, which then comes back.
    pub(super) fn restart(&mut self, unsynced: Unsynced) {
        self.store = None;
        self.disk.restart(unsynced);
    }

    /// Commits a random group. An error says that it was not acknowledged.
    pub(super) fn commit(&mut self) -> Result<()> {
        self.commit_group(1 + self.below(4))
    }

    /// Commits a random group that is large enough to be applied beside readers.
    pub(super) fn commit_many(&mut self) -> Result<()> {
        self.commit_group(30 + self.below(20))
    }

    fn commit_group(&mut self, commits: u64) -> Result<()> {
        let mut next = self.model.clone();
        let commits: Vec<_> = (0..commits).map(|_| self.changes()).collect();
        let group = next.group(commits);
        let expected = self.model.sequence();
        self.unacknowledged = Some(next);
        self.store().commit(expected, &group)?;
        self.settle(true);
        Ok(())
    }

    /// Trims a random part of the log.
    pub(super) fn trim(&mut self) -> Result<()> {
        self.trim_before(Sequence(self.below(self.model.sequence().0 + 2)))
    }

    /// Trims all of the log.
    pub(super) fn trim_all(&mut self) -> Result<()> {
        self.trim_before(self.model.sequence().next())
    }

    fn trim_before(&mut self, before: Sequence) -> Result<()> {
        let mut next = self.model.clone();
        next.trim(before);
        self.unacknowledged = Some(next);
        self.store().trim_log(before)?;
        self.settle(true);
        Ok(())
    }

    /// What was unacknowledged has come about, or has not.
    fn settle(&mut self, came_about: bool) {
        if let Some(next) = self.unacknowledged.take().filter(|_| came_about) {
            self.model = next;
        }
    }

    fn changes(&self) -> Vec<KeyChange> {
        let mut changes: Vec<KeyChange> = Vec::new();
        for _ in 0..=self.below(4) {
            let change = self.change();
            if changes.iter().all(|other| (other.space, &other.key) != (change.space, &change.key)) {
                changes.push(change);
            }
        }
        changes
    }

    fn change(&self) -> KeyChange {
        let number = self.below(KEYS) as u8;
        let key = [0, 0, 0, number % 3, b'k', number];
        match self.below(10) {
            0 | 1 => remove(Space::Documents, key),
            2 => remove(Space::Index, key),
            3 => put(Space::Index, key, &key[..]),
            4 => put(Space::Index, key, vec![number; self.below(40) as usize]),
            5 => put(Space::Meta, [number], vec![1; self.below(300) as usize]),
            // Sectors of zeros are what a torn write leaves, too.
            6 => put(Space::Documents, key, vec![0; self.below(5_000) as usize]),
            7 if self.below(8) == 0 => put(Space::Documents, key, vec![number; self.below(60_000) as usize]),
            _ => put(Space::Documents, key, vec![self.below(256) as u8; self.below(1_500) as usize]),
        }
    }

    /// Holds a tenant that has been opened anew to what was acknowledged; a write that was not may be there
    /// wholly.
    pub(super) fn assert_recovered(&mut self) {
        let head = (*self.store().head()).clone();
        let came_about = self.unacknowledged.as_ref().is_some_and(|next| *next.head() == head);
        self.settle(came_about);
        self.unacknowledged = None;
        assert_eq!(head, *self.model.head(), "head after recovery");
        self.assert_sound();
    }

    /// Holds state, log and scrub to the model.
    pub(super) fn assert_sound(&self) {
        assert_reads(&self.store().version(), &self.model).unwrap();
        self.assert_log().unwrap();
        let report = self.store().check();
        assert!(report.faults.is_empty(), "{report:?}");
    }

    /// Holds the log to the model, read in pages of a random size.
    pub(super) fn assert_log(&self) -> Result<()> {
        let wanted = self.model.log();
        let mut after = Sequence(self.model.head().log_start.0 - 1);
        let mut found = Vec::new();
        loop {
            let page = self.store().read_log(after, 1 + self.below(9) as usize)?;
            let Some(last) = page.last() else { break };
            after = last.sequence;
            found.extend(page);
        }
        assert!(found == wanted, "the log differs");
        Ok(())
    }
}

/// Holds a version to a model: every key by itself, and scans both ways. An error is an error of the store.
pub(super) fn assert_reads(version: &Version, model: &CommitBuilder) -> Result<()> {
    for space in Space::ALL {
        let mut wanted = model.entries(space);
        for entry in &wanted {
            assert_eq!(version.get(space, &entry.key)?.as_ref(), Some(&entry.value), "{:?}", entry.key);
        }
        for number in 0..KEYS as u8 {
            let key = [0, 0, 0, number % 3, b'k', number];
            assert_eq!(version.get(space, &key)?, model.value(space, &key));
        }
        let all = KeyRange::all();
        assert!(version.scan(space, &all, Direction::Forward, usize::MAX)?.entries == wanted, "forward scan");
        wanted.reverse();
        assert!(
            version.scan(space, &all, Direction::Backward, usize::MAX)?.entries == wanted,
            "backward scan"
        );
    }
    Ok(())
}

/// Whether an error says that stored bytes are not what was written.
pub(super) fn is_corruption(error: &StorageError) -> bool {
    matches!(error, StorageError::Corruption(_))
}
