//! What surrounds a filter, update or pipeline while it is parsed: collation and variables.
//!
//! Promises: everything here is fixed for one command, so that `$$NOW` is one instant and one seed gives
//! one sequence of random numbers. Deliberately unknown: who set the variables.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Bson, DateTime};

use crate::collation::Collation;

/// Handed to every parser.
#[derive(Debug, Clone, Default)]
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
    pub user: BTreeMap<String, Bson>,
    /// From which `$rand`, `$sampleRate` and `$sample` draw.
    pub seed: u64,
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
