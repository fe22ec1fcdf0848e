//! Waiting for commits.
//!
//! Promises: a commit of this server wakes whoever waits for it at once, one of another server on the same
//! storage within about [`POLL_EVERY_US`]; no wake-up is lost; however many wait, the storage is asked
//! for its head once in that time. Deliberately unknown: what is committed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nimbus_types::Sequence;

use crate::error::Result;
use crate::tenant::{Tenant, TenantCore};
use crate::transaction::CommitPosition;

/// How often the storage is asked what other servers have committed.
const POLL_EVERY_US: u64 = 250_000;

/// What is known of commits by other servers.
#[derive(Default)]
pub(crate) struct ForeignHead {
    sequence: AtomicU64,
    asked_us: AtomicU64,
}

impl ForeignHead {
    /// Whether the caller is the one to ask now.
    fn take_turn(&self, now_us: u64) -> bool {
        let asked_us = self.asked_us.load(Ordering::Relaxed);
        now_us >= asked_us.saturating_add(POLL_EVERY_US)
            && self.asked_us.compare_exchange(asked_us, now_us, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl TenantCore {
    /// Sequence of the newest commit that is known to be durable, whoever made it.
    fn newest_known(&self) -> Sequence {
        self.committer.known_head().max(Sequence(self.foreign_head.sequence.load(Ordering::Acquire)))
    }

    async fn look_for_foreign_commits(&self) -> Result<()> {
        self.check_open()?;
        if self.foreign_head.take_turn(self.clock.monotonic_us()) {
            let head = self.storage.head().await?;
            self.foreign_head.sequence.fetch_max(head.sequence.0, Ordering::AcqRel);
        }
        Ok(())
    }
}

impl Tenant {
    /// Where the newest commit stands.
    pub async fn head(&self) -> Result<CommitPosition> {
        let snapshot = self.snapshot().await?;
        let head = snapshot.head();
        Ok(CommitPosition { sequence: head.sequence, time_ms: head.time_ms })
    }

    /// Waits until there is a durable commit after `sequence`; `false` if there is none within `timeout`.
    pub async fn wait_past(&self, sequence: Sequence, timeout: Duration) -> Result<bool> {
        self.bind().await?;
        let core = self.core();
        let end = tokio::time::sleep(timeout);
        tokio::pin!(end);
        loop {
            // Made before looking, so that a commit after the look wakes it.
            let advanced = core.committer.advanced();
            core.touch();
            core.look_for_foreign_commits().await?;
            if core.newest_known() > sequence {
                return Ok(true);
            }
            if end.is_elapsed() {
                return Ok(false);
            }
            // Whatever ends the wait, the look above tells what has come.
            tokio::select! {
                () = advanced => {}
                () = tokio::time::sleep(Duration::from_micros(POLL_EVERY_US)) => {}
                () = &mut end => {}
            }
        }
    }
}
