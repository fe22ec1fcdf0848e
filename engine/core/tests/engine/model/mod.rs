//! Random steps on one tenant, compared after each with a simple model, on every store.
//!
//! The seed is printed; `NIMBUS_MODEL_SEED` and `NIMBUS_MODEL_CASES` choose others. proptest shrinks what
//! fails to few steps.

mod calls;
mod generate;
mod naive;

use std::collections::BTreeMap;
use std::sync::Arc;

use nimbus_engine::{
    Engine, EngineError, EngineOptions, JournalChange, Query, StoredDocument, TableSchema, Tenant,
};
use nimbus_io::SimulatedClock;
use nimbus_query::sort_key;
use nimbus_types::Sequence;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::calls::{all_batches, all_pages, mutation, query_of, table_name, write_to};
use self::generate::{Part, Question, Step, Write, steps};
use self::naive::{Kept, Naive, encoded};
use crate::common::{Store, tenant_id, until, verified};

const START_MS: u64 = 1_000;
/// Short, since the engine looks for idle tenants by real time, several times in such a span.
const IDLE_CLOSE_MS: u64 = 400;

#[test]
fn any_steps_on_the_reference_model_end_as_the_simple_model_says() {
    check(400, 30, async || Some(Store::reference()));
}

#[test]
fn any_steps_on_sqlite_end_as_the_simple_model_says() {
    check(12, 24, async || Some(Store::sqlite()));
}

#[test]
fn any_steps_on_redb_end_as_the_simple_model_says() {
    check(8, 24, async || Some(Store::redb()));
}

#[test]
fn any_steps_on_log_end_as_the_simple_model_says() {
    check(12, 24, async || Some(Store::log()));
}

#[test]
fn any_steps_on_postgres_end_as_the_simple_model_says() {
    check(5, 24, Store::postgres);
}

#[test]
fn any_steps_on_mysql_end_as_the_simple_model_says() {
    check(5, 24, Store::mysql);
}

#[test]
fn any_steps_on_libsql_end_as_the_simple_model_says() {
    check(5, 24, Store::libsql);
}

/// Runs cases on stores that `store` makes; it makes none where what it needs is not installed.
fn check(cases: u32, most_steps: usize, store: impl AsyncFn() -> Option<Store>) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("NIMBUS_MODEL_SEED").unwrap_or(20);
    let cases = number("NIMBUS_MODEL_CASES").map_or(cases, |cases| cases as u32);
    println!("seed {seed}, {cases} cases");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let outcome = runner.run(&steps(most_steps), |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let Some(store) = store().await else { return };
            let mut case = Case::begin(store).await;
            for step in &steps {
                case.take(step).await;
            }
            case.end().await;
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("seed {seed}: {failure}");
    }
}

/// One tenant of one engine, and what the model says it holds.
struct Case {
    store: Store,
    clock: Arc<SimulatedClock>,
    engine: Engine,
    naive: Naive,
}

impl Case {
    async fn begin(store: Store) -> Self {
        let clock = Arc::new(SimulatedClock::new(START_MS));
        let engine = open(&store, &clock);
        engine.create_tenant(&tenant_id("a")).await.unwrap();
        Self { store, clock, engine, naive: Naive::default() }
    }

    async fn tenant(&self) -> Tenant {
        self.engine.tenant(&tenant_id("a")).await.unwrap()
    }

    async fn take(&mut self, step: &Step) {
        self.clock.advance_ms(1);
        match step {
            Step::Transact(writes) => self.transact(writes).await,
            Step::Transaction { parts, commit } => self.transaction(parts, *commit).await,
            Step::SetSchema { table, fields, indexes } => {
                let name = table_name(*table);
                let schema = TableSchema { table: name, fields: fields.clone(), indexes: indexes.clone() };
                let answer = self.tenant().await.set_schema(schema.clone()).await;
                let mut wanted = self.naive.clone();
                let expected = wanted.set_schema(*table, schema);
                assert_eq!(answer.as_ref().map(drop).map_err(EngineError::kind), expected, "{answer:?}");
                if expected.is_ok() {
                    self.naive = wanted;
                }
            }
            Step::RemoveSchema { table } => {
                let had = self.naive.tables[*table].schema.take().is_some();
                assert_eq!(self.tenant().await.remove_schema(&table_name(*table)).await.unwrap(), had);
            }
            Step::Ask(questions) => {
                for question in questions {
                    self.ask(question).await;
                }
            }
            Step::Verify => {
                verified(&self.tenant().await).await;
            }
            Step::Reopen => {
                self.engine.close().await;
                self.engine = open(&self.store, &self.clock);
            }
            Step::Idle => {
                self.clock.advance_ms(IDLE_CLOSE_MS);
                until(|| async { self.engine.metrics().open_tenants == 0 }).await;
            }
        }
        self.compare_all().await;
    }

    async fn transact(&mut self, writes: &[Write]) {
        let mut scratch = self.naive.clone();
        let mutations = writes.iter().map(|write| mutation(write, &self.naive)).collect();
        let expected = writes.iter().try_for_each(|write| scratch.apply(write));
        match self.tenant().await.transact(mutations).await {
            Ok(transacted) => {
                assert_eq!((expected, transacted.results.len()), (Ok(()), writes.len()));
                scratch.commit(transacted.sequence.0, self.now_ms());
                self.naive = scratch;
            }
            Err(error) => assert_eq!(expected, Err(error.kind()), "{error}"),
        }
    }

    async fn transaction(&mut self, parts: &[Part], commit: bool) {
        let mut scratch = self.naive.clone();
        let mut txn = self.tenant().await.begin().await.unwrap();
        for part in parts {
            match part {
                Part::Write(write) => {
                    let answer = write_to(&mut txn, write, &self.naive).await;
                    let expected = scratch.apply(write);
                    assert_eq!(answer.as_ref().map(drop).map_err(EngineError::kind), expected, "{answer:?}");
                }
                Part::Ask(question) => {
                    let query = query_of(question);
                    let found = txn.find(&query).await.unwrap();
                    compare(&scratch, question, &found);
                    assert_eq!(txn.count(&query).await.unwrap(), found.len() as u64, "{query:?}");
                }
            }
        }
        if commit {
            let position = txn.commit().await.unwrap();
            scratch.commit(position.sequence.0, self.now_ms());
            self.naive = scratch;
        }
    }

    async fn ask(&self, question: &Question) {
        let (tenant, query) = (self.tenant().await, query_of(question));
        let found = match question.page_size {
            None => tenant.find(&query).await.unwrap(),
            Some(size) => all_pages(&tenant, &query, size).await,
        };
        compare(&self.naive, question, &found);
        let by_cursor = all_batches(&tenant, &query, question.page_size.unwrap_or(3)).await;
        compare(&self.naive, question, &by_cursor);
        assert_eq!(tenant.count(&query).await.unwrap(), found.len() as u64, "{query:?}");
        let explain = tenant.explain(&query).await.unwrap();
        assert_eq!(explain.returned, found.len() as u64, "{explain:?}");
    }

    async fn compare_all(&self) {
        let tenant = self.tenant().await;
        for at in 0..self.naive.tables.len() {
            let found = tenant.find(&Query::all(table_name(at))).await.unwrap();
            let expected: Vec<&Kept> = self.naive.tables[at].documents.values().collect();
            assert!(
                found.iter().map(kept).eq(expected.iter().map(|kept| (*kept).clone())),
                "{found:?} != {expected:?}"
            );
            assert_eq!(tenant.schema(&table_name(at)).await.unwrap(), self.naive.tables[at].schema);
        }
    }

    /// The log, replayed, leads to the same documents; and everything agrees.
    async fn end(self) {
        let tenant = self.tenant().await;
        let mut replayed: [BTreeMap<Vec<u8>, Kept>; 2] = Default::default();
        let at = |table: &str| usize::from(table == "second");
        let mut last = Sequence::ZERO;
        loop {
            let entries = tenant.journal(Some(last), 7).await.unwrap().entries;
            let Some(entry) = entries.last() else { break };
            last = entry.sequence;
            for change in entries.into_iter().flat_map(|entry| entry.changes) {
                match change {
                    JournalChange::Put { table, document } => {
                        let place = encoded(&document.id().try_into().unwrap());
                        replayed[at(&table)].insert(place, kept(&document));
                    }
                    JournalChange::Delete { table, id } => drop(replayed[at(&table)].remove(&encoded(&id))),
                    JournalChange::Catalog { .. } => {}
                }
            }
        }
        assert_eq!(replayed, self.naive.tables.map(|table| table.documents));
        assert_eq!(verified(&tenant).await.sequence, last.0);
        drop(tenant);
        self.engine.close().await;
    }

    fn now_ms(&self) -> u64 {
        nimbus_io::Clock::now_ms(&*self.clock)
    }
}

fn open(store: &Store, clock: &Arc<SimulatedClock>) -> Engine {
    let options =
        EngineOptions { clock: clock.clone(), idle_close_ms: IDLE_CLOSE_MS, ..EngineOptions::default() };
    Engine::new(store.provider.clone(), options)
}

fn kept(document: &StoredDocument) -> Kept {
    Kept {
        body: document.body().to_owned(),
        version: document.version.0,
        created_ms: document.created_ms,
        updated_ms: document.updated_ms,
    }
}

/// Whether an answer is one the query may have. Documents that tie may come in any order, so an answer
/// is right when its sort keys are those of the model, and its documents the model's, each once.
fn compare(naive: &Naive, question: &Question, found: &[StoredDocument]) {
    let query = query_of(question);
    let selected = naive.select(question.table, &query);
    let wanted = selected.iter().skip(query.skip).take(query.limit.unwrap_or(usize::MAX));
    let keys: Vec<_> = found.iter().map(|document| sort_key(document.body(), &query.sort, None)).collect();
    assert!(keys.iter().eq(wanted.map(|(key, _)| key)), "{query:?} answers {found:?}, not of {selected:?}");
    let mut met: Vec<Vec<u8>> = Vec::new();
    for document in found {
        let place = encoded(&document.id().try_into().unwrap());
        let expected = &naive.tables[question.table].documents[&place];
        assert_eq!(document.body(), &*expected.body);
        assert!(query.filter.matches(document.body()).unwrap(), "{query:?} answers {document:?}");
        assert!(!met.contains(&place), "{query:?} answers twice with {document:?}");
        met.push(place);
    }
}
