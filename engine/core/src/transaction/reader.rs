//! Reads at one snapshot, with a transaction's own writes laid over it where there are any.
//!
//! Promises: every key looked up and every range walked is noted in the read set, whether or not
//! anything was there; a page says how far it walked. Deliberately unknown: what is being looked for.

use bytes::Bytes;
use nimbus_namespace::{Direction, Entry, EntryPage, KeyRange, Space};

use super::recent::Recent;
use super::staging::Staging;
use crate::catalog::after;
use crate::commit::ReadSet;
use crate::envelope::StoredDocument;
use crate::error::Result;
use crate::storage::View;

/// A view of one state.
pub(crate) struct Reader<'a> {
    snapshot: &'a View<'a>,
    staging: Option<&'a Staging>,
    reads: Option<&'a mut ReadSet>,
    recent: Option<&'a mut Recent>,
}

/// Entries in the direction walked, and what is left to walk.
pub(crate) struct ScanPage {
    pub(crate) entries: Vec<Entry>,
    /// `None` when the range is exhausted.
    pub(crate) rest: Option<KeyRange>,
}

impl<'a> Reader<'a> {
    /// A transaction's view.
    pub(super) fn of_transaction(
        snapshot: &'a View<'a>,
        staging: &'a Staging,
        reads: &'a mut ReadSet,
        recent: &'a mut Recent,
    ) -> Self {
        Self { snapshot, staging: Some(staging), reads: Some(reads), recent: Some(recent) }
    }

    /// A view of the snapshot alone, noting nothing.
    pub(crate) fn of_snapshot(snapshot: &'a View<'a>) -> Self {
        Self { snapshot, staging: None, reads: None, recent: None }
    }

    /// The value of one key.
    pub(crate) async fn get(&mut self, space: Space, key: &Bytes) -> Result<Option<Bytes>> {
        if let Some(reads) = &mut self.reads {
            reads.add_key(space, key.clone());
        }
        if let Some(staged) = self.staging.and_then(|staging| staging.value(space, key)) {
            return Ok(staged);
        }
        let Some(recent) = &mut self.recent else { return self.snapshot.get(space, key).await };
        if let Some(value) = recent.value(space, key) {
            return Ok(value);
        }
        let value = self.snapshot.get(space, key).await?;
        recent.note(space, key, value.as_ref());
        Ok(value)
    }

    /// The document under a key of `Documents`.
    pub(crate) async fn document(&mut self, key: &Bytes) -> Result<Option<StoredDocument>> {
        self.get(Space::Documents, key).await?.map(StoredDocument::open).transpose()
    }

    /// The documents under the first of these keys of `Documents`, in the order asked: under as many, and
    /// at least one, as make a page.
    pub(crate) async fn documents(&mut self, keys: &[Bytes]) -> Result<Vec<Option<StoredDocument>>> {
        let mut values = self.snapshot.get_many(Space::Documents, keys).await?;
        let keys = &keys[..values.len().min(keys.len())];
        if let Some(reads) = &mut self.reads {
            for key in keys {
                reads.add_key(Space::Documents, key.clone());
            }
        }
        if let Some(staging) = self.staging {
            for (key, value) in keys.iter().zip(&mut values) {
                if let Some(staged) = staging.value(Space::Documents, key) {
                    *value = staged;
                }
            }
        }
        values.into_iter().map(|value| value.map(StoredDocument::open).transpose()).collect()
    }

    /// The next entries of `range`, as many as make a page but not many more than `limit`; none only if
    /// the page was all removals.
    pub(crate) async fn scan(
        &mut self,
        space: Space,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<ScanPage> {
        let EntryPage { mut entries, more } = self.snapshot.scan(space, &range, direction, limit).await?;
        let (walked, rest) = match entries.last() {
            Some(last) if more => split(range, &last.key, direction),
            _ => (range, None),
        };
        if let Some(staging) = self.staging {
            lay_over(&mut entries, staging.values_in(space, &walked), direction);
        }
        if let Some(reads) = &mut self.reads {
            reads.add_range(space, walked);
        }
        Ok(ScanPage { entries, rest })
    }
}

/// What has been walked when `last` was the last key, and what has not.
fn split(range: KeyRange, last: &[u8], direction: Direction) -> (KeyRange, Option<KeyRange>) {
    let (walked, rest) = match direction {
        Direction::Forward => {
            let middle = after(last);
            (
                KeyRange { start: range.start, end: Some(middle.clone()) },
                KeyRange { start: middle, end: range.end },
            )
        }
        Direction::Backward => {
            let middle = Bytes::copy_from_slice(last);
            (
                KeyRange { start: middle.clone(), end: range.end },
                KeyRange { start: range.start, end: Some(middle) },
            )
        }
    };
    let rest = (!rest.is_empty()).then_some(rest);
    (walked, rest)
}

/// Merges staged values, ascending by key, into entries that stand in the walk's direction.
fn lay_over(entries: &mut Vec<Entry>, mut staged: Vec<(Bytes, Option<Bytes>)>, direction: Direction) {
    if staged.is_empty() {
        return;
    }
    if direction == Direction::Backward {
        staged.reverse();
    }
    let comes_before = |a: &Bytes, b: &Bytes| match direction {
        Direction::Forward => a < b,
        Direction::Backward => a > b,
    };
    let mut merged = Vec::with_capacity(entries.len() + staged.len());
    let mut stored = std::mem::take(entries).into_iter().peekable();
    for (key, value) in staged {
        while let Some(entry) = stored.next_if(|entry| comes_before(&entry.key, &key)) {
            merged.push(entry);
        }
        stored.next_if(|entry| entry.key == key);
        merged.extend(value.map(|value| Entry { key, value }));
    }
    merged.extend(stored);
    *entries = merged;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &'static str, value: &'static str) -> Entry {
        Entry { key: key.into(), value: value.into() }
    }

    #[test]
    fn staged_values_replace_insert_and_remove_in_either_direction() {
        let staged =
            || vec![("a".into(), Some("new".into())), ("c".into(), None), ("d".into(), Some("more".into()))];
        let mut forward = vec![entry("b", "1"), entry("c", "2")];
        lay_over(&mut forward, staged(), Direction::Forward);
        assert_eq!(forward, [entry("a", "new"), entry("b", "1"), entry("d", "more")]);
        let mut backward = vec![entry("c", "2"), entry("b", "1")];
        lay_over(&mut backward, staged(), Direction::Backward);
        assert_eq!(backward, [entry("d", "more"), entry("b", "1"), entry("a", "new")]);
    }

    #[test]
    fn a_split_leaves_nothing_out() {
        let range = KeyRange { start: "a".into(), end: Some("z".into()) };
        let (walked, rest) = split(range.clone(), b"m", Direction::Forward);
        assert!(walked.contains(b"m") && !walked.contains(b"m\0") && rest.unwrap().contains(b"m\0"));
        let (walked, rest) = split(range, b"m", Direction::Backward);
        assert!(walked.contains(b"m") && rest.unwrap().contains(b"lzz"));
    }
}
