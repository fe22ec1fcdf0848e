//! Filters against a slow model of their own, and key bounds against filters.
//!
//! Values come from a small pool, so that documents and operands often meet.

use bson::{Bson, Decimal128, Document, RawDocumentBuf, doc};
use nimbus_query::bounds::{KeyInterval, clause_bounds, descending, intersect};
use nimbus_query::{Filter, Predicate};
use nimbus_types::IndexId;
use nimbus_types::index::{IndexDefinition, IndexField, derive};
use proptest::prelude::*;

fn scalar() -> impl Strategy<Value = Bson> {
    prop_oneof![
        Just(Bson::Null),
        (-2..3).prop_map(Bson::Int32),
        (-2_i64..3).prop_map(Bson::Int64),
        prop::sample::select(vec![-1.5, -0.0, 1.0, 2.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY])
            .prop_map(Bson::Double),
        prop::sample::select(vec!["", "a", "ab", "abc", "b", "a\0", "a\u{10FFFF}", "\u{10FFFF}"])
            .prop_map(Bson::from),
        any::<bool>().prop_map(Bson::Boolean),
    ]
}

fn value() -> impl Strategy<Value = Bson> {
    let rare = prop::sample::select(vec![
        Bson::MinKey,
        Bson::MaxKey,
        Bson::Undefined,
        Bson::Symbol("ab".into()),
        Bson::Decimal128(Decimal128::from_bytes([0; 16])),
        Bson::DateTime(bson::DateTime::from_millis(5)),
        Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1] }),
    ]);
    prop_oneof![6 => scalar(), 1 => rare].prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            prop::collection::btree_map("[ab0]", inner, 0..3)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

fn document() -> impl Strategy<Value = Document> {
    prop::collection::btree_map("[ab]", value(), 0..3).prop_map(|fields| fields.into_iter().collect())
}

fn path() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "a.b", "a.0", "a.b.a", "a.0.b", "b"]).prop_map(String::from)
}

fn predicate(operand: impl Strategy<Value = Bson> + Clone + 'static) -> impl Strategy<Value = Predicate> {
    let list = prop::collection::vec(operand.clone(), 0..4);
    prop_oneof![
        operand.clone().prop_map(Predicate::Eq),
        operand.clone().prop_map(Predicate::Ne),
        operand.clone().prop_map(Predicate::Gt),
        operand.clone().prop_map(Predicate::Gte),
        operand.clone().prop_map(Predicate::Lt),
        operand.clone().prop_map(Predicate::Lte),
        list.clone().prop_map(Predicate::In),
        list.prop_map(Predicate::NotIn),
        any::<bool>().prop_map(Predicate::Exists),
        prop::sample::select(vec!["", "a", "ab", "\u{10FFFF}"]).prop_map(|p| Predicate::Prefix(p.into())),
        operand.prop_map(Predicate::Contains),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let field =
        (path(), predicate(value().boxed())).prop_map(|(path, predicate)| Filter::Field { path, predicate });
    prop_oneof![15 => field, 1 => Just(Filter::All)].prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            2 => prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::Or),
            1 => inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

fn index(path: &str, descending: bool, sparse: bool) -> IndexDefinition {
    let fields = vec![IndexField { path: path.into(), descending }];
    IndexDefinition { id: IndexId(1), name: "by".into(), fields, unique: false, sparse }
}

fn any_within(keys: &[Vec<u8>], intervals: &[KeyInterval]) -> bool {
    keys.iter().any(|key| intervals.iter().any(|interval| interval.contains(key)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// A document that matches has an entry within the bounds of every clause, and within all of them
    /// at once when the index is not multikey; ascending, descending and sparse.
    #[test]
    fn bounds_hold_the_entries_of_every_match(document in document(), filter in filter(), path in path()) {
        let document = RawDocumentBuf::try_from(&document).unwrap();
        let Ok(entries) = derive(&index(&path, false, false), &document) else { return Ok(()) };
        let turned = derive(&index(&path, true, false), &document).unwrap();
        let sparse = derive(&index(&path, false, true), &document).unwrap();
        if !filter.matches(&document).unwrap() {
            return Ok(());
        }
        let mut all = vec![KeyInterval { start: Vec::new(), end: None }];
        for bounds in clause_bounds(&filter, &path) {
            prop_assert!(any_within(&entries.keys, &bounds.intervals), "{bounds:?}");
            prop_assert!(any_within(&turned.keys, &descending(&bounds.intervals)), "{bounds:?}");
            prop_assert!(!bounds.present || any_within(&sparse.keys, &bounds.intervals), "{bounds:?}");
            all = intersect(&all, &bounds.intervals);
        }
        prop_assert!(entries.multikey || any_within(&entries.keys, &all));
    }

    /// Bounds that call themselves exact let nothing in that does not match; point bounds are values; and
    /// all are sorted and disjoint.
    #[test]
    fn bounds_are_what_their_flags_say(document in document(), path in path(), predicate in predicate(value().boxed())) {
        let filter = Filter::Field { path: path.clone(), predicate };
        let document = RawDocumentBuf::try_from(&document).unwrap();
        let Ok(entries) = derive(&index(&path, false, false), &document) else { return Ok(()) };
        for bounds in clause_bounds(&filter, &path) {
            if bounds.exact && any_within(&entries.keys, &bounds.intervals) {
                prop_assert!(filter.matches(&document).unwrap(), "{bounds:?}");
            }
            for interval in &bounds.intervals {
                prop_assert!(!interval.is_empty());
                if bounds.point {
                    let (_, length) = nimbus_types::key::decode_value(&interval.start).unwrap();
                    prop_assert_eq!(length, interval.start.len());
                    prop_assert_eq!(&KeyInterval::prefix(interval.start.clone()), interval);
                }
            }
            for pair in bounds.intervals.windows(2) {
                prop_assert!(pair[0].end.as_ref().is_some_and(|end| *end <= pair[1].start));
            }
        }
    }

    /// On scalars, filters agree with the model.
    #[test]
    fn scalars_match_as_the_model_says(
        stored in prop::option::of(scalar()),
        predicate in predicate(scalar().boxed()),
        negated in any::<bool>(),
    ) {
        let document = stored.iter().map(|value| ("a".to_owned(), value.clone())).collect::<Document>();
        let expected = model::holds(stored.as_ref(), &predicate) != negated;
        let mut filter = Filter::Field { path: "a".into(), predicate };
        if negated {
            filter = Filter::Not(Box::new(filter));
        }
        prop_assert_eq!(filter.matches(&RawDocumentBuf::try_from(&document).unwrap()).unwrap(), expected);
    }
}

#[test]
fn clauses_bound_what_they_can() {
    let field = |predicate| Filter::Field { path: "a".into(), predicate };
    let flags = |filter: &Filter| {
        let clauses = clause_bounds(filter, "a");
        clauses.iter().map(|c| (c.intervals.len(), c.point, c.exact, c.present)).collect::<Vec<_>>()
    };
    let one_or_two = Predicate::In(vec![2.into(), 1.into(), 2.0.into()]);
    for (filter, want) in [
        (field(Predicate::Eq(1.into())), vec![(1, true, true, true)]),
        (field(one_or_two.clone()), vec![(2, true, true, true)]),
        (field(Predicate::Gt(1.into())), vec![(1, false, true, true)]),
        (field(Predicate::Eq(Bson::Null)), vec![(2, true, false, false)]),
        (field(Predicate::In(vec![])), vec![(0, true, true, true)]),
        (field(Predicate::Lt(f64::NAN.into())), vec![(0, true, true, true)]),
        (field(Predicate::Lt(f64::NEG_INFINITY.into())), vec![(0, false, true, true)]),
        (field(Predicate::Prefix("x".into())), vec![(1, false, true, true)]),
        (field(Predicate::Contains("x".into())), vec![(1, false, false, true)]),
        (field(Predicate::Ne(1.into())), vec![]),
        (field(Predicate::Exists(true)), vec![]),
        (field(Predicate::Gt(Bson::MinKey)), vec![]),
        (Filter::Not(Box::new(field(Predicate::Eq(1.into())))), vec![]),
        (Filter::All, vec![]),
        (
            Filter::And(vec![field(Predicate::Gt(1.into())), Filter::And(vec![field(one_or_two.clone())])]),
            vec![(1, false, true, true), (2, true, true, true)],
        ),
        (
            Filter::Or(vec![field(one_or_two.clone()), field(Predicate::Eq(3.into()))]),
            vec![(3, true, true, true)],
        ),
        (Filter::Or(vec![field(one_or_two), Filter::All]), vec![]),
        (
            Filter::Or(vec![Filter::And(vec![
                field(Predicate::Gt(1.into())),
                field(Predicate::Eq(3.into())),
            ])]),
            vec![(1, true, false, true)],
        ),
    ] {
        assert_eq!(flags(&filter), want, "{filter:?}");
        assert_eq!(clause_bounds(&filter, "b"), [], "{filter:?}");
    }
}

#[test]
fn bounds_under_an_array_position_are_not_exact() {
    let filter = Filter::Field { path: "a.0".into(), predicate: Predicate::Eq(5.into()) };
    let document = RawDocumentBuf::try_from(&doc! { "a": [[5]] }).unwrap();
    let bounds = &clause_bounds(&filter, "a.0")[0];
    assert!(any_within(&derive(&index("a.0", false, false), &document).unwrap().keys, &bounds.intervals));
    assert!(!filter.matches(&document).unwrap() && !bounds.exact);
}

/// Bounds that let in too much would pass the properties; these are as tight as they can be.
#[test]
fn bounds_are_tight() {
    let field = |predicate| Filter::Field { path: "a".into(), predicate };
    let within = |predicate, value: Bson| {
        let document = RawDocumentBuf::try_from(&doc! { "a": value }).unwrap();
        let keys = derive(&index("a", false, false), &document).unwrap().keys;
        any_within(&keys, &clause_bounds(&field(predicate), "a")[0].intervals)
    };
    for (predicate, inside, outside) in [
        (Predicate::Gt(1.into()), Bson::from(1.5), Bson::from(1)),
        (Predicate::Gte(1.into()), 1.into(), 0.into()),
        (Predicate::Lt(1.into()), f64::NEG_INFINITY.into(), f64::NAN.into()),
        (Predicate::Lte(1.into()), 1_i64.into(), 2.into()),
        (Predicate::Gt(1.into()), f64::INFINITY.into(), "".into()),
        (Predicate::Lt("b".into()), "".into(), 1.into()),
        (Predicate::Gt("b".into()), "ba".into(), "b".into()),
        (Predicate::Prefix("ab".into()), "abz".into(), "ac".into()),
        (Predicate::Prefix("a\u{D7FF}".into()), "a\u{D7FF}x".into(), "a\u{E000}".into()),
        (Predicate::Prefix("\u{10FFFF}".into()), "\u{10FFFF}x".into(), doc! {}.into()),
        (
            Predicate::Eq(Bson::Array(vec![1.into(), 2.into()])),
            Bson::Array(vec![1.into(), 2.into()]),
            2.into(),
        ),
    ] {
        assert!(within(predicate.clone(), inside.clone()), "{predicate:?} {inside}");
        assert!(!within(predicate.clone(), outside.clone()), "{predicate:?} {outside}");
    }
}

/// What predicates mean for one scalar or a missing field, written without the crate's own order.
mod model {
    use std::cmp::Ordering;

    use bson::Bson;
    use nimbus_query::Predicate;

    pub(crate) fn holds(stored: Option<&Bson>, predicate: &Predicate) -> bool {
        let value = stored.unwrap_or(&Bson::Null);
        let order = |operand| compare(value, operand);
        match predicate {
            Predicate::Eq(operand) => order(operand) == Some(Ordering::Equal),
            Predicate::Ne(operand) => order(operand) != Some(Ordering::Equal),
            Predicate::Gt(operand) => order(operand) == Some(Ordering::Greater),
            Predicate::Gte(operand) => matches!(order(operand), Some(Ordering::Greater | Ordering::Equal)),
            Predicate::Lt(operand) => order(operand) == Some(Ordering::Less),
            Predicate::Lte(operand) => matches!(order(operand), Some(Ordering::Less | Ordering::Equal)),
            Predicate::In(operands) => operands.iter().any(|operand| order(operand) == Some(Ordering::Equal)),
            Predicate::NotIn(operands) => {
                operands.iter().all(|operand| order(operand) != Some(Ordering::Equal))
            }
            Predicate::Exists(wanted) => stored.is_some() == *wanted,
            Predicate::Prefix(prefix) => value.as_str().is_some_and(|text| text.starts_with(prefix.as_str())),
            Predicate::Contains(Bson::String(part)) => {
                value.as_str().is_some_and(|text| text.contains(part.as_str()))
            }
            Predicate::Contains(_) => false,
            other => unreachable!("{other:?} is not generated"),
        }
    }

    /// `None` where the two are of different kinds, or only one is NaN.
    fn compare(a: &Bson, b: &Bson) -> Option<Ordering> {
        match (a, b) {
            (Bson::Null, Bson::Null) => Some(Ordering::Equal),
            (Bson::String(a), Bson::String(b)) => Some(a.chars().cmp(b.chars())),
            (Bson::Boolean(a), Bson::Boolean(b)) => Some(a.cmp(b)),
            _ => {
                let (a, b) = (number(a)?, number(b)?);
                if a.is_nan() && b.is_nan() { Some(Ordering::Equal) } else { a.partial_cmp(&b) }
            }
        }
    }

    /// The model's numbers are small, so doubles hold them all.
    fn number(value: &Bson) -> Option<f64> {
        match value {
            Bson::Int32(number) => Some(f64::from(*number)),
            Bson::Int64(number) => Some(*number as f64),
            Bson::Double(number) => Some(*number),
            _ => None,
        }
    }
}
