//! Durable inserts, batch loads, and the mix of reads and updates.

use super::contest::{Contest, Peer};
use super::phases::{
    BATCH_LOAD, MIX, MIX_THREADS, ONE_WRITER, Phase, WRITERS, WRITERS_BATCHED, WRITERS_PLAIN,
};
use super::report::{Report, Standing};
use crate::Outcome;
use crate::embedded;

/// Says what one durable write costs at this moment.
pub(super) type SyncTime<'a> = &'a dyn Fn() -> Outcome<String>;

/// Measures single inserts and batch loads.
pub(super) fn inserts(contest: &Contest<'_>, report: &mut Report, sync_time: SyncTime<'_>) -> Outcome<()> {
    let Contest { nimbus, work, .. } = contest;
    let everybody = contest.plain.iter().chain(&contest.batched).collect();
    let (plain, batched) = (contest.plain.iter().collect(), contest.batched.iter().collect());
    let phases: [(_, Vec<&Peer>, _); 3] =
        [(ONE_WRITER, everybody, 1), (WRITERS_PLAIN, plain, WRITERS), (WRITERS_BATCHED, batched, WRITERS)];
    for (phase, peers, writers) in &phases {
        durable(contest, report, phase, sync_time, || {
            contest.compare(
                phase,
                peers,
                |until| nimbus.inserts(*writers, until),
                |sessions, until| embedded::inserts(sessions, work, *writers, until),
            )
        })?;
    }
    let plain: Vec<_> = contest.plain.iter().collect();
    durable(contest, report, &BATCH_LOAD, sync_time, || {
        contest.compare(
            &BATCH_LOAD,
            &plain,
            |until| nimbus.batch_load(until),
            |sessions, until| embedded::batch_load(sessions, work, until),
        )
    })
}

/// Measures reads and updates by turns. It moves documents to other groups, so scans come before it.
pub(super) fn mix(contest: &Contest<'_>, report: &mut Report, sync_time: SyncTime<'_>) -> Outcome<()> {
    let Contest { nimbus, work, zipfian, .. } = contest;
    let everybody: Vec<_> = contest.plain.iter().chain(&contest.batched).collect();
    durable(contest, report, &MIX, sync_time, || {
        contest.compare(
            &MIX,
            &everybody,
            |until| nimbus.mix(zipfian, MIX_THREADS, until),
            |sessions, until| embedded::mix(sessions, work, zipfian, MIX_THREADS, until),
        )
    })
}

/// Reports a phase with what the device's sync took and how many commits Nimbus made durable at a time.
fn durable(
    contest: &Contest<'_>,
    report: &mut Report,
    phase: &Phase,
    sync_time: SyncTime<'_>,
    measure: impl FnOnce() -> Outcome<Option<Standing>>,
) -> Outcome<()> {
    let before = contest.nimbus.figures();
    if let Some(standing) = measure()? {
        report.phase(phase, &standing);
        let commits = contest.nimbus.figures().per_commit_since(&before);
        report.note(phase, &format!("{commits}; {}", sync_time()?));
    }
    Ok(())
}
