//! `create`, `drop`, `dropDatabase`, `collMod`, `renameCollection`.
//!
//! Promises: an option that is not there is refused by name. Deliberately unknown: where tables are kept.

use bson::{Bson, Document, RawDocumentBuf, doc, rawdoc};
use nimbus_engine::{
    EngineError, IndexChange, OptionsChange, TableOptions, ValidationAction, ValidationLevel,
};

use super::indexes;
use crate::arguments::{Arguments, whole_number};
use crate::call::Call;
use crate::command::{self, Command};
use crate::error::{CommandError, Result, codes};
use crate::namespace;

/// The family.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("create", "makes a collection", |call| Box::pin(create(call))).writes(),
    Command::new("drop", "removes a collection", |call| Box::pin(drop_collection(call))).writes(),
    Command::new("dropDatabase", "removes all collections of a database", |call| {
        Box::pin(drop_database(call))
    })
    .writes(),
    Command::new("collMod", "changes a collection's options", |call| Box::pin(coll_mod(call))).writes(),
    Command::new("renameCollection", "gives a collection another name", |call| Box::pin(rename(call)))
        .writes(),
];

/// Options of `create` and `collMod` that other servers have and this one has not.
const REFUSED: &[&str] = &[
    "size",
    "max",
    "viewOn",
    "pipeline",
    "timeseries",
    "expireAfterSeconds",
    "clusteredIndex",
    "storageEngine",
    "indexOptionDefaults",
    "encryptedFields",
    "temp",
];

async fn create(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let table = call.collection()?;
    if call.arguments.flag("capped")? {
        return Err(CommandError::not_supported("create option 'capped'"));
    }
    let options = TableOptions {
        validator: call.arguments.document("validator")?.filter(|validator| !validator.is_empty()),
        validation_level: validation_level(&mut call.arguments)?,
        validation_action: validation_action(&mut call.arguments)?,
        collation: call.arguments.document("collation")?,
    };
    // The index on `_id` is always there.
    call.arguments.allow(&["idIndex", "autoIndexId", "flags"]);
    refuse_others(&mut call.arguments, "create")?;
    let namespace = call.namespace(&table);
    let made = call.tenant().await?.create_table(&table, options).await;
    made.map_err(|error| CommandError::of_engine(error, &namespace))?;
    Ok(rawdoc! {})
}

fn validation_level(arguments: &mut Arguments) -> Result<Option<ValidationLevel>> {
    match arguments.string("validationLevel")?.as_deref() {
        None => Ok(None),
        Some("off") => Ok(Some(ValidationLevel::Off)),
        Some("moderate") => Ok(Some(ValidationLevel::Moderate)),
        Some("strict") => Ok(Some(ValidationLevel::Strict)),
        Some(other) => Err(not_a_value(other, "validationLevel")),
    }
}

fn validation_action(arguments: &mut Arguments) -> Result<Option<ValidationAction>> {
    match arguments.string("validationAction")?.as_deref() {
        None => Ok(None),
        Some("error") => Ok(Some(ValidationAction::Error)),
        Some("warn") => Ok(Some(ValidationAction::Warn)),
        Some(other) => Err(not_a_value(other, "validationAction")),
    }
}

fn not_a_value(value: &str, field: &str) -> CommandError {
    CommandError::bad_value(format!("Enumeration value '{value}' for field '{field}' is not a valid value."))
}

fn refuse_others(arguments: &mut Arguments, command: &str) -> Result<()> {
    let images = arguments.document("changeStreamPreAndPostImages")?;
    if images.is_some_and(|images| !matches!(images.get_bool("enabled"), Ok(false))) {
        return Err(CommandError::not_supported(format!("{command} option 'changeStreamPreAndPostImages'")));
    }
    if let Some(option) = REFUSED.iter().find(|option| arguments.has(option)) {
        return Err(CommandError::not_supported(format!("{command} option '{option}'")));
    }
    arguments.end()
}

async fn drop_collection(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let table = call.collection()?;
    call.arguments.end()?;
    let namespace = call.namespace(&table);
    let tenant = call.tenant().await?;
    let error = |error| CommandError::of_engine(error, &namespace);
    let before = tenant.table(&table).await.map_err(error)?;
    if !tenant.drop_table(&table).await.map_err(error)? {
        return Ok(rawdoc! {});
    }
    let indexes = before.map_or(1, |info| info.indexes.len() + 1);
    command::raw(&doc! { "nIndexesWas": i32::try_from(indexes).unwrap_or(i32::MAX), "ns": namespace })
}

async fn drop_database(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    call.arguments.end()?;
    let Some(tenant) = call.existing_tenant().await? else { return Ok(rawdoc! {}) };
    tenant.drop_all_tables().await?;
    let database = call.database.clone();
    command::raw(&doc! { "dropped": database })
}

async fn coll_mod(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let table = call.collection()?;
    let change = OptionsChange {
        validator: call.arguments.document("validator")?,
        validation_level: validation_level(&mut call.arguments)?,
        validation_action: validation_action(&mut call.arguments)?,
    };
    let index = call.arguments.document("index")?;
    refuse_others(&mut call.arguments, "collMod")?;
    let namespace = call.namespace(&table);
    let error = |error| CommandError::of_engine(error, &namespace);
    let tenant = call.tenant().await?;
    if tenant.table(&table).await.map_err(error)?.is_none() {
        return Err(CommandError::namespace_not_found(&namespace));
    }
    let mut changed = Document::new();
    if let Some(index) = index {
        let mut index = Arguments::new("collMod.index", index);
        let which = indexes::choice(&mut index)?;
        let change = IndexChange {
            hidden: index.boolean("hidden")?,
            expire_after_secs: index.integer("expireAfterSeconds")?,
        };
        index.end()?;
        if change == IndexChange::default() {
            return Err(CommandError::invalid_options("no expireAfterSeconds or hidden field"));
        }
        let (before, after) = tenant.change_index(&table, which, change).await.map_err(error)?;
        if change.expire_after_secs.is_some() {
            if let Some(seconds) = before.expire_after_secs {
                changed.insert("expireAfterSeconds_old", seconds);
            }
            changed.insert("expireAfterSeconds_new", after.expire_after_secs);
        }
        if change.hidden.is_some() && before.hidden != after.hidden {
            changed.extend(doc! { "hidden_old": before.hidden, "hidden_new": after.hidden });
        }
    }
    tenant.change_options(&table, change).await.map_err(error)?;
    command::raw(&changed)
}

async fn rename(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    let Bson::String(from) = call.target.clone() else {
        return Err(CommandError::type_mismatch(
            "BSON field 'renameCollection.renameCollection' is the wrong type, expected type 'string'",
        ));
    };
    let to = call.arguments.string("to")?;
    let to = call.arguments.required("to", to)?;
    // A collection's uuid was allowed here once, to drop just that one.
    let replace = match call.arguments.take("dropTarget") {
        None => false,
        Some(Bson::Boolean(replace)) => replace,
        Some(number) if whole_number(&number).is_some() => whole_number(&number) != Some(0),
        Some(_) => return Err(CommandError::type_mismatch("dropTarget must be a boolean")),
    };
    call.arguments.allow(&["stayTemp"]);
    call.arguments.end()?;
    let ((database, from_name), (to_database, to_name)) = (namespace::split(&from)?, namespace::split(&to)?);
    if database != to_database {
        return Err(CommandError::not_supported("renameCollection into another database"));
    }
    let (from_table, to_table) =
        (namespace::collection(database, from_name)?, namespace::collection(database, to_name)?);
    let tenant = call.door.engine.tenant_or_create(&namespace::admit(database)?).await?;
    tenant.rename_table(&from_table, &to_table, replace).await.map_err(|error| match error {
        EngineError::TableNotFound(_) => {
            CommandError::new(codes::NAMESPACE_NOT_FOUND, format!("Source collection {from} does not exist"))
        }
        EngineError::TableExists(_) => CommandError::new(codes::NAMESPACE_EXISTS, "target namespace exists"),
        other => CommandError::of_engine(other, &from),
    })?;
    Ok(rawdoc! {})
}
