//! Decompressors, used again and again.
//!
//! A decompressor of zstd holds about 100 KiB and takes longer to set up than a block to decompress.
//! Promises: no more are kept than can be of use at once, whatever the number of threads and files.
//! Deliberately unknown: what is decompressed.

use std::io;

use parking_lot::Mutex;
use zstd::bulk::Decompressor;

/// Decompressors kept for later.
const MOST_IDLE: usize = 8;

static IDLE: Mutex<Vec<Decompressor<'static>>> = Mutex::new(Vec::new());

/// Decompresses one zstd frame into `into`, whose length is to be that of the content. `false` where the content
/// has another length.
pub(crate) fn decompress(stored: &[u8], into: &mut [u8]) -> io::Result<bool> {
    let idle = IDLE.lock().pop();
    let mut decompressor = idle.map_or_else(Decompressor::new, Ok)?;
    let written = decompressor.decompress_to_buffer(stored, into);
    let mut idle = IDLE.lock();
    if idle.len() < MOST_IDLE {
        idle.push(decompressor);
    }
    Ok(written? == into.len())
}
