//! Threads that look after the files of all tenants: checkpoints, merging, packing, segments made ahead.
//!
//! Promises: a fixed, small number of threads, started when there is something to do; once the [`Upkeepers`]
//! are gone, so are the threads, and no file is touched any more. After a failure a thread pauses. When memory
//! is short, every store is asked whether it should give some back. Deliberately unknown: what upkeep does; a
//! store sees to it that no two threads do the same to it.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nimbus_io::Clock;
use parking_lot::{Condvar, Mutex};

use crate::cache::Budget;
use crate::store::Store;

/// Upkeep is mostly writing; two threads keep a disk busy.
const THREADS: usize = 2;
/// How long a thread pauses after a failure.
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
    /// It is over; wakes threads that pause.
    ended: Condvar,
}

#[derive(Default)]
struct Work {
    waiting: VecDeque<Weak<Store>>,
    stores: Vec<Weak<Store>>,
    threads: Vec<JoinHandle<()>>,
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
        if work.idle_threads == 0 && work.threads.len() < THREADS {
            let shared = Arc::clone(&self.shared);
            let started = thread::Builder::new().name("nimbus-upkeep".into()).spawn(move || shared.run());
            match started {
                Ok(thread) => work.threads.push(thread),
                // Commits that have to wait for a checkpoint do it themselves.
                Err(error) => tracing::warn!(%error, "a thread for upkeep could not be started"),
            }
        }
        self.shared.changed.notify_one();
    }
}

impl Drop for Upkeepers {
    fn drop(&mut self) {
        let threads = {
            let mut work = self.shared.work.lock();
            work.over = true;
            std::mem::take(&mut work.threads)
        };
        self.shared.changed.notify_all();
        self.shared.ended.notify_all();
        // Whoever owns the data directory next must not meet a checkpoint of ours. No write that these threads
        // could wait for is still on its way: each holds on to the upkeepers until it is finished.
        for thread in threads {
            // A panic has been reported by the panic hook.
            let _ = thread.join();
        }
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
                        self.pause();
                        break;
                    }
                }
            }
        }
    }

    fn pause(&self) {
        let mut work = self.work.lock();
        if !work.over {
            self.ended.wait_for(&mut work, PAUSE_AFTER_FAILURE);
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
