//! The whole route table over an engine in memory: each route, each rule of the door.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod data;
mod door;
mod harness;
mod listener;
