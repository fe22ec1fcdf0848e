//! The mysql provider: one database of a `MariaDB` or `MySQL` server for each tenant.
//!
//! Promises: a tenant's database holds all of it and nothing of another; a commit group is one
//! transaction, fenced by the head's row, in one round trip unless it is large; an `Ok` from a commit
//! means that the server has committed; servers that share a database and a prefix share its tenants.
//! What the tables and columns hold, and which rights and settings are needed, is in this crate's README.
//! Deliberately unknown: what keys and values mean.
//!
//! Statements are text, not prepared: several travel in one packet, so that a transaction takes one round
//! trip, and a server with many tenants keeps no prepared statements for each of them on each connection
//! (`max_prepared_stmt_count`). Only hexadecimal literals, numbers and names of
//! [`NamespaceName`](nimbus_namespace::remote::NamespaceName)'s alphabet are written into a text, so that
//! nothing in it can be taken for anything else. Values too large for that are bound to a prepared statement.

mod catalog;
mod check;
mod commit;
mod error;
mod json;
mod log;
mod namespace;
mod provider;
mod reads;
mod server;
mod session;
mod snapshot;
mod statements;
mod tables;
mod writer;

pub use namespace::MysqlNamespace;
pub use provider::{MysqlOptions, MysqlProvider};
