//! The stored form of a block: compressed where that helps, and always under a checksum.
//!
//! Promises: what [`open`] answers is what [`seal`] was given for that place, or it is named as damaged; no
//! length is believed before the checksum over it has been verified, and none beyond the file's longest block.
//! The bytes are described in the [format](super::format).

use std::io;

use bytes::Bytes;
use zstd::bulk::Compressor;

use crate::compression::decompress;

/// Level of compression: the library's own middle of speed and size.
const LEVEL: i32 = 3;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// Which block it is. The checksum covers it, so that an intact block in a wrong place is noticed too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) file: u32,
    pub(super) block: u32,
}

pub(super) fn compressor() -> io::Result<Compressor<'static>> {
    Compressor::new(LEVEL)
}

fn checksum(place: Place, stored: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place.file.to_le_bytes());
    hasher.update(&place.block.to_le_bytes());
    hasher.update(stored);
    hasher.finalize()
}

/// Appends the stored form of a block's content.
pub(super) fn seal(
    content: &[u8],
    place: Place,
    compressor: Option<&mut Compressor<'static>>,
    into: &mut Vec<u8>,
) -> io::Result<()> {
    let compressed = compressor.map(|compressor| compressor.compress(content)).transpose()?;
    // Compression that saves less than an eighth is not worth its time when the block is read.
    let worthwhile = compressed.filter(|compressed| compressed.len() <= content.len() - content.len() / 8);
    let start = into.len();
    into.extend_from_slice(worthwhile.as_deref().unwrap_or(content));
    into.push(if worthwhile.is_some() { ZSTD } else { PLAIN });
    into.extend_from_slice(&(content.len() as u32).to_le_bytes());
    let checksum = checksum(place, &into[start..]);
    into.extend_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// The content of a stored block, or what is wrong with it. Plain content stays a part of `stored`.
///
/// `memory` answers zeros of a length, for content that was compressed.
pub(super) fn open(
    stored: &Bytes,
    place: Place,
    longest_block: u32,
    memory: impl FnOnce(usize) -> Vec<u8>,
) -> Result<Bytes, &'static str> {
    let (covered, found) = stored.split_last_chunk::<4>().ok_or("a block is too short")?;
    if checksum(place, covered) != u32::from_le_bytes(*found) {
        return Err("a block's checksum does not match");
    }
    let (content, &[flags, a, b, c, d]) = covered.split_last_chunk::<5>().ok_or("a block is too short")?;
    let plain_bytes = u32::from_le_bytes([a, b, c, d]);
    if plain_bytes > longest_block {
        return Err("a block is longer than the longest of the file");
    }
    let plain_bytes = plain_bytes as usize;
    match flags {
        PLAIN if content.len() == plain_bytes => Ok(stored.slice(..plain_bytes)),
        ZSTD => {
            let mut plain = memory(plain_bytes);
            let is_whole = decompress(content, &mut plain).unwrap_or(false);
            if is_whole { Ok(plain.into()) } else { Err("a block cannot be decompressed") }
        }
        _ => Err("a block's trailer makes no sense"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { file: 3, block: 4 };

    fn zeros(length: usize) -> Vec<u8> {
        vec![0; length]
    }

    fn sealed(content: &[u8]) -> Bytes {
        let mut stored = Vec::new();
        seal(content, PLACE, Some(&mut compressor().unwrap()), &mut stored).unwrap();
        stored.into()
    }

    #[test]
    fn content_that_shrinks_is_compressed_and_other_content_is_not() {
        let (even, uneven) = ([7; 4096], [1, 2, 3]);
        assert!(sealed(&even).len() < 100);
        assert_eq!(sealed(&uneven).len(), 3 + 9);
        assert_eq!(open(&sealed(&even), PLACE, 4096, zeros), Ok(Bytes::copy_from_slice(&even)));
        assert_eq!(open(&sealed(&uneven), PLACE, 4096, zeros), Ok(Bytes::copy_from_slice(&uneven)));
    }

    #[test]
    fn a_block_of_another_place_or_length_is_refused() {
        let stored = sealed(&[7; 4096]);
        assert!(open(&stored, Place { file: 3, block: 5 }, 4096, zeros).is_err());
        assert!(open(&stored, Place { file: 2, block: 4 }, 4096, zeros).is_err());
        assert!(open(&stored, PLACE, 4095, zeros).is_err());
        assert!(open(&stored.slice(..8), PLACE, 4096, zeros).is_err());
    }
}
