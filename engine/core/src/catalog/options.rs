//! What a table is told when it is made, apart from its fields and indexes.

use bson::Document;
use serde::{Deserialize, Serialize};

/// Which writes a validator looks at (manual, "Specify Validation Level for Existing Documents").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValidationLevel {
    /// None.
    Off,
    /// Inserts, and changes of documents that matched before.
    Moderate,
    /// All.
    #[default]
    Strict,
}

/// What becomes of a write that a validator does not let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValidationAction {
    /// It is refused.
    #[default]
    Error,
    /// It is made, and logged.
    Warn,
}

/// A table's options. What says nothing is left out where they are stored.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TableOptions {
    /// A filter that documents must match, `$jsonSchema` included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validator: Option<Document>,
    /// Which writes it looks at; `None` was not said and means [`ValidationLevel::Strict`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_level: Option<ValidationLevel>,
    /// What becomes of those that fail; `None` was not said and means [`ValidationAction::Error`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_action: Option<ValidationAction>,
    /// How strings compare where a query or an index does not say; `None` by their bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collation: Option<Document>,
}

impl TableOptions {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
