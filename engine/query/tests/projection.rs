//! Projections as clients write them, and what documents look like through them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bson::{Bson, Document, RawDocumentBuf, doc};
use nimbus_query::{ParseContext, Projection, QueryError};
use proptest::prelude::*;

fn project_at(
    document: &Document,
    projection: &Document,
    position: Option<usize>,
) -> Result<Document, QueryError> {
    let projection = Projection::parse(projection, &ParseContext::default())?;
    let raw = projection.apply(&RawDocumentBuf::try_from(document).unwrap(), position)?;
    Ok(Document::try_from(raw).unwrap())
}

/// Compares bytes, so that field order counts. Where both readings of a document are possible they agree.
fn check(table: &[(Document, Document, Document)]) {
    for (document, projection, expected) in table {
        let result =
            project_at(document, projection, None).unwrap_or_else(|error| panic!("{projection}: {error}"));
        assert_eq!(result.to_vec().unwrap(), expected.to_vec().unwrap(), "{projection} gave {result}");
        let parsed = Projection::parse(projection, &ParseContext::default()).unwrap();
        let decoded = parsed.apply_document(document.clone()).unwrap();
        assert_eq!(
            decoded.to_vec().unwrap(),
            expected.to_vec().unwrap(),
            "{projection} decoded gave {decoded}"
        );
    }
}

#[test]
fn fields_are_included() {
    let document =
        doc! { "_id": 1, "a": 1, "b": { "c": 2, "d": 3 }, "e": [{ "f": 4, "g": 5 }, 6, [{ "f": 7 }]] };
    check(&[
        (document.clone(), doc! {}, document.clone()),
        (document.clone(), doc! { "b": 1, "a": true }, doc! { "_id": 1, "a": 1, "b": { "c": 2, "d": 3 } }),
        (document.clone(), doc! { "_id": 1 }, doc! { "_id": 1 }),
        (document.clone(), doc! { "_id": 0, "a": 1 }, doc! { "a": 1 }),
        (document.clone(), doc! { "b.d": 1, "x": 1 }, doc! { "_id": 1, "b": { "d": 3 } }),
        (document.clone(), doc! { "b": { "d": 1 } }, doc! { "_id": 1, "b": { "d": 3 } }),
        (document.clone(), doc! { "b.x": 1, "a.x": 1 }, doc! { "_id": 1, "b": {} }),
        (document.clone(), doc! { "e.f": 1 }, doc! { "_id": 1, "e": [{ "f": 4 }, [{ "f": 7 }]] }),
        (doc! { "a": 1, "_id": { "x": 1, "y": 2 } }, doc! { "_id.x": 1 }, doc! { "_id": { "x": 1 } }),
    ]);
}

#[test]
fn fields_are_excluded() {
    let document =
        doc! { "_id": 1, "a": 1, "b": { "c": 2, "d": 3 }, "e": [{ "f": 4, "g": 5 }, 6, [{ "f": 7 }]] };
    check(&[
        (document.clone(), doc! { "e": 0, "b": 0 }, doc! { "_id": 1, "a": 1 }),
        (document.clone(), doc! { "_id": 0, "e": 0 }, doc! { "a": 1, "b": { "c": 2, "d": 3 } }),
        (document.clone(), doc! { "_id": 1, "e": 0, "b": 0 }, doc! { "_id": 1, "a": 1 }),
        (document.clone(), doc! { "e": 0, "b.c": 0 }, doc! { "_id": 1, "a": 1, "b": { "d": 3 } }),
        (document.clone(), doc! { "a": 0, "b": 0, "e.f": 0 }, doc! { "_id": 1, "e": [{ "g": 5 }, 6, [{}]] }),
        (document, doc! { "_id": 0, "a.x": 0, "b": 0, "e": 0 }, doc! { "a": 1 }),
        (doc! { "_id": 1, "a": 2 }, doc! { "_id": 0 }, doc! { "a": 2 }),
    ]);
}

#[test]
fn fields_are_computed() {
    let document = doc! { "_id": 1, "a": 1, "b": { "c": 2 }, "e": [{ "f": 4 }, 6] };
    check(&[
        (document.clone(), doc! { "x": "$a", "b": 1 }, doc! { "_id": 1, "b": { "c": 2 }, "x": 1 }),
        (document.clone(), doc! { "a": "$b.c", "b": 1 }, doc! { "_id": 1, "b": { "c": 2 }, "a": 2 }),
        (document.clone(), doc! { "x": "text", "_id": 0 }, doc! { "x": "text" }),
        (document.clone(), doc! { "x": ["$a", 5], "_id": 0 }, doc! { "x": [1, 5] }),
        (document.clone(), doc! { "x": "$$REMOVE" }, doc! { "_id": 1 }),
        (document.clone(), doc! { "b.x": "$a" }, doc! { "_id": 1, "b": { "x": 1 } }),
        (document.clone(), doc! { "_id": 0, "e.x": "$a" }, doc! { "e": [{ "x": 1 }, { "x": 1 }] }),
        (document.clone(), doc! { "_id": 0, "y": { "z": "$a" } }, doc! { "y": { "z": 1 } }),
        (document.clone(), doc! { "_id": "$a" }, doc! { "_id": 1 }),
        (document, doc! { "_id": 0, "x": { "$eq": ["$a", 1] } }, doc! { "x": true }),
    ]);
}

#[test]
fn slices_keep_a_part_of_an_array() {
    let document = doc! { "_id": 1, "a": [1, 2, 3, 4], "b": { "c": [1, 2], "d": 1 } };
    let rest = doc! { "c": [1, 2], "d": 1 };
    check(&[
        (document.clone(), doc! { "a": { "$slice": 2 } }, doc! { "_id": 1, "a": [1, 2], "b": rest.clone() }),
        (
            document.clone(),
            doc! { "a": { "$slice": -3 } },
            doc! { "_id": 1, "a": [2, 3, 4], "b": rest.clone() },
        ),
        (
            document.clone(),
            doc! { "a": { "$slice": [1, 2] } },
            doc! { "_id": 1, "a": [2, 3], "b": rest.clone() },
        ),
        (
            document.clone(),
            doc! { "a": { "$slice": [-2, 1] } },
            doc! { "_id": 1, "a": [3], "b": rest.clone() },
        ),
        (document.clone(), doc! { "a": { "$slice": [9, 1] } }, doc! { "_id": 1, "a": [], "b": rest.clone() }),
        (document.clone(), doc! { "a": { "$slice": [-9, 1] } }, doc! { "_id": 1, "a": [1], "b": rest }),
        (
            document.clone(),
            doc! { "b.c": { "$slice": 1 }, "a": 1 },
            doc! { "_id": 1, "a": [1, 2, 3, 4], "b": { "c": [1] } },
        ),
        (
            document.clone(),
            doc! { "b.c": { "$slice": 1 }, "a": 0 },
            doc! { "_id": 1, "b": { "c": [1], "d": 1 } },
        ),
        (document, doc! { "_id": 1, "a": { "$slice": 1 } }, doc! { "_id": 1, "a": [1] }),
    ]);
}

#[test]
fn element_match_keeps_the_first_element() {
    let document =
        doc! { "_id": 1, "a": [{ "b": 1 }, { "b": 2, "c": 1 }, { "b": 2, "c": 2 }], "d": 5, "e": 6 };
    check(&[
        (
            document.clone(),
            doc! { "a": { "$elemMatch": { "b": 2 } } },
            doc! { "_id": 1, "a": [{ "b": 2, "c": 1 }] },
        ),
        (document.clone(), doc! { "a": { "$elemMatch": { "b": 3 } }, "d": 1 }, doc! { "_id": 1, "d": 5 }),
        (
            document.clone(),
            doc! { "a": { "$elemMatch": { "b": 2 } }, "d": 1 },
            doc! { "_id": 1, "d": 5, "a": [{ "b": 2, "c": 1 }] },
        ),
        (document, doc! { "d": { "$elemMatch": { "b": 2 } } }, doc! { "_id": 1 }),
    ]);
}

#[test]
fn the_positional_operator_keeps_the_element_that_matched() {
    let document = doc! { "_id": 1, "a": [5, 6, 7], "b": { "c": [{ "d": 1, "e": 1 }, { "d": 2 }] }, "f": [1, { "g": 2 }] };
    let at = |projection, position| project_at(&document, &projection, position);
    assert_eq!(at(doc! { "a.$": 1 }, Some(2)).unwrap(), doc! { "_id": 1, "a": [7] });
    assert_eq!(
        at(doc! { "b.c.$": 1 }, Some(0)).unwrap(),
        doc! { "_id": 1, "b": { "c": [{ "d": 1, "e": 1 }] } }
    );
    assert_eq!(at(doc! { "f.g.$": 1, "_id": 0 }, Some(1)).unwrap(), doc! { "f": [{ "g": 2 }] });
    assert_eq!(at(doc! { "x.$": 1 }, None).unwrap(), doc! { "_id": 1 });
    assert_eq!(at(doc! { "a.$": 1 }, None).unwrap_err().code, 51246);
    assert_eq!(at(doc! { "a.$": 1 }, Some(3)).unwrap_err().code, 51247);
    let parsed = Projection::parse(&doc! { "a.$": 1 }, &ParseContext::default()).unwrap();
    assert!(parsed.needs_position());
}

#[test]
fn malformed_projections_are_refused() {
    let table = [
        (doc! { "a": 1, "b": 0 }, 31254, "Cannot do exclusion on field b in inclusion projection"),
        (doc! { "a": 0, "b": 1 }, 31253, "Cannot do inclusion on field b in exclusion projection"),
        (doc! { "a": 0, "b": "x" }, 31252, "Cannot use expression other than $meta in exclusion projection"),
        (doc! { "a": 1, "a.b": 1 }, 31249, "Path collision at a.b remaining portion b"),
        (doc! { "a.b": 1, "a": 1 }, 31250, "Path collision at a"),
        (doc! { "a": { "b": 1 }, "a.b": 1 }, 31250, "Path collision at a.b"),
        (doc! { "_id": 0, "_id.a": 1 }, 31250, "Path collision at _id"),
        (doc! { "a": {} }, 51270, "An empty sub-projection is not a valid value. Found empty object at path"),
        (doc! { "a": { "$slice": "x" } }, 31273, "$slice only supports numbers and [skip, limit] arrays"),
        (doc! { "a": { "$slice": [1, 0] } }, 31272, "$slice limit must be positive"),
        (doc! { "a": { "$elemMatch": 1 } }, 31274, "elemMatch: Invalid argument, object required"),
        (doc! { "a.b": { "$elemMatch": {} } }, 31275, "Cannot use $elemMatch projection on a nested field"),
        (doc! { "a.$": 0 }, 31395, "positional projection cannot be used with exclusion"),
        (doc! { "a.$": "x" }, 31308, "positional projection cannot be used with a literal"),
        (doc! { "a.$": 1, "b.$": 1 }, 31276, "Cannot specify more than one positional projection per query."),
        (
            doc! { "a.$": 1, "b": { "$elemMatch": {} } },
            31255,
            "Cannot specify positional operator and $elemMatch.",
        ),
        (doc! { "a": { "$meta": "textScore" } }, 115, "$meta is not supported in a projection"),
        (doc! { "a.": 1 }, 40353, "FieldPath must not end with a '.'."),
        (doc! { "": 1 }, 40352, "FieldPath cannot be constructed with empty string"),
    ];
    for (projection, code, message) in table {
        let error = Projection::parse(&projection, &ParseContext::default()).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (code, message), "{projection}");
    }
    for (projection, code) in
        [(doc! { "a.$.b": 1 }, 31394), (doc! { "$a": 1 }, 16410), (doc! { "a": { "$foo": 1 } }, 168)]
    {
        let error = Projection::parse(&projection, &ParseContext::default()).unwrap_err();
        assert_eq!(error.code, code, "{projection}");
    }
    let deep = (0..5_000).fold(Bson::from(1), |inner, _| Bson::Document(doc! { "a": inner }));
    let Bson::Document(deep) = deep else { panic!() };
    assert_eq!(Projection::parse(&deep, &ParseContext::default()).unwrap_err().code, 15);
}

#[test]
fn stages_share_the_language_but_for_what_is_of_find_alone() {
    let context = ParseContext::default();
    let document = doc! { "_id": 1, "a": [1, 2], "b": { "c": 1 }, "e": [{ "f": 1 }, 2] };
    let set =
        |specification| Projection::parse_set(&specification, &context)?.apply_document(document.clone());
    assert_eq!(
        set(doc! { "b": { "d": 2 }, "z": 0, "a": "$b" }).unwrap().to_vec().unwrap(),
        doc! { "_id": 1, "a": { "c": 1 }, "b": { "c": 1, "d": 2 }, "e": [{ "f": 1 }, 2], "z": 0 }
            .to_vec()
            .unwrap()
    );
    assert_eq!(
        set(doc! { "e.g": "$b.c", "a": "$missing", "y": {} }).unwrap(),
        doc! { "_id": 1, "b": { "c": 1 }, "e": [{ "f": 1, "g": 1 }, { "g": 1 }], "y": {} }
    );
    let unset = |paths: Bson| Projection::parse_unset(&paths, &context)?.apply_document(document.clone());
    assert_eq!(unset(bson::bson!(["a", "e", "b.c"])).unwrap(), doc! { "_id": 1, "b": {} });
    assert_eq!(unset(bson::bson!([1])).unwrap_err().code, 31120);
    assert_eq!(unset(bson::bson!([])).unwrap_err().code, 31119);
    assert_eq!(unset(bson::bson!(["a", "a"])).unwrap_err().code, 31250);
    assert_eq!(Projection::parse_stage(&doc! {}, &context).unwrap_err().code, 51272);
    assert_eq!(Projection::parse_stage(&doc! { "a": { "$elemMatch": {} } }, &context).unwrap_err().code, 168);
}

fn value() -> impl Strategy<Value = Bson> {
    let leaf =
        prop_oneof![(0..3).prop_map(Bson::Int32), Just(Bson::Null), "[ab]{0,3}".prop_map(Bson::String)];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
            fields(inner).prop_map(Bson::Document),
        ]
    })
}

fn fields(value: impl Strategy<Value = Bson>) -> impl Strategy<Value = Document> {
    prop::collection::vec(("[abc]|_id", value), 0..4).prop_map(|fields| fields.into_iter().collect())
}

proptest! {
    /// A choice that is made on bytes is the one that is made on decoded documents, and nothing panics.
    #[test]
    fn bytes_and_decoded_documents_look_the_same(
        document in fields(value()),
        entries in prop::collection::vec((r"[abc](\.[abc]){0,2}|_id", 0..2), 0..4),
        computed in prop::option::of((r"[abc](\.[abc]){0,2}", value())),
        position in prop::option::of(0_usize..3),
    ) {
        let mut projection: Document = entries.into_iter().map(|(path, shown)| (path, Bson::Int32(shown))).collect();
        projection.extend(computed);
        if let Ok(parsed) = Projection::parse(&projection, &ParseContext::default()) {
            let raw = parsed.apply(&RawDocumentBuf::try_from(&document).unwrap(), position).unwrap();
            let decoded = parsed.apply_document(document).unwrap();
            prop_assert_eq!(raw.as_bytes(), decoded.to_vec().unwrap());
        }
    }
}
