//! Lost connections, a server killed and restarted, a network that swallows packets, and a full pool.
//!
//! Whatever happens, an acknowledged commit is there, one reported as not made is not, and none is there
//! twice.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{Direction, Head, KeyRange, Namespace, NamespaceProvider, Space, StorageError};
use nimbus_test_servers::{Mariadb, Mode, Proxy};
use nimbus_types::Sequence;

use crate::support::{Operator, Place, commit_one, create_and_open, tenant};

/// Turns a hang into a failure.
const HANG: Duration = Duration::from_mins(3);

fn proxy(server: &Mariadb, seed: u64) -> Proxy {
    println!("seed {seed}");
    Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())), seed)
}

/// Head, state and log are what `builder` has built.
async fn assert_state(namespace: &dyn Namespace, builder: &CommitBuilder) {
    let snapshot = namespace.snapshot().await.unwrap();
    assert_eq!(snapshot.head(), builder.head());
    for space in Space::ALL {
        let page = snapshot.scan(space, &KeyRange::all(), Direction::Forward, usize::MAX).await.unwrap();
        assert_eq!(page.entries, builder.entries(space), "{space:?}");
    }
    let mut log = Vec::new();
    while log.len() < builder.log().len() {
        log.extend(namespace.read_log(Sequence(log.len() as u64), usize::MAX).await.unwrap());
    }
    assert!(log == builder.log(), "the log");
    assert_eq!(namespace.check().await.unwrap().faults, []);
}

/// Where the head is, asked until the database answers.
async fn head_at_last(namespace: &dyn Namespace) -> Head {
    loop {
        match namespace.head().await {
            Ok(head) => return head,
            Err(StorageError::Transient(_) | StorageError::Unavailable(_) | StorageError::Busy(_)) => {}
            Err(error) => panic!("the head: {error}"),
        }
    }
}

/// Commits once, however often it takes. A commit that was reported as not made is made again, so that it
/// would be refused if it had been made after all.
async fn commit_at_last(
    namespace: &dyn Namespace,
    builder: &mut CommitBuilder,
    key: u32,
    value_bytes: usize,
) {
    let expected = builder.sequence();
    let changes = [Space::Documents, Space::Index, Space::Meta]
        .map(|space| put(space, (key % 40).to_be_bytes(), vec![key as u8; value_bytes]));
    let group = builder.group([changes.to_vec()]);
    loop {
        match namespace.commit(expected, Arc::clone(&group)).await {
            Ok(head) => return assert_eq!(head, *builder.head()),
            Err(StorageError::Transient(_) | StorageError::Unavailable(_) | StorageError::Busy(_)) => {}
            Err(StorageError::OutcomeUnknown(_)) => {
                if head_at_last(namespace).await.sequence == builder.sequence() {
                    return;
                }
            }
            Err(error) => panic!("commit {key} at {expected}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_random_cuts_every_commit_is_made_once() {
    let Some(server) = Mariadb::shared("mysql chaos") else { return };
    let place = Place::on(server);
    let direct = place.connect().await;
    direct.create(&tenant("acme")).await.unwrap();
    let proxy = proxy(server, 3);
    let provider = place.through(proxy.address()).connect().await;
    let namespace = provider.open(&tenant("acme")).await.unwrap();
    proxy.set(Mode::Chaos { most_bytes: 12_000, longest_delay_ms: 2 });
    proxy.cut_once();
    let mut builder = CommitBuilder::new();
    let storm = async {
        for key in 0..300 {
            commit_at_last(&*namespace, &mut builder, key, 100).await;
        }
    };
    tokio::time::timeout(HANG, storm).await.unwrap();
    assert!(proxy.cuts() > 30, "only {} cuts", proxy.cuts());
    assert_state(&*direct.open(&tenant("acme")).await.unwrap(), &builder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_goes_through_after_its_connection_is_lost_is_known_as_made() {
    let Some(server) = Mariadb::shared("mysql lost answer") else { return };
    let place = Place::on(server);
    let proxy = proxy(server, 8);
    let provider = place.through(proxy.address()).connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let mut operator = Operator::at(&place).await;
    operator.run(format!("START TRANSACTION; SELECT * FROM {}acme.head FOR UPDATE", place.prefix)).await;
    let mut builder = CommitBuilder::new();
    let group = builder.group([vec![put(Space::Documents, "key", "value")]]);
    let commit = tokio::spawn(namespace.commit(Sequence::ZERO, group));
    let waiting = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'";
    until_some(&mut Operator::at(&place).await, waiting).await;
    proxy.cut_once();
    tokio::time::sleep(Duration::from_millis(300)).await;
    operator.run("ROLLBACK").await;
    assert_eq!(commit.await.unwrap().unwrap(), *builder.head());
    assert_state(&*namespace, &builder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_within_commits_of_several_packets_leave_all_or_nothing() {
    let Some(server) = Mariadb::shared("mysql cuts within large commits") else { return };
    let place = Place::on(server);
    let direct = place.connect().await;
    direct.create(&tenant("acme")).await.unwrap();
    let proxy = proxy(server, 4);
    let provider = place.through(proxy.address()).connect().await;
    let namespace = provider.open(&tenant("acme")).await.unwrap();
    proxy.set(Mode::Chaos { most_bytes: 16 << 20, longest_delay_ms: 0 });
    proxy.cut_once();
    let mut builder = CommitBuilder::new();
    let storm = async {
        for key in 0..12 {
            // Three values by prepared statements and a record in pieces.
            commit_at_last(&*namespace, &mut builder, key, 400_000).await;
        }
    };
    tokio::time::timeout(HANG, storm).await.unwrap();
    assert!(proxy.cuts() > 0, "no cuts");
    let namespace = direct.open(&tenant("acme")).await.unwrap();
    assert_eq!(namespace.head().await.unwrap(), *builder.head());
    let snapshot = namespace.snapshot().await.unwrap();
    for entry in builder.entries(Space::Index) {
        assert!(snapshot.get(Space::Index, &entry.key).await.unwrap().unwrap() == entry.value);
    }
    assert_eq!(namespace.check().await.unwrap().faults, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_whose_connections_break_lose_and_double_nothing() {
    let Some(server) = Mariadb::shared("mysql chaos of two") else { return };
    let place = Place::on(server);
    let direct = place.connect().await;
    let namespace = create_and_open(&direct, "acme").await;
    let (mut writers, mut proxies) = (Vec::new(), Vec::new());
    for seed in [5, 6] {
        let proxy = proxy(server, seed);
        let provider = place.through(proxy.address()).connect().await;
        let namespace = provider.open(&tenant("acme")).await.unwrap();
        proxy.set(Mode::Chaos { most_bytes: 20_000, longest_delay_ms: 1 });
        proxies.push(proxy);
        writers.push(tokio::spawn(async move {
            let mut made = Vec::new();
            let mut number = 0_u64;
            while made.len() < 60 {
                // Its own commits follow from nothing but the head, as digests are not looked at here.
                let head = head_at_last(&*namespace).await;
                let mut group = CommitBuilder::new().group([vec![put(
                    Space::Documents,
                    [seed as u8],
                    number.to_be_bytes(),
                )]]);
                let commits = Arc::get_mut(&mut group).unwrap();
                commits.commits[0].record.sequence = head.sequence.next();
                number += 1;
                match namespace.commit(head.sequence, Arc::new(commits.clone())).await {
                    Ok(after) => made.push((after.sequence, number - 1)),
                    Err(StorageError::OutcomeUnknown(error)) => panic!("not settled: {error}"),
                    Err(_nothing_written) => {}
                }
            }
            (seed as u8, made)
        }));
    }
    let mut expected = 0;
    let mut records = Vec::new();
    for writer in writers {
        let (seed, made) = tokio::time::timeout(HANG, writer).await.unwrap().unwrap();
        expected += made.len();
        records.extend(made.into_iter().map(|(sequence, number)| (sequence, seed, number)));
    }
    records.sort_unstable();
    let log = namespace.read_log(Sequence::ZERO, 1_000).await.unwrap();
    assert_eq!(log.len(), expected, "as many records as were acknowledged");
    for (record, (sequence, seed, number)) in log.iter().zip(records) {
        assert_eq!(record.sequence, sequence);
        assert_eq!(record.changes, [put(Space::Documents, [seed], number.to_be_bytes())]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_a_write_storm_keeps_what_was_acknowledged() {
    let Some(mut server) = Mariadb::start("mysql kill -9") else { return };
    let place = Place::on(&server);
    let provider = Arc::new(place.connect().await);
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for id in ["a", "b", "c"] {
        let namespace = create_and_open(&provider, id).await;
        let stop = Arc::clone(&stop);
        writers.push(tokio::spawn(async move {
            let mut builder = CommitBuilder::new();
            let mut key = 0;
            while !stop.load(Ordering::Relaxed) {
                commit_at_last(&*namespace, &mut builder, key, 200).await;
                key += 1;
            }
            (id, builder)
        }));
    }
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        server = tokio::task::spawn_blocking(move || {
            server.kill();
            server.restart();
            server
        })
        .await
        .unwrap();
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        let (id, builder) = tokio::time::timeout(HANG, writer).await.unwrap().unwrap();
        assert!(builder.sequence() > Sequence(20), "{id} got to {}", builder.sequence());
        assert_state(&*provider.open(&tenant(id)).await.unwrap(), &builder).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_network_is_an_error_and_the_outcome_is_settled_afterwards() {
    let Some(server) = Mariadb::shared("mysql silent network") else { return };
    let place = Place::on(server);
    let proxy = proxy(server, 7);
    let provider = place.through(proxy.address()).connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let mut builder = CommitBuilder::new();
    commit_one(&*namespace, &mut builder, "key", "1").await.unwrap();
    let snapshot = namespace.snapshot().await.unwrap();

    proxy.set(Mode::Stall);
    let mut next = builder.clone();
    let group = next.group([vec![put(Space::Documents, "key", "2")]]);
    let commit = namespace.commit(builder.sequence(), Arc::clone(&group));
    let (commit, get) = tokio::join!(
        tokio::time::timeout(HANG, commit),
        tokio::time::timeout(HANG, snapshot.get(Space::Documents, b"key"))
    );
    let unknown = commit.unwrap();
    // On a machine so slow that the pool first tests its connection, nothing has been sent.
    let is_honest = matches!(unknown, Err(StorageError::OutcomeUnknown(_) | StorageError::Unavailable(_)));
    assert!(is_honest, "{unknown:?}");
    assert!(matches!(get.unwrap(), Err(StorageError::Unavailable(_))));
    let gone = snapshot.get(Space::Documents, b"key").await;
    assert!(matches!(gone, Err(StorageError::Transient(_))), "{gone:?}");

    // What was swallowed arrives now, and must not be applied once the namespace has settled it.
    proxy.set(Mode::Pass);
    let settled = loop {
        match namespace.commit(builder.sequence(), Arc::clone(&group)).await {
            Err(StorageError::Unavailable(_) | StorageError::Transient(_)) => {}
            settled => break settled,
        }
    };
    match settled {
        Ok(head) => assert_eq!(head, *next.head()),
        Err(StorageError::HeadMoved { actual }) => assert_eq!(actual, next.sequence()),
        Err(error) => panic!("{error}"),
    }
    commit_one(&*namespace, &mut next, "key", "3").await.unwrap();
    assert_state(&*namespace, &next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_that_hold_their_share_of_the_pool_make_others_busy_but_not_commits() {
    let Some(mut place) = Place::shared("mysql full pool") else { return };
    place.max_connections = 4;
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let mut snapshots = Vec::new();
    for _ in 0..3 {
        snapshots.push(namespace.snapshot().await.unwrap());
    }
    let mut builder = CommitBuilder::new();
    let full = tokio::join!(namespace.snapshot(), async {
        commit_one(&*namespace, &mut builder, "key", "value").await.unwrap();
        namespace.read_log(Sequence::ZERO, 10).await.unwrap();
    })
    .0;
    let Some(StorageError::Busy(text)) = full.err() else { panic!("not busy") };
    assert!(text.contains("every one of the 3 connections"), "{text}");
    snapshots.pop();
    let snapshot = namespace.snapshot().await.unwrap();
    assert_eq!(snapshot.get(Space::Documents, b"key").await.unwrap().unwrap(), "value");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_given_up_half_way_never_answers_another() {
    let Some(place) = Place::shared("mysql abandoned reads") else { return };
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let keys: Vec<String> = (0..8).map(|n| format!("key {n}")).collect();
    let changes = keys.iter().map(|key| put(Space::Documents, key, key.repeat(30_000))).collect();
    namespace.commit(Sequence::ZERO, CommitBuilder::new().group([changes])).await.unwrap();
    for round in 0..60_usize {
        let snapshot = namespace.snapshot().await.unwrap();
        let (abandoned, key) = (&keys[round % 8], &keys[(round + 3) % 8]);
        let read = snapshot.get(Space::Documents, abandoned.as_bytes());
        let early = tokio::time::timeout(Duration::from_micros(40 * round as u64), read).await;
        match snapshot.get(Space::Documents, key.as_bytes()).await {
            Ok(value) => assert_eq!(value.unwrap(), key.repeat(30_000)),
            Err(StorageError::Transient(_)) => {
                assert!(early.is_err(), "only an abandoned read ends a snapshot");
            }
            Err(error) => panic!("{error}"),
        }
        drop(snapshot);
        let fresh = namespace.snapshot().await.unwrap();
        assert_eq!(fresh.get(Space::Documents, key.as_bytes()).await.unwrap().unwrap(), key.repeat(30_000));
    }
}

/// Waits until a statement waits for tables that somebody holds.
async fn wait_for_a_waiting_statement(operator: &mut Operator, database: &str) {
    let query = format!(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
         WHERE STATE LIKE 'Waiting for table%' AND INFO LIKE '%{database}%'"
    );
    until_some(operator, &query).await;
}

/// Waits until the query counts something. `InnoDB`'s own tables are a copy that is taken anew only when
/// nobody has read it for 100 ms, so whoever asks more often gets the first answer forever.
async fn until_some(operator: &mut Operator, query: &str) {
    let counted = async {
        while operator.column::<i64>(query).await == [0] {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    tokio::time::timeout(HANG, counted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_the_victim_of_a_deadlock_is_lost() {
    let Some(place) = Place::shared("mysql deadlock of a snapshot") else { return };
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let mut builder = CommitBuilder::new();
    let set = |value: &'static str| [Space::Documents, Space::Meta].map(|space| put(space, "key", value));
    namespace.commit(Sequence::ZERO, builder.group([set("old").into()])).await.unwrap();
    let snapshot = namespace.snapshot().await.unwrap();
    assert_eq!(snapshot.get(Space::Meta, b"key").await.unwrap().unwrap(), "old");
    namespace.commit(Sequence(1), builder.group([set("new").into()])).await.unwrap();

    // It gets the one table and waits for the other, which the snapshot has read.
    let database = format!("{}acme", place.prefix);
    let mut locker = Operator::at(&place).await;
    let lock = format!("LOCK TABLES {database}.documents WRITE, {database}.meta WRITE; UNLOCK TABLES");
    let locking = tokio::spawn(async move { locker.run(lock).await });
    wait_for_a_waiting_statement(&mut Operator::at(&place).await, &database).await;
    let victim = snapshot.get(Space::Documents, b"key").await;
    assert!(matches!(victim, Err(StorageError::Busy(_))), "{victim:?}");
    for space in [Space::Meta, Space::Documents] {
        let late = snapshot.get(space, b"key").await;
        assert!(matches!(late, Err(StorageError::Transient(_))), "{late:?}");
    }
    locking.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_leave_a_connection_for_commits() {
    let Some(place) = Place::shared("mysql checks and commits") else { return };
    let provider = Place { max_connections: 2, ..place.clone() }.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let database = format!("{}acme", place.prefix);
    let mut operator = Operator::at(&place).await;
    operator.run(format!("LOCK TABLES {database}.meta_long WRITE")).await;
    let checks = [(); 2].map(|()| {
        let namespace = Arc::clone(&namespace);
        tokio::spawn(async move { namespace.check().await })
    });
    wait_for_a_waiting_statement(&mut Operator::at(&place).await, &database).await;
    let mut builder = CommitBuilder::new();
    commit_one(&*namespace, &mut builder, "key", "value").await.unwrap();
    operator.run("UNLOCK TABLES").await;
    for check in checks {
        assert_eq!(check.await.unwrap().unwrap().faults, []);
    }
}
