//! `$lookup`: documents of another collection, put into an array.
//!
//! Promises: with `localField` and `foreignField` alone, a whole batch is looked up by one query on the
//! foreign field, which an index can answer; the pipeline form asks once for each document, or once in all
//! where nothing of the document is in it. What is looked up is accounted. Deliberately unknown: indexes.

mod parse;

use std::collections::{BTreeMap, VecDeque};

use bson::{Bson, Document, doc};

pub(super) use self::parse::parse;
use super::collections::{Collections, Pending};
use super::document_path;
use super::join::Joined;
use super::leading::Leading;
use super::memory::{Held, document_bytes};
use super::operator::{ForeignOperator, Output};
use super::shape::evaluate;
use super::sub_pipeline::{Feed, SubPipeline};
use crate::QueryError;
use crate::expression::Expression;

/// Local documents that are looked up by one query.
const BATCH: usize = 100;

struct Lookup {
    /// The collection of an equality; a pipeline may do without.
    collection: Option<String>,
    fields: Option<Fields>,
    as_path: String,
    bind: Vec<(String, Expression)>,
    pipeline: SubPipeline,
    /// Documents that wait.
    batch: VecDeque<Document>,
    /// What the documents at the front of the batch are joined with.
    joined: Option<Joined>,
    joined_count: usize,
    /// The result of a pipeline in which there is nothing of the document.
    constant: Option<Vec<Bson>>,
    held: Held,
}

#[derive(Clone)]
struct Fields {
    local: String,
    foreign: String,
}

/// The values of a local field that foreign ones are to equal: an array's elements, null where there is none.
pub(super) fn local_values(document: &Document, path: &str) -> Vec<Bson> {
    let mut values = Vec::new();
    document_path::visit(document, path, &mut |value| values.push(value.clone()));
    if values.is_empty() {
        values.push(Bson::Null);
    }
    values
}

/// The filter for documents in which the path reaches any of the values.
pub(super) fn any_of(path: &str, values: Vec<Bson>) -> Document {
    // A regular expression is a value here, which only `$eq` takes as one.
    let (patterns, mut values): (Vec<Bson>, Vec<Bson>) =
        values.into_iter().partition(|value| matches!(value, Bson::RegularExpression(_)));
    if patterns.is_empty() {
        return match (values.pop(), values.is_empty()) {
            (Some(value), true) => doc! { path: { "$eq": value } },
            (last, _) => {
                values.extend(last);
                doc! { path: { "$in": values } }
            }
        };
    }
    let patterns = patterns.into_iter().map(|pattern| doc! { path: { "$eq": pattern } });
    let all: Vec<Document> = patterns.chain([doc! { path: { "$in": values } }]).collect();
    doc! { "$or": all }
}

impl Lookup {
    /// Looks up what the next documents of the batch are joined with.
    async fn join(
        &mut self,
        collection: &str,
        fields: &Fields,
        output: &Output,
        collections: &mut dyn Collections,
    ) -> Result<Joined, QueryError> {
        let collation = self.pipeline.context().collation.clone();
        let mut wanted = BTreeMap::new();
        self.joined_count = self.batch.len().min(BATCH);
        for value in self.batch.iter().take(BATCH).flat_map(|document| local_values(document, &fields.local))
        {
            wanted.entry(super::keys::value_key(&value, collation.as_deref())).or_insert(value);
        }
        let leading = Leading::matching(any_of(&fields.foreign, wanted.into_values().collect()));
        let mut joined = Joined::new(fields.foreign.clone(), collation);
        let context = self.pipeline.context();
        let mut feed = Feed::of(collection, leading, context, output.memory(), collections).await?;
        loop {
            let documents = feed.next(collections).await?;
            if documents.is_empty() {
                return Ok(joined);
            }
            for document in documents {
                self.held.grow(output.memory(), document_bytes(&document))?;
                joined.add(document)?;
            }
        }
    }

    /// The result of the pipeline for one document.
    async fn run_pipeline(
        &mut self,
        document: &Document,
        output: &Output,
        collections: &mut dyn Collections,
    ) -> Result<Vec<Bson>, QueryError> {
        if let Some(results) = &self.constant {
            return Ok(results.clone());
        }
        let mut variables = BTreeMap::new();
        for (name, expression) in &self.bind {
            let value = evaluate(expression, document, &self.pipeline.context().variables)?;
            variables.insert(name.clone(), value.unwrap_or(Bson::Undefined));
        }
        let filter =
            self.fields.as_ref().map(|fields| any_of(&fields.foreign, local_values(document, &fields.local)));
        let mut feed = self.pipeline.open(filter, variables, output.memory(), collections).await?;
        let mut results = Vec::new();
        let mut bytes = 0;
        loop {
            let documents = feed.next(collections).await?;
            if documents.is_empty() {
                break;
            }
            let more = documents.iter().map(document_bytes).sum();
            self.held.grow(output.memory(), more)?;
            bytes += more;
            results.extend(documents.into_iter().map(Bson::Document));
        }
        if self.bind.is_empty() && self.fields.is_none() {
            self.constant = Some(results.clone());
        } else {
            self.held.shrink(bytes);
        }
        Ok(results)
    }

    /// What the document is joined with.
    async fn results(
        &mut self,
        document: &Document,
        output: &Output,
        collections: &mut dyn Collections,
    ) -> Result<Vec<Bson>, QueryError> {
        let (Some(collection), Some(fields)) = (self.collection.clone(), self.fields.clone()) else {
            return self.run_pipeline(document, output, collections).await;
        };
        let joined = match self.joined.take() {
            Some(joined) if self.joined_count > 0 => joined,
            _ => {
                self.held.clear();
                self.join(&collection, &fields, output, collections).await?
            }
        };
        self.joined_count = self.joined_count.saturating_sub(1);
        let results = joined.with(&local_values(document, &fields.local));
        self.joined = Some(joined);
        Ok(results)
    }
}

impl ForeignOperator for Lookup {
    fn push(&mut self, documents: Vec<Document>) {
        self.batch.extend(documents);
    }

    fn resume<'a>(
        &'a mut self,
        output: &'a mut Output,
        collections: &'a mut dyn Collections,
    ) -> Pending<'a, bool> {
        Box::pin(async move {
            while !output.is_full() {
                let Some(document) = self.batch.front().cloned() else { break };
                let results = self.results(&document, output, collections).await?;
                self.batch.pop_front();
                let mut document = document;
                document_path::set(&mut document, &self.as_path, Bson::Array(results));
                output.emit(document);
            }
            if self.batch.is_empty() && self.joined.take().is_some() {
                self.held.clear();
            }
            Ok(!self.batch.is_empty())
        })
    }

    fn finish<'a>(&'a mut self, _: &'a mut Output, _: &'a mut dyn Collections) -> Pending<'a, bool> {
        Box::pin(async { Ok(false) })
    }

    fn collections(&self, names: &mut Vec<String>) {
        self.pipeline.collections(names);
    }
}
