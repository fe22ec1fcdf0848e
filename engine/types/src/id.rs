//! Names and numbers that identify things: tenants, tables, indexes, commits, documents.
//!
//! Promises: a value of one of these types has been validated; the text a client sent becomes a
//! [`TenantId`] here and nowhere else. Deliberately unknown: whether the named thing exists.

use std::fmt;

use crate::limits;

/// Why a name was refused. The message names the rule, and is safe to show to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Empty, or longer than the limit (characters).
    #[error("{what} must be 1 to {limit} characters long, not {length}")]
    Length {
        /// Which name it was, for the message.
        what: &'static str,
        /// Longest allowed length in characters.
        limit: usize,
        /// The length that was sent.
        length: usize,
    },
    /// A character outside the allowed set.
    #[error("{what} may hold only {allowed}, not {found:?}")]
    Character {
        /// Which name it was, for the message.
        what: &'static str,
        /// The allowed set in words.
        allowed: &'static str,
        /// The first character that is not in it.
        found: char,
    },
    /// A name the system keeps for itself.
    #[error("{what} {name:?} is reserved: names that begin with {prefix:?} belong to the system")]
    Reserved {
        /// Which name it was, for the message.
        what: &'static str,
        /// The refused name.
        name: String,
        /// The reserved prefix.
        prefix: &'static str,
    },
}

/// A tenant's name: 1 to 128 characters of `A-Za-z0-9_-`, not beginning with `_`.
///
/// Ids are case-sensitive; two ids that differ only in case are two tenants.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Box<str>);

impl TenantId {
    /// Validates a name a client sent.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        const WHAT: &str = "a tenant id";
        check_length(WHAT, text, limits::TENANT_ID_CHARACTERS)?;
        if let Some(found) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '_' || *c == '-')) {
            return Err(InvalidId::Character { what: WHAT, allowed: "A-Z a-z 0-9 _ -", found });
        }
        check_reserved(WHAT, text, "_")?;
        Ok(Self(text.into()))
    }

    /// The id as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({})", self.0)
    }
}

/// A table's (collection's) name: 1 to 255 bytes, no NUL, no `$`, not beginning with `system.`,
/// after MongoDB's naming restrictions (manual, "MongoDB Limits and Thresholds").
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName(Box<str>);

impl TableName {
    const WHAT: &str = "a table name";

    /// Validates a name a client sent.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let name = Self::internal(text)?;
        check_reserved(Self::WHAT, text, "system.")?;
        Ok(name)
    }

    /// The same for the name of any table, those that the engine keeps for itself (`system.`) included.
    pub fn internal(text: &str) -> Result<Self, InvalidId> {
        check_length(Self::WHAT, text, limits::TABLE_NAME_BYTES)?;
        if let Some(found) = text.chars().find(|c| c.is_control() || *c == '$') {
            return Err(InvalidId::Character {
                what: Self::WHAT,
                allowed: "printable characters other than $",
                found,
            });
        }
        Ok(Self(text.into()))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_length(what: &'static str, text: &str, limit: usize) -> Result<(), InvalidId> {
    if text.is_empty() || text.len() > limit {
        return Err(InvalidId::Length { what, limit, length: text.chars().count() });
    }
    Ok(())
}

fn check_reserved(what: &'static str, text: &str, prefix: &'static str) -> Result<(), InvalidId> {
    if text.starts_with(prefix) {
        return Err(InvalidId::Reserved { what, name: text.into(), prefix });
    }
    Ok(())
}

/// Number of a table inside one tenant. Never reused, so that a dropped table's keys stay its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u32);

/// Number of an index inside one tenant. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IndexId(pub u32);

/// Position of a commit in its tenant's log. The first commit is 1; 0 is the empty log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The state before any commit.
    pub const ZERO: Self = Self(0);

    /// The sequence of the commit that follows this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A 26-character id that sorts by creation time: 48 bits of epoch milliseconds, then 80 random
/// bits, in Crockford's base 32 (the ULID layout, github.com/ulid/spec), lower case.
pub fn time_ordered_id(time_ms: u64, random: [u8; 10]) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bytes = [0_u8; 16];
    bytes[..6].copy_from_slice(&time_ms.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&random);
    let number = u128::from_be_bytes(bytes);
    (0..26).rev().map(|digit| char::from(DIGITS[(number >> (digit * 5)) as usize & 31])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_ids_keep_to_their_alphabet() {
        for good in ["a", "A-b_9", "-", "0", &"x".repeat(128)] {
            assert_eq!(TenantId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "_evil", "a b", "a/b", "..", "ä", "a\0", &"x".repeat(129)] {
            assert!(TenantId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn table_names_follow_mongodb() {
        for good in ["a", "a.b", "größe", "a b"] {
            assert!(TableName::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", "a$b", "system.users", "a\0b", &"x".repeat(256)] {
            assert!(TableName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(TableName::internal("system.sessions").is_ok() && TableName::internal("a$b").is_err());
    }

    #[test]
    fn generated_ids_sort_by_time() {
        let early = time_ordered_id(1, [0xFF; 10]);
        let late = time_ordered_id(2, [0; 10]);
        assert!(early < late && early.len() == 26);
    }
}
