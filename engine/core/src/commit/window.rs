//! Optimistic validation: what a transaction read against what recent commits wrote
//! (Kung and Robinson, "On Optimistic Methods for Concurrency Control", 1981, backward validation).
//!
//! Promises: a transaction whose reads are untouched since its snapshot is serializable at the
//! position of its commit; one older than the window reaches back is refused, never waved through.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use nimbus_namespace::{CommitGroup, CommitRecord, KeyChange, KeyRange, Space};
use nimbus_types::Sequence;

/// Most keys remembered; older commits are forgotten past it, and transactions that began before
/// them must start again.
const WINDOW_KEYS: usize = 200_000;
/// Most bytes of keys remembered, likewise.
const WINDOW_BYTES: usize = 64 << 20;

/// Keys a read set may hold without looking for repeated ones.
const FEW_KEYS: usize = 64;

/// What a transaction's outcome depends on: keys looked up, present or not, and ranges walked.
#[derive(Debug, Default)]
pub(crate) struct ReadSet {
    /// In the order read. A key may stand here several times, but no more often than [`ReadSet::add_key`]
    /// lets it.
    keys: Vec<(Space, Bytes)>,
    /// How many of the keys were distinct when that was last seen to.
    distinct: usize,
    ranges: Vec<(Space, KeyRange)>,
}

impl ReadSet {
    /// Notes a looked-up key.
    pub(crate) fn add_key(&mut self, space: Space, key: Bytes) {
        self.keys.push((space, key));
        // Most transactions read a few keys once each; those that read the same ones again and again still
        // hold little more than each once.
        if self.keys.len() > 2 * self.distinct + FEW_KEYS {
            self.keys.sort_unstable();
            self.keys.dedup();
            self.distinct = self.keys.len();
        }
    }

    /// Notes a walked range; a walk that goes on where the last one ended is one range.
    pub(crate) fn add_range(&mut self, space: Space, range: KeyRange) {
        if range.is_empty() {
            return;
        }
        if let Some((last_space, last)) = self.ranges.last_mut()
            && *last_space == space
        {
            if last.end.as_ref() == Some(&range.start) {
                last.end = range.end;
                return;
            }
            if range.end.as_ref() == Some(&last.start) {
                last.start = range.start;
                return;
            }
        }
        self.ranges.push((space, range));
    }

    fn touches(&self, space: Space) -> bool {
        self.keys.iter().any(|(read, _)| *read == space) || self.ranges.iter().any(|(read, _)| *read == space)
    }
}

/// The keys that recent commits wrote, each with the last commit that wrote it.
#[derive(Debug, Default)]
pub(crate) struct Window {
    last_write: BTreeMap<(Space, Bytes), Sequence>,
    commits: VecDeque<(Sequence, Vec<(Space, Bytes)>)>,
    keys: usize,
    key_bytes: usize,
    /// Commits up to here have been forgotten.
    forgotten: Sequence,
    /// The last commit whose index entries are not known.
    foreign_index_write: Sequence,
}

impl Window {
    /// A window that knows nothing of commits up to `head`.
    pub(crate) fn starting_at(head: Sequence) -> Self {
        Self { forgotten: head, ..Self::default() }
    }

    /// Whether a commit after `snapshot` wrote anything of `reads`, or may have.
    pub(crate) fn conflicts(&self, reads: &ReadSet, snapshot: Sequence) -> bool {
        if snapshot < self.forgotten {
            return true;
        }
        if self.commits.back().is_none_or(|(newest, _)| *newest <= snapshot) {
            return false;
        }
        if self.foreign_index_write > snapshot && reads.touches(Space::Index) {
            return true;
        }
        reads.keys.iter().any(|key| self.last_write.get(key).is_some_and(|sequence| *sequence > snapshot))
            || reads.ranges.iter().any(|(space, range)| self.range_written(*space, range, snapshot))
    }

    fn range_written(&self, space: Space, range: &KeyRange, snapshot: Sequence) -> bool {
        self.last_write
            .range((space, range.start.clone())..)
            .take_while(|((found, key), _)| *found == space && range.contains(key))
            .any(|(_, sequence)| *sequence > snapshot)
    }

    /// Remembers what a commit writes. Sequences ascend.
    pub(crate) fn note<'a>(&mut self, sequence: Sequence, changes: impl Iterator<Item = &'a KeyChange>) {
        self.note_keys(sequence, changes.map(|change| (change.space, change.key.clone())).collect());
    }

    fn note_keys(&mut self, sequence: Sequence, keys: Vec<(Space, Bytes)>) {
        for key in &keys {
            self.last_write.insert(key.clone(), sequence);
        }
        self.keys += keys.len();
        self.key_bytes += key_bytes(&keys);
        self.commits.push_back((sequence, keys));
    }

    /// Remembers a group that has become durable.
    pub(crate) fn note_group(&mut self, group: &CommitGroup) {
        for commit in &group.commits {
            self.note(commit.record.sequence, commit.all_changes());
        }
    }

    /// Remembers a commit of another server. The log names its documents, not the index entries that
    /// followed from them, so whoever read anything of `Index` before it must start again.
    pub(crate) fn note_foreign(&mut self, record: &CommitRecord) {
        // Copied, because a record's keys share their memory with its values.
        let copied = |change: &KeyChange| (change.space, Bytes::copy_from_slice(&change.key));
        self.note_keys(record.sequence, record.changes.iter().map(copied).collect());
        self.foreign_index_write = record.sequence;
    }

    /// Forgets commits no running transaction can conflict with, and the oldest past the limits.
    pub(crate) fn forget(&mut self, up_to: Sequence) {
        while let Some((sequence, _)) = self.commits.front() {
            let within_limits = self.keys <= WINDOW_KEYS && self.key_bytes <= WINDOW_BYTES;
            if *sequence > up_to && within_limits {
                return;
            }
            let Some((sequence, keys)) = self.commits.pop_front() else { return };
            self.keys -= keys.len();
            self.key_bytes -= key_bytes(&keys);
            // A catching up that failed half way notes its commits once more, so these may go back.
            self.forgotten = self.forgotten.max(sequence);
            for key in keys {
                if self.last_write.get(&key) == Some(&sequence) {
                    self.last_write.remove(&key);
                }
            }
        }
    }
}

fn key_bytes(keys: &[(Space, Bytes)]) -> usize {
    keys.iter().map(|(_, key)| key.len()).sum()
}

#[cfg(test)]
mod tests {
    use nimbus_namespace::DigestSums;

    use super::*;

    fn write(key: &'static [u8]) -> KeyChange {
        KeyChange { space: Space::Documents, key: Bytes::from_static(key), value: None }
    }

    fn reads(key: &'static [u8]) -> ReadSet {
        let mut reads = ReadSet::default();
        reads.add_key(Space::Documents, Bytes::from_static(key));
        reads
    }

    #[test]
    fn a_later_write_of_a_read_key_conflicts() {
        let mut window = Window::default();
        window.note(Sequence(5), [write(b"a")].iter());
        assert!(window.conflicts(&reads(b"a"), Sequence(4)));
        assert!(!window.conflicts(&reads(b"a"), Sequence(5)));
        assert!(!window.conflicts(&reads(b"b"), Sequence(4)));
    }

    #[test]
    fn a_write_into_a_walked_range_conflicts() {
        let mut window = Window::default();
        window.note(Sequence(5), [write(b"b2")].iter());
        let mut walked = ReadSet::default();
        walked.add_range(Space::Documents, KeyRange::prefix(b"b".as_slice()));
        assert!(window.conflicts(&walked, Sequence(4)));
        let mut other_space = ReadSet::default();
        other_space.add_range(Space::Index, KeyRange::all());
        assert!(!window.conflicts(&other_space, Sequence(4)));
    }

    #[test]
    fn a_foreign_commit_may_have_written_any_index_entry() {
        let mut window = Window::default();
        window.note_foreign(&CommitRecord {
            sequence: Sequence(5),
            time_ms: 0,
            previous_sums: DigestSums::default(),
            sums: DigestSums::default(),
            changes: vec![write(b"a")],
        });
        let mut walked = ReadSet::default();
        walked.add_range(Space::Index, KeyRange::all());
        assert!(window.conflicts(&walked, Sequence(4)));
        assert!(!window.conflicts(&walked, Sequence(5)));
        assert!(!window.conflicts(&reads(b"b"), Sequence(4)));
    }

    #[test]
    fn what_has_been_forgotten_is_refused() {
        let mut window = Window::default();
        window.note(Sequence(1), [write(b"a")].iter());
        window.note(Sequence(2), [write(b"a")].iter());
        window.forget(Sequence(1));
        assert!(window.conflicts(&reads(b"z"), Sequence(0)), "older than the window");
        assert!(window.conflicts(&reads(b"a"), Sequence(1)), "still remembered");
        assert!(!window.conflicts(&reads(b"z"), Sequence(1)));
    }

    #[test]
    fn long_keys_are_forgotten_by_their_bytes() {
        let mut window = Window::default();
        for sequence in 1..=4 {
            let key = vec![sequence as u8; WINDOW_BYTES / 3].into();
            let change = KeyChange { space: Space::Index, key, value: None };
            window.note(Sequence(sequence), std::iter::once(&change));
            window.forget(Sequence::ZERO);
        }
        assert_eq!((window.commits.len(), window.forgotten), (3, Sequence(1)));
        assert!(window.conflicts(&reads(b"z"), Sequence(0)), "older than the window");
    }

    #[test]
    fn commits_noted_twice_do_not_bring_back_what_has_been_forgotten() {
        let mut window = Window::default();
        for sequence in [5, 6, 7, 5] {
            window.note(Sequence(sequence), [write(b"a")].iter());
        }
        window.forget(Sequence(7));
        assert!(window.conflicts(&reads(b"a"), Sequence(6)));
    }

    #[test]
    fn keys_read_again_and_again_are_held_once_or_twice() {
        let mut reads = ReadSet::default();
        for round in 0..1000_u16 {
            for key in 0..100_u8 {
                reads.add_key(Space::Documents, vec![key].into());
            }
            reads.add_key(Space::Meta, round.to_be_bytes().to_vec().into());
        }
        assert!(reads.keys.len() <= 2 * 1100 + FEW_KEYS, "{} keys", reads.keys.len());
        let mut window = Window::default();
        window.note(
            Sequence(1),
            [KeyChange { space: Space::Meta, key: vec![0, 7].into(), value: None }].iter(),
        );
        assert!(window.conflicts(&reads, Sequence(0)), "a key read once and early");
    }

    #[test]
    fn adjoining_walks_are_one_range() {
        let mut walked = ReadSet::default();
        let range = |start: &'static [u8], end: &'static [u8]| KeyRange {
            start: Bytes::from_static(start),
            end: Some(Bytes::from_static(end)),
        };
        walked.add_range(Space::Index, range(b"a", b"b"));
        walked.add_range(Space::Index, range(b"b", b"c"));
        assert_eq!(walked.ranges, [(Space::Index, range(b"a", b"c"))]);
    }
}
