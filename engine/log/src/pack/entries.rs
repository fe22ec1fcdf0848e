//! Going through the entries of a pack, one block after the other.
//!
//! Promises: blocks are read from the file and leave the cache as it is, so that compaction pushes out
//! nothing that readers use. Deliberately unknown: which entries are live.

use bytes::Bytes;
use nimbus_namespace::Result;

use super::format::{Damage, u32_at};
use super::reader::Pack;
use crate::position::Position;

/// One entry of a block.
pub(super) struct BlockEntry {
    pub(super) key: Bytes,
    pub(super) value: Bytes,
    /// Where the value begins in the block's raw content.
    pub(super) value_offset: usize,
}

/// The entries of a block's raw content. An item says what is wrong with the content; it is the last one.
pub(super) struct BlockEntries {
    content: Bytes,
    at: usize,
}

impl BlockEntries {
    /// The entries from the first on.
    pub(super) fn new(content: Bytes) -> Self {
        Self { content, at: 0 }
    }
}

impl Iterator for BlockEntries {
    type Item = std::result::Result<BlockEntry, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.content.len() {
            return None;
        }
        let entry = split_entry(&self.content, self.at);
        self.at = entry.as_ref().map_or(self.content.len(), |entry| entry.value_offset + entry.value.len());
        Some(entry.ok_or("an entry goes beyond its block"))
    }
}

/// The entry that begins at `at`, if all of it is there.
fn split_entry(content: &Bytes, at: usize) -> Option<BlockEntry> {
    let key_begin = at + 8;
    let lengths = content.get(at..key_begin)?;
    let value_begin = key_begin.checked_add(u32_at(lengths, 0) as usize)?;
    let value_end = value_begin.checked_add(u32_at(lengths, 4) as usize)?;
    if value_end > content.len() {
        return None;
    }
    Some(BlockEntry {
        key: content.slice(key_begin..value_begin),
        value: content.slice(value_begin..value_end),
        value_offset: value_begin,
    })
}

/// The entries of a pack: key, position, value.
pub(crate) struct Entries<'a> {
    pack: &'a Pack,
    /// The block being gone through.
    block: u32,
    /// Its entries that are left; `None` before it is read.
    rest: Option<BlockEntries>,
}

impl<'a> Entries<'a> {
    /// All entries.
    pub(super) fn new(pack: &'a Pack) -> Self {
        Self { pack, block: 0, rest: None }
    }

    /// The next entry of this block, or of the ones after it.
    fn step(&mut self) -> std::result::Result<Option<(Bytes, Position, Bytes)>, Damage> {
        while self.block < self.pack.blocks() {
            let rest = match &mut self.rest {
                Some(rest) => rest,
                None => self.rest.insert(BlockEntries::new(self.pack.load(self.block)?)),
            };
            let Some(entry) = rest.next() else {
                self.block += 1;
                self.rest = None;
                continue;
            };
            let offset = self.pack.block_offset(self.block);
            let BlockEntry { key, value, value_offset } =
                entry.map_err(|what| Damage::Corrupt { offset, what })?;
            let position = Position {
                file: self.pack.number(),
                block: self.block,
                offset: value_offset as u32,
                length: value.len() as u32,
                checksum: crc32fast::hash(&value),
            };
            return Ok(Some((key, position, value)));
        }
        Ok(None)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<(Bytes, Position, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step()
            .map_err(|damage| {
                self.block = self.pack.blocks();
                damage.into_error(self.pack.name())
            })
            .transpose()
    }
}
