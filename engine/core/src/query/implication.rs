//! Whether one filter implies another: then an index that holds the documents of the other has all of the
//! one's.
//!
//! Promises: `true` is always right; `false` may be said of filters that do imply, since only what can be seen
//! clause by clause is looked for. Deliberately unknown: which indexes exist.

use std::cmp::Ordering;

use bson::raw::RawBsonRef;
use bson::{Bson, RawDocumentBuf};
use nimbus_query::bounds::clause_bounds;
use nimbus_query::{Filter, Predicate, with_raw};
use nimbus_types::order::{self, CanonicalType};

/// Whether every document that matches `filter` matches `implied`.
pub(crate) fn implies(filter: &Filter, implied: &Filter) -> bool {
    // A collation changes what strings are equal to and greater than, and nothing else.
    if let Filter::Collated(_, filter) = filter {
        return says_nothing_of_strings(implied) && implies(filter, implied);
    }
    match implied {
        Filter::All => true,
        Filter::And(all) => all.iter().all(|implied| implies(filter, implied)),
        Filter::Or(any) if any.iter().any(|implied| implies(filter, implied)) => true,
        implied => clause_implies(filter, implied),
    }
}

/// Whether one clause of `filter` implies the clause `implied`.
fn clause_implies(filter: &Filter, implied: &Filter) -> bool {
    if filter == implied {
        return true;
    }
    match (filter, implied) {
        (Filter::And(all), _) => all.iter().any(|filter| clause_implies(filter, implied)),
        (Filter::Or(any), _) => any.iter().all(|filter| implies(filter, implied)),
        (Filter::Field { path, .. }, Filter::Field { path: same, predicate: Predicate::Exists(true) }) => {
            path == same && clause_bounds(filter, path).iter().any(|clause| clause.present)
        }
        (Filter::Field { path, predicate }, Filter::Field { path: same, predicate: implied }) => {
            path == same && predicate_implies(predicate, implied)
        }
        _ => false,
    }
}

fn predicate_implies(predicate: &Predicate, implied: &Predicate) -> bool {
    match predicate {
        Predicate::Eq(value) => value_satisfies(value, implied),
        Predicate::In(values) => values.iter().all(|value| value_satisfies(value, implied)),
        Predicate::Gt(_) | Predicate::Gte(_) | Predicate::Lt(_) | Predicate::Lte(_) => {
            range_implies(predicate, implied)
        }
        _ => false,
    }
}

/// Whether every document in which the path reaches `value` satisfies `implied`, which is one of the
/// predicates that ask for one value: an array that matched by the value matches by it again.
fn value_satisfies(value: &Bson, implied: &Predicate) -> bool {
    // Null stands for missing fields too, an array for itself or an element, a pattern for other strings.
    let is_plain =
        !matches!(value, Bson::Null | Bson::Undefined | Bson::Array(_) | Bson::RegularExpression(_));
    let asks_for_one = matches!(
        implied,
        Predicate::Eq(_)
            | Predicate::In(_)
            | Predicate::Gt(_)
            | Predicate::Gte(_)
            | Predicate::Lt(_)
            | Predicate::Lte(_)
    );
    let sample = bson::doc! { "value": value.clone() };
    let implied = Filter::Field { path: "value".into(), predicate: implied.clone() };
    is_plain
        && asks_for_one
        && RawDocumentBuf::try_from(&sample).is_ok_and(|sample| implied.matches(&sample).unwrap_or(false))
}

fn says_nothing_of_strings(filter: &Filter) -> bool {
    let is_scalar = |value: &Bson| {
        !matches!(
            value,
            Bson::String(_)
                | Bson::Symbol(_)
                | Bson::Document(_)
                | Bson::Array(_)
                | Bson::RegularExpression(_)
        )
    };
    match filter {
        Filter::All => true,
        Filter::And(filters) | Filter::Or(filters) => filters.iter().all(says_nothing_of_strings),
        Filter::Field { predicate, .. } => match predicate {
            Predicate::Exists(_) | Predicate::Type(_) => true,
            Predicate::Eq(value)
            | Predicate::Gt(value)
            | Predicate::Gte(value)
            | Predicate::Lt(value)
            | Predicate::Lte(value) => is_scalar(value),
            Predicate::In(values) => values.iter().all(is_scalar),
            _ => false,
        },
        _ => false,
    }
}

/// Whether one half-line lies within the other.
fn range_implies(predicate: &Predicate, implied: &Predicate) -> bool {
    use Predicate::{Gt, Gte, Lt, Lte};
    let (Gt(of) | Gte(of) | Lt(of) | Lte(of), Gt(within) | Gte(within) | Lt(within) | Lte(within)) =
        (predicate, implied)
    else {
        return false;
    };
    let Some(order) = comparable(of, within) else { return false };
    match (predicate, implied) {
        (Gt(_), Gt(_) | Gte(_)) | (Gte(_), Gte(_)) => order.is_ge(),
        (Gte(_), Gt(_)) => order.is_gt(),
        (Lt(_), Lt(_) | Lte(_)) | (Lte(_), Lte(_)) => order.is_le(),
        (Lte(_), Lt(_)) => order.is_lt(),
        _ => false,
    }
}

/// How two operands of range predicates stand to each other, if the same values are comparable with both.
fn comparable(a: &Bson, b: &Bson) -> Option<Ordering> {
    with_raw(a, |a| {
        with_raw(b, |b| {
            (is_scale(a) && is_scale(b) && CanonicalType::of(a) == CanonicalType::of(b))
                .then(|| order::compare(a, b))
        })
    })
    .flatten()
    .flatten()
}

/// Whether exactly the values of its own kind compare with the value.
fn is_scale(value: RawBsonRef<'_>) -> bool {
    let is_nan = order::compare(value, RawBsonRef::Double(f64::NAN)).is_eq();
    !is_nan
        && !matches!(
            value,
            RawBsonRef::Null
                | RawBsonRef::Undefined
                | RawBsonRef::MinKey
                | RawBsonRef::MaxKey
                | RawBsonRef::Array(_)
        )
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};
    use nimbus_query::{Collation, ParseContext};
    use proptest::prelude::*;

    use super::*;

    fn parsed(filter: &Document) -> Filter {
        Filter::parse(filter, &ParseContext::default()).unwrap()
    }

    #[test]
    fn what_can_be_seen_clause_by_clause_is_seen() {
        for (filter, implied) in [
            (doc! { "a": 5 }, doc! {}),
            (doc! { "a": 5, "b": 1 }, doc! { "a": 5.0 }),
            (doc! { "a": 5 }, doc! { "a": { "$gt": 4, "$lte": 5 } }),
            (doc! { "a": { "$gt": 5 } }, doc! { "a": { "$gte": 5 } }),
            (doc! { "a": { "$gte": 6, "$lt": 9 } }, doc! { "a": { "$gt": 5 } }),
            (doc! { "a": { "$in": [1, 2] } }, doc! { "a": { "$in": [1, 2, 3] } }),
            (doc! { "a": { "$in": [1, 2] } }, doc! { "a": { "$exists": true } }),
            (doc! { "a": { "$lt": "x" } }, doc! { "a": { "$exists": true } }),
            (doc! { "$or": [{ "a": 1 }, { "a": 2, "b": 3 }] }, doc! { "a": { "$lt": 3 } }),
            (doc! { "b": 3, "a": 1 }, doc! { "$or": [{ "a": 2 }, { "b": 3 }] }),
            (doc! { "a": { "$type": "string" } }, doc! { "a": { "$type": "string" } }),
        ] {
            assert!(implies(&parsed(&filter), &parsed(&implied)), "{filter} implies {implied}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        for (filter, implied) in [
            (doc! {}, doc! { "a": { "$exists": true } }),
            (doc! { "a": null }, doc! { "a": { "$exists": true } }),
            (doc! { "a": { "$gte": 5 } }, doc! { "a": { "$gt": 5 } }),
            (doc! { "a": { "$gt": 5 } }, doc! { "a": { "$gt": "5" } }),
            (doc! { "a": { "$gt": f64::NAN } }, doc! { "a": { "$gt": 5 } }),
            (doc! { "a": { "$lt": Bson::MaxKey } }, doc! { "a": { "$exists": true } }),
            (doc! { "a": [1, 9] }, doc! { "a": { "$lt": [2] } }),
            (doc! { "a": 5 }, doc! { "a": { "$type": "int" } }),
            (doc! { "a": { "$ne": 1 } }, doc! { "a": 2 }),
            (doc! { "$nor": [{ "a": 5 }] }, doc! { "a": 5 }),
        ] {
            assert!(!implies(&parsed(&filter), &parsed(&implied)), "{filter} implies {implied}");
        }
    }

    #[test]
    fn a_collation_takes_what_is_said_of_strings_away() {
        let collation = Collation::parse(&doc! { "locale": "en", "strength": 1 }).unwrap();
        let context = ParseContext { collation, ..ParseContext::default() };
        let filter = Filter::parse(&doc! { "a": "x", "n": 5 }, &context).unwrap();
        assert!(!implies(&filter, &parsed(&doc! { "a": "x" })));
        assert!(!implies(&filter, &parsed(&doc! { "a": { "$gt": "b" } })));
        assert!(implies(&filter, &parsed(&doc! { "a": { "$exists": true }, "n": { "$gt": 4 } })));
    }

    fn value() -> impl Strategy<Value = Bson> {
        let scalar = prop_oneof![
            (0..4).prop_map(Bson::Int32),
            (0..4).prop_map(|n| Bson::Double(f64::from(n))),
            Just(Bson::Double(f64::NAN)),
            "[ab]".prop_map(Bson::String),
            Just(Bson::Null),
            any::<bool>().prop_map(Bson::Boolean),
            Just(Bson::MaxKey),
        ];
        scalar.prop_recursive(2, 4, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
                inner.prop_map(|value| Bson::Document(doc! { "x": value })),
            ]
        })
    }

    fn clause() -> impl Strategy<Value = Document> {
        let operator = prop::sample::select(vec!["$eq", "$gt", "$gte", "$lt", "$lte", "$ne"]);
        let condition = prop_oneof![
            4 => (operator, value()).prop_map(|(operator, value)| doc! { operator: value }),
            1 => prop::collection::vec(value(), 0..3).prop_map(|values| doc! { "$in": values }),
            1 => any::<bool>().prop_map(|exists| doc! { "$exists": exists }),
        ];
        (prop::sample::select(vec!["a", "b"]), condition)
            .prop_map(|(path, condition)| doc! { path: condition })
    }

    fn filter() -> impl Strategy<Value = Document> {
        clause().prop_recursive(2, 6, 3, |inner| {
            let operator = prop::sample::select(vec!["$and", "$or"]);
            (operator, prop::collection::vec(inner, 1..3))
                .prop_map(|(operator, filters)| doc! { operator: filters })
        })
    }

    fn document() -> impl Strategy<Value = Document> {
        prop::collection::hash_map(prop::sample::select(vec!["a", "b"]), value(), 0..3)
            .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_implied_holds(
            filter in filter(),
            implied in filter(),
            documents in prop::collection::vec(document(), 8),
        ) {
            let (filter, implied) = (parsed(&filter), parsed(&implied));
            if implies(&filter, &implied) {
                for document in documents {
                    let raw = RawDocumentBuf::try_from(&document).unwrap();
                    prop_assert!(
                        !filter.matches(&raw).unwrap() || implied.matches(&raw).unwrap(),
                        "{document}: {filter:?} holds and {implied:?} does not"
                    );
                }
            }
        }
    }
}
