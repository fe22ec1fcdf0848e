//! Deltas of updates, as change streams show them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bson::{Bson, Document, doc};
use nimbus_query::{ParseContext, Update, delta};
use proptest::prelude::*;

/// The delta as its three parts.
fn parts(before: &Document, after: &Document) -> (Document, Vec<String>, Vec<(String, i32)>) {
    let delta = delta(before, after);
    let removed =
        delta.get_array("removedFields").unwrap().iter().map(|path| path.as_str().unwrap().to_owned());
    let truncated = delta.get_array("truncatedArrays").unwrap().iter().map(|entry| {
        let entry = entry.as_document().unwrap();
        (entry.get_str("field").unwrap().to_owned(), entry.get_i32("newSize").unwrap())
    });
    (delta.get_document("updatedFields").unwrap().clone(), removed.collect(), truncated.collect())
}

#[test]
fn fields_are_updated_and_removed_by_path() {
    let none: Vec<String> = vec![];
    assert_eq!(
        parts(&doc! { "_id": 1, "a": 1 }, &doc! { "_id": 1, "a": 1 }),
        (doc! {}, none.clone(), vec![])
    );
    assert_eq!(
        parts(&doc! { "a": 1 }, &doc! { "a": 2, "b": 3 }),
        (doc! { "a": 2, "b": 3 }, none.clone(), vec![])
    );
    assert_eq!(parts(&doc! { "a": 1, "b": 2 }, &doc! { "b": 2 }), (doc! {}, vec!["a".into()], vec![]));
    assert_eq!(
        parts(&doc! { "a": { "b": 1, "c": 2, "d": 3 } }, &doc! { "a": { "b": 1, "c": 5 } }),
        (doc! { "a.c": 5 }, vec!["a.d".into()], vec![])
    );
    assert_eq!(parts(&doc! { "a": { "b": 1 } }, &doc! { "a": 5 }), (doc! { "a": 5 }, none.clone(), vec![]));
    assert_eq!(parts(&doc! { "a": 1 }, &doc! { "a": 1.0 }), (doc! { "a": 1.0 }, none, vec![]));
}

#[test]
fn arrays_are_appended_to_and_truncated() {
    let words =
        |count: usize| Bson::Array((0..count).map(|n| Bson::String(format!("word number {n}"))).collect());
    assert_eq!(
        parts(&doc! { "a": words(3) }, &doc! { "a": words(4) }),
        (doc! { "a.3": "word number 3" }, vec![], vec![])
    );
    assert_eq!(
        parts(&doc! { "a": words(4) }, &doc! { "a": words(2) }),
        (doc! {}, vec![], vec![("a".into(), 2)])
    );
    assert_eq!(
        parts(
            &doc! { "a": { "b": [{ "c": 1, "d": "a longer text" }] } },
            &doc! { "a": { "b": [{ "c": 2, "d": "a longer text" }] } }
        ),
        (doc! { "a.b.0.c": 2 }, vec![], vec![])
    );
}

#[test]
fn what_is_shorter_whole_is_written_whole() {
    assert_eq!(parts(&doc! { "a": [1, 2, 3] }, &doc! { "a": [] }), (doc! { "a": [] }, vec![], vec![]));
    assert_eq!(
        parts(&doc! { "array": [1, 2, 3, 4] }, &doc! { "array": [2, 3, 4, 5] }),
        (doc! { "array": [2, 3, 4, 5] }, vec![], vec![])
    );
    // Fields within changed their order, which paths cannot say.
    assert_eq!(
        parts(&doc! { "a": { "x": 1, "y": 2 } }, &doc! { "a": { "y": 2, "x": 1 } }),
        (doc! { "a": { "y": 2, "x": 1 } }, vec![], vec![])
    );
}

/// Changes `before` as a reader of a change stream would.
fn follow(mut document: Document, delta: &Document) -> Document {
    let walk = |document: &mut Document, path: &str, act: &mut dyn FnMut(&mut Bson, &str)| {
        let (parents, last) =
            path.rsplit_once('.').map_or((None, path), |(parents, last)| (Some(parents), last));
        let mut value = Bson::Document(std::mem::take(document));
        let mut place = &mut value;
        for segment in parents.into_iter().flat_map(|parents| parents.split('.')) {
            place = match place {
                Bson::Document(inner) => inner.get_mut(segment).unwrap(),
                Bson::Array(array) => &mut array[segment.parse::<usize>().unwrap()],
                other => panic!("{other}"),
            };
        }
        act(place, last);
        *document = value.as_document().unwrap().clone();
    };
    for entry in delta.get_array("truncatedArrays").unwrap() {
        let entry = entry.as_document().unwrap();
        let length = usize::try_from(entry.get_i32("newSize").unwrap()).unwrap();
        walk(&mut document, entry.get_str("field").unwrap(), &mut |parent, last| match parent {
            Bson::Document(inner) => inner.get_array_mut(last).unwrap().truncate(length),
            Bson::Array(array) => {
                array[last.parse::<usize>().unwrap()].as_array_mut().unwrap().truncate(length);
            }
            other => panic!("{other}"),
        });
    }
    for path in delta.get_array("removedFields").unwrap() {
        walk(&mut document, path.as_str().unwrap(), &mut |parent, last| {
            parent.as_document_mut().unwrap().remove(last);
        });
    }
    for (path, new) in delta.get_document("updatedFields").unwrap() {
        walk(&mut document, path, &mut |parent, last| match parent {
            Bson::Document(inner) => {
                inner.insert(last, new.clone());
            }
            Bson::Array(array) => match array.get_mut(last.parse::<usize>().unwrap()) {
                Some(slot) => *slot = new.clone(),
                None => array.push(new.clone()),
            },
            other => panic!("{other}"),
        });
    }
    document
}

fn value() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        (0..3).prop_map(Bson::Int32),
        Just(Bson::Null),
        "[ab]{0,30}".prop_map(Bson::String),
        Just(Bson::Double(f64::NAN)),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Bson::Array),
            fields(inner).prop_map(Bson::Document),
        ]
    })
}

fn fields(value: impl Strategy<Value = Bson>) -> impl Strategy<Value = Document> {
    prop::collection::vec(("[abc]|1", value), 0..4).prop_map(|fields| fields.into_iter().collect())
}

/// Updates that often apply: operands fit their operators, and paths are mostly short.
fn update() -> impl Strategy<Value = Bson> {
    let any_operand = ["$set", "$unset", "$min", "$max", "$setOnInsert", "$addToSet", "$push", "$pull"];
    let path = || {
        prop_oneof![
            4 => r"[abc1](\.[abc01]){0,2}",
            1 => r"_id|[abc](\.[abc01$]|\.\$\[x?\]){1,3}",
        ]
    };
    let each = |value: Bson| {
        Bson::Document(doc! { "$each": [value.clone(), value], "$position": 1, "$sort": 1, "$slice": -2 })
    };
    let entry = prop_oneof![
        4 => (prop::sample::select(any_operand.to_vec()), value()),
        1 => (prop::sample::select(vec!["$inc", "$mul", "$pop"]), Just(Bson::Int32(-1))),
        1 => (Just("$currentDate"), Just(Bson::Boolean(true))),
        1 => (Just("$bit"), Just(Bson::Document(doc! { "xor": 5 }))),
        1 => (Just("$rename"), path().prop_map(Bson::String)),
        1 => (Just("$push"), value().prop_map(each)),
        1 => (Just("$pull"), value().prop_map(|value| Bson::Document(doc! { "$gte": value }))),
        1 => (Just("$pullAll"), prop::collection::vec(value(), 0..3).prop_map(Bson::Array)),
    ];
    prop::collection::vec((entry, path()), 1..3).prop_map(|entries| {
        let fields = entries
            .into_iter()
            .map(|((operator, operand), path)| (operator.to_owned(), Bson::Document(doc! { path: operand })));
        Bson::Document(fields.collect())
    })
}

/// The same to the last bit, fields in any order.
fn canonical(value: &Bson) -> String {
    match value {
        Bson::Document(document) => {
            let mut fields: Vec<_> =
                document.iter().map(|(name, value)| format!("{name}:{}", canonical(value))).collect();
            fields.sort();
            format!("{{{}}}", fields.join(","))
        }
        Bson::Array(array) => format!("[{}]", array.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => format!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn a_delta_leads_from_before_to_after(before in fields(value()), after in fields(value())) {
        let followed = follow(before.clone(), &delta(&before, &after));
        prop_assert_eq!(canonical(&Bson::Document(followed)), canonical(&Bson::Document(after)));
    }

    /// No update panics on any document; what it gives is a change, and its delta leads there.
    #[test]
    fn random_updates_keep_their_promises(
        document in fields(value()), update in update(), position in prop::option::of(0_usize..3),
    ) {
        let mut document = document;
        document.insert("_id", 1);
        let filters = [doc! { "x": { "$gte": 1 } }];
        let context = ParseContext::default();
        let parsed = Update::parse(&update, &filters, &context).or_else(|_| Update::parse(&update, &[], &context));
        let Ok(parsed) = parsed else { return Ok(()) };
        if let Ok(Some(after)) = parsed.apply(&document, position) {
            prop_assert_ne!(after.to_vec().unwrap(), document.to_vec().unwrap());
            prop_assert_eq!(after.get("_id"), Some(&Bson::Int32(1)));
            let followed = follow(document.clone(), &delta(&document, &after));
            prop_assert_eq!(canonical(&Bson::Document(followed)), canonical(&Bson::Document(after)));
        }
        let _ = parsed.upsert(&[("a.b".to_owned(), Bson::Int32(1))]);
    }
}
