//! Crash safety of the redb provider: a process that commits in a loop is killed, over and over.

use nimbus_namespace::crash_suite;
use nimbus_redb::RedbProvider;

crash_suite!(RedbProvider::open);
