//! Threads that begin at the same moment.

use std::sync::Barrier;
use std::thread;

/// Runs `work` on `count` threads at once and returns what each returned.
///
/// # Panics
/// When one of them does.
pub fn together<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(count);
    thread::scope(|scope| {
        let (barrier, work) = (&barrier, &work);
        let spawn = |number| {
            scope.spawn(move || {
                barrier.wait();
                work(number)
            })
        };
        let threads: Vec<_> = (0..count).map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panicked")).collect()
    })
}
