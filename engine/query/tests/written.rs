//! Filters as clients may write them, right or wrong, against documents of all shapes: nothing panics, negations
//! are negations, and key bounds hold what matches.

use bson::{Bson, Document, RawDocumentBuf, Regex, doc};
use nimbus_query::bounds::{KeyInterval, clause_bounds, intersect};
use nimbus_query::{Collation, Filter, ParseContext, explain_failure};
use nimbus_types::IndexId;
use nimbus_types::index::{IndexDefinition, IndexField, derive};
use proptest::prelude::*;

fn regex(pattern: &str, options: &str) -> Bson {
    let text = |text: &str| text.try_into().expect("no NUL");
    Bson::RegularExpression(Regex { pattern: text(pattern), options: text(options) })
}

fn scalar() -> impl Strategy<Value = Bson> {
    prop_oneof![
        1 => Just(Bson::Null),
        1 => (-2..3).prop_map(Bson::Int32),
        1 => (-2_i64..3).prop_map(Bson::Int64),
        1 => prop::sample::select(vec![-1.5, -0.0, 2.5, f64::NAN, f64::INFINITY]).prop_map(Bson::Double),
        3 => prop::sample::select(vec!["", "a", "A", "ab", "aB", "b"]).prop_map(Bson::from),
        1 => any::<bool>().prop_map(Bson::Boolean),
        2 => prop::sample::select(vec![
            Bson::MinKey,
            Bson::MaxKey,
            Bson::Undefined,
            Bson::Symbol("ab".into()),
            Bson::Decimal128("1".parse().expect("a decimal")),
            Bson::Decimal128("NaN".parse().expect("a decimal")),
            Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2] }),
            regex("^a", ""),
            regex("^ab.*", ""),
            regex("A", "i"),
            regex("b$|^a", ""),
        ]),
    ]
}

/// Mostly a scalar; a recursive strategy alone would hardly ever stop at one.
fn value() -> impl Strategy<Value = Bson> {
    let nested = scalar().prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            2 => prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            1 => prop::collection::btree_map("[ab0]", inner, 0..3)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    });
    prop_oneof![3 => scalar(), 2 => nested]
}

/// `a` is nearly always there, `b` sometimes.
fn document() -> impl Strategy<Value = Document> {
    (prop::option::weighted(0.9, value()), prop::option::of(value())).prop_map(|(a, b)| {
        let fields = [("a", a), ("b", b)];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    })
}

fn path() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "a", "a", "a", "a.b", "a.b", "a.0", "a.b.a", "a.0.b", "b"])
        .prop_map(String::from)
}

/// A value that operators take.
fn operand() -> impl Strategy<Value = Bson> {
    fn is_plain(value: &Bson) -> bool {
        !matches!(value, Bson::Undefined | Bson::RegularExpression(_))
    }
    value().prop_filter("comparable", is_plain)
}

/// An operator with an operand that it takes, most of the time.
fn operator() -> BoxedStrategy<Document> {
    let one = |names: Vec<&'static str>, operand: BoxedStrategy<Bson>| {
        (prop::sample::select(names), operand).prop_map(|(name, operand)| doc! { name: operand }).boxed()
    };
    let list = || prop::collection::vec(operand(), 0..3).prop_map(Bson::Array).boxed();
    let positions = || prop::collection::vec((0..9).prop_map(Bson::from), 2).prop_map(Bson::Array).boxed();
    let patterns = vec!["^a", "^ab", "b$", "^a|b", ""];
    let kinds = vec!["string", "number", "array", "null", "object", "int"];
    let leaf = || {
        prop_oneof![
            9 => one(vec!["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"], operand().boxed()),
            4 => one(vec!["$in", "$nin", "$all"], list()),
            1 => one(vec!["$in", "$nin", "$all"], prop::collection::vec(value(), 1..3).prop_map(Bson::Array).boxed()),
            1 => one(vec!["$mod", "$bitsAllSet", "$bitsAnyClear"], positions()),
            2 => one(vec!["$regex"], prop::sample::select(patterns.clone()).prop_map(Bson::from).boxed()),
            1 => one(vec!["$type"], prop::sample::select(kinds.clone()).prop_map(Bson::from).boxed()),
            1 => one(vec!["$exists"], any::<bool>().prop_map(Bson::from).boxed()),
            1 => one(vec!["$size", "$bitsAnySet", "$bitsAllClear"], (0..3).prop_map(Bson::from).boxed()),
            1 => one(vec!["$foo", "$options", "$near", "$not", "$elemMatch", "$type", "$mod"], value().boxed()),
        ]
    };
    let nested = leaf().prop_recursive(3, 6, 2, |inner| {
        let several = prop::collection::vec(inner.clone(), 1..3);
        let merged = several.prop_map(|all| all.into_iter().flatten().collect::<Document>());
        prop_oneof![
            2 => merged.clone(),
            1 => merged.clone().prop_map(|inner| doc! { "$not": inner }),
            2 => merged.clone().prop_map(|inner| doc! { "$elemMatch": inner }),
            2 => (path(), merged).prop_map(|(path, inner)| doc! { "$elemMatch": { path: inner } }),
            1 => prop::collection::vec(inner, 0..3).prop_map(|all| doc! { "$all": all }),
        ]
    });
    prop_oneof![2 => leaf(), 1 => nested].boxed()
}

fn filter() -> impl Strategy<Value = Document> {
    let field = || {
        prop_oneof![
            4 => (path(), operator()).prop_map(|(path, operators)| doc! { path: operators }),
            1 => (path(), value()).prop_map(|(path, value)| doc! { path: value }),
        ]
    };
    let nested = field().prop_recursive(2, 6, 3, |inner| {
        let list = prop::collection::vec(inner, 1..3);
        (prop::sample::select(vec!["$and", "$or", "$nor"]), list).prop_map(|(name, list)| doc! { name: list })
    });
    prop_oneof![2 => field(), 1 => nested]
}

fn context() -> impl Strategy<Value = ParseContext> {
    let collation = Collation::parse(&doc! { "locale": "en", "strength": 1 }).expect("a collation");
    prop_oneof![2 => Just(None), 1 => Just(collation)]
        .prop_map(|collation| ParseContext { collation, ..ParseContext::default() })
}

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).expect("field names without NUL")
}

fn any_within(keys: &[Vec<u8>], intervals: &[KeyInterval]) -> bool {
    keys.iter().any(|key| intervals.iter().any(|interval| interval.contains(key)))
}

fn index(path: &str, sparse: bool) -> IndexDefinition {
    let fields = vec![IndexField { path: path.into(), descending: false }];
    IndexDefinition { id: IndexId(1), name: "by".into(), fields, unique: false, sparse }
}

/// Whether the filter matches, if it can be read.
fn matches(filter: &Document, document: &Document, context: &ParseContext) -> Option<bool> {
    Filter::parse(filter, context)
        .ok()
        .map(|filter| filter.matches(&raw(document)).expect("nothing that fails"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]

    #[test]
    fn nothing_panics(filter in filter(), document in document(), context in context()) {
        let Ok(filter) = Filter::parse(&filter, &context) else { return Ok(()) };
        let document = raw(&document);
        let matches = filter.matches(&document).unwrap();
        prop_assert!(matches || filter.array_position(&document).is_none());
        prop_assert!(filter.clauses() > 0);
        filter.equalities();
        explain_failure(&filter, &document);
    }

    /// The same with values where operators belong.
    #[test]
    fn nonsense_does_not_panic(
        name in "\\$?(and|or|expr|jsonSchema|comment|sampleRate|text|where|a)",
        operand in value(),
        document in document(),
    ) {
        if let Ok(filter) = Filter::parse(&doc! { name: operand }, &ParseContext::default()) {
            let _ = filter.matches(&raw(&document));
        }
    }

    #[test]
    fn patterns_do_not_panic(pattern in r"[\^$a-c\\\[\](){}?*+|.,<>:#QERwdsh0-9-]{0,12}", options in "[imxs]{0,2}", text in ".{0,8}") {
        let filter = doc! { "a": { "$regex": pattern, "$options": options } };
        if let Ok(filter) = Filter::parse(&filter, &ParseContext::default()) {
            let _ = filter.matches(&raw(&doc! { "a": text }));
        }
    }

    #[test]
    fn negations_are_negations(
        filter in filter(), path in path(), operators in operator(), operand in value(),
        document in document(), context in context(),
    ) {
        let holds = |filter: Document| matches(&filter, &document, &context);
        if let Some(found) = holds(filter.clone()) {
            prop_assert_eq!(holds(doc! { "$nor": [filter] }), Some(!found));
        }
        if let Some(found) = holds(doc! { &path: operators.clone() }) {
            prop_assert_eq!(holds(doc! { &path: { "$not": operators } }), Some(!found));
        }
        if let (Some(found), Some(negated)) =
            (holds(doc! { &path: { "$eq": &operand } }), holds(doc! { &path: { "$ne": &operand } }))
        {
            prop_assert_eq!(negated, !found);
        }
        let list = [operand, Bson::from(1)];
        if let Some(found) = holds(doc! { &path: { "$in": list.to_vec() } }) {
            prop_assert_eq!(holds(doc! { &path: { "$nin": list.to_vec() } }), Some(!found));
        }
        let exists = holds(doc! { &path: { "$exists": true } });
        prop_assert_eq!(holds(doc! { &path: { "$exists": false } }), exists.map(|exists| !exists));
    }

    #[test]
    fn bounds_hold_the_entries_of_every_match(
        filter in filter(), document in document(), path in path(), context in context(),
    ) {
        check_bounds(&filter, &document, &path, &context)?;
    }

    /// The same with values that often meet.
    #[test]
    fn bounds_hold_what_nearly_misses(
        operators in close_operators(), values in prop::collection::vec(close(), 1..4), context in context(),
        shape in 0..4,
    ) {
        let first = values[0].clone();
        let document = match shape {
            0 => doc! { "a": first },
            1 => doc! { "a": values },
            2 => doc! { "a": { "b": first } },
            _ => doc! { "a": values.into_iter().map(|value| doc! { "b": value }).collect::<Vec<_>>() },
        };
        for filter in [
            doc! { "a": &operators },
            doc! { "a": { "$elemMatch": &operators } },
            doc! { "a": { "$elemMatch": { "b": &operators } } },
            doc! { "a": { "$elemMatch": { "0": &operators } } },
            doc! { "a.b": &operators },
            doc! { "$or": [{ "a": &operators }, { "a": 1 }] },
        ] {
            for path in ["a", "a.b", "a.0"] {
                check_bounds(&filter, &document, path, &context)?;
            }
        }
    }
}

/// Values that are equal to one another, or nearly.
fn close() -> impl Strategy<Value = Bson> {
    prop::sample::select(vec![
        "a".into(),
        "A".into(),
        "ab".into(),
        Bson::from(1),
        Bson::from(1.0),
        Bson::Null,
        regex("^a", ""),
        regex("^ab", ""),
        Bson::Array(vec!["a".into()]),
        Bson::Array(vec!["A".into(), 1.into()]),
        Bson::Array(vec![]),
        doc! { "b": "a" }.into(),
        doc! { "b": "A" }.into(),
    ])
}

fn close_operators() -> impl Strategy<Value = Document> {
    let comparison = prop::sample::select(vec!["$eq", "$gt", "$gte", "$lt", "$lte"]);
    prop_oneof![
        3 => (comparison, close()).prop_map(|(name, operand)| doc! { name: operand }),
        2 => prop::collection::vec(close(), 1..3).prop_map(|operands| doc! { "$in": operands }),
        1 => prop::sample::select(vec!["^a", "^ab.*", "b"]).prop_map(|pattern| doc! { "$regex": pattern }),
        1 => (close(), close()).prop_map(|(least, most)| doc! { "$gte": least, "$lte": most }),
    ]
}

/// A document that matches has an entry within the bounds of every clause, and within all of them at once
/// when the index is not multikey; bounds that call themselves exact let nothing else in.
fn check_bounds(
    filter: &Document,
    document: &Document,
    path: &str,
    context: &ParseContext,
) -> Result<(), TestCaseError> {
    let Ok(filter) = Filter::parse(filter, context) else { return Ok(()) };
    let document = raw(document);
    let Ok(entries) = derive(&index(path, false), &document) else { return Ok(()) };
    let sparse = derive(&index(path, true), &document).expect("as the other");
    let clauses = clause_bounds(&filter, path);
    if !filter.matches(&document).expect("nothing that fails") {
        let only = if matches!(filter, Filter::Field { .. }) { clauses.first() } else { None };
        prop_assert!(!only.is_some_and(|only| only.exact && any_within(&entries.keys, &only.intervals)));
        return Ok(());
    }
    let mut all = vec![KeyInterval { start: Vec::new(), end: None }];
    for bounds in clauses {
        prop_assert!(any_within(&entries.keys, &bounds.intervals), "{bounds:?}");
        prop_assert!(!bounds.present || any_within(&sparse.keys, &bounds.intervals), "{bounds:?}");
        all = intersect(&all, &bounds.intervals);
    }
    prop_assert!(entries.multikey || any_within(&entries.keys, &all));
    Ok(())
}

/// Each row: a filter, the path of an index, and how many intervals, whether single values, whether exact, and
/// whether the field must be there, for each clause.
#[test]
fn clauses_bound_what_they_can() {
    let collation = Collation::parse(&doc! { "locale": "en" }).unwrap();
    let collated = ParseContext { collation, ..ParseContext::default() };
    let plain = ParseContext::default();
    for (context, filter, path, want) in [
        (&plain, doc! { "a": regex("^ab", "") }, "a", vec![(2, false, true, true)]),
        (&plain, doc! { "a": regex("^ab.", "") }, "a", vec![(2, false, false, true)]),
        (&plain, doc! { "a": regex("b", "") }, "a", vec![(2, false, false, true)]),
        (&plain, doc! { "a": { "$elemMatch": { "$gt": 1, "$lt": 5 } } }, "a", vec![(1, false, false, true)]),
        (&plain, doc! { "a": { "$elemMatch": { "$gt": 5, "$lt": 1 } } }, "a", vec![(0, false, false, true)]),
        (&plain, doc! { "a": { "$elemMatch": { "$ne": 1 } } }, "a", vec![]),
        (&plain, doc! { "a": { "$elemMatch": { "b": 1 } } }, "a.b", vec![(1, true, false, true)]),
        (&plain, doc! { "a": { "$elemMatch": { "b": 1, "c": 2 } } }, "a.c", vec![(1, true, false, true)]),
        (&plain, doc! { "a": { "$elemMatch": { "b": 1 } } }, "a", vec![]),
        (&plain, doc! { "a": { "$elemMatch": { "0": 1 } } }, "a.0", vec![]),
        (&plain, doc! { "a": { "$all": [1, 2] } }, "a", vec![(1, true, true, true), (1, true, true, true)]),
        (&plain, doc! { "a": { "$type": "string" } }, "a", vec![]),
        (&plain, doc! { "a": { "$mod": [2, 1] } }, "a", vec![]),
        (&plain, doc! { "a": { "$size": 1 } }, "a", vec![]),
        (&plain, doc! { "$expr": { "$eq": ["$a", 1] } }, "a", vec![]),
        (&collated, doc! { "a": "x" }, "a", vec![]),
        (&collated, doc! { "a": { "$in": [1, "x"] } }, "a", vec![]),
        (&collated, doc! { "a": { "$gt": { "b": "x" } } }, "a", vec![]),
        (&collated, doc! { "a": 1 }, "a", vec![(1, true, false, true)]),
        (&collated, doc! { "a": 1, "b": "x" }, "a", vec![(1, true, false, true)]),
        (&collated, doc! { "a": { "$elemMatch": { "b": "x" } } }, "a.b", vec![]),
    ] {
        let clauses = clause_bounds(&Filter::parse(&filter, context).unwrap(), path);
        let flags: Vec<_> =
            clauses.iter().map(|c| (c.intervals.len(), c.point, c.exact, c.present)).collect();
        assert_eq!(flags, want, "{filter} by {path}");
    }
}
