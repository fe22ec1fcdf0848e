//! Bytes on disk for each byte of documents, after each store's own compaction.

use std::path::Path;

use tokio::runtime::Runtime;

use super::phases::DISK;
use super::report::{Report, Standing};
use super::side::Side;
use super::{Arguments, files};
use crate::Outcome;
use crate::work::Work;

/// Measures everybody once: the figure does not change from run to run.
pub(super) fn disk(arguments: &Arguments, runtime: &Runtime, folder: &Path, report: &mut Report) {
    if !arguments.measuring.wants(DISK.name) {
        return;
    }
    let mut standing = Standing::default();
    for side in arguments.sides() {
        eprintln!("measuring {}: {} …", DISK.name, side.name());
        match measure(side, runtime, folder, arguments.documents) {
            Ok(figure) => standing.add(side, figure),
            Err(error) => report.note(&DISK, &format!("{} is left out: {error}", side.name())),
        }
    }
    report.phase(&DISK, &standing);
}

fn measure(side: Side, runtime: &Runtime, folder: &Path, documents: u64) -> Outcome<f64> {
    files::check_room(folder)?;
    let folder = tempfile::tempdir_in(folder)?;
    side.load(runtime, folder.path(), documents, || Ok(()))?;
    side.compact(runtime, folder.path())?;
    let logical: usize = (0..documents).map(|n| Work::document(n).as_bytes().len()).sum();
    Ok(files::disk_bytes(folder.path())? as f64 / logical as f64)
}
