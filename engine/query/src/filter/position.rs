//! Which array element made a document match: what the positional `$` stands for.
//!
//! Promises: the element is one that its predicate holds for. Where several predicates went through arrays
//! the last of them counts (manual, "`$` (update)": only one array should stand in the filter).
//! Deliberately unknown: what is done with the position.

use bson::{RawBsonRef, RawDocument};

use super::Filter;
use crate::collation::Collation;

impl Filter {
    /// The position in its array of the element that matched, counted from 0; `None` when the document
    /// does not match, or not through an array.
    pub fn array_position(&self, document: &RawDocument) -> Option<usize> {
        self.matches(document).unwrap_or(false).then(|| self.position(document, None)).flatten()
    }

    fn position(&self, document: &RawDocument, collation: Option<&Collation>) -> Option<usize> {
        match self {
            Self::And(filters) => {
                filters.iter().rev().find_map(|filter| filter.position(document, collation))
            }
            Self::Or(filters) => filters
                .iter()
                .find(|filter| filter.matches_by(document, collation).unwrap_or(false))?
                .position(document, collation),
            Self::Collated(collation, filter) => filter.position(document, Some(collation)),
            Self::Field { path, predicate } if !predicate.is_negative() => {
                let hit = predicate.find(document, path, collation).ok().flatten()?;
                named_position(document, path).or(hit.element)
            }
            _ => None,
        }
    }
}

/// The position that the path itself names in the first array it goes through.
fn named_position(document: &RawDocument, path: &str) -> Option<usize> {
    let mut document = document;
    let mut segments = path.split('.');
    loop {
        match document.get(segments.next()?).ok().flatten()? {
            RawBsonRef::Document(inner) => document = inner,
            RawBsonRef::Array(array) => {
                let position = segments.next()?.parse().ok()?;
                return array.get(position).ok().flatten().map(|_| position);
            }
            _ => return None,
        }
    }
}
