//! The function that shows documents as JSON to whoever looks with SQL.
//!
//! Promises: it is made where the server lets this user make it, and the provider does not need it.
//! Deliberately unknown: what documents hold; the function follows the engine's envelope and BSON.

use nimbus_namespace::StorageError;
use nimbus_sql::{Lease, OPERATION_LIMIT, within};

use crate::error::number;
use crate::session::Server;
use crate::statements::{DatabaseName, Statements, send};

/// The function; `{metadata}` stands for the metadata database.
const DOCUMENT_JSON: &str = include_str!("document_json.sql");
/// There is a function of that name.
const FUNCTION_EXISTS: u16 = 1304;

/// Makes the function in the metadata database unless it is there, or says why not.
pub(crate) async fn offer(lease: &mut Lease<Server>, metadata: &DatabaseName) {
    let function = Statements::one(DOCUMENT_JSON.replace("{metadata}", &metadata.to_string()));
    let made = within(OPERATION_LIMIT, send(lease.begin(1), function, &mut Vec::new())).await;
    let is_there = made.is_ok() || made.as_ref().err().and_then(number) == Some(FUNCTION_EXISTS);
    // Without CREATE ROUTINE, or with a binary log that does not trust makers of functions.
    if let Err(failure) = lease.finish(made)
        && !is_there
    {
        let error = StorageError::from(failure);
        tracing::info!(%error, "SQL cannot show documents as JSON: the function document_json could not be made");
    }
}
