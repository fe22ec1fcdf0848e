//! What expressions mean, operator by operator, in tables: an expression and its value, or its error's number.
//!
//! All are evaluated with one document, [`support::document`]. The tables hold each operator's plain case, null and
//! missing, and what it refuses; `properties` has random expressions.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod arithmetic;
mod arrays;
mod conversions;
mod language;
mod objects;
mod properties;
mod strings;
mod support;
