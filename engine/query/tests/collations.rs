//! Collations: their documents, the order of strings by them, and sort orders.

use std::cmp::Ordering;
use std::sync::Arc;

use bson::{Bson, Document, RawDocumentBuf, bson, doc};
use nimbus_query::value::compare_collated;
use nimbus_query::{Collation, QueryError, SortKey, parse_sort, sort_key};
use proptest::prelude::*;

fn collation(document: &Document) -> Arc<Collation> {
    Collation::parse(document)
        .unwrap_or_else(|error| panic!("{document}: {error}"))
        .expect("not the simple one")
}

fn english(strength: i32) -> Arc<Collation> {
    collation(&doc! { "locale": "en", "strength": strength })
}

#[test]
fn options_decide_the_order() {
    use Ordering::{Equal, Greater, Less};
    for (options, a, b, order) in [
        (doc! { "locale": "en" }, "a", "B", Less),
        (doc! { "locale": "en" }, "a", "A", Less),
        (doc! { "locale": "en", "strength": 1 }, "résumé", "Resume", Equal),
        (doc! { "locale": "en", "strength": 2 }, "résumé", "Résumé", Equal),
        (doc! { "locale": "en", "strength": 2 }, "résumé", "resume", Greater),
        (doc! { "locale": "en", "strength": 3 }, "a", "A", Less),
        (doc! { "locale": "en", "strength": 1, "caseLevel": true }, "a", "A", Less),
        (doc! { "locale": "en", "strength": 1, "caseLevel": true }, "é", "e", Equal),
        (doc! { "locale": "en", "caseFirst": "upper" }, "a", "A", Greater),
        (doc! { "locale": "en", "numericOrdering": true }, "a10", "a9", Greater),
        (doc! { "locale": "en" }, "a10", "a9", Less),
        (doc! { "locale": "en", "alternate": "shifted" }, "a b", "ab", Equal),
        (doc! { "locale": "en", "alternate": "shifted", "strength": 4 }, "a b", "ab", Less),
        (doc! { "locale": "en", "alternate": "shifted", "maxVariable": "space" }, "a-b", "ab", Less),
        (doc! { "locale": "en", "alternate": "shifted", "maxVariable": "punct" }, "a-b", "ab", Equal),
        (doc! { "locale": "fr", "backwards": true }, "coté", "côte", Greater),
        (doc! { "locale": "fr" }, "coté", "côte", Less),
        (doc! { "locale": "fr_CA" }, "coté", "côte", Greater),
        (doc! { "locale": "fr_CA", "backwards": false }, "coté", "côte", Less),
        (doc! { "locale": "sv" }, "z", "ö", Less),
        (doc! { "locale": "de" }, "z", "ö", Greater),
        (doc! { "locale": "de@collation=phonebook" }, "ä", "ad", Greater),
        (doc! { "locale": "de" }, "ä", "ad", Less),
        (doc! { "locale": "es@collation=traditional" }, "ch", "cz", Greater),
        (doc! { "locale": "en", "normalization": true }, "e\u{301}", "é", Equal),
    ] {
        let found = collation(&options).compare(a, b);
        assert_eq!(found, order, "{options}: {a} {b}");
        assert_eq!(collation(&options).key(a).cmp(&collation(&options).key(b)), order, "{options}: {a} {b}");
    }
}

#[test]
fn documents_show_every_option() {
    let all = doc! {
        "locale": "en", "caseLevel": false, "caseFirst": "off", "strength": 3, "numericOrdering": false,
        "alternate": "non-ignorable", "maxVariable": "punct", "normalization": false, "backwards": false,
        "version": "57.1",
    };
    assert_eq!(collation(&doc! { "locale": "en" }).to_document(), all);
    assert_eq!(collation(&all).to_document(), all);
    let set = doc! {
        "locale": "de@collation=phonebook", "caseLevel": true, "caseFirst": "upper", "strength": 5,
        "numericOrdering": true, "alternate": "shifted", "maxVariable": "space", "normalization": true,
        "backwards": false, "version": "57.1",
    };
    assert_eq!(collation(&set).to_document(), set);
    assert_eq!(collation(&doc! { "locale": "fr_CA" }).to_document().get_bool("backwards").ok(), Some(true));
    assert_eq!(collation(&doc! { "locale": "da" }).to_document().get_str("caseFirst").ok(), Some("upper"));
    assert_eq!(collation(&doc! { "locale": "th" }).to_document().get_str("alternate").ok(), Some("shifted"));
}

#[test]
fn locales_are_those_of_the_manual() {
    assert_eq!(Collation::parse(&doc! { "locale": "simple" }), Ok(None));
    for locale in
        ["en_US", "en_US_POSIX", "sr_Latn", "bs_Cyrl", "zh@collation=stroke", "zh_Hant", "de_AT", "zu", "nb"]
    {
        collation(&doc! { "locale": locale });
    }
    for locale in ["", "xx", "en-US", "EN US", "english", "en@foo=bar", "en_US_FOO_BAR_BAZ!", "_", "@", "en@"]
    {
        let error = Collation::parse(&doc! { "locale": locale }).expect_err(locale);
        assert_eq!(error.code, 2, "{locale}: {error}");
    }
}

#[test]
fn refused_collations_name_the_field() {
    for (options, code, part) in [
        (doc! {}, 40_414, "collation.locale"),
        (doc! { "locale": 1 }, 14, "collation.locale"),
        (doc! { "locale": "simple", "strength": 1 }, 2, "simple"),
        (doc! { "locale": "en", "foo": 1 }, 40_415, "collation.foo"),
        (doc! { "locale": "en", "strength": 6 }, 2, "strength"),
        (doc! { "locale": "en", "strength": 0 }, 2, "strength"),
        (doc! { "locale": "en", "strength": 1.5 }, 2, "strength"),
        (doc! { "locale": "en", "strength": "1" }, 14, "strength"),
        (doc! { "locale": "en", "caseLevel": 1 }, 14, "caseLevel"),
        (doc! { "locale": "en", "caseFirst": "x" }, 2, "caseFirst"),
        (doc! { "locale": "en", "alternate": "x" }, 2, "alternate"),
        (doc! { "locale": "en", "maxVariable": "x" }, 2, "maxVariable"),
        (doc! { "locale": "en", "normalization": "x" }, 14, "normalization"),
        (doc! { "locale": "sv", "backwards": true }, 2, "backwards"),
        (doc! { "locale": "en", "version": "1" }, 161, "version"),
    ] {
        let error: QueryError = Collation::parse(&options).expect_err(&options.to_string());
        assert_eq!(error.code, code, "{options}: {error}");
        assert!(error.message.contains(part), "{options}: {error}");
    }
}

#[test]
fn sort_orders_are_read_or_refused() {
    let key = |path: &str, descending| SortKey { path: path.into(), descending };
    let sort = doc! { "a": 1, "b.c": -1.0, "d": -1_i64, "e.$id": Bson::Decimal128("1".parse().unwrap()) };
    let want = vec![key("a", false), key("b.c", true), key("d", true), key("e.$id", false)];
    assert_eq!(parse_sort(&sort), Ok(want));
    assert_eq!(parse_sort(&doc! {}), Ok(vec![]));
    for (sort, code) in [
        (doc! { "a": 2 }, 15_975),
        (doc! { "a": 0 }, 15_975),
        (doc! { "a": 1.5 }, 15_975),
        (doc! { "a": "x" }, 15_974),
        (doc! { "a": true }, 15_974),
        (doc! { "a": {} }, 15_974),
        (doc! { "a": { "$meta": "textScore" } }, 2),
        (doc! { "": 1 }, 40_352),
        (doc! { "a.": 1 }, 40_353),
        (doc! { "a..b": 1 }, 15_998),
        (doc! { "$a": 1 }, 16_410),
        (doc! { vec!["a"; 200].join("."): 1 }, 15),
        ((0..40).map(|n| (format!("f{n}"), Bson::from(1))).collect(), 2),
    ] {
        assert_eq!(parse_sort(&sort).expect_err(&sort.to_string()).code, code, "{sort}");
    }
}

#[test]
fn sorting_by_a_collation_reaches_into_arrays_and_documents() {
    let sort = |path: &str| vec![SortKey { path: path.into(), descending: false }];
    let collation = english(1);
    let order = |path: &str, a: Bson, b: Bson| {
        let key = |value| {
            let document = RawDocumentBuf::try_from(&doc! { "a": value }).unwrap();
            sort_key(&document, &sort(path), Some(&collation))
        };
        key(a).cmp(&key(b))
    };
    assert_eq!(order("a", bson!("B"), bson!("b")), Ordering::Equal);
    assert_eq!(order("a", bson!("a"), bson!("B")), Ordering::Less);
    assert_eq!(order("a", bson!(["z", "B"]), bson!("a")), Ordering::Greater);
    assert_eq!(order("a.b", bson!({ "b": "É" }), bson!({ "b": "e" })), Ordering::Equal);
    assert_eq!(order("a", bson!({ "b": "É" }), bson!({ "b": "f" })), Ordering::Less);
    assert_eq!(order("a", bson!(5), bson!("")), Ordering::Less);
}

fn value() -> impl Strategy<Value = Bson> {
    let scalar = prop_oneof![
        prop::sample::select(vec!["", "a", "A", "á", "ab", "a b", "Z", "10", "9", "\u{0}", "😀", "ß", "ss"])
            .prop_map(Bson::from),
        (-1..2).prop_map(Bson::from),
        Just(Bson::Null),
    ];
    scalar.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            prop::collection::btree_map("[ab]", inner, 0..3)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Values order as their keyed stand-ins do by bytes, and by a total order.
    #[test]
    fn keyed_values_order_as_the_values(a in value(), b in value(), strength in 1..6) {
        let collation = english(strength);
        let order = compare_collated(&a, &b, Some(&collation));
        let keyed = |value: &Bson| collation.keyed_value(value.clone());
        prop_assert_eq!(nimbus_query::value::compare(&keyed(&a), &keyed(&b)), order);
        prop_assert_eq!(compare_collated(&b, &a, Some(&collation)), order.reverse());
    }

    #[test]
    fn keys_order_as_the_strings(a in ".{0,8}", b in ".{0,8}", strength in 1..6) {
        let collation = english(strength);
        prop_assert_eq!(collation.key(&a).cmp(&collation.key(&b)), collation.compare(&a, &b));
    }
}
