//! Crash safety of the sqlite provider: a process that commits in a loop is killed, over and over.

use nimbus_namespace::crash_suite;
use nimbus_sqlite::SqliteProvider;

crash_suite!(SqliteProvider::open);
