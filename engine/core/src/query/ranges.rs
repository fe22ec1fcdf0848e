//! Which keys a walk covers: bounds of fields, put together to ranges of whole keys.
//!
//! Promises: the ranges are disjoint and ascending, and hold the key of every entry that keeps the bounds.
//! Deliberately unknown: which plan is best.

use nimbus_namespace::KeyRange;
use nimbus_query::Filter;
use nimbus_query::bounds::{ClauseBounds, KeyInterval, clause_bounds, descending, intersect};

/// Most separate ranges one walk may have; past it a field's values are walked as one range.
pub(super) const MAX_RANGES: usize = 1000;

/// One field of what is walked, with what the filter says of it.
pub(super) struct WalkField<'q> {
    pub(super) path: &'q str,
    pub(super) descending: bool,
    pub(super) bounds: Option<FieldBounds>,
}

pub(super) struct FieldBounds {
    intervals: Vec<KeyInterval>,
    pub(super) points: bool,
}

impl FieldBounds {
    /// One interval around all of them, for when they are too many to walk one by one.
    fn hull(&self) -> Self {
        let around = |(first, last): (&KeyInterval, &KeyInterval)| KeyInterval {
            start: first.start.clone(),
            end: last.end.clone(),
        };
        let intervals = self.intervals.first().zip(self.intervals.last()).map(around);
        Self { intervals: intervals.into_iter().collect(), points: false }
    }
}

impl WalkField<'_> {
    pub(super) fn is_single_point(&self) -> bool {
        self.bounds.as_ref().is_some_and(|bounds| bounds.points && bounds.intervals.len() == 1)
    }
}

/// What the filter says of one path. Several clauses are intersected, unless the field may hold an
/// array, whose elements may satisfy one clause each; then the narrowest clause alone counts.
pub(super) fn bounds_of(filter: &Filter, path: &str, multikey: bool) -> Option<FieldBounds> {
    let clauses = clause_bounds(filter, path);
    if multikey {
        return clauses
            .into_iter()
            .min_by_key(|clause| (!clause.point, clause.intervals.len()))
            .map(|ClauseBounds { intervals, point, .. }| FieldBounds { intervals, points: point });
    }
    clauses
        .into_iter()
        .map(|ClauseBounds { intervals, point, .. }| FieldBounds { intervals, points: point })
        .reduce(|a, b| FieldBounds {
            points: a.points || b.points,
            intervals: intersect(&a.intervals, &b.intervals),
        })
}

/// What the bounds leave to walk.
pub(super) struct Selection {
    pub(super) ranges: Vec<KeyRange>,
    /// How many leading fields are bounded.
    pub(super) bounded_fields: usize,
    /// Whether the ranges hold no more than the bounds of those fields.
    pub(super) exact: bool,
    /// What the bounds are worth.
    pub(super) score: u32,
}

/// The ranges that the bounds of the leading fields leave of what begins with `prefix`.
pub(super) fn ranges_of(prefix: &[u8], fields: &[WalkField<'_>]) -> Selection {
    let mut prefixes = vec![prefix.to_vec()];
    let (mut exact, mut score) = (true, 0);
    for (at, field) in fields.iter().enumerate() {
        let Some(bounds) = &field.bounds else {
            let ranges = prefixes.into_iter().map(KeyRange::prefix).collect();
            return Selection { ranges, bounded_fields: at, exact, score };
        };
        let few = prefixes.len() * bounds.intervals.len() <= MAX_RANGES;
        exact &= few;
        let bounds = if few { bounds } else { &bounds.hull() };
        if bounds.points {
            score += if bounds.intervals.len() == 1 { 100 } else { 90 };
            // A point stands for all keys that begin with its encoding.
            let points = encoded_points(&bounds.intervals, field.descending);
            prefixes = product(&prefixes, &points, |prefix, point| [prefix, point].concat());
        } else {
            let turned = field.descending.then(|| descending(&bounds.intervals));
            let intervals = turned.as_ref().unwrap_or(&bounds.intervals);
            let ranges = product(&prefixes, intervals, |prefix, interval| {
                let KeyInterval { start, end } = interval.under(prefix);
                KeyRange { start: start.into(), end: end.map(Into::into) }
            });
            return Selection { ranges, bounded_fields: at + 1, exact, score: score + 40 };
        }
    }
    let ranges = prefixes.into_iter().map(KeyRange::prefix).collect();
    Selection { ranges, bounded_fields: fields.len(), exact, score }
}

/// Single values as they are stored, ascending: a descending field stores the complement.
fn encoded_points(intervals: &[KeyInterval], descending: bool) -> Vec<Vec<u8>> {
    if descending {
        intervals.iter().rev().map(|point| point.start.iter().map(|byte| !byte).collect()).collect()
    } else {
        intervals.iter().map(|point| point.start.clone()).collect()
    }
}

fn product<A, T>(prefixes: &[Vec<u8>], by: &[A], join: impl Fn(&[u8], &A) -> T) -> Vec<T> {
    let join = &join;
    prefixes.iter().flat_map(|prefix| by.iter().map(move |item| join(prefix, item))).collect()
}
