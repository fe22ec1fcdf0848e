//! The outside world behind traits: time, randomness and disk, each with a simulated twin.
//!
//! Promises: whoever takes these traits instead of the operating system can be run again from a seed
//! and see the same thing. Deliberately unknown: what the bytes mean, and who reads or writes them.

pub mod clock;
pub mod randomness;

pub use clock::{Clock, SimulatedClock, SystemClock};
pub use randomness::{Randomness, SimulatedRandomness, SystemRandomness};
