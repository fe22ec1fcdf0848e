//! Several tenants at once through the provider, on real threads and a real disk: their writes share the disk's
//! queue, readers go on beside them, and memory is so short that checkpoints are due all the time.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::path::Path;
use std::sync::Arc;

use nimbus_log::{LogOptions, LogProvider};
use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{Direction, KeyRange, Namespace, NamespaceProvider, Snapshot, Space, StateDigest};
use nimbus_types::{Sequence, TenantId};

const TENANTS: u8 = 4;
const COMMITS: u64 = 60;

fn open(directory: &Path) -> LogProvider {
    LogProvider::open(directory, LogOptions { memory_bytes: LogOptions::LEAST_MEMORY_BYTES }).unwrap()
}

fn tenant(number: u8) -> TenantId {
    TenantId::parse(&format!("tenant-{number}")).unwrap()
}

/// What a snapshot holds adds up to the sums of its head.
async fn assert_adds_up(snapshot: &dyn Snapshot) {
    let mut digest = StateDigest::default();
    for space in Space::ALL {
        let mut range = KeyRange::all();
        loop {
            let page = snapshot.scan(space, &range, Direction::Forward, 50).await.unwrap();
            for entry in &page.entries {
                digest.add(space, &entry.key, &entry.value);
            }
            let Some(last) = page.entries.last().filter(|_| page.more) else { break };
            range.start = [&last.key[..], &[0]].concat().into();
        }
    }
    assert!(digest == snapshot.head().digest, "at {}", snapshot.head().sequence);
}

async fn commit_all(namespace: Arc<dyn Namespace>, number: u8) -> CommitBuilder {
    let mut model = CommitBuilder::new();
    for nth in 0..COMMITS {
        let expected = model.sequence();
        let key = [0, 0, 0, 1, (nth % 20) as u8];
        let value = vec![number.wrapping_mul(nth as u8); 40_000 + nth as usize];
        let group = model.group([vec![put(Space::Documents, key, value), put(Space::Index, key, &key[..])]]);
        let head = namespace.commit(expected, group).await.unwrap();
        assert_eq!(head, *model.head());
        if nth % 20 == 19 {
            model.trim(Sequence(nth));
            namespace.trim_log(Sequence(nth)).await.unwrap();
        }
    }
    model
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tenants_that_write_at_once_keep_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let provider = open(folder.path());
    let mut tasks = Vec::new();
    for number in 0..TENANTS {
        provider.create(&tenant(number)).await.unwrap();
        let namespace = provider.open(&tenant(number)).await.unwrap();
        let committing = tokio::spawn(commit_all(Arc::clone(&namespace), number));
        let reading = tokio::spawn(async move {
            for _ in 0..10 {
                let snapshot = namespace.snapshot().await.unwrap();
                tokio::task::yield_now().await;
                assert_adds_up(&*snapshot).await;
            }
        });
        tasks.push((committing, reading));
    }
    let mut models = Vec::new();
    for (committing, reading) in tasks {
        models.push(committing.await.unwrap());
        reading.await.unwrap();
    }
    // Threads that look after files end with the provider, so that the next one finds them at rest.
    drop(provider);

    let provider = open(folder.path());
    for (number, model) in (0..TENANTS).zip(models) {
        let namespace = provider.open(&tenant(number)).await.unwrap();
        assert_eq!(namespace.head().await.unwrap(), *model.head());
        assert_adds_up(&*namespace.snapshot().await.unwrap()).await;
        let faults = namespace.check().await.unwrap().faults;
        assert!(faults.is_empty(), "{faults:?}");
    }
}
