//! Reading keys and ranges of one key space, a bounded number of bytes at a time.
//!
//! What a query answers cannot be cut short without losing the connection, so no query may answer much more
//! than a page: it is asked for a bounded number of rows, each with the length of its value but with the
//! value itself only up to a size that bounds the whole. A page then knows its end, and the larger values
//! in it are asked for once more, by key.
//!
//! Deliberately unknown: transactions; the caller asks inside of one.

use std::collections::HashMap;

use bytes::Bytes;
use nimbus_namespace::{Direction, Entry, EntryPage, KeyRange, PAGE_BYTES, PageBound, Space, StorageError};
use nimbus_sql::{Failure, Lease};
use sqlx::mysql::MySqlRow;

use crate::commit::push_key_digest;
use crate::error::Outcome;
use crate::session::Server;
use crate::statements::{
    Answered, DatabaseName, Statements, ask_in_transaction, bytes, column, literal, push, push_literal,
};
use crate::tables::SpaceTables;

/// Most rows that one query along a range answers.
const MOST_ROWS: usize = 1000;
/// Most keys that one query asks for: beyond, the server may prefer reading the whole table.
const MOST_KEYS: usize = 500;
/// Most bytes of keys in one query, unless it is one key; each byte is two digits.
const MOST_KEY_BYTES: usize = 512 << 10;
/// Most bytes of values that one query answers before the length of each is known.
const UNKNOWN_BYTES: usize = 2 * PAGE_BYTES;

/// One key space as a snapshot sees it.
pub(crate) struct View<'v> {
    pub(crate) lease: &'v mut Lease<Server>,
    pub(crate) database: &'v DatabaseName,
    pub(crate) space: Space,
    /// Whether there may be rows in the long table.
    pub(crate) long_keys: bool,
}

/// A row whose value may have been left out.
struct Found {
    key: Bytes,
    value_bytes: usize,
    value: Option<Bytes>,
}

impl View<'_> {
    /// The value of one key.
    pub(crate) async fn get(&mut self, key: &[u8]) -> Outcome<Option<Bytes>> {
        let is_long = SpaceTables::is_long(key);
        if is_long && !self.long_keys {
            return Ok(None);
        }
        let mut statement = String::new();
        // The constant stands first because sqlx takes a row that begins with a value of 16 MiB or more
        // for the end of the rows: both begin with the byte 0xFE.
        self.push_selection(&mut statement, is_long, "1", "{value}");
        push_where(&mut statement, is_long, [key]);
        let answered = ask_in_transaction(self.lease, Statements::one(statement)).await?;
        answered.first().and_then(|selected| selected.rows.first()).map(|row| bytes(row, 1)).transpose()
    }

    /// The values of the first keys, up to the one that reaches the bytes of a page.
    pub(crate) async fn get_many(&mut self, keys: &[Bytes]) -> Outcome<Vec<Option<Bytes>>> {
        let mut bound = PageBound::new(keys.len());
        let mut values = Vec::new();
        let mut left = keys;
        while !left.is_empty() && !bound.is_reached() {
            let (asked, later) = left.split_at(keys_in_query(left.iter()));
            left = later;
            let found = self.look_up(asked, UNKNOWN_BYTES / asked.len()).await?;
            let mut taken: Vec<Option<Found>> = Vec::new();
            for key in asked {
                if bound.is_reached() {
                    break;
                }
                let row = found.get(key).map(|(value_bytes, value)| Found {
                    key: key.clone(),
                    value_bytes: *value_bytes,
                    value: value.clone(),
                });
                bound.count(row.as_ref().map_or(0, |row| row.value_bytes));
                taken.push(row);
            }
            self.fill(taken.iter_mut().flatten()).await?;
            values.extend(taken.into_iter().map(|row| row.and_then(|row| row.value)));
        }
        Ok(values)
    }

    /// The next entries of `range`.
    pub(crate) async fn scan(
        &mut self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Outcome<EntryPage> {
        let mut bound = PageBound::new(limit);
        let mut taken: Vec<Found> = Vec::new();
        let mut more = false;
        while !more {
            // One row beyond the page tells whether there is more.
            let rows_asked = (limit - taken.len()).saturating_add(1).min(MOST_ROWS);
            let rows = self.look_along(range, taken.last(), direction, rows_asked).await?;
            let is_end = rows.len() < rows_asked;
            for row in rows {
                if bound.is_reached() {
                    more = true;
                    break;
                }
                bound.count(row.key.len() + row.value_bytes);
                taken.push(row);
            }
            if is_end {
                break;
            }
        }
        self.fill(taken.iter_mut()).await?;
        let entries =
            taken.into_iter().map(|Found { key, value, .. }| Entry { key, value: value.unwrap_or_default() });
        Ok(EntryPage { entries: entries.collect(), more })
    }

    /// The next rows of `range` after `last`: of the short and the long table each, then the nearest of both.
    async fn look_along(
        &mut self,
        range: &KeyRange,
        last: Option<&Found>,
        direction: Direction,
        rows_asked: usize,
    ) -> Outcome<Vec<Found>> {
        let mut conditions = Vec::new();
        match (direction, last) {
            (Direction::Forward, Some(last)) => conditions.push(format!("`key`>{}", literal(&last.key))),
            _ if !range.start.is_empty() => conditions.push(format!("`key`>={}", literal(&range.start))),
            _ => {}
        }
        match (direction, last, &range.end) {
            (Direction::Backward, Some(last), _) => conditions.push(format!("`key`<{}", literal(&last.key))),
            (_, _, Some(end)) => conditions.push(format!("`key`<{}", literal(end))),
            _ => {}
        }
        let condition = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        let order = if direction == Direction::Forward { "" } else { " DESC" };
        let included = Included::up_to(UNKNOWN_BYTES / rows_asked);
        let mut statements = Statements::default();
        for is_long in self.tables_to_ask() {
            let text = statements.begin();
            // Sorting rows of the long table with their values would take too much memory.
            let included = if is_long { Included::nothing() } else { included.clone() };
            self.push_selection(text, is_long, "`key`", &included.0);
            push(text, format_args!("{condition} ORDER BY `key`{order} LIMIT {rows_asked}"));
        }
        let mut rows = read_rows(&ask_in_transaction(self.lease, statements).await?)?;
        if self.long_keys {
            rows.sort_by(|one, other| one.key.cmp(&other.key));
            if direction == Direction::Backward {
                rows.reverse();
            }
            rows.truncate(rows_asked);
        }
        Ok(rows)
    }

    /// The rows of `keys` with the values of up to `included_bytes`.
    async fn look_up(
        &mut self,
        keys: &[Bytes],
        included_bytes: usize,
    ) -> Outcome<HashMap<Bytes, (usize, Option<Bytes>)>> {
        let rows = self.select_keys(keys.iter(), &Included::up_to(included_bytes)).await?;
        Ok(rows.into_iter().map(|row| (row.key, (row.value_bytes, row.value))).collect())
    }

    /// Asks for the values that were left out of `rows`, which are no more than a page.
    async fn fill<'r>(&mut self, rows: impl Iterator<Item = &'r mut Found>) -> Outcome<()> {
        let mut without: Vec<&mut Found> = rows.filter(|row| row.value.is_none()).collect();
        let mut values = HashMap::new();
        let mut left = without.as_slice();
        while !left.is_empty() {
            let (asked, later) = left.split_at(keys_in_query(left.iter().map(|row| &row.key)));
            left = later;
            let keys = asked.iter().map(|row| &row.key);
            let rows = self.select_keys(keys, &Included::everything()).await?;
            values.extend(rows.into_iter().filter_map(|row| Some((row.key, row.value?))));
        }
        for row in &mut without {
            row.value = values.get(&row.key).cloned();
            if row.value.is_none() {
                return Err(Failure::Refused(StorageError::Corruption(
                    "a row is found by its range and not by its key".into(),
                )));
            }
        }
        Ok(())
    }

    async fn select_keys(
        &mut self,
        keys: impl Iterator<Item = &Bytes>,
        included: &Included,
    ) -> Outcome<Vec<Found>> {
        let (long, short): (Vec<&[u8]>, Vec<&[u8]>) =
            keys.map(Bytes::as_ref).partition(|key| SpaceTables::is_long(key));
        let mut statements = Statements::default();
        for (is_long, keys) in [(false, short), (true, long)] {
            if !keys.is_empty() && (self.long_keys || !is_long) {
                let text = statements.begin();
                self.push_selection(text, is_long, "`key`", &included.0);
                push_where(text, is_long, keys);
            }
        }
        if statements.count() == 0 {
            return Ok(Vec::new());
        }
        read_rows(&ask_in_transaction(self.lease, statements).await?)
    }

    /// Whether to ask the short and the long table, and in which order.
    fn tables_to_ask(&self) -> impl Iterator<Item = bool> + use<> {
        [false, true].into_iter().take(if self.long_keys { 2 } else { 1 })
    }

    /// `SELECT first,columns FROM table`, where `{value}` stands for the column of the value.
    fn push_selection(&self, text: &mut String, is_long: bool, first: &str, columns: &str) {
        let SpaceTables { short, long, value, .. } = SpaceTables::of(self.space);
        let columns = columns.replace("{value}", &format!("`{value}`"));
        let table = if is_long { long } else { short };
        push(text, format_args!("SELECT {first},{columns} FROM {}.{table}", self.database));
    }
}

/// `WHERE` the row is of one of `keys`.
fn push_where<'k>(text: &mut String, is_long: bool, keys: impl IntoIterator<Item = &'k [u8]>) {
    text.push_str(if is_long { " WHERE key_digest IN (" } else { " WHERE `key` IN (" });
    for (at, key) in keys.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        if is_long {
            push_key_digest(text, key);
        } else {
            push_literal(text, key);
        }
    }
    text.push(')');
}

/// How many of `keys` one query asks for.
fn keys_in_query<'k>(keys: impl Iterator<Item = &'k Bytes>) -> usize {
    let mut key_bytes = 0;
    let fitting = keys.take(MOST_KEYS).take_while(|key| {
        key_bytes += key.len();
        key_bytes <= MOST_KEY_BYTES
    });
    fitting.count().max(1)
}

/// Which values a query answers beside their lengths: columns, with `{value}` for the value's.
#[derive(Clone)]
struct Included(String);

impl Included {
    fn up_to(most_bytes: usize) -> Self {
        Self(format!("LENGTH({{value}}),IF(LENGTH({{value}})<={most_bytes},{{value}},NULL)"))
    }

    fn nothing() -> Self {
        Self("LENGTH({value}),NULL".into())
    }

    fn everything() -> Self {
        Self("LENGTH({value}),{value}".into())
    }
}

fn read_rows(answered: &[Answered]) -> Outcome<Vec<Found>> {
    answered.iter().flat_map(|selected| &selected.rows).map(read_row).collect()
}

fn read_row(row: &MySqlRow) -> Outcome<Found> {
    let value_bytes: i64 = column(row, 1)?;
    Ok(Found {
        key: bytes(row, 0)?,
        value_bytes: usize::try_from(value_bytes).unwrap_or_default(),
        value: column::<Option<&[u8]>>(row, 2)?.map(Bytes::copy_from_slice),
    })
}
