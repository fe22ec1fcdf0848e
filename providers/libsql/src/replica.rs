//! A tenant's replica: a SQLite namespace that follows the primary's commit log.
//!
//! Promises: what it answers is a state the primary had, never older than what it has answered before; it
//! takes a commit only if that follows from the state it holds, down to the digest. A replica that is
//! damaged, foreign, too old or ahead of the primary is thrown away and copied anew. Deliberately unknown:
//! when to ask the primary.

mod follow;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nimbus_namespace::{CommitGroup, Entry, Head, Namespace, PhysicalReport, Result, Space, StorageError};
use nimbus_sqlite::SqliteNamespace;
use nimbus_types::Sequence;
use parking_lot::RwLock;
use tokio::sync::{Mutex, mpsc};

use crate::cache::{Cache, ReplicaId};
use crate::primary::{Copy, News, Primary};
use crate::snapshot::ReplicaSnapshot;

/// Pages of a copy that wait to be written.
const PAGES_AHEAD: usize = 2;

/// The replica of one namespace.
pub(crate) struct Replica {
    cache: Arc<Cache>,
    id: ReplicaId,
    /// Whoever changes the replica holds this.
    turn: Mutex<()>,
    /// Whether the cache has been looked into.
    looked: AtomicBool,
    live: RwLock<Option<Live>>,
    rebuilds: AtomicU64,
}

/// A replica that can be used.
#[derive(Clone)]
struct Live {
    file: Arc<SqliteNamespace>,
    /// Where it stands.
    head: Arc<Head>,
    /// Set when reading or writing it has shown damage.
    suspect: Arc<AtomicBool>,
}

/// Why a replica could not be brought forward.
enum Obstacle {
    /// It is not a past state of the primary, or not one the log still leads from.
    Unfit(String),
    Failed(StorageError),
}

impl From<StorageError> for Obstacle {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Corruption(message) => Self::Unfit(message),
            other => Self::Failed(other),
        }
    }
}

impl Replica {
    pub(crate) fn new(cache: Arc<Cache>, id: ReplicaId) -> Self {
        Self {
            cache,
            id,
            turn: Mutex::default(),
            looked: AtomicBool::new(false),
            live: RwLock::default(),
            rebuilds: AtomicU64::new(0),
        }
    }

    /// Where the replica stands, if there is one that can be used.
    pub(crate) async fn position(&self) -> Result<Option<Arc<Head>>> {
        if !self.looked.load(Ordering::Acquire) {
            let _turn = self.turn.lock().await;
            if !self.looked.load(Ordering::Acquire) {
                if let Some(file) = self.cache.reopen(&self.id).await? {
                    self.adopt(file).await;
                }
                self.looked.store(true, Ordering::Release);
            }
        }
        Ok(self.live().map(|live| live.head))
    }

    /// Where the replica stood last; 0 when there is none.
    pub(crate) fn sequence(&self) -> Sequence {
        self.live.read().as_ref().map_or(Sequence::ZERO, |live| live.head.sequence)
    }

    /// How often it was copied from the primary.
    pub(crate) fn rebuilds(&self) -> u64 {
        self.rebuilds.load(Ordering::Relaxed)
    }

    /// Brings the replica to `news`, which was read from the primary when the replica stood at `asked`.
    pub(crate) async fn catch_up(
        &self,
        primary: &Primary,
        asked: Option<Sequence>,
        news: News,
    ) -> Result<()> {
        let _turn = self.turn.lock().await;
        let followed = match self.live() {
            Some(_) if asked.is_some_and(|asked| asked > news.head.sequence) => Err(Obstacle::Unfit(
                format!("it is ahead of the primary, which stands at {}", news.head.sequence),
            )),
            Some(live) => self.follow(primary, &live, news).await,
            None => return self.rebuild(primary).await,
        };
        match followed {
            Ok(()) => Ok(()),
            Err(Obstacle::Failed(error)) => Err(error),
            Err(Obstacle::Unfit(reason)) => {
                tracing::warn!(namespace = %primary.name(), %reason, "a replica is built anew");
                self.rebuild(primary).await
            }
        }
    }

    /// Applies a group that the primary has just taken, or whatever leads up to its head.
    pub(crate) async fn apply_own(
        &self,
        primary: &Primary,
        expected: Sequence,
        group: &Arc<CommitGroup>,
        head: &Head,
    ) -> Result<()> {
        if self.apply_next(expected, group, head).await? {
            return Ok(());
        }
        let asked = self.position().await?.map(|head| head.sequence);
        let news = primary.news(asked.unwrap_or_default()).await?;
        self.catch_up(primary, asked, news).await
    }

    /// Whether the replica holds the group, because it held it already or because it stood right before.
    async fn apply_next(&self, expected: Sequence, group: &Arc<CommitGroup>, head: &Head) -> Result<bool> {
        let _turn = self.turn.lock().await;
        let Some(live) = self.live() else { return Ok(false) };
        if live.head.sequence >= head.sequence {
            return Ok(true);
        }
        let previous_sums = group.commits.first().map(|commit| commit.record.previous_sums);
        if live.head.sequence != expected || previous_sums != Some(live.head.digest.sums()) {
            return Ok(false);
        }
        self.write(&live, Arc::clone(group)).await?;
        Ok(true)
    }

    /// A view of the replica. Its log is the primary's, which begins at `log_start`.
    pub(crate) async fn snapshot(&self, log_start: Sequence) -> Result<ReplicaSnapshot> {
        let live = self.live().ok_or_else(|| {
            StorageError::Unavailable("there is no replica, and the libSQL primary cannot be reached".into())
        })?;
        let snapshot = live.suspect_on_damage(live.file.snapshot().await)?;
        Ok(ReplicaSnapshot::new(snapshot, log_start, live.suspect))
    }

    /// Forgets records that the primary has forgotten.
    pub(crate) async fn trim_log(&self, before: Sequence) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.trim(before).await
    }

    /// Whoever calls holds the turn.
    async fn trim(&self, before: Sequence) -> Result<()> {
        match self.live() {
            Some(live) if live.head.log_start < before => {
                live.suspect_on_damage(live.file.trim_log(before).await)?;
                let log_start = before.min(live.head.sequence.next());
                let head = Arc::new(Head { log_start, ..(*live.head).clone() });
                *self.live.write() = Some(Live { head, ..live });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Looks for damage and answers where the replica stands.
    pub(crate) async fn check(&self) -> Result<Option<(PhysicalReport, Arc<Head>)>> {
        let Some(live) = self.live() else { return Ok(None) };
        let report = live.file.check().await?;
        if !report.faults.is_empty() {
            live.suspect.store(true, Ordering::Relaxed);
        }
        Ok(Some((report, live.head)))
    }

    /// Removes it, because its namespace is no more.
    pub(crate) async fn remove(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        *self.live.write() = None;
        self.cache.remove(&self.id).await
    }

    fn live(&self) -> Option<Live> {
        self.live.read().clone().filter(|live| !live.suspect.load(Ordering::Relaxed))
    }

    /// Takes a file that the cache held. One that cannot be read is not taken.
    async fn adopt(&self, file: SqliteNamespace) {
        match file.head().await {
            Ok(head) => self.set(file, head),
            Err(error) => tracing::warn!(%error, "a replica cannot be read and is built anew"),
        }
    }

    fn set(&self, file: SqliteNamespace, head: Head) {
        let (file, head) = (Arc::new(file), Arc::new(head));
        *self.live.write() = Some(Live { file, head, suspect: Arc::default() });
    }

    /// Writes a group that follows from where the replica stands. Whoever calls holds the turn.
    async fn write(&self, live: &Live, group: Arc<CommitGroup>) -> Result<()> {
        let written = live.file.commit(live.head.sequence, group).await;
        match written {
            Ok(head) => {
                *self.live.write() = Some(Live { head: Arc::new(head), ..live.clone() });
                Ok(())
            }
            Err(error) => {
                // Nothing certain is known of it any more.
                live.suspect.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Throws the replica away and copies the primary. Whoever calls holds the turn.
    async fn rebuild(&self, primary: &Primary) -> Result<()> {
        *self.live.write() = None;
        let mut copy = match primary.copy().await {
            Ok(copy) => copy,
            Err(error) => {
                self.cache.remove(&self.id).await?;
                return Err(error);
            }
        };
        let file = self.cache.make(&self.id).await?;
        if copy.head.sequence > Sequence::ZERO {
            self.rebuilds.fetch_add(1, Ordering::Relaxed);
            fill(&file, &mut copy).await.map_err(|error| match error {
                StorageError::Corruption(message) => {
                    StorageError::Corruption(format!("the libSQL primary could not be copied: {message}"))
                }
                other => other,
            })?;
        }
        let head = file.head().await?;
        self.set(file, head);
        Ok(())
    }
}

impl Live {
    /// Remembers that the file is damaged, if that is what the result says.
    fn suspect_on_damage<T>(&self, result: Result<T>) -> Result<T> {
        if matches!(result, Err(StorageError::Corruption(_) | StorageError::Io(_))) {
            self.suspect.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// Writes a copy into an empty file while it arrives.
async fn fill(file: &SqliteNamespace, copy: &mut Copy) -> Result<()> {
    let (sender, mut receiver) = mpsc::channel::<Result<Vec<(Space, Entry)>>>(PAGES_AHEAD);
    let pages = std::iter::from_fn(move || receiver.blocking_recv());
    let entries = pages.flat_map(|page| match page {
        Ok(page) => page.into_iter().map(Ok).collect::<Vec<_>>(),
        Err(error) => vec![Err(error)],
    });
    let written = file.restore(copy.head.clone(), Box::new(entries));
    loop {
        let page = copy.next_page().await;
        if matches!(&page, Ok(page) if page.is_empty()) {
            break;
        }
        let failed = page.is_err();
        // The receiver is gone when writing has failed, which `written` tells.
        if sender.send(page).await.is_err() || failed {
            break;
        }
    }
    drop(sender);
    written.await
}
