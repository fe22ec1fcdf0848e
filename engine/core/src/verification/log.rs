//! Whether the log's records follow from each other, from its beginning to the head.
//!
//! Promises: ends whatever the head says, because it stops after [`MOST_FAULTS`]; a damaged record
//! costs one reading of its page record by record, not of all that come after it. Deliberately
//! unknown: what the records change, and whether a record's row is the store's own.

use nimbus_namespace::{CommitRecord, DigestSums, Head, Namespace, StorageError};
use nimbus_types::Sequence;

use super::{LISTED, PAGE};
use crate::error::Result;

/// Faults after which the log is not read on; one more says so.
const MOST_FAULTS: usize = LISTED - 1;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct LogFindings {
    /// How many records were looked at.
    pub(super) records: u64,
    /// Which record is concerned, and what is wrong with it.
    pub(super) faults: Vec<(Sequence, String)>,
}

/// Reads the log from where `head` says it begins up to `head`. Errors are failures to look.
pub(super) async fn check_log(namespace: &dyn Namespace, head: &Head) -> Result<LogFindings> {
    let mut chain = Chain::begin(head);
    let mut page = PAGE;
    while !chain.is_over() {
        tokio::task::yield_now().await;
        match namespace.read_log(Sequence(chain.next.0 - 1), page).await {
            Ok(records) if records.is_empty() => {
                chain.fault(chain.next, format!("the log ends before its head, {}", head.sequence));
                chain.skip_to(head.sequence.next());
            }
            Ok(records) => records.iter().for_each(|record| chain.follow(record)),
            // Trimmed since the head was read: what is left begins later.
            Err(StorageError::Trimmed { log_start }) if log_start > chain.next => chain.skip_to(log_start),
            // Read one by one, a page tells which of its records is the broken one.
            Err(StorageError::Corruption(_)) if page > 1 => page = 1,
            Err(StorageError::Corruption(message)) => {
                chain.fault(chain.next, message);
                chain.skip_to(chain.next.next());
                page = PAGE;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(chain.end())
}

/// How far the log has been followed.
struct Chain<'a> {
    head: &'a Head,
    /// The record that must come next; never 0.
    next: Sequence,
    /// Sums and time after the last record, where they are known.
    before: Option<(DigestSums, u64)>,
    findings: LogFindings,
}

impl<'a> Chain<'a> {
    fn begin(head: &'a Head) -> Self {
        let next = head.log_start.max(Sequence(1));
        // Only the record before the first one can say what state the first one found.
        let before = (next == Sequence(1)).then_some((DigestSums::default(), 0));
        let mut chain = Self { head, next, before, findings: LogFindings::default() };
        if head.log_start == Sequence::ZERO || head.log_start > head.sequence.next() {
            chain.fault(head.log_start, "the log cannot begin where its head says".into());
        }
        chain
    }

    fn is_over(&self) -> bool {
        self.next > self.head.sequence || self.findings.faults.len() >= MOST_FAULTS
    }

    fn fault(&mut self, sequence: Sequence, message: String) {
        self.findings.faults.push((sequence, message));
    }

    fn skip_to(&mut self, next: Sequence) {
        self.next = next;
        self.before = None;
    }

    fn follow(&mut self, record: &CommitRecord) {
        if self.is_over() {
            return;
        }
        if record.sequence != self.next {
            self.fault(self.next, format!("the record is missing; the next is {}", record.sequence));
            self.before = None;
        }
        if record.sequence > self.head.sequence {
            return self.skip_to(self.head.sequence.next());
        }
        self.findings.records += 1;
        if let Some((sums, time_ms)) = self.before {
            if sums != record.previous_sums {
                self.fault(record.sequence, "the digest does not follow from the record before".into());
            }
            if record.time_ms < time_ms {
                self.fault(record.sequence, "the time is before that of the record before".into());
            }
        }
        self.next = record.sequence.next();
        self.before = Some((record.sums, record.time_ms));
    }

    fn end(mut self) -> LogFindings {
        if self.next <= self.head.sequence {
            self.fault(self.next, "the log was not read on from here; more may follow".into());
        } else if let Some((sums, time_ms)) = self.before {
            if sums != self.head.digest.sums() {
                self.fault(self.head.sequence, "the head's digest is not that of the last record".into());
            }
            if time_ms != self.head.time_ms {
                self.fault(self.head.sequence, "the head's time is not that of the last record".into());
            }
        }
        self.findings
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use nimbus_namespace::conformance::{CommitBuilder, put};
    use nimbus_namespace::reference::ReferenceNamespace;
    use nimbus_namespace::{Answer, CommitGroup, PhysicalReport, Snapshot, Space};

    use super::*;

    /// A sound log of which some records cannot be read, nor any after its own end.
    struct Damaged {
        inner: ReferenceNamespace,
        head: Head,
        unreadable: BTreeSet<u64>,
        reads: AtomicUsize,
    }

    impl Damaged {
        async fn new(records: u64, unreadable: impl IntoIterator<Item = u64>) -> Self {
            let mut builder = CommitBuilder::new();
            let group = builder.group((0..records).map(|n| vec![put(Space::Meta, "n", n.to_string())]));
            let inner = ReferenceNamespace::default();
            let head = inner.commit(Sequence::ZERO, group).await.unwrap();
            let unreadable = unreadable.into_iter().collect();
            Self { inner, head, unreadable, reads: AtomicUsize::default() }
        }
    }

    impl Namespace for Damaged {
        fn head(&self) -> Answer<'_, Head> {
            self.inner.head()
        }

        fn snapshot(&self) -> Answer<'_, Box<dyn Snapshot>> {
            self.inner.snapshot()
        }

        fn commit(&self, expected: Sequence, group: Arc<CommitGroup>) -> Answer<'static, Head> {
            self.inner.commit(expected, group)
        }

        fn read_log(&self, after: Sequence, limit: usize) -> Answer<'_, Vec<CommitRecord>> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let page = after.0 + 1..=after.0 + limit as u64;
            if after >= self.head.sequence || self.unreadable.range(page).next().is_some() {
                return Err(StorageError::Corruption("unreadable".into())).into();
            }
            self.inner.read_log(after, limit)
        }

        fn trim_log(&self, before: Sequence) -> Answer<'_, ()> {
            self.inner.trim_log(before)
        }

        fn check(&self) -> Answer<'_, PhysicalReport> {
            self.inner.check()
        }
    }

    #[tokio::test]
    async fn a_damaged_head_does_not_keep_the_check_from_ending() {
        let log = Damaged::new(20, []).await;
        let head = Head {
            sequence: Sequence(9_000_000_000_000_000_000),
            log_start: Sequence(0),
            ..log.head.clone()
        };
        let findings = check_log(&log, &head).await.unwrap();
        assert_eq!((findings.records, findings.faults.len()), (20, LISTED));
        assert_eq!(findings.faults[0].0, Sequence(0));
        assert_eq!(findings.faults[1], (Sequence(21), "unreadable".into()));
        let (_, last) = findings.faults.last().unwrap();
        assert!(last.contains("more may follow"), "{last}");
    }

    #[tokio::test]
    async fn pages_are_whole_again_after_an_unreadable_record() {
        let at = PAGE as u64 + 3;
        let log = Damaged::new(20 * PAGE as u64, [at]).await;
        let findings = check_log(&log, &log.head).await.unwrap();
        assert_eq!(findings.faults, [(Sequence(at), "unreadable".to_owned())]);
        assert_eq!(findings.records, 20 * PAGE as u64 - 1);
        assert!(log.reads.load(Ordering::Relaxed) < 30, "{:?}", log.reads);
    }

    #[tokio::test]
    async fn a_head_that_is_not_the_last_records_is_named() {
        let log = Damaged::new(3, []).await;
        assert_eq!(check_log(&log, &log.head).await.unwrap().faults, []);
        let later = Head { time_ms: 0, digest: nimbus_namespace::StateDigest::default(), ..log.head.clone() };
        assert_eq!(check_log(&log, &later).await.unwrap().faults.len(), 2);
        let earlier = Head { sequence: Sequence(2), ..log.head.clone() };
        assert_eq!(check_log(&log, &earlier).await.unwrap().faults[0].0, Sequence(2));
    }
}
