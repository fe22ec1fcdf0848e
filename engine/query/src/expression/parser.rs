//! Reads expressions.
//!
//! Promises: an operator, variable or argument that is not known is an error that names it; nothing deeper
//! than [`limits::NESTING_DEPTH`] is read, so that parsed trees may be walked by recursion. Deliberately
//! unknown: what operators do.

use bson::{Bson, Document};
use nimbus_types::limits;

use super::path::FieldPath;
use super::{Expression, Node, operator};
use crate::context::ParseContext;
use crate::error::{QueryError, codes};

/// What surrounds an expression while it is read. Copied for each level.
#[derive(Clone, Copy)]
pub(crate) struct Parser<'p> {
    context: &'p ParseContext,
    /// The variables that operators around the expression bind, the innermost first.
    bound: Option<&'p Bound<'p>>,
    depth: usize,
}

/// The variables that one operator binds.
pub(crate) struct Bound<'p> {
    names: &'p [String],
    outer: Option<&'p Bound<'p>>,
}

impl<'p> Parser<'p> {
    pub(crate) fn new(context: &'p ParseContext) -> Self {
        Self::at_depth(context, 0)
    }

    pub(crate) fn at_depth(context: &'p ParseContext, depth: usize) -> Self {
        Self { context, bound: None, depth }
    }

    pub(crate) fn context(&self) -> &'p ParseContext {
        self.context
    }

    /// What binds `names` beyond this; to be handed to [`Self::within`].
    pub(crate) fn bind<'n>(&self, names: &'n [String]) -> Bound<'n>
    where
        'p: 'n,
    {
        Bound { names, outer: self.bound }
    }

    /// A parser for the expressions in which `bound` holds.
    pub(crate) fn within<'n>(&self, bound: &'n Bound<'n>) -> Parser<'n>
    where
        'p: 'n,
    {
        Parser { context: self.context, bound: Some(bound), depth: self.depth }
    }

    /// Whether a user variable of this name may stand here.
    pub(crate) fn knows(&self, name: &str) -> bool {
        let mut bound = self.bound;
        while let Some(Bound { names, outer }) = bound {
            if names.iter().any(|known| known == name) {
                return true;
            }
            bound = *outer;
        }
        self.context.variables.user.contains_key(name)
    }

    /// Reads one expression.
    pub(crate) fn parse(&self, expression: &Bson) -> Result<Expression, QueryError> {
        match expression {
            Bson::String(text) if text.starts_with('$') => FieldPath::parse(text, self),
            Bson::Document(document) => self.nested()?.parse_document(document),
            Bson::Array(elements) => self.nested()?.parse_array(elements),
            other => Ok(Expression(Node::Constant(other.clone()))),
        }
    }

    fn nested(self) -> Result<Self, QueryError> {
        if self.depth >= limits::NESTING_DEPTH {
            let message = format!("expression is nested more than {} levels deep", limits::NESTING_DEPTH);
            return Err(QueryError::new(codes::OVERFLOW, message));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    /// An operator with its argument, or an object.
    fn parse_document(&self, document: &Document) -> Result<Expression, QueryError> {
        match document.iter().next() {
            Some((name, argument)) if name.starts_with('$') => {
                if document.len() > 1 {
                    return Err(QueryError::new(
                        15983,
                        format!(
                            "an object representing an expression must have exactly one field: {document}"
                        ),
                    ));
                }
                operator::parse(self, name, argument)
            }
            _ => self.parse_object(document),
        }
    }

    fn parse_object(&self, document: &Document) -> Result<Expression, QueryError> {
        let mut fields = Vec::with_capacity(document.len());
        for (name, value) in document {
            FieldPath::check_field_name(name)?;
            fields.push((name.clone(), self.parse(value)?));
        }
        if fields.iter().all(|(_, value)| value.constant().is_some()) {
            let constants = fields.into_iter().filter_map(|(name, value)| Some((name, constant(value)?)));
            return Ok(Expression::literal(constants.collect::<Document>()));
        }
        Ok(Expression(Node::Object(fields)))
    }

    fn parse_array(&self, elements: &[Bson]) -> Result<Expression, QueryError> {
        let elements: Vec<_> =
            elements.iter().map(|element| self.parse(element)).collect::<Result<_, _>>()?;
        if elements.iter().all(|element| element.constant().is_some()) {
            return Ok(Expression::literal(Bson::Array(elements.into_iter().filter_map(constant).collect())));
        }
        Ok(Expression(Node::Array(elements)))
    }
}

fn constant(expression: Expression) -> Option<Bson> {
    match expression.0 {
        Node::Constant(value) => Some(value),
        _ => None,
    }
}
