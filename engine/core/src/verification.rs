//! Verification: do the views of a tenant's log agree?
//!
//! From one snapshot it recomputes every digest, checks every stored value, derives index entries
//! from documents and compares them with those stored, and checks that the retained log's sequences
//! and digests chain up to the head; then it asks the storage for its own check. Where the catalog
//! cannot be read, nothing is said of tables and indexes; where an entry cannot, nothing of digests.
//! Promises: reads only; memory is bounded by pages, between which other tasks get their turn; each
//! mismatch names its key or sequence.

mod log;

use std::collections::{BTreeMap, HashMap};

use bson::RawDocument;
use bytes::Bytes;
use nimbus_namespace::{Direction, Entry, Head, KeyRange, Space, StateDigest};
use nimbus_types::{ErrorKind, IndexId, TableId, key};
use serde::Serialize;

use crate::catalog::{
    Catalog, Index, IndexState, Table, Tombstone, table_of_key, table_of_tombstone_key, tombstones,
};
use crate::envelope::{StoredDocument, open_meta};
use crate::error::Result;
use crate::query::print_id;
use crate::storage::View;
use crate::tenant::Tenant;
use crate::transaction::Reader;

const PAGE: usize = 512;
/// Mismatches listed; further ones are counted.
const LISTED: usize = 100;

/// What kind of thing disagrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MismatchKind {
    /// A stored document's checksum, form or table.
    Document,
    /// A document lacks an entry its index should hold.
    IndexEntryMissing,
    /// An index holds an entry that follows from no document.
    IndexEntryOrphan,
    /// A stored catalog or other meta value.
    Meta,
    /// The sum over a space or index is not what the head says.
    Digest,
    /// The log's sequences or digests do not chain.
    Log,
    /// The storage's own check.
    Storage,
}

/// One disagreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// What kind of thing.
    pub kind: MismatchKind,
    /// Which table, where one is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Which index, where one is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// Which document (its `_id` as relaxed Extended JSON) or raw key (hexadecimal).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which commit, where one is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// What is wrong, for a person.
    pub message: String,
}

impl Mismatch {
    fn new(kind: MismatchKind, message: impl Into<String>) -> Self {
        Self { kind, table: None, index: None, key: None, sequence: None, message: message.into() }
    }
}

/// A digest as the head stores it beside what the live entries sum up to, both hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DigestReport {
    /// `documents`, `meta` or `index <number>`.
    pub of: String,
    /// What the head stores.
    pub stored: String,
    /// What the entries sum up to.
    pub computed: String,
}

/// The outcome of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsistencyReport {
    /// Whether nothing disagrees.
    pub ok: bool,
    /// The tenant.
    pub tenant: String,
    /// Sequence of the state that was verified.
    pub sequence: u64,
    /// Time of that state's last commit, epoch milliseconds; 0 when there is none.
    pub time_ms: u64,
    /// Sequence of the oldest log record kept.
    pub log_start: u64,
    /// Where the log ends, as the storage and as the engine know it.
    pub heads: Heads,
    /// Digests, stored and recomputed.
    pub digests: Vec<DigestReport>,
    /// How many live documents, index entries, meta entries and log records were looked at.
    pub counts: Counts,
    /// How many disagreements there are.
    pub mismatch_count: u64,
    /// The first of them.
    pub mismatches: Vec<Mismatch>,
}

/// Sequences of the newest commit. The storage may be ahead, by a commit not answered yet or another
/// server's; it must never be behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Heads {
    /// What the storage holds.
    pub stored: u64,
    /// What this server had acknowledged when the verification began.
    pub acknowledged: u64,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Live documents.
    pub documents: u64,
    /// Live index entries.
    pub index_entries: u64,
    /// Live meta entries.
    pub meta: u64,
    /// Retained log records.
    pub log_records: u64,
}

impl Tenant {
    /// Verifies the tenant as it stands now. Errors are failures to look, not what was found.
    pub async fn verify(&self) -> Result<ConsistencyReport> {
        self.bind().await?;
        let storage = &self.core().storage;
        let acknowledged = self.core().committer.known_head();
        let snapshot = self.snapshot().await?;
        let mut run = Run::default();
        let known = match Known::load(&snapshot).await {
            Ok(known) => Some(known),
            Err(error) if error.kind() == ErrorKind::StorageCorruption => {
                run.found(Mismatch::new(MismatchKind::Meta, format!("the catalog cannot be read: {error}")));
                None
            }
            Err(error) => return Err(error),
        };
        let digests = match run.entries(&snapshot, known.as_ref()).await {
            Ok(()) => run.digests(snapshot.head()),
            // The sum over a part of the entries says nothing.
            Err(error) if error.kind() == ErrorKind::StorageCorruption => {
                run.found(Mismatch::new(MismatchKind::Storage, format!("entries cannot be read: {error}")));
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let head = snapshot.head().clone();
        drop(snapshot);
        if head.sequence < acknowledged {
            let message =
                format!("commits up to {acknowledged} were acknowledged; the log ends at {}", head.sequence);
            run.found(Mismatch {
                sequence: Some(acknowledged.0),
                ..Mismatch::new(MismatchKind::Log, message)
            });
        }
        let log =
            log::check_log(&**storage.namespace(), &head).await.map_err(|error| storage.error(error))?;
        run.counts.log_records = log.records;
        for (sequence, message) in log.faults {
            run.found(Mismatch { sequence: Some(sequence.0), ..Mismatch::new(MismatchKind::Log, message) });
        }
        for fault in storage.check().await?.faults {
            run.found(Mismatch {
                key: Some(fault.location),
                ..Mismatch::new(MismatchKind::Storage, fault.message)
            });
        }
        Ok(ConsistencyReport {
            ok: run.mismatch_count == 0,
            tenant: self.id().to_string(),
            sequence: head.sequence.0,
            time_ms: head.time_ms,
            log_start: head.log_start.0,
            heads: Heads { stored: head.sequence.0, acknowledged: acknowledged.0 },
            digests,
            counts: run.counts,
            mismatch_count: run.mismatch_count,
            mismatches: run.mismatches,
        })
    }
}

#[derive(Default)]
struct Run {
    computed: StateDigest,
    counts: Counts,
    mismatches: Vec<Mismatch>,
    mismatch_count: u64,
}

impl Run {
    fn found(&mut self, mismatch: Mismatch) {
        self.mismatch_count += 1;
        if self.mismatches.len() < LISTED {
            self.mismatches.push(mismatch);
        }
    }

    /// Looks at every live entry.
    async fn entries(&mut self, snapshot: &View<'_>, known: Option<&Known>) -> Result<()> {
        self.documents(snapshot, known).await?;
        self.index_entries(snapshot, known).await?;
        self.meta(snapshot).await
    }

    async fn documents(&mut self, snapshot: &View<'_>, known: Option<&Known>) -> Result<()> {
        let mut rest = Some(KeyRange::all());
        while let Some(entries) = next_page(snapshot, Space::Documents, &mut rest).await? {
            for entry in entries {
                self.computed.add(Space::Documents, &entry.key, &entry.value);
                self.counts.documents += 1;
                self.document(snapshot, known, &entry.key, entry.value).await?;
            }
        }
        Ok(())
    }

    async fn document(
        &mut self,
        snapshot: &View<'_>,
        known: Option<&Known>,
        key: &Bytes,
        value: Bytes,
    ) -> Result<()> {
        let broken = |message: String, table: Option<&Table>| Mismatch {
            table: table.map(|table| table.entry.name.clone()),
            key: Some(print_document_key(key)),
            ..Mismatch::new(MismatchKind::Document, message)
        };
        let Some((table, encoded_id)) = key::split_document_key(key) else {
            self.found(broken("the key is malformed".into(), None));
            return Ok(());
        };
        let is_left = known.is_none_or(|known| known.dropped.contains_key(&table));
        let table = known.and_then(|known| known.catalog.table_by_id(table)).map(AsRef::as_ref);
        if table.is_none() && !is_left {
            self.found(broken("the document belongs to no table".into(), None));
            return Ok(());
        }
        let document = match StoredDocument::open(value) {
            Ok(document) => document,
            Err(error) => {
                self.found(broken(error.to_string(), table));
                return Ok(());
            }
        };
        if key::encode_id(document.id()).ok().as_deref() != Some(encoded_id) {
            self.found(broken("the document stands under another document's key".into(), table));
        }
        let Some(table) = table else { return Ok(()) };
        let ready = table.indexes.iter().filter(|index| index.state == IndexState::Ready);
        for index in ready {
            for fields in derived(index, document.body()) {
                let entry = key::index_key(index.definition.id, &fields, encoded_id);
                if snapshot.get(Space::Index, &entry).await?.as_ref() != Some(key) {
                    self.found(Mismatch {
                        table: Some(table.entry.name.clone()),
                        index: Some(index.definition.name.clone()),
                        key: Some(print_id(document.id())),
                        ..Mismatch::new(
                            MismatchKind::IndexEntryMissing,
                            "the document's index entry is missing",
                        )
                    });
                }
            }
        }
        Ok(())
    }

    async fn index_entries(&mut self, snapshot: &View<'_>, known: Option<&Known>) -> Result<()> {
        let owners = known.map(owners);
        let mut rest = Some(KeyRange::all());
        while let Some(entries) = next_page(snapshot, Space::Index, &mut rest).await? {
            for entry in entries {
                self.computed.add(Space::Index, &entry.key, &entry.value);
                self.counts.index_entries += 1;
                if let Some(owners) = &owners
                    && let Some(mismatch) = orphan(snapshot, owners, &entry.key, &entry.value).await?
                {
                    self.found(mismatch);
                }
            }
        }
        Ok(())
    }

    async fn meta(&mut self, snapshot: &View<'_>) -> Result<()> {
        let mut rest = Some(KeyRange::all());
        while let Some(entries) = next_page(snapshot, Space::Meta, &mut rest).await? {
            for entry in entries {
                self.computed.add(Space::Meta, &entry.key, &entry.value);
                self.counts.meta += 1;
                if let Err(error) = open_meta(&entry.value) {
                    let key = table_of_key(&entry.key)
                        .or_else(|| table_of_tombstone_key(&entry.key))
                        .map_or_else(|| hex(&entry.key), |TableId(id)| format!("table {id}"));
                    self.found(Mismatch {
                        key: Some(key),
                        ..Mismatch::new(MismatchKind::Meta, error.to_string())
                    });
                }
            }
        }
        Ok(())
    }

    fn digests(&mut self, head: &Head) -> Vec<DigestReport> {
        let (stored, computed) = (&head.digest, &self.computed);
        let mut pairs = vec![
            ("documents".to_owned(), stored.documents, computed.documents),
            ("meta".to_owned(), stored.meta, computed.meta),
        ];
        let indexes: std::collections::BTreeSet<_> =
            stored.indexes.keys().chain(computed.indexes.keys()).collect();
        for index in indexes {
            let sum = |digest: &StateDigest| digest.indexes.get(index).copied().unwrap_or_default();
            pairs.push((format!("index {}", index.0), sum(stored), sum(computed)));
        }
        for (of, stored, computed) in &pairs {
            if stored != computed {
                let message = format!("the digest of {of} is not what the log's head says");
                self.found(Mismatch {
                    key: Some(of.clone()),
                    ..Mismatch::new(MismatchKind::Digest, message)
                });
            }
        }
        pairs
            .into_iter()
            .map(|(of, stored, computed)| DigestReport {
                of,
                stored: format!("{stored:032x}"),
                computed: format!("{computed:032x}"),
            })
            .collect()
    }
}

/// The next entries of a space, once other tasks have had their turn; `None` when there is no more.
async fn next_page(
    snapshot: &View<'_>,
    space: Space,
    rest: &mut Option<KeyRange>,
) -> Result<Option<Vec<Entry>>> {
    let Some(range) = rest.take() else { return Ok(None) };
    tokio::task::yield_now().await;
    let page = Reader::of_snapshot(snapshot).scan(space, range, Direction::Forward, PAGE).await?;
    *rest = page.rest;
    Ok(Some(page.entries))
}

/// What a snapshot says there is.
struct Known {
    catalog: Catalog,
    /// Dropped tables of which something is left.
    dropped: BTreeMap<TableId, Tombstone>,
}

impl Known {
    async fn load(snapshot: &View<'_>) -> Result<Self> {
        let catalog = Catalog::load(snapshot).await?;
        let mut dropped = tombstones(snapshot, usize::MAX).await?;
        dropped.retain(|_, tombstone| !tombstone.is_purged());
        Ok(Self { catalog, dropped })
    }
}

/// Whose an entry of the `Index` space is.
#[derive(Clone, Copy)]
enum Owner<'a> {
    Index(&'a Table, &'a Index),
    /// An index of a dropped table, whose entries are still being removed.
    Dropped,
}

/// Every index by its number.
type Owners<'a> = HashMap<IndexId, Owner<'a>>;

fn owners(known: &Known) -> Owners<'_> {
    let kept = known.catalog.tables().flat_map(|table| {
        table.indexes.iter().map(move |index| (index.definition.id, Owner::Index(table, index)))
    });
    let dropped = known.dropped.values().flat_map(Tombstone::index_ids).map(|id| (id, Owner::Dropped));
    kept.chain(dropped).collect()
}

async fn orphan(
    snapshot: &View<'_>,
    owners: &Owners<'_>,
    key: &Bytes,
    value: &Bytes,
) -> Result<Option<Mismatch>> {
    let found = |table: Option<&Table>, index: Option<&Index>, message: &str| Mismatch {
        table: table.map(|table| table.entry.name.clone()),
        index: index.map(|index| index.definition.name.clone()),
        key: Some(format!("{} -> {}", hex(key), print_document_key(value))),
        ..Mismatch::new(MismatchKind::IndexEntryOrphan, message)
    };
    // An entry's key begins with its index's number.
    let number = key.first_chunk().map(|number| IndexId(u32::from_be_bytes(*number)));
    let (table, index) = match number.and_then(|number| owners.get(&number).copied()) {
        Some(Owner::Index(table, index)) => (table, index),
        Some(Owner::Dropped) => return Ok(None),
        None => return Ok(Some(found(None, None, "the entry belongs to no index"))),
    };
    if index.state == IndexState::Dropping {
        return Ok(None);
    }
    let stored = snapshot.get(Space::Documents, value).await?;
    let (Some(stored), Some((_, encoded_id))) = (stored, key::split_document_key(value)) else {
        return Ok(Some(found(Some(table), Some(index), "the entry leads to no document")));
    };
    // A damaged document is reported as such, not once more for each of its entries.
    let Ok(document) = StoredDocument::open(stored) else { return Ok(None) };
    let follows = derived(index, document.body())
        .iter()
        .any(|fields| key::index_key(index.definition.id, fields, encoded_id) == *key);
    Ok((!follows).then(|| found(Some(table), Some(index), "the entry does not follow from its document")))
}

fn derived(index: &Index, document: &RawDocument) -> Vec<Vec<u8>> {
    index.keys_of(document).map(|derived| derived.keys).unwrap_or_default()
}

fn print_document_key(key: &[u8]) -> String {
    let id = key::split_document_key(key).and_then(|(_, encoded)| key::decode_value(encoded));
    match id {
        Some((id, _)) => id.into_relaxed_extjson().to_string(),
        None => hex(key),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
