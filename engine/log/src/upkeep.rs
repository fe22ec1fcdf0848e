//! Threads that look after the files of all tenants: checkpoints, merging, packing, segments made ahead.
//!
//! Promises: a fixed, small number of threads, started when there is something to do and ended with the
//! provider; a store is worked on by one of them at a time; a store whose upkeep fails is left alone for a
//! while. When memory is short, every store is asked whether it should give some back. Deliberately unknown:
//! what upkeep does.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use nimbus_io::Clock;
use parking_lot::{Condvar, Mutex};

use crate::cache::Budget;
use crate::store::Store;

/// Upkeep is mostly writing; two threads keep a disk busy.
const THREADS: usize = 2;
/// How long a store is left alone after a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How often all stores are looked through while memory is short.
const SWEEP_PAUSE_US: u64 = 100_000;

/// The threads, and what they have to do.
pub(crate) struct Upkeepers {
    budget: Arc<Budget>,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Default)]
struct Work {
    waiting: VecDeque<Weak<Store>>,
    stores: Vec<Weak<Store>>,
    threads: usize,
    idle_threads: usize,
    last_sweep_us: Option<u64>,
    over: bool,
}

impl Upkeepers {
    /// Without any thread yet.
    pub(crate) fn new(budget: Arc<Budget>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { budget, clock, shared: Arc::default() })
    }

    /// Looks after `store` from now on, for as long as it is open.
    pub(crate) fn watch(&self, store: &Arc<Store>) {
        let mut work = self.shared.work.lock();
        if work.stores.len() == work.stores.capacity() {
            work.stores.retain(|store| store.strong_count() > 0);
        }
        work.stores.push(Arc::downgrade(store));
    }

    /// To be called after each commit; cheap unless there is something to do.
    pub(crate) fn after_commit(&self, store: &Arc<Store>) {
        if store.wants_upkeep() {
            self.ask(store);
        }
        if self.budget.is_short() {
            self.sweep();
        }
    }

    /// Asks for the upkeep of a store.
    pub(crate) fn ask(&self, store: &Arc<Store>) {
        if store.take_turn() {
            self.put(Arc::downgrade(store));
        }
    }

    /// Asks every store that holds more memory than it should to give some back.
    fn sweep(&self) {
        let pressed: Vec<Arc<Store>> = {
            let mut work = self.shared.work.lock();
            let now_us = self.clock.monotonic_us();
            if work.last_sweep_us.is_some_and(|last_us| now_us - last_us < SWEEP_PAUSE_US) {
                return;
            }
            work.last_sweep_us = Some(now_us);
            work.stores.iter().filter_map(Weak::upgrade).collect()
        };
        for store in pressed.iter().filter(|store| store.is_checkpoint_due()) {
            self.ask(store);
        }
    }

    fn put(&self, store: Weak<Store>) {
        let mut work = self.shared.work.lock();
        work.waiting.push_back(store);
        if work.idle_threads == 0 && work.threads < THREADS {
            let shared = Arc::clone(&self.shared);
            let started = thread::Builder::new().name("nimbus-upkeep".into()).spawn(move || shared.run());
            match started {
                Ok(_) => work.threads += 1,
                // Commits that have to wait for a checkpoint do it themselves.
                Err(error) => tracing::warn!(%error, "a thread for upkeep could not be started"),
            }
        }
        self.shared.changed.notify_one();
    }
}

impl Drop for Upkeepers {
    fn drop(&mut self) {
        self.shared.work.lock().over = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn run(&self) {
        while let Some(store) = self.next() {
            let Some(store) = store.upgrade() else { continue };
            // From here on a new wish is a new turn.
            store.end_turn();
            loop {
                match store.maintain() {
                    Ok(true) if !self.work.lock().over => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(%error, "upkeep of a tenant failed; it is tried again later");
                        thread::sleep(PAUSE_AFTER_FAILURE);
                        break;
                    }
                }
            }
        }
    }

    /// Waits for a store to look after; `None` when it is over.
    fn next(&self) -> Option<Weak<Store>> {
        let mut work = self.work.lock();
        loop {
            if work.over {
                return None;
            }
            if let Some(store) = work.waiting.pop_front() {
                return Some(store);
            }
            work.idle_threads += 1;
            self.changed.wait(&mut work);
            work.idle_threads -= 1;
        }
    }
}
