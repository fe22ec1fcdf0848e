//! What a client asks for.

use bson::{Document, RawDocumentBuf, doc};

use crate::work::{GROUP_DOCUMENTS, Work};

/// Bytes that a message has beside its document: header, flags, kind of section.
const MESSAGE_BYTES: usize = 21;
/// About what a driver adds to every command: session, database, and in replies the standing of the command.
const COMMAND_BYTES: usize = 60;

/// One kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// One new document.
    Insert,
    /// One document by its `_id`.
    Find,
    /// All documents of one value of the indexed field, asked for as a range.
    Range,
    /// One field of one document.
    Update,
    /// The documents of ten values of the indexed field, grouped by another field and added up.
    Aggregate,
}

impl Operation {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 5] = [Self::Insert, Self::Find, Self::Range, Self::Update, Self::Aggregate];

    /// For a person.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Insert => "durable inserts",
            Self::Find => "find by _id",
            Self::Range => "indexed range of 100",
            Self::Update => "durable updates",
            Self::Aggregate => "aggregation over 1,000",
        }
    }

    /// Whether it waits for the disk.
    pub(crate) fn is_durable(self) -> bool {
        matches!(self, Self::Insert | Self::Update)
    }

    /// Bytes of a request and of its reply, about as a driver sends and gets them.
    pub(crate) fn message_bytes(self, work: &Work) -> (usize, usize) {
        let overhead = MESSAGE_BYTES + COMMAND_BYTES;
        let document = work.document_bytes();
        let id = Work::id(0).len();
        match self {
            Self::Insert => (overhead + document, overhead),
            Self::Find => (overhead + id, overhead + document),
            Self::Range => (overhead + 60, overhead + document * GROUP_DOCUMENTS as usize),
            Self::Update => (overhead + id + 40, overhead),
            Self::Aggregate => (overhead + 160, overhead + 80),
        }
    }
}

/// The filter of [`Operation::Range`].
pub(crate) fn range(n: u64) -> Document {
    let group = Work::group(n);
    doc! { "group": { "$gte": group, "$lt": group + 1 } }
}

/// The change of [`Operation::Update`].
pub(crate) fn change(revision: u64) -> Document {
    doc! { "$set": { "score": revision as f64 } }
}

/// The pipeline of [`Operation::Aggregate`].
pub(crate) fn pipeline(n: u64) -> [Document; 2] {
    let group = Work::group(n);
    [
        doc! { "$match": { "group": { "$gte": group, "$lt": group + 10 } } },
        doc! { "$group": { "_id": "$active", "score": { "$sum": "$score" }, "count": { "$sum": 1 } } },
    ]
}

/// A document in the driver's own type.
pub(crate) fn document(n: u64) -> RawDocumentBuf {
    Work::document(n)
}
