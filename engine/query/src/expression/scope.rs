//! What an expression sees while it is evaluated: documents and variables.
//!
//! Promises: binding a variable copies neither the document nor the variables around it; one scope and all
//! that extend it share one bound on the work they may do. Deliberately unknown: expressions.

use std::borrow::Cow;
use std::cell::Cell;

use bson::{Bson, Document};

use super::{Value, weight};
use crate::context::Variables;
use crate::error::QueryError;

/// The documents and variables that an expression is evaluated with.
#[derive(Debug)]
pub struct Scope<'a> {
    root: &'a Document,
    current: Current<'a>,
    variables: &'a Variables,
    bound: Bindings<'a>,
    outer: Option<&'a Scope<'a>>,
    /// In bytes; counted in the outermost scope alone.
    work_bytes: Cell<usize>,
}

/// What `$$CURRENT` and paths without a variable refer to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Current<'a> {
    Document(&'a Document),
    /// What `$let` made of it.
    Value(Option<&'a Bson>),
}

#[derive(Debug, Clone, Copy)]
enum Bindings<'a> {
    None,
    One(&'a str, Option<&'a Bson>),
    Many(&'a [(&'a str, Value<'a>)]),
}

impl<'a> Scope<'a> {
    /// For a document, with the command's variables.
    pub fn of(root: &'a Document, variables: &'a Variables) -> Self {
        Self {
            root,
            current: Current::Document(root),
            variables,
            bound: Bindings::None,
            outer: None,
            work_bytes: Cell::new(0),
        }
    }

    /// This scope with one more variable, given without `$$`; `None` binds a missing value.
    #[must_use]
    pub fn with(&'a self, name: &'a str, value: Option<&'a Bson>) -> Self {
        let current = if name == "CURRENT" { Current::Value(value) } else { self.current };
        self.extended(current, Bindings::One(name, value))
    }

    /// This scope with more variables.
    #[must_use]
    pub(super) fn with_all(&'a self, bindings: &'a [(&'a str, Value<'a>)]) -> Self {
        let rebound = bindings.iter().find(|(name, _)| *name == "CURRENT");
        let current = rebound.map_or(self.current, |(_, value)| Current::Value(value.as_deref()));
        self.extended(current, Bindings::Many(bindings))
    }

    /// This scope with another document for `$$CURRENT`, and so for paths without a variable.
    #[must_use]
    pub fn with_current(&'a self, document: &'a Document) -> Self {
        self.extended(Current::Document(document), Bindings::None)
    }

    fn extended(&'a self, current: Current<'a>, bound: Bindings<'a>) -> Self {
        Self { current, bound, outer: Some(self), work_bytes: Cell::new(0), ..*self }
    }

    pub(super) fn root(&self) -> &'a Document {
        self.root
    }

    pub(super) fn current(&self) -> Current<'a> {
        self.current
    }

    pub(super) fn variables(&self) -> &'a Variables {
        self.variables
    }

    /// The value of a user variable, the innermost of its name.
    pub(super) fn variable(&self, name: &str) -> Option<&'a Bson> {
        let mut scope = self;
        loop {
            match scope.bound {
                Bindings::One(bound, value) if bound == name => return value,
                Bindings::Many(bindings) => {
                    if let Some((_, value)) = bindings.iter().find(|(bound, _)| *bound == name) {
                        return value.as_deref();
                    }
                }
                Bindings::None | Bindings::One(..) => {}
            }
            match scope.outer {
                Some(outer) => scope = outer,
                None => return self.variables.user(name),
            }
        }
    }

    /// Counts work in bytes made or moved.
    ///
    /// # Errors
    /// When evaluation has done more than it may ([`weight::WORK_BYTES`]).
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), QueryError> {
        let mut scope = self;
        while let Some(outer) = scope.outer {
            scope = outer;
        }
        let total = scope.work_bytes.get().saturating_add(bytes);
        scope.work_bytes.set(total);
        if total > weight::WORK_BYTES { Err(weight::too_much_work()) } else { Ok(()) }
    }

    /// A value of its own, for which a copy is counted as work.
    pub(crate) fn own(&self, value: Cow<'_, Bson>) -> Result<Bson, QueryError> {
        if let Cow::Borrowed(borrowed) = &value {
            self.charge(weight::of(borrowed)?)?;
        }
        Ok(value.into_owned())
    }
}
