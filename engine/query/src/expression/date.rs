//! Operators on dates: their parts, arithmetic, and how they are written and read.
//!
//! Promises: calendar and clocks are those of the time zone that an operator is given, by the IANA database
//! that is built in; a date is also the time of an `ObjectId` or a timestamp; dates outside of the years -9999 to
//! 9999 are errors wherever a calendar is needed. Deliberately unknown: how expressions are parsed.

mod arithmetic;
mod cursor;
mod format;
mod from_string;
mod names;
mod parts;
mod reader;
mod unit;
mod zone;

pub(crate) use self::format::iso;
pub(crate) use self::from_string::parse;
pub(crate) use self::unit::Unit;
use super::operator::Operator;

/// The tables of the families here.
pub(super) static FAMILIES: [&[Operator]; 4] =
    [arithmetic::OPERATORS, format::OPERATORS, from_string::OPERATORS, parts::OPERATORS];
