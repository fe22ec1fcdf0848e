//! Parameters and options of the server, as far as clients look at them.

use std::sync::Arc;

use bson::raw::RawBsonRef;
use bson::{Bson, Document, doc};

use crate::auth;
use crate::connection::ConnectionState;
use crate::door::Door;
use crate::error::{CommandError, Result, codes};
use crate::handshake::SESSION_TIMEOUT_MINUTES;
use crate::wire::Request;

/// Every parameter that can be asked for.
fn parameters(door: &Door) -> Document {
    doc! {
        "authenticationMechanisms": [auth::MECHANISM],
        "featureCompatibilityVersion": { "version": "7.0" },
        "localLogicalSessionTimeoutMinutes": SESSION_TIMEOUT_MINUTES,
        "enableTestCommands": door.options.test_commands,
        "quiet": false,
    }
}

/// `{ getParameter: "*" }`, or one with the parameters' names as fields.
pub(super) fn get_parameter(
    door: &Arc<Door>,
    _: &mut ConnectionState,
    request: &Request,
) -> Result<Document> {
    let all = parameters(door);
    let wants_all = match request.body.get("getParameter") {
        Ok(Some(RawBsonRef::String("*"))) => true,
        Ok(Some(RawBsonRef::Document(options))) => matches!(options.get_bool("allParameters"), Ok(true)),
        _ => false,
    };
    if wants_all {
        return Ok(all);
    }
    let names = request.body.iter_elements().filter_map(std::result::Result::ok).map(|element| element.key());
    let chosen: Document = names
        .filter_map(|name| Some((name.as_str().to_owned(), Bson::clone(all.get(name.as_str())?))))
        .collect();
    if chosen.is_empty() {
        return Err(CommandError::new(codes::INVALID_OPTIONS, "no option found to get"));
    }
    Ok(chosen)
}

/// What is set on the command line, in the words of MongoDB's configuration. Paths and secrets are no part of it.
pub(super) fn command_line_options(door: &Door) -> Document {
    let mut parsed = doc! {
        "net": { "bindIp": door.address.ip().to_string(), "port": i32::from(door.address.port()) },
        "security": { "authorization": "enabled" },
        "storage": { "engine": door.engine.provider_name() },
    };
    if let Some(name) = &door.options.replica_set {
        parsed.insert("replication", doc! { "replSet": name });
    }
    doc! { "argv": ["nimbus", "start"], "parsed": parsed }
}
