//! `$expr`: an expression as a condition.
//!
//! Promises: the document matches when the expression is true as MongoDB has it: neither missing, null,
//! false nor zero. Deliberately unknown: what expressions there are.

use std::fmt;
use std::sync::Arc;

use bson::{Bson, RawDocument};

use crate::context::{ParseContext, Variables};
use crate::error::QueryError;
use crate::expression::{Expression, FieldsRead, Scope};

/// An expression with the variables that it was parsed among.
#[derive(Clone)]
pub struct Evaluated {
    source: Bson,
    fields: FieldsRead,
    expression: Expression,
    variables: Arc<Variables>,
}

impl Evaluated {
    pub(super) fn parse(source: &Bson, context: &ParseContext) -> Result<Self, QueryError> {
        Ok(Self {
            source: source.clone(),
            // Parsed first: what is too deep to walk is refused there.
            expression: Expression::parse(source, context)?,
            fields: FieldsRead::of(source),
            variables: Arc::clone(&context.variables),
        })
    }

    /// The expression as it was written.
    pub fn source(&self) -> &Bson {
        &self.source
    }

    pub(super) fn is_true(&self, document: &RawDocument) -> Result<bool, QueryError> {
        let document = self
            .fields
            .decode(document)
            .map_err(|error| QueryError::bad_value(format!("the document is not readable: {error}")))?;
        self.expression.is_true(&Scope::of(&document, &self.variables))
    }
}

impl PartialEq for Evaluated {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.variables == other.variables
    }
}

impl fmt::Debug for Evaluated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Evaluated({})", self.source)
    }
}
