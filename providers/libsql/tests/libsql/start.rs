//! Wrong settings fail the start with one clear line, and nothing that is printed holds a credential.

use std::sync::Arc;

use nimbus_libsql::{LibsqlOptions, LibsqlProvider};
use nimbus_namespace::conformance::CommitBuilder;
use nimbus_namespace::{NamespaceProvider, StorageError};
use nimbus_test_servers::Sqld;

use crate::world::{World, commit, create_and_open};

const WRONG: &str = "wrong-secret-word";

async fn refusal(options: LibsqlOptions<'_>) -> String {
    let error = LibsqlProvider::connect(options).await.err().unwrap();
    let text = format!("{error} {error:?}");
    assert!(!text.contains(WRONG) && !text.contains('\n'), "{text}");
    error.to_string()
}

#[tokio::test]
async fn each_wrong_setting_is_told_by_name_without_its_value() {
    let Some(world) = World::shared("wrong settings of libSQL") else { return };
    let cache = world.cache("own");
    let right = world.options(&cache);
    let with_password = format!("http://user:{WRONG}@localhost:1");
    let encrypted = world.url.replace("http:", "https:");
    let cases = [
        (LibsqlOptions { url: &encrypted, ..right }, "cannot be reached"),
        (LibsqlOptions { url: &with_password, ..right }, "the libSQL URL is wrong"),
        (LibsqlOptions { url: "ws://localhost", ..right }, "the libSQL URL is wrong"),
        (LibsqlOptions { admin_url: "", ..right }, "the libSQL admin URL is wrong"),
        (
            LibsqlOptions { auth_token: Some("wrong-secret-word\n"), ..right },
            "the libSQL auth token is wrong",
        ),
        (
            LibsqlOptions { auth_token: Some(WRONG), ..right },
            "primary refuses the credentials (at 127.0.0.1:",
        ),
        (LibsqlOptions { auth_token: None, ..right }, "primary refuses the credentials (at 127.0.0.1:"),
        (LibsqlOptions { admin_auth_header: Some(WRONG), ..right }, "admin API refuses the credentials (at"),
        (LibsqlOptions { admin_auth_header: None, ..right }, "admin API refuses the credentials (at"),
        (LibsqlOptions { url: "http://127.0.0.1:1", ..right }, "127.0.0.1:1 cannot be reached"),
        (LibsqlOptions { admin_url: "http://127.0.0.1:1", ..right }, "cannot be reached (at 127.0.0.1:1)"),
        (LibsqlOptions { tenant_namespace_prefix: "T-", ..right }, "the tenant namespace prefix is wrong"),
        (LibsqlOptions { metadata_namespace: "a.b", ..right }, "the metadata namespace is wrong"),
    ];
    for (options, expected) in cases {
        let refusal = refusal(options).await;
        assert!(refusal.contains(expected), "{refusal:?} does not say {expected:?}");
    }
}

#[tokio::test]
async fn a_newer_metadata_format_is_refused_by_its_number() {
    let Some(world) = World::shared("a newer format on libSQL") else { return };
    drop(world.connect("own").await);
    let newer = ["UPDATE format SET version = 2".to_owned()];
    crate::world::Operator::of(&world).execute(&world.metadata, &newer).await;
    let refusal = refusal(world.options(&world.cache("own"))).await;
    assert!(refusal.contains("format version is 2; this nimbus reads version 1"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_may_start_at_once_on_an_empty_server() {
    let Some(world) = World::shared("two first starts on libSQL") else { return };
    let world = Arc::new(world);
    let starts: Vec<_> = (0..6)
        .map(|n| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { drop(world.connect(&n.to_string()).await) })
        })
        .collect();
    for start in starts {
        start.await.unwrap();
    }
}

#[tokio::test]
async fn credentials_stand_in_no_error_while_it_runs() {
    let Some(mut server) = Sqld::start("secrets of libSQL") else { return };
    let world = World::on(&server);
    let provider = world.connect("own").await;
    let mut builder = CommitBuilder::new();
    let namespace = create_and_open(&provider, "acme").await;
    commit(&*namespace, &mut builder, "key", "value").await;
    server.stop();
    let group = builder.clone().group([vec![]]);
    let errors: Vec<StorageError> = vec![
        namespace.commit(builder.sequence(), group).await.unwrap_err(),
        namespace.read_log(builder.sequence(), 1).await.err().unwrap_or(StorageError::NotFound),
        provider.create(&crate::world::tenant("b")).await.unwrap_err(),
        provider.list().await.unwrap_err(),
    ];
    for error in errors {
        let text = format!("{error} {error:?}");
        for secret in [world.token, world.admin_header, "admin-key-of-tests", &server.port().to_string()] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
