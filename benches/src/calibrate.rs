//! What one durable write costs on this device, at this moment, without any store.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use crate::Outcome;
use crate::measure::median;

const SYNCS: usize = 200;

/// Median time of appending 4 KiB and syncing it.
pub(crate) fn sync_time(folder: &Path) -> Outcome<String> {
    let path = folder.join("calibration");
    let mut file = File::create(&path)?;
    let mut times_us = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begin = Instant::now();
        file.write_all(&[0xA5; 4096])?;
        file.sync_data()?;
        times_us.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    std::fs::remove_file(path)?;
    Ok(format!("appending 4 KiB and fdatasync took {:.0} µs at this moment", median(times_us)))
}
