//! Commands that tell about the server, as far as drivers, mongosh and Compass ask.
//!
//! Promises: figures are real ones or not there; nothing tells of tenants or shows a credential. Deliberately
//! unknown: commands on data.

mod host;
mod parameters;
mod server_status;

use bson::{Bson, Document, doc};

use crate::connection::ConnectionState;
use crate::door::Door;
use crate::door_command::{DoorCommand, Run};
use crate::error::{CommandError, Result, codes};
use crate::handshake::ReplicaSet;
use crate::wire::Request;
use crate::{command, door_command};

/// The version of MongoDB whose behaviour is followed.
const VERSION: &str = "7.0.0";

/// The commands of diagnostics.
pub(crate) const COMMANDS: &[DoorCommand] = &[
    open("ping", "Says that the server answers.", |_, _, _| Ok(Document::new())),
    open("buildInfo", "Which version this is.", |door, _, _| Ok(build_info(door))),
    open("buildinfo", "Which version this is.", |door, _, _| Ok(build_info(door))),
    open("connectionStatus", "Who is authenticated on this connection.", |door, connection, _| {
        Ok(connection_status(door, connection))
    }),
    open("whatsmyuri", "The client's own address.", |_, connection, _| {
        Ok(doc! { "you": connection.peer.to_string() })
    }),
    closed("serverStatus", "Figures of the server.", |door, connection, _| {
        Ok(server_status::server_status(door, connection))
    }),
    closed("hostInfo", "The machine.", |door, _, _| Ok(host::host_info(door))),
    closed("getParameter", "Parameters of the server.", parameters::get_parameter),
    closed("getCmdLineOpts", "Options the server was started with.", |door, _, _| {
        Ok(parameters::command_line_options(door))
    }),
    closed("getLog", "Lines of the server's log; none are kept for clients.", |_, _, request| {
        get_log(request)
    }),
    closed("listCommands", "Every command with a line of help.", |door, _, _| Ok(list_commands(door))),
    closed("getFreeMonitoringStatus", "Whether a monitoring service is used.", |_, _, _| {
        Ok(doc! { "state": "disabled" })
    }),
    closed("features", "Optional features.", |_, _, _| Ok(doc! { "js": false })),
    closed("replSetGetStatus", "State of the replica set.", |door, connection, _| {
        Ok(replica_set(door)?.status(connection, door.options.clock.now_ms()))
    }),
    closed("replSetGetConfig", "Members of the replica set.", |door, connection, _| {
        Ok(replica_set(door)?.configuration(connection))
    }),
];

/// Served before authentication too.
const fn open(name: &'static str, help: &'static str, run: Run) -> DoorCommand {
    DoorCommand { name, is_open: true, help, run }
}

/// Served after authentication only.
const fn closed(name: &'static str, help: &'static str, run: Run) -> DoorCommand {
    DoorCommand { name, is_open: false, help, run }
}

fn build_info(door: &Door) -> Document {
    doc! {
        "version": VERSION,
        "versionArray": [7, 0, 0, 0],
        "gitVersion": "",
        "modules": [],
        "javascriptEngine": "none",
        "sysInfo": "deprecated",
        "allocator": "mimalloc",
        "bits": 64,
        "debug": cfg!(debug_assertions),
        "maxBsonObjectSize": i32::try_from(nimbus_types::limits::DOCUMENT_BYTES).unwrap_or(i32::MAX),
        "storageEngines": [door.engine.provider_name()],
        "nimbus": { "version": env!("CARGO_PKG_VERSION") },
    }
}

fn connection_status(door: &Door, connection: &ConnectionState) -> Document {
    let (mut users, mut roles) = (Vec::new(), Vec::new());
    if connection.is_authenticated() {
        users.push(doc! { "user": door.authority.username(), "db": "admin" });
        roles.push(doc! { "role": "root", "db": "admin" });
    }
    doc! { "authInfo": { "authenticatedUsers": users, "authenticatedUserRoles": roles } }
}

fn get_log(request: &Request) -> Result<Document> {
    match request.body.get_str("getLog") {
        Ok("*") => Ok(doc! { "names": ["global", "startupWarnings"] }),
        Ok("global" | "startupWarnings") => Ok(doc! { "totalLinesWritten": 0, "log": [] }),
        Ok(_) => Err(CommandError::new(codes::OPERATION_FAILED, "there is no log of that name")),
        Err(_) => Err(CommandError::new(codes::TYPE_MISMATCH, "getLog takes a string")),
    }
}

fn list_commands(door: &Door) -> Document {
    let mut commands: Vec<_> = command::listing();
    commands.retain(|(name, _)| door.options.test_commands || *name != "configureFailPoint");
    commands.sort_unstable();
    let described = commands.into_iter().map(|(name, help)| {
        let needs_authentication = !door_command::find(name).is_some_and(|command| command.is_open);
        (name.to_owned(), Bson::from(doc! { "help": help, "requiresAuth": needs_authentication }))
    });
    doc! { "commands": described.collect::<Document>() }
}

fn replica_set(door: &Door) -> Result<&ReplicaSet> {
    door.replica_set.as_ref().ok_or_else(|| {
        CommandError::new(codes::NO_REPLICATION_ENABLED, "not running with --mongodb-replica-set")
    })
}
