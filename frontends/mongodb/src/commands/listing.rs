//! `listCollections` and `listDatabases`.
//!
//! Promises: what the engine keeps for itself is not listed. Deliberately unknown: sizes.

use bson::{Binary, Bson, Document, RawDocumentBuf, doc, spec::BinarySubtype};
use nimbus_engine::{TableInfo, ValidationAction, ValidationLevel};
use nimbus_query::Filter;

use super::cursor_reply::{self, Opening};
use super::find;
use crate::arguments::Arguments;
use crate::batch::{Origin, Source};
use crate::call::Call;
use crate::command::{self, Command};
use crate::error::{CommandError, Result, codes};

/// The family.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("listCollections", "lists the collections of a database", |call| {
        Box::pin(list_collections(call))
    }),
    Command::new("listDatabases", "lists the databases", |call| Box::pin(list_databases(call))),
];

async fn list_collections(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let name_only = call.arguments.flag("nameOnly")?;
    let filter = call.arguments.document("filter")?;
    let cursor = call.arguments.document("cursor")?.unwrap_or_default();
    // Whoever is let in may see all of a database.
    call.arguments.allow(&["authorizedCollections"]);
    call.arguments.end()?;
    let mut cursor = Arguments::new("listCollections.cursor", cursor);
    let batch_documents = find::first_batch_documents(cursor.count("batchSize")?);
    cursor.end()?;
    let tables = match call.existing_tenant().await? {
        Some(tenant) => tenant.tables().await?,
        None => Vec::new(),
    };
    let filter = filter_of(call, filter)?;
    let mut listed = Vec::new();
    for table in &tables {
        let full = command::raw(&collection(table))?;
        if filter.matches(&full)? {
            let name = doc! { "name": table.name.as_str(), "type": "collection" };
            listed.push(if name_only { command::raw(&name)? } else { full });
        }
    }
    let namespace = format!("{}.$cmd.listCollections", call.database);
    let source = Source::new(Origin::Documents(listed), namespace.clone());
    cursor_reply::open(call, source, Opening::new(namespace, batch_documents)).await
}

fn filter_of(call: &Call<'_>, filter: Option<Document>) -> Result<Filter> {
    Ok(Filter::parse(&filter.unwrap_or_default(), &call.context(None, None)?)?)
}

fn collection(table: &TableInfo) -> Document {
    let uuid = Binary { subtype: BinarySubtype::Uuid, bytes: table.uuid.to_vec() };
    doc! {
        "name": table.name.as_str(),
        "type": "collection",
        "options": options(table),
        "info": { "readOnly": false, "uuid": uuid },
        "idIndex": { "v": 2, "key": { "_id": 1 }, "name": "_id_" },
    }
}

fn options(table: &TableInfo) -> Document {
    let mut options = Document::new();
    if let Some(collation) = &table.options.collation {
        options.insert("collation", collation.clone());
    }
    if let Some(validator) = &table.options.validator {
        options.insert("validator", validator.clone());
    }
    if let Some(level) = table.options.validation_level {
        options.insert(
            "validationLevel",
            match level {
                ValidationLevel::Off => "off",
                ValidationLevel::Moderate => "moderate",
                ValidationLevel::Strict => "strict",
            },
        );
    }
    if let Some(action) = table.options.validation_action {
        options.insert(
            "validationAction",
            match action {
                ValidationAction::Error => "error",
                ValidationAction::Warn => "warn",
            },
        );
    }
    options
}

/// Sizes are not measured, for that would read every document of every tenant; they are said to be 0.
async fn list_databases(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    if call.database != "admin" {
        return Err(CommandError::new(
            codes::UNAUTHORIZED,
            "listDatabases may only be run against the admin database.",
        ));
    }
    let name_only = call.arguments.flag("nameOnly")?;
    let filter = call.arguments.document("filter")?;
    call.arguments.allow(&["authorizedDatabases"]);
    call.arguments.end()?;
    let filter = filter_of(call, filter)?;
    let mut databases = Vec::new();
    for tenant in call.door.engine.list_tenants().await? {
        let full = doc! { "name": tenant.as_str(), "sizeOnDisk": 0_i64, "empty": false };
        if !tenant.as_str().starts_with('_') && filter.matches(&command::raw(&full)?)? {
            databases.push(Bson::Document(if name_only {
                doc! { "name": tenant.as_str() }
            } else {
                full
            }));
        }
    }
    let mut reply = doc! { "databases": databases };
    if !name_only {
        reply.extend(doc! { "totalSize": 0_i64, "totalSizeMb": 0_i64 });
    }
    command::raw(&reply)
}
