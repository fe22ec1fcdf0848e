//! `$out` and `$merge`: what the pipeline tells the engine to write.

use bson::{Bson, Document, doc};
use nimbus_query::{Merge, MergeAction, ParseContext, Pipeline, QueryError, Target};

use crate::support::code;

fn target(stage: Document) -> Result<Target, QueryError> {
    Ok(Pipeline::parse(&[stage], &ParseContext::default())?.writes().cloned().expect("a stage that writes"))
}

fn merge(options: Document) -> Merge {
    match target(doc! { "$merge": options }) {
        Ok(Target::Merge(merge)) => merge,
        other => panic!("{other:?}"),
    }
}

#[test]
fn out_names_a_collection() {
    let out =
        |database: Option<&str>| Target::Out { database: database.map(Into::into), collection: "c".into() };
    assert_eq!(target(doc! { "$out": "c" }), Ok(out(None)));
    assert_eq!(target(doc! { "$out": { "db": "d", "coll": "c" } }), Ok(out(Some("d"))));
}

#[test]
fn merge_does_with_a_document_what_its_modes_say() {
    let (new, old) = (doc! { "_id": 1, "a": 2, "n": 3 }, doc! { "_id": 1, "a": 1, "o": 9 });
    let replaced = |document: Document| Ok(MergeAction::Replace(document));
    let pipeline = |stage: Document| doc! { "into": "c", "whenMatched": [stage] };
    let table: [(Document, Result<MergeAction, i32>); 7] = [
        (doc! { "into": "c" }, replaced(doc! { "_id": 1, "a": 2, "o": 9, "n": 3 })),
        (doc! { "into": "c", "whenMatched": "replace" }, replaced(new.clone())),
        (doc! { "into": "c", "whenMatched": "keepExisting" }, Ok(MergeAction::Nothing)),
        (doc! { "into": "c", "whenMatched": "fail" }, Ok(MergeAction::Insert(new.clone()))),
        (
            pipeline(doc! { "$set": { "a": { "$add": ["$a", "$$new.a"] } } }),
            replaced(doc! { "_id": 1, "a": 3, "o": 9 }),
        ),
        (pipeline(doc! { "$set": { "a": 1 } }), Ok(MergeAction::Nothing)),
        (
            doc! { "into": "c", "let": { "n": "$n" }, "whenMatched": [{ "$set": { "a": "$$n" } }] },
            replaced(doc! { "_id": 1, "a": 3, "o": 9 }),
        ),
    ];
    for (options, expected) in table {
        let action = merge(options.clone()).apply(new.clone(), Some(&old));
        assert_eq!(action.map_err(|error| error.code), expected, "{options}");
    }
    let unmatched = |mode: &str| merge(doc! { "into": "c", "whenNotMatched": mode }).apply(new.clone(), None);
    assert_eq!(unmatched("insert"), Ok(MergeAction::Insert(new.clone())));
    assert_eq!(unmatched("discard"), Ok(MergeAction::Nothing));
    assert_eq!(unmatched("fail").map_err(|error| error.code), Err(13113));
}

#[test]
fn a_replacement_keeps_the_id_and_may_not_change_it() {
    let by_name = merge(doc! { "into": "c", "on": "name", "whenMatched": "replace" });
    let old = doc! { "_id": 1, "name": "x" };
    let kept = by_name.apply(doc! { "name": "x", "a": 1 }, Some(&old)).unwrap();
    assert_eq!(kept, MergeAction::Replace(doc! { "_id": 1, "name": "x", "a": 1 }));
    let changed = by_name.apply(doc! { "_id": 2, "name": "x" }, Some(&old));
    assert_eq!(changed.map_err(|error| error.code), Err(66));
}

#[test]
fn a_document_is_found_by_the_on_fields() {
    let by = merge(doc! { "into": "c", "on": ["a.b", "c"] });
    let filter = by.filter(&doc! { "a": { "b": 1 }, "c": "x" });
    assert_eq!(filter, Ok(doc! { "a.b": { "$eq": 1 }, "c": { "$eq": "x" } }));
    assert_eq!(by.filter(&doc! { "c": "x" }).map_err(|error| error.code), Err(51132));
    assert_eq!(by.filter(&doc! { "a": { "b": [1] }, "c": 1 }).map_err(|error| error.code), Err(51185));
    assert!(merge(doc! { "into": "c" }).filter(&doc! { "a": 1 }).is_ok());
}

#[test]
fn what_is_written_wrong_is_refused_by_number() {
    let merge = |more: Document| {
        let mut options = doc! { "into": "c" };
        options.extend(more);
        doc! { "$merge": options }
    };
    let table = [
        (doc! { "$out": 1 }, 16990),
        (doc! { "$out": { "db": "d" } }, 40414),
        (doc! { "$out": { "coll": "c", "timeseries": {} } }, 40415),
        (doc! { "$out": "" }, 73),
        (doc! { "$out": "a$b" }, 73),
        (doc! { "$merge": 1 }, 51182),
        (doc! { "$merge": {} }, 40414),
        (doc! { "$merge": { "into": 1 } }, 51178),
        (merge(doc! { "other": 1 }), 40415),
        (merge(doc! { "on": [] }), 51187),
        (merge(doc! { "on": [1] }), 51134),
        (merge(doc! { "on": 1 }), 51186),
        (merge(doc! { "on": ["a", "a"] }), 31465),
        (merge(doc! { "whenMatched": "sometimes" }), 2),
        (merge(doc! { "whenMatched": 1 }), 51191),
        (merge(doc! { "whenMatched": "fail", "whenNotMatched": "discard" }), 51189),
        (merge(doc! { "whenMatched": "replace", "let": {} }), 51199),
        (merge(doc! { "whenMatched": [{ "$set": { "a": "$$other" } }] }), 17276),
        (merge(doc! { "whenNotMatched": Bson::Null }), 2),
    ];
    for (stage, expected) in table {
        assert_eq!(code(std::slice::from_ref(&stage), &[]), expected, "{stage}");
    }
}
