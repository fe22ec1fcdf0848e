//! Filters as MongoDB's documents write them: what they match, and what is refused with which code and words.
//! Each table is a page or section of the manual.

use std::sync::Arc;

use bson::{Bson, Document, RawDocumentBuf, Regex, bson, doc};
use nimbus_query::{Collation, Filter, ParseContext, QueryError, Variables};

fn parse(filter: &Document) -> Result<Filter, QueryError> {
    let user = [("limit".to_owned(), Bson::from(9))].into();
    let variables = Arc::new(Variables { user, ..Variables::default() });
    Filter::parse(filter, &ParseContext { variables, ..ParseContext::default() })
}

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).expect("field names without NUL")
}

fn matches(document: &Document, filter: &Document) -> bool {
    let parsed = parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    parsed.matches(&raw(document)).unwrap_or_else(|error| panic!("{filter}: {error}"))
}

fn regex(pattern: &str, options: &str) -> Bson {
    let text = |text: &str| text.try_into().expect("no NUL");
    Bson::RegularExpression(Regex { pattern: text(pattern), options: text(options) })
}

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse().expect("a decimal"))
}

fn binary(bytes: &[u8]) -> Bson {
    Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: bytes.to_vec() })
}

/// Each row: a filter, and the values of `a` that match it and do not; undefined stands for no `a` at all.
#[track_caller]
fn check(rows: Vec<(Document, Vec<Bson>, Vec<Bson>)>) {
    for (filter, inside, outside) in rows {
        for (values, want) in [(inside, true), (outside, false)] {
            for value in values {
                let document = if value == Bson::Undefined {
                    doc! {}
                } else {
                    doc! { "a": value }
                };
                assert_eq!(matches(&document, &filter), want, "{filter} on {document}");
            }
        }
    }
}

const MISSING: Bson = Bson::Undefined;

#[test]
fn comparison_operators() {
    check(vec![
        (
            doc! { "a": 1 },
            vec![bson!(1), bson!(1.0), bson!([0, 1])],
            vec![bson!(2), bson!("1"), bson!([[1]]), MISSING],
        ),
        (
            doc! { "a": { "$eq": 1 } },
            vec![bson!(1_i64), decimal("1.0")],
            vec![bson!(2), bson!({ "$eq": 1 }), MISSING],
        ),
        (doc! { "a": { "$ne": 1 } }, vec![bson!(2), bson!([2]), MISSING], vec![bson!(1), bson!([1, 2])]),
        (
            doc! { "a": { "$gt": 1 } },
            vec![bson!(2), bson!([0, 2])],
            vec![bson!(1), bson!("2"), bson!(null), MISSING],
        ),
        (doc! { "a": { "$gt": 1, "$lt": 3 } }, vec![bson!(2), bson!([0, 9])], vec![bson!(3), bson!([4, 5])]),
        (
            doc! { "a": { "$gte": null } },
            vec![bson!(null), MISSING, bson!([null])],
            vec![bson!(0), bson!("")],
        ),
        (doc! { "a": { "$gt": null } }, vec![], vec![bson!(null), MISSING, bson!(0)]),
        (doc! { "a": { "$lt": f64::NAN } }, vec![], vec![bson!(f64::NAN), bson!(1)]),
        (doc! { "a": { "$lte": f64::NAN } }, vec![bson!(f64::NAN), decimal("NaN")], vec![bson!(1), MISSING]),
        (doc! { "a": { "$gt": Bson::MinKey } }, vec![bson!(1), bson!(null), MISSING], vec![Bson::MinKey]),
        (
            doc! { "a": { "$gte": [1, 2] } },
            vec![bson!([1, 2]), bson!([1, 3]), bson!([[2]])],
            vec![bson!([1]), bson!(9)],
        ),
        (
            doc! { "a": [1, 2] },
            vec![bson!([1, 2]), bson!([[1, 2], 3])],
            vec![bson!([2, 1]), bson!([1, 2, 3]), bson!(1)],
        ),
        (
            doc! { "a": { "x": 1, "y": 2 } },
            vec![bson!({ "x": 1, "y": 2 })],
            vec![bson!({ "y": 2, "x": 1 }), bson!({ "x": 1 })],
        ),
        (doc! { "a": { "x": 1, "$gt": 2 } }, vec![bson!({ "x": 1, "$gt": 2 })], vec![bson!(3)]),
        (doc! { "a": {} }, vec![bson!({}), bson!([{}])], vec![bson!({ "x": 1 }), MISSING]),
        (
            doc! { "a": { "$in": [1, "x", null] } },
            vec![bson!(1), bson!(["x"]), bson!(null), MISSING],
            vec![bson!(2)],
        ),
        (doc! { "a": { "$in": [] } }, vec![], vec![bson!(1), bson!([]), MISSING]),
        (doc! { "a": { "$nin": [] } }, vec![bson!(1), MISSING], vec![]),
        (
            doc! { "a": { "$nin": [1, null] } },
            vec![bson!(2), bson!([])],
            vec![bson!([1, 2]), bson!(null), MISSING],
        ),
        (
            doc! { "a": { "$in": [regex("^b", ""), 7] } },
            vec![bson!("bc"), bson!(["x", "b"]), bson!(7)],
            vec![bson!("ab")],
        ),
        (
            doc! { "a": { "$nin": [regex("^b", ""), 7] } },
            vec![bson!("ab"), MISSING],
            vec![bson!("bc"), bson!([7])],
        ),
        (doc! { "a": { "$in": [[1, 2], 5] } }, vec![bson!([1, 2]), bson!([5])], vec![bson!([2, 1])]),
    ]);
}

#[test]
fn logical_operators() {
    check(vec![
        (doc! { "$and": [{ "a": 1 }, { "a": 2 }] }, vec![bson!([1, 2])], vec![bson!(1)]),
        (doc! { "$or": [{ "a": 1 }, { "a": 2 }] }, vec![bson!(1), bson!(2)], vec![bson!(3), MISSING]),
        (doc! { "$nor": [{ "a": 1 }, { "a": 2 }] }, vec![bson!(3), MISSING], vec![bson!(1), bson!([2])]),
        (
            doc! { "a": { "$not": { "$gt": 1 } } },
            vec![bson!(1), bson!("x"), MISSING],
            vec![bson!(2), bson!([0, 2])],
        ),
        (
            doc! { "a": { "$not": { "$gt": 1, "$lt": 5 } } },
            vec![bson!(7), MISSING],
            vec![bson!(2), bson!([0, 7])],
        ),
        (doc! { "a": { "$not": regex("^b", "") } }, vec![bson!("ab"), bson!(1), MISSING], vec![bson!("bc")]),
        (doc! { "a": { "$not": { "$regex": "^B", "$options": "i" } } }, vec![bson!("ab")], vec![bson!("bc")]),
        (doc! { "a": { "$not": { "$not": { "$eq": 1 } } } }, vec![bson!(1)], vec![bson!(2)]),
        (
            doc! { "$or": [{ "a": 1 }, { "$and": [{ "a": { "$gt": 5 } }, { "a": { "$lt": 7 } }] }] },
            vec![bson!(6)],
            vec![bson!(7)],
        ),
        (doc! { "$comment": "why", "a": 1 }, vec![bson!(1)], vec![bson!(2)]),
        (doc! { "$alwaysTrue": 1 }, vec![bson!(1), MISSING], vec![]),
        (doc! { "$alwaysFalse": 1 }, vec![], vec![bson!(1), MISSING]),
        (doc! { "$sampleRate": 1.0 }, vec![bson!(1), MISSING], vec![]),
        (doc! { "$sampleRate": 0 }, vec![], vec![bson!(1), MISSING]),
        (doc! {}, vec![bson!(1), MISSING], vec![]),
    ]);
}

#[test]
fn element_operators() {
    check(vec![
        (doc! { "a": { "$exists": true } }, vec![bson!(null), bson!([])], vec![MISSING]),
        (doc! { "a": { "$exists": 0 } }, vec![MISSING], vec![bson!(null)]),
        (doc! { "a": { "$exists": "no" } }, vec![bson!(1)], vec![MISSING]),
        (doc! { "a.b": { "$exists": false } }, vec![bson!([]), bson!(1), MISSING], vec![bson!([{ "b": 1 }])]),
        (doc! { "a": { "$type": "string" } }, vec![bson!("x"), bson!([1, "x"])], vec![bson!(1), MISSING]),
        (doc! { "a": { "$type": 2 } }, vec![bson!("x")], vec![bson!(1)]),
        (
            doc! { "a": { "$type": "number" } },
            vec![bson!(1), bson!(1.5), bson!(1_i64), decimal("1")],
            vec![bson!("1")],
        ),
        (
            doc! { "a": { "$type": ["int", 10, "array"] } },
            vec![bson!(1), bson!(null), bson!([])],
            vec![bson!(1.5), MISSING],
        ),
        (doc! { "a": { "$type": "array" } }, vec![bson!([]), bson!(["x"])], vec![bson!("x")]),
        (doc! { "a": { "$type": "null" } }, vec![bson!(null)], vec![MISSING]),
        (doc! { "a": { "$type": -1 } }, vec![Bson::MinKey], vec![Bson::MaxKey]),
        (doc! { "a": { "$type": 127.0 } }, vec![Bson::MaxKey], vec![Bson::MinKey]),
    ]);
}

#[test]
fn array_operators() {
    check(vec![
        (doc! { "a": { "$all": [1, 2] } }, vec![bson!([2, 3, 1])], vec![bson!([1]), bson!(1), MISSING]),
        (doc! { "a": { "$all": [1] } }, vec![bson!(1), bson!([1])], vec![bson!(2)]),
        (doc! { "a": { "$all": [] } }, vec![], vec![bson!([]), bson!(1), MISSING]),
        (doc! { "a": { "$all": [[1, 2]] } }, vec![bson!([1, 2]), bson!([[1, 2]])], vec![bson!([2, 1])]),
        (doc! { "a": { "$all": [regex("^x", ""), "y"] } }, vec![bson!(["y", "xx"])], vec![bson!(["y"])]),
        (
            doc! { "a": { "$all": [{ "$elemMatch": { "x": 1 } }, { "$elemMatch": { "x": 2 } }] } },
            vec![bson!([{ "x": 1 }, { "x": 2 }])],
            vec![bson!([{ "x": 1 }])],
        ),
        (
            doc! { "a": { "$size": 2 } },
            vec![bson!([1, 2]), bson!([[], []])],
            vec![bson!([1]), bson!("xx"), bson!([[1, 2]]), MISSING],
        ),
        (doc! { "a": { "$size": 0_i64 } }, vec![bson!([])], vec![bson!([1]), MISSING]),
        (
            doc! { "a": { "$elemMatch": { "$gt": 1, "$lt": 5 } } },
            vec![bson!([0, 3])],
            vec![bson!([0, 9]), bson!(3), bson!([[3]])],
        ),
        (
            doc! { "a": { "$elemMatch": { "$not": { "$gt": 1 } } } },
            vec![bson!([0, 9])],
            vec![bson!([9]), bson!([])],
        ),
        (
            doc! { "a": { "$elemMatch": { "$ne": 1 } } },
            vec![bson!([1, 2])],
            vec![bson!([1]), bson!([]), bson!(2)],
        ),
        (
            doc! { "a": { "$elemMatch": { "$elemMatch": { "$gt": 1 } } } },
            vec![bson!([[0], [2]])],
            vec![bson!([2]), bson!([[0]])],
        ),
        (
            doc! { "a": { "$elemMatch": { "$in": [regex("^x", ""), 3] } } },
            vec![bson!(["xy"]), bson!([3])],
            vec![bson!("xy")],
        ),
        (doc! { "a": { "$elemMatch": { "$exists": true } } }, vec![bson!([null])], vec![bson!([])]),
        (doc! { "a": { "$elemMatch": { "$size": 1 } } }, vec![bson!([[5]])], vec![bson!([5])]),
        (doc! { "a": { "$elemMatch": { "$type": "array" } } }, vec![bson!([[5]])], vec![bson!([5])]),
        (
            doc! { "a": { "$elemMatch": { "x": 1, "y": { "$gt": 2 } } } },
            vec![bson!([{ "x": 1, "y": 3 }])],
            vec![bson!([{ "x": 1 }, { "y": 3 }]), bson!({ "x": 1, "y": 3 })],
        ),
        (
            doc! { "a": { "$elemMatch": { "$or": [{ "x": 1 }, { "y": 1 }] } } },
            vec![bson!([{ "y": 1 }])],
            vec![bson!([{ "y": 2 }])],
        ),
        (doc! { "a": { "$elemMatch": {} } }, vec![bson!([{}]), bson!([[]])], vec![bson!([1]), bson!([])]),
        (
            doc! { "a": { "$elemMatch": { "0": 5 } } },
            vec![bson!([[5]]), bson!([{ "0": 5 }])],
            vec![bson!([5])],
        ),
        (
            doc! { "a": { "$elemMatch": { "x": null } } },
            vec![bson!([{}]), bson!([{ "x": null }])],
            vec![bson!([1]), bson!([])],
        ),
    ]);
}

#[test]
fn evaluation_operators() {
    check(vec![
        (
            doc! { "a": { "$mod": [4, 1] } },
            vec![bson!(5), bson!(5.9), bson!(9_i64), decimal("13.5"), bson!([2, 5])],
            vec![bson!(4), bson!("5"), MISSING],
        ),
        (doc! { "a": { "$mod": [4, -1] } }, vec![bson!(-5), bson!(-5.5)], vec![bson!(3), bson!(5)]),
        (doc! { "a": { "$mod": [4.9, 1.9] } }, vec![bson!(5)], vec![bson!(4)]),
        (
            doc! { "a": { "$mod": [-1, 0] } },
            vec![bson!(i64::MIN), bson!(1e300), bson!(-1e300), decimal("1E+6000")],
            vec![bson!(f64::NAN), bson!(f64::INFINITY)],
        ),
        (
            doc! { "a": regex("^ab", "") },
            vec![bson!("abc"), bson!(["x", "ab"]), regex("^ab", ""), Bson::Symbol("ab".into())],
            vec![bson!("xab"), bson!(1), regex("^ab", "i"), MISSING],
        ),
        (doc! { "a": { "$eq": regex("^ab", "") } }, vec![regex("^ab", "")], vec![bson!("abc")]),
        (doc! { "a": { "$regex": "AB", "$options": "i" } }, vec![bson!("xaby")], vec![bson!("a b")]),
        (doc! { "a": { "$options": "i", "$regex": "AB" } }, vec![bson!("xaby")], vec![bson!("a b")]),
        (
            doc! { "a": { "$regex": regex("AB", ""), "$options": "i" } },
            vec![bson!("xaby")],
            vec![bson!("a b")],
        ),
        (doc! { "a": { "$regex": "^b$", "$options": "m" } }, vec![bson!("a\nb\nc")], vec![bson!("ab")]),
        (doc! { "a": { "$regex": "a.b", "$options": "s" } }, vec![bson!("a\nb")], vec![bson!("ab")]),
        (doc! { "a": { "$regex": "a b # c", "$options": "x" } }, vec![bson!("ab")], vec![bson!("a b")]),
        (doc! { "a": { "$regex": "" } }, vec![bson!("ab"), bson!("")], vec![bson!(1), MISSING]),
    ]);
}

#[test]
fn expressions_are_conditions_where_they_are_true() {
    check(vec![
        (doc! { "$expr": { "$gt": ["$a", 1] } }, vec![bson!(2), bson!("x")], vec![bson!(1), MISSING]),
        (
            doc! { "$expr": "$a" },
            vec![bson!(1), bson!("")],
            vec![bson!(0), bson!(null), bson!(false), MISSING],
        ),
        (
            doc! { "$or": [{ "a": 7 }, { "$expr": { "$eq": ["$a", "$$limit"] } }] },
            vec![bson!(7), bson!(9)],
            vec![bson!(8)],
        ),
    ]);
}

#[test]
fn regular_expressions_read_as_pcre_does() {
    for (pattern, inside, outside) in [
        ("a$", vec!["a", "a\n", "b\na"], vec!["a\n\n", "ab", "a\nb"]),
        (r"a\z", vec!["a"], vec!["a\n"]),
        (r"a\Z", vec!["a", "a\n"], vec!["a\nb"]),
        (r"(a$|b)c?", vec!["xa", "bc"], vec!["ac"]),
        (r"^\d+$", vec!["12"], vec!["\u{0663}", ""]),
        (r"^\w+$", vec!["a_1"], vec!["ä"]),
        (r"^[\w-]+$", vec!["a-1"], vec!["ä"]),
        (r"^[^\W\d]$", vec!["a"], vec!["1", "-"]),
        (r"^\h$", vec![" ", "\t"], vec!["a", "\n"]),
        (r"^\R$", vec!["\r\n", "\n"], vec!["a"]),
        (r"^[[]$", vec!["["], vec!["]"]),
        (r"^[]a]$", vec!["]", "a"], vec!["["]),
        (r"^[a&&b]$", vec!["&", "a", "b"], vec!["c"]),
        (r"^[[:alpha:]_]+$", vec!["ab_"], vec!["a1"]),
        (r"^a{,2}$", vec!["a{,2}"], vec!["aa"]),
        (r"^a{2}$", vec!["aa"], vec!["a"]),
        (r"^{a}$", vec!["{a}"], vec!["a"]),
        (r"^\Qa.b\E$", vec!["a.b"], vec!["axb"]),
        (r"^\x41\x{42}\0$", vec!["AB\0"], vec!["AB"]),
        (r"^\<a\>$", vec!["<a>"], vec!["a"]),
        (r"^a\/b\-c$", vec!["a/b-c"], vec![]),
        (r"^(a)\1$", vec!["aa"], vec!["ab"]),
        (r"^(?<n>a)\k{n}\g{1}$", vec!["aaa"], vec!["aa"]),
        (r"^(?=.*\d)(?!x).+$", vec!["a1"], vec!["x1", "a"]),
        (r"(?<!a)b", vec!["cb"], vec!["ab"]),
        (r"^(?>a+)b", vec!["aab"], vec!["aac"]),
        (r"^a++b", vec!["aab"], vec!["b"]),
        (r"^(?i)AB", vec!["abc"], vec!["ba"]),
        (r"(?m)^b$", vec!["a\nb\nc"], vec!["ab"]),
        (r"^a(?#comment)b", vec!["ab"], vec!["a"]),
        (r"^\p{Lu}", vec!["Ä"], vec!["ä"]),
        (r"^.$", vec!["ä"], vec!["\n", "ab"]),
    ] {
        let filter = doc! { "a": { "$regex": pattern } };
        for (texts, want) in [(inside, true), (outside, false)] {
            for text in texts {
                assert_eq!(matches(&doc! { "a": text }, &filter), want, "{pattern} on {text:?}");
            }
        }
    }
}

#[test]
fn a_regular_expression_that_takes_too_long_gives_up() {
    let filter = parse(&doc! { "a": { "$regex": r"^(\w+\s?)*(?=x)\1$" } }).unwrap();
    let document = raw(&doc! { "a": "a".repeat(5_000) + "!" });
    assert_eq!(filter.matches(&document).unwrap_err().code, 51_156);
    assert_eq!(filter.array_position(&document), None);
}

#[test]
fn bitwise_operators() {
    check(vec![
        (
            doc! { "a": { "$bitsAllSet": [1, 3] } },
            vec![bson!(10), bson!(11.0), binary(&[0b1010]), decimal("10")],
            vec![bson!(2), bson!(10.5), bson!("10"), MISSING],
        ),
        (doc! { "a": { "$bitsAnySet": 10 } }, vec![bson!(2), bson!([0, 8])], vec![bson!(4), bson!(0)]),
        (doc! { "a": { "$bitsAllClear": 10 } }, vec![bson!(4), bson!(0), binary(&[])], vec![bson!(2)]),
        (doc! { "a": { "$bitsAnyClear": binary(&[0b1010]) } }, vec![bson!(2), bson!(0)], vec![bson!(10)]),
        (doc! { "a": { "$bitsAllSet": [100] } }, vec![bson!(-1)], vec![bson!(1), binary(&[255])]),
        (
            doc! { "a": { "$bitsAllSet": [9] } },
            vec![binary(&[0, 2]), bson!(512)],
            vec![binary(&[2]), bson!(1e300)],
        ),
        (doc! { "a": { "$bitsAllSet": 0 } }, vec![bson!(5)], vec![bson!("x")]),
        (doc! { "a": { "$bitsAnySet": [] } }, vec![], vec![bson!(5)]),
    ]);
}

#[test]
fn paths_may_be_what_mongodb_allows() {
    let reference = doc! { "$ref": "other", "$id": 5 };
    for (filter, document, want) in [
        (doc! { "": 1 }, doc! { "": 1 }, true),
        (doc! { "a..b": 1 }, doc! { "a": { "": { "b": 1 } } }, true),
        (doc! { "a.": 1 }, doc! { "a": { "": 1 } }, true),
        (doc! { "a.$b": 1 }, doc! { "a": { "$b": 1 } }, true),
        (doc! { "a.$id": 5 }, doc! { "a": &reference }, true),
        (doc! { "a": &reference }, doc! { "a": &reference }, true),
        (doc! { "a": &reference }, doc! { "a": { "$ref": "other", "$id": 6 } }, false),
        (doc! { "a.0": 1 }, doc! { "a": [1, 2] }, true),
        (doc! { "a.1": 1 }, doc! { "a": [1, 2] }, false),
        (doc! { "a.0.b": 1 }, doc! { "a": [{ "b": 1 }] }, true),
        (doc! { "a.b": null }, doc! { "a": [1, 2] }, false),
        (doc! { "a.b": null }, doc! { "a": [{}] }, true),
    ] {
        assert_eq!(matches(&document, &filter), want, "{filter} on {document}");
    }
}

#[test]
fn refused_filters_say_why() {
    let deep = (0..200).fold(doc! { "a": 1 }, |inner, _| doc! { "$and": [inner] });
    let deep_not = (0..200).fold(doc! { "$gt": 1 }, |inner, _| doc! { "$not": inner });
    let deep_elements = (0..200).fold(doc! { "a": 1 }, |inner, _| doc! { "a": { "$elemMatch": inner } });
    for (filter, code, part) in [
        (doc! { "a": { "$foo": 1 } }, 2, "unknown operator: $foo"),
        (doc! { "a": { "$gt": 1, "b": 2 } }, 2, "unknown operator: b"),
        (doc! { "a": { "$expr": 1 } }, 2, "unknown operator: $expr"),
        (
            doc! { "$foo": 1 },
            2,
            "unknown top level operator: $foo. If you have a field name that starts with a '$' symbol, consider \
             using $getField or $setField.",
        ),
        (doc! { "$gt": 1 }, 2, "unknown top level operator: $gt."),
        (doc! { "$and": 1 }, 2, "$and must be an array"),
        (doc! { "$or": [] }, 2, "$and/$or/$nor must be a nonempty array"),
        (doc! { "$nor": [1] }, 2, "$or/$and/$nor entries need to be full objects"),
        (doc! { "a": { "$in": 1 } }, 2, "$in needs an array"),
        (doc! { "a": { "$nin": 1 } }, 2, "$nin needs an array"),
        (doc! { "a": { "$in": [{ "$gt": 1 }] } }, 2, "cannot nest $ under $in"),
        (doc! { "a": { "$not": 1 } }, 2, "$not needs a regex or a document"),
        (doc! { "a": { "$not": {} } }, 2, "$not cannot be empty"),
        (doc! { "a": { "$not": { "x": 1 } } }, 2, "unknown operator: x"),
        (doc! { "a": { "$ne": regex("x", "") } }, 2, "Can't have regex as arg to $ne."),
        (doc! { "a": { "$gt": regex("x", "") } }, 2, "Can't have RegEx as arg to predicate over field 'a'."),
        (doc! { "a": Bson::Undefined }, 2, "undefined"),
        (doc! { "a": { "$in": [Bson::Undefined] } }, 2, "undefined"),
        (doc! { "a": { "$regex": 1 } }, 2, "$regex has to be a string"),
        (doc! { "a": { "$regex": "a", "$options": 1 } }, 2, "$options has to be a string"),
        (doc! { "a": { "$options": "i" } }, 2, "$options needs a $regex"),
        (doc! { "a": { "$regex": "a", "$options": "ig" } }, 51_108, "invalid flag in regex options: g"),
        (doc! { "a": { "$regex": regex("a", "i"), "$options": "i" } }, 51_075, "options set in both"),
        (doc! { "a": { "$regex": "(" } }, 51_091, "Regular expression is invalid"),
        (doc! { "a": { "$regex": "a\0" } }, 2, "null byte"),
        (doc! { "a": { "$regex": "a".repeat(40_000) } }, 2, "too long"),
        (doc! { "a": { "$mod": 1 } }, 2, "malformed mod, needs to be an array"),
        (doc! { "a": { "$mod": [1] } }, 2, "malformed mod, not enough elements"),
        (doc! { "a": { "$mod": [1, 2, 3] } }, 2, "malformed mod, too many elements"),
        (doc! { "a": { "$mod": ["x", 1] } }, 2, "malformed mod, divisor not a number"),
        (doc! { "a": { "$mod": [1, "x"] } }, 2, "malformed mod, remainder not a number"),
        (doc! { "a": { "$mod": [0.5, 1] } }, 2, "divisor cannot be 0"),
        (doc! { "a": { "$mod": [f64::NAN, 1] } }, 2, "malformed mod, divisor value is invalid"),
        (doc! { "a": { "$size": "x" } }, 9, "Failed to parse $size. Expected a number"),
        (doc! { "a": { "$size": 1.5 } }, 9, "Failed to parse $size. Expected an integer"),
        (doc! { "a": { "$size": -1 } }, 9, "Failed to parse $size. Expected a non-negative number"),
        (doc! { "a": { "$all": 1 } }, 2, "$all needs an array"),
        (doc! { "a": { "$all": [{ "$gt": 1 }] } }, 2, "no $ expressions in $all"),
        (
            doc! { "a": { "$all": [{ "$elemMatch": { "x": 1 } }, 2] } },
            2,
            "$all/$elemMatch has to be consistent",
        ),
        (doc! { "a": { "$elemMatch": 1 } }, 2, "$elemMatch needs an Object"),
        (
            doc! { "a": { "$elemMatch": { "$expr": 1 } } },
            2,
            "$expr can only be applied to the top-level document",
        ),
        (doc! { "a": { "$type": "foo" } }, 2, "Unknown type name alias: foo"),
        (doc! { "a": { "$type": 99 } }, 2, "Invalid numerical type code: 99"),
        (doc! { "a": { "$type": 0 } }, 2, "Instead use {$exists:false}"),
        (doc! { "a": { "$type": [] } }, 9, "$type must match at least one type"),
        (doc! { "a": { "$type": {} } }, 14, "must be represented as a number or a string"),
        (doc! { "a": { "$bitsAllSet": "x" } }, 2, "$bitsAllSet takes an Array, a number, or a BinData"),
        (doc! { "a": { "$bitsAllSet": [-1] } }, 2, "bit positions must be >= 0"),
        (doc! { "a": { "$bitsAllSet": -1 } }, 9, "non-negative"),
        (doc! { "a": { "$bitsAllSet": binary(&[255; 2_000]) } }, 2, "more than"),
        (doc! { "$sampleRate": 2 }, 2, "$sampleRate must be in [0, 1]"),
        (doc! { "$sampleRate": "x" }, 2, "$sampleRate must be a numeric type"),
        (doc! { "$alwaysTrue": 2 }, 9, "$alwaysTrue must be 1"),
        (doc! { "$jsonSchema": 1 }, 14, "$jsonSchema must be an object"),
        (doc! { "$where": "x" }, 2, "$where is not supported"),
        (doc! { "$text": { "$search": "x" } }, 2, "$text is not supported"),
        (doc! { "a": { "$near": [1, 2] } }, 2, "$near is not supported"),
        (doc! { "a": { "$geoWithin": {} } }, 2, "$geoWithin is not supported"),
        (doc! { vec!["a"; 200].join("."): 1 }, 15, "at most"),
        (doc! { "a": { "$in": vec![1; 20_000] } }, 2, "clauses"),
        (doc! { "a": { "$elemMatch": { "$in": vec![1; 20_000] } } }, 2, "clauses"),
        (doc! { "a": { "$in": vec![regex("x", ""); 501] } }, 2, "at most 500 regular expressions"),
        (deep, 15, "levels deep"),
        (doc! { "a": deep_not }, 15, "levels deep"),
        (deep_elements, 15, "levels deep"),
    ] {
        let error = parse(&filter).expect_err(&format!("{filter} is refused"));
        assert_eq!(error.code, code, "{filter}: {error}");
        assert!(error.message.contains(part), "{filter}: {error}");
    }
}

#[test]
fn the_positional_element_is_the_one_that_matched() {
    for (filter, document, want) in [
        (doc! { "a": 5 }, doc! { "a": [4, 5] }, Some(1)),
        (doc! { "a": { "$gt": 4 } }, doc! { "a": [4, 5, 6] }, Some(1)),
        (doc! { "a": [4, 5] }, doc! { "a": [4, 5] }, None),
        (doc! { "a": 5 }, doc! { "a": 5 }, None),
        (doc! { "a": 5 }, doc! { "a": [4] }, None),
        (doc! { "a": { "$ne": 5 } }, doc! { "a": [4] }, None),
        (doc! { "a.b": 5 }, doc! { "a": [{ "b": 1 }, { "b": [5, 4] }] }, Some(1)),
        (doc! { "a.b": 5 }, doc! { "a": { "b": [4, 5] } }, Some(1)),
        (doc! { "a": { "$elemMatch": { "x": 2 } } }, doc! { "a": [{ "x": 1 }, { "x": 2 }] }, Some(1)),
        (doc! { "a": { "$elemMatch": { "$gt": 2 } } }, doc! { "a": [1, 2, 3] }, Some(2)),
        (doc! { "a.1": 5 }, doc! { "a": [4, 5] }, Some(1)),
        (doc! { "a.0.b": 5 }, doc! { "a": [{ "b": [1, 5] }] }, Some(0)),
        (doc! { "a": { "$gt": 2, "$lt": 2 } }, doc! { "a": [1, 3] }, Some(0)),
        (doc! { "a": { "$in": [3, regex("x", "")] } }, doc! { "a": [1, "x", 3] }, Some(2)),
        (doc! { "$or": [{ "a": 9 }, { "b": 2 }] }, doc! { "a": [1], "b": [1, 2] }, Some(1)),
        (doc! { "n": 1, "a": 5 }, doc! { "n": 1, "a": [4, 5] }, Some(1)),
        (doc! { "a": { "$size": 2 } }, doc! { "a": [4, 5] }, None),
        (doc! { "a": { "$all": [4, 5] } }, doc! { "a": [4, 5] }, Some(1)),
    ] {
        assert_eq!(parse(&filter).unwrap().array_position(&raw(&document)), want, "{filter} on {document}");
    }
}

#[test]
fn upserts_take_equalities_from_the_filter() {
    for (filter, want) in [
        (doc! { "a": 1, "b": { "$eq": 2 } }, vec![("a", bson!(1)), ("b", bson!(2))]),
        (
            doc! { "$and": [{ "a": 1 }, { "$and": [{ "b.c": [1] }] }] },
            vec![("a", bson!(1)), ("b.c", bson!([1]))],
        ),
        (doc! { "a": { "$eq": 1, "$gt": 0 } }, vec![("a", bson!(1))]),
        (doc! { "a": { "$in": [1] }, "b": { "$all": [2] } }, vec![("a", bson!(1)), ("b", bson!(2))]),
        (doc! { "a": { "$in": [1, 2] }, "b": { "$ne": 2 }, "c": { "$gt": 1 } }, vec![]),
        (doc! { "a": { "$all": [1, 2] } }, vec![("a", bson!(1)), ("a", bson!(2))]),
        (doc! { "$or": [{ "a": 1 }] }, vec![("a", bson!(1))]),
        (doc! { "$or": [{ "a": 1 }, { "b": 1 }] }, vec![]),
        (doc! { "a": null }, vec![("a", bson!(null))]),
        (doc! { "a": regex("x", "") }, vec![]),
        (doc! { "a": { "$not": { "$eq": 1 } }, "$nor": [{ "a": 1 }] }, vec![]),
        (doc! { "a": { "$elemMatch": { "b": 1 } } }, vec![]),
    ] {
        let found = parse(&filter).unwrap().equalities();
        let want: Vec<_> = want.into_iter().map(|(path, value)| (path.to_owned(), value)).collect();
        assert_eq!(found, want, "{filter}");
    }
}

#[test]
fn a_sample_takes_about_its_share_and_the_same_for_the_same_seed() {
    let taken = |seed| {
        let variables = Arc::new(Variables { seed, ..Variables::default() });
        let context = ParseContext { variables, ..ParseContext::default() };
        let filter = Filter::parse(&doc! { "$sampleRate": 0.25 }, &context).unwrap();
        (0..4_000).filter(|n| filter.matches(&raw(&doc! { "_id": *n })).unwrap()).collect::<Vec<i32>>()
    };
    assert!((800..1_200).contains(&taken(1).len()), "{}", taken(1).len());
    assert_eq!(taken(1), taken(1));
    assert_ne!(taken(1), taken(2));
}

#[test]
fn strings_compare_by_the_collation_everywhere() {
    let collation = Collation::parse(&doc! { "locale": "en", "strength": 1 }).unwrap();
    let context = ParseContext { collation, ..ParseContext::default() };
    for (filter, value, want) in [
        (doc! { "a": "resume" }, bson!("Résumé"), true),
        (doc! { "a": "resume" }, bson!("resumes"), false),
        (doc! { "a": ["X", { "y": "Z" }] }, bson!(["x", { "y": "z" }]), true),
        (doc! { "a": { "x": "B" } }, bson!({ "x": "b" }), true),
        (doc! { "a": { "X": "b" } }, bson!({ "x": "b" }), false),
        (doc! { "a": { "$in": ["A", 1] } }, bson!(["a"]), true),
        (doc! { "a": { "$ne": "A" } }, bson!("a"), false),
        (doc! { "a": { "$gt": "B" } }, bson!("a"), false),
        (doc! { "a": { "$gte": "B" } }, bson!("b"), true),
        (doc! { "a": { "$elemMatch": { "$eq": "B" } } }, bson!(["b"]), true),
        (doc! { "a": { "$elemMatch": { "x": "B" } } }, bson!([{ "x": "b" }]), true),
        (doc! { "a": { "$not": { "$eq": "B" } } }, bson!("b"), false),
        (doc! { "a": { "$regex": "B" } }, bson!("b"), false),
        (doc! { "a": 1 }, bson!(1.0), true),
    ] {
        let parsed = Filter::parse(&filter, &context).unwrap();
        assert!(matches!(parsed, Filter::Collated(..)));
        assert_eq!(parsed.matches(&raw(&doc! { "a": &value })).unwrap(), want, "{filter} on {value}");
    }
    let position = Filter::parse(&doc! { "a": "B" }, &context).unwrap();
    assert_eq!(position.array_position(&raw(&doc! { "a": ["a", "b"] })), Some(1));
}
