//! Ranges of key bytes, and the arithmetic of sets of them.
//!
//! Promises: sets that go in sorted and disjoint come out so. Deliberately unknown: filters, and how
//! values are encoded, but for this: no value's bytes are a prefix of another's, and a descending
//! field's bytes are the complement of the ascending one's.

/// A range of encoded values: those that begin at `start` or after, and before `end`.
///
/// An entry lies within when the bytes of its field, with anything after them, do: no value's bytes are
/// a prefix of another's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyInterval {
    /// The first bytes that lie within.
    pub start: Vec<u8>,
    /// The first bytes that lie after it; `None` when nothing does.
    pub end: Option<Vec<u8>>,
}

impl KeyInterval {
    /// Exactly the keys that begin with `prefix`; a single value when `prefix` encodes one.
    pub fn prefix(prefix: Vec<u8>) -> Self {
        let end = successor(&prefix);
        Self { start: prefix, end }
    }

    /// Whether the key lies within.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && self.end.as_deref().is_none_or(|end| key < end)
    }

    /// The same interval among the keys that begin with `prefix`.
    #[must_use]
    pub fn under(&self, prefix: &[u8]) -> Self {
        let end = match &self.end {
            Some(end) => Some([prefix, end].concat()),
            None => successor(prefix),
        };
        Self { start: [prefix, &self.start].concat(), end }
    }

    /// Whether nothing lies within.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

/// The parts that lie in both; both must be sorted and disjoint, and so is the result.
pub fn intersect(left: &[KeyInterval], right: &[KeyInterval]) -> Vec<KeyInterval> {
    let mut both = Vec::new();
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let a_ends_first = ends_before(a, b);
        let end = if a_ends_first { &a.end } else { &b.end };
        let overlap = KeyInterval { start: a.start.clone().max(b.start.clone()), end: end.clone() };
        if !overlap.is_empty() {
            both.push(overlap);
        }
        if a_ends_first {
            left.next()
        } else {
            right.next()
        };
    }
    both
}

/// The same intervals for a descending field, whose bytes are the complement; sorted again.
pub fn descending(intervals: &[KeyInterval]) -> Vec<KeyInterval> {
    let complement = |bytes: &[u8]| bytes.iter().map(|byte| !byte).collect::<Vec<u8>>();
    let turn = |interval: &KeyInterval| {
        // What begins with a bound's bytes is on the other side of the bound once the order is turned.
        let start = match &interval.end {
            Some(end) => successor(&complement(end))?,
            None => Vec::new(),
        };
        Some(KeyInterval { start, end: successor(&complement(&interval.start)) })
    };
    intervals.iter().rev().filter_map(turn).collect()
}

/// The first bytes after everything that begins with `prefix`; `None` when nothing comes after.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

/// Sorts the intervals and joins those that overlap. Intervals that only touch stay apart, so that single
/// values stay single.
pub(super) fn merge(mut intervals: Vec<KeyInterval>) -> Vec<KeyInterval> {
    intervals.sort_unstable();
    intervals.dedup_by(|next, last| {
        let overlaps = last.end.as_ref().is_none_or(|end| next.start < *end);
        if overlaps && ends_before(last, next) {
            last.end = next.end.take();
        }
        overlaps
    });
    intervals
}

fn ends_before(a: &KeyInterval, b: &KeyInterval) -> bool {
    match (&a.end, &b.end) {
        (Some(a), Some(b)) => a < b,
        (a, _) => a.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(start: u8, end: u8) -> KeyInterval {
        KeyInterval { start: vec![start], end: (end > 0).then(|| vec![end]) }
    }

    #[test]
    fn a_prefix_spans_all_keys_that_begin_with_it() {
        let interval = KeyInterval::prefix(vec![3, 0xFF]);
        assert!(interval.contains(&[3, 0xFF]) && interval.contains(&[3, 0xFF, 0xFF, 9]));
        assert!(!interval.contains(&[3, 0xFE]) && !interval.contains(&[4]));
        assert_eq!(KeyInterval::prefix(vec![0xFF]).end, None);
    }

    #[test]
    fn intervals_under_a_prefix_stay_under_it() {
        assert_eq!(between(3, 5).under(&[1]), KeyInterval { start: vec![1, 3], end: Some(vec![1, 5]) });
        assert_eq!(between(3, 0).under(&[1]), KeyInterval { start: vec![1, 3], end: Some(vec![2]) });
    }

    #[test]
    fn merging_joins_overlaps_and_keeps_neighbours() {
        let merged = merge(vec![between(7, 0), between(1, 4), between(3, 5), between(5, 6), between(8, 9)]);
        assert_eq!(merged, [between(1, 5), between(5, 6), between(7, 0)]);
    }

    #[test]
    fn intersections_keep_what_lies_in_both() {
        let left = [between(1, 4), between(5, 9), between(10, 0)];
        let right = [between(2, 6), between(8, 12)];
        let both = [between(2, 4), between(5, 6), between(8, 9), between(10, 12)];
        assert_eq!(intersect(&left, &right), both);
        assert_eq!(intersect(&right, &left), both);
        assert_eq!(intersect(&left, &[]), []);
    }

    #[test]
    fn descending_intervals_hold_the_complements() {
        let intervals = [between(2, 4), between(6, 0)];
        let turned = descending(&intervals);
        assert!(turned.is_sorted());
        for key in [[1, 7], [2, 0], [3, 9], [4, 0], [5, 5], [6, 0], [9, 9]] {
            let complement = key.map(|byte: u8| !byte);
            let within = |set: &[KeyInterval], key: &[u8]| set.iter().any(|interval| interval.contains(key));
            assert_eq!(within(&intervals, &key), within(&turned, &complement), "{key:?}");
        }
    }
}
