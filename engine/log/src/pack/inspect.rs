//! A pack for a person: header, blocks, block table and footer.
//!
//! Promises: a damaged header or block does not hide the others. Blocks are found by the block table and
//! that by the footer; without them there is no more to say.

use std::io;

use super::entries::BlockEntries;
use super::format::{FOOTER_BYTES, Footer, HEADER_BYTES, check_header, decode_table, open_block, u32_at};
use crate::inspect::{Printer, Source};

/// Prints a pack; `number` is what its name says.
pub(crate) fn inspect(source: &Source, number: Option<u32>, printer: &mut Printer<'_>) -> io::Result<()> {
    inspect_header(source, number, printer)?;
    let Some(footer) = inspect_footer(source, printer)? else { return Ok(()) };
    let table = source
        .read(footer.table_offset, footer.table_bytes())
        .and_then(|table| Ok(decode_table(&table, &footer)?));
    let offsets = match table {
        Ok(offsets) => offsets,
        Err(why) => {
            let why = format_args!("{why}; without it no block can be found");
            return printer.damage("table", footer.table_offset, why);
        }
    };
    printer.part("table", footer.table_offset, format_args!("ok: {} blocks", footer.blocks))?;
    let (mut entries, mut value_bytes) = (0, 0);
    for extent in offsets.windows(2) {
        let (offset, stored_bytes) = (extent[0], extent[1] - extent[0]);
        match read_block(source, offset, stored_bytes) {
            Err(why) => printer.damage("block", offset, why)?,
            Ok(block) => {
                let (count, bytes) = (block.keys.len(), block.value_bytes);
                printer.part(
                    "block",
                    offset,
                    format_args!("ok: {count} values of {bytes} bytes, {stored_bytes} stored"),
                )?;
                block.keys.iter().try_for_each(|key| printer.tagged_key("holds", key))?;
                entries += count as u64;
                value_bytes += bytes;
            }
        }
    }
    printer.line(format_args!(
        "values {entries} of {}, bytes {value_bytes} of {}",
        footer.entries, footer.value_bytes
    ))
}

fn inspect_header(source: &Source, number: Option<u32>, printer: &mut Printer<'_>) -> io::Result<()> {
    let checked = source.read(0, HEADER_BYTES as u64).and_then(|header| {
        let header = header.first_chunk().ok_or("the file ends too early")?;
        let number = number.unwrap_or_else(|| u32_at(header, 12));
        check_header(header, number)?;
        Ok(number)
    });
    match checked {
        Ok(number) => printer.part("header", 0, format_args!("ok: pack {number}")),
        Err(why) => printer.damage("header", 0, why),
    }
}

fn inspect_footer(source: &Source, printer: &mut Printer<'_>) -> io::Result<Option<Footer>> {
    let offset = source.size_bytes().saturating_sub(FOOTER_BYTES as u64);
    let footer = source.read(offset, FOOTER_BYTES as u64).and_then(|bytes| {
        let footer = Footer::decode(bytes.first_chunk().ok_or("the file ends too early")?)?;
        let fits = footer.file_bytes() == Some(source.size_bytes());
        fits.then_some(footer).ok_or_else(|| "the file is not as long as it says".into())
    });
    match footer {
        Ok(footer) => {
            let Footer { entries, value_bytes, blocks, .. } = footer;
            printer.part(
                "footer",
                offset,
                format_args!("ok: {entries} values of {value_bytes} bytes in {blocks} blocks"),
            )?;
            Ok(Some(footer))
        }
        Err(why) => {
            printer.damage("footer", offset, format_args!("{why}; without it no other part can be found"))?;
            Ok(None)
        }
    }
}

/// The keys of a block, and bytes of its values.
struct BlockKeys {
    keys: Vec<Vec<u8>>,
    value_bytes: u64,
}

fn read_block(source: &Source, offset: u64, stored_bytes: u64) -> Result<BlockKeys, String> {
    let content = open_block(source.read(offset, stored_bytes)?.into(), |bytes| vec![0; bytes])?;
    let mut block = BlockKeys { keys: Vec::new(), value_bytes: 0 };
    for entry in BlockEntries::new(content) {
        let entry = entry?;
        block.value_bytes += entry.value.len() as u64;
        block.keys.push(entry.key.to_vec());
    }
    Ok(block)
}
