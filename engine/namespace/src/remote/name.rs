//! Names of schemas, databases and namespaces on a server that others use too.
//!
//! Promises: no two of (prefix, tenant id, generation) share a name, whatever a server makes of case,
//! and every name keeps to the server's length. A prefix that ends in `_` with an id of lower-case
//! letters and digits is its own name, `tenant_acme`; the last `_` tells where the id begins. Any other
//! name is a readable part, then `$h` and 100 bits of SHA-256 over prefix and exact id, so that `a-b`,
//! `a_b` and `A-B` stay apart. From the second generation on, `$` and its number follow. `$` is no
//! character of a prefix or an id. Deliberately unknown: how a server quotes names.

use std::fmt;

use nimbus_types::TenantId;
use sha2::{Digest, Sha256};

/// Longest prefix, in bytes: it leaves room for the hash and the generation in 63 bytes.
const PREFIX_BYTES: usize = 24;
/// Digits of the hash, 5 bits each.
const HASH_DIGITS: usize = 20;
/// Room kept for `$` and a generation.
const GENERATION_BYTES: usize = 11;
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What the names of one installation's tenants begin with: `tenant_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Box<str>);

impl Prefix {
    /// Takes 1 to 24 characters of `a-z 0-9 _`, the first a letter. The error says so.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fits = text.len() <= PREFIX_BYTES
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(format!("1 to {PREFIX_BYTES} characters of a-z, 0-9 and _, beginning with a letter"))
        }
    }

    /// The prefix as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of one tenant's namespace on the server: `a-z 0-9 _ $` only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceName(Box<str>);

impl NamespaceName {
    /// The name of the `generation`-th namespace of `tenant`, at most `longest_bytes` (63 or more) long.
    pub fn of(prefix: &Prefix, tenant: &TenantId, generation: u64, longest_bytes: usize) -> Self {
        let (prefix, id) = (prefix.as_str(), tenant.as_str());
        let is_plain = prefix.ends_with('_')
            && id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'))
            && prefix.len() + id.len() + GENERATION_BYTES <= longest_bytes;
        let mut name = format!("{prefix}{id}").to_ascii_lowercase().replace('-', "_");
        if !is_plain {
            name.truncate(longest_bytes - GENERATION_BYTES - HASH_DIGITS - 2);
            name.push_str("$h");
            name.push_str(&hash(prefix, id));
        }
        if generation > 1 {
            name = format!("{name}${generation}");
        }
        Self(name.into())
    }

    /// A name that was read back from the server's own metadata, where only [`NamespaceName::of`]'s are
    /// written; `None` for any other text.
    pub fn stored(text: &str) -> Option<Self> {
        let known = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'$');
        (!text.is_empty() && text.bytes().all(known)).then(|| Self(text.into()))
    }

    /// The name, not quoted.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn hash(prefix: &str, id: &str) -> String {
    // A NUL stands in neither, so that the two cannot run into each other.
    let digest = Sha256::new().chain_update(prefix).chain_update([0]).chain_update(id).finalize();
    let bits = digest.iter().take(16).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    (0..HASH_DIGITS).map(|at| char::from(BASE32[(bits >> (123 - 5 * at) & 31) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const LONGEST: usize = 63;

    fn name(prefix: &str, id: &str, generation: u64) -> String {
        let (prefix, tenant) = (Prefix::parse(prefix).unwrap(), TenantId::parse(id).unwrap());
        NamespaceName::of(&prefix, &tenant, generation, LONGEST).to_string()
    }

    #[test]
    fn names_are_as_the_header_says() {
        assert_eq!(name("tenant_", "acme", 1), "tenant_acme");
        assert_eq!(name("tenant_", "acme", 2), "tenant_acme$2");
        let hashed = name("tenant_", "A-b", 3);
        assert!(hashed.starts_with("tenant_a_b$h") && hashed.ends_with("$3"), "{hashed}");
        assert_eq!(hashed.len(), "tenant_a_b$h".len() + HASH_DIGITS + 2);
    }

    #[test]
    fn look_alikes_stay_apart_and_keep_to_the_length() {
        let long = "x".repeat(127);
        let longest = |last: &str| format!("{long}{last}");
        let ids =
            ["a", "A", "ab", "a-b", "a_b", "A-B", "a--b", "b", "select", "public", "2", "a2", "h", "ah"];
        let ids: Vec<String> = ids
            .map(String::from)
            .into_iter()
            .chain([longest("a"), longest("A"), longest("b"), long.clone(), "y".repeat(46)])
            .collect();
        // `tenant_` with `a_b` must not meet `tenant_a_` with `b`, nor `tenant` with `_…` the first.
        let prefixes = ["tenant_", "tenant_a_", "tenant", "t", &format!("{}_", "p".repeat(23))];
        let mut seen = HashMap::new();
        for prefix in prefixes {
            for id in &ids {
                for generation in [1, 2, 22, 4_000_000_000] {
                    let name = name(prefix, id, generation);
                    assert!(name.len() <= LONGEST && NamespaceName::stored(&name).is_some(), "{name}");
                    assert!(name.starts_with(prefix), "{name}");
                    let before = seen.insert(name.clone(), (prefix, id, generation));
                    assert_eq!(before, None, "{name}");
                }
            }
        }
    }

    #[test]
    fn prefixes_of_another_shape_are_refused() {
        for prefix in ["", "1a", "_a", "A", "a-", "a$", "a b", "ä", &"a".repeat(25)] {
            assert!(Prefix::parse(prefix).unwrap_err().contains("24 characters"), "{prefix:?}");
        }
    }
}
