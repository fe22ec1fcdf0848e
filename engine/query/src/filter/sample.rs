//! `$sampleRate`: documents taken by lot.
//!
//! Promises: one seed decides the same for the same document, so that a filter stays a pure function.
//! Deliberately unknown: where the seed comes from.

use std::hash::{DefaultHasher, Hash, Hasher};

use bson::RawDocument;

/// How likely a document is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRate {
    /// From 0, none, to 1, all.
    pub(super) rate: f64,
    pub(super) seed: u64,
}

impl SampleRate {
    pub(super) fn takes(&self, document: &RawDocument) -> bool {
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        document.as_bytes().hash(&mut hasher);
        fastrand::Rng::with_seed(hasher.finish()).f64() < self.rate
    }

    /// The rate, from 0 to 1.
    pub fn rate(&self) -> f64 {
        self.rate
    }
}
