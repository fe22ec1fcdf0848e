//! The directory over a server in memory: killed after every step, and two of them racing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::*;

/// What all servers share.
#[derive(Default)]
struct Server {
    rows: BTreeMap<TenantId, TenantRow>,
    remnants: BTreeMap<NamespaceName, (TenantId, u64)>,
    present: BTreeSet<NamespaceName>,
    held: BTreeSet<NamespaceName>,
}

/// One process's connection to it, which takes so many calls and then no more.
struct Connection {
    server: Arc<Mutex<Server>>,
    calls_left: AtomicUsize,
    /// Whether the last call is carried out, and only its answer lost.
    loses_answer: bool,
    /// Turns that each call takes, by a generator of its own.
    turns: AtomicUsize,
    /// Between the two statements that make a namespace.
    pause_in_make: Duration,
}

impl Connection {
    fn new(server: &Arc<Mutex<Server>>) -> Self {
        Self {
            server: Arc::clone(server),
            calls_left: usize::MAX.into(),
            loses_answer: false,
            turns: 0.into(),
            pause_in_make: Duration::ZERO,
        }
    }

    async fn call<T>(&self, work: impl FnOnce(&mut Server) -> Result<T>) -> Result<T> {
        let turns = self.turns.load(Ordering::Relaxed);
        self.turns.store(
            turns.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(turns.min(1) * 1_442_695),
            Ordering::Relaxed,
        );
        for _ in 0..turns >> 60 {
            tokio::task::yield_now().await;
        }
        let lost = || StorageError::Unavailable("the connection is lost".into());
        let left = self.calls_left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(lost());
        }
        self.calls_left.store(left - 1, Ordering::Relaxed);
        if left == 1 && !self.loses_answer {
            return Err(lost());
        }
        let answer = work(&mut self.server.lock());
        if left == 1 { Err(lost()) } else { answer }
    }
}

impl Catalog for Connection {
    const LONGEST_NAME_BYTES: usize = 63;

    async fn row(&self, tenant: &TenantId) -> Result<Option<TenantRow>> {
        self.call(|server| Ok(server.rows.get(tenant).copied())).await
    }

    async fn replace(
        &self,
        tenant: &TenantId,
        from: Option<TenantRow>,
        to: TenantRow,
        remnant: RemnantChange<'_>,
    ) -> Result<bool> {
        self.call(|server| {
            if server.rows.get(tenant).copied() != from {
                return Ok(false);
            }
            server.rows.insert(tenant.clone(), to);
            match remnant {
                RemnantChange::Note(name) => {
                    server.remnants.insert(name.clone(), (tenant.clone(), to.generation));
                }
                RemnantChange::Forget(name) => {
                    server.remnants.remove(name);
                }
            }
            Ok(true)
        })
        .await
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        let ready = |server: &mut Server| {
            let rows = server.rows.iter().filter(|(_, row)| row.state == TenantState::Ready);
            Ok(rows.map(|(tenant, _)| tenant.clone()).collect())
        };
        self.call(ready).await
    }

    async fn remnants(&self) -> Result<Vec<Remnant>> {
        let noted = |server: &mut Server| {
            let remnants = server.remnants.iter().map(|(name, (tenant, generation))| Remnant {
                name: name.clone(),
                tenant: tenant.clone(),
                generation: *generation,
            });
            Ok(remnants.collect())
        };
        self.call(noted).await
    }

    async fn forget_remnant(&self, name: &NamespaceName) -> Result<()> {
        self.call(|server| {
            server.remnants.remove(name);
            Ok(())
        })
        .await
    }

    async fn exists(&self, name: &NamespaceName) -> Result<bool> {
        self.call(|server| Ok(server.present.contains(name))).await
    }

    async fn make(&self, name: &NamespaceName, _: &TenantId) -> Result<()> {
        let insert = |server: &mut Server| server.present.insert(name.clone());
        self.call(|server| if insert(server) { Ok(()) } else { Err(StorageError::AlreadyExists) }).await?;
        tokio::time::sleep(self.pause_in_make).await;
        // Its tables come with a statement of their own, and by then another server may have cleared it. Some
        // servers say that it is missing, others that a table is.
        let is_there = |server: &mut Server| server.present.contains(name);
        let missing = || StorageError::Corruption("a table is missing".into());
        self.call(|server| if is_there(server) { Ok(()) } else { Err(missing()) }).await
    }

    async fn destroy(&self, name: &NamespaceName) -> Result<bool> {
        self.call(|server| {
            let free = !server.held.contains(name);
            if free {
                server.present.remove(name);
            }
            Ok(free)
        })
        .await
    }
}

fn directory(connection: Connection) -> Directory<Connection> {
    Directory::new(Arc::new(connection), Prefix::parse("tenant_").unwrap())
}

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

/// After a sweep the server holds the namespaces of ready tenants and nothing else of ours.
async fn assert_tidy(server: &Arc<Mutex<Server>>, directory: &Directory<Connection>) {
    assert!(directory.sweep().await.unwrap());
    let tenants = directory.list().await.unwrap();
    let mut expected = BTreeSet::new();
    for tenant in &tenants {
        expected.insert(directory.find(tenant).await.unwrap());
    }
    let server = server.lock();
    assert_eq!(server.present, expected);
    let abandoned = |tenant| server.rows.get(tenant).is_some_and(|row| row.state == TenantState::Creating);
    assert!(server.remnants.values().all(|(tenant, _)| abandoned(tenant)), "{:?}", server.remnants);
}

#[tokio::test]
async fn a_tenant_is_made_found_removed_and_made_anew_under_another_name() {
    let server = Arc::default();
    let directory = directory(Connection::new(&server));
    assert!(matches!(directory.find(&acme()).await, Err(StorageError::NotFound)));
    assert!(matches!(directory.remove(&acme()).await, Err(StorageError::NotFound)));
    directory.create(&acme()).await.unwrap();
    assert!(matches!(directory.create(&acme()).await, Err(StorageError::AlreadyExists)));
    let first = directory.find(&acme()).await.unwrap();
    assert_eq!(directory.list().await.unwrap(), [acme()]);
    directory.remove(&acme()).await.unwrap();
    assert!(matches!(directory.find(&acme()).await, Err(StorageError::NotFound)));
    directory.create(&acme()).await.unwrap();
    assert_ne!(directory.find(&acme()).await.unwrap(), first);
    assert_tidy(&server, &directory).await;
}

#[tokio::test(start_paused = true)]
async fn a_kill_after_any_step_leaves_what_the_next_use_clears() {
    for loses_answer in [false, true] {
        for calls in 0..16 {
            for removes in [false, true] {
                let server = Arc::default();
                let healthy = directory(Connection::new(&server));
                if removes {
                    healthy.create(&acme()).await.unwrap();
                }
                let dying = Connection { calls_left: calls.into(), loses_answer, ..Connection::new(&server) };
                let dying = directory(dying);
                let told = if removes { dying.remove(&acme()).await } else { dying.create(&acme()).await };

                let there = healthy.find(&acme()).await.is_ok();
                if told.is_ok() {
                    assert_eq!(there, !removes, "calls {calls}, loses answer {loses_answer}");
                }
                match healthy.create(&acme()).await {
                    Ok(()) => assert!(!there),
                    Err(error) => assert!(there && matches!(error, StorageError::AlreadyExists), "{error}"),
                }
                assert_tidy(&server, &healthy).await;
                healthy.remove(&acme()).await.unwrap();
                assert_tidy(&server, &healthy).await;
                assert!(server.lock().present.is_empty() && server.lock().remnants.is_empty());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_servers_that_make_one_tenant_at_most_one_is_told_that_it_did() {
    for seed in 1..400_usize {
        let server = Arc::default();
        let connect = |salt: usize| {
            let turns = (seed * 31 + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            directory(Connection { turns: turns.into(), ..Connection::new(&server) })
        };
        let (a, b, c) = (connect(1), connect(2), connect(3));
        let (made_a, made_b) = tokio::join!(a.create(&acme()), b.create(&acme()));
        let made = usize::from(made_a.is_ok()) + usize::from(made_b.is_ok());
        assert!(made <= 1, "seed {seed}");
        assert_eq!(c.find(&acme()).await.is_ok(), made == 1, "seed {seed}: {made_a:?} {made_b:?}");
        assert_tidy(&server, &c).await;

        let (made, removed) = tokio::join!(a.create(&acme()), b.remove(&acme()));
        let there = c.find(&acme()).await.is_ok();
        match (made.is_ok(), removed.is_ok()) {
            (true, false) => assert!(there, "seed {seed}"),
            (false, true) => assert!(!there, "seed {seed}"),
            _ => {}
        }
        assert_tidy(&server, &c).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_is_cleared_halfway_is_told_that_another_came_first() {
    let server = Arc::default();
    let slow = Connection { pause_in_make: Duration::from_mins(1), ..Connection::new(&server) };
    let (slow, quick) = (directory(slow), directory(Connection::new(&server)));
    let begun = slow.create(&acme());
    tokio::time::sleep(Duration::from_millis(500)).await;
    quick.create(&acme()).await.unwrap();
    assert!(matches!(begun.await, Err(StorageError::AlreadyExists)));
    assert_tidy(&server, &quick).await;
}

#[tokio::test(start_paused = true)]
async fn a_creation_under_way_is_waited_for_and_not_taken_over() {
    for removes in [false, true] {
        let server = Arc::default();
        let slow = Connection { pause_in_make: Duration::from_secs(1), ..Connection::new(&server) };
        let (slow, other) = (directory(slow), directory(Connection::new(&server)));
        let begun = slow.create(&acme());
        tokio::time::sleep(Duration::from_millis(500)).await;
        if removes {
            other.remove(&acme()).await.unwrap();
        } else {
            assert!(matches!(other.create(&acme()).await, Err(StorageError::AlreadyExists)));
        }
        begun.await.unwrap();
        assert_eq!(other.find(&acme()).await.is_err(), removes);
        assert_tidy(&server, &other).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_in_use_goes_as_soon_as_it_is_free_and_its_id_is_free_at_once() {
    let server: Arc<Mutex<Server>> = Arc::default();
    let directory = directory(Connection::new(&server));
    directory.create(&acme()).await.unwrap();
    let held = directory.find(&acme()).await.unwrap();
    server.lock().held.insert(held.clone());
    directory.remove(&acme()).await.unwrap();
    directory.create(&acme()).await.unwrap();
    assert!(server.lock().present.contains(&held));
    assert!(!directory.sweep().await.unwrap(), "it is still in use");
    server.lock().held.clear();
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(!server.lock().present.contains(&held), "nobody came back for it");
    assert_tidy(&server, &directory).await;
}

#[tokio::test]
async fn what_somebody_else_keeps_under_a_name_of_ours_is_left_alone() {
    let server: Arc<Mutex<Server>> = Arc::default();
    let directory = directory(Connection::new(&server));
    let foreign = NamespaceName::stored("tenant_acme").unwrap();
    server.lock().present.insert(foreign.clone());
    directory.create(&acme()).await.unwrap();
    assert_ne!(directory.find(&acme()).await.unwrap(), foreign);
    directory.remove(&acme()).await.unwrap();
    assert!(directory.sweep().await.unwrap());
    assert_eq!(server.lock().present, BTreeSet::from([foreign]));
}
