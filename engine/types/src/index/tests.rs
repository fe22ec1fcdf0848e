//! Tables after the MongoDB manual ("Multikey Indexes", "Sparse Indexes") and properties that tie entries to
//! the walk and to sorting.

use std::ops::ControlFlow;

use bson::{Bson, Document, RawDocumentBuf, bson, doc};
use proptest::prelude::*;

use super::*;
use crate::key::decode_value;
use crate::path::walk;

/// An index over ascending paths; `-` before a path makes it descending.
fn index(paths: &[&str]) -> IndexDefinition {
    let field = |path: &&str| IndexField {
        path: path.trim_start_matches('-').into(),
        descending: path.starts_with('-'),
    };
    IndexDefinition {
        id: IndexId(1),
        name: "by".into(),
        fields: paths.iter().map(field).collect(),
        unique: false,
        sparse: false,
    }
}

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

/// The entries of an ascending index, decoded: one array of field values each.
fn entries(paths: &[&str], document: &Document) -> Result<Vec<Bson>, IndexError> {
    let derived = derive(&index(paths), &raw(document))?;
    let decode = |key: &Vec<u8>| {
        let mut rest = key.as_slice();
        let mut values = Vec::new();
        while !rest.is_empty() {
            let (value, length) = decode_value(rest).unwrap();
            values.push(value);
            rest = &rest[length..];
        }
        Bson::Array(values)
    };
    Ok(derived.keys.iter().map(decode).collect())
}

#[test]
fn scalars_have_one_entry_and_missing_fields_null() {
    assert_eq!(entries(&["a"], &doc! { "a": "x" }), Ok(vec![bson!(["x"])]));
    assert_eq!(entries(&["a"], &doc! {}), Ok(vec![bson!([null])]));
    assert_eq!(entries(&["a.b"], &doc! { "a": { "b": "x" } }), Ok(vec![bson!(["x"])]));
    assert_eq!(entries(&["a.b"], &doc! { "a": 1 }), Ok(vec![bson!([null])]));
    assert_eq!(entries(&["a"], &doc! { "a": { "b": "x" } }), Ok(vec![bson!([{ "b": "x" }])]));
    assert!(!derive(&index(&["a", "b"]), &raw(&doc! { "a": 1 })).unwrap().multikey);
}

#[test]
fn arrays_have_an_entry_for_each_distinct_element() {
    let document = doc! { "a": ["y", "x", "y"] };
    assert_eq!(entries(&["a"], &document), Ok(vec![bson!(["x"]), bson!(["y"])]));
    assert_eq!(entries(&["a"], &doc! { "a": [] }), Ok(vec![bson!([Bson::Undefined])]));
    assert_eq!(entries(&["a"], &doc! { "a": [["x", "y"]] }), Ok(vec![bson!([["x", "y"]])]));
    assert!(derive(&index(&["a"]), &raw(&doc! { "a": ["x"] })).unwrap().multikey);
}

#[test]
fn arrays_along_a_path_have_the_entries_of_their_documents() {
    let document = doc! { "a": [{ "b": "x" }, { "b": ["y", "z"] }, {}, "s"] };
    let want = vec![bson!([null]), bson!(["x"]), bson!(["y"]), bson!(["z"])];
    assert_eq!(entries(&["a.b"], &document), Ok(want));
    assert_eq!(entries(&["a.b"], &doc! { "a": [] }), Ok(vec![bson!([null])]));
    assert_eq!(entries(&["a.1.b"], &document), Ok(vec![bson!(["y"]), bson!(["z"])]));
    assert_eq!(entries(&["a.3"], &document), Ok(vec![bson!(["s"])]));
}

#[test]
fn fields_through_one_array_are_joined_by_element() {
    let document = doc! { "a": [{ "b": "1", "c": "2" }, { "b": ["3", "5"], "c": "4" }], "d": "x" };
    let want = vec![bson!(["1", "x", "2"]), bson!(["3", "x", "4"]), bson!(["5", "x", "4"])];
    assert_eq!(entries(&["a.b", "d", "a.c"], &document), Ok(want));
    // An element without a value for one of the fields counts with null.
    let uneven = doc! { "a": [{ "7": "x", "b": "1" }, { "b": "2" }] };
    assert_eq!(entries(&["a.7", "a.b"], &uneven), Ok(vec![bson!([null, "2"]), bson!(["x", "1"])]));
    // As MongoDB derives them.
    assert_eq!(entries(&["a", "a.b"], &doc! { "a": [] }), Ok(vec![bson!([Bson::Undefined, null])]));
}

#[test]
fn parallel_arrays_are_refused_by_name() {
    let parallel = |first: &str, second: &str| {
        Err(IndexError::ParallelArrays { first: first.into(), second: second.into() })
    };
    assert_eq!(entries(&["a", "x", "b"], &doc! { "a": [1], "b": [] }), parallel("a", "b"));
    let inner = doc! { "a": [{ "b": [1], "c": [2] }] };
    assert_eq!(entries(&["a.c", "a.b"], &inner), parallel("a.c", "a.b"));
    // Different elements may have different arrays.
    let apart = doc! { "a": [{ "b": ["x"], "c": "1" }, { "b": "y", "c": ["2"] }] };
    assert_eq!(entries(&["a.b", "a.c"], &apart), Ok(vec![bson!(["x", "1"]), bson!(["y", "2"])]));
}

#[test]
fn a_position_that_is_also_a_field_name_is_refused() {
    let ambiguous = doc! { "a": [{ "0": 1 }] };
    assert_eq!(entries(&["a.0"], &ambiguous), Err(IndexError::AmbiguousPath { path: "a.0".into() }));
}

#[test]
fn sparse_indexes_leave_out_documents_without_any_field() {
    let sparse = IndexDefinition { sparse: true, ..index(&["a", "b.c"]) };
    let count = |document: &Document| derive(&sparse, &raw(document)).unwrap().keys.len();
    assert_eq!(count(&doc! {}), 0);
    assert_eq!(count(&doc! { "b": { "d": 1 } }), 0);
    assert_eq!(count(&doc! { "a": Bson::Null }), 1);
    assert_eq!(count(&doc! { "b": { "c": 1 } }), 1);
    assert_eq!(count(&doc! { "a": [] }), 1);
}

#[test]
fn descending_fields_come_in_reverse() {
    let keys = |value: &str| derive(&index(&["-a", "b"]), &raw(&doc! { "a": value, "b": 1 })).unwrap().keys;
    assert!(keys("x") > keys("y"));
}

#[test]
fn limits_are_errors() {
    let array = |count: usize| doc! { "a": vec![Bson::Int32(1); count] };
    let limit = limits::INDEX_ENTRIES_PER_DOCUMENT;
    assert_eq!(entries(&["a"], &array(limit)).unwrap().len(), 1);
    assert_eq!(entries(&["a"], &array(limit + 1)), Err(IndexError::TooManyEntries { limit }));

    let long = doc! { "a": "x".repeat(limits::KEY_BYTES) };
    assert!(matches!(entries(&["a"], &long), Err(IndexError::KeyTooLong { .. })));

    let wide = doc! { "a": vec![Bson::Int32(1); 10_000], "b": "x".repeat(limits::KEY_BYTES - 100) };
    let limit = limits::INDEX_BYTES_PER_DOCUMENT;
    assert_eq!(entries(&["a", "b"], &wide), Err(IndexError::EntriesTooLarge { limit }));
}

#[test]
fn definitions_are_checked() {
    assert_eq!(index(&["a", "b.c"]).check(), Ok(()));
    let named = |name: &str| IndexDefinition { name: name.into(), ..index(&["a"]) }.check();
    assert!(matches!(named(""), Err(InvalidIndex::NameLength { .. })));
    assert!(matches!(named(&"x".repeat(limits::INDEX_NAME_BYTES + 1)), Err(InvalidIndex::NameLength { .. })));
    for name in ["_id_", "*", "a\nb"] {
        assert!(matches!(named(name), Err(InvalidIndex::Name { .. })), "{name:?}");
    }
    assert_eq!(index(&[]).check(), Err(InvalidIndex::FieldCount { count: 0 }));
    assert_eq!(index(&["a", "b", "-a"]).check(), Err(InvalidIndex::DuplicateField { path: "a".into() }));
    assert!(matches!(index(&["a..b"]).check(), Err(InvalidIndex::Path(_))));
    let many: Vec<String> = (0..=limits::INDEX_FIELDS).map(|field| format!("f{field}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(index(&many).check(), Err(InvalidIndex::FieldCount { .. })));
}

fn any_value() -> impl Strategy<Value = Bson> {
    let leaf =
        prop_oneof![Just(Bson::Null), (0..3).prop_map(Bson::Int32), "[ab]{0,2}".prop_map(Bson::String)];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            prop::collection::btree_map("[ab0]", inner, 0..3)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

fn any_document() -> impl Strategy<Value = Document> {
    prop::collection::btree_map("[ab]", any_value(), 0..3).prop_map(|fields| fields.into_iter().collect())
}

proptest! {
    /// Every value the walk reaches stands in the index, whole or by its elements.
    #[test]
    fn every_value_reached_has_an_entry(document in any_document(), path in "[ab](\\.[ab0]){0,2}") {
        let document = raw(&document);
        let Ok(derived) = derive(&index(&[&path]), &document) else { return Ok(()) };
        prop_assert!(!derived.keys.is_empty());
        let has = |value: RawBsonRef<'_>| {
            let mut key = Vec::new();
            encode_value(&mut key, value);
            derived.keys.contains(&key)
        };
        let mut missed = Vec::new();
        let _ = walk(&document, &path, |reached, _| {
            let there = match reached {
                Reached::Value(RawBsonRef::Array(array)) | Reached::Element(RawBsonRef::Array(array)) => {
                    array.into_iter().all(|element| has(element.unwrap()))
                }
                Reached::Value(value) | Reached::Element(value) => has(value),
                Reached::Missing | Reached::Nowhere => has(RawBsonRef::Null),
            };
            if !there {
                missed.push(format!("{reached:?}"));
            }
            ControlFlow::Continue(())
        });
        prop_assert_eq!(missed, Vec::<String>::new());
    }

    /// Sorting without an index agrees with scanning one, and a document that is not multikey has one key.
    #[test]
    fn the_first_entry_is_the_least_key(document in any_document(), paths in prop::collection::btree_set("-?[ab](\\.[ab0]){0,2}", 1..4)) {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let index = index(&paths);
        let document = raw(&document);
        let first = first_entry(&index.fields, &document);
        if let Ok(derived) = derive(&index, &document) {
            prop_assert!(derived.keys.is_sorted());
            prop_assert_eq!(Some(&first), derived.keys.first());
            prop_assert!(derived.multikey || derived.keys.len() == 1);
        }
    }
}
