//! Durable writes that somebody else carries out: the queue, and the threads at its end.
//!
//! Promises: every write that is pushed ends in exactly one call of its `done`, also when the queue
//! is closed with writes in it, when no thread can be started, and when the ring fails. Deliberately
//! unknown: how the ring talks to the kernel (`ring.rs`).
//!
//! Callers and the ring's thread meet without a system call while that thread has work: only the
//! caller who finds it asleep rings its bell, an eventfd.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use parking_lot::{Condvar, Mutex};
use rustix::event::{EventfdFlags, eventfd};

use super::ring::Ring;
use super::target::{Progress, Target};
use crate::aligned::AlignedBuffer;
use crate::disk::WriteDone;

/// Threads of the pool.
pub(super) const THREADS: usize = 4;

/// Counts as one write in flight for as long as it lives.
pub(super) struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    pub(super) fn new(in_flight: &Arc<AtomicUsize>) -> Self {
        in_flight.fetch_add(1, Ordering::Relaxed);
        Self(in_flight.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A durable write with all that it needs until it ends.
pub(super) struct DurableWrite {
    pub(super) target: Target,
    pub(super) offset: u64,
    pub(super) buffer: AlignedBuffer,
    pub(super) progress: Progress,
    pub(super) done: WriteDone,
    pub(super) waiting: Waiting,
}

impl DurableWrite {
    /// Writes on the calling thread, then finishes.
    pub(super) fn carry_out(self) {
        let result = self.target.write(self.offset, &self.buffer);
        self.finish(result);
    }

    /// Tells the one who waits. A panic of theirs ends here: others wait for this thread.
    pub(super) fn finish(self, result: io::Result<()>) {
        let Self { target, buffer, done, waiting, .. } = self;
        drop((target, waiting));
        let _reported_by_the_panic_hook = catch_unwind(AssertUnwindSafe(|| done(result, buffer)));
    }
}

/// Where durable writes wait for a thread.
pub(super) struct Queue {
    state: Mutex<State>,
    /// A pool's threads wait here.
    arrived: Condvar,
    /// The ring's thread is woken by this.
    bell: Option<Arc<OwnedFd>>,
    ring_failed: AtomicBool,
}

#[derive(Default)]
struct State {
    writes: VecDeque<DurableWrite>,
    /// No thread takes what is pushed from now on.
    closed: bool,
    ring_sleeps: bool,
}

impl Queue {
    fn new(bell: Option<Arc<OwnedFd>>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            arrived: Condvar::new(),
            bell,
            ring_failed: AtomicBool::new(false),
        })
    }

    /// A queue that ends in a pool of threads.
    pub(super) fn with_threads() -> Arc<Self> {
        let queue = Self::new(None);
        if queue.start_threads(THREADS) == 0 {
            queue.state.lock().closed = true;
        }
        queue
    }

    /// A queue that ends in one thread with an `io_uring`, which turns into a pool when the ring
    /// cannot be made or fails.
    pub(super) fn with_ring() -> Arc<Self> {
        Self::with_ring_of(Ring::new)
    }

    fn with_ring_of(make: fn(Arc<OwnedFd>) -> io::Result<Ring>) -> Arc<Self> {
        let Ok(bell) = eventfd(0, EventfdFlags::CLOEXEC) else {
            return Self::with_threads();
        };
        let bell = Arc::new(bell);
        let queue = Self::new(Some(bell.clone()));
        let served = queue.clone();
        // The kernel ties a ring to the thread that makes it.
        let serve = move || {
            if make(bell).and_then(|ring| ring.run(&served)).is_err() {
                served.ring_failed.store(true, Ordering::Relaxed);
                served.state.lock().ring_sleeps = false;
                served.start_threads(THREADS - 1);
                served.serve();
            }
        };
        if thread::Builder::new().name("nimbus-ring".to_owned()).spawn(serve).is_err() {
            return Self::with_threads();
        }
        queue
    }

    /// Starts up to `count` threads and answers how many could be started.
    fn start_threads(self: &Arc<Self>, count: usize) -> usize {
        let start = |number| {
            let queue = self.clone();
            thread::Builder::new().name(format!("nimbus-write-{number}")).spawn(move || queue.serve())
        };
        (0..count).filter_map(|number| start(number).ok()).count()
    }

    /// Whether the ring could not be made or failed, so that threads do its work.
    pub(super) fn ring_failed(&self) -> bool {
        self.ring_failed.load(Ordering::Relaxed)
    }

    /// Hands over a write. Without a thread to take it, it is done here and now.
    pub(super) fn push(&self, write: DurableWrite) {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            return write.carry_out();
        }
        state.writes.push_back(write);
        let ring_sleeps = std::mem::take(&mut state.ring_sleeps);
        drop(state);
        if ring_sleeps {
            self.ring_bell();
        } else {
            self.arrived.notify_one();
        }
    }

    /// Lets the threads end once they have carried out what is in the queue.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.arrived.notify_all();
        self.ring_bell();
    }

    fn ring_bell(&self) {
        if let Some(bell) = &self.bell {
            // It fails only when the counter is full, and then the bell is ringing already.
            let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
        }
    }

    /// For the ring's thread: moves up to `room` writes to `into`; with none left in the queue the
    /// next caller rings the bell. Answers whether the queue is closed.
    pub(super) fn take(&self, room: usize, into: &mut Vec<DurableWrite>) -> bool {
        let mut state = self.state.lock();
        let count = room.min(state.writes.len());
        into.extend(state.writes.drain(..count));
        state.ring_sleeps = state.writes.is_empty();
        state.closed
    }

    /// For the ring's thread: it looks into the queue again by itself, no bell is needed.
    pub(super) fn is_awake(&self) {
        self.state.lock().ring_sleeps = false;
    }

    /// The work of a pool's thread, until the queue is closed and empty.
    fn serve(&self) {
        loop {
            let mut state = self.state.lock();
            while state.writes.is_empty() && !state.closed {
                self.arrived.wait(&mut state);
            }
            let Some(write) = state.writes.pop_front() else { return };
            drop(state);
            write.carry_out();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::disk::BLOCK_BYTES;

    /// Pushes a write of one block to the device that swallows everything.
    fn push(queue: &Queue, writable: bool, ended: &Sender<io::Result<()>>) {
        let file = File::options().read(true).write(writable).open("/dev/null").unwrap();
        let mut buffer = AlignedBuffer::new();
        buffer.resize(BLOCK_BYTES, 1);
        let ended = ended.clone();
        queue.push(DurableWrite {
            target: Target::Direct(Arc::new(file)),
            offset: 0,
            buffer,
            progress: Progress::default(),
            done: Box::new(move |result, _| drop(ended.send(result))),
            waiting: Waiting::new(&Arc::default()),
        });
    }

    /// How many of `count` writes end, and how many of those well.
    fn ends(queue: &Queue, writable: bool, count: usize) -> (usize, usize) {
        let (sender, ends) = channel();
        (0..count).for_each(|_| push(queue, writable, &sender));
        drop(sender);
        ends.iter().fold((0, 0), |(all, well), result| (all + 1, well + usize::from(result.is_ok())))
    }

    #[test]
    fn a_descriptor_that_is_not_for_writing_is_an_error() {
        for queue in [Queue::with_ring(), Queue::with_threads()] {
            assert_eq!(ends(&queue, false, 50), (50, 0));
            assert_eq!(ends(&queue, true, 50), (50, 50));
            assert!(!queue.ring_failed());
            queue.close();
        }
    }

    #[test]
    fn without_a_ring_threads_do_its_work() {
        let queue = Queue::with_ring_of(|_| Err(io::ErrorKind::Unsupported.into()));
        assert_eq!(ends(&queue, true, 50), (50, 50));
        assert!(queue.ring_failed());
        queue.close();
    }

    #[test]
    fn a_ring_that_fails_ends_its_writes_and_is_followed_by_threads() {
        // The bell cannot be read, which is a failure of the ring itself.
        let queue = Queue::with_ring_of(|_| Ring::new(Arc::new(File::create("/dev/null")?.into())));
        assert_eq!(ends(&queue, true, 50).0, 50);
        while !queue.ring_failed() {
            thread::yield_now();
        }
        assert_eq!(ends(&queue, true, 50), (50, 50));
        queue.close();
    }

    #[test]
    fn a_closed_queue_writes_on_the_callers_thread() {
        let queue = Queue::new(None);
        queue.close();
        assert_eq!(ends(&queue, true, 50), (50, 50));
    }

    #[test]
    fn threads_end_when_the_queue_is_closed() {
        for queue in [Queue::with_ring(), Queue::with_threads()] {
            assert_eq!(ends(&queue, true, 1), (1, 1));
            queue.close();
            while Arc::strong_count(&queue) > 1 {
                thread::yield_now();
            }
        }
    }
}
