//! Crash safety of the native log store: a process that commits in a loop is killed, over and over.

use std::path::Path;

use nimbus_log::{LogOptions, LogProvider};
use nimbus_namespace::{Result, crash_suite};

fn open(directory: &Path) -> Result<LogProvider> {
    LogProvider::open(directory, LogOptions::default())
}

crash_suite!(open);
