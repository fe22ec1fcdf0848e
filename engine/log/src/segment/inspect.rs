//! A segment for a person: its header, every frame, and what lies between and behind them.
//!
//! Promises: each block of the file is in one line's part. Behind a frame that does not check out the next
//! one is looked for block by block.

use std::io;
use std::path::Path;

use bytes::Bytes;
use nimbus_io::{BLOCK_BYTES, SECTOR_BYTES};
use nimbus_namespace::StorageError;
use nimbus_types::Sequence;

use super::header::{Found, SegmentHeader};
use crate::frame::{self, Frame, Header, Inspected, is_zero};
use crate::inspect::{Printer, Source, SpaceCounts};

/// Prints a segment; `number` is what its name says.
pub(crate) fn inspect(source: &Source, number: Option<u32>, printer: &mut Printer<'_>) -> io::Result<()> {
    let header = inspect_header(source, number, printer)?;
    let mut walk = Walk {
        source,
        salt: header.as_ref().map(|header| header.salt),
        last: header.map(|header| Last { next: header.base_sequence, crc: header.previous_crc }),
        ended_at: None,
        frames: 0,
        commits: 0,
    };
    let mut block = 1;
    while block < walk.blocks() {
        block += walk.step(block, printer)?;
    }
    printer.line(format_args!("frames {}, commits {}", walk.frames, walk.commits))
}

fn inspect_header(
    source: &Source,
    number: Option<u32>,
    printer: &mut Printer<'_>,
) -> io::Result<Option<SegmentHeader>> {
    let sector = match source.read(0, source.size_bytes().min(SECTOR_BYTES as u64)) {
        Ok(sector) => sector,
        Err(why) => return printer.damage("header", 0, why).map(|()| None),
    };
    if is_zero(&sector) {
        return printer.part("header", 0, "zeros: the segment was never begun").map(|()| None);
    }
    let read = sector.first_chunk().map(|sector| SegmentHeader::read(Path::new("header"), sector));
    let header = match read {
        Some(Ok(Found::Header(header))) => header,
        Some(Err(error)) => return printer.damage("header", 0, text_of(error)).map(|()| None),
        Some(Ok(Found::Nothing)) | None => {
            return printer.damage("header", 0, "the file ends too early").map(|()| None);
        }
    };
    if number.is_some_and(|number| number != header.number) {
        printer.damage("header", 0, format_args!("it is that of segment {}", header.number))?;
    }
    let SegmentHeader { number, salt, previous_crc, base_sequence, tenant } = &header;
    printer.part(
        "header",
        0,
        format_args!(
            "ok: segment {number}, tenant {tenant}, from commit {base_sequence}, salt {salt:08x}, after frame {previous_crc:08x}"
        ),
    )?;
    Ok(Some(header))
}

fn text_of(error: StorageError) -> String {
    match error {
        StorageError::Corruption(text) | StorageError::Unavailable(text) | StorageError::Io(text) => text,
        other => other.to_string(),
    }
}

/// The end of the log as far as it has been followed.
struct Last {
    next: Sequence,
    crc: u32,
}

struct Walk<'a> {
    source: &'a Source,
    /// From the header; where that cannot be read, from the first frame.
    salt: Option<u32>,
    last: Option<Last>,
    /// Where the first thing was that no frame may follow.
    ended_at: Option<u64>,
    frames: u64,
    commits: u64,
}

impl Walk<'_> {
    /// Blocks of the file, the last of which may not be whole.
    fn blocks(&self) -> u64 {
        self.source.size_bytes().div_ceil(BLOCK_BYTES as u64)
    }

    /// Prints what begins at a block and answers how many blocks it takes.
    fn step(&mut self, block: u64, printer: &mut Printer<'_>) -> io::Result<u64> {
        let offset = block * BLOCK_BYTES as u64;
        let length = (self.source.size_bytes() - offset).min(BLOCK_BYTES as u64);
        let first = match self.source.read(offset, length) {
            Ok(first) => first,
            Err(why) => {
                printer.damage("block", offset, why)?;
                return Ok(1);
            }
        };
        if is_zero(&first) {
            return self.zeros(block, printer);
        }
        let header = frame::header_of(&first);
        let blocks = header.map_or(1, |header| u64::from(header.blocks()));
        let bytes = self.source.read(offset, blocks * BLOCK_BYTES as u64).unwrap_or(first);
        let salt = *self.salt.get_or_insert(header.map_or(0, |header| header.salt));
        match frame::inspect(&bytes, salt) {
            Inspected::Frame(header) => {
                self.frame(offset, header, bytes.slice(..header.used_bytes()), printer)?;
                return Ok(blocks);
            }
            Inspected::Nothing => {
                printer.part("torn", offset, "a write was cut short: its first sector is missing")?;
            }
            Inspected::Torn => {
                let text = "a write was cut short: sectors of the frame are missing";
                printer.part("torn", offset, text)?;
            }
            Inspected::Damaged(why) => {
                printer.damage("frame", offset, why)?;
                self.last = None;
                return Ok(self.to_next_frame(block, salt));
            }
        }
        self.ended_at.get_or_insert(offset);
        Ok(blocks.max(1))
    }

    fn frame(
        &mut self,
        offset: u64,
        header: Header,
        bytes: Bytes,
        printer: &mut Printer<'_>,
    ) -> io::Result<()> {
        let last = self.last.replace(Last { next: header.last_sequence().next(), crc: header.crc });
        let follows = |last: &Last| (last.next, last.crc) == (header.sequence, header.previous_crc);
        if last.is_some_and(|last| !follows(&last)) {
            printer.damage("frame", offset, "it does not follow the frame before")?;
        }
        if let Some(ended_at) = self.ended_at.take() {
            let why = format_args!("a whole frame follows where the log ended, at {ended_at}");
            printer.damage("frame", offset, why)?;
        }
        let frame = match Frame::read(bytes, header) {
            Ok(frame) => frame,
            Err(error) => return printer.damage("frame", offset, text_of(error)),
        };
        let mut counts = SpaceCounts::default();
        let placed = || frame.changes().iter().map(|change| &change.placed);
        placed().for_each(|placed| counts.add(placed.space, placed.value.is_none()));
        let commits = match header.commits {
            0 => "no commit".to_owned(),
            1 => format!("commit {}", header.sequence),
            more => format!("{more} commits {}-{}", header.sequence, header.last_sequence()),
        };
        let (used, blocks) = (header.used_bytes(), header.blocks());
        printer.part(
            "frame",
            offset,
            format_args!(
                "ok: {commits}, {counts}, {used} bytes in {blocks} blocks, log from {}, crc {:08x}",
                header.log_start, header.crc
            ),
        )?;
        if printer.wants_keys() {
            for placed in placed() {
                let what = if placed.value.is_some() { "put" } else { "removed" };
                printer.key(what, placed.space.name(), frame.slice(&placed.key))?;
            }
        }
        self.frames += 1;
        self.commits += u64::from(header.commits);
        Ok(())
    }

    fn zeros(&mut self, block: u64, printer: &mut Printer<'_>) -> io::Result<u64> {
        let offset = |block| block * BLOCK_BYTES as u64;
        let read = |block| self.source.read(offset(block), BLOCK_BYTES as u64);
        let more =
            (block + 1..self.blocks()).take_while(|next| read(*next).is_ok_and(|bytes| is_zero(&bytes)));
        let blocks = 1 + more.count() as u64;
        printer.part("zeros", offset(block), format_args!("{} bytes, not written yet", offset(blocks)))?;
        self.ended_at.get_or_insert(offset(block));
        Ok(blocks)
    }

    /// How many blocks there are from `block`, at which no frame could be read, to the next that can be or to
    /// zeros.
    fn to_next_frame(&self, block: u64, salt: u32) -> u64 {
        let goes_on = |next: &u64| {
            let bytes = self.source.read(next * BLOCK_BYTES as u64, BLOCK_BYTES as u64);
            bytes.is_ok_and(|bytes| {
                let begins = frame::header_of(&bytes).is_some_and(|header| header.salt == salt);
                !begins && !is_zero(&bytes)
            })
        };
        1 + (block + 1..self.blocks()).take_while(goes_on).count() as u64
    }
}
