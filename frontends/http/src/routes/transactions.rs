//! Several mutations that are applied together or not at all.

use axum::extract::State;
use axum::response::Response;
use nimbus_engine::Mutation;
use nimbus_types::{Sequence, TableName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::body::JsonBody;
use crate::decode::decode;
use crate::document::{self, IdView};
use crate::error::{ApiError, Result};
use crate::extended_json::to_bson;
use crate::failures::{OfBody, OfConflict, OfServer, OfTenant};
use crate::path::PathNames;
use crate::reply;
use crate::schemas;
use crate::state::Door;

/// Mutations in the order in which they are applied.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransactionRequest {
    #[schema(value_type = Vec<MutationRequest>, min_items = 1)]
    mutations: Vec<Value>,
}

/// One mutation. `if_version` is the number in the document's `ETag`; when the document is at another
/// version, nothing is applied.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum MutationRequest {
    /// Makes a document.
    Insert {
        #[schema(value_type = schemas::TableName)]
        table: String,
        #[schema(value_type = schemas::Fields)]
        fields: Map<String, Value>,
    },
    /// Replaces all fields of a document but its id.
    Replace {
        #[schema(value_type = schemas::TableName)]
        table: String,
        #[schema(value_type = schemas::DocumentValue)]
        id: Value,
        #[schema(value_type = schemas::ChangedFields)]
        fields: Map<String, Value>,
        if_version: Option<u64>,
    },
    /// Sets and removes top-level fields of a document.
    Patch {
        #[schema(value_type = schemas::TableName)]
        table: String,
        #[schema(value_type = schemas::DocumentValue)]
        id: Value,
        #[schema(value_type = schemas::ChangedFields)]
        patch: Map<String, Value>,
        #[schema(value_type = Option<Vec<schemas::FieldName>>)]
        unset: Option<Vec<String>>,
        if_version: Option<u64>,
    },
    /// Deletes a document.
    Delete {
        #[schema(value_type = schemas::TableName)]
        table: String,
        #[schema(value_type = schemas::DocumentValue)]
        id: Value,
        if_version: Option<u64>,
    },
}

/// What was committed.
#[derive(Serialize, ToSchema)]
pub(crate) struct TransactionReply<'a> {
    /// The commit's position in the tenant's log.
    sequence: u64,
    /// One result a mutation, in their order.
    results: Vec<MutationReply<'a>>,
}

/// The document one mutation wrote.
#[derive(Serialize, ToSchema)]
pub(crate) struct MutationReply<'a> {
    #[schema(value_type = schemas::StoredValue)]
    id: IdView<'a>,
    /// Its version now.
    version: u64,
}

impl MutationRequest {
    fn into_mutation(self) -> Result<Mutation> {
        Ok(match self {
            Self::Insert { table, fields } => Mutation::Insert {
                table: TableName::parse(&table)?,
                fields: document::fields_to_insert(fields)?,
            },
            Self::Replace { table, id, fields, if_version } => {
                let id = to_bson(id)?;
                Mutation::Replace {
                    table: TableName::parse(&table)?,
                    fields: document::fields_to_replace(fields, &id)?,
                    id,
                    if_version: if_version.map(Sequence),
                }
            }
            Self::Patch { table, id, patch, unset, if_version } => {
                let unset = unset.unwrap_or_default();
                document::check_unset(&unset)?;
                Mutation::Patch {
                    table: TableName::parse(&table)?,
                    id: to_bson(id)?,
                    set: document::fields_to_set(patch)?,
                    unset,
                    if_version: if_version.map(Sequence),
                }
            }
            Self::Delete { table, id, if_version } => Mutation::Delete {
                table: TableName::parse(&table)?,
                id: to_bson(id)?,
                if_version: if_version.map(Sequence),
            },
        })
    }
}

fn read_mutations(mutations: Vec<Value>) -> Result<Vec<Mutation>> {
    if mutations.is_empty() {
        return Err(ApiError::invalid("a transaction needs at least one mutation").at("mutations"));
    }
    let read = |(index, mutation)| {
        decode(mutation)
            .and_then(MutationRequest::into_mutation)
            .map_err(|error: ApiError| error.in_mutation(index))
    };
    mutations.into_iter().enumerate().map(read).collect()
}

/// Applies several mutations, all or nothing.
#[utoipa::path(post, path = "/api/tenants/{tenant}/transactions", tag = "transactions",
    params(("tenant" = schemas::TenantId, Path, description = "The tenant.")),
    request_body = TransactionRequest,
    responses((status = 200, description = "All were applied.", body = TransactionReply),
        OfServer, OfTenant, OfBody, OfConflict))]
pub(crate) async fn transact(
    State(door): State<Door>,
    path: PathNames,
    JsonBody(body): JsonBody<TransactionRequest>,
) -> Result<Response> {
    let mutations = read_mutations(body.mutations)?;
    let tenant = path.tenant(door.engine()).await?;
    let done = tenant.transact(mutations).await?;
    let results = done
        .results
        .iter()
        .map(|result| MutationReply { id: IdView(&result.id), version: result.version.0 })
        .collect();
    reply::ok(&TransactionReply { sequence: done.sequence.0, results })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wrong_names_the_mutation() {
        let good = json!({"op": "insert", "table": "t", "fields": {}});
        for (bad, needle) in [
            (json!({"op": "upsert"}), "`upsert`"),
            (json!({"table": "t"}), "`op`"),
            (json!(["insert", "t", {}]), "a JSON object"),
            (json!({"op": "insert", "table": "t", "fields": {}, "if_version": 1}), "`if_version`"),
            (json!({"op": "delete", "table": "t", "id": "a", "if_version": -1}), "-1"),
            (json!({"op": "delete", "table": "", "id": "a"}), "table name"),
            (json!({"op": "patch", "table": "t", "id": {"$oid": 1}, "patch": {}}), "$oid"),
            (json!({"op": "patch", "table": "t", "id": "a", "patch": {}, "unset": ["_id"]}), "_id"),
        ] {
            let error = read_mutations(vec![good.clone(), bad.clone()]).unwrap_err();
            let message = error.message_text();
            assert!(message.starts_with("mutations[1]: ") && message.contains(needle), "{bad}: {message}");
        }
        read_mutations(vec![]).unwrap_err();
        assert_eq!(read_mutations(vec![good.clone(), good]).unwrap().len(), 2);
    }
}
