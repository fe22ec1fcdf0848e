//! Reading a pack.
//!
//! Promises: nothing is answered that has not passed its checksums; the memory that stays is charged to the
//! store's share. Deliberately unknown: which values are live.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use nimbus_io::{Disk, DiskFile};
use nimbus_namespace::{PhysicalReport, Result, StorageError};

use super::entries::{BlockEntries, Entries};
use super::format::{Damage, FOOTER_BYTES, Footer, HEADER_BYTES, check_header, decode_table, open_block};
use crate::cache::{Charge, Share};
use crate::position::Position;

/// An open pack.
pub(crate) struct Pack {
    file: Arc<dyn DiskFile>,
    name: String,
    number: u32,
    share: Arc<Share>,
    footer: Footer,
    file_bytes: u64,
    /// Where each block begins, and at last where the last one ends.
    offsets: Box<[u64]>,
    /// The memory of `offsets`.
    _charge: Charge,
}

impl Pack {
    /// Opens a pack and holds its block table. `Corruption` if header, block table or footer are damaged or
    /// the file is not as long as they say; the blocks are verified when they are read.
    pub(crate) fn open(disk: &dyn Disk, path: &Path, number: u32, share: &Arc<Share>) -> Result<Self> {
        let name = file_name(path);
        let file = disk.open(path).map_err(|error| StorageError::Io(format!("{name}: {error}")))?;
        let layout = read_layout(&*file, number).map_err(|damage| damage.into_error(&name))?;
        let (footer, file_bytes, offsets) = layout;
        let charge = share.charge((size_of::<Self>() + size_of_val(&*offsets)) as u64);
        Ok(Self { file, name, number, share: share.clone(), footer, file_bytes, offsets, _charge: charge })
    }

    /// The value at a position, as a part of its block, which is kept for others. `Corruption` if it is
    /// not the value that the position was given for.
    pub(crate) fn read(&self, position: Position) -> Result<Bytes> {
        let corrupt = |what| Damage::Corrupt { offset: self.block_offset(position.block), what };
        if position.file != self.number || position.block >= self.footer.blocks {
            return Err(corrupt("a value was looked for that cannot be here").into_error(&self.name));
        }
        let content = if let Some(content) = self.share.block(self.number, position.block) {
            content
        } else {
            let content = self.load(position.block).map_err(|damage| damage.into_error(&self.name))?;
            self.share.keep(self.number, position.block, content.clone());
            content
        };
        let begin = position.offset as usize;
        let end = begin.saturating_add(position.length as usize);
        match content.get(begin..end) {
            Some(value) if position.matches(value) => Ok(content.slice(begin..end)),
            _ => Err(corrupt("the block holds another value than was looked for").into_error(&self.name)),
        }
    }

    /// All keys, positions and values, in the order of the keys, read past the cache. Ends after
    /// the first error.
    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries::new(self)
    }

    /// Reads all of the file and adds what is wrong with it.
    pub(crate) fn check(&self, report: &mut PhysicalReport) {
        if let Err(damage) = read_layout(&*self.file, self.number) {
            damage.report(&self.name, report);
            return;
        }
        let (mut entries, mut value_bytes, mut is_whole) = (0, 0, true);
        for block in 0..self.footer.blocks {
            match self.count_block(block) {
                Ok((entries_here, value_bytes_here)) => {
                    entries += entries_here;
                    value_bytes += value_bytes_here;
                }
                Err(damage) => {
                    damage.report(&self.name, report);
                    is_whole = false;
                }
            }
        }
        if is_whole && (entries, value_bytes) != (self.footer.entries, self.footer.value_bytes) {
            report.add(&self.name, "the footer counts other entries than there are");
        }
    }

    /// Length of the file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Bytes of all values, uncompressed, dead ones included.
    pub(crate) fn value_bytes(&self) -> u64 {
        self.footer.value_bytes
    }

    /// The file's number.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Number of blocks.
    pub(super) fn blocks(&self) -> u32 {
        self.footer.blocks
    }

    /// The file's name, for errors.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where a block begins; the end of the blocks for one that there is not.
    pub(super) fn block_offset(&self, block: u32) -> u64 {
        self.offsets.get(block as usize).copied().unwrap_or(self.footer.table_offset)
    }

    /// The verified raw content of a block there is, read from the file.
    pub(super) fn load(&self, block: u32) -> std::result::Result<Bytes, Damage> {
        let offset = self.block_offset(block);
        let stored_bytes = self.block_offset(block + 1) - offset;
        let stored = read_at(&*self.file, offset, stored_bytes)?;
        open_block(stored, |bytes| self.share.buffer(bytes)).map_err(|what| Damage::Corrupt { offset, what })
    }

    /// Number of a block's entries, and bytes of its values.
    fn count_block(&self, block: u32) -> std::result::Result<(u64, u64), Damage> {
        let (mut entries, mut value_bytes) = (0, 0);
        for entry in BlockEntries::new(self.load(block)?) {
            let entry = entry.map_err(|what| Damage::Corrupt { offset: self.block_offset(block), what })?;
            entries += 1;
            value_bytes += entry.value.len() as u64;
        }
        Ok((entries, value_bytes))
    }
}

/// The name of a file without its folder, as errors may show it.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reads and verifies all but the blocks: the footer, the file's length and the offsets of the blocks.
fn read_layout(file: &dyn DiskFile, number: u32) -> std::result::Result<(Footer, u64, Box<[u64]>), Damage> {
    let file_bytes = file.size_bytes().map_err(|error| Damage::Unreadable { offset: 0, error })?;
    let corrupt = |offset| move |what| Damage::Corrupt { offset, what };
    let Some(footer_offset) = file_bytes.checked_sub(FOOTER_BYTES as u64) else {
        return Err(corrupt(0)("the file is shorter than a footer"));
    };
    let mut header = [0; HEADER_BYTES];
    read_into(file, 0, &mut header)?;
    check_header(&header, number).map_err(corrupt(0))?;
    let mut footer = [0; FOOTER_BYTES];
    read_into(file, footer_offset, &mut footer)?;
    let footer = Footer::decode(&footer).map_err(corrupt(footer_offset))?;
    if footer.file_bytes() != Some(file_bytes) {
        return Err(corrupt(footer_offset)("the file is not as long as its footer says"));
    }
    let table = read_at(file, footer.table_offset, footer.table_bytes())?;
    let offsets = decode_table(&table, &footer).map_err(corrupt(footer.table_offset))?;
    Ok((footer, file_bytes, offsets))
}

/// Reads bytes that verified lengths say are there.
fn read_at(file: &dyn DiskFile, offset: u64, bytes: u64) -> std::result::Result<Vec<u8>, Damage> {
    let mut read = vec![0; bytes as usize];
    read_into(file, offset, &mut read)?;
    Ok(read)
}

fn read_into(file: &dyn DiskFile, offset: u64, into: &mut [u8]) -> std::result::Result<(), Damage> {
    file.read_at(offset, into).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Damage::Corrupt { offset, what: "the file ends too early" };
        }
        Damage::Unreadable { offset, error }
    })
}
