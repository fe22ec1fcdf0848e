//! Random bytes: from the operating system, or from a seed that can be printed and used again.
//!
//! Promises: [`SystemRandomness`] is fit for tokens and keys. [`SimulatedRandomness`] gives the same
//! bytes for the same seed for ever, and is fit for tests only.

use std::sync::atomic::{AtomicU64, Ordering};

/// Where random bytes come from.
pub trait Randomness: Send + Sync {
    /// Overwrites all of `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's cryptographic source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        // Going on with predictable bytes would make guessable tokens, so this does stop the caller.
        getrandom::fill(bytes).expect("a running system has a random source");
    }
}

/// A seeded generator: `SplitMix64` (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", OOPSLA 2014), eight bytes a step, little-endian.
#[derive(Debug)]
pub struct SimulatedRandomness {
    state: AtomicU64,
}

impl SimulatedRandomness {
    /// A generator that begins at `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// The next 64 bits.
    pub fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let state = self.state.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Randomness for SimulatedRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let draw = |seed| {
            let mut bytes = [0; 21];
            SimulatedRandomness::new(seed).fill(&mut bytes);
            bytes
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn the_generator_is_the_published_one() {
        // First outputs for seed 0 of the reference implementation, prng.di.unimi.it/splitmix64.c.
        let generator = SimulatedRandomness::new(0);
        assert_eq!(generator.next_u64(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(generator.next_u64(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn system_bytes_differ() {
        let (mut first, mut second) = ([0; 16], [0; 16]);
        SystemRandomness.fill(&mut first);
        SystemRandomness.fill(&mut second);
        assert_ne!(first, second);
    }
}
