//! What each predicate means, as tables: one per rule of the MongoDB manual ("Query an Array", "Query an
//! Array of Embedded Documents", "Query for Null or Missing Fields", "Comparison Query Operators").

use bson::{Bson, Document, RawDocument, RawDocumentBuf, bson, doc};
use nimbus_query::Predicate::{self, Contains, Eq, Exists, Gt, Gte, In, Lt, Lte, Ne, NotIn, Prefix};
use nimbus_query::{Filter, InvalidFilter};
use nimbus_types::limits;

fn field(path: &str, predicate: Predicate) -> Filter {
    Filter::Field { path: path.into(), predicate }
}

fn matches(document: &Document, filter: &Filter) -> bool {
    filter
        .matches(&RawDocumentBuf::try_from(document).expect("field names without NUL"))
        .expect("nothing that fails")
}

/// Each row: a document, a path, a predicate, and whether it holds.
#[track_caller]
fn check(rows: Vec<(Document, &str, Predicate, bool)>) {
    for (document, path, predicate, want) in rows {
        let found = matches(&document, &field(path, predicate.clone()));
        assert_eq!(found, want, "{document} {path} {predicate:?}");
    }
}

#[test]
fn a_predicate_on_an_array_holds_for_any_element_or_the_whole() {
    let document = || doc! { "tags": ["red", "blank"], "dim": [14, 21], "nested": [[1, 2], 3] };
    check(vec![
        (document(), "tags", Eq("red".into()), true),
        (document(), "tags", Eq("blue".into()), false),
        (document(), "tags", Eq(bson!(["red", "blank"])), true),
        (document(), "tags", Eq(bson!(["blank", "red"])), false),
        (document(), "dim", Gt(20.into()), true),
        (document(), "dim", Lt(14.into()), false),
        (document(), "dim", In(vec![1.into(), 21.into()]), true),
        (document(), "nested", Eq(bson!([1, 2])), true),
        (document(), "nested", Eq(1.into()), false),
        (document(), "dim", Gt(bson!([14, 20])), true),
        (document(), "dim", Gt(bson!([15])), false),
        (doc! { "a": [] }, "a", Eq(bson!([])), true),
        (doc! { "a": [1] }, "a", Eq(bson!([])), false),
        (document(), "tags", Prefix("bl".into()), true),
    ]);
}

#[test]
fn different_elements_may_meet_different_clauses() {
    let both = Filter::And(vec![field("dim", Gt(15.into())), field("dim", Lt(20.into()))]);
    assert!(matches(&doc! { "dim": [14, 21] }, &both));
    assert!(!matches(&doc! { "dim": 14 }, &both));
}

#[test]
fn negations_are_of_the_whole() {
    check(vec![
        (doc! { "a": [1, 2] }, "a", Ne(1.into()), false),
        (doc! { "a": [2, 3] }, "a", Ne(1.into()), true),
        (doc! {}, "a", Ne(1.into()), true),
        (doc! { "a": [1, 2] }, "a", NotIn(vec![2.into(), 3.into()]), false),
        (doc! { "a": [1] }, "a", NotIn(vec![]), true),
        (doc! { "a": Bson::Null }, "a", Ne(Bson::Null), false),
        (doc! {}, "a", NotIn(vec![Bson::Null]), false),
    ]);
    let not = Filter::Not(Box::new(field("a", Gt(1.into()))));
    assert!(!matches(&doc! { "a": [0, 2] }, &not));
    assert!(matches(&doc! { "a": "text" }, &not) && matches(&doc! {}, &not));
}

#[test]
fn null_equals_missing_and_undefined_but_exists_tells_them_apart() {
    check(vec![
        (doc! { "a": Bson::Null }, "a", Eq(Bson::Null), true),
        (doc! {}, "a", Eq(Bson::Null), true),
        (doc! { "a": Bson::Undefined }, "a", Eq(Bson::Null), true),
        (doc! { "a": [1, Bson::Null] }, "a", Eq(Bson::Null), true),
        (doc! { "a": [] }, "a", Eq(Bson::Null), false),
        (doc! { "a": 0 }, "a", Eq(Bson::Null), false),
        (doc! {}, "a", In(vec![1.into(), Bson::Null]), true),
        (doc! {}, "a", Gte(Bson::Null), true),
        (doc! {}, "a", Gt(Bson::Null), false),
        (doc! { "a": Bson::Null }, "a", Exists(true), true),
        (doc! {}, "a", Exists(true), false),
        (doc! {}, "a", Exists(false), true),
        (doc! { "a": [] }, "a", Exists(true), true),
        (doc! { "a": [{ "b": 1 }, {}] }, "a.b", Exists(false), false),
    ]);
}

#[test]
fn paths_go_through_arrays_of_documents() {
    let stock = || doc! { "instock": [{ "qty": 5 }, { "qty": [40, 15] }, {}, 7] };
    check(vec![
        (stock(), "instock.qty", Lte(5.into()), true),
        (stock(), "instock.qty", Eq(40.into()), true),
        (stock(), "instock.qty", Eq(bson!([40, 15])), true),
        (stock(), "instock.qty", Eq(Bson::Null), true),
        (stock(), "instock.0.qty", Eq(5.into()), true),
        (stock(), "instock.1.qty", Eq(5.into()), false),
        (stock(), "instock.1.qty.1", Eq(15.into()), true),
        (stock(), "instock.3", Eq(7.into()), true),
        (stock(), "instock", Eq(bson!({ "qty": 5 })), true),
        (doc! { "a": [] }, "a.b", Eq(Bson::Null), false),
        (doc! { "a": [1] }, "a.b", Eq(Bson::Null), false),
        (doc! { "a": 1 }, "a.b", Eq(Bson::Null), true),
        (doc! { "a": [1] }, "a.5", Exists(false), true),
        (doc! { "a": [[5]] }, "a.0", Eq(5.into()), false),
        (doc! { "a": [[5]] }, "a.0", Eq(bson!([5])), true),
    ]);
}

#[test]
fn ranges_compare_values_of_one_kind() {
    check(vec![
        (doc! { "a": "5" }, "a", Gt(1.into()), false),
        (doc! { "a": 5 }, "a", Lt("9".into()), false),
        (doc! { "a": "b" }, "a", Gt("a".into()), true),
        (doc! { "a": 5_i64 }, "a", Gte(5.0.into()), true),
        (doc! { "a": true }, "a", Gt(false.into()), true),
        (doc! { "a": { "x": 2 } }, "a", Gt(bson!({ "x": 1 })), true),
        (doc! {}, "a", Lt(1.into()), false),
        (doc! { "a": Bson::MinKey }, "a", Lt(1.into()), false),
    ]);
}

#[test]
fn everything_lies_between_min_key_and_max_key() {
    for value in [Bson::Null, 1.into(), "x".into(), bson!([1]), bson!({ "x": 1 })] {
        check(vec![
            (doc! { "a": value.clone() }, "a", Gt(Bson::MinKey), true),
            (doc! { "a": value.clone() }, "a", Lte(Bson::MaxKey), true),
            (doc! { "a": value.clone() }, "a", Lt(Bson::MinKey), false),
            (doc! { "a": value }, "a", Gte(Bson::MaxKey), false),
        ]);
    }
    check(vec![
        (doc! {}, "a", Gt(Bson::MinKey), true),
        (doc! { "a": Bson::MinKey }, "a", Gt(Bson::MinKey), false),
        (doc! { "a": Bson::MinKey }, "a", Lte(Bson::MinKey), true),
        (doc! { "a": Bson::MaxKey }, "a", Eq(Bson::MaxKey), true),
    ]);
}

#[test]
fn nan_compares_with_nan_alone() {
    let nan = || Bson::Double(f64::NAN);
    check(vec![
        (doc! { "a": nan() }, "a", Eq(nan()), true),
        (doc! { "a": nan() }, "a", Lt(5.into()), false),
        (doc! { "a": f64::NEG_INFINITY }, "a", Lt(5.into()), true),
        (doc! { "a": nan() }, "a", Gte(nan()), true),
        (doc! { "a": nan() }, "a", Gt(nan()), false),
        (doc! { "a": 1 }, "a", Lte(nan()), false),
        (doc! { "a": nan() }, "a", Eq(Bson::Decimal128("NaN".parse().unwrap())), true),
    ]);
}

#[test]
fn prefix_and_contains() {
    let document = || doc! { "name": "rowan", "tags": ["red", 5, Bson::Null], "deep": [["x"]] };
    check(vec![
        (document(), "name", Prefix("row".into()), true),
        (document(), "name", Prefix(String::new()), true),
        (document(), "name", Prefix("owa".into()), false),
        (document(), "none", Prefix(String::new()), false),
        (document(), "name", Contains("owa".into()), true),
        (document(), "name", Contains("row\0".into()), false),
        (document(), "tags", Contains("red".into()), true),
        (document(), "tags", Contains("re".into()), false),
        (document(), "tags", Contains(5.0.into()), true),
        (document(), "tags", Contains(Bson::Null), true),
        (document(), "none", Contains(Bson::Null), false),
        (document(), "deep", Contains("x".into()), false),
        (document(), "deep", Contains(bson!(["x"])), true),
        (doc! { "n": 5 }, "n", Contains(5.into()), false),
    ]);
}

#[test]
fn connectives() {
    let one = || field("a", Eq(1.into()));
    let document = doc! { "a": 1 };
    for (filter, want, clauses) in [
        (Filter::All, true, 1),
        (Filter::And(vec![]), true, 1),
        (Filter::Or(vec![]), false, 1),
        (Filter::Or(vec![Filter::Not(Box::new(one())), one()]), true, 4),
        (Filter::And(vec![Filter::Not(Box::new(one())), one()]), false, 4),
    ] {
        assert_eq!((matches(&document, &filter), filter.clauses()), (want, clauses), "{filter:?}");
    }
}

#[test]
fn filters_are_checked() {
    let mut deep = Filter::All;
    for _ in 1..limits::NESTING_DEPTH {
        deep = Filter::Not(Box::new(deep));
    }
    assert_eq!(deep.check(), Ok(()));
    let too_deep = Filter::Not(Box::new(deep)).check();
    assert_eq!(too_deep, Err(InvalidFilter::TooDeep { limit: limits::NESTING_DEPTH }));

    let limit = limits::FILTER_CLAUSES;
    assert_eq!(Filter::Or(vec![Filter::All; limit - 1]).check(), Ok(()));
    assert_eq!(Filter::Or(vec![Filter::All; limit]).check(), Err(InvalidFilter::TooManyClauses { limit }));

    assert!(matches!(field("a..b", Exists(true)).check(), Err(InvalidFilter::Path(_))));
}

#[test]
fn operands_that_bson_cannot_hold_equal_nothing() {
    let impossible = Bson::Document(doc! { "a\0b": 1 });
    check(vec![
        (doc! { "a": {} }, "a", Eq(impossible.clone()), false),
        (doc! { "a": {} }, "a", Ne(impossible.clone()), true),
        (doc! { "a": {} }, "a", Gte(impossible), false),
    ]);
}

#[test]
fn broken_documents_do_not_panic() {
    // A string whose length runs past the document's end.
    let bytes = [12, 0, 0, 0, 0x02, b'a', 0, 0x7F, 0, 0, 0, 0];
    let broken = RawDocument::from_bytes(&bytes).unwrap();
    assert_eq!(field("a", Eq(1.into())).matches(broken), Ok(false));
    assert_eq!(field("a", Eq(Bson::Null)).matches(broken), Ok(true));
}
