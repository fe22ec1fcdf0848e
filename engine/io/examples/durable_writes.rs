//! How many durable writes of one block a second the disk of a directory takes, by way and by number
//! of files that each have one write outstanding.
//!
//! `cargo run --release -p nimbus-io --example durable_writes -- DIRECTORY [SECONDS]`, where the
//! directory exists and the seconds are those of each measurement, 2 unless told.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nimbus_io::{AlignedBuffer, BLOCK_BYTES, Carrier, Disk, DiskFile, Durability, RealDisk, WriteWay};

/// Each file is written over and over within this many blocks.
const FILE_BLOCKS: u64 = 1_024;
const FILES: [usize; 4] = [1, 4, 16, 64];
const MOST_INLINE_THREADS: usize = 4;

/// Tells writers when to stop, and counts what they did.
#[derive(Default)]
struct Run {
    stopped: AtomicBool,
    writes: AtomicU64,
}

/// One write after the other, each started by the end of the one before.
fn keep_writing(
    run: &Arc<Run>,
    file: &Arc<dyn DiskFile>,
    block: u64,
    buffer: AlignedBuffer,
    ended: mpsc::Sender<io::Result<()>>,
) {
    let (next_run, next_file) = (run.clone(), file.clone());
    let done = move |result: io::Result<()>, buffer| {
        next_run.writes.fetch_add(1, Ordering::Relaxed);
        if result.is_err() || next_run.stopped.load(Ordering::Relaxed) {
            // Nobody listens only when the measurement has failed already.
            let _ = ended.send(result);
        } else {
            keep_writing(&next_run, &next_file, (block + 1) % FILE_BLOCKS, buffer, ended);
        }
    };
    file.start_durable_write(block * BLOCK_BYTES as u64, buffer, Box::new(done));
}

fn full_block() -> AlignedBuffer {
    AlignedBuffer::from([7; BLOCK_BYTES].as_slice())
}

/// Starts a write in each file and waits for `time`; answers the writes per second.
fn started(files: &[Arc<dyn DiskFile>], time: Duration) -> io::Result<f64> {
    let run = Arc::new(Run::default());
    let (sender, ends) = mpsc::channel();
    let start = Instant::now();
    for file in files {
        keep_writing(&run, file, 0, full_block(), sender.clone());
    }
    drop(sender);
    thread::sleep(time);
    run.stopped.store(true, Ordering::Relaxed);
    ends.iter().collect::<io::Result<()>>()?;
    Ok(run.writes.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
}

/// The same with up to four threads, each of which writes its share of the files in turn.
fn inline(files: &[Arc<dyn DiskFile>], time: Duration) -> io::Result<f64> {
    let run = Run::default();
    let start = Instant::now();
    let write = |files: &[Arc<dyn DiskFile>]| -> io::Result<()> {
        let buffer = full_block();
        for block in 0_u64.. {
            for file in files {
                file.write_durable_at(block % FILE_BLOCKS * BLOCK_BYTES as u64, &buffer)?;
                run.writes.fetch_add(1, Ordering::Relaxed);
                if start.elapsed() >= time {
                    return Ok(());
                }
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let share = files.len().div_ceil(MOST_INLINE_THREADS);
        let threads: Vec<_> = files.chunks(share).map(|files| scope.spawn(move || write(files))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a writer panicked")))
        })
    })?;
    Ok(run.writes.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
}

/// Makes the files for a measurement and removes them after it.
fn with_files(
    disk: &RealDisk,
    directory: &Path,
    count: usize,
    measure: impl Fn(&[Arc<dyn DiskFile>]) -> io::Result<f64>,
) -> io::Result<f64> {
    let paths: Vec<_> = (0..count).map(|number| directory.join(format!("durable-writes-{number}"))).collect();
    let files = paths
        .iter()
        .map(|path| disk.create(path, FILE_BLOCKS * BLOCK_BYTES as u64))
        .collect::<io::Result<Vec<_>>>()?;
    let result = measure(&files);
    paths.iter().try_for_each(|path| disk.remove(path))?;
    result
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = || io::Error::other("durable_writes DIRECTORY [SECONDS]");
    let directory = arguments.next().ok_or_else(usage)?;
    let seconds = arguments.next().map_or(Ok(2), |text| text.parse()).map_err(|_| usage())?;
    let (directory, time) = (Path::new(&directory), Duration::from_secs(seconds));
    let mut out = io::stdout().lock();

    writeln!(out, "chosen here: {}", RealDisk::probe(directory).describe())?;
    writeln!(out, "durable writes of {BLOCK_BYTES} bytes a second, by number of files")?;
    writeln!(out, "{:<42}{:>9}{:>9}{:>9}{:>9}", "", FILES[0], FILES[1], FILES[2], FILES[3])?;
    for durability in [Durability::Direct, Durability::Sync] {
        for carrier in [None, Some(Carrier::Ring), Some(Carrier::Threads)] {
            let disk = RealDisk::with(WriteWay { durability, carrier: carrier.unwrap_or(Carrier::Threads) });
            let name = match carrier {
                None => format!("{durability:?}, inline, up to {MOST_INLINE_THREADS} threads"),
                Some(_) => disk.describe(),
            };
            write!(out, "{name:<42}")?;
            for count in FILES {
                let rate = with_files(&disk, directory, count, |files| match carrier {
                    None => inline(files, time),
                    Some(_) => started(files, time),
                })?;
                write!(out, "{rate:>9.0}")?;
                out.flush()?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}
