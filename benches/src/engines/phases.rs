//! Every phase: its name, what its figures are, and what Nimbus should reach in it.

/// One phase.
pub(super) struct Phase {
    /// As it stands in the table; begins with the phase's letter.
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) aim: Aim,
}

/// What the figures of a phase are.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    pub(super) name: &'static str,
    pub(super) decimals: usize,
    pub(super) more_is_better: bool,
}

/// What Nimbus should reach.
#[derive(Clone, Copy)]
pub(super) enum Aim {
    /// At least so many times as good as the best of the peers.
    TimesBest(f64),
    /// At most so much, whatever the peers need.
    AtMost(f64),
    /// Whatever it is.
    None,
}

pub(super) const PER_SECOND: Unit = Unit { name: "a second", decimals: 0, more_is_better: true };
pub(super) const MILLISECONDS: Unit = Unit { name: "ms", decimals: 1, more_is_better: false };
const DISK_BYTES: Unit = Unit { name: "bytes on disk a byte", decimals: 2, more_is_better: false };
const FILES: Unit = Unit { name: "files a tenant", decimals: 1, more_is_better: false };
const KIB: Unit = Unit { name: "KiB a tenant", decimals: 1, more_is_better: false };

/// Writers of phase b, documents in each commit of phase c, threads of phase f; named there, too.
pub(super) const WRITERS: u64 = 16;
pub(super) const MIX_THREADS: u64 = 4;

pub(super) const ONE_WRITER: Phase =
    Phase { name: "a durable inserts, 1 writer", unit: PER_SECOND, aim: Aim::TimesBest(1.2) };
pub(super) const WRITERS_PLAIN: Phase =
    Phase { name: "b durable inserts, 16 writers, peers plain", unit: PER_SECOND, aim: Aim::TimesBest(1.8) };
pub(super) const WRITERS_BATCHED: Phase = Phase {
    name: "b durable inserts, 16 writers, peers batched",
    unit: PER_SECOND,
    aim: Aim::TimesBest(2.0),
};
pub(super) const BATCH_LOAD: Phase =
    Phase { name: "c batch load, documents", unit: PER_SECOND, aim: Aim::TimesBest(2.5) };
pub(super) const POINT_READS_1: Phase =
    Phase { name: "d point reads, 1 thread", unit: PER_SECOND, aim: Aim::TimesBest(1.5) };
pub(super) const POINT_READS_4: Phase =
    Phase { name: "d point reads, 4 threads", unit: PER_SECOND, aim: Aim::TimesBest(1.1) };
pub(super) const INDEX_SCANS: Phase =
    Phase { name: "e index scans of 100", unit: PER_SECOND, aim: Aim::TimesBest(1.5) };
pub(super) const MIX: Phase = Phase {
    name: "f reads and updates 50/50, zipfian, 4 threads",
    unit: PER_SECOND,
    aim: Aim::TimesBest(1.3),
};

/// The phases that work on stores loaded once for all of them.
pub(super) const ON_LOADED_STORES: [&Phase; 8] = [
    &ONE_WRITER,
    &WRITERS_PLAIN,
    &WRITERS_BATCHED,
    &BATCH_LOAD,
    &POINT_READS_1,
    &POINT_READS_4,
    &INDEX_SCANS,
    &MIX,
];

pub(super) const DISK: Phase =
    Phase { name: "h disk after compaction", unit: DISK_BYTES, aim: Aim::AtMost(1.15) };
pub(super) const TENANTS: Phase =
    Phase { name: "i tenants, each created and written to", unit: PER_SECOND, aim: Aim::TimesBest(2.0) };
pub(super) const TENANT_FILES: Phase =
    Phase { name: "i open files of open tenants", unit: FILES, aim: Aim::None };
pub(super) const TENANT_MEMORY: Phase =
    Phase { name: "i resident memory of open tenants", unit: KIB, aim: Aim::AtMost(32.0) };

/// Opening after a crash; how long it may take depends on how much there is.
pub(super) fn opening(documents: u64) -> Phase {
    let aim = match documents {
        0..=100_000 => Aim::AtMost(60.0),
        100_001..=1_000_000 => Aim::AtMost(100.0),
        _ => Aim::None,
    };
    Phase { name: "g open and first read after kill -9", unit: MILLISECONDS, aim }
}
