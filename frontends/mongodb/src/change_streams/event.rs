//! Events as change streams show them (manual, "Change Events").
//!
//! Deliberately unknown: where the changes come from, and who looks.

use bson::{Bson, DateTime, Document, doc};
use nimbus_engine::{ChangeKind, ChangeRecord, CommitPosition, StoredDocument};

use crate::cluster_time;
use crate::error::{CommandError, Result, codes};

/// The event of a change, without what was looked up; `None` for a change that is not shown.
pub(super) fn of_change(
    change: &ChangeRecord,
    token: Document,
    database: &str,
    show_expanded: bool,
) -> Result<Option<Document>> {
    let ns = |collection: &str| doc! { "db": database, "coll": collection };
    let (operation, details) = match &change.kind {
        ChangeKind::Insert { document } => (
            "insert",
            doc! { "fullDocument": owned(document)?, "ns": ns(&change.table), "documentKey": key_of(document)? },
        ),
        ChangeKind::Replace { document } => (
            "replace",
            doc! { "fullDocument": owned(document)?, "ns": ns(&change.table), "documentKey": key_of(document)? },
        ),
        ChangeKind::Update { document, delta } => (
            "update",
            doc! {
                "ns": ns(&change.table),
                "documentKey": key_of(document)?,
                "updateDescription": description(document, delta, show_expanded)?,
            },
        ),
        ChangeKind::Delete { id } => {
            ("delete", doc! { "ns": ns(&change.table), "documentKey": { "_id": id.clone() } })
        }
        ChangeKind::Drop => ("drop", doc! { "ns": ns(&change.table) }),
        ChangeKind::Rename { to } => ("rename", doc! { "ns": ns(&change.table), "to": ns(to) }),
        ChangeKind::Create if show_expanded => ("create", doc! { "ns": ns(&change.table) }),
        ChangeKind::Modify if show_expanded => ("modify", doc! { "ns": ns(&change.table) }),
        ChangeKind::Create | ChangeKind::Modify => return Ok(None),
    };
    let mut event = head(change, token, operation);
    event.extend(details);
    Ok(Some(event))
}

/// The event that ends a stream whose collection is gone.
pub(super) fn invalidate(change: &ChangeRecord, token: Document) -> Document {
    head(change, token, "invalidate")
}

fn head(change: &ChangeRecord, token: Document, operation: &str) -> Document {
    let position = CommitPosition { sequence: change.sequence, time_ms: change.time_ms };
    doc! {
        "_id": token,
        "operationType": operation,
        "clusterTime": cluster_time::of_commit(position),
        "wallTime": DateTime::from_millis(i64::try_from(change.time_ms).unwrap_or(i64::MAX)),
    }
}

/// What an update changed. Expanded events also tell which numbers in its paths are places in an array
/// (`disambiguatedPaths`).
fn description(document: &StoredDocument, delta: &Document, show_expanded: bool) -> Result<Document> {
    let mut described = delta.clone();
    if !show_expanded {
        return Ok(described);
    }
    let document = Bson::Document(owned(document)?);
    let updated =
        delta.get_document("updatedFields").into_iter().flat_map(Document::keys).map(String::as_str);
    let removed = delta.get_array("removedFields").into_iter().flatten().filter_map(Bson::as_str);
    let ambiguous = |path: &&str| path.split('.').skip(1).any(|name| name.parse::<u32>().is_ok());
    let paths = updated.chain(removed).filter(ambiguous);
    let paths: Document = paths.map(|path| (path.to_owned(), steps(path, &document).into())).collect();
    if !paths.is_empty() {
        described.insert("disambiguatedPaths", paths);
    }
    Ok(described)
}

/// The steps of a dotted path: a number where it is a place in an array, else the name of a field.
fn steps(path: &str, document: &Bson) -> Vec<Bson> {
    let mut at = Some(document);
    path.split('.')
        .map(|step| match (at, step.parse::<u32>()) {
            (Some(Bson::Array(elements)), Ok(place)) => {
                at = elements.get(place as usize);
                i32::try_from(place).map_or(Bson::Int64(place.into()), Bson::Int32)
            }
            (parent, _) => {
                at = parent.and_then(Bson::as_document).and_then(|parent| parent.get(step));
                Bson::from(step)
            }
        })
        .collect()
}

/// A stored document as a value.
pub(super) fn owned(document: &StoredDocument) -> Result<Document> {
    Document::try_from(document.body())
        .map_err(|error| CommandError::new(codes::INTERNAL_ERROR, format!("a stored document: {error}")))
}

fn key_of(document: &StoredDocument) -> Result<Document> {
    let id = Bson::try_from(document.id())
        .map_err(|error| CommandError::new(codes::INTERNAL_ERROR, format!("a stored _id: {error}")))?;
    Ok(doc! { "_id": id })
}
