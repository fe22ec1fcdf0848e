//! A server that listens for MongoDB clients, and where programs that are such clients are installed.
//!
//! Promises: the listener is on a free loopback port and takes one known credential pair. Deliberately
//! unknown: what clients do.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::installation::Installation;
use crate::server::{Server, StartFailure};

/// The user that every server of a test knows.
pub const MONGODB_USER: &str = "tester";
/// That user's password.
pub const MONGODB_PASSWORD: &str = "correct horse battery staple";

/// A running server and its MongoDB address.
#[derive(Debug)]
pub struct MongodbServer {
    /// The process.
    pub server: Server,
    /// Where MongoDB clients connect.
    pub address: SocketAddr,
    is_replica_set: bool,
}

impl MongodbServer {
    /// Starts one on the tenants of `installation`, with more arguments.
    ///
    /// # Panics
    /// When it does not come up, or does not say where MongoDB clients connect.
    pub fn start(installation: &Installation, more: &[&str]) -> Self {
        Self::try_start(installation, more).unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// As [`Self::start`], for a start that may fail.
    pub fn try_start(installation: &Installation, more: &[&str]) -> Result<Self, StartFailure> {
        let mut variables = installation.variables();
        variables.push(("NIMBUS_MONGODB_PASSWORD", MONGODB_PASSWORD.into()));
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut arguments = vec!["--port", "0", "--mongodb-port", "0", "--mongodb-username", MONGODB_USER];
        arguments.extend(more);
        let server = installation.start_with(&arguments, &variables)?;
        let address = server.mongodb_address().expect("the server says where MongoDB clients connect");
        Ok(Self { server, address, is_replica_set: more.contains(&"--mongodb-replica-set") })
    }

    /// What clients are given: credentials, address, and how to connect.
    pub fn uri(&self) -> String {
        let password = MONGODB_PASSWORD.replace(' ', "%20");
        // With a replica set drivers find out by themselves what the one member can do.
        let mode = if self.is_replica_set { "" } else { "?directConnection=true" };
        format!("mongodb://{MONGODB_USER}:{password}@{}/{mode}", self.address)
    }
}

/// The folder `tests/mongodb`, where the tests in other languages are, and their installed clients.
pub fn clients_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mongodb")
}
