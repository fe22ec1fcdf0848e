//! `createIndexes`, `dropIndexes`, `listIndexes`.
//!
//! Promises: kinds and options of indexes that are not there are refused by name. Deliberately unknown: how an index is
//! built.

use bson::{Bson, Document, RawDocumentBuf, doc};
use nimbus_engine::{EngineError, IndexChoice, IndexSchema, TableInfo};

use super::cursor_reply::{self, Opening};
use super::{find, selection};
use crate::arguments::{Arguments, whole_number};
use crate::batch::{Origin, Source};
use crate::call::Call;
use crate::command::{self, Command};
use crate::display;
use crate::error::{CommandError, Result, codes};

/// The family.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("createIndexes", "adds indexes to a collection", |call| Box::pin(create_indexes(call)))
        .writes(),
    Command::new("dropIndexes", "removes indexes of a collection", |call| Box::pin(drop_indexes(call)))
        .aliases(&["deleteIndexes"])
        .writes(),
    Command::new("listIndexes", "lists the indexes of a collection", |call| Box::pin(list_indexes(call))),
];

/// The name of the index that every collection has.
const ID_INDEX: &str = "_id_";

async fn create_indexes(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let table = call.collection()?;
    let specs = call.arguments.documents("indexes")?;
    let specs = call.arguments.required("indexes", specs)?;
    // One member builds an index when the command does.
    call.arguments.allow(&["commitQuorum", "ignoreUnknownIndexOptions"]);
    call.arguments.end()?;
    if specs.is_empty() {
        return Err(CommandError::bad_value("Must specify at least one index to create"));
    }
    let mut indexes = Vec::new();
    for spec in specs {
        indexes.extend(index_of(spec)?);
    }
    let namespace = call.namespace(&table);
    let created = call.tenant().await?.create_indexes(&table, indexes).await;
    let created = created.map_err(|error| CommandError::of_engine(error, &namespace))?;
    let mut done = doc! {
        "numIndexesBefore": number(created.before),
        "numIndexesAfter": number(created.after),
        "createdCollectionAutomatically": created.table_created,
    };
    if created.before == created.after {
        done.insert("note", "all indexes already exist");
    }
    command::raw(&done)
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Reads one index; none for the one on `_id`, which is there.
fn index_of(spec: Document) -> Result<Option<IndexSchema>> {
    let mut spec = Arguments::new("createIndexes.indexes", spec);
    let missing = |field: &str| {
        CommandError::failed_to_parse(format!(
            "The '{field}' field is a required property of an index specification"
        ))
    };
    let keys = spec.document("key")?.ok_or_else(|| missing("key"))?;
    let name = spec.string("name")?.ok_or_else(|| missing("name"))?;
    let refuse = |message: String| Err(CommandError::new(codes::CANNOT_CREATE_INDEX, message));
    if keys.is_empty() {
        return refuse("Index keys cannot be an empty object".into());
    }
    for (path, value) in &keys {
        if let Bson::String(kind) = value {
            return refuse(format!("index type '{kind}' of the key '{path}' is not supported"));
        }
        if path.contains("$**") {
            return refuse("wildcard indexes are not supported".into());
        }
        let is_number = matches!(value, Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_));
        if !is_number || *value == Bson::Int32(0) || *value == Bson::Int64(0) || *value == Bson::Double(0.0) {
            let value = display::value(value);
            return refuse(format!(
                "Values in v:2 index key pattern must be numbers other than 0 or strings: {path}: {value}"
            ));
        }
    }
    let fields = selection::index_fields(&keys)?;
    // The version of an index, and how it is built, are the server's own affair.
    spec.allow(&["v", "background", "ns"]);
    if keys.len() == 1 && fields[0].path == "_id" && !fields[0].descending {
        spec.allow(&["unique", "collation"]);
        spec.end()?;
        return Ok(None);
    }
    let index = IndexSchema {
        name,
        fields,
        unique: spec.flag("unique")?,
        sparse: spec.flag("sparse")?,
        filter: spec.document("partialFilterExpression")?,
        expire_after_secs: expire_after_secs(&mut spec)?,
        collation: spec.document("collation")?,
        hidden: spec.flag("hidden")?,
    };
    match spec.rest().keys().next() {
        None => Ok(Some(index)),
        // 197 is InvalidIndexSpecificationOption.
        Some(option) => Err(CommandError::new(
            197,
            format!("The field '{option}' is not valid for an index specification, or is not supported"),
        )),
    }
}

fn expire_after_secs(spec: &mut Arguments) -> Result<Option<i64>> {
    match spec.take("expireAfterSeconds") {
        None => Ok(None),
        Some(Bson::Double(seconds)) if seconds.is_finite() => Ok(Some(seconds as i64)),
        Some(value) => whole_number(&value).map(Some).ok_or_else(|| {
            CommandError::new(
                codes::CANNOT_CREATE_INDEX,
                "TTL index 'expireAfterSeconds' option must be numeric",
            )
        }),
    }
}

/// Reads which index `name` or `keyPattern` mean.
pub(super) fn choice(fields: &mut Arguments) -> Result<IndexChoice> {
    match (fields.string("name")?, fields.document("keyPattern")?) {
        (Some(name), None) => Ok(IndexChoice::Names(vec![name])),
        (None, Some(keys)) => Ok(IndexChoice::Keys(selection::index_fields(&keys)?)),
        _ => {
            Err(CommandError::invalid_options("Must specify either index name or key pattern, and not both"))
        }
    }
}

async fn drop_indexes(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let table = call.collection()?;
    let which = call.arguments.take("index");
    let which = call.arguments.required("index", which)?;
    call.arguments.end()?;
    let (which, asked) = match which {
        Bson::String(all) if all == "*" => (IndexChoice::All, all),
        Bson::String(name) => (IndexChoice::Names(vec![name.clone()]), format!("with name [{name}]")),
        Bson::Array(names) => {
            let names = names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
            let names = names
                .ok_or_else(|| CommandError::type_mismatch("dropIndexes.index must hold index names"))?;
            let asked = format!("with name [{}]", names.join(", "));
            (IndexChoice::Names(names), asked)
        }
        Bson::Document(keys) => {
            let asked = format!("with key: {}", display::document(&keys));
            (IndexChoice::Keys(selection::index_fields(&keys)?), asked)
        }
        _ => {
            return Err(CommandError::type_mismatch(
                "dropIndexes.index must be a name, names, or a key pattern",
            ));
        }
    };
    let is_id = match &which {
        IndexChoice::All => false,
        IndexChoice::Names(names) => names.iter().any(|name| name == ID_INDEX),
        IndexChoice::Keys(fields) => matches!(fields.as_slice(), [field] if field.path == "_id"),
    };
    if is_id {
        return Err(CommandError::invalid_options("cannot drop _id index"));
    }
    let namespace = call.namespace(&table);
    let before = call.tenant().await?.drop_indexes(&table, which.clone()).await;
    let before = before.map_err(|error| match error {
        EngineError::IndexNotFound { .. } => {
            CommandError::new(codes::INDEX_NOT_FOUND, format!("index not found {asked}"))
        }
        other => CommandError::of_engine(other, &namespace),
    })?;
    let mut done = doc! { "nIndexesWas": number(before) };
    if which == IndexChoice::All {
        done.insert("msg", "non-_id indexes dropped for collection");
    }
    command::raw(&done)
}

async fn list_indexes(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let table = call.collection()?;
    let cursor = call.arguments.document("cursor")?.unwrap_or_default();
    call.arguments.end()?;
    let mut cursor = Arguments::new("listIndexes.cursor", cursor);
    let batch_documents = find::first_batch_documents(cursor.count("batchSize")?);
    cursor.end()?;
    let namespace = call.namespace(&table);
    let info = match call.existing_tenant().await? {
        Some(tenant) => tenant.table(&table).await?,
        None => None,
    };
    let Some(info) = info else {
        return Err(CommandError::new(codes::NAMESPACE_NOT_FOUND, format!("ns does not exist: {namespace}")));
    };
    let specs = specs(&info).iter().map(command::raw).collect::<Result<_>>()?;
    let source = Source::new(Origin::Documents(specs), namespace.clone());
    cursor_reply::open(call, source, Opening::new(namespace, batch_documents)).await
}

/// The indexes of a table as they are listed, the one on `_id` first.
fn specs(info: &TableInfo) -> Vec<Document> {
    let mut specs = vec![doc! { "v": 2, "key": { "_id": 1 }, "name": ID_INDEX }];
    for index in &info.indexes {
        let IndexSchema { name, fields, unique, sparse, filter, expire_after_secs, collation, hidden } =
            &index.schema;
        let mut spec = doc! { "v": 2, "key": selection::key_pattern(fields), "name": name };
        for (option, is_set) in [("unique", unique), ("sparse", sparse), ("hidden", hidden)] {
            if *is_set {
                spec.insert(option, true);
            }
        }
        if let Some(seconds) = expire_after_secs {
            spec.insert("expireAfterSeconds", super::write_batch::count(*seconds));
        }
        if let Some(filter) = filter {
            spec.insert("partialFilterExpression", filter.clone());
        }
        if let Some(collation) = collation {
            spec.insert("collation", collation.clone());
        }
        specs.push(spec);
    }
    specs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_are_not_there_are_refused_by_name() {
        let plain =
            index_of(doc! { "key": { "a": 1, "b": -1 }, "name": "a_1_b_-1", "v": 2 }).unwrap().unwrap();
        assert_eq!((plain.fields[1].path.as_str(), plain.fields[1].descending), ("b", true));
        assert_eq!(index_of(doc! { "key": { "_id": 1 }, "name": "_id_" }).unwrap(), None);
        for (spec, part) in [
            (doc! { "key": { "a": "text" }, "name": "a" }, "'text'"),
            (doc! { "key": { "a": "2dsphere" }, "name": "a" }, "'2dsphere'"),
            (doc! { "key": { "$**": 1 }, "name": "a" }, "wildcard"),
            (doc! { "key": { "a": 1 }, "name": "a", "weights": {} }, "'weights'"),
            (doc! { "key": { "a": 0 }, "name": "a" }, "a: 0"),
            (doc! { "key": { "a": 1 } }, "'name'"),
        ] {
            let refused = index_of(spec).unwrap_err();
            assert!(refused.message.contains(part), "{refused}");
        }
    }
}
