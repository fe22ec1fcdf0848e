//! Whole numbers of any width, just enough of them to compare a decimal with a double exactly.
//!
//! Promises: exact; no operation overflows. Deliberately unknown: signs, and every other operation.

use std::cmp::Ordering;

/// The largest power of five in 64 bits.
const POWERS_OF_FIVE_AT_ONCE: u32 = 27;

/// A number from 1 on, as 64-bit words, least significant first and the last one not 0.
#[derive(PartialEq, Eq)]
pub(super) struct Wide(Vec<u64>);

impl Wide {
    /// Widens a number that is not 0.
    pub(super) fn new(number: u128) -> Self {
        let (low, high) = (number as u64, (number >> u64::BITS) as u64);
        Self(if high == 0 { vec![low] } else { vec![low, high] })
    }

    /// Multiplies by `5^power`.
    pub(super) fn times_power_of_five(mut self, power: u32) -> Self {
        for _ in 0..power / POWERS_OF_FIVE_AT_ONCE {
            self = self.times(5_u64.pow(POWERS_OF_FIVE_AT_ONCE));
        }
        self.times(5_u64.pow(power % POWERS_OF_FIVE_AT_ONCE))
    }

    /// Multiplies by `2^power`.
    pub(super) fn times_power_of_two(self, power: u32) -> Self {
        let mut product = self.times(1 << (power % u64::BITS));
        product.0.splice(0..0, (0..power / u64::BITS).map(|_| 0));
        product
    }

    fn times(mut self, factor: u64) -> Self {
        let mut carry = 0;
        for word in &mut self.0 {
            let product = u128::from(*word) * u128::from(factor) + carry;
            *word = product as u64;
            carry = product >> u64::BITS;
        }
        if carry != 0 {
            self.0.push(carry as u64);
        }
        self
    }
}

impl Ord for Wide {
    fn cmp(&self, other: &Self) -> Ordering {
        let words = |wide: &Self| wide.0.len();
        words(self).cmp(&words(other)).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
