//! Decompressors, used again and again.
//!
//! A decompressor of zstd holds about 100 KiB and takes longer to set up than a block to decompress.
//! Promises: no more are kept than can be of use at once, whatever the number of threads and packs.
//! Deliberately unknown: what is decompressed.

use std::io;

use parking_lot::Mutex;
use zstd::bulk::Decompressor;

/// Decompressors kept for later.
const MOST_IDLE: usize = 8;

static IDLE: Mutex<Vec<Decompressor<'static>>> = Mutex::new(Vec::new());

/// Decompresses one zstd frame that holds its own length, which is to be `raw_bytes`.
pub(super) fn decompress(stored: &[u8], raw_bytes: usize) -> io::Result<Vec<u8>> {
    let idle = IDLE.lock().pop();
    let mut decompressor = idle.map_or_else(Decompressor::new, Ok)?;
    let raw = decompressor.decompress(stored, raw_bytes);
    let mut idle = IDLE.lock();
    if idle.len() < MOST_IDLE {
        idle.push(decompressor);
    }
    raw
}
