//! The SQL of one namespace's reads and writes, made once for each open namespace.
//!
//! Promises: names of schemas are quoted, everything else is fixed text or a parameter, so that each
//! connection prepares a statement once. Keys compare as unsigned bytes, which is the order of `bytea`.

use std::sync::Arc;

use nimbus_namespace::{Direction, PAGE_BYTES, Space};

use crate::metadata::quoted;
use crate::tables::{HEAD_COLUMNS, table};

/// Whether a statement looks into the tables of long keys too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    Short,
    WithLong,
}

impl Keys {
    pub(crate) fn of(with_long: bool) -> Self {
        if with_long { Self::WithLong } else { Self::Short }
    }
}

/// The statements of one namespace.
pub(crate) struct Statements {
    schema: String,
    /// Begins a snapshot's transaction and reads the head, in one message without parameters.
    pub(crate) begin_snapshot: Arc<str>,
    /// → the head, `format_version`, `tenant`.
    pub(crate) head: Arc<str>,
    /// `$1` after, `$2` limit → the head's sequence, `log_start` and fence, record, until a page is full; one
    /// row without a record if there is none.
    pub(crate) read_log: Arc<str>,
    /// `$1` before, `$2` rows at most → one row if it moved the beginning of the log.
    pub(crate) trim_log: Arc<str>,
    pub(crate) raise_fence: Arc<str>,
    /// `$1` sequence → the head's sequence, fence and `log_start`, and the writer of the log's row if there
    /// is one.
    pub(crate) outcome: Arc<str>,
    /// `$1` after, `$2` limit → sequence, `time_ms`, record.
    pub(crate) check_log: Arc<str>,
    commit: [Arc<str>; 2],
    get: [[Arc<str>; 2]; 3],
    get_many: [[Arc<str>; 2]; 3],
    /// Eight of each space.
    scan: [Vec<Arc<str>>; 3],
}

impl Statements {
    pub(crate) fn new(schema: &str) -> Self {
        let schema = quoted(schema);
        let per_space = |make: &dyn Fn(Space, Keys) -> String| {
            let both = |space| [Keys::Short, Keys::WithLong].map(|keys| Arc::from(make(space, keys)));
            Space::ALL.map(both)
        };
        Self {
            begin_snapshot: format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT {HEAD_COLUMNS} FROM {schema}.head"
            )
            .into(),
            head: format!("SELECT {HEAD_COLUMNS}, format_version, tenant FROM {schema}.head").into(),
            read_log: read_log(&schema),
            trim_log: trim_log(&schema),
            raise_fence: format!("UPDATE {schema}.head SET fence = fence + 1").into(),
            // One statement, so that no trim comes between the head and the row.
            outcome: format!(
                "SELECT head.sequence, fence, log_start, writer FROM {schema}.head \
                 LEFT JOIN {schema}.commit_log ON commit_log.sequence = $1"
            )
            .into(),
            check_log: format!(
                "SELECT sequence, time_ms, record FROM (\
                     SELECT sequence, time_ms, record, sum(octet_length(record)) OVER ({ROWS_BEFORE}) AS bytes_before \
                     FROM (SELECT * FROM {schema}.commit_log WHERE sequence > $1 ORDER BY sequence LIMIT $2) AS rows \
                     WINDOW walk AS (ORDER BY sequence)\
                 ) AS page WHERE coalesce(bytes_before, 0) < {PAGE_BYTES} ORDER BY sequence"
            )
            .into(),
            commit: [commit(&schema, Keys::Short).into(), commit(&schema, Keys::WithLong).into()],
            get: per_space(&|space, keys| get(&schema, space, keys)),
            get_many: per_space(&|space, keys| get_many(&schema, space, keys)),
            scan: Space::ALL.map(|space| scans(&schema, space).map(Arc::from).collect()),
            schema,
        }
    }

    /// The schema's name, quoted.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// `$1` expected sequence, `$2` fence, `$3` sequence, `$4` time, `$5` digest; of the log's rows `$6`
    /// sequences, `$7` times, `$8` records, `$9` the writer; then for each space `$n` keys and `$n+1` values
    /// that are set and `$n+2` keys that are removed, from 10 on, and with long keys the same again for
    /// those from 19 on → `log_start` if it was done.
    pub(crate) fn commit(&self, keys: Keys) -> Arc<str> {
        Arc::clone(&self.commit[keys as usize])
    }

    /// `$1` key → value; with long keys, only among those.
    pub(crate) fn get(&self, space: Space, keys: Keys) -> Arc<str> {
        Arc::clone(&self.get[usize::from(space.tag())][keys as usize])
    }

    /// `$1` keys → for each, in their order and until a page is full, its value or null.
    pub(crate) fn get_many(&self, space: Space, keys: Keys) -> Arc<str> {
        Arc::clone(&self.get_many[usize::from(space.tag())][keys as usize])
    }

    /// `$1` first key, `$2` limit and, when the range has an end, `$3` that end → key, value, whether there
    /// is a row after it; until a page is full.
    pub(crate) fn scan(&self, space: Space, keys: Keys, direction: Direction, has_end: bool) -> Arc<str> {
        let backward = direction == Direction::Backward;
        let at = keys as usize * 4 + usize::from(backward) * 2 + usize::from(has_end);
        Arc::clone(&self.scan[usize::from(space.tag())][at])
    }
}

/// The rows of a page before the one looked at, in the order of the window `walk`. Adding up their bytes on
/// the server keeps what travels, and what the client holds, to a page; sizes of large values are known
/// without reading them.
const ROWS_BEFORE: &str = "walk ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING";

fn read_log(schema: &str) -> Arc<str> {
    // One statement, so that no trim comes between the head and the rows.
    format!(
        "SELECT head.sequence, log_start, fence, record FROM {schema}.head LEFT JOIN (\
             SELECT rows.sequence AS record_sequence, record, sum(octet_length(record)) OVER ({ROWS_BEFORE}) AS bytes_before \
             FROM (SELECT * FROM {schema}.commit_log WHERE sequence > $1 ORDER BY sequence LIMIT $2) AS rows \
             WINDOW walk AS (ORDER BY rows.sequence)\
         ) AS page ON coalesce(bytes_before, 0) < {PAGE_BYTES} ORDER BY record_sequence"
    )
    .into()
}

fn trim_log(schema: &str) -> Arc<str> {
    format!(
        "WITH moved AS (\
             UPDATE {schema}.head SET log_start = least($1, sequence + 1, log_start + $2) \
             WHERE log_start < least($1, sequence + 1) RETURNING log_start\
         ), forgotten AS (\
             DELETE FROM {schema}.commit_log WHERE sequence < (SELECT log_start FROM moved)\
         ) SELECT log_start FROM moved"
    )
    .into()
}

/// The whole commit: the head's row first, then everything else only if that was moved.
fn commit(schema: &str, keys: Keys) -> String {
    let long_keys = if keys == Keys::WithLong { ", long_keys = true" } else { "" };
    let mut arms = vec![
        format!(
            "moved AS (UPDATE {schema}.head SET sequence = $3, time_ms = $4, digest = $5{long_keys} \
             WHERE sequence = $1 AND fence = $2 RETURNING log_start)"
        ),
        format!(
            "appended AS (INSERT INTO {schema}.commit_log (sequence, time_ms, writer, record) \
             SELECT sequence, time_ms, $9, record \
             FROM unnest($6::bigint[], $7::bigint[], $8::bytea[]) AS rows (sequence, time_ms, record) \
             WHERE EXISTS (SELECT FROM moved))"
        ),
    ];
    let mut parameter = 10;
    for space in Space::ALL {
        arms.extend(space_arms(schema, space, parameter));
        parameter += 3;
    }
    if keys == Keys::WithLong {
        for space in Space::ALL {
            arms.extend(long_arms(schema, space, parameter));
            parameter += 3;
        }
    }
    format!("WITH {} SELECT log_start FROM moved", arms.join(", "))
}

/// Sets and removes keys of one space, from `parameter` on.
fn space_arms(schema: &str, space: Space, parameter: usize) -> [String; 2] {
    let (name, column) = table(space);
    let (keys, values, removals) = (parameter, parameter + 1, parameter + 2);
    [
        format!(
            "{name}_set AS (INSERT INTO {schema}.{name} (key, {column}) SELECT key, value \
             FROM unnest(${keys}::bytea[], ${values}::bytea[]) AS rows (key, value) \
             WHERE EXISTS (SELECT FROM moved) \
             ON CONFLICT (key) DO UPDATE SET {column} = excluded.{column})"
        ),
        format!(
            "{name}_removed AS (DELETE FROM {schema}.{name} \
             WHERE key = ANY (${removals}::bytea[]) AND EXISTS (SELECT FROM moved))"
        ),
    ]
}

/// The same for long keys.
fn long_arms(schema: &str, space: Space, parameter: usize) -> [String; 2] {
    let (name, column) = table(space);
    let (keys, values, removals) = (parameter, parameter + 1, parameter + 2);
    [
        format!(
            "{name}_long_set AS (INSERT INTO {schema}.{name}_long (key_digest, key, {column}) \
             SELECT sha256(key), key, value \
             FROM unnest(${keys}::bytea[], ${values}::bytea[]) AS rows (key, value) \
             WHERE EXISTS (SELECT FROM moved) \
             ON CONFLICT (key_digest) DO UPDATE SET {column} = excluded.{column})"
        ),
        format!(
            "{name}_long_removed AS (DELETE FROM {schema}.{name}_long \
             WHERE key_digest = ANY (ARRAY(SELECT sha256(key) FROM unnest(${removals}::bytea[]) AS rows (key))) \
             AND EXISTS (SELECT FROM moved))"
        ),
    ]
}

fn get(schema: &str, space: Space, keys: Keys) -> String {
    let (name, column) = table(space);
    match keys {
        Keys::Short => format!("SELECT {column} FROM {schema}.{name} WHERE key = $1"),
        Keys::WithLong => format!("SELECT {column} FROM {schema}.{name}_long WHERE key_digest = sha256($1)"),
    }
}

fn get_many(schema: &str, space: Space, keys: Keys) -> String {
    let (name, column) = table(space);
    let long = match keys {
        Keys::Short => String::new(),
        Keys::WithLong => format!(
            " UNION ALL SELECT {column} AS value FROM {schema}.{name}_long WHERE key_digest = sha256(asked.key)"
        ),
    };
    // The LIMIT within keeps the planner from reading the whole table at once for many keys.
    format!(
        "SELECT value FROM (\
             SELECT place, value, sum(octet_length(value)) OVER ({ROWS_BEFORE}) AS bytes_before \
             FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (key, place) \
             LEFT JOIN LATERAL (\
                 SELECT {column} AS value FROM {schema}.{name} WHERE key = asked.key{long} LIMIT 1\
             ) AS found ON true WINDOW walk AS (ORDER BY place)\
         ) AS page WHERE coalesce(bytes_before, 0) < {PAGE_BYTES} ORDER BY place"
    )
}

/// The eight scans of a space, in the order [`Statements::scan`] looks them up.
fn scans(schema: &str, space: Space) -> impl Iterator<Item = String> {
    [Keys::Short, Keys::WithLong].into_iter().flat_map(move |keys| {
        [Direction::Forward, Direction::Backward].into_iter().flat_map(move |direction| {
            [false, true].map(|has_end| scan(schema, space, keys, direction, has_end))
        })
    })
}

fn scan(schema: &str, space: Space, keys: Keys, direction: Direction, has_end: bool) -> String {
    let (name, column) = table(space);
    let order = if direction == Direction::Forward { "ASC" } else { "DESC" };
    let end = if has_end { " AND key < $3" } else { "" };
    let short = format!(
        "SELECT key, {column} AS value FROM {schema}.{name} \
         WHERE key >= $1{end} ORDER BY key {order} LIMIT $2::bigint + 1"
    );
    let rows = match keys {
        Keys::Short => short,
        Keys::WithLong => {
            // The index holds a beginning of the key, which bounds what has to be sorted.
            let part_end = if has_end { " AND substr(key, 1, 1024) <= substr($3, 1, 1024)" } else { "" };
            format!(
                "({short}) UNION ALL (SELECT key, {column} AS value FROM {schema}.{name}_long \
                 WHERE substr(key, 1, 1024) >= substr($1, 1, 1024){part_end} AND key >= $1{end} \
                 ORDER BY substr(key, 1, 1024) {order}, key {order} LIMIT $2::bigint + 1) \
                 ORDER BY key {order} LIMIT $2::bigint + 1"
            )
        }
    };
    format!(
        "SELECT key, value, more FROM (\
             SELECT key, value, lead(true, 1, false) OVER walk AS more, \
                 sum(octet_length(key) + octet_length(value)) OVER ({ROWS_BEFORE}) AS bytes_before \
             FROM ({rows}) AS rows WINDOW walk AS (ORDER BY key {order})\
         ) AS page WHERE coalesce(bytes_before, 0) < {PAGE_BYTES} ORDER BY key {order} LIMIT $2"
    )
}
