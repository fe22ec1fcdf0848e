//! The namespace contract on a primary and its replica.
//!
//! Promises: a view is taken after the primary was asked for its head and the replica brought there, so
//! that it shows what other servers have committed; while the primary is away, views show the newest state
//! known here, never one older than what this process has seen of the primary or has acknowledged. A commit
//! is acknowledged after the primary has made it durable and the replica holds it. Deliberately unknown:
//! tenants' names.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nimbus_namespace::remote::carried_task;
use nimbus_namespace::{
    Answer, CommitGroup, CommitRecord, Counter, Head, Namespace, PhysicalReport, Result, Snapshot,
    StorageError,
};
use nimbus_types::Sequence;
use parking_lot::Mutex;

use crate::contact::Advice;
use crate::primary::Primary;
use crate::replica::Replica;
use crate::server::Server;
use crate::snapshot::ReplicaSnapshot;

/// How often a view is tried for; a replica may be replaced between finding and opening it.
const TRIES: usize = 3;

/// The newest commit of a namespace that this process has acknowledged or has brought a replica to; `None`
/// until it has heard of the namespace from the primary. It outlives the handles, because a file in the cache
/// says nothing of what was acknowledged without it, nor whether it is the primary's at all.
#[derive(Default)]
pub(crate) struct Floor(Mutex<Option<Sequence>>);

impl Floor {
    fn get(&self) -> Option<Sequence> {
        *self.0.lock()
    }

    fn raise(&self, to: Sequence) {
        let mut floor = self.0.lock();
        *floor = (*floor).max(Some(to));
    }

    /// The primary itself is behind it.
    fn put_back(&self, to: Sequence) {
        *self.0.lock() = Some(to);
    }
}

/// What all handles of one namespace share.
pub(crate) struct Tenant {
    primary: Primary,
    replica: Replica,
    server: Arc<Server>,
    /// The newest head the primary has told.
    told: Mutex<Head>,
    /// No view is older.
    floor: Arc<Floor>,
    is_probing: AtomicBool,
    /// How many have wanted to ask the primary.
    arrivals: AtomicU64,
    /// Held by whoever asks.
    last_question: tokio::sync::Mutex<Question>,
    commits: AtomicU64,
    groups: AtomicU64,
}

/// A question to the primary, and what came of it.
struct Question {
    /// How many had arrived when it was begun.
    arrivals: u64,
    answer: Result<()>,
}

impl Tenant {
    pub(crate) fn new(primary: Primary, replica: Replica, server: Arc<Server>, floor: Arc<Floor>) -> Self {
        Self {
            primary,
            replica,
            server,
            told: Mutex::new(Head::empty()),
            floor,
            is_probing: AtomicBool::new(false),
            arrivals: AtomicU64::new(0),
            last_question: tokio::sync::Mutex::new(Question { arrivals: 0, answer: Ok(()) }),
            commits: AtomicU64::new(0),
            groups: AtomicU64::new(0),
        }
    }

    /// Brings the replica to where the primary is. `Ok`, too, when the primary is away and there is a
    /// replica to read from, which the primary has confirmed to this process before.
    pub(crate) async fn refresh(self: &Arc<Self>) -> Result<()> {
        let can_do_without = self.floor.get().is_some() && self.replica.position().await?.is_some();
        if can_do_without {
            match self.server.contact.advice() {
                Advice::Ask => {}
                Advice::Probe => {
                    self.probe();
                    return Ok(());
                }
                Advice::DoWithout => return Ok(()),
            }
        }
        match self.ask_together().await {
            // A primary that answers, and refuses, is not away: its commits must not go unseen in silence.
            Err(StorageError::Unavailable(_)) if can_do_without && !self.server.contact.is_reachable() => {
                Ok(())
            }
            result => result,
        }
    }

    /// Asks the primary once for all who wait: whoever arrived before a question was begun is answered by
    /// it. A thousand readers at once are a few requests, which the primary takes, and not a thousand.
    async fn ask_together(self: &Arc<Self>) -> Result<()> {
        let arrival = self.arrivals.fetch_add(1, Ordering::AcqRel) + 1;
        let mut last = self.last_question.lock().await;
        if last.arrivals < arrival {
            let arrivals = self.arrivals.load(Ordering::Acquire);
            let tenant = Arc::clone(self);
            // Carried to its end, because the replica must not be left in the middle of a step.
            let answer = carried_task(async move { tenant.ask().await }).await;
            *last = Question { arrivals, answer };
        }
        last.answer.clone()
    }

    /// Asks the primary in the background, so that no reader waits for one that is away.
    fn probe(self: &Arc<Self>) {
        if self.is_probing.swap(true, Ordering::AcqRel) {
            return;
        }
        let tenant = Arc::clone(self);
        tokio::spawn(async move {
            // What is wrong is known already; the next caller finds out whether it still is.
            let _ = tenant.ask().await;
            tenant.is_probing.store(false, Ordering::Release);
        });
    }

    /// Asks the primary for its head and brings the replica there.
    async fn ask(&self) -> Result<()> {
        let position = self.replica.position().await?;
        let asked = position.as_ref().map(|head| head.sequence);
        let result = match self.primary.news(asked.unwrap_or_default()).await {
            Ok(news) => {
                let told = self.note(&news.head);
                if asked.is_some_and(|asked| asked > told.sequence) {
                    // Only a primary that was put back to an earlier state is behind one of its replicas.
                    tracing::error!(namespace = %self.primary.name(), "the libSQL primary has lost commits");
                    self.floor.put_back(told.sequence);
                }
                let brought = match position {
                    Some(at)
                        if (at.sequence, at.time_ms, &at.digest)
                            == (told.sequence, told.time_ms, &told.digest) =>
                    {
                        Ok(())
                    }
                    _ => self.replica.catch_up(&self.primary, asked, news).await,
                };
                brought.inspect(|()| self.floor.raise(told.sequence))
            }
            Err(error) => Err(error),
        };
        if matches!(result, Err(StorageError::NotFound)) {
            self.replica.remove().await?;
        }
        result
    }

    /// Remembers what the primary told, and answers it.
    fn note(&self, head: &Head) -> Head {
        let mut told = self.told.lock();
        let log_start = told.log_start.max(head.log_start);
        *told = Head { log_start, ..head.clone() };
        head.clone()
    }

    async fn view(self: &Arc<Self>) -> Result<ReplicaSnapshot> {
        let mut tries = 1;
        loop {
            self.refresh().await?;
            let log_start = self.told.lock().log_start;
            // Read before the view is taken: what is raised after that need not be in it.
            let floor = self.floor.get();
            let error = match self.replica.snapshot(log_start).await {
                Ok(view) if Some(view.head().sequence) >= floor => {
                    return Ok(view);
                }
                Ok(_) => StorageError::Unavailable(
                    "the replica lacks acknowledged commits, and the libSQL primary cannot be reached".into(),
                ),
                Err(error) => error,
            };
            if tries == TRIES {
                return Err(error);
            }
            tries += 1;
        }
    }

    async fn commit(&self, expected: Sequence, group: &Arc<CommitGroup>) -> Result<Head> {
        if !self.server.contact.is_reachable() {
            // A short question first: a commit whose answer is lost takes long to settle.
            self.primary.head().await?;
        }
        let head = self.primary.commit(expected, group).await?;
        self.note(&head);
        self.commits.fetch_add(group.commits.len() as u64, Ordering::Relaxed);
        self.groups.fetch_add(1, Ordering::Relaxed);
        let applied = self.replica.apply_own(&self.primary, expected, group, &head).await;
        self.floor.raise(head.sequence);
        if let Err(error) = applied {
            // The commit stands. No view is answered before the replica has been brought there.
            tracing::warn!(namespace = %self.primary.name(), %error, "a replica lags behind a commit");
        }
        Ok(head)
    }

    async fn read_log(&self, after: Sequence, limit: usize) -> Result<Vec<CommitRecord>> {
        self.primary.read_log(after, limit).await
    }

    async fn trim_log(&self, before: Sequence) -> Result<()> {
        self.primary.trim_log(before).await?;
        self.note(&self.primary.head().await?);
        self.replica.trim_log(before).await
    }

    async fn check(&self) -> Result<PhysicalReport> {
        let mut report = PhysicalReport::default();
        let replica = self.replica.check().await?;
        let head = self.primary.check(&mut report).await?;
        let Some((of_replica, at)) = replica else { return Ok(report) };
        for fault in of_replica.faults {
            report.add(&format!("replica: {}", fault.location), fault.message);
        }
        if at.sequence == head.sequence && at.digest != head.digest {
            report.add("replica: head", "its digest is not the primary's");
        }
        Ok(report)
    }

    fn counters(&self) -> Vec<Counter> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let figure = |name, value: u64| Counter { name, value: value as f64 };
        let traffic = self.primary.traffic();
        vec![
            figure("commits_total", count(&self.commits)),
            figure("groups_total", count(&self.groups)),
            figure("round_trips_total", count(&traffic.round_trips)),
            figure("statements_total", count(&traffic.statements)),
            figure("replica_sequence", self.replica.sequence().0),
            figure("primary_sequence", self.told.lock().sequence.0),
            figure("replica_rebuilds_total", self.replica.rebuilds()),
            figure("primary_reachable", u64::from(self.server.contact.is_reachable())),
        ]
    }
}

/// A handle of a tenant.
pub(crate) struct LibsqlNamespace {
    tenant: Arc<Tenant>,
}

impl LibsqlNamespace {
    pub(crate) fn new(tenant: Arc<Tenant>) -> Self {
        Self { tenant }
    }
}

impl Namespace for LibsqlNamespace {
    fn head(&self) -> Answer<'_, Head> {
        Answer::waiting(async { Ok(self.tenant.view().await?.head().clone()) })
    }

    fn snapshot(&self) -> Answer<'_, Box<dyn Snapshot>> {
        Answer::waiting(async { Ok(Box::new(self.tenant.view().await?) as Box<dyn Snapshot>) })
    }

    fn commit(&self, expected: Sequence, group: Arc<CommitGroup>) -> Answer<'static, Head> {
        let tenant = Arc::clone(&self.tenant);
        carried_task(async move { tenant.commit(expected, &group).await })
    }

    fn read_log(&self, after: Sequence, limit: usize) -> Answer<'_, Vec<CommitRecord>> {
        Answer::waiting(self.tenant.read_log(after, limit))
    }

    fn trim_log(&self, before: Sequence) -> Answer<'_, ()> {
        let tenant = Arc::clone(&self.tenant);
        carried_task(async move { tenant.trim_log(before).await })
    }

    fn check(&self) -> Answer<'_, PhysicalReport> {
        Answer::waiting(self.tenant.check())
    }

    fn counters(&self) -> Vec<Counter> {
        self.tenant.counters()
    }
}
