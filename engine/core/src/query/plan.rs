//! The planner: a query and a table's indexes → which key ranges to walk, which way.
//!
//! Promises: every document the filter matches is reached by the chosen walk, and the filter is
//! checked again on each unless the ranges hold nothing else. It scores by rule, without statistics: fields bound to single values
//! before ranges, an order that needs no sorting before one that does.

use nimbus_namespace::{Direction, KeyRange, Space};
use nimbus_query::bounds::{ClauseBounds, KeyInterval, clause_bounds, descending, intersect};
use nimbus_query::{Filter, SortKey};
use nimbus_types::index::IndexDefinition;
use nimbus_types::{IndexId, key};

use super::Query;
use crate::catalog::{Index, IndexState, Table};

/// Most separate ranges one walk may have; past it a field's values are walked as one range.
const MAX_RANGES: usize = 1000;

/// What is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The documents themselves, by `_id`.
    Documents,
    /// An index's entries.
    Index(IndexId),
}

impl Access {
    pub(crate) fn space(self) -> Space {
        match self {
            Self::Documents => Space::Documents,
            Self::Index(_) => Space::Index,
        }
    }
}

/// How to walk.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) access: Access,
    pub(crate) index_name: Option<String>,
    /// Disjoint, ascending.
    pub(crate) ranges: Vec<KeyRange>,
    pub(crate) direction: Direction,
    /// Whether the walk meets documents in the order asked for, each once.
    pub(crate) ordered: bool,
    /// Whether the walk goes by the order asked for, though an array may stand in it by another of
    /// its elements than the order means.
    walkable: bool,
    /// The index that is walked, where a document may have several entries in it.
    pub(crate) multikey: Option<IndexDefinition>,
    pub(crate) bounded_fields: usize,
    /// Whether every document that the walk meets matches the filter.
    pub(crate) covers_filter: bool,
    score: u32,
}

/// The best plan for a query.
pub(crate) fn plan(table: &Table, query: &Query) -> Plan {
    let by_id = plan_documents(table, query);
    table
        .indexes
        .iter()
        .filter_map(|index| plan_index(index, query))
        .filter(|plan| {
            let orders_a_limited_answer = plan.ordered && !query.sort.is_empty() && query.limit.is_some();
            plan.bounded_fields > 0 || orders_a_limited_answer
        })
        .fold(by_id, |best, plan| if plan.score > best.score { plan } else { best })
}

/// The plan that walks what an earlier page walked, if that can still be walked that way. An array that
/// has come into the index meanwhile does not hinder it.
pub(crate) fn plan_again(table: &Table, query: &Query, access: Access) -> Option<Plan> {
    let plan = match access {
        Access::Documents => Some(plan_documents(table, query)),
        Access::Index(id) => {
            let index = table.indexes.iter().find(|index| index.definition.id == id)?;
            plan_index(index, query)
        }
    };
    plan.filter(|plan| plan.walkable)
}

/// One field of what is walked, with what the filter says of it.
struct WalkField<'q> {
    path: &'q str,
    descending: bool,
    bounds: Option<FieldBounds>,
}

struct FieldBounds {
    intervals: Vec<KeyInterval>,
    points: bool,
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
    fn is_single_point(&self) -> bool {
        self.bounds.as_ref().is_some_and(|bounds| bounds.points && bounds.intervals.len() == 1)
    }
}

fn plan_documents(table: &Table, query: &Query) -> Plan {
    let fields =
        [WalkField { path: "_id", descending: false, bounds: bounds_of(&query.filter, "_id", false) }];
    let by_points = fields[0].bounds.as_ref().is_some_and(|bounds| bounds.points);
    let mut plan = assemble(Access::Documents, &key::table_prefix(table.id), &fields, query, false);
    if by_points {
        plan.score += 1000;
    }
    plan
}

fn plan_index(index: &Index, query: &Query) -> Option<Plan> {
    if index.state != IndexState::Ready {
        return None;
    }
    let definition = &index.definition;
    let excludes_missing =
        |path: &str| clause_bounds(&query.filter, path).iter().any(|clause| clause.present);
    if definition.sparse && !definition.fields.iter().any(|field| excludes_missing(&field.path)) {
        return None;
    }
    let mut fields: Vec<WalkField<'_>> = definition
        .fields
        .iter()
        .enumerate()
        .map(|(at, field)| WalkField {
            path: &field.path,
            descending: field.descending,
            // Several fields of a multikey index may be satisfied by several elements of one array,
            // of which there is no common entry; so only the first field is bounded.
            bounds: if index.multikey && at > 0 {
                None
            } else {
                bounds_of(&query.filter, &field.path, index.multikey)
            },
        })
        .collect();
    let every_field_a_point =
        fields.iter().all(|field| field.bounds.as_ref().is_some_and(|bounds| bounds.points));
    // Every entry ends with the document's `_id`, which therefore orders what the fields leave tied.
    fields.push(WalkField { path: "_id", descending: false, bounds: None });
    let prefix = key::index_prefix(definition.id);
    let mut plan = assemble(Access::Index(definition.id), &prefix, &fields, query, index.multikey);
    plan.index_name = Some(definition.name.clone());
    plan.multikey = index.multikey.then(|| definition.clone());
    if definition.unique && every_field_a_point {
        plan.score += 500;
    }
    Some(plan)
}

/// What the filter says of one path. Several clauses are intersected, unless the field may hold an
/// array, whose elements may satisfy one clause each; then the narrowest clause alone counts.
fn bounds_of(filter: &Filter, path: &str, multikey: bool) -> Option<FieldBounds> {
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

fn assemble(access: Access, prefix: &[u8], fields: &[WalkField<'_>], query: &Query, multikey: bool) -> Plan {
    let Selection { ranges, bounded_fields, exact, mut score } = ranges_of(prefix, fields);
    let direction = order_of(fields, &query.sort);
    let walkable = direction.is_some();
    let ordered = walkable && (query.sort.is_empty() || !multikey);
    // The one entry of a document tells all there is to a field only where no array is taken apart.
    let covers_filter = exact && !multikey && covers(&fields[..bounded_fields], &query.filter);
    if ordered && !query.sort.is_empty() {
        score += 30;
    }
    Plan {
        access,
        index_name: None,
        ranges,
        direction: direction.unwrap_or(Direction::Forward),
        ordered,
        walkable,
        multikey: None,
        bounded_fields,
        covers_filter,
        score,
    }
}

/// Whether every document whose entry lies within the bounds of these fields matches the filter: each of
/// its clauses must be one that the bounds of its field say all about.
fn covers(bounded: &[WalkField<'_>], filter: &Filter) -> bool {
    match filter {
        Filter::All => true,
        Filter::And(filters) => filters.iter().all(|filter| covers(bounded, filter)),
        clause => {
            let is_exact = |path: &str| clause_bounds(clause, path).iter().any(|bounds| bounds.exact);
            bounded.iter().any(|field| is_exact(field.path))
        }
    }
}

/// What the bounds leave to walk.
struct Selection {
    ranges: Vec<KeyRange>,
    /// How many leading fields are bounded.
    bounded_fields: usize,
    /// Whether the ranges hold no more than the bounds of those fields.
    exact: bool,
    /// What the bounds are worth.
    score: u32,
}

fn ranges_of(prefix: &[u8], fields: &[WalkField<'_>]) -> Selection {
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

/// The direction in which a walk over `fields` meets the order of `sort`, if it does.
fn order_of(fields: &[WalkField<'_>], sort: &[SortKey]) -> Option<Direction> {
    let mut direction = None;
    let mut rest = fields.iter();
    for wanted in sort {
        if fields.iter().any(|field| field.path == wanted.path && field.is_single_point()) {
            continue;
        }
        let field = rest.by_ref().find(|field| field.path == wanted.path || !field.is_single_point())?;
        if field.path != wanted.path {
            return None;
        }
        let needed =
            if field.descending == wanted.descending { Direction::Forward } else { Direction::Backward };
        if *direction.get_or_insert(needed) != needed {
            return None;
        }
    }
    Some(direction.unwrap_or(Direction::Forward))
}

#[cfg(test)]
mod tests {
    use bson::{Bson, bson};
    use nimbus_query::Predicate;
    use nimbus_types::index::IndexField;
    use nimbus_types::{TableId, TableName};

    use super::*;
    use crate::catalog::TableEntry;

    fn covers_filter(filter: Filter, multikey: bool) -> bool {
        let name = TableName::parse("t").unwrap();
        let mut table = Table::new(TableId(1), TableEntry::new(&name));
        let fields = ["a", "b"].map(|path| IndexField { path: path.into(), descending: path == "b" });
        let definition = IndexDefinition {
            id: IndexId(1),
            name: "a_b".into(),
            fields: fields.into(),
            unique: false,
            sparse: false,
        };
        table.indexes.push(Index { definition, state: IndexState::Ready, multikey });
        plan(&table, &Query { filter, ..Query::all(name) }).covers_filter
    }

    fn clause(path: &str, predicate: Predicate) -> Filter {
        Filter::Field { path: path.into(), predicate }
    }

    #[test]
    fn a_walk_covers_a_filter_only_if_its_ranges_say_all_about_every_clause() {
        let one = || Bson::Int32(1);
        let a = || clause("a", Predicate::Eq(one()));
        let covered = [
            Filter::All,
            a(),
            Filter::And(vec![a(), clause("b", Predicate::Lt(one()))]),
            Filter::And(vec![a(), clause("a", Predicate::Gte(one())), Filter::And(vec![])]),
            Filter::Or(vec![a(), clause("a", Predicate::Eq(Bson::Int32(7)))]),
            clause("_id", Predicate::In(vec![one(), Bson::from("x")])),
        ];
        for filter in covered {
            assert!(covers_filter(filter.clone(), false), "{filter:?}");
            let only_by_id = matches!(&filter, Filter::All) || format!("{filter:?}").contains("_id");
            assert_eq!(covers_filter(filter.clone(), true), only_by_id, "multikey: {filter:?}");
        }
        let many = (0..=i32::try_from(MAX_RANGES).unwrap()).map(|n| Bson::Int32(n * 2)).collect();
        let not_covered = [
            clause("a", Predicate::Eq(Bson::Null)),
            clause("a", Predicate::Eq(bson!([1]))),
            clause("a", Predicate::In(many)),
            clause("b", Predicate::Eq(one())),
            Filter::And(vec![a(), clause("c", Predicate::Eq(one()))]),
            Filter::And(vec![a(), clause("a", Predicate::Ne(Bson::Int32(2)))]),
            Filter::And(vec![a(), Filter::Not(Box::new(clause("b", Predicate::Eq(one()))))]),
            Filter::And(vec![clause("a", Predicate::Gt(one())), clause("b", Predicate::Eq(one()))]),
            Filter::Or(vec![a(), Filter::And(vec![a(), clause("b", Predicate::Eq(one()))])]),
        ];
        for filter in not_covered {
            assert!(!covers_filter(filter.clone(), false), "{filter:?}");
        }
    }
}
