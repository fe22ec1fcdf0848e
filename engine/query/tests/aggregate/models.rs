//! `$group`, `$sort` and `$unwind` against naive models.
//!
//! Values come from a small pool, so that equal ones often meet.

use bson::{Bson, Document, RawDocumentBuf, doc};
use nimbus_query::value::compare;
use nimbus_query::{SortKey, sort_key};
use proptest::prelude::*;

use crate::support::run;

pub(crate) fn scalar() -> impl Strategy<Value = Bson> {
    prop_oneof![
        Just(Bson::Null),
        (-2..3).prop_map(Bson::Int32),
        (-2_i64..3).prop_map(Bson::Int64),
        prop::sample::select(vec![-1.5, -0.0, 1.0, 2.5, f64::NAN, f64::INFINITY]).prop_map(Bson::Double),
        prop::sample::select(vec!["", "a", "b"]).prop_map(Bson::from),
        any::<bool>().prop_map(Bson::Boolean),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = Bson> {
    scalar().prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            prop::collection::btree_map("[ab]", inner, 0..3)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

pub(crate) fn documents() -> impl Strategy<Value = Vec<Document>> {
    let document = prop::collection::btree_map("[ab]", value(), 0..3);
    prop::collection::vec(document, 0..12).prop_map(|documents| {
        let numbered = (0..).zip(documents).map(|(n, fields): (i32, _)| {
            let mut document = doc! { "n": n };
            document.extend(fields);
            document
        });
        numbered.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Documents are in one group exactly when their ids compare equal, and groups stand in the order of
    /// their first documents.
    #[test]
    fn groups_are_as_a_list_of_lists_would_hold_them(input in documents()) {
        let mut model: Vec<(Bson, Vec<Bson>)> = Vec::new();
        for document in &input {
            let id = document.get("a").cloned().unwrap_or(Bson::Null);
            let n = document.get("n").cloned().unwrap();
            match model.iter_mut().find(|(known, _)| compare(known, &id).is_eq()) {
                Some((_, members)) => members.push(n),
                None => model.push((id, vec![n])),
            }
        }
        let groups = run(&[doc! { "$group": { "_id": "$a", "n": { "$push": "$n" } } }], &input);
        prop_assert_eq!(groups.len(), model.len());
        for (group, (id, members)) in groups.iter().zip(model) {
            prop_assert!(compare(group.get("_id").unwrap(), &id).is_eq());
            prop_assert_eq!(group.get("n").unwrap(), &Bson::Array(members));
        }
    }

    /// A sort is a stable sort by the keys, and a limit cuts it.
    #[test]
    fn sorts_are_stable_sorts_by_key(input in documents(), descending in any::<bool>(), limit in 1..6_i32) {
        let keys = [SortKey { path: "a".into(), descending }];
        let mut model = input.clone();
        model.sort_by_cached_key(|document| sort_key(&RawDocumentBuf::try_from(document).unwrap(), &keys, None));
        let sort = doc! { "$sort": { "a": if descending { -1 } else { 1 } } };
        let front = doc! { "$set": { "x": 1 } };
        let numbers = |documents: &[Document]| -> Vec<i32> {
            documents.iter().map(|document| document.get_i32("n").unwrap()).collect()
        };
        let sorted = run(&[front.clone(), sort.clone()], &input);
        prop_assert_eq!(numbers(&sorted), numbers(&model));
        let first = run(&[front, sort, doc! { "$limit": limit }], &input);
        prop_assert_eq!(numbers(&first), numbers(&model.iter().take(usize::try_from(limit).unwrap()).cloned().collect::<Vec<_>>()));
    }

    /// Unwinding gives a document for each element, and what has none once or not at all.
    #[test]
    fn unwinding_is_a_loop_over_elements(input in documents(), keeps_empty in any::<bool>()) {
        let mut model = Vec::new();
        for document in &input {
            match document.get("a") {
                Some(Bson::Array(elements)) if !elements.is_empty() => {
                    model.extend(elements.iter().map(|element| (document.get_i32("n").unwrap(), element.clone())));
                }
                None | Some(Bson::Null | Bson::Array(_)) => {
                    if keeps_empty {
                        model.push((document.get_i32("n").unwrap(), Bson::Null));
                    }
                }
                Some(other) => model.push((document.get_i32("n").unwrap(), other.clone())),
            }
        }
        let unwind = doc! { "$unwind": { "path": "$a", "preserveNullAndEmptyArrays": keeps_empty } };
        let results = run(&[unwind], &input);
        prop_assert_eq!(results.len(), model.len());
        for (result, (n, element)) in results.iter().zip(model) {
            prop_assert_eq!(result.get_i32("n").unwrap(), n);
            prop_assert!(compare(result.get("a").unwrap_or(&Bson::Null), &element).is_eq());
        }
    }
}
