//! Strings and regular expressions.

use bson::{Bson, Regex, bson};

use crate::support::{assert_errors, assert_values, decimal};

#[test]
fn parts_and_lengths() {
    assert_values(&[
        (bson!({ "$concat": [] }), bson!("")),
        (bson!({ "$concat": ["a", "$text"] }), bson!("ahéllo")),
        (bson!({ "$concat": ["a", "$missing"] }), Bson::Null),
        (bson!({ "$strLenBytes": "$text" }), bson!(6)),
        (bson!({ "$strLenCP": "$text" }), bson!(5)),
        (bson!({ "$substrBytes": ["$text", 0, 3] }), bson!("hé")),
        (bson!({ "$substr": ["$text", 3, -1] }), bson!("llo")),
        (bson!({ "$substr": [12_345, 1, 2] }), bson!("23")),
        (bson!({ "$substr": ["$text", 99, 1] }), bson!("")),
        (bson!({ "$substr": ["$missing", 0, 1] }), bson!("")),
        (bson!({ "$substrCP": ["$text", 1, 3] }), bson!("éll")),
        (bson!({ "$substrCP": ["$text", 4, 100] }), bson!("o")),
    ]);
    assert_errors(&[
        (bson!({ "$concat": ["a", 1] }), 16702),
        (bson!({ "$strLenBytes": "$missing" }), 34473),
        (bson!({ "$strLenCP": null }), 34471),
        (bson!({ "$substrBytes": ["$text", 2, 1] }), 28656),
        (bson!({ "$substrBytes": ["$text", 0, 2] }), 28657),
        (bson!({ "$substrBytes": ["$text", -1, 2] }), 50752),
        (bson!({ "$substrBytes": ["$text", "a", 2] }), 16034),
        (bson!({ "$substrBytes": ["$text", 0, "a"] }), 16035),
        (bson!({ "$substrBytes": [["a"], 0, 1] }), 16007),
        (bson!({ "$substrCP": ["$text", "a", 1] }), 34450),
        (bson!({ "$substrCP": ["$text", 0.5, 1] }), 34451),
        (bson!({ "$substrCP": ["$text", -1, 1] }), 34455),
        (bson!({ "$substrCP": ["$text", 0, -1] }), 34454),
    ]);
}

#[test]
fn case_is_that_of_ascii() {
    assert_values(&[
        (bson!({ "$toUpper": "$text" }), bson!("HéLLO")),
        (bson!({ "$toLower": "ÀBC" }), bson!("Àbc")),
        (bson!({ "$toUpper": null }), bson!("")),
        (bson!({ "$toUpper": 1.5 }), bson!("1.5")),
        (bson!({ "$toLower": "$date" }), bson!("1970-01-01t00:00:01.000z")),
        (bson!({ "$strcasecmp": ["ABC", "abd"] }), bson!(-1)),
        (bson!({ "$strcasecmp": ["$missing", ""] }), bson!(0)),
        (bson!({ "$strcasecmp": ["b", "A"] }), bson!(1)),
    ]);
    assert_errors(&[(bson!({ "$toUpper": "$array" }), 16007)]);
}

#[test]
fn positions() {
    assert_values(&[
        (bson!({ "$indexOfBytes": ["$text", "l"] }), bson!(3)),
        (bson!({ "$indexOfCP": ["$text", "l"] }), bson!(2)),
        (bson!({ "$indexOfCP": ["$text", "l", 3] }), bson!(3)),
        (bson!({ "$indexOfCP": ["$text", "o", 0, 4] }), bson!(-1)),
        (bson!({ "$indexOfCP": ["$text", "", 5] }), bson!(5)),
        (bson!({ "$indexOfCP": ["$text", "", 6] }), bson!(-1)),
        (bson!({ "$indexOfCP": ["$text", "l", 4, 2] }), bson!(-1)),
        (bson!({ "$indexOfBytes": ["$text", "é", 2] }), bson!(-1)),
        (bson!({ "$indexOfBytes": ["$text", "o", 7] }), bson!(-1)),
        (bson!({ "$indexOfBytes": ["$missing", "a"] }), Bson::Null),
    ]);
    assert_errors(&[
        (bson!({ "$indexOfBytes": [1, "a"] }), 40091),
        (bson!({ "$indexOfBytes": ["a", null] }), 40092),
        (bson!({ "$indexOfCP": [1, "a"] }), 40093),
        (bson!({ "$indexOfCP": ["a", 1] }), 40094),
        (bson!({ "$indexOfCP": ["a", "a", 0.5] }), 40096),
        (bson!({ "$indexOfCP": ["a", "a", -1] }), 40097),
        (bson!({ "$indexOfCP": ["a"] }), 28667),
    ]);
}

#[test]
fn splitting_replacing_and_trimming() {
    assert_values(&[
        (bson!({ "$split": ["a-b--c", "-"] }), bson!(["a", "b", "", "c"])),
        (bson!({ "$split": [null, "-"] }), Bson::Null),
        (bson!({ "$replaceOne": { "input": "aba", "find": "a", "replacement": "xx" } }), bson!("xxba")),
        (bson!({ "$replaceAll": { "input": "aba", "find": "a", "replacement": "xx" } }), bson!("xxbxx")),
        (bson!({ "$replaceAll": { "input": "aba", "find": null, "replacement": "x" } }), Bson::Null),
        (bson!({ "$trim": { "input": " \u{2003}a b\t\0" } }), bson!("a b")),
        (bson!({ "$ltrim": { "input": "xxaxx", "chars": "xy" } }), bson!("axx")),
        (bson!({ "$rtrim": { "input": "xxaxx", "chars": "xy" } }), bson!("xxa")),
        (bson!({ "$trim": { "input": "$missing" } }), Bson::Null),
        (bson!({ "$trim": { "input": "a", "chars": "$missing" } }), Bson::Null),
    ]);
    assert_errors(&[
        (bson!({ "$split": [1, "-"] }), 40085),
        (bson!({ "$split": ["a", 1] }), 40086),
        (bson!({ "$split": ["a", ""] }), 40087),
        (bson!({ "$replaceOne": { "input": 1, "find": "a", "replacement": "b" } }), 51746),
        (bson!({ "$replaceOne": { "input": "a", "find": 1, "replacement": "b" } }), 51745),
        (bson!({ "$replaceOne": { "input": "a", "find": "a", "replacement": 1 } }), 51744),
        (bson!({ "$replaceOne": { "find": "a", "replacement": "b" } }), 51749),
        (bson!({ "$replaceOne": "a" }), 51751),
        (bson!({ "$trim": { "input": 1 } }), 50699),
        (bson!({ "$trim": { "input": "a", "chars": 1 } }), 50700),
        (bson!({ "$trim": { "chars": "a" } }), 50695),
        (bson!({ "$trim": { "input": "a", "x": 1 } }), 50694),
        (bson!({ "$trim": "a" }), 50696),
    ]);
}

#[test]
fn regular_expressions() {
    let regex = |pattern: &str, options: &str| {
        Bson::RegularExpression(Regex {
            pattern: pattern.try_into().unwrap(),
            options: options.try_into().unwrap(),
        })
    };
    assert_values(&[
        (bson!({ "$regexMatch": { "input": "$text", "regex": "^h.l" } }), bson!(true)),
        (bson!({ "$regexMatch": { "input": "ABC", "regex": regex("b", "i") } }), bson!(true)),
        (bson!({ "$regexMatch": { "input": "ABC", "regex": "b", "options": "$missing" } }), bson!(false)),
        (
            bson!({ "$regexMatch": { "input": "ABC", "regex": { "$concat": ["b"] }, "options": "i" } }),
            bson!(true),
        ),
        (bson!({ "$regexMatch": { "input": "$missing", "regex": "a" } }), bson!(false)),
        (bson!({ "$regexMatch": { "input": "a", "regex": null } }), bson!(false)),
        (
            bson!({ "$regexFind": { "input": "$text", "regex": "(l)(x)?" } }),
            bson!({ "match": "l", "idx": 2, "captures": ["l", null] }),
        ),
        (bson!({ "$regexFind": { "input": "$text", "regex": "z" } }), Bson::Null),
        (
            bson!({ "$regexFindAll": { "input": "$text", "regex": "[éo]" } }),
            bson!([{ "match": "é", "idx": 1, "captures": [] }, { "match": "o", "idx": 4, "captures": [] }]),
        ),
        (bson!({ "$regexFindAll": { "input": null, "regex": "a" } }), bson!([])),
        // An empty match is found before each character, not behind the last.
        (bson!({ "$size": { "$regexFindAll": { "input": "abc", "regex": "" } } }), bson!(3)),
        (
            bson!({ "$regexFindAll": { "input": "", "regex": "" } }),
            bson!([{ "match": "", "idx": 0, "captures": [] }]),
        ),
    ]);
    assert_errors(&[
        (bson!({ "$regexMatch": { "input": 1, "regex": "a" } }), 51104),
        (bson!({ "$regexMatch": { "input": "a", "regex": 1 } }), 51105),
        (bson!({ "$regexMatch": { "input": "a", "regex": "a", "options": 1 } }), 51106),
        (bson!({ "$regexMatch": { "input": "a", "regex": regex("a", "i"), "options": "m" } }), 51107),
        (bson!({ "$regexMatch": { "input": "a", "regex": "(" } }), 51111),
        (bson!({ "$regexMatch": { "regex": "a" } }), 31022),
        (bson!({ "$regexMatch": { "input": "a" } }), 31023),
        (bson!({ "$regexMatch": { "input": "a", "regex": "a", "x": 1 } }), 31024),
        (bson!({ "$regexMatch": "a" }), 51103),
    ]);
}

#[test]
fn a_pattern_that_tries_too_many_ways_fails() {
    let text = "a".repeat(40);
    assert_errors(&[(
        bson!({ "$regexMatch": { "input": text, "regex": "^(?:(a)|a)*(?:\\1|a)*(?!a)x" } }),
        51156,
    )]);
}

#[test]
fn numbers_as_text_have_16_digits() {
    let text = |number: Bson| bson!({ "$toString": number });
    assert_values(&[
        (text(bson!(1.0)), bson!("1")),
        (text(bson!(0.1 + 0.2)), bson!("0.3")),
        (text(bson!(1e20)), bson!("1e+20")),
        (text(bson!(-1.5e-7)), bson!("-1.5e-07")),
        (text(bson!(123_456_789.125)), bson!("123456789.125")),
        (text(bson!(100.0)), bson!("100")),
        (text(bson!(-0.0)), bson!("-0")),
        (text(bson!(f64::NEG_INFINITY)), bson!("-Infinity")),
        (text(decimal("1.50")), bson!("1.50")),
    ]);
}
