//! A run for a person: header, blocks, filter, fences and footer.
//!
//! Promises: a damaged header, filter or block does not hide the others. Blocks are found by the fences and
//! those by the footer; without them there is no more to say.

use std::io;

use super::block::{Block, Interval};
use super::fences::Fences;
use super::filter::Filter;
use super::format::{self, FOOTER_BYTES, Footer, HEADER_BYTES, read_u32};
use super::sealed::{self, Place};
use crate::inspect::{Printer, Source, SpaceCounts};
use crate::slot::Slot;

/// Prints a run; `number` is what its name says.
pub(crate) fn inspect(source: &Source, number: Option<u32>, printer: &mut Printer<'_>) -> io::Result<()> {
    inspect_header(source, number, printer)?;
    let Some((footer, footer_offset)) = inspect_footer(source, number, printer)? else { return Ok(()) };
    inspect_filter(source, &footer, printer)?;
    let Some(fences) = inspect_fences(source, &footer, footer_offset, printer)? else { return Ok(()) };
    let mut entries = 0;
    for ordinal in 0..fences.blocks() {
        let extent = fences.extent(ordinal);
        let block = source.read(extent.start, extent.end - extent.start).and_then(|stored| {
            let place = Place { file: footer.number, block: ordinal as u32 };
            let content = sealed::open(&stored, place, footer.longest_block, |bytes| vec![0; bytes])?;
            let plain_bytes = content.len();
            Ok((Block::new(content).map_err(|_| MALFORMED)?, stored.len(), plain_bytes))
        });
        let told = block.and_then(|(block, stored_bytes, plain_bytes)| {
            let keys = read_block(&block)?;
            Ok((keys, stored_bytes, plain_bytes))
        });
        match told {
            Err(why) => printer.damage("block", extent.start, why)?,
            Ok((keys, stored_bytes, plain_bytes)) => {
                let text = format_args!("ok: {}, {plain_bytes} bytes, {stored_bytes} stored", keys.counts);
                printer.part("block", extent.start, text)?;
                keys.print(printer)?;
                entries += keys.entries;
            }
        }
    }
    printer.line(format_args!("entries {entries} of {}", footer.entries))
}

const MALFORMED: &str = "the block's entries cannot be read";

fn inspect_header(source: &Source, number: Option<u32>, printer: &mut Printer<'_>) -> io::Result<()> {
    let checked = source.read(0, HEADER_BYTES as u64).and_then(|header| {
        let number = number.or_else(|| read_u32(&header, 12)).unwrap_or_default();
        format::check_header(&header, number).map(|()| number)
    });
    match checked {
        Ok(number) => printer.part("header", 0, format_args!("ok: run {number}")),
        Err(why) => printer.damage("header", 0, why),
    }
}

fn inspect_footer(
    source: &Source,
    number: Option<u32>,
    printer: &mut Printer<'_>,
) -> io::Result<Option<(Footer, u64)>> {
    let offset = source.size_bytes().saturating_sub(FOOTER_BYTES as u64);
    let footer = source.read(offset, FOOTER_BYTES as u64).ok().and_then(|bytes| Footer::decode(&bytes));
    let in_order = |footer: &Footer| {
        footer.filter_offset <= footer.fences_offset
            && footer.fences_offset <= offset
            && number.is_none_or(|number| number == footer.number)
    };
    let Some(footer) = footer.filter(in_order) else {
        printer.damage("footer", offset, "it is not as written; without it no other part can be found")?;
        return Ok(None);
    };
    let Footer { entries, filtered_keys, blocks, longest_block, .. } = footer;
    printer.part(
        "footer",
        offset,
        format_args!(
            "ok: {entries} entries, {filtered_keys} of them in the filter, {blocks} blocks of at most {longest_block} bytes"
        ),
    )?;
    Ok(Some((footer, offset)))
}

fn inspect_filter(source: &Source, footer: &Footer, printer: &mut Printer<'_>) -> io::Result<()> {
    let (offset, length) = (footer.filter_offset, footer.fences_offset - footer.filter_offset);
    match source.read(offset, length) {
        Err(why) => printer.damage("filter", offset, why),
        Ok(section) if crc32fast::hash(&section) != footer.filter_checksum => {
            printer.damage("filter", offset, "it does not match its checksum")
        }
        Ok(section) if Filter::decode(&section).is_none() => {
            printer.damage("filter", offset, "it cannot be read")
        }
        Ok(_) => printer.part("filter", offset, format_args!("ok: {length} bytes")),
    }
}

fn inspect_fences(
    source: &Source,
    footer: &Footer,
    footer_offset: u64,
    printer: &mut Printer<'_>,
) -> io::Result<Option<Fences>> {
    let (offset, length) = (footer.fences_offset, footer_offset - footer.fences_offset);
    let fences = source.read(offset, length).and_then(|section| {
        if crc32fast::hash(&section) != footer.fences_checksum {
            return Err("they do not match their checksum".into());
        }
        let fences = Fences::decode(&section, footer.blocks);
        fences.filter(|fences| fences.end() == footer.filter_offset).ok_or("they cannot be read".into())
    });
    match fences {
        Ok(fences) => {
            printer.part("fences", offset, format_args!("ok: {length} bytes"))?;
            Ok(Some(fences))
        }
        Err(why) => {
            printer.damage("fences", offset, format_args!("{why}; without them no block can be found"))?;
            Ok(None)
        }
    }
}

/// What a block says, and of which keys.
#[derive(Default)]
struct Keys {
    counts: SpaceCounts,
    entries: u64,
    said: Vec<(&'static str, Vec<u8>)>,
}

fn read_block(block: &Block) -> Result<Keys, String> {
    let (mut keys, mut interval) = (Keys::default(), Interval::default());
    for each in 0..block.intervals() {
        interval.decode(block, each).map_err(|_| MALFORMED)?;
        for (key, slot) in (0..interval.len()).filter_map(|entry| interval.get(entry)) {
            keys.counts.add_slot(key, slot).ok_or("a key is of no known space")?;
            let said = match slot {
                Slot::Removed => "removed",
                Slot::At(_) => "at",
                Slot::Inline(_) => "inline",
            };
            keys.said.push((said, key.to_vec()));
            keys.entries += 1;
        }
    }
    Ok(keys)
}

impl Keys {
    fn print(&self, printer: &mut Printer<'_>) -> io::Result<()> {
        self.said.iter().try_for_each(|(said, key)| printer.tagged_key(said, key))
    }
}
