//! The version that new snapshots see, handed out so that readers on different threads do not meet.
//!
//! A reference count that many threads change is as slow as a lock. So each of a few stripes holds a
//! reference of its own to the newest version, and a reader takes part in the count of its thread's stripe only.
//! Promises: whoever asks after [`Current::change`] has returned gets what it left, or later; a stripe keeps no
//! version that has been replaced, so that the memory of frames is given back after a checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::version::Version;

/// More threads than this share stripes.
const STRIPES: usize = 8;

/// What a snapshot holds: a part in the count of a stripe.
pub(crate) type Shared = Arc<Arc<Version>>;

/// One stripe, alone on its cache lines: two of them, since processors fetch lines in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Stripe(Mutex<Option<(u64, Shared)>>);

/// The newest version.
pub(crate) struct Current {
    newest: Mutex<Arc<Version>>,
    /// Counts changes; a stripe of another change is out of date.
    changes: AtomicU64,
    /// Whether a stripe may hold a version.
    is_striped: AtomicBool,
    stripes: [Stripe; STRIPES],
}

fn own_stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
    }
    OWN.with(|own| *own)
}

impl Current {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            newest: Mutex::new(Arc::new(version)),
            changes: AtomicU64::new(0),
            is_striped: AtomicBool::new(false),
            stripes: Default::default(),
        }
    }

    /// The newest version, for a short look by a thread that changes it too.
    pub(crate) fn newest(&self) -> Arc<Version> {
        Arc::clone(&self.newest.lock())
    }

    /// The newest version, for readers.
    pub(crate) fn share(&self) -> Shared {
        let mut stripe = self.stripes[own_stripe()].0.lock();
        // Looked at before the version is: one that is newer than its number is taken again, never kept.
        let changes = self.changes.load(Ordering::Acquire);
        match &*stripe {
            Some((as_of, shared)) if *as_of == changes => Arc::clone(shared),
            _ => {
                let shared = Arc::new(self.newest());
                self.is_striped.store(true, Ordering::Release);
                *stripe = Some((changes, Arc::clone(&shared)));
                shared
            }
        }
    }

    /// Changes the version, in place unless a snapshot holds it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Version) -> T) -> T {
        self.clear_stripes();
        let result = {
            let mut newest = self.newest.lock();
            let result = change(Arc::make_mut(&mut newest));
            self.changes.fetch_add(1, Ordering::Release);
            result
        };
        // A reader may have filled its stripe with the version that has just been replaced.
        self.clear_stripes();
        result
    }

    fn clear_stripes(&self) {
        if self.is_striped.swap(false, Ordering::AcqRel) {
            for stripe in &self.stripes {
                *stripe.0.lock() = None;
            }
        }
    }
}
