//! Threads that look after the files of all tenants: checkpoints, merging, packing, segments made ahead.
//!
//! Promises: a fixed, small number of threads; once the [`Upkeepers`] are gone, so are the threads, and no file
//! is touched any more. After a failure a thread pauses. When memory is short, every store is asked whether it
//! should give some back. While stores are open, one thread wakes about once a second, looks at some of them
//! and sends idle ones to rest; while none is, nothing wakes. Deliberately unknown: what upkeep does; a store
//! sees to it that no two threads do the same to it.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nimbus_io::Clock;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::cache::Budget;
use crate::store::Store;

/// Upkeep is mostly writing; two threads keep a disk busy.
const THREADS: usize = 2;
/// How long a thread pauses after a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How often all stores are looked through while memory is short.
const SWEEP_PAUSE_US: u64 = 100_000;
/// How often some stores are looked at that may be idle.
const LOOK_PAUSE_US: u64 = 1_000_000;
/// Stores that are looked at each time: ten thousand are gone through in ten seconds.
const LOOKED_AT: usize = 1_000;
/// Stores that are sent to rest each time: stores in use need the threads, too.
const SENT_TO_REST: usize = 16;

/// The threads, and what they have to do.
pub(crate) struct Upkeepers {
    budget: Arc<Budget>,
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    work: Mutex<Work>,
    changed: Condvar,
    /// It is over; wakes threads that pause.
    ended: Condvar,
}

#[derive(Default)]
struct Work {
    waiting: VecDeque<Weak<Store>>,
    /// Those that have not been looked at for longest come first.
    stores: VecDeque<Weak<Store>>,
    threads: Vec<JoinHandle<()>>,
    idle_threads: usize,
    /// One of the idle threads wakes in time to look at stores.
    has_lookout: bool,
    last_sweep_us: Option<u64>,
    last_look_us: u64,
    over: bool,
}

impl Upkeepers {
    /// Without any thread yet.
    pub(crate) fn new(budget: Arc<Budget>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let work = Mutex::new(Work { last_look_us: clock.monotonic_us(), ..Work::default() });
        let (changed, ended) = (Condvar::new(), Condvar::new());
        Arc::new(Self { budget, shared: Arc::new(Shared { clock, work, changed, ended }) })
    }

    /// Looks after `store` from now on, for as long as it is open.
    pub(crate) fn watch(&self, store: &Arc<Store>) {
        let mut work = self.shared.work.lock();
        // Two for each that comes, so that those that have been closed never become many.
        for _ in 0..2 {
            if let Some(store) = work.stores.pop_front().filter(|store| store.strong_count() > 0) {
                work.stores.push_back(store);
            }
        }
        work.stores.push_back(Arc::downgrade(store));
        if work.threads.is_empty() {
            self.shared.start_thread(&mut work);
        }
        self.shared.changed.notify_one();
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
            self.shared.put(Arc::downgrade(store));
        }
    }

    /// Asks every store that holds more memory than it should to give some back.
    fn sweep(&self) {
        let pressed: Vec<Arc<Store>> = {
            let mut work = self.shared.work.lock();
            let now_us = self.shared.clock.monotonic_us();
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

impl Work {
    /// The store that comes first, which then comes last; `None` where it is closed.
    fn next_store(&mut self) -> Option<Arc<Store>> {
        let store = self.stores.pop_front()?;
        let open = store.upgrade()?;
        self.stores.push_back(store);
        Some(open)
    }
}

impl Shared {
    fn put(self: &Arc<Self>, store: Weak<Store>) {
        let mut work = self.work.lock();
        work.waiting.push_back(store);
        if work.idle_threads == 0 && work.threads.len() < THREADS {
            self.start_thread(&mut work);
        }
        self.changed.notify_one();
    }

    fn start_thread(self: &Arc<Self>, work: &mut Work) {
        let shared = Arc::clone(self);
        let started = thread::Builder::new().name("nimbus-upkeep".into()).spawn(move || shared.run());
        match started {
            Ok(thread) => work.threads.push(thread),
            // Commits that have to wait for a checkpoint do it themselves.
            Err(error) => tracing::warn!(%error, "a thread for upkeep could not be started"),
        }
    }

    fn run(self: Arc<Self>) {
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
    fn next(self: &Arc<Self>) -> Option<Weak<Store>> {
        let mut work = self.work.lock();
        loop {
            if work.over {
                return None;
            }
            let now_us = self.clock.monotonic_us();
            if !work.stores.is_empty() && now_us.saturating_sub(work.last_look_us) >= LOOK_PAUSE_US {
                work.last_look_us = now_us;
                MutexGuard::unlocked(&mut work, || self.send_to_rest());
                continue;
            }
            if let Some(store) = work.waiting.pop_front() {
                return Some(store);
            }
            work.idle_threads += 1;
            if work.has_lookout || work.stores.is_empty() {
                self.changed.wait(&mut work);
            } else {
                work.has_lookout = true;
                self.changed.wait_for(&mut work, Duration::from_micros(LOOK_PAUSE_US));
                work.has_lookout = false;
            }
            work.idle_threads -= 1;
        }
    }

    /// Looks at some stores, and asks for the upkeep of some that are idle.
    fn send_to_rest(self: &Arc<Self>) {
        let looked_at = self.work.lock().stores.len().min(LOOKED_AT);
        let mut sent = 0;
        for _ in 0..looked_at {
            let Some(store) = self.work.lock().next_store() else { continue };
            if store.wants_rest() && store.take_turn() {
                self.put(Arc::downgrade(&store));
                sent += 1;
            }
            if sent == SENT_TO_REST {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use nimbus_io::{SimulatedClock, SimulatedDisk, SimulatedRandomness};
    use nimbus_namespace::Space;
    use nimbus_namespace::conformance::{CommitBuilder, put};
    use nimbus_namespace::local::OpenMark;
    use nimbus_types::{Sequence, TenantId};

    use super::*;
    use crate::store::{Sizes, Surroundings};

    fn wait_until(condition: impl Fn() -> bool) {
        for _ in 0..3_000 {
            if condition() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("nothing happens");
    }

    #[test]
    fn idle_stores_are_sent_to_rest_a_few_at_a_time() {
        const STORES: usize = SENT_TO_REST + 4;
        let clock = Arc::new(SimulatedClock::default());
        let surroundings = Surroundings {
            disk: Arc::new(SimulatedDisk::new(1)),
            randomness: Arc::new(SimulatedRandomness::new(1)),
            clock: clock.clone(),
            budget: Budget::new(64 << 20),
            sizes: Sizes::within(64 << 20),
        };
        let upkeepers = Upkeepers::new(surroundings.budget.clone(), clock.clone());
        let open = |number: usize| {
            let folder = PathBuf::from(format!("/tenant-{number}"));
            let tenant = TenantId::parse(&format!("tenant-{number}")).unwrap();
            surroundings.disk.create_directory(&folder).unwrap();
            Store::create(&*surroundings.disk, &folder, &tenant).unwrap();
            let store = Store::open(&surroundings, &folder, &tenant, OpenMark::default()).unwrap();
            let group = CommitBuilder::new().group([vec![put(Space::Meta, "key", vec![1; 20_000])]]);
            store.commit(Sequence(0), &group).unwrap();
            Arc::new(store)
        };
        let stores: Vec<_> = (0..STORES).map(open).collect();
        for store in &stores {
            upkeepers.watch(store);
        }
        let awake = || stores.iter().filter(|store| store.wants_rest()).count();
        assert_eq!(awake(), 0, "nobody is idle yet");

        clock.advance_ms(11_000);
        wait_until(|| awake() == STORES - SENT_TO_REST);
        // The clock stands still, so nobody looks again.
        clock.advance_ms(1_000);
        wait_until(|| awake() == 0);
        let checkpoints = |store: &Store| {
            let counters = store.counters().into_iter();
            counters.filter(|counter| counter.name == "checkpoints_total").map(|counter| counter.value).sum()
        };
        assert!(stores.iter().all(|store| f64::total_cmp(&checkpoints(store), &1.0).is_eq()));
    }
}
