//! SCRAM-SHA-256, the server's side (RFC 5802, RFC 7677), without channel binding.
//!
//! Promises: pure; the proof is compared in constant time. Deliberately unknown: users, randomness, how
//! messages travel.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Bytes of SHA-256 and of everything made with it.
pub(super) const DIGEST_BYTES: usize = 32;
/// Fewer are refused by drivers (4096) and by our own standard.
pub(super) const ITERATIONS: u32 = 15_000;
/// Longest nonce a client may send. Drivers send 24 to 44 characters.
const NONCE_CHARACTERS: usize = 128;

type Digest = [u8; DIGEST_BYTES];

/// A message that does not follow the protocol, or a proof that is wrong. There is no telling which.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure;

/// What a server keeps of a password.
#[derive(Clone)]
pub(super) struct Keys {
    /// To check the client's proof with.
    pub(super) stored: Digest,
    /// To sign the server's own with.
    pub(super) server: Digest,
}

impl Keys {
    /// Derives the keys from a prepared password. Takes some milliseconds of work.
    pub(super) fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let mut salted = [0; DIGEST_BYTES];
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut salted);
        Self {
            stored: Sha256::digest(hmac(&salted, b"Client Key")).into(),
            server: hmac(&salted, b"Server Key"),
        }
    }
}

/// HMAC-SHA-256.
pub(super) fn hmac(key: &[u8], message: &[u8]) -> Digest {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The client's first message, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    /// `n,,` or `y,,`: what the final message has to repeat.
    gs2_header: &'a str,
    bare: &'a str,
    pub(super) username: String,
    nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    /// Reads `n,,n=user,r=nonce`.
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, Failure> {
        let message = std::str::from_utf8(message).map_err(|_| Failure)?;
        // Channel binding (`p=`) and acting for another (`a=`) are not offered.
        let bare = message.strip_prefix("n,,").or_else(|| message.strip_prefix("y,,")).ok_or(Failure)?;
        let gs2_header = &message[..3];
        let mut attributes = bare.split(',');
        let username = attributes.next().and_then(|text| text.strip_prefix("n=")).ok_or(Failure)?;
        let nonce = attributes.next().and_then(|text| text.strip_prefix("r=")).ok_or(Failure)?;
        let is_nonce = |c: char| c.is_ascii_graphic() && c != ',';
        if nonce.is_empty() || nonce.len() > NONCE_CHARACTERS || !nonce.chars().all(is_nonce) {
            return Err(Failure);
        }
        Ok(Self { gs2_header, bare, username: unescape(username)?, nonce })
    }
}

/// `=2C` stands for a comma and `=3D` for the sign itself.
fn unescape(name: &str) -> Result<String, Failure> {
    let mut parts = name.split('=');
    let mut unescaped = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (sign, rest) = part
            .strip_prefix("2C")
            .map(|rest| (',', rest))
            .or_else(|| part.strip_prefix("3D").map(|rest| ('=', rest)))
            .ok_or(Failure)?;
        unescaped.push(sign);
        unescaped.push_str(rest);
    }
    if unescaped.is_empty() { Err(Failure) } else { Ok(unescaped) }
}

/// An exchange that waits for the client's proof.
pub(super) struct Exchange {
    keys: Keys,
    /// Both nonces.
    nonce: String,
    /// What channel binding has to say: the client's header in Base64.
    binding: String,
    /// The part of the signed text that is known.
    first_messages: String,
}

impl Exchange {
    /// Begins one; the answer is the server's first message. `server_nonce` is printable ASCII without
    /// commas.
    pub(super) fn begin(
        client: &ClientFirst<'_>,
        server_nonce: &str,
        salt: &[u8],
        iterations: u32,
        keys: Keys,
    ) -> (Self, String) {
        let nonce = format!("{}{server_nonce}", client.nonce);
        let reply = format!("r={nonce},s={},i={iterations}", BASE64.encode(salt));
        let exchange = Self {
            keys,
            nonce,
            binding: BASE64.encode(client.gs2_header),
            first_messages: format!("{},{reply}", client.bare),
        };
        (exchange, reply)
    }

    /// Checks the client's final message, `c=…,r=…,p=…`; the answer is the server's own proof.
    pub(super) fn finish(self, message: &[u8]) -> Result<String, Failure> {
        let message = std::str::from_utf8(message).map_err(|_| Failure)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Failure)?;
        if without_proof != format!("c={},r={}", self.binding, self.nonce) {
            return Err(Failure);
        }
        let proof: Digest =
            BASE64.decode(proof).ok().and_then(|proof| proof.try_into().ok()).ok_or(Failure)?;
        let signed = format!("{},{without_proof}", self.first_messages);
        let signature = hmac(&self.keys.stored, signed.as_bytes());
        let mut client_key = proof;
        client_key.iter_mut().zip(signature).for_each(|(byte, mask)| *byte ^= mask);
        let presented: Digest = Sha256::digest(client_key).into();
        if !bool::from(presented.ct_eq(&self.keys.stored)) {
            return Err(Failure);
        }
        Ok(format!("v={}", BASE64.encode(hmac(&self.keys.server, signed.as_bytes()))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn begun(client_first: &[u8]) -> (Exchange, String) {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = Keys::derive("pencil", &salt, 4096);
        Exchange::begin(&ClientFirst::parse(client_first).unwrap(), SERVER_NONCE, &salt, 4096, keys)
    }

    /// The exchange of RFC 7677, section 3.
    #[test]
    fn the_example_of_the_standard_holds() {
        let (exchange, server_first) = begun(CLIENT_FIRST);
        assert_eq!(
            server_first,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        assert_eq!(
            exchange.finish(CLIENT_FINAL.as_bytes()),
            Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_owned())
        );
    }

    #[test]
    fn any_other_final_message_fails() {
        for (from, to) in [
            ("p=dH", "p=eH"),
            ("c=biws", "c=eSws"),
            ("hNlF", "hNlG"),
            ("c=biws,", ""),
            (",p=dHzb", ",p="),
            (",p=", ",x=1,p="),
            ("=", ""),
        ] {
            let message = CLIENT_FINAL.replace(from, to);
            assert_ne!(message, CLIENT_FINAL);
            assert_eq!(begun(CLIENT_FIRST).0.finish(message.as_bytes()), Err(Failure), "{message}");
        }
    }

    #[test]
    fn names_are_unescaped_and_malformed_first_messages_refused() {
        let name = |message: &str| ClientFirst::parse(message.as_bytes()).map(|first| first.username);
        assert_eq!(name("n,,n=a=2Cb=3Dc,r=x").as_deref(), Ok("a,b=c"));
        assert_eq!(name("y,,n=a,r=x,ext=1").as_deref(), Ok("a"));
        let long = format!("n,,n=a,r={}", "x".repeat(129));
        for message in [
            "",
            "n,",
            "n,,",
            "n,,n=,r=x",
            "n,,n=a,r=",
            "n,,n=a",
            "n,,r=x",
            "n,,n=a=2cb,r=x",
            "n,,n=a=,r=x",
            "n,a=b,n=a,r=x",
            "p=tls-unique,,n=a,r=x",
            "n,,m=1,n=a,r=x",
            "n,,n=a,r=\u{e4}",
            "n,,n=a,r=x y",
            &long,
        ] {
            assert_eq!(name(message), Err(Failure), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(first in prop::collection::vec(any::<u8>(), 0..64), rest in "\\PC{0,64}") {
            let _ = ClientFirst::parse(&first);
            prop_assert_eq!(begun(CLIENT_FIRST).0.finish(&first), Err(Failure));
            prop_assert_eq!(begun(CLIENT_FIRST).0.finish(rest.as_bytes()), Err(Failure));
        }
    }
}
