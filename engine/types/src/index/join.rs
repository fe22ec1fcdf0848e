//! Joining what the fields of a compound index contribute into entries.
//!
//! Promises: fields that went through the same array are joined element by element; the number of
//! entries is at most the number of values of one field, never a product of two. Deliberately unknown:
//! how values are found and encoded.

use super::{IndexError, IndexField};
use crate::path::ArrayStep;

/// One value of one field, with the array elements it came from.
pub(super) struct FieldValue<'p> {
    /// The arrays fanned out from, outermost first.
    pub(super) trail: Vec<ArrayStep<'p>>,
    /// The key bytes, in the field's direction.
    pub(super) encoded: Vec<u8>,
    /// Whether the document has the field, rather than the value standing for its absence.
    pub(super) present: bool,
}

/// Calls `emit` with each entry's key: one encoded value of each field, one after another.
///
/// `values` holds, for each of `fields`, at least one value, in document order; `absent` holds one with
/// no trail, for elements in which a field has none.
pub(super) fn join(
    fields: &[IndexField],
    values: &[Vec<FieldValue<'_>>],
    absent: &[FieldValue<'_>],
    emit: impl FnMut(Vec<u8>) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let groups: Vec<&[FieldValue<'_>]> = values.iter().map(Vec::as_slice).collect();
    Join { fields, absent, emit }.groups(&groups, 0)
}

struct Join<'a, F> {
    fields: &'a [IndexField],
    absent: &'a [FieldValue<'a>],
    emit: F,
}

impl<'a, F: FnMut(Vec<u8>) -> Result<(), IndexError>> Join<'a, F> {
    /// Joins one group of values for each field, whose trails are the same up to `depth`. A field
    /// either fans out further, all its values through one array, or has one value left.
    fn groups(&mut self, groups: &[&'a [FieldValue<'a>]], depth: usize) -> Result<(), IndexError> {
        if !self.fans_out(groups, depth)? {
            let parts = groups.iter().filter_map(|group| group.first());
            return (self.emit)(parts.flat_map(|value| &value.encoded).copied().collect());
        }
        let mut rest = groups.to_vec();
        while let Some(element) = rest.iter().filter_map(|group| Some(next(group, depth)?.element)).min() {
            let mut chosen = Vec::with_capacity(rest.len());
            for (group, absent) in rest.iter_mut().zip(self.absent) {
                let fixed = group.first().is_some_and(|value| value.trail.len() <= depth);
                if fixed {
                    chosen.push(*group);
                    continue;
                }
                let here =
                    |value: &FieldValue<'_>| value.trail.get(depth).map(|step| step.element) == Some(element);
                let (of_element, after) =
                    group.split_at(group.iter().take_while(|value| here(value)).count());
                *group = after;
                chosen.push(if of_element.is_empty() { std::slice::from_ref(absent) } else { of_element });
            }
            self.groups(&chosen, depth + 1)?;
        }
        Ok(())
    }

    /// Whether any field goes through an array at this depth; an error if there are two such arrays.
    fn fans_out(&self, groups: &[&[FieldValue<'_>]], depth: usize) -> Result<bool, IndexError> {
        let mut first: Option<(&IndexField, &str)> = None;
        for (field, group) in self.fields.iter().zip(groups) {
            let array = next(group, depth).map(|step| step.array);
            let alike = group.iter().all(|value| value.trail.get(depth).map(|step| step.array) == array);
            if !alike {
                return Err(IndexError::AmbiguousPath { path: field.path.clone() });
            }
            match (first, array) {
                (None, Some(array)) => first = Some((field, array)),
                (Some((other, theirs)), Some(array)) if theirs != array => {
                    return Err(IndexError::ParallelArrays {
                        first: other.path.clone(),
                        second: field.path.clone(),
                    });
                }
                _ => {}
            }
        }
        Ok(first.is_some())
    }
}

/// The next array that a group's values go through.
fn next<'p>(group: &[FieldValue<'p>], depth: usize) -> Option<ArrayStep<'p>> {
    group.first()?.trail.get(depth).copied()
}
