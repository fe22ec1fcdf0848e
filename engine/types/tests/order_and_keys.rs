//! The order of values and the order of their key bytes, held together by generated values.
//!
//! Numbers are also held against an order of their own, computed here from decimal digits.

#![expect(clippy::unwrap_used, reason = "what a test makes itself is well-formed")]

mod values;

use std::cmp::Ordering;

use bson::raw::{RawBson, RawDocument, RawDocumentBuf, cstr};
use bson::{Bson, RawBsonRef, doc};
use nimbus_types::key::{decode_value, encode_value, encode_value_descending};
use nimbus_types::order::compare;
use proptest::collection::vec;
use proptest::prelude::*;

use values::{decimal, near_numbers, number, raw, value, values};

fn order(a: &Bson, b: &Bson) -> Ordering {
    compare(raw(a).as_raw_bson_ref(), raw(b).as_raw_bson_ref())
}

fn encoded(value: &Bson) -> Vec<u8> {
    encoded_raw(raw(value).as_raw_bson_ref())
}

fn encoded_raw(value: RawBsonRef<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_value(&mut bytes, value);
    bytes
}

fn encoded_descending(value: &Bson) -> Vec<u8> {
    let mut bytes = vec![0xAB];
    encode_value_descending(&mut bytes, raw(value).as_raw_bson_ref());
    bytes.split_off(1)
}

/// A finite number as sign, exponent and digits without zeros at the end; zero has no digits.
fn exact_digits(number: &Bson) -> Option<(bool, isize, String)> {
    let text = match number {
        Bson::Int32(integer) => integer.to_string(),
        Bson::Int64(integer) => integer.to_string(),
        Bson::Double(double) if double.is_finite() => format!("{double:.1080}"),
        Bson::Decimal128(decimal) => decimal.to_string(),
        _ => return None,
    };
    let negative = text.starts_with('-');
    let (mantissa, exponent) =
        text.trim_start_matches('-').split_once('E').unwrap_or((text.trim_start_matches('-'), "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let leading_zeros = digits.len() - digits.trim_start_matches('0').len();
    let exponent =
        exponent.parse::<isize>().unwrap() + whole.len().cast_signed() - leading_zeros.cast_signed();
    Some((negative, exponent, digits.trim_matches('0').to_owned()))
}

fn order_of_digits(a: &Bson, b: &Bson) -> Option<Ordering> {
    let [(a_negative, a_exponent, a_digits), (b_negative, b_exponent, b_digits)] =
        [exact_digits(a)?, exact_digits(b)?];
    let sign = |negative: bool, digits: &str| match (digits, negative) {
        ("", _) => 0,
        (_, true) => -1,
        (_, false) => 1,
    };
    let (a_sign, b_sign) = (sign(a_negative, &a_digits), sign(b_negative, &b_digits));
    let magnitudes =
        if a_sign == 0 { Ordering::Equal } else { (a_exponent, a_digits).cmp(&(b_exponent, b_digits)) };
    Some(a_sign.cmp(&b_sign).then(if a_sign < 0 { magnitudes.reverse() } else { magnitudes }))
}

proptest! {
    #[test]
    fn the_order_is_total([a, b, c] in values()) {
        prop_assert_eq!(order(&a, &a), Ordering::Equal);
        prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
        let mut sorted = [&a, &b, &c];
        sorted.sort_by(|a, b| order(a, b));
        let [first, second, third] = sorted;
        // Transitive: the ends are as far apart as the larger of the two steps.
        prop_assert_eq!(order(first, third), order(first, second).then(order(second, third)));
    }

    #[test]
    fn numbers_sort_by_exact_value(numbers in near_numbers(2), a in number(), b in number()) {
        for (a, b) in [(&numbers[0], &numbers[1]), (&numbers[0], &a), (&a, &b)] {
            if let Some(expected) = order_of_digits(a, b) {
                prop_assert_eq!(order(a, b), expected, "{} and {}", a, b);
            }
        }
    }

    #[test]
    fn keys_sort_as_values_do([a, b] in values()) {
        prop_assert_eq!(encoded(&a).cmp(&encoded(&b)), order(&a, &b));
        prop_assert_eq!(encoded_descending(&a).cmp(&encoded_descending(&b)), order(&b, &a));
    }

    #[test]
    fn concatenated_keys_sort_field_by_field([a, b] in values(), [c, d] in values()) {
        let expected = order(&a, &b).then(order(&d, &c));
        let left = [encoded(&a), encoded_descending(&c)].concat();
        let right = [encoded(&b), encoded_descending(&d)].concat();
        prop_assert_eq!(left.cmp(&right), expected);
        let expected = order(&b, &a).then(order(&c, &d));
        let left = [encoded_descending(&a), encoded(&c)].concat();
        let right = [encoded_descending(&b), encoded(&d)].concat();
        prop_assert_eq!(left.cmp(&right), expected);
    }

    #[test]
    fn values_come_back_from_their_keys(value in value(), after in vec(any::<u8>(), 0..3)) {
        let key = encoded(&value);
        let (decoded, used) = decode_value(&[&key[..], &after].concat()).unwrap();
        prop_assert_eq!(used, key.len());
        prop_assert_eq!(order(&decoded, &value), Ordering::Equal);
        prop_assert_eq!(encoded(&decoded), key);
    }

    #[test]
    fn equal_values_come_back_as_one([a, b] in values()) {
        if order(&a, &b).is_eq() {
            let decoded = |value| format!("{:?}", decode_value(&encoded(value)));
            prop_assert_eq!(decoded(&a), decoded(&b));
        }
    }

    #[test]
    fn no_part_of_a_key_is_a_key(value in value(), place in any::<prop::sample::Index>()) {
        let key = encoded(&value);
        prop_assert_eq!(decode_value(&key[..place.index(key.len())]), None);
    }

    #[test]
    fn damaged_keys_never_panic_and_never_read_two_ways(
        value in value(), place in any::<prop::sample::Index>(), byte in any::<u8>(), noise in vec(any::<u8>(), 0..40),
    ) {
        let mut key = encoded(&value);
        let place = place.index(key.len());
        key[place] = byte;
        let numbers = (0x20..=0x25).map(|first| [&[first], &noise[..]].concat());
        for bytes in [key, noise.clone()].into_iter().chain(numbers) {
            if let Some((decoded, used)) = decode_value(&bytes) {
                prop_assert_eq!(encoded(&decoded), &bytes[..used]);
            }
        }
    }

    #[test]
    fn damaged_documents_never_panic_and_keep_the_order(
        [a, b] in values(), places in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), noise in vec(any::<u8>(), 0..30),
    ) {
        let intact = raw(&Bson::Document(doc! { "x": a.clone(), "a": [b, a] }));
        let intact = intact.as_document().unwrap().as_bytes();
        let mut damaged = intact.to_vec();
        for (place, byte) in places {
            let inside = 4..intact.len() - 1;
            damaged[inside.start + place.index(inside.len())] = byte;
        }
        let mut invented = ((noise.len() + 5) as u32).to_le_bytes().to_vec();
        invented.extend_from_slice(&noise);
        invented.push(0);
        let documents = [intact, &damaged, &invented].map(|bytes| RawDocument::from_bytes(bytes).unwrap());
        for a in documents.map(RawBsonRef::Document) {
            for b in documents.map(RawBsonRef::Document) {
                prop_assert_eq!(compare(a, b), compare(b, a).reverse());
                prop_assert_eq!(encoded_raw(a).cmp(&encoded_raw(b)), compare(a, b));
            }
            let _ = nimbus_types::key::encode_id(a).map(|key| decode_value(&key).unwrap());
        }
    }
}

/// Each value with the next one up; every pair is checked both ways, in order and in bytes.
fn assert_ascending(ascending: &[Bson]) {
    for (low, a) in ascending.iter().enumerate() {
        for (high, b) in ascending.iter().enumerate() {
            assert_eq!(order(a, b), low.cmp(&high), "{a} and {b}");
            assert_eq!(encoded(a).cmp(&encoded(b)), low.cmp(&high), "keys of {a} and {b}");
        }
    }
}

#[test]
fn types_sort_as_the_manual_says() {
    use bson::{Binary, DateTime, JavaScriptCodeWithScope, Regex, Timestamp, oid::ObjectId};
    let binary =
        |subtype: u8, bytes: &[u8]| Bson::Binary(Binary { subtype: subtype.into(), bytes: bytes.to_vec() });
    let regex = |pattern: &str, options: &str| {
        Bson::RegularExpression(Regex {
            pattern: pattern.try_into().unwrap(),
            options: options.try_into().unwrap(),
        })
    };
    let scoped = |code: &str, scope| {
        Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: code.to_owned(), scope })
    };
    let timestamp = |time, increment| Bson::Timestamp(Timestamp { time, increment });
    assert_ascending(&[
        Bson::MinKey,
        Bson::Undefined,
        Bson::Null,
        Bson::Double(f64::NAN),
        Bson::Int32(-1),
        Bson::Int32(7),
        Bson::String(String::new()),
        Bson::String("\0".to_owned()),
        Bson::String("\0a".to_owned()),
        Bson::String("Z".to_owned()),
        Bson::Symbol("a".to_owned()),
        Bson::String("a\0".to_owned()),
        Bson::String("aa".to_owned()),
        Bson::String("ÿ".to_owned()),
        Bson::Document(doc! {}),
        Bson::Document(doc! { "b": 1 }),
        Bson::Document(doc! { "b": 1, "a": 0 }),
        Bson::Document(doc! { "b": 2 }),
        Bson::Document(doc! { "c": -1 }),
        Bson::Document(doc! { "a": "x" }),
        Bson::Array(vec![]),
        Bson::Array(vec![Bson::Null]),
        Bson::Array(vec![Bson::Int32(1)]),
        Bson::Array(vec![Bson::Int32(1), Bson::Null]),
        Bson::Array(vec![Bson::Int32(2)]),
        binary(0, &[]),
        binary(0, &[0xFF]),
        binary(5, &[0x00]),
        binary(0, &[0, 0]),
        Bson::ObjectId(ObjectId::from_bytes([0; 12])),
        Bson::ObjectId(ObjectId::from_bytes([0xFF; 12])),
        Bson::Boolean(false),
        Bson::Boolean(true),
        Bson::DateTime(DateTime::MIN),
        Bson::DateTime(DateTime::from_millis(-1)),
        Bson::DateTime(DateTime::from_millis(0)),
        Bson::DateTime(DateTime::MAX),
        timestamp(1, u32::MAX),
        timestamp(2, 0),
        timestamp(u32::MAX, 0),
        regex("a", ""),
        regex("a", "i"),
        regex("aa", ""),
        values::db_pointer("b", [9; 12]),
        values::db_pointer("aa", [1; 12]),
        Bson::JavaScriptCode("a".to_owned()),
        scoped("a", doc! {}),
        scoped("a", doc! { "x": 1 }),
        scoped("b", doc! {}),
        Bson::MaxKey,
    ]);
}

#[test]
fn tricky_numbers_sort_by_exact_value() {
    let largest = 10_u128.pow(34) - 1;
    let two_to_53 = 1_i64 << 53;
    assert_ascending(&[
        Bson::Double(f64::NAN),
        Bson::Double(f64::NEG_INFINITY),
        decimal(true, largest, 6111),
        Bson::Double(f64::MIN),
        decimal(true, 9_223_372_036_854_775_809, 0),
        Bson::Int64(i64::MIN),
        decimal(true, 1, -1),
        decimal(true, 1, -6176),
        Bson::Int32(0),
        decimal(false, 1, -6176),
        decimal(false, 4_940, -327),
        Bson::Double(f64::from_bits(1)),
        decimal(false, 4_941, -327),
        Bson::Double(f64::MIN_POSITIVE),
        // The double written 0.1 is a little more than a tenth, the one written 0.3 a little less.
        decimal(false, 1, -1),
        Bson::Double(0.1),
        Bson::Double(0.3),
        decimal(false, 3, -1),
        Bson::Int32(1),
        decimal(false, 10_u128.pow(33) + 1, -33),
        Bson::Double(1_f64.next_up()),
        Bson::Int64(two_to_53 - 1),
        decimal(false, 90_071_992_547_409_915, -1),
        Bson::Double(two_to_53 as f64),
        Bson::Int64(two_to_53 + 1),
        decimal(false, 90_071_992_547_409_935, -1),
        Bson::Int64(two_to_53 + 2),
        Bson::Int64(i64::MAX - 1),
        Bson::Int64(i64::MAX),
        decimal(false, 92_233_720_368_547_758_075, -1),
        Bson::Double(9_223_372_036_854_775_808.0),
        decimal(false, 18_446_744_073_709_551_615, 0),
        decimal(false, 184_467_440_737_095_516_155, -1),
        Bson::Double(18_446_744_073_709_551_616.0),
        decimal(false, 18_446_744_073_709_551_617, 0),
        Bson::Double(f64::MAX),
        decimal(false, 1, 309),
        decimal(false, largest, 6111),
        Bson::Double(f64::INFINITY),
    ]);
}

#[test]
fn equal_numbers_have_equal_keys_whatever_their_type() {
    let groups = [
        vec![
            Bson::Int32(0),
            Bson::Int64(0),
            Bson::Double(0.0),
            Bson::Double(-0.0),
            decimal(true, 0, -6176),
            decimal(false, 0, 6111),
            // Coefficients of 10^34 and above are not canonical and count as zero.
            values::decimal_of_bits(6176 << 113 | 10_u128.pow(34)),
            values::decimal_of_bits(0b11 << 125),
        ],
        vec![Bson::Int32(5), Bson::Double(5.0), decimal(false, 5, 0), decimal(false, 5_000, -3)],
        vec![Bson::Double(-1.5), decimal(true, 15, -1), decimal(true, 1_500, -3)],
        vec![Bson::Int64(1 << 60), Bson::Double((1_u64 << 60) as f64), decimal(false, 1 << 60, 0)],
        vec![decimal(false, 1, 6111), decimal(false, 10_u128.pow(33), 6078)],
        vec![
            Bson::Double(f64::NAN),
            Bson::Double(-f64::NAN),
            values::decimal_of_bits(0b1_1111 << 122),
            values::decimal_of_bits(0b11_1111 << 122 | 7),
        ],
        vec![Bson::Double(f64::INFINITY), values::decimal_of_bits(0b1_1110 << 122)],
    ];
    for group in &groups {
        for pair in group.windows(2) {
            assert_eq!(order(&pair[0], &pair[1]), Ordering::Equal, "{pair:?}");
            assert_eq!(encoded(&pair[0]), encoded(&pair[1]), "{pair:?}");
        }
    }
}

#[test]
fn numbers_come_back_in_these_types() {
    let cases = [
        (decimal(false, 500, -2), Bson::Int32(5)),
        (Bson::Double(-2_147_483_648.0), Bson::Int32(i32::MIN)),
        (Bson::Double(2_147_483_648.0), Bson::Int64(1 << 31)),
        (Bson::Double(-9_223_372_036_854_775_808.0), Bson::Int64(i64::MIN)),
        (Bson::Int64(i64::MAX), Bson::Int64(i64::MAX)),
        (decimal(false, 1 << 63, 0), Bson::Double(9_223_372_036_854_775_808.0)),
        (decimal(false, (1 << 63) + 1, 0), decimal(false, (1 << 63) + 1, 0)),
        (decimal(false, 25, -2), Bson::Double(0.25)),
        (decimal(true, 100, -3), decimal(true, 1, -1)),
        (decimal(false, 100, 6109), decimal(false, 1, 6111)),
        (decimal(false, 10_u128.pow(33), 6111), decimal(false, 10_u128.pow(33), 6111)),
    ];
    for (value, expected) in cases {
        assert_eq!(decode_value(&encoded(&value)).unwrap().0, expected, "{value}");
    }
}

#[test]
fn a_field_kind_is_one_byte_only() {
    let key = encoded(&Bson::Document(doc! { "a": 1 }));
    for kind in 0x21..=0x25 {
        // Bytes that begin a number's value, but announce no field.
        let mut damaged = key.clone();
        damaged[1] = kind;
        assert_eq!(decode_value(&damaged), None);
    }
}

#[test]
fn common_numbers_have_short_keys() {
    let lengths = [(0_i64, 1), (5, 3), (-5, 3), (1_000, 4), (i64::from(i32::MAX), 7), (1 << 52, 3)];
    for (integer, bytes) in lengths {
        assert_eq!(encoded(&Bson::Int64(integer)).len(), bytes, "{integer}");
    }
    assert_eq!(encoded(&Bson::Double(0.1)).len(), 10);
    assert_eq!(encoded(&Bson::Int64(i64::MAX)).len(), 12);
}

/// A document inside a document, and so on, `levels` in all.
fn nested(levels: usize) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    for _ in 1..levels {
        let mut outer = RawDocumentBuf::new();
        outer.append(cstr!("a"), document);
        document = outer;
    }
    document
}

#[test]
fn nesting_beyond_the_limit_is_compared_by_raw_bytes() {
    let deep = [nested(100), nested(101), nested(2_000)].map(RawBson::Document);
    let deep = deep.each_ref().map(RawBson::as_raw_bson_ref);
    for (low, a) in deep.into_iter().enumerate() {
        for (high, b) in deep.into_iter().enumerate() {
            assert_eq!(compare(a, b), low.cmp(&high));
            assert_eq!(encoded_raw(a).cmp(&encoded_raw(b)), low.cmp(&high));
        }
    }
    assert_eq!(deep.map(|value| decode_value(&encoded_raw(value)).is_some()), [true, false, false]);
}

#[test]
fn a_key_nested_without_end_is_refused() {
    let array = encoded(&Bson::Array(vec![]))[0];
    assert_eq!(decode_value(&vec![array; 1_000_000]), None);
}
