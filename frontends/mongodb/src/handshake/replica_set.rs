//! A replica set with one member: this server.
//!
//! Drivers use retryable writes, transactions and change streams only where `hello` says that there is a replica
//! set. Everything those need holds here without one, so an operator may have it said.

use std::net::SocketAddr;

use bson::oid::ObjectId;
use bson::{DateTime, Document, Timestamp, doc};

use crate::connection::ConnectionState;

/// What a replica set's configuration and election would have settled.
pub(crate) struct ReplicaSet {
    name: String,
    address: SocketAddr,
    /// When this server became primary: at its start.
    elected_ms: u64,
}

impl ReplicaSet {
    /// The set of this name, with a listener at `address` as its member.
    pub(crate) fn new(name: String, address: SocketAddr, elected_ms: u64) -> Self {
        Self { name, address, elected_ms }
    }

    /// What it adds to `hello`.
    pub(super) fn hello(&self, connection: &ConnectionState, now_ms: u64) -> Document {
        let member = self.member(connection);
        let (written, date) = (optime(now_ms), date(now_ms));
        doc! {
            "setName": &self.name,
            "setVersion": 1,
            "secondary": false,
            "hosts": [&member],
            "primary": &member,
            "me": &member,
            "electionId": self.election_id(),
            "lastWrite": {
                "opTime": written.clone(), "lastWriteDate": date,
                "majorityOpTime": written, "majorityWriteDate": date,
            },
        }
    }

    /// The answer to `replSetGetStatus`.
    pub(crate) fn status(&self, connection: &ConnectionState, now_ms: u64) -> Document {
        let written = optime(now_ms);
        doc! {
            "set": &self.name,
            "date": date(now_ms),
            "myState": 1,
            "term": 1_i64,
            "heartbeatIntervalMillis": 2000_i64,
            "majorityVoteCount": 1,
            "writeMajorityCount": 1,
            "votingMembersCount": 1,
            "writableVotingMembersCount": 1,
            "optimes": { "lastCommittedOpTime": written.clone(), "appliedOpTime": written.clone() },
            "members": [{
                "_id": 0,
                "name": self.member(connection),
                "health": 1.0,
                "state": 1,
                "stateStr": "PRIMARY",
                "uptime": i64::try_from(now_ms.saturating_sub(self.elected_ms) / 1000).unwrap_or(i64::MAX),
                "optime": written,
                "optimeDate": date(now_ms),
                "electionDate": date(self.elected_ms),
                "configVersion": 1,
                "self": true,
            }],
        }
    }

    /// The answer to `replSetGetConfig`.
    pub(crate) fn configuration(&self, connection: &ConnectionState) -> Document {
        doc! { "config": {
            "_id": &self.name, "version": 1, "term": 1_i64, "protocolVersion": 1_i64,
            "members": [{ "_id": 0, "host": self.member(connection), "priority": 1.0, "votes": 1 }],
        } }
    }

    /// Where clients reach the member: where the listener is, or, when that is every address of the machine, where
    /// this client has reached it.
    fn member(&self, connection: &ConnectionState) -> String {
        let address = if self.address.ip().is_unspecified() { connection.local } else { self.address };
        address.to_string()
    }

    /// Drivers take the primary with the greatest one for the current, so that a later start must have a greater one.
    fn election_id(&self) -> ObjectId {
        let mut bytes = [0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes[4..].copy_from_slice(&self.elected_ms.to_be_bytes());
        ObjectId::from_bytes(bytes)
    }
}

fn optime(now_ms: u64) -> Document {
    let time = u32::try_from(now_ms / 1000).unwrap_or(u32::MAX);
    doc! { "ts": Timestamp { time, increment: 1 }, "t": 1_i64 }
}

fn date(ms: u64) -> DateTime {
    DateTime::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
}
