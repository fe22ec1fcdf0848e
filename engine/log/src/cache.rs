//! Memory: the server-wide budget, and the blocks of files that are kept in it.
//!
//! Every open store has one [`Share`] of the server's [`Budget`]. A share holds two kinds of memory:
//! *cached* blocks, which are given up when room is needed, and *pinned* memory (delta, mirrors,
//! fences, filters), which its owner counts by a [`Charge`]. Promises: cached blocks never take the
//! budget past its limit, whoever holds the most gives up first, and dropping gives back what was
//! counted. Deliberately unknown: what the blocks hold, and how they are read.

mod blocks;
mod budget;
mod buffers;
mod shard;
mod share;
#[cfg(test)]
mod tests;

pub use budget::Budget;
pub(crate) use buffers::READ_BYTES;
pub(crate) use share::{Charge, Share};
