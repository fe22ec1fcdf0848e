//! The harness of the end-to-end suites: it installs, starts, addresses and stops real servers.
//!
//! Promises: every server runs on a free loopback port with throw-away data, state and token
//! directories; what a test starts ends with the test, and nothing else is ended; a request that gets
//! no answer fails the test instead of hanging it. Deliberately unknown: what a suite wants to show,
//! and every crate of the product, because the suites see a server only from outside.

mod binary;
mod client;
mod database;
mod envelope;
mod installation;
mod mongodb;
mod provider;
mod raw;
mod seed;
mod server;
mod storage;
mod threads;
mod wire;

pub use binary::nimbus_binary;
pub use client::{Client, Reply};
pub use database::{Access, Database};
pub use envelope::{assert_error, check_error};
pub use installation::Installation;
pub use mongodb::{MONGODB_PASSWORD, MONGODB_USER, MongodbServer, clients_folder};
pub use nimbus_test_servers::{Mode, PASSWORD, Proxy, skip, tool};
pub use provider::Provider;
pub use raw::{Outcome, exchange};
pub use seed::{Seeded, seeded};
pub use server::{PATIENCE, Server, StartFailure, wait_until};
pub use storage::holds;
pub use threads::together;
pub use wire::{HEADER_BYTES, Opcode, WireConnection, message};
