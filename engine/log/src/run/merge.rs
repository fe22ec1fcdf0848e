//! Several sources of entries read as one: of equal keys the newest source's entry counts.
//!
//! Scans read the delta and the runs through a [`MergeCursor`]; [`merge`] writes a run with it. Promises: one pass,
//! memory in use does not grow with the entries. Deliberately unknown: what a source is.

use std::cmp::Ordering;
use std::sync::Arc;

use nimbus_namespace::{Direction, Result};

use crate::position::Position;
use crate::run::{Reading, Run, RunWriter};
use crate::slot::{Cursor, Slot};

/// The newest entry of every key. Removed keys are entries like any other.
///
/// All sources walk in the same direction. A cursor that has answered an error is of no more use.
pub(crate) struct MergeCursor<'a> {
    /// Newest first.
    sources: Vec<Box<dyn Cursor + 'a>>,
    direction: Direction,
    /// The sources that have an entry, by its key in the order of the direction, and the newer one first where
    /// keys are equal. There are few sources and often the same one stays ahead, so that putting one back
    /// into its place by neighbours beats a heap.
    order: Vec<usize>,
}

impl<'a> MergeCursor<'a> {
    /// Reads `sources`, the newest first.
    pub(crate) fn new(sources: Vec<Box<dyn Cursor + 'a>>, direction: Direction) -> Self {
        let mut order: Vec<usize> =
            (0..sources.len()).filter(|source| sources[*source].entry().is_some()).collect();
        order.sort_by(|left, right| compare(&sources, direction, *left, *right));
        Self { sources, direction, order }
    }

    /// Goes on to the next key, and tells what older sources said of this one.
    fn advance_telling(&mut self, superseded: &mut dyn FnMut(Slot<'_>)) -> Result<()> {
        let Some((key, _)) = self.entry() else { return Ok(()) };
        let mut standing = 1;
        while let Some((other, slot)) =
            self.order.get(standing).and_then(|older| self.sources[*older].entry())
        {
            if other != key {
                break;
            }
            superseded(slot);
            standing += 1;
        }
        // From the last to the first, so that what comes after a place is always in order.
        for place in (0..standing).rev() {
            self.sources[self.order[place]].advance()?;
            self.settle(place);
        }
        Ok(())
    }

    /// Moves the source at `place`, which has been advanced, back to where it belongs.
    fn settle(&mut self, mut place: usize) {
        if self.sources[self.order[place]].entry().is_none() {
            self.order.remove(place);
            return;
        }
        while let Some(next) = self.order.get(place + 1)
            && compare(&self.sources, self.direction, self.order[place], *next) == Ordering::Greater
        {
            self.order.swap(place, place + 1);
            place += 1;
        }
    }
}

/// Which of two sources comes first.
fn compare(sources: &[Box<dyn Cursor + '_>], direction: Direction, left: usize, right: usize) -> Ordering {
    let key = |source: usize| sources[source].entry().map(|(key, _)| key);
    let by_key = match direction {
        Direction::Forward => key(left).cmp(&key(right)),
        Direction::Backward => key(right).cmp(&key(left)),
    };
    by_key.then(left.cmp(&right))
}

impl Cursor for MergeCursor<'_> {
    fn entry(&self) -> Option<(&[u8], Slot<'_>)> {
        self.order.first().and_then(|newest| self.sources[*newest].entry())
    }

    fn advance(&mut self) -> Result<()> {
        self.advance_telling(&mut |_| {})
    }
}

/// Writes what `inputs`, the newest first, say together. The caller finishes the writer.
///
/// `superseded` is called with every position that a newer input has replaced or removed, so that live bytes
/// can be counted. `forget_removed` leaves removed keys out, which is right only if no older run remains
/// that may still hold them.
pub(crate) fn merge(
    inputs: &[Arc<Run>],
    into: &mut RunWriter,
    forget_removed: bool,
    superseded: &mut dyn FnMut(Position),
) -> Result<()> {
    let mut sources: Vec<Box<dyn Cursor>> = Vec::with_capacity(inputs.len());
    for input in inputs {
        sources.push(Box::new(input.cursor(&[], None, Direction::Forward, Reading::PastCache)?));
    }
    let mut merged = MergeCursor::new(sources, Direction::Forward);
    while let Some((key, slot)) = merged.entry() {
        if !(forget_removed && slot == Slot::Removed) {
            into.add(key, slot)?;
        }
        merged.advance_telling(&mut |slot| {
            if let Slot::At(position) = slot {
                superseded(position);
            }
        })?;
    }
    Ok(())
}
