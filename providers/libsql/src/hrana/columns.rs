//! Columns of a row as the types they were written with; anything else is corruption.

use bytes::Bytes;
use nimbus_namespace::{Result, StorageError};
use nimbus_types::Sequence;

use super::{Row, Value};

/// The columns of one row, taken from left to right.
pub(crate) struct Columns(std::vec::IntoIter<Value>);

impl From<Row> for Columns {
    fn from(row: Row) -> Self {
        Self(row.into_iter())
    }
}

impl Columns {
    pub(crate) fn integer(&mut self) -> Result<i64> {
        match self.0.next() {
            Some(Value::Integer(value)) => Ok(value),
            _ => Err(malformed()),
        }
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64> {
        u64::try_from(self.integer()?).map_err(|_| malformed())
    }

    pub(crate) fn sequence(&mut self) -> Result<Sequence> {
        self.unsigned().map(Sequence)
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        match self.0.next() {
            Some(Value::Text(value)) => Ok(value),
            _ => Err(malformed()),
        }
    }

    pub(crate) fn blob(&mut self) -> Result<Bytes> {
        match self.0.next() {
            Some(Value::Blob(value)) => Ok(value),
            _ => Err(malformed()),
        }
    }
}

fn malformed() -> StorageError {
    StorageError::Corruption("a row on the libSQL primary is malformed".into())
}
