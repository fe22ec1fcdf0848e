//! The SQL of every read and write, fixed text so that each connection prepares it once.
//!
//! Promises: nothing is pasted into a statement at run time; keys compare as unsigned bytes, which is
//! SQLite's order of blobs.

use nimbus_namespace::{Direction, Space};

/// Position of the head alone, to recognise a head that is known already.
pub(crate) const HEAD_POSITION: &str = "SELECT sequence, log_start FROM head";
/// The whole head.
pub(crate) const HEAD: &str = "SELECT sequence, time_ms, digest, log_start FROM head";
/// Moves the head.
pub(crate) const SET_HEAD: &str = "UPDATE head SET sequence = ?1, time_ms = ?2, digest = ?3";
/// Moves the beginning of the log.
pub(crate) const SET_LOG_START: &str = "UPDATE head SET log_start = ?1";
/// Appends a record.
pub(crate) const APPEND_RECORD: &str =
    "INSERT INTO commit_log (sequence, time_ms, record) VALUES (?1, ?2, ?3)";
/// Records after one sequence up to another.
pub(crate) const READ_RECORDS: &str = "SELECT record FROM commit_log \
     WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence LIMIT ?3";
/// Every record, for the check.
pub(crate) const ALL_RECORDS: &str = "SELECT sequence, time_ms, record FROM commit_log ORDER BY sequence";
/// Forgets records before a sequence.
pub(crate) const FORGET_RECORDS: &str = "DELETE FROM commit_log WHERE sequence < ?1";

/// The statements of one key space.
pub(crate) struct SpaceStatements {
    /// `?1` key → value.
    pub(crate) get: &'static str,
    /// `?1` key, `?2` value.
    pub(crate) put: &'static str,
    /// `?1` key.
    pub(crate) remove: &'static str,
    forward: &'static str,
    forward_to_end: &'static str,
    backward: &'static str,
    backward_to_end: &'static str,
}

impl SpaceStatements {
    /// `?1` first key, `?2` limit and, when the range has an end, `?3` that end → key, value.
    pub(crate) const fn scan(&self, direction: Direction, has_end: bool) -> &'static str {
        match (direction, has_end) {
            (Direction::Forward, true) => self.forward,
            (Direction::Forward, false) => self.forward_to_end,
            (Direction::Backward, true) => self.backward,
            (Direction::Backward, false) => self.backward_to_end,
        }
    }
}

macro_rules! space_statements {
    ($table:literal, $value:literal) => {
        SpaceStatements {
            get: concat!("SELECT ", $value, " FROM ", $table, " WHERE key = ?1"),
            put: concat!(
                "INSERT INTO ",
                $table,
                " (key, ",
                $value,
                ") VALUES (?1, ?2) ",
                "ON CONFLICT (key) DO UPDATE SET ",
                $value,
                " = excluded.",
                $value
            ),
            remove: concat!("DELETE FROM ", $table, " WHERE key = ?1"),
            forward: concat!(
                "SELECT key, ",
                $value,
                " FROM ",
                $table,
                " WHERE key >= ?1 AND key < ?3 ORDER BY key LIMIT ?2"
            ),
            forward_to_end: concat!(
                "SELECT key, ",
                $value,
                " FROM ",
                $table,
                " WHERE key >= ?1 ORDER BY key LIMIT ?2"
            ),
            backward: concat!(
                "SELECT key, ",
                $value,
                " FROM ",
                $table,
                " WHERE key >= ?1 AND key < ?3 ORDER BY key DESC LIMIT ?2"
            ),
            backward_to_end: concat!(
                "SELECT key, ",
                $value,
                " FROM ",
                $table,
                " WHERE key >= ?1 ORDER BY key DESC LIMIT ?2"
            ),
        }
    };
}

static DOCUMENTS: SpaceStatements = space_statements!("documents", "document");
static INDEX: SpaceStatements = space_statements!("index_entries", "document_key");
static META: SpaceStatements = space_statements!("meta", "value");

/// The statements of `space`.
pub(crate) const fn of(space: Space) -> &'static SpaceStatements {
    match space {
        Space::Documents => &DOCUMENTS,
        Space::Index => &INDEX,
        Space::Meta => &META,
    }
}

/// More than there are statements, so that none is ever prepared twice on a connection.
pub(crate) const CACHE_CAPACITY: usize = 48;
