//! `$bitsAllSet` and its three siblings.
//!
//! Promises: a number counts if it is whole and fits 64 bits, and then extends by its sign; binary data
//! counts from the lowest bit of its first byte, and ends in zeros (manual, "Bitwise Query Operators").
//! Deliberately unknown: arrays and paths.

use bson::{Bson, RawBsonRef};
use nimbus_types::limits;

use super::number::exact_integer;
use crate::error::QueryError;
use crate::operand::with_raw;

/// Which bits are asked for, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits {
    test: BitTest,
    positions: Vec<u32>,
}

/// How the bits must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitTest {
    /// All are 1.
    AllSet,
    /// Some are 1.
    AnySet,
    /// All are 0.
    AllClear,
    /// Some are 0.
    AnyClear,
}

impl BitTest {
    /// The operator's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllSet => "$bitsAllSet",
            Self::AnySet => "$bitsAnySet",
            Self::AllClear => "$bitsAllClear",
            Self::AnyClear => "$bitsAnyClear",
        }
    }
}

impl Bits {
    /// Reads a mask: a number, binary data, or an array of positions.
    pub(super) fn parse(test: BitTest, mask: &Bson) -> Result<Self, QueryError> {
        let name = test.name();
        let positions: Vec<u32> = match mask {
            Bson::Array(positions) => positions.iter().map(position).collect::<Result<_, _>>()?,
            Bson::Binary(binary) => set_bits(&binary.bytes).take(limits::FILTER_CLAUSES + 1).collect(),
            Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => {
                let number = with_raw(mask, exact_integer).flatten().filter(|number| *number >= 0);
                let number = number.ok_or_else(|| {
                    QueryError::failed_to_parse(format!("Expected a non-negative integer in: {name}: {mask}"))
                })?;
                set_bits(&number.to_le_bytes()).collect()
            }
            other => {
                return Err(QueryError::bad_value(format!(
                    "{name} takes an Array, a number, or a BinData but received: {other}"
                )));
            }
        };
        if positions.len() > limits::FILTER_CLAUSES {
            let limit = limits::FILTER_CLAUSES;
            return Err(QueryError::bad_value(format!("{name} asks for more than {limit} bits")));
        }
        Ok(Self { test, positions })
    }

    /// How the bits are tested.
    pub fn test(&self) -> BitTest {
        self.test
    }

    /// Which bits, counted from the lowest.
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    pub(super) fn hold(&self, value: RawBsonRef<'_>) -> bool {
        match value {
            RawBsonRef::Binary(binary) => self.hold_for(|position| bit_of(binary.bytes, position)),
            value => exact_integer(value)
                .is_some_and(|number| self.hold_for(|position| number >> position.min(63) & 1 == 1)),
        }
    }

    fn hold_for(&self, is_set: impl Fn(u32) -> bool) -> bool {
        let mut positions = self.positions.iter().copied();
        match self.test {
            BitTest::AllSet => positions.all(is_set),
            BitTest::AnySet => positions.any(is_set),
            BitTest::AllClear => !positions.any(is_set),
            BitTest::AnyClear => !positions.all(is_set),
        }
    }
}

fn position(value: &Bson) -> Result<u32, QueryError> {
    let number = with_raw(value, exact_integer)
        .flatten()
        .ok_or_else(|| QueryError::bad_value(format!("bit positions must be an integer but got: {value}")))?;
    u32::try_from(number)
        .map_err(|_| QueryError::bad_value(format!("bit positions must be >= 0 but got: {value}")))
}

fn set_bits(bytes: &[u8]) -> impl Iterator<Item = u32> {
    (0..8 * bytes.len() as u32).filter(|position| bit_of(bytes, *position))
}

fn bit_of(bytes: &[u8], position: u32) -> bool {
    bytes.get(position as usize / 8).is_some_and(|byte| byte >> (position % 8) & 1 == 1)
}
