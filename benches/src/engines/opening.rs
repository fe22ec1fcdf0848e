//! How long a store takes to open and answer after its process was killed.

use std::path::Path;

use tokio::runtime::Runtime;

use super::child::Child;
use super::report::{Report, Standing};
use super::side::Side;
use super::{Arguments, files, phases};
use crate::Outcome;
use crate::measure::median;

/// Kills everybody once, after the last acknowledged batch, and opens copies of what is left.
pub(super) fn opening(
    arguments: &Arguments,
    runtime: &Runtime,
    folder: &Path,
    report: &mut Report,
) -> Outcome<()> {
    let documents = arguments.open_documents;
    let phase = phases::opening(documents);
    if !arguments.measuring.wants(phase.name) {
        return Ok(());
    }
    let mut killed = Vec::new();
    for side in arguments.sides() {
        eprintln!("measuring {}: loading and killing {} …", phase.name, side.name());
        let left = tempfile::tempdir_in(folder)?;
        match files::check_room(folder).and_then(|()| Child::load_and_kill(side, left.path(), documents)) {
            Ok(()) => killed.push((side, left, Vec::new())),
            Err(error) => report.note(&phase, &format!("{} is left out: {error}", side.name())),
        }
    }
    for _ in 0..arguments.measuring.rounds {
        for (side, left, times_ms) in &mut killed {
            times_ms.push(time_opening_ms(*side, runtime, left.path(), folder, documents)?);
        }
    }
    let mut standing = Standing::default();
    for (side, _, times_ms) in killed {
        standing.add(side, median(times_ms));
    }
    report.phase(&phase, &standing);
    report.note(&phase, &format!("{documents} documents"));
    Ok(())
}

fn time_opening_ms(
    side: Side,
    runtime: &Runtime,
    left: &Path,
    folder: &Path,
    documents: u64,
) -> Outcome<f64> {
    let copy = tempfile::tempdir_in(folder)?;
    files::copy(left, copy.path())?;
    Ok(side.time_opening(runtime, copy.path(), documents)?.as_secs_f64() * 1e3)
}
