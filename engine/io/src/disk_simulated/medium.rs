//! What the simulated medium holds: per file the bytes that reads see, the bytes that would survive
//! a crash, and the sectors between the two.

use std::io;

use crate::disk::SECTOR_BYTES;
use crate::randomness::SimulatedRandomness;

/// A sector that was written and not yet synced: the whole of it, as it then was.
struct UnsyncedSector {
    sector: usize,
    content: Vec<u8>,
}

/// One file's contents.
#[derive(Default)]
pub(super) struct Contents {
    visible: Vec<u8>,
    durable: Vec<u8>,
    /// In the order of writing; a sector that was written twice is here twice.
    unsynced: Vec<UnsyncedSector>,
}

impl Contents {
    /// Durable zeros.
    pub(super) fn zeros(size_bytes: usize) -> Self {
        Self { visible: vec![0; size_bytes], durable: vec![0; size_bytes], unsynced: Vec::new() }
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.visible.len()
    }

    pub(super) fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(into.len());
        let bytes = self.visible.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(bytes);
        Ok(())
    }

    /// Writes those sectors of `bytes` for which `keep` says so, unsynced, and answers which they were.
    pub(super) fn write(
        &mut self,
        offset: usize,
        bytes: &[u8],
        mut keep: impl FnMut() -> bool,
    ) -> Vec<usize> {
        let end = offset + bytes.len();
        if bytes.is_empty() {
            return Vec::new();
        }
        let touched = offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES);
        let kept: Vec<usize> = touched.filter(|_| keep()).collect();
        for &sector in &kept {
            let sector_start = sector * SECTOR_BYTES;
            let (from, to) = (offset.max(sector_start), end.min(sector_start + SECTOR_BYTES));
            self.visible.resize(self.visible.len().max(to), 0);
            self.visible[from..to].copy_from_slice(&bytes[from - offset..to - offset]);
            let sector_end = self.visible.len().min(sector_start + SECTOR_BYTES);
            let content = self.visible[sector_start..sector_end].to_vec();
            self.unsynced.push(UnsyncedSector { sector, content });
        }
        kept
    }

    /// Shortens the file durably; what was unsynced before the new end stays so.
    pub(super) fn truncate(&mut self, size_bytes: usize) {
        self.visible.truncate(size_bytes);
        self.durable.resize(size_bytes, 0);
        self.unsynced.retain_mut(|unsynced| {
            let left = size_bytes.saturating_sub(unsynced.sector * SECTOR_BYTES);
            unsynced.content.truncate(left);
            left > 0
        });
    }

    /// Makes the unsynced sectors durable for which `keep` says so; the others wait on.
    pub(super) fn persist(&mut self, mut keep: impl FnMut(usize) -> bool) {
        for unsynced in std::mem::take(&mut self.unsynced) {
            if keep(unsynced.sector) {
                self.make_durable(&unsynced);
            } else {
                self.unsynced.push(unsynced);
            }
        }
    }

    /// Gives up what still waits: reads see it, no later sync makes it durable. This is what Linux
    /// does with dirty pages whose write-back failed.
    pub(super) fn forget_unsynced(&mut self) {
        self.unsynced.clear();
    }

    /// Mixes the order in which unsynced sectors will become durable.
    pub(super) fn reorder_unsynced(&mut self, randomness: &SimulatedRandomness) {
        for last in (1..self.unsynced.len()).rev() {
            let other = randomness.next_u64() as usize % (last + 1);
            self.unsynced.swap(last, other);
        }
    }

    /// After a crash reads see what was durable.
    pub(super) fn show_durable(&mut self) {
        self.unsynced.clear();
        self.visible.clone_from(&self.durable);
    }

    /// Flips one bit on the medium and in what is read, and answers the byte's offset; `None` when
    /// the file is empty.
    pub(super) fn flip_bit(&mut self, random: u64) -> Option<usize> {
        let bits = self.durable.len() * 8;
        let bit = random as usize % std::num::NonZeroUsize::new(bits)?;
        self.durable[bit / 8] ^= 1 << (bit % 8);
        self.visible[bit / 8] ^= 1 << (bit % 8);
        Some(bit / 8)
    }

    fn make_durable(&mut self, unsynced: &UnsyncedSector) {
        let start = unsynced.sector * SECTOR_BYTES;
        let end = start + unsynced.content.len();
        self.durable.resize(self.durable.len().max(end), 0);
        self.durable[start..end].copy_from_slice(&unsynced.content);
    }
}
