//! The operating system's file system.
//!
//! Promises: durable writes are durable whichever way they take, and reads see them at once.
//! Deliberately unknown: caching and batching, which belong to the caller, and who waits.
//!
//! - A write on the caller's thread goes through a second descriptor opened `O_DIRECT | O_DSYNC`, or
//!   is `pwrite` and `fdatasync` where the file system does not take that.
//! - A write that is started goes to a queue that all files of a disk share, and is carried out by one
//!   thread with an `io_uring` or by a small pool.
//!
//! A disk's threads start when the first write is started. They end when the last clone of the disk
//! and the last of its files are gone and everything that was started is done.

mod queue;
mod ring;
mod target;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};

use parking_lot::Mutex;
use rustix::fs::OFlags;

use crate::aligned::AlignedBuffer;
use crate::disk::{BLOCK_BYTES, Disk, DiskFile, WriteDone, check_aligned, check_shortens};
use queue::{DurableWrite, Queue, Waiting};
use target::{Progress, Target, open_direct};

/// Zeros are written in pieces of this size.
const ZEROS_BYTES: usize = 1 << 20;

/// Files are their owner's alone: they hold what tenants store.
const FILE_MODE: u32 = 0o600;

/// What makes a write durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A descriptor opened `O_DIRECT | O_DSYNC`; the page cache is passed by.
    Direct,
    /// `pwrite`, then `fdatasync`. Every file system takes it.
    Sync,
}

/// What carries out writes that are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// One thread with an `io_uring`; a pool when the kernel does not give one.
    Ring,
    /// A small pool of threads that write and wait.
    Threads,
}

/// How durable writes are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteWay {
    /// What makes a write durable.
    pub durability: Durability,
    /// What carries out writes that are started.
    pub carrier: Carrier,
}

/// The machine's own disk. Clones share their queue of started writes.
#[derive(Clone)]
pub struct RealDisk(Arc<Shared>);

struct Shared {
    way: WriteWay,
    queue: OnceLock<Arc<Queue>>,
    in_flight: Arc<AtomicUsize>,
}

impl RealDisk {
    /// A disk that uses the best of the ways that work where `directory` is. They are tried on a file
    /// without a name, of which nothing stays behind. A directory in which nothing can be tried gets
    /// the way that works everywhere.
    pub fn probe(directory: &Path) -> Self {
        let direct = WriteWay { durability: Durability::Direct, carrier: Carrier::Threads };
        let durability = if works(direct, directory) { Durability::Direct } else { Durability::Sync };
        let ring = WriteWay { durability, carrier: Carrier::Ring };
        let carrier = if works(ring, directory) { Carrier::Ring } else { Carrier::Threads };
        Self::with(WriteWay { durability, carrier })
    }

    /// A disk that does durable writes in a given way. A file that cannot be opened for direct writes
    /// is written and synced all the same.
    pub fn with(way: WriteWay) -> Self {
        Self(Arc::new(Shared { way, queue: OnceLock::new(), in_flight: Arc::default() }))
    }

    /// How durable writes are done.
    pub fn way(&self) -> WriteWay {
        let ring_failed = self.0.queue.get().is_some_and(|queue| queue.ring_failed());
        let carrier = if ring_failed { Carrier::Threads } else { self.0.way.carrier };
        WriteWay { carrier, ..self.0.way }
    }

    /// How durable writes are done, for a person.
    pub fn describe(&self) -> String {
        self.way().to_string()
    }

    fn file(&self, file: File) -> Arc<RealFile> {
        Arc::new(RealFile { file: Arc::new(file), direct: Mutex::new(None), disk: self.0.clone() })
    }
}

impl fmt::Display for WriteWay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.durability {
            Durability::Direct => "direct synchronous writes, ",
            Durability::Sync => "pwrite and fdatasync, ",
        })?;
        match self.carrier {
            Carrier::Ring => formatter.write_str("io_uring"),
            Carrier::Threads => write!(formatter, "{} threads", queue::THREADS),
        }
    }
}

/// Whether a durable write in just this way works where `directory` is, started and on the thread.
fn works(way: WriteWay, directory: &Path) -> bool {
    let flags = OFlags::TMPFILE.bits().cast_signed();
    let opened =
        OpenOptions::new().read(true).write(true).custom_flags(flags).mode(FILE_MODE).open(directory);
    let Ok(file) = opened else { return false };
    let disk = RealDisk::with(way);
    let file = disk.file(file);
    if way.durability == Durability::Direct && !matches!(file.target(), Target::Direct(_)) {
        return false;
    }
    let mut block = AlignedBuffer::new();
    block.resize(BLOCK_BYTES, 1);
    let inline = file.write_durable_at(0, &block);
    let (sender, receiver) = mpsc::channel();
    file.start_durable_write(0, block, Box::new(move |result, _| drop(sender.send(result))));
    inline.is_ok() && matches!(receiver.recv(), Ok(Ok(()))) && disk.way() == way
}

impl Shared {
    fn queue(&self) -> &Queue {
        self.queue.get_or_init(|| match self.way.carrier {
            Carrier::Ring => Queue::with_ring(),
            Carrier::Threads => Queue::with_threads(),
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.get() {
            queue.close();
        }
    }
}

impl Disk for RealDisk {
    fn create(&self, path: &Path, size_bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)?;
        // Zeros are written rather than allocated: a write into extents that are merely allocated
        // changes metadata, which costs each sync a journal write.
        if let Err(error) = write_zeros(&mut file, size_bytes).and_then(|()| file.sync_all()) {
            // The caller gets the first error; a file that cannot be removed either stays behind.
            let _ = fs::remove_file(path);
            return Err(error);
        }
        if self.0.way.durability == Durability::Direct {
            // Nobody reads the zeros, and direct writes would have to find and drop them in the page
            // cache. It is advice: where it is not taken, nothing is lost.
            let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        }
        Ok(self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths =
            fs::read_dir(directory)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        let status = rustix::fs::statvfs(directory)?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::Relaxed)
    }
}

fn write_zeros(file: &mut File, size_bytes: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS_BYTES.min(size_bytes as usize)];
    let mut left = size_bytes;
    while left > 0 {
        let piece = left.min(zeros.len() as u64);
        file.write_all(&zeros[..piece as usize])?;
        left -= piece;
    }
    Ok(())
}

struct RealFile {
    file: Arc<File>,
    /// Opened at the first durable write: most files are only read.
    direct: Mutex<Option<Arc<File>>>,
    disk: Arc<Shared>,
}

impl RealFile {
    fn target(&self) -> Target {
        if self.disk.way.durability == Durability::Sync {
            return Target::Buffered(self.file.clone());
        }
        let mut direct = self.direct.lock();
        if direct.is_none() {
            *direct = open_direct(&self.file).ok().map(Arc::new);
        }
        direct.clone().map_or_else(|| Target::Buffered(self.file.clone()), Target::Direct)
    }
}

impl DiskFile for RealFile {
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn write_durable_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        check_aligned(offset, bytes)?;
        let _waiting = Waiting::new(&self.disk.in_flight);
        self.target().write(offset, bytes)
    }

    fn start_durable_write(&self, offset: u64, buffer: AlignedBuffer, done: WriteDone) {
        if let Err(error) = check_aligned(offset, &buffer) {
            return done(Err(error), buffer);
        }
        let waiting = Waiting::new(&self.disk.in_flight);
        let (target, progress) = (self.target(), Progress::default());
        self.disk.queue().push(DurableWrite { target, offset, buffer, progress, done, waiting });
    }

    fn finish_writing(&self) {
        *self.direct.lock() = None;
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync also writes a changed length, which is needed to find the data again.
        self.file.sync_data()
    }

    fn truncate(&self, size_bytes: u64) -> io::Result<()> {
        check_shortens(self.size_bytes()?, size_bytes)?;
        self.file.set_len(size_bytes)?;
        self.file.sync_all()
    }
}
