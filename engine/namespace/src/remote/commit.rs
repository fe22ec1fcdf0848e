//! What a commit group comes to, and whose it is.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::change::{Commit, CommitGroup, Space};
use crate::error::{Result, StorageError};

/// What a group changes in one space in the end: at most one change a key, so that the changes may be
/// applied in any order. Both lists ascend.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NetChanges<'a> {
    /// Keys that are set, with their values.
    pub puts: Vec<(&'a Bytes, &'a Bytes)>,
    /// Keys that are removed, or were never there.
    pub removals: Vec<&'a Bytes>,
}

impl<'a> NetChanges<'a> {
    /// The last change of each key of `space`.
    pub fn of(group: &'a CommitGroup, space: Space) -> Self {
        let changes = group.commits.iter().flat_map(Commit::all_changes);
        let last: BTreeMap<_, _> = changes
            .filter(|change| change.space == space)
            .map(|change| (&change.key, change.value.as_ref()))
            .collect();
        let mut net = Self::default();
        for (key, value) in last {
            match value {
                Some(value) => net.puts.push((key, value)),
                None => net.removals.push(key),
            }
        }
        net
    }
}

/// Says which attempt wrote a row of the log. It stands in every row of a group, so that whoever lost the
/// answer to a commit can find out whether the row at its sequence is its own; two servers may write
/// records that are equal byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterMark([u8; 16]);

impl WriterMark {
    /// A mark that nobody else has.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .map_err(|_| StorageError::Transient("the system has no random bytes".into()))?;
        Ok(Self(bytes))
    }

    /// As it is stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::builder::{CommitBuilder, put, remove};

    #[test]
    fn the_last_change_of_a_key_is_what_remains() {
        let group = CommitBuilder::new().group([
            vec![
                put(Space::Documents, "b", "1"),
                put(Space::Documents, "a", "1"),
                put(Space::Index, "i", "b"),
            ],
            vec![remove(Space::Documents, "b"), put(Space::Documents, "a", "2"), put(Space::Meta, "b", "m")],
        ]);
        let net = |space| NetChanges::of(&group, space);
        let [a, b, two, i] = ["a", "b", "2", "i"].map(|text| Bytes::from_static(text.as_bytes()));
        assert_eq!(net(Space::Documents), NetChanges { puts: vec![(&a, &two)], removals: vec![&b] });
        assert_eq!(net(Space::Index).puts, [(&i, &b)]);
        assert_eq!(net(Space::Meta).removals.len(), 0);
    }

    #[test]
    fn marks_differ() {
        assert_ne!(WriterMark::random().unwrap(), WriterMark::random().unwrap());
    }
}
