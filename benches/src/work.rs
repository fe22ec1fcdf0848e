//! The work every side does: the same documents, the same index, the same questions.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use bson::{RawDocument, RawDocumentBuf, rawdoc};

use crate::Outcome;

/// How many documents share one value of the indexed field.
pub(crate) const GROUP_DOCUMENTS: u64 = 100;

/// How many documents one transaction of a batch load writes.
pub(crate) const BATCH_DOCUMENTS: usize = 500;

/// Numbers of one writer's fresh documents lie this far from those of another.
const FRESH_NUMBERS: u64 = 100_000_000;

/// Numbers documents, old and new.
pub(crate) struct Work {
    /// Documents loaded before anything is measured.
    pub(crate) documents: u64,
    writers: AtomicU64,
}

impl Work {
    /// Work over `documents` loaded documents.
    pub(crate) fn new(documents: u64) -> Self {
        Self { documents, writers: AtomicU64::new(documents / FRESH_NUMBERS) }
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
        Self::revised(n, 0)
    }

    /// The `n`-th document after an update, which moves it to another group.
    pub(crate) fn revised(n: u64, revision: u64) -> RawDocumentBuf {
        rawdoc! {
            "_id": Self::id(n),
            "group": Self::group(n).wrapping_add_unsigned(revision),
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

    /// Numbers no document has had yet, for one writer.
    pub(crate) fn fresh(&self) -> Range<u64> {
        let begin = (self.writers.fetch_add(1, Ordering::Relaxed) + 1) * FRESH_NUMBERS;
        begin..begin + FRESH_NUMBERS
    }

    /// The numbers of `documents` documents in pieces for one transaction each.
    pub(crate) fn batches(documents: u64) -> impl Iterator<Item = Range<u64>> {
        let begins = (0..documents).step_by(BATCH_DOCUMENTS);
        begins.map(move |begin| begin..documents.min(begin + BATCH_DOCUMENTS as u64))
    }

    /// Numbers of loaded documents in a scattered order that is the same for every side.
    pub(crate) fn scattered(&self, thread: u64) -> impl Iterator<Item = u64> + use<> {
        let documents = self.documents;
        random_numbers(thread).map(move |random| random % documents)
    }
}

/// One document as an embedded store writes it.
pub(crate) struct Write {
    /// Whether there is an older document of this id, whose index entry must go.
    pub(crate) replaces: bool,
    /// The document's `_id`.
    pub(crate) id: String,
    /// Its value in the indexed field.
    pub(crate) group: i64,
    /// Its bytes.
    pub(crate) body: Vec<u8>,
}

impl Write {
    /// The `n`-th document, which is not there yet.
    pub(crate) fn insert(n: u64) -> Self {
        let body = Work::document(n).into_bytes();
        Self { replaces: false, id: Work::id(n), group: Work::group(n), body }
    }

    /// Another revision of the `n`-th document, in another group.
    pub(crate) fn update(n: u64, revision: u64) -> Self {
        let group = Work::group(n).wrapping_add_unsigned(revision);
        Self { replaces: true, id: Work::id(n), group, body: Work::revised(n, revision).into_bytes() }
    }
}

/// The value of the indexed field in a document's bytes.
pub(crate) fn group_of(body: &[u8]) -> Outcome<i64> {
    Ok(RawDocument::from_bytes(body)?.get_i64("group")?)
}

/// `SplitMix64` (Steele, Lea and Flood, 2014), the same numbers for the same seed.
pub(crate) fn random_numbers(seed: u64) -> impl Iterator<Item = u64> + use<> {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut state = STEP.wrapping_mul(seed + 1);
    std::iter::repeat_with(move || {
        state = state.wrapping_add(STEP);
        mixed(state)
    })
}

/// A number that looks random, always the same for the same `z`.
pub(crate) fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
