//! Generated BSON values of all types, leaning towards those that sort near each other.
//!
//! Promises: small alphabets for names, texts and bytes, so that equal and nearly equal values are
//! common, and numbers at the edges of every type. Deliberately unknown: what is tested with them.

use bson::oid::ObjectId;
use bson::raw::{RawBson, RawDocument};
use bson::{Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, Regex, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// The value in raw form, which order and keys work on.
pub(crate) fn raw(value: &Bson) -> RawBson {
    RawBson::try_from(value.clone()).unwrap()
}

/// `coefficient × 10^exponent` exactly as given, so that equal values can have different bits.
pub(crate) fn decimal(negative: bool, coefficient: u128, exponent: i32) -> Bson {
    assert!(coefficient < 10_u128.pow(34) && (-6176..=6111).contains(&exponent));
    let biased = u128::from((exponent + 6176).unsigned_abs());
    decimal_of_bits(u128::from(negative) << 127 | biased << 113 | coefficient)
}

pub(crate) fn decimal_of_bits(bits: u128) -> Bson {
    Bson::Decimal128(Decimal128::from_bytes(bits.to_le_bytes()))
}

/// A value with nested documents and arrays.
pub(crate) fn value() -> impl Strategy<Value = Bson> {
    scalar().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Bson::Array),
            document(inner.clone()).prop_map(Bson::Document),
            (text(), document(inner)).prop_map(|(code, scope)| {
                Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code, scope })
            }),
        ]
    })
}

/// Values to compare with each other: unrelated ones, or numbers around one point, bare or nested.
pub(crate) fn values<const N: usize>() -> impl Strategy<Value = [Bson; N]> {
    let unrelated = vec(value(), N);
    let near = near_numbers(N);
    let nested = near_numbers(N)
        .prop_map(|numbers| numbers.into_iter().map(|number| Bson::Array(vec![number])).collect());
    prop_oneof![unrelated, near, nested].prop_map(|values: Vec<Bson>| values.try_into().unwrap())
}

fn document(value: impl Strategy<Value = Bson>) -> impl Strategy<Value = Document> {
    vec((select(vec!["", "a", "aa", "b", "ÿ"]), value), 0..4)
        .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn scalar() -> impl Strategy<Value = Bson> {
    let object_id = (any::<bool>(), any::<u8>()).prop_map(|(high, byte)| {
        let mut bytes = [if high { 0xFF } else { 0 }; 12];
        bytes[11] = byte;
        ObjectId::from_bytes(bytes)
    });
    let subtype = select(vec![0_u8, 2, 3, 4, 5, 9, 0x80, 0xFF]);
    let binary = (subtype, vec(select(vec![0_u8, 1, 0xFF]), 0..5))
        .prop_map(|(subtype, bytes)| Binary { subtype: subtype.into(), bytes });
    let seconds = select(vec![0_u32, 1, 0x7FFF_FFFF, 0x8000_0000, u32::MAX]);
    prop_oneof![
        1 => select(vec![Bson::MinKey, Bson::Undefined, Bson::Null, Bson::MaxKey]),
        4 => number(),
        3 => text().prop_map(Bson::String),
        1 => text().prop_map(Bson::Symbol),
        1 => text().prop_map(Bson::JavaScriptCode),
        1 => binary.prop_map(Bson::Binary),
        1 => object_id.prop_map(Bson::ObjectId),
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => integer().prop_map(|ms| Bson::DateTime(DateTime::from_millis(ms))),
        1 => (seconds.clone(), seconds)
            .prop_map(|(time, increment)| Bson::Timestamp(Timestamp { time, increment })),
        1 => (select(vec!["", "a", "a.", "ÿ"]), select(vec!["", "i", "im", "mi"])).prop_map(|(pattern, options)| {
            Bson::RegularExpression(Regex {
                pattern: pattern.try_into().unwrap(),
                options: options.try_into().unwrap(),
            })
        }),
        1 => (select(vec!["", "a", "b", "aa"]), any::<u8>())
            .prop_map(|(namespace, id)| db_pointer(namespace, [id; 12])),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let letters = select(vec!['\0', '\u{1}', 'a', 'b', '\u{7F}', 'ÿ', '\u{FFFF}', '\u{10FFFF}']);
    vec(letters, 0..4).prop_map(|letters| letters.into_iter().collect())
}

/// The bson crate makes no database pointers, but reads them.
pub(crate) fn db_pointer(namespace: &str, id: [u8; 12]) -> Bson {
    let mut bytes = vec![0, 0, 0, 0, 0x0C, b'p', 0];
    bytes.extend_from_slice(&(namespace.len() as u32 + 1).to_le_bytes());
    bytes.extend_from_slice(namespace.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&id);
    bytes.push(0);
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    let pointer = RawDocument::from_bytes(&bytes).unwrap().get("p").unwrap().unwrap();
    pointer.try_into().unwrap()
}

/// Numbers of all types, most of them near an edge.
pub(crate) fn number() -> impl Strategy<Value = Bson> {
    prop_oneof![
        integer().prop_map(Bson::Int64),
        any::<i32>().prop_map(Bson::Int32),
        double().prop_map(Bson::Double),
        (any::<bool>(), coefficient(), -6176..=6111).prop_map(|(negative, coefficient, exponent)| decimal(
            negative,
            coefficient,
            exponent
        )),
        // Small exponents, where decimals meet the other types.
        (any::<bool>(), coefficient(), -40..=4).prop_map(|(negative, coefficient, exponent)| decimal(
            negative,
            coefficient,
            exponent
        )),
        any::<u128>().prop_map(decimal_of_bits),
        // Infinities and NaNs, with any payload.
        any::<u128>().prop_map(|bits| decimal_of_bits(bits | 0b1111 << 123)),
    ]
}

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        -3..=3_i64,
        (0..64_u32, -2..=2_i64, any::<bool>()).prop_map(|(power, offset, negative)| {
            let integer = (1_i64 << power).wrapping_add(offset);
            if negative { integer.wrapping_neg() } else { integer }
        }),
    ]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (-1074..1024, -2..=2_i64, any::<bool>()).prop_map(|(power, offset, negative)| {
            let double =
                f64::from_bits((power_of_two(power).to_bits().cast_signed() + offset).unsigned_abs());
            if negative { -double } else { double }
        }),
        integer().prop_map(|integer| integer as f64),
        (any::<i16>(), 0..5).prop_map(|(cents, places)| f64::from(cents) / 10_f64.powi(places)),
        select(vec![0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN]),
    ]
}

/// Exact for subnormals too, which `powi` is not.
fn power_of_two(power: i32) -> f64 {
    if power >= -1022 {
        f64::from_bits(u64::from((power + 1023).unsigned_abs()) << 52)
    } else {
        f64::from_bits(1 << (power + 1074))
    }
}

fn coefficient() -> impl Strategy<Value = u128> {
    let largest = 10_u128.pow(34) - 1;
    prop_oneof![
        0..=largest,
        0..=20_u128,
        (0..34_u32).prop_map(|power| 10_u128.pow(power)),
        (0..113_u32, 0..=2_u128)
            .prop_map(move |(power, below)| { ((1_u128 << power) + 1).saturating_sub(below).min(largest) }),
    ]
}

/// Numbers that lie around one double or one integer, many of them equal in different types.
pub(crate) fn near_numbers(count: usize) -> impl Strategy<Value = Vec<Bson>> {
    prop_oneof![
        double().prop_map(|double| near_double(if double.is_finite() { double } else { 0.5 })),
        integer().prop_map(near_integer),
    ]
    .prop_flat_map(move |near| vec(select(near), count))
}

fn near_double(double: f64) -> Vec<Bson> {
    let negative = double.is_sign_negative();
    let mut near = vec![double, double.next_up(), double.next_down(), -double];
    near.extend([double.trunc(), double.trunc().next_up()]);
    let mut near: Vec<_> = near.into_iter().map(Bson::Double).collect();
    for digits in [16_usize, 33] {
        let text = format!("{:.digits$e}", double.abs());
        let (mantissa, exponent) = text.split_once('e').unwrap();
        let coefficient: u128 = mantissa.replace('.', "").parse().unwrap();
        let exponent = exponent.parse::<i32>().unwrap() - i32::try_from(digits).unwrap();
        for offset in [0, 1, 2] {
            let shifted = (coefficient + offset).saturating_sub(1);
            near.push(decimal(negative, shifted.min(10_u128.pow(34) - 1), exponent));
        }
    }
    near
}

fn near_integer(integer: i64) -> Vec<Bson> {
    let double = integer as f64;
    let mut near =
        vec![Bson::Double(double), Bson::Double(double.next_up()), Bson::Double(double.next_down())];
    for neighbour in [integer.saturating_sub(1), integer, integer.saturating_add(1)] {
        near.push(Bson::Int64(neighbour));
        let magnitude = u128::from(neighbour.unsigned_abs());
        near.push(decimal(neighbour < 0, magnitude, 0));
        near.push(decimal(neighbour < 0, magnitude * 1_000_000, -6));
        near.push(decimal(neighbour < 0, magnitude * 10 + 1, -1));
    }
    near
}
