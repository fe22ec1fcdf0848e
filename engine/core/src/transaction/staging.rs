//! What a transaction has written and not yet committed.
//!
//! Promises: at most one staged write a key; `before` is always what the snapshot holds; the running
//! index digest delta equals what the staged index writes do to the snapshot.

use std::collections::BTreeMap;

use bson::RawDocumentBuf;
use bytes::Bytes;
use nimbus_namespace::{KeyChange, Space, StateDigest, entry_hash};
use nimbus_types::{Sequence, limits};

use crate::change::StoredChange;
use crate::commit::{DocumentWrite, MetaWrite, Prepared, ReadSet};
use crate::envelope::StoredDocument;
use crate::error::{EngineError, Result, invalid};

/// A staged document: put (`Some`) or removed (`None`).
#[derive(Debug)]
struct StagedDocument {
    before_hash: Option<u128>,
    created_ms: Option<u64>,
    body: Option<RawDocumentBuf>,
    change: StoredChange,
}

#[derive(Debug)]
struct StagedMeta {
    before_hash: Option<u128>,
    value: Option<Bytes>,
}

/// All staged writes by key.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    documents: BTreeMap<Bytes, StagedDocument>,
    index: BTreeMap<Bytes, Option<Bytes>>,
    meta: BTreeMap<Bytes, StagedMeta>,
    index_delta: StateDigest,
    /// Bytes of documents and index keys staged so far, those staged over since included.
    bytes: usize,
}

impl Staging {
    pub(crate) fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.index.is_empty() && self.meta.is_empty()
    }

    /// Stages a document. `stored` is what the snapshot holds under the key, looked at only the first
    /// time the key is staged.
    pub(crate) fn put_document(
        &mut self,
        key: Bytes,
        stored: Option<&StoredDocument>,
        body: Option<RawDocumentBuf>,
        change: StoredChange,
    ) -> Result<()> {
        let body_bytes = body.as_ref().map_or(0, |body| body.as_bytes().len()) + change.delta_bytes();
        self.check_room(body_bytes)?;
        self.bytes += body_bytes;
        if let Some(staged) = self.documents.get_mut(&key) {
            if staged.body.is_none() {
                // Removed and inserted again is a new document.
                staged.created_ms = None;
            }
            let before = std::mem::replace(&mut staged.change, StoredChange::Replace);
            staged.change = match (&staged.body, staged.before_hash) {
                // For whoever sees the commit alone, what it made and wrote again is new, and what it removed
                // and made again is replaced.
                (_, None) => StoredChange::Insert,
                (None, Some(_)) => StoredChange::Replace,
                (Some(_), Some(_)) => before.then(change)?,
            };
            staged.body = body;
            return Ok(());
        }
        if self.documents.len() >= limits::WRITES_PER_TRANSACTION {
            return Err(invalid(format!(
                "a transaction may write at most {} documents",
                limits::WRITES_PER_TRANSACTION
            )));
        }
        let before_hash = stored.map(|stored| entry_hash(Space::Documents, &key, stored.stored()));
        let created_ms = stored.map(|stored| stored.created_ms);
        self.documents.insert(key, StagedDocument { before_hash, created_ms, body, change });
        Ok(())
    }

    /// Whether `bytes` more may be staged.
    pub(crate) fn check_room(&self, bytes: usize) -> Result<()> {
        if self.bytes + bytes > limits::TRANSACTION_BYTES {
            return Err(EngineError::TransactionTooLarge);
        }
        Ok(())
    }

    /// Stages a meta entry; `stored` as for documents.
    pub(crate) fn put_meta(&mut self, key: Bytes, stored: Option<&Bytes>, value: Option<Bytes>) {
        if let Some(staged) = self.meta.get_mut(&key) {
            staged.value = value;
            return;
        }
        let before_hash = stored.map(|stored| entry_hash(Space::Meta, &key, stored));
        self.meta.insert(key, StagedMeta { before_hash, value });
    }

    /// Stages an index entry that is not there now.
    pub(crate) fn add_index_entry(&mut self, key: Bytes, document_key: Bytes) {
        self.bytes += key.len();
        self.index_delta.add(Space::Index, &key, &document_key);
        self.index.insert(key, Some(document_key));
    }

    /// Stages the removal of an index entry that is there now.
    pub(crate) fn remove_index_entry(&mut self, key: Bytes, document_key: &[u8]) {
        self.bytes += key.len();
        self.index_delta.remove(Space::Index, &key, document_key);
        self.index.insert(key, None);
    }

    /// Whether the document under that key has been written in this transaction.
    pub(crate) fn has_document(&self, key: &[u8]) -> bool {
        self.documents.contains_key(key)
    }

    /// The staged value of a key: `None` if the key is not staged, `Some(None)` if it is removed.
    /// Documents come in their stored form, at version 0 since their commit has none yet.
    pub(crate) fn value(&self, space: Space, key: &[u8]) -> Option<Option<Bytes>> {
        match space {
            Space::Documents => self.documents.get(key).map(StagedDocument::stored),
            Space::Index => self.index.get(key).cloned(),
            Space::Meta => self.meta.get(key).map(|staged| staged.value.clone()),
        }
    }

    /// Staged keys of a range, ascending, with their values as in [`Staging::value`].
    pub(crate) fn values_in(
        &self,
        space: Space,
        range: &nimbus_namespace::KeyRange,
    ) -> Vec<(Bytes, Option<Bytes>)> {
        fn within<'a, V>(
            map: &'a BTreeMap<Bytes, V>,
            range: &'a nimbus_namespace::KeyRange,
        ) -> impl Iterator<Item = (&'a Bytes, &'a V)> {
            map.range(range.start.clone()..).take_while(|(key, _)| range.contains(key))
        }
        match space {
            Space::Documents => {
                within(&self.documents, range).map(|(key, staged)| (key.clone(), staged.stored())).collect()
            }
            Space::Index => {
                within(&self.index, range).map(|(key, value)| (key.clone(), value.clone())).collect()
            }
            Space::Meta => {
                within(&self.meta, range).map(|(key, staged)| (key.clone(), staged.value.clone())).collect()
            }
        }
    }

    /// Hands everything to the committer. An index entry that was added and taken away again is left as
    /// a harmless removal of nothing.
    pub(crate) fn prepare(self, snapshot: Sequence, reads: ReadSet) -> Prepared {
        let documents = self.documents.into_iter().filter_map(|(key, staged)| {
            let StagedDocument { before_hash, created_ms, body, change } = staged;
            (before_hash.is_some() || body.is_some()).then_some(DocumentWrite {
                key,
                before_hash,
                created_ms,
                body,
                change,
            })
        });
        let meta = self.meta.into_iter().map(|(key, staged)| MetaWrite {
            key,
            before_hash: staged.before_hash,
            value: staged.value,
        });
        let index_changes = self
            .index
            .into_iter()
            .map(|(key, value)| KeyChange { space: Space::Index, key, value })
            .collect();
        Prepared {
            snapshot,
            reads,
            documents: documents.collect(),
            meta: meta.collect(),
            index_changes,
            index_delta: self.index_delta,
        }
    }
}

impl StagedDocument {
    fn stored(&self) -> Option<Bytes> {
        let body = self.body.as_ref()?;
        let created_ms = self.created_ms.unwrap_or(0);
        Some(
            StoredDocument::seal(created_ms, created_ms, Sequence::ZERO, &self.change, body).stored().clone(),
        )
    }
}
