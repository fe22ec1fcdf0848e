//! The door on a real socket, met by a client written by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod authentication;
mod client;
mod diagnostics;
mod handshake;
mod harness;
mod listener;
mod tls;
