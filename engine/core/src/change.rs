//! How a document came to be as it is: inserted, replaced, or updated by a delta.
//!
//! Kept beside each document, so that the log tells one from another although it holds after-images.
//! Promises: several changes of one document in one transaction count as one. Deliberately unknown: who
//! reads it.

use std::collections::HashSet;

use bson::{Array, Bson, Document, RawDocumentBuf, doc};

use crate::error::{Result, corrupt, invalid};

/// What the last commit that wrote a document did to it.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It was not there before.
    Insert,
    /// It took the place of all fields but `_id`.
    Replace,
    /// Some of its fields changed: `{ updatedFields, removedFields, truncatedArrays }` as change streams
    /// describe it (manual, "Change Events", "update").
    Update(Document),
}

/// The same with the delta as it is stored.
#[derive(Debug, Clone)]
pub(crate) enum StoredChange {
    Insert,
    Replace,
    Update(RawDocumentBuf),
}

impl StoredChange {
    /// An update by `delta`.
    pub(crate) fn update(delta: &Document) -> Result<Self> {
        let delta =
            RawDocumentBuf::try_from(delta).map_err(|error| invalid(format!("a change's delta: {error}")))?;
        Ok(Self::Update(delta))
    }

    pub(crate) fn delta_bytes(&self) -> usize {
        match self {
            Self::Update(delta) => delta.as_bytes().len(),
            Self::Insert | Self::Replace => 0,
        }
    }

    /// What this change and then `next`, both of one transaction, come to.
    pub(crate) fn then(self, next: Self) -> Result<Self> {
        match (self, next) {
            (Self::Insert, _) => Ok(Self::Insert),
            (Self::Update(first), Self::Update(second)) => {
                let read = |delta: RawDocumentBuf| {
                    Document::try_from(delta).map_err(|error| corrupt(format!("a change's delta: {error}")))
                };
                Self::update(&joined(read(first)?, read(second)?))
            }
            (Self::Replace, _) | (_, Self::Insert | Self::Replace) => Ok(Self::Replace),
        }
    }
}

/// The delta of two updates, one after the other. What the second says of a path goes for all below it.
fn joined(mut first: Document, mut second: Document) -> Document {
    let updated_again = take_document(&mut second, "updatedFields");
    let removed_again = take_array(&mut second, "removedFields");
    let overruled: HashSet<String> = {
        let removed = removed_again.iter().filter_map(Bson::as_str);
        updated_again.keys().map(String::as_str).chain(removed).map(str::to_owned).collect()
    };
    let stands = |path: &str| !prefixes(path).any(|above| overruled.contains(above));
    let mut updated: Document =
        take_document(&mut first, "updatedFields").into_iter().filter(|(path, _)| stands(path)).collect();
    updated.extend(updated_again);
    let mut removed = take_array(&mut first, "removedFields");
    removed.retain(|path| path.as_str().is_some_and(stands));
    removed.extend(removed_again);
    let mut truncated = take_array(&mut first, "truncatedArrays");
    truncated.extend(take_array(&mut second, "truncatedArrays"));
    doc! { "updatedFields": updated, "removedFields": removed, "truncatedArrays": truncated }
}

/// The path and all paths it lies below.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('.').map(|(dot, _)| &path[..dot]).chain(std::iter::once(path))
}

fn take_document(delta: &mut Document, name: &str) -> Document {
    match delta.remove(name) {
        Some(Bson::Document(fields)) => fields,
        _ => Document::new(),
    }
}

fn take_array(delta: &mut Document, name: &str) -> Array {
    match delta.remove(name) {
        Some(Bson::Array(values)) => values,
        _ => Array::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(updated: Document, removed: &[&str]) -> StoredChange {
        let removed: Array = removed.iter().map(|path| Bson::from(*path)).collect();
        StoredChange::update(
            &doc! { "updatedFields": updated, "removedFields": removed, "truncatedArrays": [] },
        )
        .unwrap()
    }

    #[test]
    fn the_later_of_two_updates_goes_for_all_below_its_paths() {
        let first = update(doc! { "a.b": 1, "c": 1, "ab": 1 }, &["d", "e.f"]);
        let second = update(doc! { "a": 2, "e": 2 }, &["c"]);
        let StoredChange::Update(both) = first.then(second).unwrap() else { panic!("an update") };
        let want = doc! {
            "updatedFields": { "ab": 1, "a": 2, "e": 2 }, "removedFields": ["d", "c"], "truncatedArrays": [],
        };
        assert_eq!(Document::try_from(both).unwrap(), want);
    }

    #[test]
    fn an_insert_stays_one_and_a_replacement_too() {
        let update = || update(doc! { "a": 1 }, &[]);
        assert!(matches!(StoredChange::Insert.then(update()), Ok(StoredChange::Insert)));
        assert!(matches!(StoredChange::Replace.then(update()), Ok(StoredChange::Replace)));
        assert!(matches!(update().then(StoredChange::Replace), Ok(StoredChange::Replace)));
    }
}
