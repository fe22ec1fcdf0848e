//! Resume tokens: a place in one tenant's commit log, as `{ _data: hex }`.
//!
//! Promises: tokens of one tenant sort by their place; one of another tenant is refused. Deliberately unknown:
//! what stands in the log.

use bson::{Document, RawDocumentBuf, doc, rawdoc};
use nimbus_types::TenantId;
use sha2::{Digest, Sha256};

use crate::error::{CommandError, Result, codes};

const VERSION: u8 = 1;

/// A place in the log: everything up to and including it has been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The commit.
    pub(super) sequence: u64,
    /// The change within the commit; [`Place::WHOLE`] for all of them.
    pub(super) index: u32,
    /// Whether it is the end of a stream whose collection went with this change.
    pub(super) is_invalidation: bool,
}

impl Place {
    /// Index for all changes of a commit.
    pub(super) const WHOLE: u32 = u32::MAX;

    /// After the whole of a commit.
    pub(super) fn after_commit(sequence: u64) -> Self {
        Self { sequence, index: Self::WHOLE, is_invalidation: false }
    }

    /// The last place before this one.
    pub(super) fn before(self) -> Self {
        match self {
            Self { is_invalidation: true, .. } => Self { is_invalidation: false, ..self },
            Self { index: 0, sequence, .. } => Self::after_commit(sequence.saturating_sub(1)),
            Self { index, .. } => Self { index: index - 1, ..self },
        }
    }

    /// The token for this place.
    pub(super) fn token(self, tenant: &TenantId) -> RawDocumentBuf {
        rawdoc! { "_data": self.data(tenant) }
    }

    /// The same as a value.
    pub(super) fn token_document(self, tenant: &TenantId) -> Document {
        doc! { "_data": self.data(tenant) }
    }

    fn data(self, tenant: &TenantId) -> String {
        format!(
            "{VERSION:02X}{:016X}{:08X}{:02X}{:08X}",
            self.sequence,
            self.index,
            u8::from(self.is_invalidation),
            mark_of(tenant)
        )
    }

    /// Reads a token that a client hands back.
    pub(super) fn parse(token: &Document, tenant: &TenantId) -> Result<Self> {
        let refuse = || {
            CommandError::new(
                codes::INVALID_RESUME_TOKEN,
                "the resume token is not one of this database's change streams",
            )
        };
        let data = token.get_str("_data").map_err(|_| refuse())?;
        if data.len() != 36 || !data.is_ascii() {
            return Err(refuse());
        }
        let number = |from: usize, to: usize| u64::from_str_radix(&data[from..to], 16).map_err(|_| refuse());
        let (version, mark) = (number(0, 2)?, number(28, 36)?);
        if version != u64::from(VERSION) || mark != u64::from(mark_of(tenant)) {
            return Err(refuse());
        }
        let index = u32::try_from(number(18, 26)?).map_err(|_| refuse())?;
        Ok(Self { sequence: number(2, 18)?, index, is_invalidation: number(26, 28)? != 0 })
    }
}

/// What tells the tokens of different tenants apart.
fn mark_of(tenant: &TenantId) -> u32 {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(tenant.as_str()));
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_places_and_sort_like_them() {
        let tenant = TenantId::parse("a").unwrap();
        let places = [
            Place { sequence: 1, index: 0, is_invalidation: false },
            Place { sequence: 1, index: 7, is_invalidation: false },
            Place { sequence: 1, index: 7, is_invalidation: true },
            Place::after_commit(1),
            Place { sequence: 300, index: 0, is_invalidation: false },
        ];
        let tokens = places.map(|place| place.data(&tenant));
        assert!(tokens.is_sorted() && places.is_sorted());
        for place in places {
            assert_eq!(Place::parse(&place.token_document(&tenant), &tenant).unwrap(), place);
            assert!(place.before() < place);
        }
    }

    #[test]
    fn tokens_of_others_and_nonsense_are_refused() {
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let token = Place::after_commit(5).token_document(&a);
        for (token, tenant) in [
            (token, &b),
            (doc! { "_data": "" }, &a),
            (doc! { "_data": "ä".repeat(18) }, &a),
            (doc! { "_data": "Z".repeat(36) }, &a),
            (doc! { "_data": 1 }, &a),
            (doc! {}, &a),
        ] {
            assert_eq!(Place::parse(&token, tenant).unwrap_err().code, codes::INVALID_RESUME_TOKEN);
        }
    }
}
