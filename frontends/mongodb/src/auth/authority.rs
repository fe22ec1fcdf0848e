//! The user's keys, and as good as keys for everyone else.
//!
//! Promises: an exchange with a user that does not exist takes the same steps and the same work as one with a
//! wrong password, and shows the same salt each time, as a real one would. Deliberately unknown:
//! connections and their messages.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use nimbus_io::Randomness;
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use super::credential::Credential;
use super::scram::{ClientFirst, DIGEST_BYTES, Exchange, Failure, ITERATIONS, Keys, hmac};

/// Random bytes of a server's nonce.
const NONCE_BYTES: usize = 24;
/// Bytes of a salt, as MongoDB has them for SHA-256.
const SALT_BYTES: usize = 28;

/// Judges proofs of the password.
pub(crate) struct Authority {
    username: String,
    keys: Keys,
    /// Keys that no password has.
    nobody: Keys,
    /// Salts are made of it and the user's name, so that every name has one and keeps it.
    salt_secret: [u8; DIGEST_BYTES],
    randomness: Arc<dyn Randomness>,
}

impl Authority {
    /// Derives the keys on a thread for blocking work, since that takes some milliseconds.
    pub(crate) async fn new(credential: Credential, randomness: Arc<dyn Randomness>) -> io::Result<Self> {
        tokio::task::spawn_blocking(move || Self::derive(&credential, randomness))
            .await
            .map_err(io::Error::other)
    }

    fn derive(credential: &Credential, randomness: Arc<dyn Randomness>) -> Self {
        let [salt_secret, stored, server] = std::array::from_fn(|_| {
            let mut bytes = [0; DIGEST_BYTES];
            randomness.fill(&mut bytes);
            bytes
        });
        let username = credential.username().to_owned();
        let keys = Keys::derive(credential.password(), &salt_of(&salt_secret, &username), ITERATIONS);
        Self { username, keys, nobody: Keys { stored, server }, salt_secret, randomness }
    }

    /// The user that is let in.
    pub(crate) fn username(&self) -> &str {
        &self.username
    }

    /// Begins an exchange; the answer is the server's first message.
    pub(super) fn begin(&self, message: &[u8]) -> Result<(Exchange, String), Failure> {
        let client = ClientFirst::parse(message)?;
        let mut nonce = [0; NONCE_BYTES];
        self.randomness.fill(&mut nonce);
        let salt = salt_of(&self.salt_secret, &client.username);
        // Equal salts mean equal names; compared so, the time tells nothing about the name.
        let is_known = salt.ct_eq(&salt_of(&self.salt_secret, &self.username));
        let keys = Keys {
            stored: select(&self.nobody.stored, &self.keys.stored, is_known),
            server: select(&self.nobody.server, &self.keys.server, is_known),
        };
        Ok(Exchange::begin(&client, &BASE64.encode(nonce), &salt, ITERATIONS, keys))
    }
}

fn salt_of(secret: &[u8], username: &str) -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    salt.copy_from_slice(&hmac(secret, username.as_bytes())[..SALT_BYTES]);
    salt
}

fn select(no: &[u8; DIGEST_BYTES], yes: &[u8; DIGEST_BYTES], choice: Choice) -> [u8; DIGEST_BYTES] {
    std::array::from_fn(|at| u8::conditional_select(&no[at], &yes[at], choice))
}

#[cfg(test)]
mod tests {
    use nimbus_io::SimulatedRandomness;

    use super::*;

    fn first_message(authority: &Authority, user: &str) -> String {
        authority.begin(format!("n,,n={user},r=abc").as_bytes()).unwrap().1
    }

    #[test]
    fn users_that_do_not_exist_look_like_one_that_does() {
        let credential = Credential::new("ada", "word").unwrap();
        let authority = Authority::derive(&credential, Arc::new(SimulatedRandomness::new(1)));
        let salt = |user: &str| first_message(&authority, user).split(',').nth(1).unwrap().to_owned();
        assert_eq!(salt("ada"), salt("ada"));
        assert_eq!(salt("bob"), salt("bob"));
        assert_ne!(salt("ada"), salt("bob"));
        assert_eq!(salt("ada").len(), salt("bob").len());
        let (first, second) = (first_message(&authority, "ada"), first_message(&authority, "ada"));
        assert_ne!(first.split(',').next(), second.split(',').next(), "nonces are fresh");
        assert!(first.ends_with(",i=15000"));
    }
}
