//! Decimals against the text that BSON's own library makes of them, against integers, and without panic.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use bigdecimal::RoundingMode;
use bson::Decimal128;
use nimbus_query::number::{Decimal, Number, Sum};
use proptest::prelude::*;

fn packed(text: &str) -> Decimal128 {
    Decimal::parse(text).unwrap().pack()
}

fn any_decimal() -> impl Strategy<Value = Decimal> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(|bytes| Decimal::unpack(Decimal128::from_bytes(bytes))),
        (any::<i64>(), -40..40_i32)
            .prop_map(|(digits, power)| Decimal::parse(&format!("{digits}E{power}")).unwrap()),
        prop::sample::select(vec![
            "0",
            "-0",
            "1",
            "-1",
            "NaN",
            "Infinity",
            "-Infinity",
            "1E-6176",
            "9E+6144"
        ])
        .prop_map(|text| Decimal::parse(text).unwrap()),
    ]
}

#[test]
fn rounding_to_34_digits_is_half_to_even() {
    for (text, expected) in [
        ("1.2345678901234567890123456789012345", "1.234567890123456789012345678901234"),
        ("1.2345678901234567890123456789012335", "1.234567890123456789012345678901234"),
        ("12345678901234567890123456789012345.0000001", "1.234567890123456789012345678901235E+34"),
        ("9999999999999999999999999999999999.5", "1.000000000000000000000000000000000E+34"),
        ("1E+6144", "1.000000000000000000000000000000000E+6144"),
        ("1E+6145", "Infinity"),
        ("-1E+999999", "-Infinity"),
        ("1E-6176", "1E-6176"),
        ("4E-6177", "0E-6176"),
        ("6E-6177", "1E-6176"),
        ("-1E-999999", "-0E-6176"),
        ("-0.00", "-0.00"),
    ] {
        assert_eq!(packed(text).to_string(), expected, "{text}");
    }
    for refused in ["", ".", "1e", "e1", "+-1", "1_0", " 1", "0x1", "1E99999999999999999999", "é"] {
        assert_eq!(Decimal::parse(refused), None, "{refused}");
    }
}

#[test]
fn sums_keep_what_far_smaller_numbers_add() {
    let sum =
        |a: &str, b: &str| Decimal::parse(a).unwrap().add(&Decimal::parse(b).unwrap()).pack().to_string();
    assert_eq!(sum("1E+6000", "1E-6000"), format!("1.{}E+6000", "0".repeat(33)));
    assert_eq!(sum("1", "1E-33"), format!("1.{}1", "0".repeat(32)));
    assert_eq!(sum("1", "-1E-6000"), format!("1.{}", "0".repeat(33)));
    assert_eq!(sum("1.10", "-1.1"), "0.00");
    assert_eq!(sum("Infinity", "-Infinity"), "NaN");
}

#[test]
fn the_order_of_doubles_hardly_matters() {
    let total = |numbers: &[f64]| {
        let mut sum = Sum::default();
        for number in numbers {
            sum.add(Number::Double(*number));
        }
        sum.total()
    };
    assert_eq!(total(&[1e16, 1.0, 1.0, -1e16]), Number::Double(2.0));
    assert_eq!(total(&[f64::INFINITY, 1.0]), Number::Double(f64::INFINITY));
    assert!(total(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
}

proptest! {
    #[test]
    fn unpacking_reads_what_the_text_says(bytes in any::<[u8; 16]>()) {
        let decimal = Decimal128::from_bytes(bytes);
        let unpacked = Decimal::unpack(decimal);
        prop_assert_eq!(&unpacked, &Decimal::parse(&decimal.to_string()).unwrap());
        prop_assert_eq!(unpacked.pack().to_string(), decimal.to_string());
    }

    #[test]
    fn integers_compute_as_integers_do(a in any::<i32>(), b in any::<i32>()) {
        let (a, b) = (i64::from(a), i64::from(b));
        let decimal = |number: i64| Number::Int64(number).to_decimal();
        prop_assert_eq!(decimal(a).add(&decimal(b)).to_integer(), Some(a + b));
        prop_assert_eq!(decimal(a).multiply(&decimal(b)).to_integer(), Some(a * b));
        if b != 0 {
            prop_assert_eq!(decimal(a).remainder(&decimal(b)).to_integer(), Some(a % b));
            prop_assert_eq!(decimal(a * b).divide(&decimal(b)).to_integer(), Some(a));
        }
    }

    #[test]
    fn doubles_survive_the_way_to_decimals_and_back(double in any::<f64>()) {
        let back = Decimal::from_double_exactly(double).to_double();
        prop_assert!(back.to_bits() == double.to_bits() || back.is_nan() && double.is_nan());
    }

    /// No pair of decimals makes any operation panic, and what comes out fits a decimal.
    #[test]
    fn every_operation_ends(a in any_decimal(), b in any_decimal(), places in -20..=100_i64) {
        let results = [
            a.add(&b), a.multiply(&b), a.divide(&b), a.remainder(&b), a.pow(&b), a.atan2(&b), a.negate(), a.abs(),
            a.round(places, RoundingMode::HalfEven), a.quantize(places, RoundingMode::Down), a.exp(), a.ln(),
            a.log10(), a.sqrt(), a.sin(), a.cos(), a.tan(), a.asin(), a.acos(), a.atan(), a.sinh(), a.cosh(),
            a.tanh(), a.asinh(), a.acosh(), a.atanh(), a.to_radians(), a.to_degrees(),
        ];
        for result in results {
            let text = result.pack().to_string();
            prop_assert!(text.parse::<Decimal128>().is_ok(), "{}", text);
        }
        prop_assert_eq!(a.compare(&b), b.compare(&a).reverse());
        let _ = (a.to_double(), a.to_integer());
    }
}
