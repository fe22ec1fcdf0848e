//! Batches of a reply, and where their documents come from.
//!
//! Promises: a batch holds no more documents than were asked for and no more than [`BATCH_BYTES`], unless one
//! document alone is larger; what a source has given and does not fit waits for the next batch. Deliberately
//! unknown: cursor ids and who reads.

use std::collections::VecDeque;

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, Timestamp};
use nimbus_engine::{AggregateCursor, FindCursor, StoredDocument};
use nimbus_query::{Filter, Projection};

use crate::access::Access;
use crate::change_streams::ChangeStream;
use crate::error::{CommandError, Result};
use crate::snapshot;

/// Most bytes of documents in one batch: the size of the largest document, as in MongoDB.
pub(crate) const BATCH_BYTES: usize = nimbus_types::limits::DOCUMENT_BYTES;

/// Documents of one batch.
#[derive(Default)]
pub(crate) struct Batch {
    documents: RawArrayBuf,
    count: usize,
    bytes: usize,
}

impl Batch {
    /// The documents as an array.
    pub(crate) fn into_array(self) -> RawArrayBuf {
        self.documents
    }

    /// Whether it has no document.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn has_room(&self, document: &RawDocument) -> bool {
        self.count == 0 || self.bytes + document.as_bytes().len() <= BATCH_BYTES
    }

    fn push(&mut self, document: &RawDocument) {
        self.bytes += document.as_bytes().len();
        self.count += 1;
        self.documents.push(document);
    }
}

/// A document on its way into a batch.
enum Shown {
    /// As it is stored.
    Stored(StoredDocument),
    Made(RawDocumentBuf),
}

impl Shown {
    fn raw(&self) -> &RawDocument {
        match self {
            Self::Stored(stored) => stored.body(),
            Self::Made(made) => made,
        }
    }
}

/// The documents of a cursor.
pub(crate) struct Source {
    origin: Origin,
    /// `database.collection`, for messages.
    namespace: String,
    /// Not taken yet.
    waiting: VecDeque<Shown>,
    /// The only state that may be shown, for reads of level `snapshot` outside of a transaction.
    snapshot: Option<Timestamp>,
}

/// Where the documents of a cursor come from.
pub(crate) enum Origin {
    /// A list made beforehand.
    Documents(Vec<RawDocumentBuf>),
    /// A query.
    Find(Box<FindCursor>, Option<Box<Projected>>),
    /// A pipeline.
    Pipeline(Box<AggregateCursor>),
    /// A change stream.
    Changes(Box<ChangeStream>),
}

/// What is shown of each document.
pub(crate) struct Projected {
    /// The projection.
    pub(crate) projection: Projection,
    /// The query's filter, which knows what the positional `$` means.
    pub(crate) filter: Filter,
}

impl Source {
    /// The documents of `origin`.
    pub(crate) fn new(origin: Origin, namespace: String) -> Self {
        Self { origin, namespace, waiting: VecDeque::new(), snapshot: None }
    }

    /// The same documents, of the state at that time or not at all.
    pub(crate) fn of_snapshot(self, snapshot: Option<Timestamp>) -> Self {
        Self { snapshot, ..self }
    }

    /// The time of the only state that is shown.
    pub(crate) fn snapshot(&self) -> Option<Timestamp> {
        self.snapshot
    }

    /// Bytes that are held for later batches.
    pub(crate) fn memory_bytes(&self) -> usize {
        let held = match &self.origin {
            Origin::Documents(rest) => rest.iter().map(|document| document.as_bytes().len()).sum(),
            Origin::Find(cursor, _) => cursor.memory_bytes(),
            Origin::Pipeline(cursor) => cursor.memory_bytes(),
            Origin::Changes(changes) => changes.memory_bytes(),
        };
        held + self.waiting.iter().map(|shown| shown.raw().as_bytes().len()).sum::<usize>()
    }

    /// The change stream, if it is one.
    pub(crate) fn change_stream(&mut self) -> Option<&mut ChangeStream> {
        if let Origin::Changes(changes) = &mut self.origin { Some(changes) } else { None }
    }

    /// Where a change stream stands after the batch that has just been filled.
    pub(crate) fn resume_token(&self) -> Option<RawDocumentBuf> {
        if let Origin::Changes(changes) = &self.origin {
            Some(changes.token(self.waiting.front().map(Shown::raw)))
        } else {
            None
        }
    }

    /// The next batch of at most `documents`, and whether it is the last.
    pub(crate) async fn fill(&mut self, access: &mut Access, documents: usize) -> Result<(Batch, bool)> {
        let filled = self.fill_now(access, documents).await?;
        if let Some(snapshot) = self.snapshot {
            snapshot::check(access.tenant(), snapshot).await?;
        }
        Ok(filled)
    }

    async fn fill_now(&mut self, access: &mut Access, documents: usize) -> Result<(Batch, bool)> {
        let mut batch = Batch::default();
        loop {
            while batch.count < documents
                && let Some(next) = self.waiting.pop_front_if(|next| batch.has_room(next.raw()))
            {
                batch.push(next.raw());
            }
            if !self.waiting.is_empty() {
                self.keep_waiting();
                return Ok((batch, false));
            }
            if self.is_exhausted() {
                return Ok((batch, true));
            }
            let room_bytes = BATCH_BYTES.saturating_sub(batch.bytes);
            if batch.count >= documents || (room_bytes == 0 && !batch.is_empty()) {
                return Ok((batch, false));
            }
            let made = self.make(access, documents - batch.count, room_bytes).await?;
            let is_at_end =
                made.is_empty() && matches!(self.origin, Origin::Changes(_)) && !self.is_exhausted();
            if is_at_end {
                return Ok((batch, false));
            }
            self.waiting.extend(made);
        }
    }

    /// Gives what waits for the next batch memory of its own: a stored document may share that of a whole page.
    fn keep_waiting(&mut self) {
        for shown in &mut self.waiting {
            if let Shown::Stored(stored) = shown {
                *shown = Shown::Made(stored.body().to_owned());
            }
        }
    }

    fn is_exhausted(&self) -> bool {
        match &self.origin {
            Origin::Documents(rest) => rest.is_empty(),
            Origin::Find(cursor, _) => cursor.is_exhausted(),
            Origin::Pipeline(cursor) => cursor.is_exhausted(),
            Origin::Changes(changes) => changes.is_exhausted(),
        }
    }

    /// Some more documents; a change stream that has none for now gives none.
    async fn make(&mut self, access: &mut Access, documents: usize, bytes: usize) -> Result<Vec<Shown>> {
        let error = |error| CommandError::of_engine(error, &self.namespace);
        match &mut self.origin {
            Origin::Documents(rest) => Ok(made(std::mem::take(rest))),
            Origin::Find(cursor, projected) => {
                let found = access.next_batch(cursor, documents, bytes).await.map_err(error)?;
                let shown = found.into_iter().map(|document| match projected {
                    None => Ok(Shown::Stored(document)),
                    Some(projected) => {
                        let Projected { projection, filter } = &**projected;
                        let position = filter.array_position(document.body());
                        Ok(Shown::Made(projection.apply(document.body(), position)?))
                    }
                });
                shown.collect()
            }
            Origin::Pipeline(cursor) => {
                Ok(made(access.next_aggregated(cursor, documents, bytes).await.map_err(error)?))
            }
            Origin::Changes(changes) => Ok(made(changes.read(access.tenant()).await?)),
        }
    }
}

fn made(documents: Vec<RawDocumentBuf>) -> Vec<Shown> {
    documents.into_iter().map(Shown::Made).collect()
}
