//! The bytes of a run file, and the pieces of fixed shape among them.
//!
//! All integers are little-endian; a *length* is an unsigned LEB128 number. Every byte of the file is
//! under one CRC-32 (IEEE). The parts follow each other without gaps:
//!
//! ```text
//! header    20 bytes: magic "NimbusRn" · version u16 = 1 · reserved u16 = 0 · number u32 · CRC-32 of these 16 bytes
//! blocks    one after the other, ascending keys, each
//!             stored content
//!             trailer, 9 bytes: flags u8 (0 plain, 1 zstd) · length of the plain content u32 · CRC-32 of
//!             (file number u32 · ordinal of the block u32 · stored content · flags · plain length)
//! filter    buckets of eight u32; may be empty
//! fences    smallest key (length · bytes) · largest key (length · bytes), both empty if there are no entries;
//!           then for each block: stored length with the trailer (length) and, except for the first block,
//!           its separator (length · bytes)
//! footer    56 bytes: entries u64 · filtered keys u64 · blocks u32 · longest plain content of a block u32 ·
//!           offset of the filter u64 · offset of the fences u64 · CRC-32 of the filter · CRC-32 of the fences ·
//!           number u32 · CRC-32 of these 52 bytes
//! ```
//!
//! A separator is the shortest prefix of its block's first key that is greater than every key before it.
//! The plain content of a block is
//!
//! ```text
//! entries   one after the other: shared (length) · suffix (length) · slot (length) · suffix bytes · slot bytes
//! common    bytes that all keys begin with, at most 255
//! heads     for each interval the eight bytes of its first key that follow the common ones, filled up with
//!           zeros and read as a big-endian number: u64
//! restarts  for each interval the offset of its first entry u32
//! counts    of the common bytes u32 · of the intervals u32, at least 1
//! ```
//!
//! An entry's key is the first `shared` bytes of the key before it, then the suffix. Each interval holds at
//! most 8 entries, and the first of an interval shares nothing. Common bytes, heads and restarts lie together so
//! that finding the interval of a key touches one or two lines of the processor's cache. Slot 0 is a removed key, without bytes; 1 is
//! a position, 20 bytes; n ≥ 2 is an inline value of n − 2 bytes.
//!
//! The filter is a split block Bloom filter (Putze, Sanders and Singler, "Cache-, Hash- and Space-Efficient
//! Bloom Filters"; bits and salts as in the Apache Parquet specification) over the XXH3-64 hash of every key
//! that is not of [`Space::Index`]: the hash's upper half, times the number of buckets, shifted right by 32,
//! is the bucket; the lower half sets one bit in each of its words.

use nimbus_namespace::Space;

use crate::cache::READ_BYTES;
use crate::position::Position;

/// Bytes of the header; the first block begins here.
pub(super) const HEADER_BYTES: usize = 20;
/// Bytes of the footer, the last of the file.
pub(super) const FOOTER_BYTES: usize = 56;
/// Plain content of a block, unless one entry alone is longer.
pub(super) const BLOCK_BYTES: usize = READ_BYTES;
/// Most entries from one restart point to the next.
pub(super) const INTERVAL_ENTRIES: usize = 8;
/// Most bytes that are kept as common to a block's keys.
pub(super) const COMMON_BYTES: usize = 255;
/// Most bytes of an entry's key and inline value together, so that a block's length fits its field.
pub(super) const ENTRY_BYTES: usize = u32::MAX as usize - 1024;

pub(crate) const MAGIC: &[u8; 8] = b"NimbusRn";
const VERSION: u16 = 1;

/// Whether the filter knows the key. Entries of an index are read by scans, which no filter can help.
pub(super) fn is_filtered(key: &[u8]) -> bool {
    key.first() != Some(&Space::Index.tag())
}

/// How many bytes two keys have in common at their beginning.
#[inline]
pub(super) fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    let (left_words, right_words) = (left.as_chunks::<8>().0, right.as_chunks::<8>().0);
    let words = left_words.iter().zip(right_words).take_while(|(left, right)| left == right).count();
    let rest = left[8 * words..].iter().zip(&right[8 * words..]);
    8 * words + rest.take_while(|(left, right)| left == right).count()
}

/// The first eight bytes of a key as a number that sorts like them. Shorter keys are filled up with zeros,
/// which keeps the order but for equality.
#[inline]
pub(super) fn head(key: &[u8]) -> u64 {
    match key.first_chunk() {
        Some(head) => u64::from_be_bytes(*head),
        None => key.iter().rev().fold(0, |head, byte| (head >> 8) | (u64::from(*byte) << 56)),
    }
}

/// Appends a length.
pub(super) fn write_length(into: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        into.push(length as u8 | 0x80);
        length >>= 7;
    }
    into.push(length as u8);
}

/// Reads a length at `at` and moves `at` behind it; `None` if there is none.
#[inline]
pub(super) fn read_length(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let first = *bytes.get(*at)?;
    *at += 1;
    if first < 0x80 { Some(usize::from(first)) } else { read_longer(bytes, at, first) }
}

fn read_longer(bytes: &[u8], at: &mut usize, first: u8) -> Option<usize> {
    let mut length = usize::from(first & 0x7F);
    // Five groups of seven bits hold every u32; nothing in the format is longer.
    for shift in [7, 14, 21, 28] {
        let byte = *bytes.get(*at)?;
        *at += 1;
        length |= usize::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(length);
        }
    }
    None
}

/// Reads `length` bytes at `at` and moves `at` behind them; `None` if there are fewer.
#[inline]
pub(super) fn read_bytes<'a>(bytes: &'a [u8], at: &mut usize, length: usize) -> Option<&'a [u8]> {
    let taken = bytes.get(*at..at.checked_add(length)?)?;
    *at += length;
    Some(taken)
}

/// The `u32` at `at`.
#[inline]
pub(super) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|field| u32::from_le_bytes(*field))
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|field| u64::from_le_bytes(*field))
}

/// The position stored at `at`.
#[inline]
pub(super) fn read_position(bytes: &[u8], at: usize) -> Option<Position> {
    bytes.get(at..)?.first_chunk::<{ Position::STORED_BYTES }>().map(Position::from_bytes)
}

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = crc32fast::hash(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// The bytes before the closing CRC-32, if it matches.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    (crc32fast::hash(content) == u32::from_le_bytes(*checksum)).then_some(content)
}

/// The header of the run of that number.
pub(super) fn header(number: u32) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(number.to_le_bytes());
    with_checksum(bytes)
}

/// Says what is wrong with a header of the run of that number.
pub(super) fn check_header(bytes: &[u8], number: u32) -> Result<(), String> {
    if !bytes.starts_with(MAGIC) {
        return Err("this is no run file".into());
    }
    let content = checked(bytes).ok_or("the header's checksum does not match")?;
    // The version comes first: what follows it may have another shape in a later one.
    let version = content.get(8..).and_then(<[u8]>::first_chunk).map(|field| u16::from_le_bytes(*field));
    if version != Some(VERSION) {
        return Err(format!("the format's version is {version:?}, known is {VERSION}"));
    }
    match read_u32(content, 12) {
        Some(found) if found == number => Ok(()),
        found => Err(format!("the header is that of file {found:?}")),
    }
}

/// Counts and places, from the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Footer {
    pub(super) entries: u64,
    /// Keys in the filter.
    pub(super) filtered_keys: u64,
    pub(super) blocks: u32,
    /// Longest plain content of a block, in bytes.
    pub(super) longest_block: u32,
    pub(super) filter_offset: u64,
    pub(super) fences_offset: u64,
    pub(super) filter_checksum: u32,
    pub(super) fences_checksum: u32,
    pub(super) number: u32,
}

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FOOTER_BYTES);
        bytes.extend(self.entries.to_le_bytes());
        bytes.extend(self.filtered_keys.to_le_bytes());
        bytes.extend(self.blocks.to_le_bytes());
        bytes.extend(self.longest_block.to_le_bytes());
        bytes.extend(self.filter_offset.to_le_bytes());
        bytes.extend(self.fences_offset.to_le_bytes());
        bytes.extend(self.filter_checksum.to_le_bytes());
        bytes.extend(self.fences_checksum.to_le_bytes());
        bytes.extend(self.number.to_le_bytes());
        with_checksum(bytes)
    }

    /// The reverse of [`Footer::encode`]; `None` if the checksum does not match.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let content = checked(bytes)?;
        Some(Self {
            entries: read_u64(content, 0)?,
            filtered_keys: read_u64(content, 8)?,
            blocks: read_u32(content, 16)?,
            longest_block: read_u32(content, 20)?,
            filter_offset: read_u64(content, 24)?,
            fences_offset: read_u64(content, 32)?,
            filter_checksum: read_u32(content, 40)?,
            fences_checksum: read_u32(content, 44)?,
            number: read_u32(content, 48)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_sort_like_keys() {
        let keys: [&[u8]; 6] = [b"", b"a", b"a\0\x01", b"ab", b"abcdefgh", b"b"];
        assert!(keys.is_sorted_by_key(|key| head(key)));
        assert_eq!(head(b"ab"), u64::from_be_bytes(*b"ab\0\0\0\0\0\0"));
    }

    #[test]
    fn lengths_are_read_as_written() {
        for length in [0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, 300_000, u32::MAX as usize] {
            let mut bytes = Vec::new();
            write_length(&mut bytes, length);
            let mut at = 0;
            assert_eq!((read_length(&bytes, &mut at), at), (Some(length), bytes.len()));
            assert_eq!(read_length(&bytes[..bytes.len() - 1], &mut 0), None);
        }
        assert_eq!(read_length(&[0xFF; 20], &mut 0), None);
    }

    #[test]
    fn header_and_footer_have_the_bytes_that_are_written_down() {
        assert_eq!(header(7)[..16], *b"NimbusRn\x01\0\0\0\x07\0\0\0");
        assert_eq!(header(7).len(), HEADER_BYTES);
        assert_eq!(check_header(&header(7), 7), Ok(()));
        assert!(check_header(&header(7), 8).is_err());
        let footer = Footer { entries: 1, blocks: 2, fences_offset: 3, number: 4, ..Footer::default() };
        assert_eq!(footer.encode().len(), FOOTER_BYTES);
        assert_eq!(Footer::decode(&footer.encode()), Some(footer));
    }

    #[test]
    fn a_later_version_is_named() {
        let mut later = header(7);
        later.truncate(16);
        later[8] = 2;
        let told = check_header(&with_checksum(later), 7);
        assert!(told.is_err_and(|text| text.contains("version")));
    }
}
