//! `nimbus log inspect`: what is in a file of provider `log`, for a person.
//!
//! Promises: nothing is changed and nothing is locked. Deliberately unknown: what such files hold, which is
//! the store's.

use std::io;

use nimbus_log::InspectError;

use crate::cli::InspectArguments;
use crate::exit::{CannotRun, Exit};

/// Prints one file; damage makes it [`Exit::Failed`].
pub(crate) fn inspect(arguments: &InspectArguments) -> Result<Exit, CannotRun> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match nimbus_log::inspect(&arguments.file, arguments.keys, &mut out) {
        Ok(0) => Ok(Exit::Clean),
        Ok(_) => Ok(Exit::Failed),
        Err(InspectError::Output(error)) => Err(CannotRun::Output(error)),
        Err(error) => Err(CannotRun::Inspect { path: arguments.file.clone(), error }),
    }
}
