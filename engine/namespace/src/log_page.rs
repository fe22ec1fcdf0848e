//! One page of the commit log, held to being whole.
//!
//! Promises: the records follow `after` without a gap, each decoded and of its own sequence; what is
//! missing is corruption, not a shorter page. Deliberately unknown: where the rows come from.

use bytes::Bytes;
use nimbus_types::Sequence;

use crate::change::CommitRecord;
use crate::contract::Head;
use crate::error::{Result, StorageError};
use crate::page::PageBound;

/// A page being filled; see [`Namespace::read_log`](crate::Namespace::read_log).
#[derive(Debug)]
pub struct LogPage {
    last: Sequence,
    wanted: u64,
    bound: PageBound,
    records: Vec<CommitRecord>,
}

impl LogPage {
    /// A page of at most `limit` records after `after`, of a log that stands at `head`.
    pub fn begin(head: &Head, after: Sequence, limit: usize) -> Result<Self> {
        if after.0.saturating_add(1) < head.log_start.0 {
            return Err(StorageError::Trimmed { log_start: head.log_start });
        }
        let wanted = head.sequence.0.saturating_sub(after.0).min(limit as u64);
        let bound = PageBound::new(usize::try_from(wanted).unwrap_or(usize::MAX));
        Ok(Self { last: after, wanted, bound, records: Vec::new() })
    }

    /// How many more rows to ask for, those after [`LogPage::last`] in ascending order.
    pub fn wanted(&self) -> u64 {
        if self.bound.is_reached() { 0 } else { self.wanted - self.records.len() as u64 }
    }

    /// The sequence of the newest record taken, at first the one the page begins after.
    pub fn last(&self) -> Sequence {
        self.last
    }

    /// Takes the next row's record. Whether the page takes another.
    pub fn take(&mut self, stored: &Bytes) -> Result<bool> {
        self.take_sized(CommitRecord::decode(stored)?, stored.len())
    }

    /// Takes the next record of a store that keeps records in a form of its own. Whether the page takes another.
    pub fn take_record(&mut self, record: CommitRecord) -> Result<bool> {
        let bytes = record.encoded_bytes();
        self.take_sized(record, bytes)
    }

    fn take_sized(&mut self, record: CommitRecord, bytes: usize) -> Result<bool> {
        if record.sequence != self.last.next() {
            return Err(self.missing());
        }
        self.last = record.sequence;
        self.bound.count(bytes);
        self.records.push(record);
        Ok(self.wanted() > 0)
    }

    /// The records, once there are no more rows or the page takes no more.
    pub fn finish(self) -> Result<Vec<CommitRecord>> {
        if self.wanted() > 0 {
            return Err(self.missing());
        }
        Ok(self.records)
    }

    fn missing(&self) -> StorageError {
        StorageError::Corruption(format!("the log has no record {}", self.last.next()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Space;
    use crate::conformance::builder::{CommitBuilder, put};
    use crate::page::PAGE_BYTES;

    fn log(count: u8, value_bytes: usize) -> (Head, Vec<Bytes>) {
        let mut builder = CommitBuilder::new();
        for n in 0..count {
            builder.commit(vec![put(Space::Documents, [n], vec![n; value_bytes])]);
        }
        (builder.head().clone(), builder.log().iter().map(|record| record.encode().into()).collect())
    }

    fn fill(mut page: LogPage, rows: &[Bytes]) -> Result<Vec<u64>> {
        for row in rows {
            if page.wanted() == 0 || !page.take(row)? {
                break;
            }
        }
        Ok(page.finish()?.iter().map(|record| record.sequence.0).collect())
    }

    #[test]
    fn a_page_holds_what_was_asked_for() {
        let (head, rows) = log(4, 1);
        let page = |after, limit| {
            fill(LogPage::begin(&head, Sequence(after), limit).unwrap(), &rows[after as usize..])
        };
        assert_eq!(page(0, 2).unwrap(), [1, 2]);
        assert_eq!(page(2, 100).unwrap(), [3, 4]);
        assert_eq!(page(4, 100).unwrap(), [0; 0]);
        assert_eq!(page(1, 0).unwrap(), [0; 0]);
    }

    #[test]
    fn a_page_ends_by_its_bytes() {
        let (head, rows) = log(4, PAGE_BYTES / 2);
        assert_eq!(fill(LogPage::begin(&head, Sequence(0), 9).unwrap(), &rows).unwrap(), [1, 2]);
    }

    #[test]
    fn what_is_missing_or_trimmed_is_told() {
        let (mut head, rows) = log(4, 1);
        let begin = |head: &Head, after| LogPage::begin(head, Sequence(after), 9);
        let gap = [rows[0].clone(), rows[2].clone()];
        let error = fill(begin(&head, 0).unwrap(), &gap).unwrap_err().to_string();
        assert!(error.ends_with("no record 2"), "{error}");
        let error = fill(begin(&head, 0).unwrap(), &rows[..3]).unwrap_err().to_string();
        assert!(error.ends_with("no record 4"), "{error}");
        head.log_start = Sequence(3);
        assert!(matches!(begin(&head, 1), Err(StorageError::Trimmed { log_start: Sequence(3) })));
        assert!(begin(&head, 2).is_ok());
    }
}
