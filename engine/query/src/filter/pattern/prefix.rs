//! What the matches of a regular expression begin with.
//!
//! Promises: every match begins with the prefix; the flag is set only where nothing else is demanded.
//! Deliberately unknown: options, without which the pattern is read, and the rest of the syntax, at
//! whose first sign the prefix ends.

/// The prefix of an anchored pattern, and whether it is all that the pattern demands; the empty prefix and
/// no, where there is none to be seen.
pub(super) fn of(source: &str) -> (String, bool) {
    let none = (String::new(), false);
    let Some(rest) = source.strip_prefix('^').or_else(|| source.strip_prefix("\\A")) else { return none };
    // An alternative may lie anywhere, and need not be anchored.
    if rest.contains('|') {
        return none;
    }
    let mut prefix = String::new();
    let mut rest = rest.chars();
    loop {
        let before = rest.as_str();
        match rest.next() {
            None => return (prefix, true),
            Some('\\') => match rest.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => prefix.push(escaped),
                _ => return (prefix, false),
            },
            Some('*' | '?' | '{' | '+') => {
                // The last character may be there any number of times.
                prefix.pop();
                return (prefix, false);
            }
            Some('.' | '^' | '$' | '[' | ']' | '(' | ')' | '}') => return (prefix, before == ".*"),
            Some(literal) => prefix.push(literal),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn prefixes_end_at_the_first_sign_of_syntax() {
        for (source, prefix, all) in [
            ("^abc", "abc", true),
            ("\\Aabc", "abc", true),
            ("^abc.*", "abc", true),
            ("^abc.*$", "abc", false),
            ("^a\\.b", "a.b", true),
            ("^ab*", "a", false),
            ("^ab?c", "a", false),
            ("^ab{2}", "a", false),
            ("^a[bc]", "a", false),
            ("^ab|c", "", false),
            ("^(ab)", "", false),
            ("^ab\\d", "ab", false),
            ("^ab\\", "ab", false),
            ("^(?i)ab", "", false),
            ("^ä b", "ä b", true),
            ("abc", "", false),
            ("^", "", true),
        ] {
            assert_eq!(super::of(source), (prefix.to_owned(), all), "{source}");
        }
    }
}
