//! Looking for damage in a run: everything is read from the disk again and held against everything else.
//!
//! Promises: a changed byte anywhere in the file is reported, and damage in one block does not hide damage
//! in another. It reads past the cache, in large pieces.

use nimbus_namespace::{Direction, PhysicalReport, Result, StorageError};

use crate::run::block::Interval;
use crate::run::cursor::Piece;
use crate::run::{Parts, Run, format};

/// What the blocks that were read have shown so far.
#[derive(Default)]
struct Seen {
    entries: u64,
    filtered_keys: u64,
    last_key: Option<Vec<u8>>,
    /// Set once a block could not be read, when counts mean nothing any more.
    incomplete: bool,
}

impl Run {
    /// Adds to `report` whatever is wrong with the file.
    pub(crate) fn check(&self, report: &mut PhysicalReport) {
        self.tell(report, self.check_parts());
        let mut seen = Seen::default();
        let (mut piece, mut interval) = (Piece::default(), Interval::default());
        for ordinal in 0..self.parts.fences.blocks() {
            let checked = self.check_block(ordinal, &mut piece, &mut interval, &mut seen);
            seen.incomplete |= checked.is_err();
            self.tell(report, checked);
        }
        let footer = &self.parts.footer;
        let last_key = seen.last_key.as_deref().unwrap_or_default();
        let agrees = seen.entries == footer.entries
            && seen.filtered_keys == footer.filtered_keys
            && last_key == self.parts.fences.bounds().1;
        if !agrees && !seen.incomplete {
            let footer_offset = self.file_bytes - format::FOOTER_BYTES as u64;
            let told = self.file.damage(footer_offset, "the footer does not agree with the blocks");
            self.tell(report, Err(told));
        }
    }

    fn tell(&self, report: &mut PhysicalReport, checked: Result<()>) {
        match checked {
            Ok(()) => {}
            // The text of these begins with the file's name and the offset.
            Err(StorageError::Corruption(told) | StorageError::Io(told)) => match told.split_once(": ") {
                Some((location, message)) => report.add(location, message),
                None => report.add(self.file.name(), told),
            },
            Err(error) => report.add(self.file.name(), error.to_string()),
        }
    }

    /// Everything but the blocks: it is as when the run was opened.
    fn check_parts(&self) -> Result<()> {
        let file_bytes = self.file.size_bytes()?;
        let parts = Parts::read(&self.file, file_bytes, self.number)?;
        if parts.footer != self.parts.footer || file_bytes != self.file_bytes {
            return Err(self.file.damage(0, "the file has been replaced"));
        }
        Ok(())
    }

    fn check_block(
        &self,
        ordinal: usize,
        piece: &mut Piece,
        interval: &mut Interval,
        seen: &mut Seen,
    ) -> Result<()> {
        let block = piece.block(self, ordinal, Direction::Forward)?;
        let fences = &self.parts.fences;
        let (smallest, largest) = fences.bounds();
        let (from, to) = fences.separators_around(ordinal);
        for each in 0..block.intervals() {
            interval.decode(&block, each).map_err(|_| self.malformed(ordinal))?;
            for (key, _) in (0..interval.len()).filter_map(|entry| interval.get(entry)) {
                if seen.last_key.as_deref().is_some_and(|last| last >= key) {
                    return Err(self.damage_in(ordinal, "keys are out of order"));
                }
                if key < smallest || key > largest || (ordinal == 0 && seen.entries == 0 && key != smallest) {
                    return Err(self.damage_in(ordinal, "a key is outside the file's bounds"));
                }
                if block.interval_of(key) != Ok(each) {
                    return Err(self.damage_in(ordinal, "a key is not found where it is"));
                }
                let rest = &key[fences.common()..];
                if from.is_some_and(|from| rest < from) || to.is_some_and(|to| rest >= to) {
                    return Err(self.damage_in(ordinal, "a key is outside the block's fences"));
                }
                if format::is_filtered(key) {
                    seen.filtered_keys += 1;
                    if !self.parts.filter.may_hold(key) {
                        return Err(self.damage_in(ordinal, "the filter does not know a key"));
                    }
                }
                seen.entries += 1;
                let last_key = seen.last_key.get_or_insert_default();
                last_key.clear();
                last_key.extend_from_slice(key);
            }
        }
        Ok(())
    }
}
