//! Seeds for generated tests.
//!
//! Promises: the seed is printed with the test's name, and `NIMBUS_TEST_SEED` repeats it. What threads
//! and processes do between the generated steps is not repeated by a seed.

use std::env;

/// A seed and generators that follow from it.
#[derive(Debug, Clone, Copy)]
pub struct Seeded {
    /// The number that repeats the run.
    pub seed: u64,
}

impl Seeded {
    /// The generator of one part of the test (a thread, a round).
    pub fn generator(self, part: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed ^ part.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

/// The seed of this run: `NIMBUS_TEST_SEED`, else a new one. Prints it.
///
/// # Panics
/// When the variable holds something other than a number.
pub fn seeded(test: &str) -> Seeded {
    let seed = env::var("NIMBUS_TEST_SEED")
        .map_or_else(|_| fastrand::u64(..), |text| text.parse().expect("NIMBUS_TEST_SEED is a number"));
    println!("{test}: NIMBUS_TEST_SEED={seed}");
    Seeded { seed }
}
