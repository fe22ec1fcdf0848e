//! Numbers in key bytes: short for whole numbers, exact for all.
//!
//! One byte tells NaN, the infinities, zero and the signs apart. A magnitude follows in groups of
//! seven bits, most significant first; the low bit of each byte tells whether more follow. Zero bits
//! at the end are left out, and a number that goes on is greater than one that stops, so the order
//! holds: 5 takes 3 bytes with its sign, a full double 10. What a double cannot hold follows its ninth
//! group. A negative number is the complement of its magnitude.
//!
//! Deliberately unknown: every other type of value.

use super::decode::Reader;
use super::encode::complement;
use crate::order::CanonicalType;
use crate::order::number::{Decimal, Magnitude, Number};

/// The first byte of each class of numbers, least first.
const NAN: u8 = CanonicalType::Number as u8;
const NEGATIVE_INFINITY: u8 = NAN + 1;
const NEGATIVE: u8 = NAN + 2;
const ZERO: u8 = NAN + 3;
const POSITIVE: u8 = NAN + 4;
const INFINITY: u8 = NAN + 5;

/// The bits of a positive double, its sign left out, fill nine groups of seven.
const GROUPS: u32 = 9;
const GROUP_BITS: u32 = 7;

/// Appends the number, first byte included.
pub(super) fn append(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::Nan => out.push(NAN),
        Number::NegativeInfinity => out.push(NEGATIVE_INFINITY),
        Number::Negative(magnitude) => {
            out.push(NEGATIVE);
            let start = out.len();
            append_magnitude(out, magnitude.0);
            complement(&mut out[start..]);
        }
        Number::Zero => out.push(ZERO),
        Number::Positive(magnitude) => {
            out.push(POSITIVE);
            append_magnitude(out, magnitude);
        }
        Number::Infinity => out.push(INFINITY),
    }
}

/// Reads a number; `None` when the bytes begin none. Some bytes that [`append`] never writes are read
/// too; the caller tells them apart by writing the number again.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Number> {
    let [first] = reader.take()?;
    match first {
        NAN => Some(Number::Nan),
        NEGATIVE_INFINITY => Some(Number::NegativeInfinity),
        NEGATIVE => read_magnitude(reader, 0xFF).map(|magnitude| Number::new(true, magnitude)),
        ZERO => Some(Number::Zero),
        POSITIVE => read_magnitude(reader, 0x00).map(|magnitude| Number::new(false, magnitude)),
        INFINITY => Some(Number::Infinity),
        _ => None,
    }
}

fn append_magnitude(out: &mut Vec<u8>, magnitude: Magnitude) {
    let has_tail = magnitude.rest != 0 || magnitude.decimal.is_some();
    let mut bits = magnitude.double_bits << 1;
    for _ in 0..GROUPS {
        let group = (bits >> (u64::BITS - GROUP_BITS)) as u8;
        bits <<= GROUP_BITS;
        let more = bits != 0 || has_tail;
        out.push(group << 1 | u8::from(more));
        if !more {
            return;
        }
    }
    let has_decimal = u16::from(magnitude.decimal.is_some());
    out.extend_from_slice(&(magnitude.rest << 1 | has_decimal).to_be_bytes());
    if let Some(decimal) = magnitude.decimal {
        out.extend_from_slice(&decimal.to_bytes());
    }
}

/// `flip` is xored onto every byte: all ones undo the complement of a negative number.
fn read_magnitude(reader: &mut Reader<'_>, flip: u8) -> Option<Magnitude> {
    let mut magnitude = Magnitude { double_bits: 0, rest: 0, decimal: None };
    for group in 1..=GROUPS {
        let [byte] = take_flipped(reader, flip)?;
        magnitude.double_bits |= u64::from(byte >> 1) << ((GROUPS - group) * GROUP_BITS);
        if byte & 1 == 0 {
            return Some(magnitude);
        }
    }
    let tail = u16::from_be_bytes(take_flipped(reader, flip)?);
    magnitude.rest = tail >> 1;
    if tail & 1 == 1 {
        magnitude.decimal = Some(Decimal::from_bytes(take_flipped(reader, flip)?));
    }
    Some(magnitude)
}

fn take_flipped<const N: usize>(reader: &mut Reader<'_>, flip: u8) -> Option<[u8; N]> {
    reader.take().map(|bytes: [u8; N]| bytes.map(|byte| byte ^ flip))
}
