//! Work that is done again after a write conflict.

use bson::{Bson, rawdoc};
use nimbus_engine::{EngineError, Mutation, Result, Tenant, Transaction, Work};
use nimbus_types::TableName;

use crate::common::{Store, fill, n_of, side_by_side, table, tenant, verified};

/// Reads `n` of document 0, lets others run, and writes it back one greater.
struct Increment<'t> {
    table: &'t TableName,
    tries: usize,
}

impl Work for Increment<'_> {
    type Output = i32;

    async fn attempt(&mut self, transaction: &mut Transaction) -> Result<i32> {
        self.tries += 1;
        let id = Bson::Int32(0);
        let found = transaction.get(self.table, &id).await?;
        let n = found.map_or(0, |found| found.body().get_i32("n").unwrap());
        tokio::task::yield_now().await;
        transaction.patch(self.table, &id, &rawdoc! { "n": n + 1 }, &[], None).await?;
        Ok(n + 1)
    }
}

async fn increment_often(a: Tenant) -> usize {
    let table = table();
    let mut work = Increment { table: &table, tries: 0 };
    for _ in 0..5 {
        a.run(&mut work).await.unwrap();
    }
    work.tries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_conflicts_is_done_again_until_it_commits() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 1).await;
        let tries = side_by_side((0..8).map(|_| increment_often(a.clone()))).await;
        assert_eq!(n_of(&a, 0).await, 40);
        assert!(tries.iter().sum::<usize>() >= 40);
        verified(&a).await;
    }
}

/// Writes, then fails by itself.
struct Failing;

impl Work for Failing {
    type Output = ();

    async fn attempt(&mut self, transaction: &mut Transaction) -> Result<()> {
        transaction.insert(&table(), rawdoc! { "_id": 1 }).await?;
        transaction.delete(&table(), &Bson::Int32(77), None).await
    }
}

/// Conflicts with itself each time.
struct Hopeless(Tenant, usize);

impl Work for Hopeless {
    type Output = ();

    async fn attempt(&mut self, transaction: &mut Transaction) -> Result<()> {
        self.1 += 1;
        transaction.get(&table(), &Bson::Int32(0)).await?;
        let other = Mutation::Patch {
            table: table(),
            id: Bson::Int32(0),
            set: rawdoc! { "n": 1 },
            unset: vec![],
            if_version: None,
        };
        self.0.transact(vec![other]).await?;
        transaction.insert(&table(), rawdoc! { "n": 5 }).await.map(drop)
    }
}

#[tokio::test]
async fn other_failures_and_hopeless_conflicts_are_told() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 1).await;
    assert!(matches!(a.run(Failing).await, Err(EngineError::DocumentNotFound { .. })));
    assert!(a.get(&table(), &Bson::Int32(1)).await.unwrap().is_none());
    let mut hopeless = Hopeless(a.clone(), 0);
    assert!(matches!(a.run(&mut hopeless).await, Err(EngineError::WriteConflict)));
    assert!(hopeless.1 > 1);
}

#[tokio::test]
async fn work_goes_on_from_a_view_unless_there_was_a_commit_since() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 1).await;
        let table = table();
        let mut work = Increment { table: &table, tries: 0 };
        let view = a.view().await.unwrap();
        let (n, first) = a.run_from(Some(view), &mut work).await.unwrap();
        let stale = a.view().await.unwrap();
        assert_eq!((stale.position(), stale.collation(&table)), (first, None));
        a.run(&mut work).await.unwrap();
        let (later, _) = a.run_from(Some(stale), &mut work).await.unwrap();
        assert_eq!((later, work.tries), (n + 2, 3), "no try is lost to a conflict");
        verified(&a).await;
    }
}
