//! Lost connections, a killed server, a full pool: nothing acknowledged is lost, nothing is written twice.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{CommitGroup, Direction, KeyRange, Namespace, NamespaceProvider, Space, StorageError};
use nimbus_test_servers::{Mode, Postgres, Proxy};
use nimbus_types::Sequence;
use sqlx::Row;

use crate::setting::{Place, commit, create_and_open, figure, tenant};

/// Turns a hang into a failure; nothing here takes nearly as long.
async fn ends<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(3), work).await.expect("it ends")
}

/// A tenant reached through a proxy, and the same tenant reached without it.
struct Proxied {
    place: Place,
    schema: String,
    proxy: Proxy,
    namespace: Arc<dyn Namespace>,
    direct: Arc<dyn Namespace>,
    builder: CommitBuilder,
}

impl Proxied {
    async fn new(check: &str, seed: u64) -> Option<Self> {
        let port = Postgres::shared(check)?.port();
        let place = Place::shared(check)?;
        let provider = place.connect().await;
        let direct = create_and_open(&provider, "a").await;
        let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), seed);
        let namespace =
            place.through(port, proxy.address().port()).connect().await.open(&tenant("a")).await.unwrap();
        let schema = format!("\"{}\"", place.schemas().await[0]);
        Some(Self { place, schema, proxy, namespace, direct, builder: CommitBuilder::new() })
    }

    fn next_group(&mut self) -> Arc<CommitGroup> {
        let next = self.builder.sequence().next();
        self.builder.group([vec![put(Space::Documents, "counter", next.to_string())]])
    }

    /// The log holds what was built, each commit once.
    async fn assert_whole(&self) {
        assert_eq!(self.direct.head().await.unwrap(), *self.builder.head());
        let mut log = Vec::new();
        while log.len() < self.builder.log().len() {
            log.extend(self.direct.read_log(Sequence(log.len() as u64), 1000).await.unwrap());
        }
        assert_eq!(log, self.builder.log());
        let snapshot = self.direct.snapshot().await.unwrap();
        let value = snapshot.get(Space::Documents, b"counter").await.unwrap();
        assert_eq!(value, self.builder.value(Space::Documents, b"counter"));
    }

    /// Begins a commit, waits until its statement waits for the head's row on the server, does `fault`, and
    /// lets the row go.
    async fn commit_held_up(&mut self, fault: impl AsyncFnOnce(&Self)) {
        let expected = self.builder.sequence();
        let group = self.next_group();
        let mut holder = self.place.raw().await;
        let hold = format!("BEGIN; SELECT FROM {}.head FOR UPDATE", self.schema);
        sqlx::raw_sql(sqlx::AssertSqlSafe(hold)).execute(&mut holder).await.unwrap();
        let answer = tokio::spawn(self.namespace.commit(expected, group));
        ends(async { while self.waiting_backends().await.is_empty() {} }).await;
        fault(self).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
        assert_eq!(ends(answer).await.unwrap().unwrap(), *self.builder.head());
        self.assert_whole().await;
    }

    /// Backends in this schema that wait for a lock.
    async fn waiting_backends(&self) -> Vec<i32> {
        let waiting = format!(
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{}%'",
            self.schema
        );
        self.place.sql(waiting).await.iter().map(|row| row.get(0)).collect()
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_committed() {
    let Some(mut proxied) = Proxied::new("postgres lost answers", 1).await else { return };
    for _ in 0..3 {
        proxied.commit_held_up(async |proxied| proxied.proxy.cut_once()).await;
    }
}

#[tokio::test]
async fn a_commit_whose_session_ends_before_it_is_done_is_written_once() {
    let Some(mut proxied) = Proxied::new("postgres lost sessions", 1).await else { return };
    let end_session = async |proxied: &Proxied| {
        for backend in proxied.waiting_backends().await {
            proxied.place.sql(format!("SELECT pg_terminate_backend({backend})")).await;
        }
    };
    for _ in 0..3 {
        proxied.commit_held_up(end_session).await;
    }
}

/// Commits until all groups are in, asking the database itself what became of a failed one.
async fn commit_all(proxied: &mut Proxied, commits: u64) {
    let mut failures = 0;
    while proxied.builder.sequence().0 < commits {
        let (before, expected) = (proxied.builder.clone(), proxied.builder.sequence());
        let group = proxied.next_group();
        match ends(proxied.namespace.commit(expected, group)).await {
            Ok(head) => assert_eq!(head, *proxied.builder.head()),
            Err(error) => {
                failures += 1;
                let head = proxied.direct.head().await.unwrap();
                if head.sequence == expected {
                    proxied.builder = before;
                }
                let unknown = matches!(error, StorageError::OutcomeUnknown(_));
                let nothing_written = matches!(
                    error,
                    StorageError::Transient(_) | StorageError::Unavailable(_) | StorageError::Busy(_)
                );
                assert!(
                    unknown || nothing_written && head.sequence == expected,
                    "{error} at {}",
                    head.sequence
                );
            }
        }
    }
    println!("{failures} of {commits} commits failed, {} cuts", proxied.proxy.cuts());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_through_chaos_are_written_exactly_once() {
    for seed in [11, 12] {
        let Some(mut proxied) = Proxied::new("postgres chaos", seed).await else { return };
        println!("seed {seed}");
        proxied.proxy.set(Mode::Chaos { most_bytes: 20_000, longest_delay_ms: 2 });
        commit_all(&mut proxied, 300).await;
        assert!(proxied.proxy.cuts() > 0, "nothing was cut");
        proxied.assert_whole().await;
    }
}

#[tokio::test]
async fn reads_go_on_after_connections_were_cut() {
    let Some(mut proxied) = Proxied::new("postgres cut reads", 1).await else { return };
    commit(&*proxied.namespace, &mut proxied.builder, vec![put(Space::Meta, "k", "v")]).await;
    let lost = proxied.namespace.snapshot().await.unwrap();
    for _ in 0..4 {
        proxied.proxy.cut_once();
        assert_eq!(proxied.namespace.head().await.unwrap(), *proxied.builder.head());
        proxied.proxy.cut_once();
        assert_eq!(proxied.namespace.read_log(Sequence::ZERO, 9).await.unwrap().len(), 1);
        proxied.proxy.cut_once();
        let snapshot = proxied.namespace.snapshot().await.unwrap();
        assert!(snapshot.get(Space::Meta, b"k").await.unwrap().is_some());
    }
    // A snapshot cannot move to another connection.
    for _ in 0..2 {
        assert!(matches!(lost.get(Space::Meta, b"k").await, Err(StorageError::Unavailable(_))));
    }
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_an_error_in_the_end_and_then_forgotten() {
    let Some(mut proxied) = Proxied::new("postgres stalled network", 1).await else { return };
    commit(&*proxied.namespace, &mut proxied.builder, vec![]).await;
    let expected = proxied.builder.sequence();
    let group = proxied.next_group();
    // Connections that are open already, more than two, so that both operations get as far as being sent.
    let head = || proxied.namespace.head();
    let (one, two, three, four) = tokio::join!(head(), head(), head(), head());
    assert_eq!([one.unwrap(), two.unwrap()], [three.unwrap(), four.unwrap()]);
    proxied.proxy.set(Mode::Stall);
    let (written, read) = tokio::join!(
        ends(proxied.namespace.commit(expected, Arc::clone(&group))),
        ends(proxied.namespace.head())
    );
    // Where the pool first tests or opens a connection, on a slow machine, nothing has been sent, and the
    // answer must say so.
    let may_be_made = match written {
        Err(StorageError::OutcomeUnknown(_)) => true,
        Err(StorageError::Unavailable(_)) => false,
        other => panic!("{other:?}"),
    };
    assert!(matches!(read, Err(StorageError::Unavailable(_))), "{read:?}");
    // A statement that was held back arrives now, before or after the next commit.
    proxied.proxy.set(Mode::Pass);
    match ends(proxied.namespace.commit(expected, group)).await {
        Ok(head) => assert_eq!(head, *proxied.builder.head()),
        Err(StorageError::HeadMoved { actual }) if may_be_made => assert_eq!(actual, expected.next()),
        Err(error) => panic!("{error}"),
    }
    proxied.assert_whole().await;
    commit(&*proxied.namespace, &mut proxied.builder, vec![put(Space::Documents, "counter", "x")]).await;
    proxied.assert_whole().await;
}

#[tokio::test]
async fn without_the_database_everything_is_unavailable_and_comes_back() {
    let Some(mut server) = Postgres::start("postgres away") else { return };
    let place = Place::at(server.url());
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "a").await;
    let mut builder = CommitBuilder::new();
    commit(&*namespace, &mut builder, vec![]).await;
    server.stop();
    let mut after = builder.clone();
    let group = after.group([vec![]]);
    for error in [
        namespace.head().await.err(),
        namespace.snapshot().await.err(),
        namespace.read_log(Sequence::ZERO, 1).await.err(),
        provider.list().await.err(),
        provider.create(&tenant("b")).await.err(),
    ] {
        assert!(matches!(error, Some(StorageError::Unavailable(_))), "{error:?}");
    }
    let refused = ends(namespace.commit(builder.sequence(), Arc::clone(&group))).await;
    assert!(matches!(refused, Err(StorageError::Unavailable(_))), "{refused:?}");
    server.restart();
    assert_eq!(namespace.head().await.unwrap(), *builder.head());
    assert_eq!(ends(namespace.commit(builder.sequence(), group)).await.unwrap(), *after.head());
    provider.create(&tenant("b")).await.unwrap();
}

/// Writers of one tenant each, while the server is killed and started again, over and over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_acknowledged_and_writes_nothing_twice() {
    let Some(mut server) = Postgres::start("postgres killed") else { return };
    let place = Place::at(server.url());
    let provider = place.connect().await;
    let mut writers = Vec::new();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    for id in ["a", "b", "c", "d"] {
        let namespace = create_and_open(&provider, id).await;
        let stopped = stopped.clone();
        writers.push(tokio::spawn(async move {
            let mut builder = CommitBuilder::new();
            while !*stopped.borrow() {
                let before = builder.clone();
                let group = builder.group([vec![put(
                    Space::Documents,
                    "counter",
                    before.sequence().next().to_string(),
                )]]);
                if namespace.commit(before.sequence(), group).await.is_err() {
                    let head = loop {
                        match namespace.head().await {
                            Ok(head) => break head,
                            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                        }
                    };
                    // What was not acknowledged may be there or not, but nothing else may.
                    if head == *before.head() {
                        builder = before;
                    }
                    assert_eq!(head, *builder.head());
                }
            }
            (namespace, builder)
        }));
    }
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(random.u64(200..900))).await;
        server.kill();
        server.restart();
    }
    stop.send(true).unwrap();
    for writer in writers {
        let (namespace, builder) = ends(writer).await.unwrap();
        println!("{} commits", builder.sequence());
        assert!(builder.sequence().0 > 0);
        assert_eq!(namespace.head().await.unwrap(), *builder.head());
        let mut log = Vec::new();
        while log.len() < builder.log().len() {
            log.extend(namespace.read_log(Sequence(log.len() as u64), usize::MAX).await.unwrap());
        }
        assert_eq!(log, builder.log());
        assert_eq!(namespace.check().await.unwrap().faults, []);
    }
}

#[tokio::test]
async fn snapshots_that_take_every_connection_leave_commits_theirs() {
    let Some(place) = Place::shared("postgres full pool") else { return };
    let provider = place.try_connect(2).await.unwrap();
    let namespace = create_and_open(&provider, "a").await;
    let mut builder = CommitBuilder::new();
    let held = namespace.snapshot().await.unwrap();
    let waiting = tokio::spawn({
        let namespace = Arc::clone(&namespace);
        async move { namespace.snapshot().await.map(|_| ()) }
    });
    while !waiting.is_finished() {
        commit(&*namespace, &mut builder, vec![]).await;
        namespace.read_log(Sequence::ZERO, 1).await.unwrap();
    }
    let refused = waiting.await.unwrap();
    assert!(matches!(&refused, Err(StorageError::Busy(text)) if text.contains("snapshots")), "{refused:?}");
    drop(held);
    assert_eq!(ends(namespace.snapshot()).await.unwrap().head(), builder.head());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_dropped_half_way_never_answer_for_another() {
    let Some(place) = Place::shared("postgres dropped reads") else { return };
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "a").await;
    let mut builder = CommitBuilder::new();
    let changes = (0..100_u8).map(|n| put(Space::Documents, [n], [n; 2000])).collect();
    commit(&*namespace, &mut builder, changes).await;
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..300 {
        let limit = Duration::from_micros(random.u64(0..800));
        let dropped = tokio::time::timeout(limit, async {
            let snapshot = namespace.snapshot().await.unwrap();
            loop {
                let scanned = snapshot.scan(Space::Documents, &KeyRange::all(), Direction::Forward, 50).await;
                assert_eq!(scanned.unwrap().entries.len(), 50);
            }
        });
        let _: Result<(), _> = dropped.await;
        let key = [random.u8(0..100)];
        let value = namespace.snapshot().await.unwrap().get(Space::Documents, &key).await.unwrap();
        assert_eq!(value.unwrap(), vec![key[0]; 2000]);
        assert_eq!(namespace.head().await.unwrap(), *builder.head());
    }
    assert!(figure(&*namespace, "connections_open") <= 8.0);
}

#[test]
fn a_snapshot_may_be_dropped_outside_of_the_runtime() {
    let Some(place) = Place::shared("postgres drops outside") else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (namespace, snapshot) = runtime.block_on(async {
        let namespace = create_and_open(&*place.connect().await, "a").await;
        let snapshot = namespace.snapshot().await.unwrap();
        (namespace, snapshot)
    });
    drop(snapshot);
    runtime.block_on(async {
        let late = namespace.snapshot().await.unwrap();
        assert!(late.get(Space::Meta, b"k").await.unwrap().is_none());
        late
    });
    let last = runtime.block_on(async { namespace.snapshot().await.unwrap() });
    drop(runtime);
    drop(last);
    drop(namespace);
}
