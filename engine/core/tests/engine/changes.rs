//! The feed of changes: in commit order, each once, from wherever it is taken up, and awaited.

use std::sync::Arc;
use std::time::Duration;

use bson::{Bson, doc, rawdoc};
use nimbus_engine::{
    ChangeKind, ChangeRecord, Engine, EngineError, EngineOptions, Mutation, Result, TableOptions, Tenant,
    Transaction, Work,
};
use nimbus_types::{Sequence, TableName};

use crate::common::{
    Store, delete, fill, indexed, insert, set, side_by_side, table, tenant, tenant_id, until,
};

/// Long enough that a wake-up that is lost shows as a test that hangs.
const LONG: Duration = Duration::from_mins(10);

fn name(text: &str) -> TableName {
    TableName::parse(text).unwrap()
}

/// What happened, for comparison: the table, a word, and the `_id` or other name.
fn told(change: &ChangeRecord) -> (String, &'static str, String) {
    let id = |document: &nimbus_engine::StoredDocument| Bson::try_from(document.id()).unwrap().to_string();
    let (word, what) = match &change.kind {
        ChangeKind::Insert { document } => ("insert", id(document)),
        ChangeKind::Replace { document } => ("replace", id(document)),
        ChangeKind::Update { document, .. } => ("update", id(document)),
        ChangeKind::Delete { id } => ("delete", id.to_string()),
        ChangeKind::Create => ("create", String::new()),
        ChangeKind::Drop => ("drop", String::new()),
        ChangeKind::Rename { to } => ("rename", to.clone()),
        ChangeKind::Modify => ("modify", String::new()),
    };
    (change.table.clone(), word, what)
}

/// All changes after `after`, read by pages of at most `limit` commits.
async fn all(a: &Tenant, mut after: Sequence, limit: usize) -> Vec<ChangeRecord> {
    let mut changes = Vec::new();
    loop {
        let page = a.changes(after, limit).await.unwrap();
        changes.extend(page.changes);
        after = page.next;
        if !page.more {
            return changes;
        }
    }
}

/// What happened to documents, and what tables were dropped or renamed.
fn of_documents(changes: &[ChangeRecord]) -> Vec<(String, &'static str, String)> {
    changes.iter().map(told).filter(|(_, word, _)| !["create", "modify"].contains(word)).collect()
}

fn events(words: &[(&str, &'static str, &str)]) -> Vec<(String, &'static str, String)> {
    words.iter().map(|(table, word, what)| ((*table).to_owned(), *word, (*what).to_owned())).collect()
}

/// Inserts, replaces and updates one document each, in one transaction.
struct Three;

impl Work for Three {
    type Output = ();

    async fn attempt(&mut self, transaction: &mut Transaction) -> Result<()> {
        transaction.insert(&table(), rawdoc! { "_id": 3 }).await?;
        transaction.replace(&table(), &Bson::Int32(1), rawdoc! { "new": true }, None).await?;
        let delta = doc! { "updatedFields": { "n": 7 }, "removedFields": [], "truncatedArrays": [] };
        transaction.update(&table(), &Bson::Int32(2), rawdoc! { "n": 7 }, &delta).await
    }
}

#[tokio::test]
async fn each_kind_of_change_is_told_in_order_and_from_any_place() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        fill(&a, 3).await;
        a.run(Three).await.unwrap();
        a.transact(delete(0)).await.unwrap();
        a.transact(set(1, rawdoc! { "more": 1 })).await.unwrap();
        let things = |word, what| ("things", word, what);
        let expected = events(&[
            things("insert", "0"),
            things("insert", "1"),
            things("insert", "2"),
            things("replace", "1"),
            things("update", "2"),
            things("insert", "3"),
            things("delete", "0"),
            things("update", "1"),
        ]);
        for limit in [1, 2, 100] {
            let changes = all(&a, Sequence::ZERO, limit).await;
            assert_eq!(of_documents(&changes), expected);
            let places: Vec<_> =
                changes.iter().map(|change| (change.sequence, change.index_in_commit)).collect();
            assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
            for (at, change) in changes.iter().enumerate() {
                let rest = all(&a, change.sequence, limit).await;
                let later = changes[at..].iter().filter(|later| later.sequence > change.sequence);
                assert!(rest.iter().map(told).eq(later.map(told)));
            }
        }
        let delta = all(&a, Sequence::ZERO, 9).await.into_iter().find_map(|change| match change.kind {
            ChangeKind::Update { delta, document } if document.id().as_i32() == Some(2) => Some(delta),
            _ => None,
        });
        assert_eq!(delta.unwrap().get_document("updatedFields").unwrap(), &doc! { "n": 7 });
        let head = a.head().await.unwrap();
        let page = a.changes(head.sequence, 5).await.unwrap();
        assert!(page.changes.is_empty() && !page.more && page.next == head.sequence);
    }
}

#[tokio::test]
async fn tables_that_go_or_change_their_name_are_told_by_the_name_they_had() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        let put =
            |table: &str, id: i32| Mutation::Insert { table: name(table), fields: rawdoc! { "_id": id } };
        a.transact(vec![put("old", 1)]).await.unwrap();
        a.transact(vec![put("other", 2)]).await.unwrap();
        a.rename_table(&name("old"), &name("new"), false).await.unwrap();
        a.transact(vec![put("new", 3)]).await.unwrap();
        a.create_table(&name("old"), TableOptions::default()).await.unwrap();
        a.transact(vec![put("old", 4)]).await.unwrap();
        a.rename_table(&name("new"), &name("other"), true).await.unwrap();
        assert!(a.drop_table(&name("old")).await.unwrap());
        // The documents of dropped tables go after a while, of which nothing is told.
        until(|| async { a.verify().await.unwrap().counts.documents == 2 }).await;
        let changes: Vec<_> = all(&a, Sequence::ZERO, 3).await.iter().map(told).collect();
        let expected = events(&[
            ("other", "create", ""),
            ("other", "insert", "2"),
            ("new", "insert", "3"),
            ("old", "create", ""),
            ("old", "insert", "4"),
            ("other", "drop", ""),
            ("new", "rename", "other"),
            ("old", "drop", ""),
        ]);
        let told = changes.iter().filter(|change| expected.contains(change));
        let mut told: Vec<_> = told.cloned().collect();
        // The keys of one commit come in their own order.
        told.sort_by_key(|change| expected.iter().position(|expected| expected == change));
        assert_eq!(told, expected, "{changes:?}");
        assert!(changes.iter().all(|(_, word, _)| *word != "delete"), "{changes:?}");
        let last = &changes[changes.len() - 1];
        assert_eq!((last.0.as_str(), last.1), ("old", "drop"));
    }
}

#[tokio::test]
async fn what_the_engine_keeps_for_itself_is_not_told() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    let mut txn = a.begin().await.unwrap();
    txn.put_session_record(b"session", doc! { "secret": 1 }).await.unwrap();
    txn.insert(&table(), rawdoc! { "_id": 1 }).await.unwrap();
    txn.commit().await.unwrap();
    let page = a.changes(Sequence::ZERO, 100).await.unwrap();
    assert_eq!(of_documents(&page.changes), events(&[("things", "insert", "1")]));
    assert!(page.changes.iter().all(|change| change.table == "things"), "{page:?}");
}

#[tokio::test]
async fn a_log_that_no_longer_reaches_back_is_told() {
    for store in Store::all().await {
        let options = EngineOptions { log_retain_commits: 10, ..EngineOptions::default() };
        let engine = Engine::new(store.provider.clone(), options);
        let a = tenant(&engine, "a").await;
        let is_lost =
            |answer: Result<_>| matches!(answer, Err(EngineError::Query(error)) if error.code == 286);
        fill(&a, 1).await;
        assert!(!is_lost(a.changes(Sequence::ZERO, 1).await.map(drop)));
        for n in 0..1_100 {
            a.transact(set(0, rawdoc! { "n": n })).await.unwrap();
        }
        until(|| async { is_lost(a.changes(Sequence::ZERO, 1).await.map(drop)) }).await;
        assert!(a.changes(Sequence(1_095), 10).await.is_ok());
    }
}

/// Follows the feed from the beginning until it has told of `count` inserts.
async fn follow(a: Tenant, count: usize) -> Vec<i32> {
    let (mut met, mut after) = (Vec::new(), Sequence::ZERO);
    while met.len() < count {
        assert!(a.wait_past(after, LONG).await.unwrap());
        let page = a.changes(after, 3).await.unwrap();
        assert!(page.next > after, "a wake-up means that there is something");
        after = page.next;
        for change in page.changes {
            if let ChangeKind::Insert { document } = change.kind {
                met.push(document.id().as_i32().unwrap());
            }
        }
    }
    met
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_of_many_writers_is_told_exactly_once() {
    for store in Store::all().await {
        let engine = store.engine();
        let a = tenant(&engine, "a").await;
        let followers: Vec<_> = (0..3).map(|_| tokio::spawn(follow(a.clone(), 8 * 12))).collect();
        let writers = (0..8).map(|writer| {
            let a = a.clone();
            async move {
                for n in 0..12 {
                    a.transact(insert(rawdoc! { "_id": writer * 100 + n })).await.unwrap();
                    if n % 3 == writer % 3 {
                        tokio::time::sleep(Duration::from_micros(300)).await;
                    }
                }
            }
        });
        side_by_side(writers).await;
        for follower in followers {
            let mut met = follower.await.unwrap();
            assert_eq!(met.len(), 96);
            met.sort_unstable();
            met.dedup();
            assert_eq!(met.len(), 96);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_this_server_wakes_at_once_and_a_wait_without_one_ends() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    fill(&a, 1).await;
    let head = a.head().await.unwrap().sequence;
    assert!(a.wait_past(Sequence(head.0 - 1), Duration::ZERO).await.unwrap(), "there is one already");
    assert!(!a.wait_past(head, Duration::from_millis(700)).await.unwrap());
    for n in 0..20 {
        let head = a.head().await.unwrap().sequence;
        let waiting = tokio::spawn({
            let a = a.clone();
            async move { a.wait_past(head, LONG).await.unwrap() }
        });
        tokio::task::yield_now().await;
        let before = tokio::time::Instant::now();
        a.transact(set(0, rawdoc! { "n": n })).await.unwrap();
        assert!(waiting.await.unwrap());
        // The clock stands while anybody has something to do, so that no time has passed.
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}

#[tokio::test]
async fn a_commit_of_another_server_wakes_too() {
    let store = Store::reference();
    let (ours, other) = (store.engine(), store.engine());
    let a = tenant(&ours, "a").await;
    let b = other.tenant(&tenant_id("a")).await.unwrap();
    fill(&a, 1).await;
    let head = a.head().await.unwrap().sequence;
    let waiting = tokio::spawn({
        let a = a.clone();
        async move { a.wait_past(head, LONG).await.unwrap() }
    });
    b.transact(insert(rawdoc! { "_id": 5 })).await.unwrap();
    assert!(waiting.await.unwrap());
    assert_eq!(
        of_documents(&a.changes(head, 10).await.unwrap().changes),
        events(&[("things", "insert", "5")])
    );
}

#[tokio::test]
async fn whoever_waits_learns_that_the_tenant_is_gone() {
    let engine = Store::reference().engine();
    let a = tenant(&engine, "a").await;
    a.set_schema(indexed(false, &["n"])).await.unwrap();
    let head = a.head().await.unwrap().sequence;
    let waiting = tokio::spawn(async move { a.wait_past(head, LONG).await });
    tokio::task::yield_now().await;
    engine.delete_tenant(&tenant_id("a")).await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(EngineError::TenantNotFound(_))));
    drop(Arc::new(engine));
}
