//! `$collStats` and `$indexStats`: what is told of a table as a whole.
//!
//! Promises: figures are counted at the state of the pipeline, those of use since the tenant was opened.
//! Deliberately unknown: how a store lays bytes out; sizes are of what is stored, not of files.

use bson::{Bson, DateTime, Document, doc};
use nimbus_types::TableName;

use super::state::State;
use crate::catalog::{Index, IndexState};
use crate::error::{Result, refused};

/// MongoDB's number for a scale that is none.
const BAD_SCALE: i32 = 51024;

/// What every answer of `$collStats` begins with.
pub(super) fn head(state: &State<'_>, table: &TableName) -> Document {
    let now_ms = state.core().clock.now_ms().cast_signed();
    doc! { "ns": format!("{}.{table}", state.tenant()), "localTime": DateTime::from_millis(now_ms) }
}

/// `storageStats`; sizes in bytes, divided by the `scale` asked for.
pub(super) async fn of_storage(state: &mut State<'_>, name: &TableName, options: &Bson) -> Result<Document> {
    let scale = scale_of(options)?;
    let Some(table) = state.table(name) else {
        return Ok(
            doc! { "size": 0, "count": 0, "storageSize": 0, "totalSize": 0, "nindexes": 0, "scaleFactor": scale },
        );
    };
    let stats = state.stats(&table).await?;
    let (documents, bytes) = (stats.documents.cast_signed(), stats.document_bytes.cast_signed());
    let index_bytes: i64 = stats.indexes.iter().map(|index| index.bytes.cast_signed()).sum();
    // The order of documents is that of `_id`, so that its index takes no room of its own.
    let mut sizes = doc! { "_id_": 0_i64 };
    sizes.extend(
        stats.indexes.iter().map(|index| (index.name.clone(), (index.bytes.cast_signed() / scale).into())),
    );
    let mut told = doc! { "size": bytes / scale, "count": documents };
    if documents > 0 {
        told.insert("avgObjSize", bytes / documents);
    }
    told.extend(doc! {
        "storageSize": bytes / scale,
        "freeStorageSize": 0_i64,
        "capped": false,
        "nindexes": i64::try_from(sizes.len()).unwrap_or(i64::MAX),
        "indexBuilds": building(&table.indexes),
        "totalIndexSize": index_bytes / scale,
        "totalSize": (bytes + index_bytes) / scale,
        "indexSizes": sizes,
        "scaleFactor": scale,
    });
    Ok(told)
}

fn scale_of(options: &Bson) -> Result<i64> {
    let scale = match options.as_document().and_then(|options| options.get("scale")) {
        None => Some(1),
        Some(Bson::Int32(scale)) => Some(i64::from(*scale)),
        Some(Bson::Int64(scale)) => Some(*scale),
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a fraction of a scale is dropped, as MongoDB does"
        )]
        Some(Bson::Double(scale)) => Some(*scale as i64),
        Some(_) => None,
    };
    scale
        .filter(|scale| *scale >= 1)
        .ok_or_else(|| refused(BAD_SCALE, "$collStats: scale must be at least 1"))
}

fn building(indexes: &[Index]) -> Vec<Bson> {
    let building = indexes.iter().filter(|index| index.state == IndexState::Building);
    building.map(|index| Bson::String(index.definition.name.clone())).collect()
}

/// A document for each index, the implied one on `_id` first.
pub(super) fn of_indexes(state: &mut State<'_>, name: &TableName) -> Vec<Document> {
    let Some(table) = state.table(name) else { return Vec::new() };
    let core = state.core();
    let since = DateTime::from_millis(core.opened_ms.cast_signed());
    // Look-ups by `_id` are not counted by table.
    let by_id = doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" };
    let mut found = vec![doc! { "name": "_id_", "key": { "_id": 1 }, "spec": by_id }];
    for index in table.indexes.iter().filter(|index| index.state != IndexState::Dropping) {
        let definition = &index.definition;
        let direction = |descending: bool| Bson::Int32(if descending { -1 } else { 1 });
        let fields = definition.fields.iter();
        let key: Document = fields.map(|field| (field.path.clone(), direction(field.descending))).collect();
        let mut spec = doc! { "v": 2, "key": key.clone(), "name": &definition.name };
        for (option, is_set) in [("unique", definition.unique), ("sparse", definition.sparse)] {
            if is_set {
                spec.insert(option, true);
            }
        }
        let uses = core.counters.index_uses(definition.id).cast_signed();
        let accesses = doc! { "ops": uses, "since": since };
        let mut told = doc! { "name": &definition.name, "key": key, "accesses": accesses, "spec": spec };
        if index.state == IndexState::Building {
            told.insert("building", true);
        }
        found.push(told);
    }
    found
}
