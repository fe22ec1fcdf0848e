//! File names for tenant ids, on file systems that may ignore case.
//!
//! Promises: no two ids share a name even where `a` and `A` are one file, and a name says its id
//! without a table on the side. An id without upper-case letters is its own name. Any other is
//! written in lower case, then `~`, then one bit for each character (1 where it is upper case) as
//! hexadecimal digits, the first character in the highest bit, trailing zeros cut: `AbC` is `abc~a`.
//! `~` is no character of an id. Deliberately unknown: extensions and folders.

use nimbus_types::TenantId;

/// Separates the lower-case id from its bitmap.
const SEPARATOR: char = '~';

/// The name of the file that belongs to `tenant`, without an extension: at most 161 bytes.
pub(super) fn encode(tenant: &TenantId) -> String {
    let id = tenant.as_str();
    let mut name = id.to_ascii_lowercase();
    let Some(last_upper) = id.rfind(|character: char| character.is_ascii_uppercase()) else { return name };
    name.push(SEPARATOR);
    for four in id.as_bytes()[..=last_upper].chunks(4) {
        let digit =
            (0..4).filter(|at| four.get(*at).is_some_and(u8::is_ascii_uppercase)).map(|at| 8_u32 >> at).sum();
        name.extend(char::from_digit(digit, 16));
    }
    name
}

/// The reverse of [`encode`], or `None` for a name that `encode` does not make.
pub(super) fn decode(name: &str) -> Option<TenantId> {
    let (lower, bitmap) = name.split_once(SEPARATOR).unwrap_or((name, ""));
    let mut id: Vec<u8> = lower.into();
    for (four, digit) in bitmap.chars().enumerate() {
        let digit = digit.to_digit(16)?;
        for at in (0..4).filter(|at| digit & (8 >> at) != 0) {
            id.get_mut(four * 4 + at)?.make_ascii_uppercase();
        }
    }
    let tenant = TenantId::parse(std::str::from_utf8(&id).ok()?).ok()?;
    (encode(&tenant) == name).then_some(tenant)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn tenant(id: &str) -> TenantId {
        TenantId::parse(id).unwrap()
    }

    #[test]
    fn names_are_as_the_header_says() {
        let names = [("a-b_9", "a-b_9"), ("AbC", "abc~a"), ("abcdE", "abcde~08"), ("Acme", "acme~8")];
        for (id, name) in names {
            assert_eq!(encode(&tenant(id)), name);
        }
    }

    #[test]
    fn the_longest_ids_stay_well_under_255_bytes() {
        for id in ["X".repeat(128), format!("{}X", "x".repeat(127))] {
            let name = encode(&tenant(&id));
            assert!(name.len() <= 161, "{}", name.len());
            assert_eq!(decode(&name), Some(tenant(&id)));
        }
    }

    /// Every id of up to five characters over an alphabet with all kinds of them.
    #[test]
    fn no_two_ids_share_a_name_even_where_case_is_ignored() {
        let mut ids: Vec<String> = vec![String::new()];
        let mut names = BTreeSet::new();
        let mut count = 0;
        for _ in 0..5 {
            ids = ids
                .iter()
                .flat_map(|id| ["a", "A", "b", "B", "8", "-", "_"].map(|c| id.clone() + c))
                .collect();
            for id in ids.iter().filter_map(|id| TenantId::parse(id).ok()) {
                let name = encode(&id);
                assert_eq!(decode(&name), Some(id));
                names.insert(name.to_lowercase());
                count += 1;
            }
        }
        assert_eq!(names.len(), count);
    }

    #[test]
    fn names_we_do_not_make_are_not_ours() {
        let foreign = [
            "",
            "~",
            "A",
            "Abc~8",
            "abc~",
            "abc~0",
            "abc~80",
            "abc~1",
            "abc~A",
            "abc~g",
            "abc~a~a",
            "8~8",
            "_a",
            "a b",
            "a.b",
            "ä",
            "abc~\u{e4}",
        ];
        for name in foreign {
            assert_eq!(decode(name), None, "{name:?}");
        }
    }
}
