//! An engine of a few vectors, and pipelines run over it.
//!
//! Every pipeline runs twice: with all documents pushed in small batches, and with its leading stages
//! done by the source. Both must give the same.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bson::{Bson, Document, RawDocumentBuf, doc};
use nimbus_query::{
    CollectionCursor, Collections, Filter, Leading, ParseContext, Pending, Pipeline, QueryError, Source,
    sort_key,
};

/// Enough for every test that does not ask for less.
pub(crate) const MEMORY_BYTES: usize = 100 * 1024 * 1024;

/// Collections by name.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) collections: BTreeMap<String, Vec<Document>>,
    /// What was asked for.
    pub(crate) opened: Vec<(String, Leading)>,
    cursors: Vec<Option<std::vec::IntoIter<Document>>>,
}

impl World {
    pub(crate) fn with(name: &str, documents: &[Document]) -> Self {
        Self { collections: [(name.to_owned(), documents.to_vec())].into(), ..Self::default() }
    }

    /// Cursors that were neither read to their end nor closed.
    pub(crate) fn open_cursors(&self) -> usize {
        self.cursors.iter().flatten().count()
    }
}

/// What a planner makes of the front of a pipeline.
pub(crate) fn source(
    documents: &[Document],
    leading: &Leading,
    context: &ParseContext,
) -> Result<Vec<Document>, QueryError> {
    let filter = Filter::parse(&leading.filter.clone().unwrap_or_default(), context)?;
    let mut found = Vec::new();
    for document in documents {
        if filter.matches(&raw(document))? {
            found.push(document.clone());
        }
    }
    if !leading.sort.is_empty() {
        found.sort_by_cached_key(|document| {
            sort_key(&raw(document), &leading.sort, context.collation.as_deref())
        });
    }
    let skip = usize::try_from(leading.skip).unwrap();
    let limit = leading.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
    Ok(found.into_iter().skip(skip).take(limit).collect())
}

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

impl Collections for World {
    fn open<'a>(
        &'a mut self,
        collection: &'a str,
        leading: Leading,
        context: &'a ParseContext,
    ) -> Pending<'a, CollectionCursor> {
        Box::pin(async move {
            let documents = self.collections.get(collection).cloned().unwrap_or_default();
            let found = source(&documents, &leading, context)?;
            self.opened.push((collection.to_owned(), leading));
            self.cursors.push(Some(found.into_iter()));
            Ok(CollectionCursor(self.cursors.len() as u64 - 1))
        })
    }

    fn next(&mut self, cursor: CollectionCursor) -> Pending<'_, Vec<Document>> {
        let slot = &mut self.cursors[usize::try_from(cursor.0).unwrap()];
        let batch: Vec<Document> = slot.iter_mut().flatten().take(2).collect();
        if batch.is_empty() {
            *slot = None;
        }
        Box::pin(async { Ok(batch) })
    }

    fn close(&mut self, cursor: CollectionCursor) {
        self.cursors[usize::try_from(cursor.0).unwrap()] = None;
    }

    fn collection_stats<'a>(
        &'a mut self,
        collection: Option<&'a str>,
        _: &'a Document,
    ) -> Pending<'a, Document> {
        Box::pin(async move { Ok(doc! { "ns": collection.unwrap_or("own") }) })
    }

    fn index_stats<'a>(&'a mut self, collection: Option<&'a str>) -> Pending<'a, Vec<Document>> {
        Box::pin(async move { Ok(vec![doc! { "name": "_id_", "of": collection.unwrap_or("own") }]) })
    }
}

/// Polls a future, which waits for nothing but its turn, to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// Runs a pipeline over documents that are pushed in batches.
pub(crate) fn push_all(
    pipeline: Pipeline,
    input: &[Document],
    world: &mut World,
    memory_bytes: usize,
) -> Result<Vec<Document>, QueryError> {
    let pushed = matches!(pipeline.source(), Source::Collection | Source::ChangeStream(_));
    let mut execution = pipeline.start(memory_bytes);
    let mut results = Vec::new();
    for batch in input.chunks(3) {
        if !pushed || execution.is_satisfied() {
            break;
        }
        results.extend(block_on(execution.push(batch.to_vec(), world))?);
        while execution.has_pending() {
            results.extend(block_on(execution.push(Vec::new(), world))?);
        }
    }
    loop {
        let piece = block_on(execution.finish(world))?;
        if piece.is_empty() {
            return Ok(results);
        }
        results.extend(piece);
    }
}

/// Runs a pipeline in both ways.
pub(crate) fn run_in(
    world: &mut World,
    stages: &[Document],
    input: &[Document],
) -> Result<Vec<Document>, QueryError> {
    let context = ParseContext::default();
    let results = push_all(Pipeline::parse(stages, &context)?, input, world, MEMORY_BYTES);
    let (leading, rest) = Pipeline::parse(stages, &context)?.split_leading();
    let planned =
        source(input, &leading, &context).and_then(|input| push_all(rest, &input, world, MEMORY_BYTES));
    // As bytes, for NaN is not equal to itself.
    let bytes = |results: &Result<Vec<Document>, QueryError>| -> Option<Vec<RawDocumentBuf>> {
        results.as_ref().ok().map(|documents| documents.iter().map(raw).collect())
    };
    assert_eq!(bytes(&results), bytes(&planned), "{stages:?}");
    results
}

/// What comes out of a pipeline.
pub(crate) fn run(stages: &[Document], input: &[Document]) -> Vec<Document> {
    run_in(&mut World::default(), stages, input).unwrap_or_else(|error| panic!("{stages:?}: {error}"))
}

/// The number of the error with which a pipeline fails.
pub(crate) fn code(stages: &[Document], input: &[Document]) -> i32 {
    match run_in(&mut World::default(), stages, input) {
        Ok(results) => panic!("{stages:?} gave {results:?}"),
        Err(error) => error.code,
    }
}

/// Documents of one field.
pub(crate) fn column<V: Into<Bson>>(name: &str, values: impl IntoIterator<Item = V>) -> Vec<Document> {
    values.into_iter().map(|value| doc! { name: value.into() }).collect()
}

/// The values of one field, null where it is missing.
pub(crate) fn values(documents: &[Document], name: &str) -> Vec<Bson> {
    documents.iter().map(|document| document.get(name).cloned().unwrap_or(Bson::Null)).collect()
}
