//! Walking a run in either direction.
//!
//! A cursor decodes one interval at a time, which serves both directions alike. Promises: between two
//! intervals it allocates nothing once its buffers have grown. A cursor that has answered an error is of no more use.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use nimbus_namespace::{Direction, Result};

use crate::run::Run;
use crate::run::block::{Block, Interval};
use crate::slot::{Cursor, Slot};

/// Blocks are read past the cache in pieces of about this size.
const PIECE_BYTES: u64 = 256 * 1024;

/// Where a cursor's blocks come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// From the cache, and through it from the disk: for reads.
    ThroughCache,
    /// From the disk, many at once, and not into the cache: for whoever reads all of a run once.
    PastCache,
}

/// Neighbouring blocks as they are stored.
#[derive(Default)]
pub(super) struct Piece {
    blocks: Range<usize>,
    start: u64,
    stored: Bytes,
}

impl Piece {
    /// A block of the piece; if it is not there, of the piece that reaches from it in that direction.
    pub(super) fn block(&mut self, run: &Run, ordinal: usize, direction: Direction) -> Result<Block> {
        let extent = run.parts.fences.extent(ordinal);
        if !self.blocks.contains(&ordinal) {
            // Let go of the old piece first; and a failed read must not leave the new range behind.
            *self = Self::default();
            let blocks = piece_of(run, ordinal, direction);
            self.start = run.parts.fences.extent(blocks.start).start;
            self.stored = run.file.read(self.start..run.parts.fences.extent(blocks.end - 1).end)?;
            self.blocks = blocks;
        }
        let stored = (extent.start - self.start) as usize..(extent.end - self.start) as usize;
        let content = run.open_block(&self.stored.slice(stored), ordinal, |bytes| vec![0; bytes])?;
        Block::new(content).map_err(|_| run.malformed(ordinal))
    }
}

/// The blocks to read at once.
fn piece_of(run: &Run, ordinal: usize, direction: Direction) -> Range<usize> {
    let fences = &run.parts.fences;
    let (mut first, mut last) = (ordinal, ordinal);
    let fits =
        |first: usize, last: usize| fences.extent(last).end - fences.extent(first).start <= PIECE_BYTES;
    match direction {
        Direction::Forward => {
            while last + 1 < fences.blocks() && fits(first, last + 1) {
                last += 1;
            }
        }
        Direction::Backward => {
            while first > 0 && fits(first - 1, last) {
                first -= 1;
            }
        }
    }
    first..last + 1
}

/// The entries of a part of a run, in the order of a direction.
pub(crate) struct RunCursor {
    run: Arc<Run>,
    direction: Direction,
    /// Walking backward, keys below this are out of range; the empty key bounds nothing.
    start: Vec<u8>,
    /// Walking forward, keys from here on are out of range.
    end: Option<Vec<u8>>,
    /// Set when reading past the cache.
    piece: Option<Piece>,
    /// The block that is open and its ordinal; `None` at the end.
    block: Option<(usize, Block)>,
    /// Ordinal of the decoded interval within its block.
    interval: usize,
    entries: Interval,
    /// Forward, the ordinal of the current entry within the interval; backward, one more than that.
    position: usize,
}

impl RunCursor {
    pub(super) fn new(
        run: Arc<Run>,
        start: &[u8],
        end: Option<&[u8]>,
        direction: Direction,
        reading: Reading,
    ) -> Result<Self> {
        let fences = &run.parts.fences;
        let (first_block, sought) = match (direction, end) {
            (Direction::Forward, _) => (fences.block_from(start), Some(start)),
            (Direction::Backward, Some(end)) => (fences.block_before(end), Some(end)),
            (Direction::Backward, None) => (fences.blocks().checked_sub(1), None),
        };
        let mut cursor = Self {
            run,
            direction,
            start: start.into(),
            end: end.map(Into::into),
            piece: (reading == Reading::PastCache).then(Piece::default),
            block: None,
            interval: 0,
            entries: Interval::default(),
            position: 0,
        };
        if let Some(ordinal) = first_block {
            cursor.seek(ordinal, sought)?;
            cursor.settle()?;
        }
        Ok(cursor)
    }

    /// Goes into a block, to the gap before the first key that is not less than `sought`, or to its end.
    fn seek(&mut self, ordinal: usize, sought: Option<&[u8]>) -> Result<()> {
        let block = self.load(ordinal)?;
        let interval = match sought {
            Some(key) => block.interval_of(key).map_err(|_| self.run.malformed(ordinal))?,
            None => block.intervals() - 1,
        };
        self.block = Some((ordinal, block));
        self.decode(interval)?;
        self.position = sought.map_or(self.entries.len(), |key| self.entries.entries_before(key));
        Ok(())
    }

    fn load(&mut self, ordinal: usize) -> Result<Block> {
        match &mut self.piece {
            Some(piece) => piece.block(&self.run, ordinal, self.direction),
            None => self.run.block(ordinal),
        }
    }

    /// Decodes an interval of the open block and stands at its beginning, seen in the cursor's direction.
    fn decode(&mut self, interval: usize) -> Result<()> {
        if let Some((ordinal, block)) = &self.block {
            self.entries.decode(block, interval).map_err(|_| self.run.malformed(*ordinal))?;
            self.interval = interval;
            self.position = if self.direction == Direction::Forward { 0 } else { self.entries.len() };
        }
        Ok(())
    }

    /// Goes on until there is an entry, and ends if it is out of range.
    fn settle(&mut self) -> Result<()> {
        loop {
            let Some((ordinal, block)) = &self.block else { return Ok(()) };
            let (ordinal, intervals) = (*ordinal, block.intervals());
            if let Some((key, _)) = self.entries.get(self.current()) {
                let in_range = match self.direction {
                    Direction::Forward => self.end.as_deref().is_none_or(|end| key < end),
                    Direction::Backward => key >= self.start.as_slice(),
                };
                if !in_range {
                    self.finish();
                }
                return Ok(());
            }
            let next = match self.direction {
                Direction::Forward => Some(self.interval + 1).filter(|next| *next < intervals),
                Direction::Backward => self.interval.checked_sub(1),
            };
            if let Some(interval) = next {
                self.decode(interval)?;
                continue;
            }
            let next = match self.direction {
                Direction::Forward => Some(ordinal + 1).filter(|next| *next < self.run.parts.fences.blocks()),
                Direction::Backward => ordinal.checked_sub(1),
            };
            let Some(ordinal) = next else {
                self.finish();
                return Ok(());
            };
            let block = self.load(ordinal)?;
            let interval = if self.direction == Direction::Forward { 0 } else { block.intervals() - 1 };
            self.block = Some((ordinal, block));
            self.decode(interval)?;
        }
    }

    /// The ordinal of the current entry within the interval; beyond it if there is none.
    #[inline]
    fn current(&self) -> usize {
        match self.direction {
            Direction::Forward => self.position,
            Direction::Backward => self.position.wrapping_sub(1),
        }
    }

    fn finish(&mut self) {
        self.block = None;
        self.piece = None;
        self.entries.clear();
    }
}

impl Cursor for RunCursor {
    #[inline]
    fn entry(&self) -> Option<(&[u8], Slot<'_>)> {
        self.entries.get(self.current())
    }

    #[inline]
    fn advance(&mut self) -> Result<()> {
        match self.direction {
            Direction::Forward => self.position += 1,
            Direction::Backward => self.position = self.position.wrapping_sub(1),
        }
        self.settle()
    }
}
