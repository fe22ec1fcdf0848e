//! `find`, `count`, `distinct`, `aggregate`, `explain`.

use bson::{Bson, doc};

use super::{World, documents};

#[tokio::test]
async fn find_filters_orders_pages_and_projects() {
    let mut world = World::new().await;
    world.fill((0..6).map(|n| doc! { "_id": n, "n": n % 3, "name": format!("x{n}") })).await;
    let find = doc! {
        "find": "c", "filter": { "n": { "$gt": 0 } }, "sort": { "n": -1, "_id": 1 }, "skip": 1, "limit": 2,
        "projection": { "name": 1 },
    };
    let reply = world.ok("db", find).await;
    assert_eq!(
        reply,
        doc! { "cursor": {
            "firstBatch": [{ "_id": 5, "name": "x5" }, { "_id": 1, "name": "x1" }], "id": 0_i64, "ns": "db.c",
        } }
    );
    let collated = doc! {
        "find": "c", "filter": { "name": "X1" }, "collation": { "locale": "en", "strength": 2 },
    };
    assert_eq!(documents(&world.ok("db", collated).await, "firstBatch").len(), 1);
    assert_eq!(world.fails("db", doc! { "find": "c", "hint": "none_1" }).await.0, 2);
    assert_eq!(world.fails("db", doc! { "find": "c", "tailable": true }).await.0, 2);
}

#[tokio::test]
async fn count_and_distinct() {
    let mut world = World::new().await;
    world.fill((0..6).map(|n| doc! { "_id": n, "n": n % 3, "l": [n, 100] })).await;
    assert_eq!(world.ok("db", doc! { "count": "c", "query": { "n": 1 } }).await, doc! { "n": 2 });
    assert_eq!(world.ok("db", doc! { "count": "c", "skip": 4, "limit": 9 }).await, doc! { "n": 2 });
    assert_eq!(world.ok("db", doc! { "count": "none" }).await, doc! { "n": 0 });
    assert_eq!(world.ok("db", doc! { "distinct": "c", "key": "n" }).await, doc! { "values": [0, 1, 2] });
    let listed = world.ok("db", doc! { "distinct": "c", "key": "l", "query": { "n": 0 } }).await;
    assert_eq!(listed, doc! { "values": [0, 3, 100] });
}

#[tokio::test]
async fn pipelines_read_write_and_need_a_source() {
    let mut world = World::new().await;
    world.fill((0..6).map(|n| doc! { "_id": n, "n": n % 3 })).await;
    let aggregate = |stages: Vec<Bson>| doc! { "aggregate": "c", "pipeline": stages, "cursor": {} };
    let grouped = aggregate(vec![
        doc! { "$match": { "_id": { "$gt": 0 } } }.into(),
        doc! { "$group": { "_id": "$n", "count": { "$sum": 1 } } }.into(),
        doc! { "$sort": { "_id": 1 } }.into(),
    ]);
    assert_eq!(
        documents(&world.ok("db", grouped).await, "firstBatch"),
        [doc! { "_id": 0, "count": 1 }, doc! { "_id": 1, "count": 2 }, doc! { "_id": 2, "count": 2 }]
    );
    let written = aggregate(vec![doc! { "$match": { "n": 1 } }.into(), doc! { "$out": "d" }.into()]);
    assert!(documents(&world.ok("db", written).await, "firstBatch").is_empty());
    assert_eq!(world.ok("db", doc! { "count": "d" }).await, doc! { "n": 2 });
    let own = doc! { "aggregate": 1, "pipeline": [{ "$documents": [{ "x": 1 }] }], "cursor": {} };
    assert_eq!(documents(&world.ok("db", own).await, "firstBatch"), [doc! { "x": 1 }]);
    let none = doc! { "aggregate": 1, "pipeline": [{ "$match": {} }], "cursor": {} };
    assert_eq!(world.fails("db", none).await.0, 73);
    assert_eq!(world.fails("db", doc! { "aggregate": "c", "pipeline": [] }).await.0, 9);
    let unknown = world.fails("db", aggregate(vec![doc! { "$fly": {} }.into()])).await;
    assert_eq!(unknown.0, 40324);
    assert!(unknown.1.contains("$fly"));
}

#[tokio::test]
async fn explain_names_the_index() {
    let mut world = World::new().await;
    world.fill((0..6).map(|n| doc! { "_id": n, "n": n })).await;
    world.ok("db", doc! { "createIndexes": "c", "indexes": [{ "key": { "n": -1 }, "name": "n_-1" }] }).await;
    let explain =
        doc! { "explain": { "find": "c", "filter": { "n": { "$gt": 3 } } }, "verbosity": "executionStats" };
    let reply = world.ok("db", explain).await;
    let plan = reply.get_document("queryPlanner").unwrap().get_document("winningPlan").unwrap();
    let walk = plan.get_document("inputStage").unwrap();
    assert_eq!((plan.get_str("stage").ok(), walk.get_str("stage").ok()), (Some("FETCH"), Some("IXSCAN")));
    assert_eq!(
        (walk.get_str("indexName").ok(), walk.get_document("keyPattern").ok()),
        (Some("n_-1"), Some(&doc! { "n": -1 }))
    );
    let stats = reply.get_document("executionStats").unwrap();
    assert_eq!(
        (stats.get_i64("nReturned").ok(), stats.get_i64("totalDocsExamined").ok()),
        (Some(2), Some(2))
    );
    let other = doc! { "explain": { "delete": "c", "deletes": [{ "q": { "x": 1 }, "limit": 0 }] } };
    let plan = world.ok("db", other).await.get_document("queryPlanner").unwrap().to_string();
    assert!(plan.contains("COLLSCAN"), "{plan}");
    assert_eq!(world.fails("db", doc! { "explain": { "insert": "c" } }).await.0, 59);
}
