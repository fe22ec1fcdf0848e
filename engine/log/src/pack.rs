//! Packs: values that outlive the log, in compressed blocks.
//!
//! A pack is written once, sorted by key, from the live values of segments that the log no longer needs or
//! of older packs, and never changed. Promises: a value that is read is the value that was added, or
//! the damage is named. Deliberately unknown: which values are live, and when a pack becomes part of a store.

mod entries;
mod format;
mod inspect;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use format::MAGIC;
pub(crate) use inspect::inspect;
pub(crate) use reader::Pack;
pub(crate) use writer::PackWriter;
