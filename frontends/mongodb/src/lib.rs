//! The MongoDB door: stock drivers speak to the engine through it.
//!
//! Promises: a database name is a tenant id and is admitted in one place; a message that breaks the
//! protocol costs its connection and nothing else. Deliberately unknown: other protocols, providers,
//! how tenants are stored.
