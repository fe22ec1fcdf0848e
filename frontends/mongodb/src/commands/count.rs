//! `count` and `distinct`.
//!
//! Promises: values that are equal count once, whatever their types, and with a collation if they are equal under it;
//! `distinct` is bounded in memory. Deliberately unknown: how documents are found.

use std::collections::BTreeMap;

use bson::raw::RawBsonRef;
use bson::{Bson, RawArrayBuf, RawDocumentBuf, rawdoc};
use nimbus_types::path::{self, Reached};

use super::selection;
use super::write_batch::count as count_value;
use crate::batch::BATCH_BYTES;
use crate::call::Call;
use crate::command::{self, Command};
use crate::error::{CommandError, Result};
use crate::snapshot;

/// The family.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("count", "counts documents of a collection", |call| Box::pin(count(call))),
    Command::new("distinct", "gives the distinct values of a field", |call| Box::pin(distinct(call)))
        .in_transactions()
        .snapshot_reads(),
];

async fn count(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let table = call.collection()?;
    let filter = call.arguments.document("query")?.unwrap_or_default();
    let limit = call.arguments.integer("limit")?.unwrap_or(0);
    let skip = call.arguments.count("skip")?.unwrap_or(0);
    let (collation, hint) = (call.arguments.document("collation")?, call.arguments.take("hint"));
    call.arguments.allow(&["fields"]);
    call.arguments.end()?;
    let context = selection::context(call, &table, collation, None).await?;
    let namespace = call.namespace(&table);
    let mut query = selection::query(table, &filter, &context)?;
    query.hint = selection::hint(hint)?;
    query.skip = usize::try_from(skip).unwrap_or(usize::MAX);
    query.limit = (limit != 0).then(|| usize::try_from(limit.unsigned_abs()).unwrap_or(usize::MAX));
    let counted = call.access().await?.count(&query).await;
    let counted = counted.map_err(|error| CommandError::of_engine(error, &namespace))?;
    let counted = count_value(i64::try_from(counted).unwrap_or(i64::MAX));
    Ok(rawdoc! { "n": command::raw_value(counted)? })
}

async fn distinct(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    /// Documents and bytes that are read at once.
    const PAGE: (usize, usize) = (1_000, 4 * 1024 * 1024);
    let table = call.collection()?;
    let key = call.arguments.string("key")?;
    let key = call.arguments.required("key", key)?;
    let filter = call.arguments.document("query")?.unwrap_or_default();
    let (collation, hint) = (call.arguments.document("collation")?, call.arguments.take("hint"));
    call.arguments.end()?;
    path::check(&key).map_err(|error| CommandError::bad_value(format!("distinct key {key:?}: {error}")))?;
    let context = selection::context(call, &table, collation, None).await?;
    let namespace = call.namespace(&table);
    let mut query = selection::query(table, &filter, &context)?;
    query.hint = selection::hint(hint)?;
    let error = |error| CommandError::of_engine(error, &namespace);
    let snapshot = snapshot::of_call(call).await?;
    let mut values = DistinctValues::new(key, context.collation.clone());
    let access = call.access().await?;
    let mut cursor = access.open_cursor(query).await.map_err(error)?;
    while !cursor.is_exhausted() {
        for document in access.next_batch(&mut cursor, PAGE.0, PAGE.1).await.map_err(error)? {
            values.add(document.body())?;
        }
    }
    let mut array = RawArrayBuf::new();
    for value in values.into_values() {
        array.push(command::raw_value(value)?);
    }
    let mut reply = rawdoc! { "values": array };
    if let Some(time) = snapshot {
        snapshot::check(call.access().await?.tenant(), time).await?;
        reply.append(bson::cstr!("atClusterTime"), time);
    }
    Ok(reply)
}

/// The values of a field, each once, in MongoDB's order of values.
struct DistinctValues {
    key: String,
    collation: Option<std::sync::Arc<nimbus_query::Collation>>,
    /// By their place in the order, so that equal values of different types count once.
    values: BTreeMap<Vec<u8>, Bson>,
    bytes: usize,
}

impl DistinctValues {
    fn new(key: String, collation: Option<std::sync::Arc<nimbus_query::Collation>>) -> Self {
        Self { key, collation, values: BTreeMap::new(), bytes: 0 }
    }

    fn add(&mut self, document: &bson::RawDocument) -> Result<()> {
        let mut found = Vec::new();
        let flow = path::walk(document, &self.key, |reached, _| {
            match reached {
                Reached::Value(RawBsonRef::Array(elements)) => {
                    found.extend(
                        elements.into_iter().flatten().filter_map(|element| Bson::try_from(element).ok()),
                    );
                }
                Reached::Value(value) | Reached::Element(value) => found.extend(Bson::try_from(value).ok()),
                Reached::Missing | Reached::Nowhere => {}
            }
            std::ops::ControlFlow::<()>::Continue(())
        });
        debug_assert!(flow.is_continue());
        for value in found {
            self.insert(value)?;
        }
        Ok(())
    }

    fn insert(&mut self, value: Bson) -> Result<()> {
        let holder = command::raw(&bson::doc! { "v": [value.clone()] })?;
        let sort = [nimbus_query::SortKey { path: "v".into(), descending: false }];
        let key = nimbus_query::sort_key(&holder, &sort, self.collation.as_deref());
        if self.values.contains_key(&key) {
            return Ok(());
        }
        self.bytes += holder.as_bytes().len();
        if self.bytes > BATCH_BYTES {
            // 17217 is MongoDB's number of this.
            return Err(CommandError::new(17217, "distinct too big, 16mb cap"));
        }
        self.values.insert(key, value);
        Ok(())
    }

    fn into_values(self) -> impl Iterator<Item = Bson> {
        self.values.into_values()
    }
}
