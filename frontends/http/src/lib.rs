//! The HTTP front door: JSON over HTTP/1.1, one route table, one error envelope, one place that
//! asks for credentials.
//!
//! Promises: nothing a client sends panics the server; every reply to a request that could be read
//! as HTTP carries a request id, and every error the same envelope; without a valid token nothing
//! but `GET /health` is revealed. Deliberately unknown: other protocols, storage providers, where
//! tokens and audit logs are kept (see [`Gatekeeper`]).

mod auth;
mod body;
mod decode;
mod document;
mod error;
mod etag;
mod extended_json;
mod failures;
mod filters;
mod gatekeeper;
mod guard;
mod id_order;
mod json;
mod linger;
mod metrics;
mod openapi;
mod options;
mod origin;
mod parameters;
mod path;
mod reply;
mod request_id;
mod routes;
mod schemas;
mod server;
mod state;

pub use gatekeeper::{Decision, Gatekeeper};
pub use options::HttpOptions;
pub use server::{router, serve};
