//! `dbStats`, `collStats`, `dataSize`, `validate`.
//!
//! Promises: figures are counted when they are asked for. Deliberately unknown: what storage takes below the
//! documents and index entries themselves.

use bson::{Bson, Document, RawDocumentBuf, doc};
use nimbus_engine::TableStats;
use nimbus_types::TableName;

use crate::call::Call;
use crate::command::{self, Command};
use crate::error::{CommandError, Result};
use crate::namespace;

/// The family.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("dbStats", "counts what a database holds", |call| Box::pin(db_stats(call)))
        .aliases(&["dbstats"]),
    Command::new("collStats", "counts what a collection holds", |call| Box::pin(coll_stats(call)))
        .aliases(&["collstats"]),
    Command::new("dataSize", "counts the bytes of a collection", |call| Box::pin(data_size(call)))
        .aliases(&["datasize"]),
    Command::new("validate", "checks what is stored", |call| Box::pin(validate(call))),
];

/// The divisor of sizes.
fn scale(call: &mut Call<'_>) -> Result<i64> {
    match call.arguments.integer("scale")? {
        None => Ok(1),
        Some(scale) if scale > 0 => Ok(scale),
        Some(scale) => Err(CommandError::new(
            51024,
            format!("BSON field 'scale' value must be >= 1, actual value '{scale}'"),
        )),
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

async fn stats_of(call: &mut Call<'_>, table: &TableName) -> Result<Option<TableStats>> {
    match call.existing_tenant().await? {
        Some(tenant) => Ok(tenant.table_stats(table).await?),
        None => Ok(None),
    }
}

async fn db_stats(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let scale = scale(call)?;
    call.arguments.allow(&["freeStorage"]);
    call.arguments.end()?;
    let (mut tables, mut indexes, mut all) = (0_i64, 0_i64, TableStats::default());
    let mut index_bytes = 0;
    if let Some(tenant) = call.existing_tenant().await? {
        for table in tenant.tables().await? {
            let Some(stats) = tenant.table_stats(&table.name).await? else { continue };
            tables += 1;
            indexes += 1 + i64::try_from(stats.indexes.len()).unwrap_or(0);
            all.documents += stats.documents;
            all.document_bytes += stats.document_bytes;
            index_bytes += stats.indexes.iter().map(|index| index.bytes).sum::<u64>();
        }
    }
    command::raw(&doc! {
        "db": call.database.as_str(),
        "collections": tables,
        "views": 0_i64,
        "objects": number(all.documents),
        "avgObjSize": average(&all),
        "dataSize": number(all.document_bytes) / scale,
        "storageSize": number(all.document_bytes) / scale,
        "indexes": indexes,
        "indexSize": number(index_bytes) / scale,
        "totalSize": number(all.document_bytes + index_bytes) / scale,
        "scaleFactor": scale,
    })
}

fn average(stats: &TableStats) -> f64 {
    if stats.documents == 0 { 0.0 } else { stats.document_bytes as f64 / stats.documents as f64 }
}

async fn coll_stats(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let table = call.collection()?;
    let scale = scale(call)?;
    call.arguments.end()?;
    let stats = stats_of(call, &table).await?.unwrap_or_default();
    let mut sizes = doc! { "_id_": 0_i64 };
    sizes.extend(
        stats.indexes.iter().map(|index| (index.name.clone(), Bson::Int64(number(index.bytes) / scale))),
    );
    let index_bytes = stats.indexes.iter().map(|index| index.bytes).sum::<u64>();
    let mut reply = doc! {
        "ns": call.namespace(&table),
        "size": number(stats.document_bytes) / scale,
        "count": number(stats.documents),
    };
    if stats.documents > 0 {
        reply.insert("avgObjSize", average(&stats));
    }
    reply.extend(doc! {
        "storageSize": number(stats.document_bytes) / scale,
        "totalIndexSize": number(index_bytes) / scale,
        "totalSize": number(stats.document_bytes + index_bytes) / scale,
        "nindexes": i32::try_from(sizes.len()).unwrap_or(i32::MAX),
        "indexSizes": sizes,
        "capped": false,
        "scaleFactor": scale,
    });
    command::raw(&reply)
}

async fn data_size(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let Bson::String(full) = call.target.clone() else {
        return Err(CommandError::type_mismatch("dataSize takes 'database.collection'"));
    };
    call.arguments.allow(&["estimate"]);
    call.arguments.end()?;
    let (database, name) = namespace::split(&full)?;
    if database != call.database {
        return Err(CommandError::bad_value("dataSize must be run against the database that it names"));
    }
    let table = namespace::collection(database, name)?;
    let began_us = call.now_us();
    let stats = stats_of(call, &table).await?.unwrap_or_default();
    command::raw(&doc! {
        "estimate": false,
        "size": number(stats.document_bytes),
        "numObjects": number(stats.documents),
        "millis": number(call.now_us().saturating_sub(began_us) / 1000),
    })
}

async fn validate(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let table = call.collection()?;
    // There is one way to check, and it looks at everything.
    call.arguments.allow(&["full", "scandata", "background", "checkBSONConformance", "metadata"]);
    call.arguments.end()?;
    let namespace = call.namespace(&table);
    let stats = stats_of(call, &table).await?;
    let stats = stats.ok_or_else(|| {
        CommandError::new(
            crate::error::codes::NAMESPACE_NOT_FOUND,
            format!("Collection '{namespace}' does not exist to validate."),
        )
    })?;
    let report = call.tenant().await?.verify().await?;
    let errors: Vec<Bson> = report.mismatches.iter().map(|mismatch| format!("{mismatch:?}").into()).collect();
    let mut keys = doc! { "_id_": number(stats.documents) };
    keys.extend(stats.indexes.iter().map(|index| (index.name.clone(), Bson::Int64(number(index.entries)))));
    command::raw(&doc! {
        "ns": namespace,
        "nInvalidDocuments": 0_i64,
        "nNonCompliantDocuments": 0_i64,
        "nrecords": number(stats.documents),
        "nIndexes": i32::try_from(keys.len()).unwrap_or(i32::MAX),
        "keysPerIndex": keys,
        "indexDetails": Document::new(),
        "valid": report.ok,
        "repaired": false,
        "warnings": Vec::<Bson>::new(),
        "errors": errors,
        "extraIndexEntries": Vec::<Bson>::new(),
        "missingIndexEntries": Vec::<Bson>::new(),
        "corruptRecords": Vec::<Bson>::new(),
    })
}
