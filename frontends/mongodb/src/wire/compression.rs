//! `OP_COMPRESSED`: another message's content, compressed.
//!
//! Promises: what comes out is held to the size that was declared, and memory is taken as it comes out.

use std::io::{self, Read as _};

use flate2::read::{ZlibDecoder, ZlibEncoder};

use super::error::WireError;
use super::header::{HEADER_BYTES, Header, MESSAGE_BYTES, Opcode};
use super::read::Reader;

/// `OP_COMPRESSED`'s number.
pub(super) const OPCODE: i32 = 2012;
/// Largest window a zstd frame may ask for, as a power of two (8 MiB). Levels up to 19 stay within it.
const ZSTD_WINDOW_LOG: u32 = 23;
/// Speed counts for more than size between machines that are near.
const ZSTD_LEVEL: i32 = 1;
/// A Snappy element of three bytes copies at most 64.
const SNAPPY_RATIO: usize = 22;

/// A compression that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compressor {
    /// Content as it is.
    Noop,
    /// Snappy, raw format.
    Snappy,
    /// zlib (RFC 1950).
    Zlib,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compressor {
    /// Those that `hello` negotiates, by name.
    pub const NEGOTIABLE: [(&'static str, Self); 3] =
        [("zstd", Self::Zstd), ("snappy", Self::Snappy), ("zlib", Self::Zlib)];

    const fn number(self) -> u8 {
        match self {
            Self::Noop => 0,
            Self::Snappy => 1,
            Self::Zlib => 2,
            Self::Zstd => 3,
        }
    }

    fn from_number(number: u8) -> Result<Self, WireError> {
        [Self::Noop, Self::Snappy, Self::Zlib, Self::Zstd]
            .into_iter()
            .find(|compressor| compressor.number() == number)
            .ok_or(WireError::UnknownCompressor(number))
    }
}

/// The message inside: its header, its content, and what it was compressed with.
pub(super) fn open(header: &Header, body: &[u8]) -> Result<(Header, Vec<u8>, Compressor), WireError> {
    let mut reader = Reader::new(body);
    let opcode = Opcode::from_number(reader.int32("the inner opcode")?)?;
    if opcode == Opcode::Compressed {
        return Err(WireError::Compressed);
    }
    let declared = usize::try_from(reader.int32("the inner size")?).map_err(|_| WireError::Compressed)?;
    if declared > MESSAGE_BYTES - HEADER_BYTES {
        return Err(WireError::Compressed);
    }
    let compressor = Compressor::from_number(reader.byte("the compressor")?)?;
    let content = reader.take(reader.remaining(), "compressed content")?;
    let content = inflate(compressor, content, declared)
        .ok()
        .filter(|content| content.len() == declared)
        .ok_or(WireError::Compressed)?;
    Ok((Header { message_bytes: HEADER_BYTES + declared, opcode, ..*header }, content, compressor))
}

/// What `content` was, or a little more than `declared` bytes of it.
fn inflate(compressor: Compressor, content: &[u8], declared: usize) -> io::Result<Vec<u8>> {
    let mut inflated = Vec::new();
    let limit = declared as u64 + 1;
    match compressor {
        Compressor::Noop => inflated.extend(content),
        Compressor::Snappy => {
            // The decoder takes the memory that the content declares, so that is held to the possible.
            if snap::raw::decompress_len(content)? > declared.min(content.len() * SNAPPY_RATIO) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            inflated = snap::raw::Decoder::new().decompress_vec(content)?;
        }
        Compressor::Zlib => {
            ZlibDecoder::new(content).take(limit).read_to_end(&mut inflated)?;
        }
        Compressor::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(content)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            decoder.take(limit).read_to_end(&mut inflated)?;
        }
    }
    Ok(inflated)
}

/// `OP_COMPRESSED` around `message`, which begins with a place for a header, as the answer does.
pub(super) fn pack(compressor: Compressor, opcode: i32, message: &[u8]) -> Vec<u8> {
    let content = &message[HEADER_BYTES..];
    // A compressor that fails to compress memory leaves the content as it is, which is always understood.
    let (compressor, deflated) = deflate(compressor, content)
        .map_or_else(|_| (Compressor::Noop, content.to_vec()), |deflated| (compressor, deflated));
    let mut packed = Vec::with_capacity(HEADER_BYTES + 9 + deflated.len());
    packed.resize(HEADER_BYTES, 0);
    packed.extend(opcode.to_le_bytes());
    // Replies are far shorter than 2 GiB.
    packed.extend(i32::try_from(content.len()).unwrap_or(i32::MAX).to_le_bytes());
    packed.push(compressor.number());
    packed.extend(deflated);
    packed
}

fn deflate(compressor: Compressor, content: &[u8]) -> io::Result<Vec<u8>> {
    match compressor {
        Compressor::Noop => Ok(content.to_vec()),
        Compressor::Snappy => Ok(snap::raw::Encoder::new().compress_vec(content)?),
        Compressor::Zlib => {
            let mut deflated = Vec::new();
            ZlibEncoder::new(content, flate2::Compression::fast()).read_to_end(&mut deflated)?;
            Ok(deflated)
        }
        Compressor::Zstd => zstd::bulk::compress(content, ZSTD_LEVEL),
    }
}
