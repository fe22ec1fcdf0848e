//! A generated step as a call of the engine.

use bson::Document;
use nimbus_engine::{Mutation, Query, StoredDocument, Tenant, Transaction};
use nimbus_types::{Sequence, TableName};

use super::generate::{Question, Version, Write, WriteKind};
use super::naive::{Naive, encoded, raw};

pub(super) fn table_name(at: usize) -> TableName {
    TableName::parse(["first", "second"][at]).unwrap()
}

/// The version a write asks for; `naive` is the state before its transaction.
fn required(write: &Write, naive: &Naive) -> Option<Sequence> {
    let stored = naive.tables[write.table].documents.get(&encoded(&write.id)).map_or(0, |kept| kept.version);
    match write.if_version {
        Version::Any => None,
        Version::Right => Some(Sequence(stored)),
        Version::Wrong => Some(Sequence(stored + 1_000)),
    }
}

pub(super) fn mutation(write: &Write, naive: &Naive) -> Mutation {
    let (table, id, if_version) = (table_name(write.table), write.id.clone(), required(write, naive));
    match &write.kind {
        WriteKind::Insert { fields } => Mutation::Insert { table, fields: raw(&with_id_last(write, fields)) },
        WriteKind::Replace { fields } => Mutation::Replace { table, id, fields: raw(fields), if_version },
        WriteKind::Patch { set, unset } => {
            Mutation::Patch { table, id, set: raw(set), unset: unset.clone(), if_version }
        }
        WriteKind::Delete => Mutation::Delete { table, id, if_version },
    }
}

pub(super) async fn write_to(
    txn: &mut Transaction,
    write: &Write,
    naive: &Naive,
) -> nimbus_engine::Result<()> {
    let (table, id, if_version) = (table_name(write.table), &write.id, required(write, naive));
    match &write.kind {
        WriteKind::Insert { fields } => txn.insert(&table, raw(&with_id_last(write, fields))).await.map(drop),
        WriteKind::Replace { fields } => txn.replace(&table, id, raw(fields), if_version).await,
        WriteKind::Patch { set, unset } => txn.patch(&table, id, &raw(set), unset, if_version).await,
        WriteKind::Delete => txn.delete(&table, id, if_version).await,
    }
}

fn with_id_last(write: &Write, fields: &Document) -> Document {
    let mut fields = fields.clone();
    fields.insert("_id", write.id.clone());
    fields
}

pub(super) fn query_of(question: &Question) -> Query {
    let Question { table, filter, sort, skip, limit, .. } = question.clone();
    Query { filter, sort, skip, limit, ..Query::all(table_name(table)) }
}

pub(super) async fn all_pages(tenant: &Tenant, query: &Query, size: usize) -> Vec<StoredDocument> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = tenant.find_page(query, size, cursor.as_deref()).await.unwrap();
        assert!(page.documents.len() <= size);
        found.extend(page.documents);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return found;
        }
    }
}

pub(super) async fn all_batches(tenant: &Tenant, query: &Query, size: usize) -> Vec<StoredDocument> {
    let (mut found, mut cursor) = (Vec::new(), tenant.open_cursor(query.clone()).await.unwrap());
    while !cursor.is_exhausted() {
        let batch = tenant.next_batch(&mut cursor, size, usize::MAX).await.unwrap();
        assert!(batch.len() <= size);
        found.extend(batch);
    }
    found
}
