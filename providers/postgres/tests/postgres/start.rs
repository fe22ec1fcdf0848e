//! What stops the start, in one clear line each; and that no text holds a secret.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use nimbus_namespace::StorageError;
use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{NamespaceProvider, Space};
use nimbus_test_servers::{PASSWORD, Postgres};
use nimbus_types::Sequence;

use crate::setting::{Place, commit, create_and_open, tenant};

/// The text that stops a start from `place`.
async fn refusal(place: &Place) -> String {
    let error = place.try_connect(4).await.err().unwrap();
    assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
    let text = error.to_string();
    assert!(!text.contains(PASSWORD) && !text.contains("wrong-word") && !text.contains('\n'), "{text}");
    text
}

#[tokio::test]
async fn what_is_wrong_is_said_in_one_line() {
    let Some(server) = Postgres::shared("postgres refusals") else { return };
    let place = Place::at(server.url());
    let with_url = |url: String| Place { url, ..place.clone() };
    let changed = |from: &str, to: &str| with_url(place.url.replace(from, to));
    for (place, expected) in [
        (changed(PASSWORD, "wrong-word"), "refuses the password of role \"nimbus\""),
        (with_url(format!("{}?dbname=nowhere", place.url)), "has no database \"nowhere\""),
        (changed(&format!(":{}/", server.port()), ":1/"), "cannot be reached"),
        (changed("postgres://", "mysql://"), "must begin with postgres://"),
        (with_url(format!("{}?passwrod=wrong-word", place.url)), "a parameter that is not known"),
        (with_url(format!("{}?sslmode=wrong-word", place.url)), "cannot be read"),
        (with_url(format!("{}?sslmode=require", place.url)), "TLS"),
        (with_url(server.powerless_url()), "GRANT CREATE ON DATABASE \"nimbus\" TO \"powerless\""),
        (Place { prefix: "Bad".into(), ..place.clone() }, "tenant schema prefix must be"),
        (Place { prefix: "pg_a".into(), ..place.clone() }, "does not begin with pg_"),
        (Place { metadata: "a b".into(), ..place.clone() }, "metadata schema must be"),
    ] {
        let text = refusal(&place).await;
        assert!(text.contains(expected), "{text}");
    }
    let error = place.try_connect(1).await.err().unwrap().to_string();
    assert!(error.contains("at least 2"), "{error}");
}

#[tokio::test]
async fn newer_metadata_and_somebody_elses_schema_stop_the_start() {
    let Some(place) = Place::shared("postgres metadata") else { return };
    drop(place.connect().await);
    place.sql(format!("UPDATE {}.format SET version = 2", place.metadata)).await;
    let text = refusal(&place).await;
    assert!(text.contains("format version 2"), "{text}");

    let foreign = Place::at(place.url.clone());
    place.sql(format!("CREATE SCHEMA {0}; CREATE TABLE {0}.tenants (a int)", foreign.metadata)).await;
    let text = refusal(&foreign).await;
    assert!(text.contains("somebody else's tables"), "{text}");
}

/// Everything that is logged in this process, at every level.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logged {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The only test that looks at the log, which it fills together with all that run beside it.
#[tokio::test]
async fn no_password_statement_or_value_is_logged() {
    let Some(place) = Place::shared("postgres secrets") else { return };
    let logged = Logged::default();
    let writer = logged.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    tracing::info!("the log is being kept");
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "a").await;
    let value = "a-value-nobody-may-see";
    let mut builder = CommitBuilder::new();
    commit(&*namespace, &mut builder, vec![put(Space::Documents, value, value)]).await;
    let snapshot = namespace.snapshot().await.unwrap();
    assert!(snapshot.get(Space::Documents, value.as_bytes()).await.unwrap().is_some());
    // Errors of the server quote values: a key that is there already, in a table without its constraint.
    let schema = &place.schemas().await[0];
    place.sql(format!("INSERT INTO \"{schema}\".commit_log VALUES (2, 0, '', '')")).await;
    let group = builder.group([vec![put(Space::Documents, value, "")]]);
    let error = namespace.commit(Sequence(1), group).await.unwrap_err();
    assert!(matches!(error, StorageError::Corruption(_)), "{error:?}");
    let _ = refusal(&Place { url: place.url.replace(PASSWORD, "wrong-word"), ..place.clone() }).await;
    provider.remove(&tenant("a")).await.unwrap();

    let text =
        String::from_utf8(logged.0.lock().unwrap().clone()).unwrap() + &format!("{error} {provider:?}");
    assert!(text.contains("the log is being kept"));
    for secret in [PASSWORD, "wrong-word", value, "612d76616c7565", "SELECT", "INSERT", "UPDATE"] {
        assert!(!text.contains(secret), "{secret} stands in the log");
    }
}
