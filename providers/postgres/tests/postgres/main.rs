//! The postgres provider on real servers: one test binary, so that one server serves most of its tests.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod conformance;
mod cost;
mod damage;
mod faults;
mod json;
mod lifecycle;
mod setting;
mod start;
