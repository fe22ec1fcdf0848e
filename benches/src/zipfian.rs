//! Numbers of which few come often: the zipfian distribution as the YCSB benchmark draws it.
//!
//! Gray et al., "Quickly Generating Billion-Record Synthetic Databases", SIGMOD 1994; Cooper et al.,
//! "Benchmarking Cloud Serving Systems with YCSB", `SoCC` 2010.

use crate::work::{mixed, random_numbers};

/// How steep the distribution is: YCSB's own choice.
const THETA: f64 = 0.99;

/// Draws numbers below a bound; the constants depend on the bound alone.
#[derive(Clone, Copy)]
pub(crate) struct Zipfian {
    numbers: u64,
    zeta: f64,
    eta: f64,
}

impl Zipfian {
    /// The distribution over the numbers below `numbers`, which is more than 2.
    pub(crate) fn new(numbers: u64) -> Self {
        let zeta = zeta(numbers);
        let eta = (1.0 - (2.0 / numbers as f64).powf(1.0 - THETA)) / (1.0 - zeta_of_two() / zeta);
        Self { numbers, zeta, eta }
    }

    /// An endless draw, the same for every side. What comes often lies scattered over all numbers, so
    /// that it does not lie in one block of a store.
    pub(crate) fn numbers(&self, thread: u64) -> impl Iterator<Item = u64> + use<> {
        let this = *self;
        random_numbers(thread).map(move |random| mixed(this.rank(random)) % this.numbers)
    }

    /// 0 is the most frequent rank.
    #[allow(clippy::cast_sign_loss, reason = "a rank is not negative")]
    fn rank(&self, random: u64) -> u64 {
        let uniform = (random >> 11) as f64 / (1_u64 << 53) as f64;
        let share = uniform * self.zeta;
        if share < 1.0 {
            0
        } else if share < zeta_of_two() {
            1
        } else {
            let spread = (self.eta * uniform - self.eta + 1.0).powf(1.0 / (1.0 - THETA));
            ((self.numbers as f64 * spread) as u64).min(self.numbers - 1)
        }
    }
}

fn zeta(numbers: u64) -> f64 {
    (1..=numbers).map(|rank| 1.0 / (rank as f64).powf(THETA)).sum()
}

fn zeta_of_two() -> f64 {
    1.0 + 0.5_f64.powf(THETA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_come_as_often_as_the_distribution_says() {
        const DRAWS: usize = 200_000;
        let zipfian = Zipfian::new(1_000);
        let mut counts = vec![0_u32; 1_000];
        for random in random_numbers(1).take(DRAWS) {
            counts[zipfian.rank(random) as usize] += 1;
        }
        for rank in [0_usize, 1, 9, 99] {
            let expected = DRAWS as f64 / ((rank + 1) as f64).powf(THETA) / zipfian.zeta;
            let found = f64::from(counts[rank]);
            // The paper's draw is an approximation past the first two ranks.
            assert!((0.7..1.3).contains(&(found / expected)), "rank {rank}: {found}, expected {expected}");
        }
    }

    #[test]
    fn every_number_is_one_of_the_documents() {
        assert!(Zipfian::new(10).numbers(3).take(10_000).all(|n| n < 10));
    }
}
