//! What the provider costs over bare rusqlite: durable commits, point reads and scans.
//!
//! `cargo run --release -p nimbus-sqlite --example measure [folder]`; the folder's disk is what is measured.
//! Both sides run the same statements on files of the same shape; figures are the best of three rounds.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{CommitGroup, Direction, KeyChange, KeyRange, NamespaceProvider, Space};
use nimbus_sqlite::SqliteProvider;
use nimbus_types::TenantId;
use rusqlite::{Connection, TransactionBehavior};

const DOCUMENTS: u64 = 20_000;
const ROUNDS: usize = 3;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Spreads the keys.
fn document_key(number: u64) -> Vec<u8> {
    [&[0, 0, 0, 1][..], &number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()].concat()
}

/// Where index entries with the number's value begin: 1000 values, 20 documents each.
fn index_prefix(number: u64) -> Vec<u8> {
    [&[0, 0, 0, 2][..], &(number % 1000).to_be_bytes()].concat()
}

/// One document of 300 bytes and its index entry.
fn insert(number: u64) -> Vec<KeyChange> {
    let key = document_key(number);
    let entry = [index_prefix(number), key.clone()].concat();
    vec![put(Space::Documents, &key, [7; 300]), put(Space::Index, entry, &key)]
}

/// Runs `work` for each number and prints the best round's microseconds for one call.
fn report(name: &str, calls: u64, mut work: impl FnMut(u64) -> Outcome) -> Outcome {
    let mut best_us = f64::INFINITY;
    for round in 0..ROUNDS as u64 {
        let start = Instant::now();
        for call in 0..calls {
            work(round * calls + call)?;
        }
        best_us = best_us.min(start.elapsed().as_secs_f64() * 1e6 / calls as f64);
    }
    println!("{name:<44}{best_us:>10.2} us");
    Ok(())
}

fn main() -> Outcome {
    let parent = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let folder = tempfile::tempdir_in(parent)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async { measure_provider(folder.path(), &runtime) })?;
    measure_bare(folder.path())
}

fn measure_provider(folder: &Path, runtime: &tokio::runtime::Runtime) -> Outcome {
    tokio::task::block_in_place(|| {
        let wait = runtime.handle();
        let provider = SqliteProvider::open(folder)?;
        let tenant = TenantId::parse("measured")?;
        wait.block_on(provider.create(&tenant))?;
        let namespace = wait.block_on(provider.open(&tenant))?;
        let mut builder = CommitBuilder::new();
        let mut written = 0;
        let mut commit = |size: u64| -> Outcome {
            let expected = builder.sequence();
            let group = builder.group((written..written + size).map(insert));
            written += size;
            wait.block_on(namespace.commit(expected, group))?;
            Ok(())
        };
        for _ in 0..DOCUMENTS / 500 {
            commit(500)?;
        }
        report("provider: durable commit", 500, |_| commit(1))?;
        report("provider: durable group of 16", 100, |_| commit(16))?;
        report("provider: snapshot and point read", 50_000, |call| {
            let snapshot = wait.block_on(namespace.snapshot())?;
            black_box(wait.block_on(snapshot.get(Space::Documents, &document_key(call % DOCUMENTS)))?);
            Ok(())
        })?;
        let snapshot = wait.block_on(namespace.snapshot())?;
        report("provider: point read in one snapshot", 50_000, |call| {
            black_box(wait.block_on(snapshot.get(Space::Documents, &document_key(call % DOCUMENTS)))?);
            Ok(())
        })?;
        report("provider: scan of 100 documents", 2000, |call| {
            let range = KeyRange { start: document_key(call).into(), end: Some(vec![0, 0, 0, 2].into()) };
            black_box(wait.block_on(snapshot.scan(Space::Documents, &range, Direction::Forward, 100))?);
            Ok(())
        })?;
        report("provider: scan of 100 index entries", 2000, |call| {
            let range = KeyRange { start: index_prefix(call).into(), end: Some(vec![0, 0, 0, 3].into()) };
            black_box(wait.block_on(snapshot.scan(Space::Index, &range, Direction::Forward, 100))?);
            Ok(())
        })?;
        for counter in namespace.counters() {
            println!("  {} {}", counter.name, counter.value);
        }
        Ok(())
    })
}

/// The same work on a copy of the file, with rusqlite alone.
fn measure_bare(folder: &Path) -> Outcome {
    let path = folder.join("bare");
    std::fs::copy(folder.join("measured.sqlite3"), &path)?;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(&path)?;
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA mmap_size = 1073741824")?;
        Ok(connection)
    };
    let mut writer = open()?;
    let mut builder = CommitBuilder::new();
    let mut number = 10 * DOCUMENTS;
    let mut commit = |size: u64| -> Outcome {
        let group = builder.group((number..number + size).map(insert));
        number += size;
        Ok(commit_bare(&mut writer, &group)?)
    };
    report("bare: durable commit", 500, |_| commit(1))?;
    report("bare: durable group of 16", 100, |_| commit(16))?;
    let reader = open()?;
    report("bare: point read", 50_000, |call| {
        let mut statement = reader.prepare_cached("SELECT document FROM documents WHERE key = ?1")?;
        black_box(statement.query_row([document_key(call % DOCUMENTS)], |row| row.get::<_, Vec<u8>>(0))?);
        Ok(())
    })?;
    report("bare: scan of 100 index entries", 2000, |call| {
        let mut statement = reader.prepare_cached(
            "SELECT key, document_key FROM index_entries WHERE key >= ?1 AND key < x'00000003' ORDER BY key LIMIT 100",
        )?;
        let rows = statement.query_map([index_prefix(call)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        black_box(rows.collect::<rusqlite::Result<Vec<(Vec<u8>, Vec<u8>)>>>()?);
        Ok(())
    })
}

fn commit_bare(writer: &mut Connection, group: &CommitGroup) -> rusqlite::Result<()> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for commit in &group.commits {
        let record = commit.record.encode();
        transaction
            .prepare_cached("INSERT INTO commit_log (time_ms, record) VALUES (0, ?1)")?
            .execute([record])?;
        for change in commit.all_changes() {
            let sql = match change.space {
                Space::Documents => "INSERT INTO documents (key, document) VALUES (?1, ?2)",
                _ => "INSERT INTO index_entries (key, document_key) VALUES (?1, ?2)",
            };
            transaction.prepare_cached(sql)?.execute((change.key.as_ref(), change.value.as_deref()))?;
        }
    }
    transaction.prepare_cached("UPDATE head SET time_ms = time_ms + 1")?.execute([])?;
    transaction.commit()
}
