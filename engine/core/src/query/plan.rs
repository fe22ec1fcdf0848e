//! The planner: a query and a table's indexes → which key ranges to walk, which way.
//!
//! Promises: every document the filter matches is reached by the chosen walk, and the filter is
//! checked again on each unless the ranges hold nothing else. It scores by rule, without statistics: fields bound to single values
//! before ranges, an order that needs no sorting before one that does.

use bytes::Bytes;
use nimbus_namespace::{Direction, KeyRange, Space};
use nimbus_query::bounds::clause_bounds;
use nimbus_query::{Filter, Predicate, QueryError, SortKey};
use nimbus_types::index::IndexDefinition;
use nimbus_types::{IndexId, key};

use super::implication::implies;
use super::ranges::{Selection, WalkField, bounds_of, ranges_of};
use super::{Hint, Query, key_of};
use crate::catalog::{Index, IndexState, Table};
use crate::error::{EngineError, Result};

/// MongoDB's `QueryPlanKilled`.
const QUERY_PLAN_KILLED: i32 = 175;
/// MongoDB's `NoQueryExecutionPlans`.
const NO_QUERY_EXECUTION_PLANS: i32 = 291;

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
    /// What the documents of walks before this one match.
    pub(crate) earlier: Vec<Filter>,
    score: u32,
}

/// The best plan for a query, or the one its hint asks for.
pub(crate) fn plan(table: &Table, query: &Query) -> Result<Plan> {
    if let Some(hint) = &query.hint {
        return hinted(table, query, hint);
    }
    let by_id = plan_documents(table, query);
    let by_index = table.indexes.iter().filter_map(|index| plan_index(index, query));
    // An order by the walk spares sorting, which would read all and hold it in memory.
    let useful = by_index.filter(|plan| plan.bounded_fields > 0 || plan.ordered && !query.sort.is_empty());
    Ok(useful.fold(by_id, |best, plan| if plan.score > best.score { plan } else { best }))
}

fn hinted(table: &Table, query: &Query, hint: &Hint) -> Result<Plan> {
    if hint.is_of_id() {
        return Ok(plan_documents(table, query));
    }
    let index = match hint {
        Hint::Natural { backward } => {
            let mut plan = plan_documents(table, query);
            if *backward && query.sort.is_empty() {
                plan.direction = Direction::Backward;
            }
            return Ok(plan);
        }
        Hint::Index(name) => table.indexes.iter().find(|index| index.definition.name == *name),
        Hint::Keys(fields) => table.indexes.iter().find(|index| index.definition.fields == *fields),
    };
    let index = index
        .filter(|index| index.state == IndexState::Ready && !index.hidden)
        .ok_or_else(|| QueryError::bad_value("hint provided does not correspond to an existing index"))?;
    if !index.serves_queries() {
        // It is there to keep its strings unique, and no walk along it would be of use.
        return plan(table, &Query { hint: None, ..query.clone() });
    }
    let unfit = || QueryError::new(NO_QUERY_EXECUTION_PLANS, "the index of the hint cannot answer the query");
    Ok(plan_index(index, query).ok_or_else(unfit)?)
}

/// A walk along some index that meets every document of the table once, if there is such an index.
pub(crate) fn plan_of_all(table: &Table, query: &Query) -> Option<Plan> {
    let mut complete = table.indexes.iter().filter(|index| !index.multikey && !index.definition.sparse);
    complete.find_map(|index| plan_index(index, query))
}

/// The key of the one document that can match, where the filter asks for an `_id`.
pub(crate) fn point_key(table: &Table, query: &Query) -> Option<Bytes> {
    if query.hint.as_ref().is_some_and(|hint| !hint.is_of_id()) {
        return None;
    }
    let is_of_id = |filter: &Filter| match filter {
        Filter::Field { path, predicate: Predicate::Eq(id) } if path == "_id" => key_of(table, id).ok(),
        _ => None,
    };
    match &query.filter {
        Filter::And(filters) => filters.iter().find_map(is_of_id),
        filter => is_of_id(filter),
    }
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

/// Why a walk under way cannot go on.
pub(crate) fn killed(why: &str) -> EngineError {
    QueryError::new(QUERY_PLAN_KILLED, why).into()
}

impl Plan {
    /// Makes sure that the plan can go on in the table as it is now. An array that has come into its index
    /// meanwhile makes documents come by several entries.
    pub(crate) fn renew(&mut self, table: &Table) -> Result<()> {
        let Access::Index(id) = self.access else { return Ok(()) };
        let index = table.indexes.iter().find(|index| index.definition.id == id);
        let index = index.filter(|index| index.state == IndexState::Ready).ok_or_else(|| {
            killed(&format!("index {:?} has been dropped", self.index_name.as_deref().unwrap_or_default()))
        })?;
        if index.multikey && self.multikey.is_none() {
            self.multikey = Some(index.definition.clone());
            self.covers_filter = false;
        }
        Ok(())
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
    let is_complete = index.filter.as_ref().is_none_or(|filter| implies(&query.filter, filter));
    if !index.serves_queries() || !is_complete {
        return None;
    }
    let definition = &index.definition;
    let excludes_missing =
        |path: &str| clause_bounds(&query.filter, path).iter().any(|clause| clause.present);
    // With a hint, what a sparse index leaves out is left out of the answer.
    let may_be_sparse = query.hint.is_some();
    if definition.sparse
        && !may_be_sparse
        && !definition.fields.iter().any(|field| excludes_missing(&field.path))
    {
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

fn assemble(access: Access, prefix: &[u8], fields: &[WalkField<'_>], query: &Query, multikey: bool) -> Plan {
    let Selection { ranges, bounded_fields, exact, mut score } = ranges_of(prefix, fields);
    let direction = order_of(fields, &query.sort);
    // Keys order strings by their bytes.
    let walkable = direction.is_some() && (query.sort.is_empty() || query.collation.is_none());
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
        earlier: Vec::new(),
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

    use super::super::ranges::MAX_RANGES;
    use super::*;
    use crate::catalog::{IndexEntry, IndexSchema, IndexState, TableEntry};

    fn covers_filter(filter: Filter, multikey: bool) -> bool {
        let name = TableName::parse("t").unwrap();
        let mut table = Table::new(TableId(1), TableEntry::new(&name)).unwrap();
        let fields = ["a", "b"].map(|path| IndexField { path: path.into(), descending: path == "b" });
        let schema = IndexSchema { name: "a_b".into(), fields: fields.into(), ..IndexSchema::default() };
        let mut entry = IndexEntry::new(IndexId(1), &schema);
        (entry.state, entry.multikey) = (IndexState::Ready, multikey);
        table.indexes.push(Index::open(&entry).unwrap());
        plan(&table, &Query { filter, ..Query::all(name) }).unwrap().covers_filter
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
