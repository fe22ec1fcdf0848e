//! Durable writes through an `io_uring`: one thread submits what waits in the queue and reaps what
//! the kernel has completed.
//!
//! Promises: every write that was taken from the queue is finished exactly once. Deliberately
//! unknown: what the writes are for, and what happens once the ring has failed (`queue.rs`).
//!
//! # Why the unsafe code is sound
//!
//! The kernel works on memory and a descriptor that a submitted entry names by address and number;
//! submitting is unsafe because both must stay valid until the entry's completion has been reaped.
//! Here they do:
//!
//! - What an entry names is owned by [`InFlight`] before the entry is submitted: a write with its
//!   buffer and file, or the eight bytes that the bell's counter is read into, with the bell.
//! - Nothing in it is changed or lent out while it is there, and moving the owner does not move the
//!   memory, which is on the heap. The kernel only reads a write's buffer; the bell's bytes are never
//!   looked at.
//! - It is taken out only by the completion that carries its slot's number.
//! - Where a ring is given up with entries in flight, by an error or a panic, [`InFlight`] leaks their
//!   memory and descriptors instead of freeing them; only the one who waits is told.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use io_uring::{IoUring, opcode, squeue, types};

use super::queue::{DurableWrite, Queue};

/// Entries that the kernel may hold at once. Writes beyond that wait in the queue.
const ENTRIES: u32 = 256;

/// What an entry needs for as long as the kernel may use it.
enum Entry {
    Write(DurableWrite),
    /// A read of the bell's counter, which completes when the bell is rung.
    Bell(Arc<OwnedFd>, Vec<u8>),
}

impl Entry {
    fn describe(&mut self, slot: usize) -> squeue::Entry {
        let entry = match self {
            Self::Write(write) => {
                let rest = &write.buffer[write.progress.written..];
                // More than that is a short write, which is gone on with.
                let length = u32::try_from(rest.len()).unwrap_or(1 << 30);
                opcode::Write::new(types::Fd(write.target.file().as_raw_fd()), rest.as_ptr(), length)
                    .offset(write.offset + write.progress.written as u64)
                    .rw_flags(write.target.write_flags().bits().cast_signed())
                    .build()
            }
            Self::Bell(bell, counter) => {
                opcode::Read::new(types::Fd(bell.as_raw_fd()), counter.as_mut_ptr(), counter.len() as u32)
                    .build()
            }
        };
        entry.user_data(slot as u64)
    }
}

/// Owns what the kernel may be using, by slot.
#[derive(Default)]
struct InFlight {
    slots: Vec<Option<Entry>>,
    free: Vec<usize>,
}

impl InFlight {
    fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Takes ownership and answers what to submit.
    fn add(&mut self, mut entry: Entry) -> squeue::Entry {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let described = entry.describe(slot);
        self.slots[slot] = Some(entry);
        described
    }

    fn take(&mut self, slot: usize) -> Option<Entry> {
        let entry = self.slots.get_mut(slot)?.take();
        if entry.is_some() {
            self.free.push(slot);
        }
        entry
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        for entry in self.slots.drain(..).flatten() {
            match entry {
                Entry::Write(mut write) => {
                    std::mem::forget(std::mem::take(&mut write.buffer));
                    std::mem::forget(write.target.clone());
                    write.finish(Err(io::Error::other("the io_uring failed with the write under way")));
                }
                Entry::Bell(..) => std::mem::forget(entry),
            }
        }
    }
}

/// A ring and what is in flight on it.
pub(super) struct Ring {
    uring: IoUring,
    in_flight: InFlight,
    bell: Arc<OwnedFd>,
}

impl Ring {
    /// Sets up a ring for the calling thread, which is to run it. `bell` is an eventfd that wakes it.
    pub(super) fn new(bell: Arc<OwnedFd>) -> io::Result<Self> {
        // Completions need not interrupt a thread that comes for them anyway. Linux before 6.1 does
        // not know these flags.
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(ENTRIES)
            .or_else(|_| IoUring::new(ENTRIES))?;
        Ok(Self { uring, in_flight: InFlight::default(), bell })
    }

    /// Serves the queue until it is closed and everything is finished. On an error of the ring itself
    /// the writes that were in flight have been finished with an error.
    pub(super) fn run(mut self, queue: &Queue) -> io::Result<()> {
        let (mut taken, mut completed) = (Vec::new(), Vec::new());
        let mut listening = false;
        loop {
            // One entry is kept for the bell.
            let room = ENTRIES as usize - self.in_flight.len() - usize::from(!listening);
            let closed = queue.take(room, &mut taken);
            let mut submitted = Ok(());
            for write in taken.drain(..) {
                // Also after an error each write gets its owner, who finishes it.
                let result = self.submit(Entry::Write(write));
                submitted = submitted.and(result);
            }
            submitted?;
            if !listening && !closed {
                self.submit(Entry::Bell(self.bell.clone(), vec![0; 8]))?;
                listening = true;
            }
            if self.in_flight.len() == 0 {
                return Ok(());
            }
            self.wait()?;
            queue.is_awake();
            completed
                .extend(self.uring.completion().map(|entry| (entry.user_data() as usize, entry.result())));
            for (slot, result) in completed.drain(..) {
                match self.in_flight.take(slot) {
                    Some(Entry::Write(write)) => self.complete(write, result)?,
                    Some(Entry::Bell(..)) => {
                        listening = false;
                        count_in(result).or_else(pass)?;
                    }
                    None => return Err(io::Error::other("the io_uring completed what was not submitted")),
                }
            }
        }
    }

    /// Puts an entry where the next [`Ring::wait`] submits it.
    fn submit(&mut self, entry: Entry) -> io::Result<()> {
        let described = self.in_flight.add(entry);
        // SAFETY: `in_flight` owns the memory and the descriptor until the completion; see above.
        unsafe { self.uring.submission().push(&described) }.map_err(io::Error::other)
    }

    /// Submits and waits for a completion. May come back without one.
    fn wait(&mut self) -> io::Result<()> {
        self.uring.submit_and_wait(1).or_else(pass).map(drop)
    }

    /// Goes on with a write after an attempt, or finishes it.
    fn complete(&mut self, mut write: DurableWrite, result: i32) -> io::Result<()> {
        let again = match count_in(result) {
            Ok(count) => write.progress.advance(count, write.buffer.len()),
            Err(error) => pass(error).map(drop),
        };
        match again {
            Ok(()) if write.progress.written < write.buffer.len() => self.submit(Entry::Write(write)),
            result => {
                write.finish(result);
                Ok(())
            }
        }
    }
}

/// Lets an error pass after which the same call may be made again.
fn pass(error: io::Error) -> io::Result<usize> {
    // The ring is busy while completions wait to be reaped.
    const EBUSY: i32 = rustix::io::Errno::BUSY.raw_os_error();
    match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => Ok(0),
        _ if error.raw_os_error() == Some(EBUSY) => Ok(0),
        _ => Err(error),
    }
}

/// The count in a completion, or the error.
fn count_in(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}
