//! Which index entries a filter's matches can have: key bounds for the planner.
//!
//! Promises: for every document that matches a clause and has entries in an index over the path alone, at
//! least one entry lies within the clause's intervals. Bounds may let in more; the filter is then
//! checked again on the document. Deliberately unknown: which indexes exist and what a scan costs.
//!
//! How a planner may use them. On an index that is not multikey, a document has one entry, and so the
//! clauses of a filter may be [intersected](intersect) and the fields of a compound index bounded
//! together. On a multikey index each clause may have matched through another entry: use one clause of
//! one field. On a sparse index use only clauses with [`ClauseBounds::present`].

mod interval;

use bson::{Bson, RawBsonRef};
use nimbus_types::key::encode_value;
use nimbus_types::order::CanonicalType;

use self::interval::merge;
pub use self::interval::{KeyInterval, descending, intersect};
use crate::filter::{Condition, Filter, Pattern, Predicate};
use crate::operand::{defined, is_nan, with_raw};

/// What one clause of a filter says about a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseBounds {
    /// Where entries of matching documents lie, for an ascending field: sorted, disjoint. None at all
    /// when nothing can match.
    pub intervals: Vec<KeyInterval>,
    /// Every interval is a single value, whose bytes are its start.
    pub point: bool,
    /// Every document with an entry within matches the clause.
    pub exact: bool,
    /// Only documents that have the field match.
    pub present: bool,
}

/// The bounds that each top-level clause of the filter sets to the field at `path`; clauses that set none
/// are left out.
pub fn clause_bounds(filter: &Filter, path: &str) -> Vec<ClauseBounds> {
    clauses(filter, path, Strings::ByBytes)
}

/// How the filter compares strings, and so whether keys, which hold their bytes, bound them.
#[derive(Clone, Copy, PartialEq)]
enum Strings {
    ByBytes,
    ByCollation,
}

fn clauses(filter: &Filter, path: &str, strings: Strings) -> Vec<ClauseBounds> {
    match filter {
        Filter::And(filters) => filters.iter().flat_map(|filter| clauses(filter, path, strings)).collect(),
        // Several clauses in one: none of them says all about it.
        Filter::Collated(_, filter) => inexact(clauses(filter, path, Strings::ByCollation)),
        Filter::Field { path: of, predicate: Predicate::ElementMatches(filter) } => match below(of, path) {
            Some(rest) => inexact(clauses(filter, rest, strings)),
            None => Vec::new(),
        },
        clause => one_clause(clause, path, strings).into_iter().collect(),
    }
}

fn one_clause(filter: &Filter, path: &str, strings: Strings) -> Option<ClauseBounds> {
    match filter {
        Filter::Field { path: of, predicate } if of == path => {
            let mut bounds = predicate_bounds(predicate, strings)?;
            // A position that holds an array is matched whole but indexed by its elements.
            bounds.exact &= !path.split('.').any(is_position);
            Some(bounds)
        }
        Filter::Or(filters) => {
            let each = filters.iter().map(|filter| one_clause(filter, path, strings));
            each.collect::<Option<Vec<_>>>().map(union)
        }
        // Inside an alternative, any one of the conjuncts bounds it; single values do so best.
        Filter::And(_)
        | Filter::Collated(..)
        | Filter::Field { predicate: Predicate::ElementMatches(_), .. } => {
            let best = clauses(filter, path, strings).into_iter().min_by_key(|bounds| !bounds.point)?;
            Some(ClauseBounds { exact: false, ..best })
        }
        Filter::All
        | Filter::Not(_)
        | Filter::Field { .. }
        | Filter::Evaluated(_)
        | Filter::Schema(_)
        | Filter::Sample(_) => None,
    }
}

/// What of `path` is left for the elements of an array at `of`. Positions are left alone, for an element
/// that is an array has fields named by them, which an index does not look for.
fn below<'p>(of: &str, path: &'p str) -> Option<&'p str> {
    let rest = path.strip_prefix(of)?.strip_prefix('.')?;
    (!path.split('.').any(is_position)).then_some(rest)
}

fn is_position(segment: &str) -> bool {
    segment.starts_with(|c: char| c.is_ascii_digit())
}

fn inexact(bounds: Vec<ClauseBounds>) -> Vec<ClauseBounds> {
    bounds.into_iter().map(|bounds| ClauseBounds { exact: false, ..bounds }).collect()
}

fn predicate_bounds(predicate: &Predicate, strings: Strings) -> Option<ClauseBounds> {
    if strings == Strings::ByCollation && compares_strings(predicate) {
        return None;
    }
    match predicate {
        Predicate::Eq(operand) => Some(equal_to(operand)),
        Predicate::In(operands) => Some(union(operands.iter().map(equal_to).collect())),
        Predicate::Gt(operand) => in_range(operand, Side::Above, false),
        Predicate::Gte(operand) => in_range(operand, Side::Above, true),
        Predicate::Lt(operand) => in_range(operand, Side::Below, false),
        Predicate::Lte(operand) => in_range(operand, Side::Below, true),
        Predicate::Prefix(prefix) => Some(range(strings_with_prefix(prefix))),
        Predicate::Contains(Bson::String(_)) => {
            Some(ClauseBounds { exact: false, ..range(of_kind(CanonicalType::String)) })
        }
        // An index holds the elements of an array, and the operand is to be one of them.
        Predicate::Contains(operand) => {
            Some(ClauseBounds { exact: false, present: true, ..points(operand, encoded_equals) })
        }
        Predicate::Regex(pattern) => Some(matched_by(pattern)),
        Predicate::ElementIs(condition) => element_bounds(condition, strings),
        Predicate::Ne(_)
        | Predicate::NotIn(_)
        | Predicate::Exists(_)
        | Predicate::Type(_)
        | Predicate::Modulo(_)
        | Predicate::Size(_)
        | Predicate::Bits(_)
        | Predicate::ElementMatches(_) => None,
    }
}

/// Whether an operand is a string, or may hold one within.
fn compares_strings(predicate: &Predicate) -> bool {
    let may_hold = |operand: &Bson| {
        matches!(operand, Bson::String(_) | Bson::Symbol(_) | Bson::Document(_) | Bson::Array(_))
    };
    match predicate {
        Predicate::Eq(operand)
        | Predicate::Gt(operand)
        | Predicate::Gte(operand)
        | Predicate::Lt(operand)
        | Predicate::Lte(operand)
        | Predicate::Contains(operand) => may_hold(operand),
        Predicate::In(operands) => operands.iter().any(may_hold),
        _ => false,
    }
}

/// Bounds of what one element of an array must be: its entry lies within those of all conditions.
fn element_bounds(condition: &Condition, strings: Strings) -> Option<ClauseBounds> {
    let bounds = match condition {
        Condition::Is(predicate) => predicate_bounds(predicate, strings)?,
        Condition::All(conditions) => {
            let each = conditions.iter().filter_map(|condition| element_bounds(condition, strings));
            each.reduce(|a, b| ClauseBounds {
                intervals: intersect(&a.intervals, &b.intervals),
                point: a.point || b.point,
                ..a
            })?
        }
        Condition::Any(conditions) => {
            let each = conditions.iter().map(|condition| element_bounds(condition, strings));
            union(each.collect::<Option<Vec<_>>>()?)
        }
        Condition::Not(_) => return None,
    };
    Some(ClauseBounds { exact: false, present: true, ..bounds })
}

/// Bounds of a regular expression: strings, those with its prefix if it has one, and the expression itself.
fn matched_by(pattern: &Pattern) -> ClauseBounds {
    let (prefix, exact) = pattern.prefix();
    let itself = Bson::RegularExpression(pattern.regex().clone());
    let strings = ClauseBounds { exact, ..range(strings_with_prefix(&prefix)) };
    union(vec![strings, points(&itself, |itself| vec![encoded(itself)])])
}

/// Bounds of equality. An array equals by its elements' entries too: the whole is an entry only inside
/// another array, so the first element's entry, or the one of an empty array, stands for it.
fn equal_to(operand: &Bson) -> ClauseBounds {
    points(operand, |operand| {
        let mut keys = encoded_equals(operand);
        if let RawBsonRef::Array(elements) = operand {
            let first = elements.into_iter().map_while(Result::ok).next();
            keys.push(encoded(first.unwrap_or(RawBsonRef::Undefined)));
        }
        keys
    })
}

/// Bounds made of single keys. Missing fields and empty arrays share the entries of null and undefined.
fn points(operand: &Bson, keys: impl FnOnce(RawBsonRef<'_>) -> Vec<Vec<u8>>) -> ClauseBounds {
    // No document can hold what BSON cannot.
    let mut keys = with_raw(operand, keys).unwrap_or_default();
    keys.sort_unstable();
    keys.dedup();
    let null = matches!(operand, Bson::Null | Bson::Undefined);
    ClauseBounds {
        intervals: keys.into_iter().map(KeyInterval::prefix).collect(),
        point: true,
        exact: !null && !matches!(operand, Bson::Array(_)),
        present: !null,
    }
}

/// The keys of the values that are equal to the operand.
fn encoded_equals(operand: RawBsonRef<'_>) -> Vec<Vec<u8>> {
    match defined(operand) {
        RawBsonRef::Null => vec![encoded(RawBsonRef::Undefined), encoded(RawBsonRef::Null)],
        operand => vec![encoded(operand)],
    }
}

/// On which side of its operand a range lies.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Above,
    Below,
}

/// Bounds of a range predicate: the operand's side of its kind.
fn in_range(operand: &Bson, side: Side, inclusive: bool) -> Option<ClauseBounds> {
    match (operand, side) {
        // Whole arrays match here, and an index holds their elements.
        (Bson::Array(_), _) | (Bson::MinKey, Side::Above) | (Bson::MaxKey, Side::Below) => return None,
        _ => {}
    }
    let interval = with_raw(operand, |operand| {
        let operand = defined(operand);
        // Nothing that compares with these lies beyond them on this side.
        let alone =
            is_nan(operand) || matches!(operand, RawBsonRef::Null | RawBsonRef::MinKey | RawBsonRef::MaxKey);
        (!alone).then(|| part_of_kind(operand, side, inclusive))
    });
    match interval {
        Some(Some(interval)) => Some(range(interval)),
        Some(None) if inclusive => Some(equal_to(operand)),
        Some(None) | None => Some(union(Vec::new())),
    }
}

fn part_of_kind(operand: RawBsonRef<'_>, side: Side, inclusive: bool) -> KeyInterval {
    let kind = of_kind(CanonicalType::of(operand));
    let KeyInterval { start, end } = KeyInterval::prefix(encoded(operand));
    match (side, inclusive) {
        (Side::Above, true) => KeyInterval { start, ..kind },
        (Side::Above, false) => KeyInterval { start: end.unwrap_or(start), ..kind },
        (Side::Below, true) => KeyInterval { end, ..kind },
        (Side::Below, false) => KeyInterval { end: Some(start), ..kind },
    }
}

/// All values of one kind; NaN is left out of the numbers, for it compares with none of them.
fn of_kind(kind: CanonicalType) -> KeyInterval {
    if kind != CanonicalType::Number {
        return KeyInterval::prefix(vec![kind as u8]);
    }
    let infinity = KeyInterval::prefix(encoded(RawBsonRef::Double(f64::INFINITY)));
    KeyInterval { start: encoded(RawBsonRef::Double(f64::NEG_INFINITY)), end: infinity.end }
}

/// From the prefix itself to the first string that is greater than all that begin with it.
fn strings_with_prefix(prefix: &str) -> KeyInterval {
    let start = encoded(RawBsonRef::String(prefix));
    let mut next = prefix.to_owned();
    while let Some(last) = next.pop() {
        if let Some(greater) = (last..=char::MAX).nth(1) {
            next.push(greater);
            return KeyInterval { start, end: Some(encoded(RawBsonRef::String(&next))) };
        }
    }
    KeyInterval { start, ..of_kind(CanonicalType::String) }
}

fn encoded(value: RawBsonRef<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_value(&mut bytes, value);
    bytes
}

/// Bounds of one interval that only values of its kind can match.
fn range(interval: KeyInterval) -> ClauseBounds {
    let intervals = if interval.is_empty() { Vec::new() } else { vec![interval] };
    ClauseBounds { intervals, point: false, exact: true, present: true }
}

/// Bounds of "any of these"; of none of them, nothing.
fn union(alternatives: Vec<ClauseBounds>) -> ClauseBounds {
    let mut all = ClauseBounds { intervals: Vec::new(), point: true, exact: true, present: true };
    for bounds in alternatives {
        all.intervals.extend(bounds.intervals);
        all.point &= bounds.point;
        all.exact &= bounds.exact;
        all.present &= bounds.present;
    }
    all.intervals = merge(all.intervals);
    all
}
