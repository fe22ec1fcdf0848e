//! `$group` and `$sortByCount`.
//!
//! Promises: groups come out in the order of their first documents; ids are equal as MongoDB's values are, a
//! missing one counts as null. Deliberately unknown: what each accumulator does.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bson::{Bson, Document, doc};

use super::accumulator::{Accumulation, Accumulator, parse_fields};
use super::bucket::Buckets;
use super::keys::value_key;
use super::memory::{Held, Memory, value_bytes};
use super::operator::{Operator, Output};
use super::spec::{is_operator, type_name};
use super::stage::Kind;
use crate::collation::Collation;
use crate::context::Variables;
use crate::expression::{Expression, Scope};
use crate::{ParseContext, QueryError};

/// Bytes that a group takes beside its id and what its accumulators hold.
const GROUP_BYTES: usize = 200;

/// What a document's group is found by.
pub(super) enum GroupBy {
    Expression(Expression),
    Buckets(Buckets),
}

/// The running stage.
pub(super) struct Group {
    by: GroupBy,
    fields: Vec<Accumulation>,
    collation: Option<Arc<Collation>>,
    variables: Arc<Variables>,
    places: HashMap<Vec<u8>, usize>,
    groups: Vec<OneGroup>,
    results: Option<std::vec::IntoIter<OneGroup>>,
    held: Held,
}

/// A group, and an accumulator for each field.
pub(super) struct OneGroup {
    id: Bson,
    accumulators: Vec<Box<dyn Accumulator>>,
}

impl OneGroup {
    pub(super) fn new(id: Bson, fields: &[Accumulation]) -> Result<Self, QueryError> {
        let empty = Document::new();
        let document = id.as_document().unwrap_or(&empty);
        let accumulators = fields.iter().map(|field| field.start(document)).collect::<Result<_, _>>()?;
        Ok(Self { id, accumulators })
    }

    /// Takes a document in; what the accumulators hold more is accounted.
    pub(super) fn add(
        &mut self,
        document: &Document,
        fields: &[Accumulation],
        held: &mut Held,
        memory: &Arc<Memory>,
    ) -> Result<(), QueryError> {
        for (accumulator, field) in self.accumulators.iter_mut().zip(fields) {
            let before = accumulator.held_bytes();
            accumulator.add(field.input(document)?)?;
            held.change(memory, before, accumulator.held_bytes())?;
        }
        Ok(())
    }

    pub(super) fn into_document(self, fields: &[Accumulation]) -> Document {
        let mut document = doc! { "_id": self.id };
        for (accumulator, field) in self.accumulators.iter().zip(fields) {
            document.insert(field.field.as_str(), accumulator.result());
        }
        document
    }
}

pub(super) fn parse(value: &Bson, context: &ParseContext) -> Result<Kind, QueryError> {
    let Bson::Document(written) = value else {
        return Err(QueryError::new(
            15947,
            format!("a group's fields must be specified in an object, found {}", type_name(value)),
        ));
    };
    let Some(id) = written.get("_id") else {
        return Err(QueryError::new(15955, "a group specification must include an _id"));
    };
    let by = GroupBy::Expression(Expression::parse(id, context)?);
    let fields = parse_fields(written.iter().filter(|(name, _)| *name != "_id"), context)?;
    Ok(Kind::Local(Box::new(Group::new("$group", by, fields, context))))
}

/// Reads the grouping of `$sortByCount`; the sort follows.
pub(super) fn parse_sort_by_count(value: &Bson, context: &ParseContext) -> Result<Kind, QueryError> {
    match value {
        Bson::Document(_) if !is_operator(value) => {
            let message = "the sortByCount field must be defined as a $-prefixed path or an expression \
                inside an object";
            return Err(QueryError::new(40147, message));
        }
        Bson::String(path) if !path.starts_with('$') => {
            let message = "the sortByCount field must be defined as a $-prefixed path or an expression \
                inside an object";
            return Err(QueryError::new(40148, message));
        }
        Bson::Document(_) | Bson::String(_) => {}
        _ => {
            let message = "the sortByCount field must be specified as a string or as an object";
            return Err(QueryError::new(40149, message));
        }
    }
    let by = GroupBy::Expression(Expression::parse(value, context)?);
    let fields = parse_fields(doc! { "count": { "$sum": 1 } }.iter(), context)?;
    Ok(Kind::Local(Box::new(Group::new("$sortByCount", by, fields, context))))
}

impl Group {
    pub(super) fn new(
        stage: &'static str,
        by: GroupBy,
        fields: Vec<Accumulation>,
        context: &ParseContext,
    ) -> Self {
        Self {
            by,
            fields,
            collation: context.collation.clone(),
            variables: Arc::clone(&context.variables),
            places: HashMap::new(),
            groups: Vec::new(),
            results: None,
            held: Held::new(stage),
        }
    }

    fn id_of(&self, document: &Document) -> Result<Bson, QueryError> {
        let scope = Scope::of(document, &self.variables);
        match &self.by {
            GroupBy::Expression(expression) => Ok(expression.evaluate(&scope)?.unwrap_or(Bson::Null)),
            GroupBy::Buckets(buckets) => buckets.id_of(&scope, self.collation.as_deref()),
        }
    }
}

impl Operator for Group {
    fn push(&mut self, document: Document, output: &mut Output) -> Result<(), QueryError> {
        let id = self.id_of(&document)?;
        let at = match self.places.entry(value_key(&id, self.collation.as_deref())) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                self.held.grow(output.memory(), GROUP_BYTES + place.key().len() + value_bytes(&id))?;
                self.groups.push(OneGroup::new(id, &self.fields)?);
                *place.insert(self.groups.len() - 1)
            }
        };
        self.groups[at].add(&document, &self.fields, &mut self.held, output.memory())
    }

    fn finish(&mut self, output: &mut Output) -> Result<bool, QueryError> {
        let groups = &mut self.groups;
        let results = self.results.get_or_insert_with(|| std::mem::take(groups).into_iter());
        while !output.is_full() {
            let Some(group) = results.next() else {
                self.held.clear();
                return Ok(false);
            };
            output.emit(group.into_document(&self.fields));
        }
        Ok(true)
    }
}
