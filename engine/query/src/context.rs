//! What surrounds a filter, update or pipeline while it is parsed: collation and variables.
//!
//! Promises: everything here is fixed for one command, so that `$$NOW` is one instant and one seed gives
//! one sequence of random numbers. Deliberately unknown: who set the variables.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Bson, DateTime};

use crate::collation::Collation;

/// Handed to every parser.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ParseContext {
    /// How strings compare; `None` by their bytes.
    pub collation: Option<Arc<Collation>>,
    /// What `$$name` means.
    pub variables: Arc<Variables>,
}

/// The variables of one command.
#[derive(Debug, Clone, PartialEq)]
pub struct Variables {
    /// `$$NOW`.
    pub now: DateTime,
    /// `$$CLUSTER_TIME`.
    pub cluster_time: bson::Timestamp,
    /// The command's `let`, or what `$lookup` binds: user variables, whose names begin with a lower-case letter.
    /// `Undefined` stands for a missing value.
    pub user: BTreeMap<String, Bson>,
    /// From which `$rand`, `$sampleRate` and `$sample` draw.
    pub seed: u64,
}

impl Variables {
    /// The value of a user variable; `None` where it is missing.
    pub(crate) fn user(&self, name: &str) -> Option<&Bson> {
        self.user.get(name).filter(|value| !matches!(value, Bson::Undefined))
    }
}

impl Default for Variables {
    fn default() -> Self {
        Self {
            now: DateTime::from_millis(0),
            cluster_time: bson::Timestamp { time: 0, increment: 0 },
            user: BTreeMap::new(),
            seed: 0,
        }
    }
}
