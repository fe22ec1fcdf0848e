//! `$graphLookup`: the documents that can be reached from one by following a field.
//!
//! Promises: the search goes breadth first, one query for each depth, and visits no document twice.
//! Deliberately unknown: the collection's indexes.

use std::collections::{HashSet, VecDeque};

use bson::{Bson, Document};

use super::collections::{Collections, Pending};
use super::document_path;
use super::keys::value_key;
use super::leading::{Leading, both};
use super::lookup::any_of;
use super::memory::{Held, document_bytes};
use super::operator::{ForeignOperator, Output};
use super::shape::evaluate;
use super::spec::{check_path, is_number, type_name, whole_number};
use super::stage::{Kind, Place, Site};
use super::sub_pipeline::Feed;
use crate::expression::Expression;
use crate::{Filter, ParseContext, QueryError};

struct GraphLookup {
    from: String,
    start_with: Expression,
    connect_from: String,
    connect_to: String,
    as_path: String,
    max_depth: Option<i64>,
    depth_field: Option<String>,
    restrict: Option<Document>,
    context: ParseContext,
    batch: VecDeque<Document>,
    held: Held,
}

pub(super) fn parse(value: &Bson, site: &Site) -> Result<Kind, QueryError> {
    let Bson::Document(options) = value else {
        let message =
            format!("the $graphLookup stage specification must be an object, but found {}", type_name(value));
        return Err(QueryError::failed_to_parse(message));
    };
    let site = site.within(Place::Lookup)?;
    let mut max_depth = None;
    let mut restrict = None;
    for (name, value) in options {
        match (name.as_str(), value) {
            ("maxDepth", _) => max_depth = Some(parse_max_depth(value)?),
            ("restrictSearchWithMatch", Bson::Document(filter)) => {
                Filter::parse(filter, &site.context)?;
                restrict = Some(filter.clone());
            }
            ("restrictSearchWithMatch", _) => {
                let message =
                    format!("restrictSearchWithMatch must be an object, found {}", type_name(value));
                return Err(QueryError::new(40185, message));
            }
            ("startWith", _)
            | ("from" | "as" | "connectFromField" | "connectToField" | "depthField", Bson::String(_)) => {}
            ("from" | "as" | "connectFromField" | "connectToField" | "depthField", _) => {
                let message = format!("expected string as argument for {name}, found: {}", type_name(value));
                return Err(QueryError::new(40103, message));
            }
            _ => return Err(QueryError::new(40104, format!("Unknown argument to $graphLookup: {name}"))),
        }
    }
    let text = |name: &str| {
        options.get(name).and_then(Bson::as_str).map(str::to_owned).ok_or_else(|| {
            let message = "$graphLookup requires 'from', 'as', 'startWith', 'connectFromField', and \
                'connectToField' to be specified.";
            QueryError::new(40105, message)
        })
    };
    let (from, as_path) = (text("from")?, text("as")?);
    let (connect_from, connect_to) = (text("connectFromField")?, text("connectToField")?);
    let depth_field = options.get("depthField").and_then(Bson::as_str).map(str::to_owned);
    for path in [&as_path, &connect_from, &connect_to].into_iter().chain(&depth_field) {
        check_path(path)?;
    }
    let start_with = match options.get("startWith") {
        Some(start_with) => Expression::parse(start_with, &site.context)?,
        None => {
            return Err(text("startWith")
                .err()
                .unwrap_or_else(|| QueryError::new(40105, "startWith is missing")));
        }
    };
    Ok(Kind::Foreign(Box::new(GraphLookup {
        from,
        start_with,
        connect_from,
        connect_to,
        as_path,
        max_depth,
        depth_field,
        restrict,
        context: site.context,
        batch: VecDeque::new(),
        held: Held::new("$graphLookup"),
    })))
}

fn parse_max_depth(value: &Bson) -> Result<i64, QueryError> {
    if !is_number(value) {
        let message = format!("maxDepth must be numeric, found type: {}", type_name(value));
        return Err(QueryError::new(40100, message));
    }
    match whole_number(value) {
        Some(depth @ 0..) => Ok(depth),
        Some(depth) => {
            Err(QueryError::new(40101, format!("maxDepth requires a nonnegative argument, found: {depth}")))
        }
        None => {
            Err(QueryError::new(40102, format!("maxDepth could not be represented as a long long: {value}")))
        }
    }
}

impl GraphLookup {
    /// All documents that can be reached from this one.
    async fn search(
        &mut self,
        document: &Document,
        output: &Output,
        collections: &mut dyn Collections,
    ) -> Result<Vec<Bson>, QueryError> {
        let collation = self.context.collation.clone();
        let key = |value: &Bson| value_key(value, collation.as_deref());
        let mut frontier = match evaluate(&self.start_with, document, &self.context.variables)? {
            Some(Bson::Array(values)) => values,
            Some(value) => vec![value],
            None => vec![Bson::Null],
        };
        let mut asked: HashSet<Vec<u8>> = HashSet::new();
        frontier.retain(|value| asked.insert(key(value)));
        let mut visited: HashSet<Vec<u8>> = HashSet::new();
        let mut found = Vec::new();
        let mut depth = 0_i64;
        while !frontier.is_empty() && self.max_depth.is_none_or(|max_depth| depth <= max_depth) {
            let mut filter = any_of(&self.connect_to, std::mem::take(&mut frontier));
            if let Some(restrict) = &self.restrict {
                filter = both(filter, restrict.clone());
            }
            let leading = Leading::matching(filter);
            let mut feed = Feed::of(&self.from, leading, &self.context, output.memory(), collections).await?;
            loop {
                let documents = feed.next(collections).await?;
                if documents.is_empty() {
                    break;
                }
                for mut document in documents {
                    let id = value_key(document.get("_id").unwrap_or(&Bson::Null), None);
                    let id_bytes = id.len();
                    if !visited.insert(id) {
                        continue;
                    }
                    self.held.grow(output.memory(), id_bytes + document_bytes(&document))?;
                    document_path::visit(&document, &self.connect_from, &mut |value| {
                        if asked.insert(key(value)) {
                            frontier.push(value.clone());
                        }
                    });
                    if let Some(path) = &self.depth_field {
                        document_path::set(&mut document, path, Bson::Int64(depth));
                    }
                    found.push(Bson::Document(document));
                }
            }
            depth += 1;
        }
        self.held.clear();
        Ok(found)
    }
}

impl ForeignOperator for GraphLookup {
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
                let Some(mut document) = self.batch.pop_front() else { break };
                let found = self.search(&document, output, collections).await?;
                document_path::set(&mut document, &self.as_path, Bson::Array(found));
                output.emit(document);
            }
            Ok(!self.batch.is_empty())
        })
    }

    fn finish<'a>(&'a mut self, _: &'a mut Output, _: &'a mut dyn Collections) -> Pending<'a, bool> {
        Box::pin(async { Ok(false) })
    }

    fn collections(&self, names: &mut Vec<String>) {
        names.push(self.from.clone());
    }
}
