//! Commit times as the timestamps that drivers gossip, and that change streams begin at.
//!
//! A commit's timestamp has the second of the commit and, as its increment, the lower 32 bits of the commit's
//! place in its tenant's log. Commit times never go back within a log, so timestamps of one tenant stand in
//! the order of its commits (but for one second in four thousand million commits, where the increment wraps).
//! Promises: what is handed out never goes back. Deliberately unknown: replica sets; whether replies show
//! it is the caller's to know.

use std::sync::atomic::{AtomicU64, Ordering};

use bson::spec::BinarySubtype;
use bson::{Binary, RawDocumentBuf, Timestamp, cstr, rawdoc};
use nimbus_engine::CommitPosition;

/// The timestamp of a commit.
pub(crate) fn of_commit(position: CommitPosition) -> Timestamp {
    Timestamp {
        time: u32::try_from(position.time_ms / 1000).unwrap_or(u32::MAX),
        increment: (position.sequence.0 & u64::from(u32::MAX)) as u32,
    }
}

/// The newest timestamp that any reply has shown.
#[derive(Default)]
pub(crate) struct ClusterTime {
    newest: AtomicU64,
}

impl ClusterTime {
    /// Notes that a command has seen a state.
    pub(crate) fn advance(&self, to: Timestamp) {
        self.newest.fetch_max(packed(to), Ordering::Relaxed);
    }

    /// The newest time noted; before there is any, the first of the second given.
    pub(crate) fn now(&self, now_ms: u64) -> Timestamp {
        let start = Timestamp { time: u32::try_from(now_ms / 1000).unwrap_or(u32::MAX), increment: 1 };
        let before = self.newest.compare_exchange(0, packed(start), Ordering::Relaxed, Ordering::Relaxed);
        before.map_or_else(unpacked, |_| start)
    }

    /// Adds `$clusterTime`, and `operationTime` for the state that the command has seen.
    pub(crate) fn append_to(&self, reply: &mut RawDocumentBuf, seen: Option<Timestamp>, now_ms: u64) {
        if let Some(seen) = seen {
            self.advance(seen);
        }
        let now = self.now(now_ms);
        // Nobody signs here: drivers hand the signature back as it is.
        let hash = Binary { subtype: BinarySubtype::Generic, bytes: vec![0; 20] };
        let signature = rawdoc! { "hash": hash, "keyId": 0_i64 };
        reply.append(cstr!("$clusterTime"), rawdoc! { "clusterTime": now, "signature": signature });
        reply.append(cstr!("operationTime"), seen.unwrap_or(now));
    }
}

fn packed(time: Timestamp) -> u64 {
    u64::from(time.time) << 32 | u64::from(time.increment)
}

fn unpacked(packed: u64) -> Timestamp {
    Timestamp { time: (packed >> 32) as u32, increment: (packed & u64::from(u32::MAX)) as u32 }
}

#[cfg(test)]
mod tests {
    use nimbus_types::Sequence;

    use super::*;

    #[test]
    fn timestamps_stand_in_the_order_of_commits_and_never_go_back() {
        let at = |sequence, time_ms| of_commit(CommitPosition { sequence: Sequence(sequence), time_ms });
        assert!(at(1, 5_000) < at(2, 5_000) && at(2, 5_999) < at(3, 6_000));
        let time = ClusterTime::default();
        assert_eq!(time.now(7_000), Timestamp { time: 7, increment: 1 });
        time.advance(at(9, 8_000));
        time.advance(at(2, 6_000));
        assert_eq!(time.now(0), at(9, 8_000));
    }
}
