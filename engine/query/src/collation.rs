//! How strings compare where not by their bytes.

use std::cmp::Ordering;

/// A collation other than the simple one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collation {}

impl Collation {
    /// The order of two strings.
    pub fn compare(&self, a: &str, b: &str) -> Ordering {
        a.cmp(b)
    }
}
