//! The work every side does: the same documents, the same index, the same questions.

use std::sync::atomic::{AtomicU64, Ordering};

use bson::{RawDocumentBuf, rawdoc};

/// How many documents share one value of the indexed field.
pub(crate) const GROUP_DOCUMENTS: u64 = 100;

/// Numbers documents, old and new.
pub(crate) struct Work {
    /// Documents loaded before anything is measured.
    pub(crate) documents: u64,
    next: AtomicU64,
}

impl Work {
    /// Work over `documents` loaded documents.
    pub(crate) fn new(documents: u64) -> Self {
        Self { documents, next: AtomicU64::new(documents) }
    }

    /// The `_id` of the `n`-th document.
    pub(crate) fn id(n: u64) -> String {
        format!("document-{n:012}")
    }

    /// The `n`-th document's value in the indexed field.
    pub(crate) fn group(n: u64) -> i64 {
        (n / GROUP_DOCUMENTS).cast_signed()
    }

    /// The `n`-th document.
    pub(crate) fn document(n: u64) -> RawDocumentBuf {
        rawdoc! {
            "_id": Self::id(n),
            "group": Self::group(n),
            "name": format!("name of number {n}"),
            "active": n.is_multiple_of(2),
            "score": n as f64 / 7.0,
            "payload": "the quick brown fox jumps over the lazy dog ".repeat(4),
        }
    }

    /// Bytes of one document.
    pub(crate) fn document_bytes(&self) -> usize {
        Self::document(self.documents).as_bytes().len()
    }

    /// A number no document has had yet.
    pub(crate) fn fresh(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Numbers of loaded documents in a scattered order that is the same for every side.
    pub(crate) fn scattered(&self, thread: u64) -> impl Iterator<Item = u64> + use<> {
        let documents = self.documents;
        let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(thread + 1);
        std::iter::repeat_with(move || {
            // SplitMix64 (Steele, Lea and Flood, 2014).
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (z ^ (z >> 31)) % documents
        })
    }
}
