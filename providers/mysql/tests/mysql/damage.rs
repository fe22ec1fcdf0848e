//! Damage done by hand, and what the physical check says of it.

use std::sync::Arc;

use nimbus_mysql::MysqlProvider;
use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{Namespace, NamespaceProvider, Space};
use nimbus_types::Sequence;

use crate::support::{Operator, Place, create_and_open, tenant};

/// Twenty commits in one tenant, of which the tenth is a record of several pieces.
struct Damaged {
    place: Place,
    provider: MysqlProvider,
    namespace: Arc<dyn Namespace>,
}

impl Damaged {
    async fn new() -> Option<Self> {
        let place = Place::shared("mysql damage")?;
        let provider = place.connect().await;
        let namespace = create_and_open(&provider, "acme").await;
        let mut builder = CommitBuilder::new();
        for n in 1..=20_u8 {
            let expected = builder.sequence();
            let document = vec![n; if n == 10 { 150_000 } else { 300 }];
            let changes = vec![put(Space::Documents, [n], document), put(Space::Index, [0, 0, 0, 1, n], [n])];
            namespace.commit(expected, builder.group([changes])).await.unwrap();
        }
        Some(Self { place, provider, namespace })
    }

    async fn sql(&self, statement: &str) {
        let mut operator = Operator::at(&self.place).await;
        operator.run(format!("USE {}acme", self.place.prefix)).await;
        operator.run(statement).await;
    }

    /// `location: message` of every fault.
    async fn faults(&self) -> Vec<String> {
        let report = self.namespace.check().await.unwrap();
        report.faults.into_iter().map(|fault| format!("{}: {}", fault.location, fault.message)).collect()
    }
}

#[tokio::test]
async fn a_sound_tenant_has_no_faults_trimmed_or_not() {
    let Some(sound) = Damaged::new().await else { return };
    assert_eq!(sound.faults().await, Vec::<String>::new());
    for before in [7, 11, 21] {
        sound.namespace.trim_log(Sequence(before)).await.unwrap();
        assert_eq!(sound.faults().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn removed_records_and_pieces_are_named() {
    for (condition, sequence) in [
        ("sequence = 1", 1),
        ("sequence = 17", 17),
        ("sequence = 20", 20),
        ("sequence = 10 AND piece = 2", 10),
    ] {
        let Some(damaged) = Damaged::new().await else { return };
        damaged.sql(&format!("DELETE FROM commit_log WHERE {condition}")).await;
        let before = damaged.namespace.read_log(Sequence::ZERO, sequence - 1).await.unwrap();
        assert_eq!(before.len(), sequence - 1);
        let error = damaged.namespace.read_log(Sequence::ZERO, 100).await.unwrap_err().to_string();
        assert!(error.contains(&format!("no record {sequence}")), "{error}");
        let expected = format!("commit_log sequence {sequence}: the record is missing or lacks a piece");
        assert_eq!(damaged.faults().await, [expected]);
    }
}

#[tokio::test]
async fn a_flipped_byte_in_a_record_is_named() {
    for (sequence, piece) in [(5, 0), (10, 1)] {
        let Some(damaged) = Damaged::new().await else { return };
        damaged
            .sql(&format!(
                "UPDATE commit_log SET record = INSERT(record, 41, 1, x'EE') \
                 WHERE sequence = {sequence} AND piece = {piece}"
            ))
            .await;
        let faults = damaged.faults().await;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(&format!("commit_log sequence {sequence}: ")), "{faults:?}");
        assert!(faults[0].contains("checksum"), "{faults:?}");
    }
}

#[tokio::test]
async fn rows_that_do_not_fit_the_head_or_their_record_are_named() {
    let Some(back) = Damaged::new().await else { return };
    back.sql("UPDATE head SET sequence = 19").await;
    assert_eq!(back.faults().await, ["commit_log sequence 20: the head is at 19 only"]);
    let started = Damaged::new().await.unwrap();
    started.sql("UPDATE head SET log_start = 4").await;
    assert_eq!(started.faults().await.len(), 3);
    let times = Damaged::new().await.unwrap();
    times.sql("UPDATE commit_log SET time_ms = 1 WHERE sequence = 6").await;
    assert_eq!(times.faults().await, ["commit_log sequence 6: the row's time is not the record's"]);
    let moved = Damaged::new().await.unwrap();
    moved.sql("UPDATE commit_log a, commit_log b SET a.record = b.record WHERE a.sequence = 9 AND b.sequence = 8").await;
    assert_eq!(moved.faults().await[0], "commit_log sequence 9: the row holds the record of 8");
}

#[tokio::test]
async fn missing_tables_and_rows_are_findings_or_refusals() {
    let Some(damaged) = Damaged::new().await else { return };
    damaged.sql("DROP TABLE meta_long").await;
    let faults = damaged.faults().await;
    assert!(faults.len() == 1 && faults[0].starts_with("meta_long: "), "{faults:?}");
    damaged.sql("DELETE FROM head").await;
    let faults = damaged.faults().await;
    assert!(faults.iter().any(|fault| fault.contains("head has no row")), "{faults:?}");
    let refused = damaged.provider.open(&tenant("acme")).await.err().unwrap().to_string();
    assert!(refused.contains("head has no row"), "{refused}");
}

#[tokio::test]
async fn another_tenants_database_and_a_newer_format_are_refused_by_name() {
    let Some(damaged) = Damaged::new().await else { return };
    let refusal = async || damaged.provider.open(&tenant("acme")).await.err().unwrap().to_string();
    damaged.sql("UPDATE head SET tenant = 'other'").await;
    let refused = refusal().await;
    assert!(refused.contains("acme`: the database belongs to another tenant"), "{refused}");
    damaged.sql("UPDATE head SET format_version = 2").await;
    let refused = refusal().await;
    assert!(refused.contains("acme`: the format version is 2"), "{refused}");
}
