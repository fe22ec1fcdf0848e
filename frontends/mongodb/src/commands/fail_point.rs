//! `configureFailPoint`: failures on demand, for the specification tests of drivers.
//!
//! Promises: it is there only if the door's options say so, and no command fails by it otherwise; fail points other
//! than those of [`Place`], and fields of them that are not known, are refused by name. Deliberately unknown: what
//! the commands do.

use std::collections::HashMap;
use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::{Bson, Document, RawDocumentBuf, doc};
use nimbus_query::QueryError;
use parking_lot::Mutex;

use crate::arguments::{Arguments, whole_number};
use crate::call::Call;
use crate::command::{self, Command};
use crate::connection::ConnectionState;
use crate::door::Door;
use crate::error::{CommandError, Result, codes};

/// The family.
pub(super) const COMMANDS: &[Command] =
    &[Command::new("configureFailPoint", "makes commands fail, for tests", |call| {
        Box::pin(ready(configure(call)))
    })];

/// What fails at the moment.
#[derive(Default)]
pub(crate) struct FailPoints(Mutex<HashMap<Place, FailPoint>>);

/// Where something can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// `failCommand`: before a command begins.
    Command,
    /// `onPrimaryTransactionalWrite`: each statement of a retryable write.
    RetryableWrite,
    /// `failGetMoreAfterCursorCheckout`: a `getMore` that has found its cursor.
    GetMore,
}

impl Place {
    fn parse(name: &Bson) -> Result<Self> {
        match name.as_str() {
            Some("failCommand") => Ok(Self::Command),
            Some("onPrimaryTransactionalWrite") => Ok(Self::RetryableWrite),
            Some("failGetMoreAfterCursorCheckout") => Ok(Self::GetMore),
            _ => Err(CommandError::not_supported(format!("fail point {name}"))),
        }
    }
}

#[derive(Debug, Clone)]
struct FailPoint {
    /// The commands that fail, where the point is one of commands.
    commands: Vec<String>,
    /// How often it still fails; `None` until it is switched off.
    times: Option<u64>,
    /// How often it is passed by first.
    skip: u64,
    app_name: Option<String>,
    failure: Failure,
}

/// What happens to a command.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failure {
    /// Waits so long first.
    block: Option<Duration>,
    /// Closes the connection without a reply.
    pub(crate) closes_connection: bool,
    error_code: Option<i32>,
    error_labels: Option<Vec<String>>,
    write_concern_error: Option<Document>,
}

fn configure(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    if !call.door.options.test_commands {
        let message = "no such command: 'configureFailPoint'";
        return Err(CommandError::new(codes::COMMAND_NOT_FOUND, message));
    }
    let place = Place::parse(&call.target)?;
    let mode = call.arguments.take("mode");
    let mode = call.arguments.required("mode", mode)?;
    let data = call.arguments.document("data")?.unwrap_or_default();
    call.arguments.end()?;
    let (times, skip) = match mode {
        Bson::String(mode) if mode == "off" => {
            call.door.registries.fail_points.0.lock().remove(&place);
            return Ok(RawDocumentBuf::new());
        }
        Bson::String(mode) if mode == "alwaysOn" => (None, 0),
        Bson::Document(mode) => {
            let number = |name: &str| {
                mode.get(name).and_then(whole_number).and_then(|number| u64::try_from(number).ok())
            };
            (number("times"), number("skip").unwrap_or(0))
        }
        _ => return Err(CommandError::bad_value("mode must be 'off', 'alwaysOn', or how many times")),
    };
    let point = FailPoint { times, skip, ..read(place, data)? };
    call.door.registries.fail_points.0.lock().insert(place, point);
    Ok(RawDocumentBuf::new())
}

fn read(place: Place, data: Document) -> Result<FailPoint> {
    let mut data = Arguments::new("failCommand", data);
    let text = |value: Bson| match value {
        Bson::String(text) => Ok(text),
        other => Err(CommandError::type_mismatch(format!("{other} is no string"))),
    };
    let commands =
        data.array("failCommands")?.unwrap_or_default().into_iter().map(text).collect::<Result<_>>()?;
    let labels = data.array("errorLabels")?;
    let error_labels =
        labels.map(|labels| labels.into_iter().map(text).collect::<Result<_>>()).transpose()?;
    let blocks = data.flag("blockConnection")?;
    let block_ms = data.count("blockTimeMS")?.filter(|_| blocks);
    // The point of writes closes the connection unless it is told not to.
    let closes_connection = data.boolean("closeConnection")?.unwrap_or(place == Place::RetryableWrite);
    let code = if place == Place::RetryableWrite { "failBeforeCommitExceptionCode" } else { "errorCode" };
    let failure = Failure {
        block: block_ms.map(Duration::from_millis),
        closes_connection,
        error_code: data.integer(code)?.and_then(|code| i32::try_from(code).ok()),
        error_labels,
        write_concern_error: data.document("writeConcernError")?,
    };
    let app_name = data.string("appName")?;
    data.end()?;
    Ok(FailPoint { commands, times: None, skip: 0, app_name, failure })
}

impl FailPoints {
    /// What is to happen to a command of that name, if anything.
    fn take_command(&self, name: &str, app_name: Option<&str>) -> Option<Failure> {
        self.take(Place::Command, |point| {
            point.commands.iter().any(|command| command == name)
                && point.app_name.as_deref().is_none_or(|wanted| Some(wanted) == app_name)
        })
    }

    /// What is to happen to a `getMore` that has found its cursor.
    pub(crate) fn take_get_more(&self) -> Option<Failure> {
        self.take(Place::GetMore, |_| true)
    }

    /// What is to happen to the next statement of a retryable write.
    fn take_write(&self) -> Option<Failure> {
        self.take(Place::RetryableWrite, |_| true)
    }

    fn take(&self, place: Place, concerns: impl FnOnce(&FailPoint) -> bool) -> Option<Failure> {
        let mut points = self.0.lock();
        let point = points.get_mut(&place).filter(|point| concerns(point))?;
        if point.skip > 0 {
            point.skip -= 1;
            return None;
        }
        match &mut point.times {
            Some(0) => return None,
            Some(times) => *times -= 1,
            None => {}
        }
        Some(point.failure.clone())
    }
}

/// Lets a statement of a retryable write fail before it is done, or its connection be cut after.
pub(crate) fn interrupt_write(
    points: &FailPoints,
    is_cut: &AtomicBool,
) -> std::result::Result<(), QueryError> {
    let Some(failure) = points.take_write() else { return Ok(()) };
    is_cut.fetch_or(failure.closes_connection, Ordering::Relaxed);
    failure.error().map_or(Ok(()), |error| Err(QueryError::new(error.code, error.message)))
}

/// What is to happen to a command, after it has been kept waiting.
pub(crate) async fn hit(door: &Door, connection: &ConnectionState, name: &str) -> Option<Failure> {
    if !door.options.test_commands || name == "configureFailPoint" {
        return None;
    }
    let client = connection.client.as_ref();
    let app_name = client.and_then(|client| client.get_document("application").ok()?.get_str("name").ok());
    let failure = door.registries.fail_points.take_command(name, app_name)?;
    if let Some(block) = failure.block {
        tokio::time::sleep(block).await;
    }
    Some(failure)
}

impl Failure {
    /// The error that stands for the command's own reply.
    pub(crate) fn error(&self) -> Option<CommandError> {
        let code = self.error_code?;
        Some(CommandError::new(code, "Failing command via 'failCommand' failpoint"))
    }

    /// The error with the labels that were asked for in the place of its own.
    pub(crate) fn labelled(&self, mut error: CommandError) -> CommandError {
        if let Some(labels) = &self.error_labels {
            error.labels.clone_from(labels);
        }
        error
    }

    /// Adds the failure of the write concern to a reply, with the labels that its number has by itself unless
    /// others were asked for.
    pub(crate) fn add_to(
        &self,
        reply: RawDocumentBuf,
        labels_of: impl FnOnce(i32) -> Vec<String>,
    ) -> RawDocumentBuf {
        let Some(error) = &self.write_concern_error else { return reply };
        let mut added = doc! { "writeConcernError": error.clone() };
        let labels = self
            .error_labels
            .clone()
            .unwrap_or_else(|| error.get_i32("code").map_or_else(|_| Vec::new(), labels_of));
        if !labels.is_empty() {
            added.insert("errorLabels", labels);
        }
        let Ok(added) = command::raw(&added) else { return reply };
        let mut reply = reply;
        for (name, value) in added.iter().flatten() {
            reply.append(name, value);
        }
        reply
    }
}
