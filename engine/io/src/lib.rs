//! The outside world behind traits: time, randomness and disk, each with a simulated twin.
//!
//! Promises: whoever takes these traits instead of the operating system can be run again from a seed
//! and see the same thing. Deliberately unknown: what the bytes mean, and who reads or writes them.

pub mod aligned;
pub mod clock;
pub mod disk;
pub mod disk_real;
pub mod disk_simulated;
pub mod randomness;

pub use aligned::AlignedBuffer;
pub use clock::{Clock, SimulatedClock, SystemClock};
pub use disk::{BLOCK_BYTES, Disk, DiskFile, SECTOR_BYTES, WriteDone};
pub use disk_real::{Carrier, Durability, RealDisk, WriteWay};
pub use disk_simulated::{Fault, Operation, SimulatedDisk, Unsynced};
pub use randomness::{Randomness, SimulatedRandomness, SystemRandomness};
