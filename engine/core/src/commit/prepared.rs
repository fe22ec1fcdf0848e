//! A transaction that has decided what it writes and waits for its place in the log.
//!
//! Everything that does not depend on that place is computed here, outside the committer: before-
//! hashes and index changes. [`Prepared::seal`] adds what does: sequence, time, digest.

use bson::RawDocumentBuf;
use bytes::Bytes;
use nimbus_namespace::{Commit, CommitRecord, DigestSums, KeyChange, Space, StateDigest, entry_hash};
use nimbus_types::Sequence;

use super::window::ReadSet;
use crate::change::StoredChange;
use crate::envelope::StoredDocument;

/// A document to be put or removed.
#[derive(Debug)]
pub(crate) struct DocumentWrite {
    pub(crate) key: Bytes,
    /// Hash of the entry as it stands in the snapshot; `None` when there is none.
    pub(crate) before_hash: Option<u128>,
    /// When the document was made, if it was made before this transaction.
    pub(crate) created_ms: Option<u64>,
    /// The new document, or `None` to remove it.
    pub(crate) body: Option<RawDocumentBuf>,
    /// How the new document comes to be.
    pub(crate) change: StoredChange,
}

/// A meta entry to be put or removed.
#[derive(Debug)]
pub(crate) struct MetaWrite {
    pub(crate) key: Bytes,
    pub(crate) before_hash: Option<u128>,
    pub(crate) value: Option<Bytes>,
}

/// A transaction ready to be validated and committed.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What it saw.
    pub(crate) snapshot: Sequence,
    /// What its outcome depends on.
    pub(crate) reads: ReadSet,
    pub(crate) documents: Vec<DocumentWrite>,
    pub(crate) meta: Vec<MetaWrite>,
    pub(crate) index_changes: Vec<KeyChange>,
    /// What the index changes do to the digest.
    pub(crate) index_delta: StateDigest,
}

impl Prepared {
    /// About how many bytes of keys and values it writes.
    pub(crate) fn staged_bytes(&self) -> usize {
        let value_bytes = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        let documents = self
            .documents
            .iter()
            .map(|write| write.key.len() + write.body.as_ref().map_or(0, |body| body.as_bytes().len()));
        let meta = self.meta.iter().map(|write| write.key.len() + value_bytes(&write.value));
        let index = self.index_changes.iter().map(|change| change.key.len() + value_bytes(&change.value));
        documents.chain(meta).chain(index).sum()
    }

    /// The commit at its place in the log: `sequence`, `time_ms`, after a state of `digest`, which sums
    /// up to `previous_sums`. The digest becomes that of the state after the commit.
    pub(crate) fn seal(
        &self,
        sequence: Sequence,
        time_ms: u64,
        previous_sums: DigestSums,
        digest: &mut StateDigest,
    ) -> Commit {
        let mut delta = self.index_delta.clone();
        let mut changes = Vec::with_capacity(self.documents.len() + self.meta.len());
        for write in &self.documents {
            let value = write.body.as_ref().map(|body| {
                let created_ms = write.created_ms.unwrap_or(time_ms);
                StoredDocument::seal(created_ms, time_ms, sequence, &write.change, body).stored().clone()
            });
            count(&mut delta, Space::Documents, &write.key, write.before_hash, value.as_ref());
            changes.push(KeyChange { space: Space::Documents, key: write.key.clone(), value });
        }
        for write in &self.meta {
            count(&mut delta, Space::Meta, &write.key, write.before_hash, write.value.as_ref());
            changes.push(KeyChange {
                space: Space::Meta,
                key: write.key.clone(),
                value: write.value.clone(),
            });
        }
        digest.merge(&delta);
        let sums = previous_sums.plus(delta.sums());
        Commit {
            record: CommitRecord { sequence, time_ms, previous_sums, sums, changes },
            index_changes: self.index_changes.clone(),
        }
    }
}

fn count(delta: &mut StateDigest, space: Space, key: &Bytes, before: Option<u128>, after: Option<&Bytes>) {
    if let Some(hash) = before {
        delta.add_hash(space, key, hash.wrapping_neg());
    }
    if let Some(value) = after {
        delta.add_hash(space, key, entry_hash(space, key, value));
    }
}
