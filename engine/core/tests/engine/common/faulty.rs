//! A provider that does as it is told with the next commits, and delays answers by a seed.
//!
//! It keeps the contract's word on failure: after an `Io` error a namespace takes no more writes until
//! it is opened anew.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nimbus_io::SimulatedRandomness;
use nimbus_namespace::{
    Answer, CommitGroup, CommitRecord, Head, Namespace, NamespaceProvider, PhysicalReport, Snapshot,
    StorageError,
};
use nimbus_types::{Sequence, TenantId};
use parking_lot::Mutex;

/// What happens to one commit.
pub(crate) enum Step {
    /// Nothing is written.
    Refuse(StorageError),
    /// All is written, and yet the answer is an error, as when a connection breaks before it answers.
    LoseAnswer(StorageError),
    /// Something else happens between the validation of the commit and its writing.
    After(Pin<Box<dyn Future<Output = ()> + Send>>),
}

#[derive(Default)]
struct Script {
    steps: Mutex<VecDeque<Step>>,
    delays: Option<SimulatedRandomness>,
    opened: AtomicU64,
}

impl Script {
    async fn delay(&self) {
        let Some(delays) = &self.delays else { return };
        match delays.next_u64() % 4 {
            0 => {}
            1 => tokio::task::yield_now().await,
            more => tokio::time::sleep(Duration::from_millis(more - 1)).await,
        }
    }
}

/// A provider around another one. Clones share the script.
#[derive(Clone)]
pub(crate) struct FaultyProvider {
    inner: Arc<dyn NamespaceProvider>,
    script: Arc<Script>,
}

impl FaultyProvider {
    pub(crate) fn new(inner: Arc<dyn NamespaceProvider>) -> Self {
        Self { inner, script: Arc::default() }
    }

    /// Answers come late, by a seed.
    pub(crate) fn delaying(inner: Arc<dyn NamespaceProvider>, seed: u64) -> Self {
        let delays = Some(SimulatedRandomness::new(seed));
        Self { inner, script: Arc::new(Script { delays, ..Script::default() }) }
    }

    /// Says what happens to the next commit that has nothing planned for it.
    pub(crate) fn plan(&self, step: Step) {
        self.script.steps.lock().push_back(step);
    }

    /// How many planned steps have not been taken yet.
    pub(crate) fn planned(&self) -> usize {
        self.script.steps.lock().len()
    }

    /// How often a namespace has been opened.
    pub(crate) fn opened(&self) -> u64 {
        self.script.opened.load(Ordering::SeqCst)
    }
}

impl NamespaceProvider for FaultyProvider {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn create<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        self.inner.create(tenant)
    }

    fn open<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, Arc<dyn Namespace>> {
        Answer::waiting(async move {
            self.script.opened.fetch_add(1, Ordering::SeqCst);
            self.script.delay().await;
            let inner = self.inner.open(tenant).await?;
            let namespace = FaultyNamespace { inner, script: self.script.clone(), stopped: Arc::default() };
            Ok(Arc::new(namespace) as Arc<dyn Namespace>)
        })
    }

    fn remove<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        self.inner.remove(tenant)
    }

    fn list(&self) -> Answer<'_, Vec<TenantId>> {
        self.inner.list()
    }
}

struct FaultyNamespace {
    inner: Arc<dyn Namespace>,
    script: Arc<Script>,
    stopped: Arc<AtomicBool>,
}

impl Namespace for FaultyNamespace {
    fn head(&self) -> Answer<'_, Head> {
        Answer::waiting(async {
            self.script.delay().await;
            self.inner.head().await
        })
    }

    fn snapshot(&self) -> Answer<'_, Box<dyn Snapshot>> {
        Answer::waiting(async {
            self.script.delay().await;
            let snapshot = self.inner.snapshot().await;
            self.script.delay().await;
            snapshot
        })
    }

    fn commit(&self, expected: Sequence, group: Arc<CommitGroup>) -> Answer<'static, Head> {
        let (inner, script, stopped) = (self.inner.clone(), self.script.clone(), self.stopped.clone());
        Answer::waiting(async move {
            if stopped.load(Ordering::SeqCst) {
                return Err(StorageError::Io("an earlier write failed".into()));
            }
            script.delay().await;
            let step = script.steps.lock().pop_front();
            let answer = match step {
                None => inner.commit(expected, group).await,
                Some(Step::Refuse(error)) => Err(error),
                Some(Step::LoseAnswer(error)) => inner.commit(expected, group).await.and(Err(error)),
                Some(Step::After(other)) => {
                    other.await;
                    inner.commit(expected, group).await
                }
            };
            if matches!(answer, Err(StorageError::Io(_))) {
                stopped.store(true, Ordering::SeqCst);
            }
            script.delay().await;
            answer
        })
    }

    fn read_log(&self, after: Sequence, limit: usize) -> Answer<'_, Vec<CommitRecord>> {
        Answer::waiting(async move {
            self.script.delay().await;
            self.inner.read_log(after, limit).await
        })
    }

    fn trim_log(&self, before: Sequence) -> Answer<'_, ()> {
        self.inner.trim_log(before)
    }

    fn check(&self) -> Answer<'_, PhysicalReport> {
        self.inner.check()
    }
}
