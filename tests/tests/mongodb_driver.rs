//! The Rust driver against the real binary: typed documents, pages, errors, sessions, transactions, streams.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use mongodb::bson::{Document, doc};
use mongodb::error::{ErrorKind, WriteFailure};
use mongodb::options::{IndexOptions, ReturnDocument};
use mongodb::{Client, Collection, IndexModel};
use nimbus_tests::{Installation, MongodbServer, Provider, on_one_provider, wait_until};

on_one_provider! { sqlite, Sqlite,
an_application_works, a_restart_keeps_what_was_acknowledged, a_write_in_flight_at_the_end_is_finished }
on_one_provider! { log, Log,
an_application_works, a_restart_keeps_what_was_acknowledged, a_write_in_flight_at_the_end_is_finished }

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(work)
}

fn an_application_works(provider: Provider) {
    for mode in [&[][..], &["--mongodb-replica-set", "rs0"]] {
        let installation = Installation::on(provider).expect("a provider of files needs nothing");
        let server = MongodbServer::start(&installation, mode);
        block_on(async {
            let client = Client::with_uri_str(server.uri()).await.expect("a client");
            let things = client.database("shop").collection("things");
            crud(&things).await;
            change_stream(&things).await;
            if !mode.is_empty() {
                transaction(&client, &things).await;
            }
            client.shutdown().await;
        });
        server.server.stop();
    }
}

async fn crud(things: &Collection<Document>) {
    let documents = (0..1000).map(|n| doc! { "_id": n, "n": n % 7, "tags": [n % 3, "x"] });
    assert_eq!(things.insert_many(documents).await.expect("inserted").inserted_ids.len(), 1000);
    let index = IndexModel::builder().keys(doc! { "n": 1, "_id": -1 }).build();
    assert_eq!(things.create_index(index).await.expect("an index").index_name, "n_1__id_-1");
    let found: Vec<Document> = things
        .find(doc! { "n": { "$gte": 5 }, "tags": 0 })
        .sort(doc! { "n": 1, "_id": -1 })
        .batch_size(17)
        .await
        .expect("a cursor")
        .try_collect()
        .await
        .expect("all pages");
    let expected: Vec<i32> = [5, 6]
        .into_iter()
        .flat_map(|rest| (0..1000).rev().filter(move |n| n % 7 == rest && n % 3 == 0))
        .collect();
    assert_eq!(found.iter().map(|d| d.get_i32("_id").expect("an id")).collect::<Vec<_>>(), expected);

    let unique = IndexOptions::builder().unique(true).build();
    let twice =
        things.create_index(IndexModel::builder().keys(doc! { "n": 1 }).options(unique).build()).await;
    assert!(twice.is_err(), "the values are not unique");
    let error = things.insert_one(doc! { "_id": 5 }).await.expect_err("a duplicate");
    let ErrorKind::Write(WriteFailure::WriteError(error)) = *error.kind else { panic!("{error}") };
    assert_eq!(error.code, 11000);

    let after = things
        .find_one_and_update(doc! { "_id": 5 }, doc! { "$inc": { "n": 100 } })
        .return_document(ReturnDocument::After)
        .await
        .expect("updated");
    assert_eq!(after, Some(doc! { "_id": 5, "n": 105, "tags": [2, "x"] }));
    let result =
        things.update_many(doc! { "n": 6 }, doc! { "$unset": { "tags": 1 } }).await.expect("updated");
    assert_eq!((result.matched_count, result.modified_count), (142, 142));
    assert_eq!(
        things.delete_many(doc! { "tags": { "$exists": false } }).await.expect("deleted").deleted_count,
        142
    );
    assert_eq!(things.count_documents(doc! {}).await.expect("counted"), 858);
}

async fn transaction(client: &Client, things: &Collection<Document>) {
    let mut session = client.start_session().await.expect("a session");
    session.start_transaction().await.expect("begun");
    things.delete_one(doc! { "_id": 0 }).session(&mut session).await.expect("deleted");
    assert_eq!(things.count_documents(doc! { "_id": 0 }).await.expect("counted"), 1, "not yet");
    session.commit_transaction().await.expect("committed");
    assert_eq!(things.count_documents(doc! { "_id": 0 }).await.expect("counted"), 0);

    session.start_transaction().await.expect("begun");
    things.delete_many(doc! {}).session(&mut session).await.expect("deleted");
    session.abort_transaction().await.expect("aborted");
    assert!(things.count_documents(doc! {}).await.expect("counted") > 0);
}

async fn change_stream(things: &Collection<Document>) {
    let mut stream = things.watch().await.expect("a stream");
    things.insert_one(doc! { "_id": "watched" }).await.expect("inserted");
    let event = tokio::time::timeout(Duration::from_mins(1), stream.next()).await.expect("in time");
    let event = event.expect("an event").expect("no error");
    assert_eq!(event.document_key, Some(doc! { "_id": "watched" }));
    let token = stream.resume_token();
    things.delete_one(doc! { "_id": "watched" }).await.expect("deleted");
    drop(stream);
    let mut resumed = things.watch().resume_after(token).await.expect("a stream");
    let event = tokio::time::timeout(Duration::from_mins(1), resumed.next()).await.expect("in time");
    let kind = event.expect("an event").expect("no error").operation_type;
    assert_eq!(kind, mongodb::change_stream::event::OperationType::Delete);
}

fn a_restart_keeps_what_was_acknowledged(provider: Provider) {
    let installation = Installation::on(provider).expect("a provider of files needs nothing");
    let server = MongodbServer::start(&installation, &[]);
    block_on(async {
        let client = Client::with_uri_str(server.uri()).await.expect("a client");
        let things = client.database("kept").collection("things");
        for n in 0..50 {
            things.insert_one(doc! { "_id": n }).await.expect("inserted");
        }
    });
    server.server.kill();
    let server = MongodbServer::start(&installation, &[]);
    block_on(async {
        let client = Client::with_uri_str(server.uri()).await.expect("a client");
        let things: Collection<Document> = client.database("kept").collection("things");
        assert_eq!(things.count_documents(doc! {}).await.expect("counted"), 50);
    });
    server.server.stop();
    assert!(installation.verify(&[]).status.success());
}

fn a_write_in_flight_at_the_end_is_finished(provider: Provider) {
    const DOCUMENTS: i32 = 20_000;
    let installation = Installation::on(provider).expect("a provider of files needs nothing");
    let server = MongodbServer::start(&installation, &[]);
    let http = server.server.client();
    block_on(async {
        let client = Client::with_uri_str(server.uri()).await.expect("a client");
        let things = client.database("kept").collection("things");
        let write =
            tokio::spawn(async move { things.insert_many((0..DOCUMENTS).map(|n| doc! { "_id": n })).await });
        let is_read = || http.get("/metrics").body.contains("commands_total{command=\"insert\"} 1\n");
        assert!(tokio::task::block_in_place(|| wait_until(is_read)), "the write was sent");
        server.server.terminate();
        let inserted = write.await.expect("no panic").expect("the write is answered").inserted_ids.len();
        assert_eq!(i32::try_from(inserted), Ok(DOCUMENTS));
    });
    assert!(server.server.wait().success());
    let server = MongodbServer::start(&installation, &[]);
    block_on(async {
        let client = Client::with_uri_str(server.uri()).await.expect("a client");
        let things: Collection<Document> = client.database("kept").collection("things");
        assert_eq!(i32::try_from(things.count_documents(doc! {}).await.expect("counted")), Ok(DOCUMENTS));
    });
    server.server.stop();
}
