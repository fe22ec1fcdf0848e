//! Nothing of one tenant shows in anything another tenant is told.
//!
//! Tenants have the same tables, ids and indexes; each writes a word of its own (a canary) into every
//! place a client may write to.

use bson::{Bson, Document, RawDocumentBuf, doc, rawdoc};
use nimbus_engine::{
    Engine, FieldSchema, FieldType, IndexSchema, JournalChange, Mutation, Query, StoredDocument, TableSchema,
    Tenant,
};
use nimbus_query::{Filter, Predicate, SortKey};
use nimbus_types::index::IndexField;
use nimbus_types::{ErrorKind, Sequence};

use crate::common::{Store, delete, insert, matching, set, side_by_side, table, tenant};

const TENANTS: [&str; 4] = ["heron", "HERON", "heron-", "ibis"];
const CANARIES: [&str; 4] = ["kestrel", "magpie", "nuthatch", "osprey"];

fn schema(canary: &str) -> TableSchema {
    let index = |name: String, path: &str, unique| IndexSchema {
        name,
        fields: vec![IndexField { path: path.into(), descending: false }],
        unique,
        ..IndexSchema::default()
    };
    let required = FieldSchema { name: "word".into(), field_type: FieldType::String, required: true };
    let own = FieldSchema { name: canary.into(), field_type: FieldType::Any, required: false };
    TableSchema {
        table: table(),
        fields: vec![required, own],
        indexes: vec![
            index(format!("{canary}_word"), "word", true),
            index(format!("{canary}_own"), canary, false),
        ],
    }
}

async fn write_round(a: &Tenant, canary: &str, round: i32) {
    let fields = doc! { "_id": round, "word": format!("{canary} {round}"), canary: { canary: [canary] } };
    a.transact(insert(RawDocumentBuf::try_from(&fields).unwrap())).await.unwrap();
    if round % 3 == 0 {
        a.transact(set(round, rawdoc! { "word": format!("{canary} again {round}") })).await.unwrap();
    }
    if round % 5 == 4 {
        a.transact(delete(round)).await.unwrap();
    }
}

fn show(documents: &[StoredDocument]) -> String {
    let bodies = documents.iter().map(|document| Document::try_from(document.body()).unwrap());
    format!("{:?}", bodies.collect::<Vec<_>>())
}

/// Everything a tenant can be told.
async fn told(a: &Tenant, canary: &str) -> Vec<String> {
    let mut told = vec![format!("{:?} {:?}", a.metrics(), a.schemas().await.unwrap())];
    let by_word = Query {
        filter: Filter::Field { path: "word".into(), predicate: Predicate::Gt("".into()) },
        sort: vec![SortKey { path: "word".into(), descending: true }],
        ..Query::all(table())
    };
    for query in [Query::all(table()), by_word, matching(canary, Predicate::Exists(true))] {
        told.push(show(&a.find(&query).await.unwrap()));
        told.push(format!("{:?}", a.explain(&query).await.unwrap()));
        let page = a.find_page(&query, 3, None).await.unwrap();
        told.push(format!("{} {:?}", show(&page.documents), page.next_cursor));
    }
    for entry in a.journal(None, 1_000).await.unwrap().entries {
        for change in entry.changes {
            told.push(match change {
                JournalChange::Put { table, document } => format!("{table} {}", show(&[document])),
                other => format!("{other:?}"),
            });
        }
    }
    told.push(format!("{:?}", a.verify().await.unwrap()));
    told.extend(refusals(a, canary).await);
    told
}

/// The errors a tenant can get, as text and in detail.
async fn refusals(a: &Tenant, canary: &str) -> Vec<String> {
    let replace = |id: i32, if_version| {
        let fields = rawdoc! { "word": canary };
        vec![Mutation::Replace { table: table(), id: Bson::Int32(id), fields, if_version }]
    };
    let attempts = [
        insert(rawdoc! { "_id": 0, "word": "new" }),
        insert(rawdoc! { "_id": 100, "word": format!("{canary} 1") }),
        insert(rawdoc! { "_id": 100, "word": 1 }),
        delete(4),
        replace(1, Some(Sequence(1_000_000))),
        replace(400, None),
        set(1, rawdoc! { "_id": 2 }),
    ];
    let mut told = Vec::new();
    for attempt in attempts {
        let error = a.transact(attempt).await.unwrap_err();
        told.push(format!("{error} {error:?} {:?}", error.detail()));
    }
    let error = a.find_page(&Query::all(table()), 3, Some("made up")).await.unwrap_err();
    told.push(format!("{error} {error:?}"));
    told
}

async fn fill_interleaved(engine: &Engine) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for (id, canary) in TENANTS.iter().zip(CANARIES) {
        let a = tenant(engine, id).await;
        a.set_schema(schema(canary)).await.unwrap();
        tenants.push(a);
    }
    for round in 0..10 {
        let writers = tenants.clone().into_iter().zip(CANARIES);
        side_by_side(writers.map(|(a, canary)| async move { write_round(&a, canary, round).await })).await;
    }
    tenants
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_canary_of_one_shows_in_what_another_is_told() {
    for store in Store::all().await {
        let engine = store.engine();
        let tenants = fill_interleaved(&engine).await;
        for (a, canary) in tenants.iter().zip(CANARIES) {
            let told = told(a, canary).await;
            assert!(told.iter().any(|text| text.contains(canary)), "the search would find one");
            for other in CANARIES.iter().filter(|other| **other != canary) {
                for text in &told {
                    assert!(!text.contains(other), "{}: {text}", a.id());
                }
            }
        }
        let totals = format!("{:?} {:?}", engine.metrics(), engine.list_tenants().await.unwrap());
        assert!(CANARIES.iter().all(|canary| !totals.contains(canary)), "{totals}");
    }
}

#[tokio::test]
async fn a_cursor_of_one_tenant_is_refused_by_another() {
    let engine = Store::reference().engine();
    let tenants = fill_interleaved(&engine).await;
    let sorted =
        Query { sort: vec![SortKey { path: "word".into(), descending: false }], ..Query::all(table()) };
    for query in [Query::all(table()), sorted] {
        let cursor = tenants[0].find_page(&query, 2, None).await.unwrap().next_cursor.unwrap();
        assert!(tenants[0].find_page(&query, 2, Some(&cursor)).await.is_ok());
        for other in &tenants[1..] {
            let refused = other.find_page(&query, 2, Some(&cursor)).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
        }
    }
}

#[tokio::test]
async fn deleting_one_tenant_leaves_the_others() {
    for store in Store::all().await {
        let engine = store.engine();
        let tenants = fill_interleaved(&engine).await;
        engine.delete_tenant(tenants[0].id()).await.unwrap();
        for (a, canary) in tenants.iter().zip(CANARIES).skip(1) {
            let query = matching("word", Predicate::Prefix(canary.into()));
            assert_eq!(a.find(&query).await.unwrap().len(), 8);
            assert!(a.verify().await.unwrap().ok);
        }
        assert!(tenants[0].find(&Query::all(table())).await.is_err());
    }
}
