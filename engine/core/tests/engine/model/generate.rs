//! What the model test does: steps over few ids and few values, so that they collide.
//!
//! Strategies are boxed, since all of them nested in one value would overflow the stack of a test.

use std::ops::Range;

use bson::{Bson, Document, doc};
use nimbus_engine::{FieldSchema, FieldType, IndexSchema};
use nimbus_query::{Filter, Predicate, SortKey};
use nimbus_types::index::IndexField;
use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any};
use proptest::{prop_oneof, sample};

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A list of writes as one transaction.
    Transact(Vec<Write>),
    /// A transaction in steps, in which refused writes are passed over.
    Transaction {
        parts: Vec<Part>,
        commit: bool,
    },
    SetSchema {
        table: usize,
        fields: Vec<FieldSchema>,
        indexes: Vec<IndexSchema>,
    },
    RemoveSchema {
        table: usize,
    },
    Ask(Vec<Question>),
    Verify,
    /// Close the engine and go on with a new one.
    Reopen,
    /// Leave the tenant alone until it has been closed.
    Idle,
}

#[derive(Debug, Clone)]
pub(super) enum Part {
    Write(Write),
    Ask(Question),
}

#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) table: usize,
    pub(super) id: Bson,
    pub(super) kind: WriteKind,
    pub(super) if_version: Version,
}

#[derive(Debug, Clone)]
pub(super) enum WriteKind {
    Insert { fields: Document },
    Replace { fields: Document },
    Patch { set: Document, unset: Vec<String> },
    Delete,
}

/// The version a write asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Version {
    Any,
    Right,
    Wrong,
}

#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) table: usize,
    pub(super) filter: Filter,
    pub(super) sort: Vec<SortKey>,
    pub(super) skip: usize,
    pub(super) limit: Option<usize>,
    /// Ask page by page of this size.
    pub(super) page_size: Option<usize>,
}

pub(super) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => vec(write(), 1..4).prop_map(Step::Transact),
        5 => (vec(part(), 1..8), sample::select(vec![true, true, true, false]))
            .prop_map(|(parts, commit)| Step::Transaction { parts, commit }),
        5 => schema(),
        1 => table().prop_map(|table| Step::RemoveSchema { table }),
        12 => vec(question(), 1..12).prop_map(Step::Ask),
        2 => Just(Step::Verify),
        1 => Just(Step::Reopen),
    ];
    // Documents and indexes to begin with, so that there is something to ask; one pause a case at most,
    // since it is waited for.
    let inserts = vec((id(), fields()), 0..12).prop_map(|inserts| {
        let write = |(id, fields)| {
            Part::Write(Write { table: 0, id, kind: WriteKind::Insert { fields }, if_version: Version::Any })
        };
        Step::Transaction { parts: inserts.into_iter().map(write).collect(), commit: true }
    });
    (inserts, schema(), vec(step, 1..most), weighted(0.1)).prop_map(|(inserts, schema, mut steps, idle)| {
        steps.splice(0..0, [inserts, schema]);
        if idle {
            steps.insert(steps.len() / 2, Step::Idle);
        }
        steps
    })
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![3 => write().prop_map(Part::Write), 1 => question().prop_map(Part::Ask)]
}

fn table() -> impl Strategy<Value = usize> {
    prop_oneof![11 => Just(0_usize), 1 => Just(1_usize)]
}

fn write() -> BoxedStrategy<Write> {
    let unset = sample::subsequence(vec!["a", "b", "c"], 0..2)
        .prop_map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>());
    let kind = prop_oneof![
        6 => fields().prop_map(|fields| WriteKind::Insert { fields }),
        2 => fields().prop_map(|fields| WriteKind::Replace { fields }),
        2 => (fields(), unset).prop_map(|(set, unset)| {
            let set = set.into_iter().filter(|(name, _)| !unset.contains(name)).collect();
            WriteKind::Patch { set, unset }
        }),
        2 => Just(WriteKind::Delete),
    ];
    let if_version =
        prop_oneof![6 => Just(Version::Any), 2 => Just(Version::Right), 1 => Just(Version::Wrong)];
    (table(), id(), kind, if_version)
        .prop_map(|(table, id, kind, if_version)| Write { table, id, kind, if_version })
        .boxed()
}

/// Ids of which some are equal though of different types.
fn id() -> impl Strategy<Value = Bson> {
    prop_oneof![
        6 => (0..8).prop_map(Bson::Int32),
        2 => (0..8_i32).prop_map(|n| Bson::Double(n.into())),
        1 => sample::select(vec![Bson::Null, "x".into(), "y".into(), Bson::Document(doc! { "k": 1 })]),
    ]
}

/// A document of the fields that are there.
fn some_of(fields: Vec<(&'static str, Option<Bson>)>) -> Document {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn fields() -> impl Strategy<Value = Document> {
    (option::weighted(0.9, value()), option::weighted(0.7, value()), option::weighted(0.3, value()))
        .prop_map(|(a, b, c)| some_of(vec![("a", a), ("b", b), ("c", c)]))
}

fn scalar() -> BoxedStrategy<Bson> {
    prop_oneof![
        16 => (0..3).prop_map(Bson::Int32),
        4 => (0..3_i32).prop_map(|n| Bson::Double(n.into())),
        1 => (0..3_i64).prop_map(Bson::Int64),
        1 => Just(Bson::Double(1.5)),
        1 => Just(Bson::Double(f64::NAN)),
        2 => Just(Bson::Null),
        1 => any::<bool>().prop_map(Bson::Boolean),
        2 => sample::select(vec!["", "a", "ab", "b"]).prop_map(Bson::from),
    ]
    .boxed()
}

fn nested() -> BoxedStrategy<Document> {
    (option::weighted(0.8, scalar()), option::weighted(0.6, scalar()), option::weighted(0.1, scalar()))
        .prop_map(|(x, y, zero)| some_of(vec![("x", x), ("y", y), ("0", zero)]))
        .boxed()
}

fn value() -> BoxedStrategy<Bson> {
    let element = prop_oneof![3 => scalar(), 2 => nested().prop_map(Bson::Document), 1 => vec(scalar(), 0..3).prop_map(Bson::Array)];
    prop_oneof![
        5 => scalar(),
        2 => nested().prop_map(Bson::Document),
        3 => vec(nested().prop_map(Bson::Document), 0..4).prop_map(Bson::Array),
        2 => vec(element, 0..4).prop_map(Bson::Array),
    ]
    .boxed()
}

fn path() -> impl Strategy<Value = String> {
    let path = prop_oneof![
        5 => Just("a"),
        5 => Just("a.x"),
        4 => Just("a.y"),
        2 => Just("b"),
        2 => sample::select(vec!["c", "b.x", "a.0", "a.0.x", "b.1", "_id"]),
    ];
    path.prop_map(str::to_owned)
}

/// Fields with distinct paths, each ascending or descending.
fn order(count: Range<usize>) -> impl Strategy<Value = Vec<IndexField>> {
    vec((path(), any::<bool>()), count).prop_map(|fields| {
        let mut order: Vec<IndexField> = Vec::new();
        for (path, descending) in fields {
            if order.iter().all(|field| field.path != path) {
                order.push(IndexField { path, descending });
            }
        }
        order
    })
}

fn schema() -> impl Strategy<Value = Step> {
    let field = (
        sample::select(vec!["a", "b"]),
        sample::select(vec![FieldType::Number, FieldType::Array, FieldType::Any]),
        any::<bool>(),
    )
        .prop_map(|(name, field_type, required)| FieldSchema { name: name.into(), field_type, required });
    let fields = option::weighted(0.1, field).prop_map(|field| field.into_iter().collect());
    let index = (order(1..4), weighted(0.15), any::<bool>()).prop_map(|(fields, unique, sparse)| {
        IndexSchema { fields, unique, sparse, ..IndexSchema::default() }
    });
    let indexes = vec(index, 1..6).prop_map(|mut indexes| {
        for (number, index) in indexes.iter_mut().enumerate() {
            index.name = format!("index{number}");
        }
        indexes
    });
    (table(), fields, indexes).prop_map(|(table, fields, indexes)| Step::SetSchema { table, fields, indexes })
}

fn operand() -> BoxedStrategy<Bson> {
    prop_oneof![3 => (0..3).prop_map(Bson::Int32), 3 => scalar(), 1 => value()].boxed()
}

fn filter() -> BoxedStrategy<Filter> {
    let predicate = prop_oneof![
        4 => operand().prop_map(Predicate::Eq),
        1 => value().prop_map(Predicate::Ne),
        2 => operand().prop_map(Predicate::Gt),
        2 => operand().prop_map(Predicate::Gte),
        2 => operand().prop_map(Predicate::Lt),
        2 => operand().prop_map(Predicate::Lte),
        2 => vec(operand(), 0..4).prop_map(Predicate::In),
        1 => vec(value(), 0..3).prop_map(Predicate::NotIn),
        2 => any::<bool>().prop_map(Predicate::Exists),
        1 => sample::select(vec!["", "a", "ab"]).prop_map(|text| Predicate::Prefix(text.to_owned())),
        1 => scalar().prop_map(Predicate::Contains),
    ];
    let leaf = prop_oneof![
        1 => Just(Filter::All),
        8 => (path(), predicate).prop_map(|(path, predicate)| Filter::Field { path, predicate }),
    ];
    // What the planner bounds together, or must not where arrays are: the parts of one document.
    let one_of_each = (operand(), operand()).prop_map(|(x, y)| {
        let field = |path: &str, predicate| Filter::Field { path: path.into(), predicate };
        Filter::And(vec![field("a.x", Predicate::Eq(x)), field("a.y", Predicate::Gte(y))])
    });
    let leaf = prop_oneof![6 => leaf, 1 => one_of_each].boxed();
    let tree = leaf.clone().prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            5 => vec(inner.clone(), 0..4).prop_map(Filter::And),
            2 => vec(inner.clone(), 0..3).prop_map(Filter::Or),
            1 => inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    });
    prop_oneof![2 => leaf, 1 => tree].boxed()
}

fn question() -> BoxedStrategy<Question> {
    let skip = prop_oneof![5 => Just(0_usize), 1 => 0..4_usize];
    (
        table(),
        filter(),
        order(0..3),
        skip,
        option::weighted(0.3, 0..6_usize),
        option::weighted(0.3, 1..4_usize),
    )
        .prop_map(|(table, filter, sort, skip, limit, page_size)| Question {
            table,
            filter,
            sort,
            skip,
            limit,
            page_size,
        })
        .boxed()
}
