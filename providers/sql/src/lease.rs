//! A connection in somebody's hands.
//!
//! Promises: a connection goes back to the pool only if its last operation came to an end that leaves it
//! usable; one whose operation failed in between, timed out or was dropped half-way is closed. A
//! transaction that a snapshot left open is ended before anybody else gets the connection.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;

use crate::backend::{Backend, ConnectionOf};
use crate::counters::Counters;
use crate::failure::Failure;
use crate::pool::{Live, Permits, Shared};
use crate::retry::within;

/// Longest the end of a snapshot's transaction may take before its connection is closed instead.
const END_LIMIT: Duration = Duration::from_secs(5);

/// The right to use one connection. Each operation is begun, awaited and finished:
/// `let result = within(OPERATION_LIMIT, query.fetch_one(lease.begin(1))).await; lease.finish(result)?`.
pub struct Lease<B: Backend> {
    /// `None` only while the lease is being dropped.
    live: Option<Live<B>>,
    counters: Arc<Counters>,
    pool: Arc<Shared<B>>,
    state: State,
    /// Statements prepared on the connection before the operation that runs.
    prepared_before: usize,
    /// Given up after the connection is back: fields are dropped in order.
    permits: Option<Permits>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Outside of a transaction.
    Sound,
    /// In a transaction that has to be ended.
    InTransaction,
    /// An operation was begun and has not been finished, or has gone wrong.
    Uncertain,
}

impl<B: Backend> Lease<B> {
    pub(crate) fn new(
        live: Live<B>,
        permits: Permits,
        pool: Arc<Shared<B>>,
        counters: Arc<Counters>,
    ) -> Self {
        let state = State::Sound;
        Self { live: Some(live), counters, pool, state, prepared_before: 0, permits: Some(permits) }
    }

    /// Whether the last operation came to an end that leaves the connection usable.
    pub fn is_usable(&self) -> bool {
        self.state != State::Uncertain
    }

    /// The connection, for an operation that sends `statements` in one round trip. Until it is finished
    /// the connection counts as uncertain.
    pub fn begin(&mut self, statements: u64) -> &mut ConnectionOf<B> {
        self.counters.sent(statements);
        self.state = State::Uncertain;
        self.prepared_before = self.connection().cached_statements_size();
        self.connection()
    }

    /// Ends an operation, after which the connection is outside of any transaction.
    pub fn finish<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, Failure> {
        self.finish_as(State::Sound, result)
    }

    /// Ends an operation, after which a transaction is open. It is ended when the lease is dropped.
    pub fn finish_in_transaction<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, Failure> {
        self.finish_as(State::InTransaction, result)
    }

    fn finish_as<T>(&mut self, state: State, result: Result<T, sqlx::Error>) -> Result<T, Failure> {
        let prepared = self.connection().cached_statements_size().saturating_sub(self.prepared_before);
        self.counters.extra_round_trips(prepared as u64);
        let error = match result {
            Ok(value) => {
                self.state = state;
                return Ok(value);
            }
            Err(error) => error,
        };
        let answered = matches!(error, sqlx::Error::Database(_));
        let failure = Failure::from_sqlx::<B>(error);
        if matches!(failure, Failure::Lost(_)) {
            self.pool.close_idle();
        } else if answered {
            self.state = state;
        }
        Err(failure)
    }

    fn connection(&mut self) -> &mut ConnectionOf<B> {
        &mut self.live.as_mut().expect("a lease holds its connection until it is dropped").connection
    }
}

impl<B: Backend> Drop for Lease<B> {
    fn drop(&mut self) {
        let Some(mut live) = self.live.take() else { return };
        match self.state {
            State::Sound => self.pool.give_back(live),
            State::Uncertain => drop(live),
            State::InTransaction => {
                let (pool, permits) = (Arc::clone(&self.pool), self.permits.take());
                self.counters.sent(1);
                self.pool.runtime.spawn(async move {
                    if within(END_LIMIT, B::end_transaction(&mut live.connection)).await.is_ok() {
                        pool.give_back(live);
                    }
                    drop(permits);
                });
            }
        }
    }
}
