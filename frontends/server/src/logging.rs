//! The server's own log: `tracing` events on stderr.
//!
//! Promises: `RUST_LOG` chooses what is logged, `info` when it is unset or cannot be read; colours only
//! on a terminal, and not when `NO_COLOR` is set (no-color.org). Deliberately unknown: the audit log.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::environment::Environment;

/// Sets the log up for the whole process.
pub(crate) fn set_up(environment: &Environment) {
    let (filter, complaint) = filter(environment);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && environment.value("NO_COLOR").is_none())
        .init();
    if let Some(complaint) = complaint {
        tracing::warn!("RUST_LOG cannot be read, logging at info: {complaint}");
    }
}

fn filter(environment: &Environment) -> (EnvFilter, Option<String>) {
    let default = || EnvFilter::new("info");
    let Some(asked) = environment.value("RUST_LOG") else { return (default(), None) };
    match EnvFilter::try_new(asked.to_string_lossy()) {
        Ok(filter) => (filter, None),
        Err(error) => (default(), Some(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Platform;

    #[test]
    fn a_filter_that_cannot_be_read_falls_back_and_is_told() {
        for (asked, used, complains) in
            [("", "info", false), ("debug", "debug", false), ("nimbus=loud", "info", true)]
        {
            let (filter, complaint) = filter(&Environment::new([("RUST_LOG", asked)], Platform::Xdg));
            assert_eq!((filter.to_string().as_str(), complaint.is_some()), (used, complains));
        }
    }
}
