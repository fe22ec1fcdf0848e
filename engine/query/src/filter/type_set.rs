//! Sets of BSON types, as `$type` and `bsonType` name them.
//!
//! Promises: numbers and aliases are those of the manual ("BSON Types"). Deliberately unknown: arrays and
//! paths.

use bson::spec::ElementType;
use bson::{Bson, RawBsonRef};

use crate::error::QueryError;
use crate::operand::with_raw;

/// The types: number in the specification, name, and bit in a [`TypeSet`].
const TYPES: [(i64, &str, u32); 21] = [
    (-1, "minKey", 0),
    (1, "double", 1),
    (2, "string", 2),
    (3, "object", 3),
    (4, "array", 4),
    (5, "binData", 5),
    (6, "undefined", 6),
    (7, "objectId", 7),
    (8, "bool", 8),
    (9, "date", 9),
    (10, "null", 10),
    (11, "regex", 11),
    (12, "dbPointer", 12),
    (13, "javascript", 13),
    (14, "symbol", 14),
    (15, "javascriptWithScope", 15),
    (16, "int", 16),
    (17, "timestamp", 17),
    (18, "long", 18),
    (19, "decimal", 19),
    (127, "maxKey", 20),
];

/// A set of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TypeSet(u32);

impl TypeSet {
    /// The four types of number.
    pub(crate) const NUMBER: Self = Self(1 << 1 | 1 << 16 | 1 << 18 | 1 << 19);

    /// Reads a type's number or alias, `number`, or an array of them.
    pub(crate) fn parse(operand: &Bson) -> Result<Self, QueryError> {
        let Bson::Array(types) = operand else { return Self::one(operand) };
        if types.is_empty() {
            return Err(QueryError::failed_to_parse("$type must match at least one type"));
        }
        types.iter().try_fold(Self::default(), |all, one| Ok(Self(all.0 | Self::one(one)?.0)))
    }

    fn one(operand: &Bson) -> Result<Self, QueryError> {
        if let Bson::String(alias) = operand {
            return Self::named(alias)
                .ok_or_else(|| QueryError::bad_value(format!("Unknown type name alias: {alias}")));
        }
        if !with_raw(operand, |operand| Self::NUMBER.contains(operand)).unwrap_or(false) {
            return Err(QueryError::type_mismatch("type must be represented as a number or a string"));
        }
        let number = with_raw(operand, super::exact_integer).flatten();
        let known = TYPES.iter().find(|(known, ..)| Some(*known) == number);
        known.map(|(_, _, bit)| Self(1 << bit)).ok_or_else(|| {
            let hint = if number == Some(0) { ". Instead use {$exists:false}." } else { "" };
            QueryError::bad_value(format!("Invalid numerical type code: {operand}{hint}"))
        })
    }

    /// The type of that alias, or all numbers for `number`.
    pub(crate) fn named(alias: &str) -> Option<Self> {
        if alias == "number" {
            return Some(Self::NUMBER);
        }
        TYPES.iter().find(|(_, name, _)| *name == alias).map(|(_, _, bit)| Self(1 << bit))
    }

    /// The types of both.
    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the value is of one of the types.
    pub fn contains(self, value: RawBsonRef<'_>) -> bool {
        self.0 >> bit_of(value.element_type()) & 1 == 1
    }

    /// The aliases of the types.
    pub fn names(self) -> Vec<&'static str> {
        TYPES.iter().filter(|(_, _, bit)| self.0 >> bit & 1 == 1).map(|(_, name, _)| *name).collect()
    }
}

/// The alias of a type.
pub fn type_name(kind: ElementType) -> &'static str {
    TYPES[bit_of(kind) as usize].1
}

/// The bit of a type, which is its place in [`TYPES`] too.
fn bit_of(kind: ElementType) -> u32 {
    match kind {
        ElementType::MinKey => 0,
        ElementType::Double => 1,
        ElementType::String => 2,
        ElementType::EmbeddedDocument => 3,
        ElementType::Array => 4,
        ElementType::Binary => 5,
        ElementType::Undefined => 6,
        ElementType::ObjectId => 7,
        ElementType::Boolean => 8,
        ElementType::DateTime => 9,
        ElementType::Null => 10,
        ElementType::RegularExpression => 11,
        ElementType::DbPointer => 12,
        ElementType::JavaScriptCode => 13,
        ElementType::Symbol => 14,
        ElementType::JavaScriptCodeWithScope => 15,
        ElementType::Int32 => 16,
        ElementType::Timestamp => 17,
        ElementType::Int64 => 18,
        ElementType::Decimal128 => 19,
        ElementType::MaxKey => 20,
    }
}
