//! `$sample`: some documents, drawn at random.
//!
//! Promises: every document is drawn with the same chance, and in an order at random (reservoir sampling,
//! Vitter 1985, algorithm R); one seed gives one sample of the same input. Deliberately unknown: how many
//! documents there are.

use bson::{Bson, Document};

use super::memory::{Held, document_bytes};
use super::operator::{Operator, Output};
use super::spec::{is_number, whole_number};
use super::stage::Kind;
use crate::{ParseContext, QueryError};

pub(super) fn parse(value: &Bson, context: &ParseContext) -> Result<Kind, QueryError> {
    let Bson::Document(options) = value else {
        return Err(QueryError::new(28745, "the $sample stage specification must be an object"));
    };
    if let Some(name) = options.keys().find(|name| *name != "size") {
        return Err(QueryError::new(28748, format!("unrecognized option to $sample: {name}")));
    }
    let size = match options.get("size") {
        None => return Err(QueryError::new(28749, "$sample stage must specify a size")),
        Some(size) if !is_number(size) => {
            return Err(QueryError::new(28746, "size argument to $sample must be a number"));
        }
        Some(size) => whole_number(size).and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0),
    };
    let size =
        size.ok_or_else(|| QueryError::new(28747, "size argument to $sample must be a positive integer"))?;
    let random = fastrand::Rng::with_seed(context.variables.seed);
    Ok(Kind::Local(Box::new(Sample {
        size,
        seen: 0,
        drawn: Vec::new(),
        random,
        held: Held::new("$sample"),
        is_shuffled: false,
    })))
}

struct Sample {
    size: usize,
    seen: usize,
    drawn: Vec<Document>,
    random: fastrand::Rng,
    held: Held,
    is_shuffled: bool,
}

impl Operator for Sample {
    fn push(&mut self, document: Document, output: &mut Output) -> Result<(), QueryError> {
        self.seen += 1;
        if self.drawn.len() < self.size {
            self.held.grow(output.memory(), document_bytes(&document))?;
            self.drawn.push(document);
        } else if let Some(drawn) = self.drawn.get_mut(self.random.usize(..self.seen)) {
            self.held.change(output.memory(), document_bytes(drawn), document_bytes(&document))?;
            *drawn = document;
        }
        Ok(())
    }

    fn finish(&mut self, output: &mut Output) -> Result<bool, QueryError> {
        if !self.is_shuffled {
            self.random.shuffle(&mut self.drawn);
            self.is_shuffled = true;
        }
        while !output.is_full() {
            let Some(document) = self.drawn.pop() else { return Ok(false) };
            self.held.shrink(document_bytes(&document));
            output.emit(document);
        }
        Ok(true)
    }
}
