//! Rest: what a store gives back that nobody has written to for a while.
//!
//! Most tenants of a server are idle most of the time, and what each of them holds adds up. Promises: a store at
//! rest holds next to nothing of a delta, of frames or of a write buffer, and once it has been checkpointed no
//! file that is written to; its next commit begins with a small segment again. Deliberately unknown: who looks
//! for idle stores, and how often.

use nimbus_io::AlignedBuffer;
use nimbus_namespace::Result;

use super::Store;
use super::writer::Writer;

/// A store to which nothing has been written for this long is idle.
const IDLE_US: u64 = 10_000_000;
/// What an idle store may keep in memory without a checkpoint: a run for less is not worth its file.
const KEPT_BYTES: u64 = 16 << 10;

impl Writer {
    fn is_idle(&self, now_us: u64) -> bool {
        !self.in_flight && self.refusal.is_none() && now_us.saturating_sub(self.written_us) >= IDLE_US
    }

    /// Whether a checkpoint gives enough back. A segment that was made ahead goes with the one in use only,
    /// or it would be made again at once.
    fn is_worth_a_checkpoint(&self) -> bool {
        let since = &self.since_checkpoint;
        !since.segments.is_empty() && (since.memory.bytes() > KEPT_BYTES || self.spare.is_some())
    }

    fn holds_more_than_at_rest(&self) -> bool {
        self.is_worth_a_checkpoint() || self.spare.is_some() || self.buffer.capacity() > 0
    }
}

impl Store {
    /// Whether [`Store::maintain`] would send it to rest. Cheap, and never waits.
    pub(crate) fn wants_rest(&self) -> bool {
        // Whoever holds the writer is at work.
        let Some(writer) = self.writer.try_lock() else { return false };
        writer.holds_more_than_at_rest() && writer.is_idle(self.clock.monotonic_us())
    }

    /// Gives back what an idle store does not need. Whether it was idle, and held anything.
    pub(super) fn rest(&self) -> Result<bool> {
        if !self.wants_rest() {
            return Ok(false);
        }
        let is_worth_a_checkpoint = self.writer.lock().is_worth_a_checkpoint();
        if is_worth_a_checkpoint {
            self.checkpoint()?;
        }
        // While this is held the folder stays this store's.
        let _making = self.making.lock();
        let spare = {
            let mut writer = self.writer.lock();
            if !writer.is_idle(self.clock.monotonic_us()) {
                return Ok(true);
            }
            writer.buffer = AlignedBuffer::default();
            if writer.active.is_none() {
                writer.next_segment_bytes = self.sizes.first_segment;
            }
            writer.spare.take()
        };
        if let Some(spare) = spare {
            self.discard(&self.segment_path(spare.number));
        }
        Ok(true)
    }
}
