//! Time: the wall clock in epoch milliseconds and a monotonic count of microseconds.
//!
//! Promises: `monotonic_us` never goes back; `now_ms` may, as a wall clock does when it is set.
//! Deliberately unknown: timers and sleeping, which belong to the async runtime.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The wall clock, milliseconds since 1970-01-01 UTC. May go back when the clock is set.
    fn now_ms(&self) -> u64;

    /// Microseconds since an arbitrary start. Never goes back; for measuring, not for storing.
    fn monotonic_us(&self) -> u64;
}

/// The operating system's clocks.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic count begins now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        // A machine whose clock stands before 1970 reads as 1970.
        SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64)
    }

    fn monotonic_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }
}

/// A clock that moves only when it is told to.
#[derive(Debug, Default)]
pub struct SimulatedClock {
    wall_ms: AtomicU64,
    monotonic_us: AtomicU64,
}

impl SimulatedClock {
    /// A clock whose wall time is `now_ms` and whose monotonic count is 0.
    pub fn new(now_ms: u64) -> Self {
        Self { wall_ms: AtomicU64::new(now_ms), monotonic_us: AtomicU64::new(0) }
    }

    /// Lets time pass: both clocks move on.
    pub fn advance_ms(&self, by_ms: u64) {
        self.wall_ms.fetch_add(by_ms, Ordering::SeqCst);
        self.monotonic_us.fetch_add(by_ms * 1000, Ordering::SeqCst);
    }

    /// Sets the wall clock, forward or back, as an operator would. The monotonic count stays.
    pub fn set_ms(&self, now_ms: u64) {
        self.wall_ms.store(now_ms, Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    fn now_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn monotonic_us(&self) -> u64 {
        self.monotonic_us.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_time_passes_only_when_told() {
        let clock = SimulatedClock::new(1_000);
        assert_eq!((clock.now_ms(), clock.monotonic_us()), (1_000, 0));
        clock.advance_ms(5);
        assert_eq!((clock.now_ms(), clock.monotonic_us()), (1_005, 5_000));
        clock.set_ms(3);
        assert_eq!((clock.now_ms(), clock.monotonic_us()), (3, 5_000), "the monotonic count stays");
    }

    #[test]
    fn system_time_is_later_than_this_line_was_written() {
        let clock = SystemClock::new();
        let first = clock.monotonic_us();
        assert!(clock.now_ms() > 1_700_000_000_000);
        assert!(clock.monotonic_us() >= first);
    }
}
