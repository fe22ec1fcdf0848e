//! The token as a running server knows it: taken up again when its file changes.
//!
//! Promises: a new token opens the door at once, since a token that does not match makes the server
//! look at the file before it refuses; the old one stops within [`RECHECK_US`]. A file that is missing
//! or damaged while the server runs leaves the last good token in force and is logged once.
//! Deliberately unknown: requests.

use std::fs::{self, Metadata};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use nimbus_io::Clock;
use parking_lot::RwLock;

use super::{AdminToken, TokenStore};

/// How long an accepted token goes on being accepted without a look at the file, microseconds.
const RECHECK_US: u64 = 250_000;

/// What tells one written file from the next; every write makes a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length_bytes: u64,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self { modified: metadata.modified().ok(), length_bytes: metadata.len(), inode }
    }
}

struct Known {
    token: AdminToken,
    stamp: Option<Stamp>,
}

/// Decides which presented tokens are the one in force.
pub(crate) struct TokenWatch {
    store: TokenStore,
    clock: Arc<dyn Clock>,
    known: RwLock<Known>,
    checked_us: AtomicU64,
}

impl TokenWatch {
    /// Watches the file of `store`, beginning with `token`, which was read from it.
    pub(crate) fn new(store: TokenStore, token: AdminToken, clock: Arc<dyn Clock>) -> Self {
        // Without a stamp the first question looks at the file, so nothing written since is missed.
        let known = RwLock::new(Known { token, stamp: None });
        let watch = Self { store, known, checked_us: AtomicU64::new(0), clock };
        watch.refresh();
        watch
    }

    /// Whether `presented` is the token in force.
    pub(crate) fn admits(&self, presented: &str) -> bool {
        let matches = || self.known.read().token.matches(presented);
        if matches() && !self.is_due() {
            return true;
        }
        self.refresh();
        matches()
    }

    fn is_due(&self) -> bool {
        let checked_us = self.checked_us.load(Ordering::Relaxed);
        self.clock.monotonic_us().saturating_sub(checked_us) >= RECHECK_US
    }

    /// Reads the file if it is not the one read last. A look at an unchanged file is one `stat`.
    fn refresh(&self) {
        self.checked_us.store(self.clock.monotonic_us(), Ordering::Relaxed);
        let stamp = fs::metadata(self.store.path()).ok().map(|metadata| Stamp::of(&metadata));
        if stamp.is_some() && self.known.read().stamp == stamp {
            return;
        }
        let mut known = self.known.write();
        if known.stamp == stamp {
            return;
        }
        match self.store.read() {
            Ok(Some(token)) => {
                if token.generation() != known.token.generation() {
                    tracing::info!(generation = token.generation(), "took up the rotated admin token");
                }
                known.token = token;
            }
            Ok(None) => tracing::error!("the admin token file is missing; the last token stays in force"),
            Err(error) => tracing::error!("{error}; the last token stays in force"),
        }
        known.stamp = stamp;
    }
}

#[cfg(test)]
mod tests {
    use nimbus_io::{SimulatedClock, SystemRandomness};

    use super::*;

    struct Fixture {
        _directory: tempfile::TempDir,
        store: TokenStore,
        clock: Arc<SimulatedClock>,
        watch: TokenWatch,
        first: AdminToken,
    }

    fn fixture() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let store = TokenStore::new(directory.path().join("auth/token"));
        let clock = Arc::new(SimulatedClock::new(1_767_225_600_000));
        let first = store.load_or_create(clock.as_ref(), &SystemRandomness).unwrap();
        let watch = TokenWatch::new(store.clone(), first.clone(), clock.clone());
        Fixture { _directory: directory, store, clock, watch, first }
    }

    #[test]
    fn a_rotated_token_is_taken_up_at_once_and_then_the_old_one_is_refused() {
        let f = fixture();
        assert!(f.watch.admits(f.first.reveal()) && !f.watch.admits("guess"));
        let second = f.store.rotate(f.clock.as_ref(), &SystemRandomness).unwrap();
        assert!(f.watch.admits(second.reveal()), "no time has passed");
        assert!(!f.watch.admits(f.first.reveal()));
    }

    #[test]
    fn the_old_token_stops_even_if_the_new_one_is_never_presented() {
        let f = fixture();
        f.store.rotate(f.clock.as_ref(), &SystemRandomness).unwrap();
        f.clock.advance_ms(RECHECK_US / 1000);
        assert!(!f.watch.admits(f.first.reveal()));
    }

    #[test]
    fn a_missing_or_damaged_file_leaves_the_last_token_until_a_good_one_is_there() {
        let f = fixture();
        fs::write(f.store.path(), "{").unwrap();
        f.clock.advance_ms(1000);
        assert!(f.watch.admits(f.first.reveal()) && !f.watch.admits("{"));
        fs::remove_file(f.store.path()).unwrap();
        f.clock.advance_ms(1000);
        assert!(f.watch.admits(f.first.reveal()));
        let next = f.store.load_or_create(f.clock.as_ref(), &SystemRandomness).unwrap();
        assert!(f.watch.admits(next.reveal()) && !f.watch.admits(f.first.reveal()));
    }
}
