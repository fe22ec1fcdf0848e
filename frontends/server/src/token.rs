//! The admin token: what it is, how it is compared, and what its file holds.
//!
//! Promises: a token's text leaves this module only through [`AdminToken::reveal`], and no error or
//! debug output shows it; comparing takes the same time wherever the difference is. Deliberately
//! unknown: who presents tokens and what they open.

mod store;
mod watch;

use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;

use nimbus_io::Randomness;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

pub(crate) use store::TokenStore;
pub(crate) use watch::TokenWatch;

use crate::private_file::TooWide;
use crate::timestamp;

/// Random bytes in a token; it is written as twice as many hexadecimal digits.
const TOKEN_BYTES: usize = 32;

/// Why the token cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The file system said no.
    #[error("cannot use the admin token file {path}: {error}", path = path.display())]
    Io {
        /// The token file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others can reach the file or its directory.
    #[error("the admin token is not private: {0}")]
    TooWide(#[from] TooWide),
    /// The file holds something else.
    #[error(
        "the admin token file {path} is broken ({reason}); restore it, or delete it and run: nimbus auth rotate-admin",
        path = path.display()
    )]
    Broken {
        /// The token file.
        path: PathBuf,
        /// What is wrong with it, without its content.
        reason: &'static str,
    },
}

/// The token in force and its history.
#[derive(Clone)]
pub(crate) struct AdminToken {
    text: String,
    generation: u64,
    created_ms: u64,
    rotated_ms: Option<u64>,
}

impl AdminToken {
    /// The token's text, for the one command that prints it.
    pub(crate) fn reveal(&self) -> &str {
        &self.text
    }

    /// How many tokens there have been, this one counted.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// When it was last rotated, epoch milliseconds; `None` for the first token.
    pub(crate) fn rotated_ms(&self) -> Option<u64> {
        self.rotated_ms
    }

    /// Compares in constant time. Only the length can be told from the time, and every token is of
    /// the same, published length.
    pub(crate) fn matches(&self, presented: &str) -> bool {
        self.text.as_bytes().ct_eq(presented.as_bytes()).into()
    }

    fn random(randomness: &dyn Randomness) -> String {
        let mut bytes = [0; TOKEN_BYTES];
        randomness.fill(&mut bytes);
        bytes.iter().fold(String::with_capacity(TOKEN_BYTES * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdminToken(generation {})", self.generation)
    }
}

/// The file's content.
#[derive(Serialize, Deserialize)]
struct TokenFile {
    token: String,
    generation: u64,
    created_at: String,
    rotated_at: Option<String>,
}

impl TokenFile {
    fn of(token: &AdminToken) -> Self {
        Self {
            token: token.text.clone(),
            generation: token.generation,
            created_at: timestamp::format(token.created_ms),
            rotated_at: token.rotated_ms.map(timestamp::format),
        }
    }

    fn into_token(self) -> Result<AdminToken, &'static str> {
        let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if self.token.len() != TOKEN_BYTES * 2 || !self.token.chars().all(is_digit) {
            return Err("`token` must be 64 lower-case hexadecimal digits");
        }
        let rotated_ms = match self.rotated_at {
            None => None,
            Some(text) => {
                Some(timestamp::parse(&text).ok_or("`rotated_at` must be an RFC 3339 time or null")?)
            }
        };
        Ok(AdminToken {
            text: self.token,
            generation: self.generation,
            created_ms: timestamp::parse(&self.created_at).ok_or("`created_at` must be an RFC 3339 time")?,
            rotated_ms,
        })
    }
}
