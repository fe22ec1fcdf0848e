//! Where a database name becomes a tenant's id, and a collection name a table's: the one place of admission.
//!
//! Promises: `admin`, `local`, `config` and the empty name mean the tenant `default`; a name that is no
//! tenant id is refused before anything else happens. Deliberately unknown: which tenants exist.

use nimbus_types::{TableName, TenantId};

use crate::error::{CommandError, Result, codes};

/// The tenant of the databases that every MongoDB server has.
const DEFAULT_TENANT: &str = "default";

/// The tenant that a database name means.
pub(crate) fn admit(database: &str) -> Result<TenantId> {
    let id = match database {
        "" | "admin" | "local" | "config" => DEFAULT_TENANT,
        other => other,
    };
    TenantId::parse(id).map_err(|error| {
        CommandError::new(codes::INVALID_NAMESPACE, format!("Invalid database name: '{database}': {error}"))
    })
}

/// The table that a collection name means.
pub(crate) fn collection(database: &str, name: &str) -> Result<TableName> {
    TableName::parse(name).map_err(|error| {
        CommandError::new(
            codes::INVALID_NAMESPACE,
            format!("Invalid namespace specified '{database}.{name}': {error}"),
        )
    })
}

/// The two parts of `database.collection`.
pub(crate) fn split(namespace: &str) -> Result<(&str, &str)> {
    namespace.split_once('.').filter(|(_, collection)| !collection.is_empty()).ok_or_else(|| {
        CommandError::new(codes::INVALID_NAMESPACE, format!("Invalid namespace specified '{namespace}'"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_databases_of_every_server_are_one_tenant() {
        for database in ["", "admin", "local", "config", "default"] {
            assert_eq!(admit(database).unwrap().as_str(), "default");
        }
        assert_eq!(admit("shop").unwrap().as_str(), "shop");
        for refused in ["_system", "a.b", "a b", "a/b", "a\0b"] {
            assert_eq!(admit(refused).unwrap_err().code, 73, "{refused:?}");
        }
    }

    #[test]
    fn collections_keep_to_the_rules_of_tables() {
        assert!(collection("a", "x.y").is_ok());
        for refused in ["", "system.users", "a$b"] {
            assert_eq!(collection("a", refused).unwrap_err().code, 73, "{refused:?}");
        }
        assert_eq!(split("a.b.c").unwrap(), ("a", "b.c"));
        assert!(split("a").is_err() && split("a.").is_err());
    }
}
