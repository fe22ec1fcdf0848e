//! What stops a start, in one clear line, and what stands in no line at all.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use nimbus_namespace::conformance::CommitBuilder;
use nimbus_namespace::{NamespaceProvider, StorageError};
use nimbus_test_servers::{Mariadb, PASSWORD, unique};
use nimbus_types::Sequence;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Operator, Place, commit_one, create_and_open, tenant};

/// The one line that a start ends with.
async fn refusal(place: &Place) -> String {
    let error = place.try_connect().await.err().unwrap();
    let (text, debug) = (error.to_string(), format!("{error:?}"));
    assert!(!text.contains('\n') && !text.contains("mysql://nimbus"), "{text}");
    assert!(![&text, &debug].iter().any(|text| text.contains(PASSWORD)), "{text}");
    text
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let Some(server) = Mariadb::shared("mysql start") else { return };
    let place = Place::on(server);
    let at = |url: String| Place { url, ..place.clone() };
    let closed_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = server.port();
    let cases = [
        (at(format!("mysql://nimbus:{PASSWORD}@127.0.0.1:{closed_port}")), "cannot be reached"),
        (
            at(format!("mysql://nimbus:{PASSWORD}.@127.0.0.1:{port}")),
            "refuses the user nimbus or the password",
        ),
        (at(format!("mysql://nobody:{PASSWORD}@127.0.0.1:{port}")), "refuses the user nobody"),
        (at(format!("{}/not_there", server.url())), "has no database not_there"),
        (at(server.powerless_url()), "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP"),
        (at(format!("postgres://nimbus:{PASSWORD}@127.0.0.1:{port}")), "not of the form mysql://"),
        (at(format!("mysql://nimbus:{PASSWORD}@127.0.0.1:{port}{port}")), "not of the form mysql://"),
        (
            at(format!("mysql://nimbus:{PASSWORD}@127.0.0.1:{port}/?ssl-mode=maybe{PASSWORD}")),
            "not of the form",
        ),
        (at(format!("mysql://nimbus:{PASSWORD}@127.0.0.1:{port}/?ssl-mode=required")), "TLS"),
        (Place { prefix: "Tenant-".into(), ..place.clone() }, "24 characters"),
        (Place { metadata: "a`; DROP".into(), ..place.clone() }, "metadata database's name"),
        (Place { max_connections: 1, ..place.clone() }, "at least 2"),
    ];
    for (place, expected) in cases {
        let text = refusal(&place).await;
        assert!(text.contains(expected), "{text:?} does not say {expected:?}");
    }
}

#[tokio::test]
async fn newer_metadata_are_refused_by_name() {
    let Some(place) = Place::shared("mysql newer metadata") else { return };
    drop(place.connect().await);
    Operator::at(&place).await.run(format!("UPDATE {}.format SET version = 2", place.metadata)).await;
    let text = refusal(&place).await;
    assert!(text.contains(&format!("{}`: the format version is 2", place.metadata)), "{text}");
}

#[tokio::test]
async fn a_read_only_server_is_named_and_reads_go_on() {
    let Some(server) = Mariadb::start("mysql read only") else { return };
    let place = Place::on(&server);
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    Operator::at(&place).await.run("SET GLOBAL read_only = 1").await;
    let mut builder = CommitBuilder::new();
    let refused = commit_one(&*namespace, &mut builder.clone(), "a", "b").await;
    assert!(
        matches!(&refused, Err(StorageError::Unavailable(text)) if text.contains("read only")),
        "{refused:?}"
    );
    assert_eq!(namespace.head().await.unwrap().sequence, Sequence::ZERO);
    let text = refusal(&place.with_another_prefix()).await;
    assert!(text.contains("read only"), "{text}");
    Operator::at(&place).await.run("SET GLOBAL read_only = 0").await;
    commit_one(&*namespace, &mut builder, "a", "b").await.unwrap();
}

#[tokio::test]
async fn many_may_make_the_metadata_at_once() {
    let Some(place) = Place::shared("mysql metadata race") else { return };
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let place = place.clone();
            tokio::spawn(async move { place.try_connect().await.map(drop) })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
}

/// Keeps everything that is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The whole process logs here, so that the other tests' lines are looked at too.
#[tokio::test]
async fn no_log_line_holds_the_password_a_statement_or_a_value() {
    let Some(place) = Place::shared("mysql log lines") else { return };
    let lines = Lines::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(lines.clone());
    subscriber.with_ansi(false).try_init().unwrap();
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let (value, mut builder) = (unique("value"), CommitBuilder::new());
    commit_one(&*namespace, &mut builder, "key", &value).await.unwrap();
    commit_one(&*namespace, &mut CommitBuilder::new(), "key", &value).await.unwrap_err();
    Operator::at(&place).await.run(format!("DROP TABLE {}acme.documents", place.prefix)).await;
    commit_one(&*namespace, &mut builder, "key", &value).await.unwrap_err();
    provider.remove(&tenant("acme")).await.unwrap();
    tracing::info!("the end");

    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("the end"));
    for secret in [PASSWORD, &value, "REPLACE INTO"] {
        assert!(!logged.contains(secret), "{secret} is logged");
    }
}

#[tokio::test]
async fn the_rights_that_the_readme_grants_are_enough() {
    let Some(mut place) = Place::shared("mysql rights") else { return };
    let (user, prefix) = (unique("u"), place.prefix.replace('_', "\\_"));
    let (metadata, rights) =
        (place.metadata.replace('_', "\\_"), "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP");
    Operator::at(&place)
        .await
        .run(format!(
            "CREATE USER '{user}'@'%' IDENTIFIED BY '{PASSWORD}';\
             GRANT {rights}, CREATE ROUTINE ON `{metadata}`.* TO '{user}'@'%';\
             GRANT {rights} ON `{prefix}%`.* TO '{user}'@'%'"
        ))
        .await;
    place.url = place.url.replace("//nimbus:", &format!("//{user}:"));
    let provider = place.connect().await;
    for id in ["acme", "A-b"] {
        let namespace = create_and_open(&provider, id).await;
        let mut builder = CommitBuilder::new();
        commit_one(&*namespace, &mut builder, "key", "value").await.unwrap();
        namespace.trim_log(Sequence(2)).await.unwrap();
        assert_eq!(namespace.check().await.unwrap().faults, []);
        drop(namespace);
        provider.remove(&tenant(id)).await.unwrap();
    }
    assert_eq!(place.databases().await, Vec::<String>::new());
    let functions = format!(
        "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '{}'",
        place.metadata
    );
    assert_eq!(Operator::at(&place).await.column::<String>(&functions).await, ["document_json"]);
    // Without rights on the tenants' databases the metadata can be made, and a tenant cannot.
    let strange = place.with_another_prefix().connect().await;
    let refused = strange.create(&tenant("acme")).await.unwrap_err().to_string();
    assert!(refused.contains("GRANT SELECT"), "{refused}");
}
