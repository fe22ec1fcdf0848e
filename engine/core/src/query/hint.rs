//! What a client tells the planner to walk.

use nimbus_types::index::IndexField;

/// What to walk instead of what the planner would choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// The index of that name; `_id_` for the order of `_id`.
    Index(String),
    /// The index over exactly these fields.
    Keys(Vec<IndexField>),
    /// The documents themselves, in the order of `_id`.
    Natural {
        /// From the last to the first.
        backward: bool,
    },
}

impl Hint {
    /// Whether it names the order of `_id` as if that were an index.
    pub(crate) fn is_of_id(&self) -> bool {
        match self {
            Self::Index(name) => name == "_id_",
            Self::Keys(fields) => matches!(fields.as_slice(), [field] if field.path == "_id"),
            Self::Natural { .. } => false,
        }
    }
}
