//! One committer per tenant: leader and followers, no thread of its own.
//!
//! Whoever finds nobody leading leads: it takes all waiting transactions, validates them in order,
//! writes the survivors as one group and answers everybody. Promises: sequences and digests chain
//! without a gap; nobody is answered `Ok` before the group is durable; once begun, a group is carried
//! to its end although every caller may have gone away. Deliberately unknown: what is being written.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use nimbus_io::Clock;
use nimbus_namespace::{CommitGroup, Head, Namespace, StorageError};
use nimbus_types::Sequence;
use parking_lot::Mutex;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};

use super::prepared::Prepared;
use super::window::Window;
use crate::error::{EngineError, Result};
use crate::metrics::Counters;

/// Most transactions in one group.
const GROUP_COMMITS: usize = 1024;
/// Most bytes of keys and values in a group of more than one transaction.
const GROUP_BYTES: usize = 64 << 20;
/// How often a group starts again because another server moved the head, before callers are told.
const HEAD_MOVED_RETRIES: usize = 64;
/// Records read at once when catching up with another server.
const CATCH_UP_PAGE: usize = 256;

/// Where a transaction ended up in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) sequence: Sequence,
    pub(crate) time_ms: u64,
}

struct Request {
    prepared: Prepared,
    staged_bytes: usize,
    reply: oneshot::Sender<Result<Committed>>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Request>,
    leading: bool,
    closed: bool,
}

/// What only the leader changes.
struct Log {
    head: Head,
    window: Window,
}

/// Decides the order of a tenant's commits.
pub(crate) struct Committer {
    namespace: Arc<dyn Namespace>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    queue: Mutex<Queue>,
    log: Mutex<Log>,
    /// Head as readers see it, without the leader's lock.
    known_head: AtomicU64,
    /// Wakes those who wait for what is committed.
    advanced: Notify,
    running: Mutex<RunningCounts>,
    idle: Notify,
    failed: Mutex<Option<StorageError>>,
}

impl Committer {
    pub(crate) fn new(
        namespace: Arc<dyn Namespace>,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
        head: Head,
    ) -> Arc<Self> {
        Arc::new(Self {
            namespace,
            clock,
            counters,
            known_head: AtomicU64::new(head.sequence.0),
            advanced: Notify::new(),
            log: Mutex::new(Log { window: Window::starting_at(head.sequence), head }),
            queue: Mutex::default(),
            running: Mutex::default(),
            idle: Notify::new(),
            failed: Mutex::default(),
        })
    }

    /// Sequence of the newest commit this server knows to be durable.
    pub(crate) fn known_head(&self) -> Sequence {
        Sequence(self.known_head.load(Ordering::Acquire))
    }

    /// Completes at the first commit after the call, or has completed if there was one before it is awaited.
    pub(crate) fn advanced(&self) -> Notified<'_> {
        self.advanced.notified()
    }

    /// The failure after which the storage takes no more commits, if there was one.
    pub(crate) fn failure(&self) -> Option<StorageError> {
        self.failed.lock().clone()
    }

    /// Announces a transaction, so that the window reaches back to its snapshot. Call it before the
    /// snapshot is taken.
    pub(crate) fn begin(self: &Arc<Self>) -> Running {
        let mut running = self.running.lock();
        let from = self.known_head();
        running.add(from);
        Running { committer: self.clone(), from }
    }

    /// Waits for the transaction's place in the log.
    pub(crate) async fn commit(self: &Arc<Self>, prepared: Prepared) -> Result<Committed> {
        let (reply, answer) = oneshot::channel();
        let request = Request { staged_bytes: prepared.staged_bytes(), prepared, reply };
        let lead = {
            let mut queue = self.queue.lock();
            if queue.closed {
                return Err(self.failure().map_or(EngineError::Closing, EngineError::Storage));
            }
            queue.waiting.push(request);
            !std::mem::replace(&mut queue.leading, true)
        };
        if lead {
            // The group starts at once on this thread. What must be waited for goes on in a task of
            // its own, because the caller may be dropped at any await and the group may not.
            let mut leading = Box::pin(self.clone().lead());
            if leading.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                tokio::spawn(leading);
            }
        }
        answer.await.map_err(|_| EngineError::Internal("a commit was abandoned by its leader".into()))?
    }

    /// Refuses new commits and waits until the accepted ones are durable.
    pub(crate) async fn close(&self) {
        self.queue.lock().closed = true;
        loop {
            let idle = self.idle.notified();
            if !self.queue.lock().leading {
                return;
            }
            idle.await;
        }
    }

    async fn lead(self: Arc<Self>) {
        let mut leadership = Leadership { committer: &self, over: false };
        let mut shared = false;
        loop {
            // Those of the last group have been answered just now and may have more to commit. One turn of
            // theirs costs little beside a durable write, and lets all writers share the next one, where
            // they would else take turns in two halves.
            if std::mem::take(&mut shared) {
                tokio::task::yield_now().await;
            }
            let batch = {
                let mut queue = self.queue.lock();
                if queue.waiting.is_empty() {
                    queue.leading = false;
                    leadership.over = true;
                    self.idle.notify_waiters();
                    return;
                }
                let take = group_length(queue.waiting.iter().map(|request| request.staged_bytes));
                queue.waiting.drain(..take).collect::<Vec<_>>()
            };
            shared = batch.len() > 1;
            self.commit_batch(batch).await;
        }
    }

    async fn commit_batch(&self, mut batch: Vec<Request>) {
        for _ in 0..HEAD_MOVED_RETRIES {
            if batch.iter().any(|request| request.prepared.snapshot > self.known_head())
                && let Err(error) = self.catch_up().await
            {
                return refuse_all(batch, &error);
            }
            let (accepted, group, expected) = self.build(batch);
            if group.commits.is_empty() {
                return;
            }
            let group = Arc::new(group);
            match self.namespace.commit(expected, group.clone()).await {
                Ok(head) => return self.publish(head, &group, accepted),
                Err(StorageError::HeadMoved { actual }) if actual < expected => {
                    return refuse_all(accepted, &self.put_back(actual, expected));
                }
                Err(StorageError::HeadMoved { .. }) => {
                    if let Err(error) = self.catch_up().await {
                        return refuse_all(accepted, &error);
                    }
                    batch = accepted;
                }
                Err(error) => {
                    self.counters.count(|cells| &cells.failed_commits_total, accepted.len() as u64);
                    if matches!(error, StorageError::Io(_) | StorageError::Corruption(_)) {
                        *self.failed.lock() = Some(error.clone());
                    }
                    return refuse_all(accepted, &error);
                }
            }
        }
        refuse_all(
            batch,
            &StorageError::Busy("other servers keep moving the head of this tenant's log".into()),
        );
    }

    /// Validates in order, answers those that conflict, and seals the others into one group.
    fn build(&self, batch: Vec<Request>) -> (Vec<Request>, CommitGroup, Sequence) {
        let log = self.log.lock();
        let expected = log.head.sequence;
        let time_ms = self.clock.now_ms().max(log.head.time_ms);
        let mut digest = log.head.digest.clone();
        let mut sums = digest.sums();
        let mut sequence = expected;
        let mut in_group = Window::default();
        let mut commits = Vec::with_capacity(batch.len());
        let mut accepted = Vec::with_capacity(batch.len());
        let mut requests = batch.into_iter();
        while let Some(request) = requests.next() {
            let Prepared { reads, snapshot, .. } = &request.prepared;
            if log.window.conflicts(reads, *snapshot) || in_group.conflicts(reads, expected) {
                self.counters.count(|cells| &cells.write_conflicts_total, 1);
                let _ = request.reply.send(Err(EngineError::WriteConflict));
                continue;
            }
            sequence = sequence.next();
            let commit = request.prepared.seal(sequence, time_ms, sums, &mut digest);
            sums = commit.record.sums;
            if requests.len() > 0 {
                in_group.note(sequence, commit.all_changes());
            }
            commits.push(commit);
            accepted.push(request);
        }
        (accepted, CommitGroup { commits, digest }, expected)
    }

    fn publish(&self, head: Head, group: &CommitGroup, accepted: Vec<Request>) {
        self.counters.count(|cells| &cells.commits_total, group.commits.len() as u64);
        self.counters.count(|cells| &cells.commit_groups_total, 1);
        {
            let mut log = self.log.lock();
            log.window.note_group(group);
            self.advance(&mut log, head);
        }
        for (request, commit) in accepted.into_iter().zip(&group.commits) {
            let committed = Committed { sequence: commit.record.sequence, time_ms: commit.record.time_ms };
            // Whoever has gone away misses the answer, not the commit.
            let _ = request.reply.send(Ok(committed));
        }
        self.advanced.notify_waiters();
    }

    /// Somebody has put the storage back to an earlier state. A commit built on what is known here would not
    /// follow from what the storage holds, so the tenant counts as failed and is opened anew.
    fn put_back(&self, sequence: Sequence, acknowledged: Sequence) -> StorageError {
        tracing::error!(%sequence, %acknowledged, "the storage has been put back to an earlier state");
        let error = StorageError::Unavailable("it has been put back to an earlier state".into());
        *self.failed.lock() = Some(error.clone());
        error
    }

    fn advance(&self, log: &mut Log, head: Head) {
        log.head = head;
        let running = self.running.lock();
        self.known_head.store(log.head.sequence.0, Ordering::Release);
        let oldest = running.oldest().unwrap_or(log.head.sequence);
        log.window.forget(oldest);
    }

    /// Reads what other servers have committed to the same storage.
    async fn catch_up(&self) -> std::result::Result<(), StorageError> {
        let head = self.namespace.head().await?;
        let mut known = self.known_head();
        while known < head.sequence {
            let records = match self.namespace.read_log(known, CATCH_UP_PAGE).await {
                Err(StorageError::Trimmed { .. }) => Vec::new(),
                records => records?,
            };
            let mut log = self.log.lock();
            let before = known;
            for record in &records {
                if record.sequence != known.next() || known == head.sequence {
                    break;
                }
                known = record.sequence;
                log.window.note_foreign(record);
                self.counters.count(|cells| &cells.foreign_commits_total, 1);
            }
            // What does not go on where the window ends cannot be validated against: the records in
            // between are gone, so every running transaction must start again.
            if known == before {
                log.window = Window::starting_at(head.sequence);
                known = head.sequence;
            }
            // Whatever the log's length, the window keeps to its limits.
            log.window.forget(Sequence::ZERO);
        }
        {
            let mut log = self.log.lock();
            if head.sequence > log.head.sequence {
                self.advance(&mut log, head);
            }
        }
        self.advanced.notify_waiters();
        Ok(())
    }
}

/// Held while leading. A leader that panics, or whose runtime ends, must not leave others waiting for
/// it: what waits is refused, and the tenant counts as failed, so that it is opened anew.
struct Leadership<'a> {
    committer: &'a Committer,
    over: bool,
}

impl Drop for Leadership<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let error = StorageError::Unavailable("the tenant's committer has stopped".into());
        *self.committer.failed.lock() = Some(error.clone());
        let waiting = {
            let mut queue = self.committer.queue.lock();
            queue.leading = false;
            queue.closed = true;
            std::mem::take(&mut queue.waiting)
        };
        refuse_all(waiting, &error);
        self.committer.idle.notify_waiters();
    }
}

/// How many of the requests that wait, at least one, make up the next group.
fn group_length(staged_bytes: impl Iterator<Item = usize>) -> usize {
    let mut group_bytes = 0;
    let fitting = staged_bytes.take(GROUP_COMMITS).take_while(|bytes| {
        group_bytes += bytes;
        group_bytes <= GROUP_BYTES
    });
    fitting.count().max(1)
}

fn refuse_all(batch: Vec<Request>, error: &StorageError) {
    for request in batch {
        let _ = request.reply.send(Err(EngineError::Storage(error.clone())));
    }
}

/// A transaction that is running; while it lives, the window reaches back to where it began.
pub(crate) struct Running {
    committer: Arc<Committer>,
    from: Sequence,
}

impl Running {
    /// Whether a snapshot at `sequence`, taken before, may be gone on from: nothing has been committed since.
    pub(crate) fn covers(&self, sequence: Sequence) -> bool {
        sequence >= self.from
    }

    /// Refuses a snapshot at `sequence` that lacks what was durable before it was taken.
    pub(crate) fn check_snapshot(&self, sequence: Sequence) -> Result<()> {
        if self.covers(sequence) { Ok(()) } else { Err(self.committer.put_back(sequence, self.from).into()) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.committer.running.lock().remove(self.from);
    }
}

/// How many transactions run from each place in the log that any runs from, ascending. They begin at
/// ascending places and are few, so that the places need no tree.
#[derive(Default)]
struct RunningCounts(VecDeque<(Sequence, usize)>);

impl RunningCounts {
    /// Counts one in; `from` is never less than before.
    fn add(&mut self, from: Sequence) {
        match self.0.back_mut() {
            Some((newest, count)) if *newest == from => *count += 1,
            _ => self.0.push_back((from, 1)),
        }
    }

    fn remove(&mut self, from: Sequence) {
        if let Ok(at) = self.0.binary_search_by_key(&from, |(from, _)| *from) {
            self.0[at].1 -= 1;
            if self.0[at].1 == 0 {
                self.0.remove(at);
            }
        }
    }

    fn oldest(&self) -> Option<Sequence> {
        self.0.front().map(|(from, _)| *from)
    }
}

#[cfg(test)]
mod tests;
