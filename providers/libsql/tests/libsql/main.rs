//! The libsql-replica provider on real sqld servers. One binary, so that the tests share one server.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod away;
mod cache;
mod conformance;
mod faults;
mod lifecycle;
mod primary;
mod sizes;
mod start;
mod traffic;
mod world;
