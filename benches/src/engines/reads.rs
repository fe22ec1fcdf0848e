//! Point reads and index scans.

use super::contest::Contest;
use super::phases::{INDEX_SCANS, POINT_READS_1, POINT_READS_4};
use super::report::Report;
use crate::Outcome;
use crate::embedded;

/// Measures both; batchers do not read, so peers are plain.
pub(super) fn reads(contest: &Contest<'_>, report: &mut Report) -> Outcome<()> {
    let Contest { nimbus, work, .. } = contest;
    let plain: Vec<_> = contest.plain.iter().collect();
    for (phase, threads) in [(&POINT_READS_1, 1), (&POINT_READS_4, 4)] {
        let standing = contest.compare(
            phase,
            &plain,
            |until| nimbus.point_reads(threads, until),
            |sessions, until| embedded::point_reads(sessions, work, threads, until),
        )?;
        if let Some(standing) = standing {
            report.phase(phase, &standing);
        }
    }
    let standing = contest.compare(
        &INDEX_SCANS,
        &plain,
        |until| nimbus.index_scans(until),
        |sessions, until| embedded::index_scans(sessions, work, until),
    )?;
    if let Some(standing) = standing {
        report.phase(&INDEX_SCANS, &standing);
    }
    Ok(())
}
