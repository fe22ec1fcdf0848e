//! The mysql provider on real servers that the tests start themselves. One binary, so that most tests share
//! one server.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod conformance;
mod damage;
mod faults;
mod json;
mod lifecycle;
mod limits;
mod startup;
mod support;
mod traffic;
