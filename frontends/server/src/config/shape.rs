//! What a setting's value may be, and how it is read from text and from JSON.
//!
//! Promises: a flag, a variable and a file key of one setting accept the same values and refuse the
//! others in the same words; no such word is taken from a value, which may be a credential. Deliberately
//! unknown: which setting it is and where the value came from.

use serde_json::Value;
use url::Url;

/// Longest name part, so that a name made of it and of more stays within what every server takes.
const NAME_BYTES: usize = 24;

/// The kind of value a setting takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// A whole number within bounds, both included.
    Number {
        /// Smallest accepted value.
        minimum: u64,
        /// Largest accepted value.
        maximum: u64,
    },
    /// Any text that is not empty.
    Text,
    /// A path of the file system.
    Path,
    /// On or off.
    Switch,
    /// One of these names.
    Choice(&'static [&'static str]),
    /// Part of a schema's, database's or namespace's name.
    Name,
    /// A server's address, with one of these schemes. It may hold credentials.
    Url(&'static [&'static str]),
    /// A credential: text of printable ASCII.
    Secret,
    /// A password that people choose: any text. There is no flag for it, since flags are seen by others.
    Password,
    /// Web origins as browsers send them (RFC 6454, section 6.1); in text separated by commas.
    Origins,
}

impl Shape {
    /// Whether values are kept from everything that is printed.
    pub(crate) const fn is_confidential(self) -> bool {
        matches!(self, Self::Url(_) | Self::Secret | Self::Password)
    }

    /// Whether a value may stand on the command line.
    pub(crate) const fn has_flag(self) -> bool {
        !matches!(self, Self::Password)
    }

    /// Whether `value`, which fits, grants access to something: any secret does, a URL only with a
    /// password or token in it.
    pub(crate) fn holds_credential(self, value: &Value) -> bool {
        match self {
            Self::Secret | Self::Password => true,
            Self::Url(_) => {
                value.as_str().and_then(|text| Url::parse(text).ok()).is_some_and(|url| has_credential(&url))
            }
            _ => false,
        }
    }

    /// Reads a flag's or a variable's text. The error says what was expected.
    pub(crate) fn read_text(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Number { .. } => match text.parse::<u64>() {
                Ok(number) => self.read_json(Value::from(number)),
                Err(_) => Err(self.expectation()),
            },
            Self::Switch => match text {
                "true" | "1" => Ok(Value::Bool(true)),
                "false" | "0" => Ok(Value::Bool(false)),
                _ => Err(self.expectation()),
            },
            Self::Origins => self.read_json(text.split(',').map(str::trim).collect()),
            Self::Text
            | Self::Path
            | Self::Choice(_)
            | Self::Name
            | Self::Url(_)
            | Self::Secret
            | Self::Password => self.read_json(Value::from(text)),
        }
    }

    /// Checks a value of the configuration file. The error says what was expected.
    pub(crate) fn read_json(self, value: Value) -> Result<Value, String> {
        let fits = match self {
            Self::Number { minimum, maximum } => {
                value.as_u64().is_some_and(|number| (minimum..=maximum).contains(&number))
            }
            Self::Text | Self::Path | Self::Password => value.as_str().is_some_and(|text| !text.is_empty()),
            Self::Switch => value.is_boolean(),
            Self::Choice(names) => value.as_str().is_some_and(|text| names.contains(&text)),
            Self::Name => value.as_str().is_some_and(is_name),
            Self::Url(schemes) => value
                .as_str()
                .and_then(|text| Url::parse(text).ok())
                .is_some_and(|url| schemes.contains(&url.scheme()) && !url.cannot_be_a_base()),
            Self::Secret => value.as_str().is_some_and(is_secret),
            Self::Origins => value
                .as_array()
                .is_some_and(|items| items.iter().all(|item| item.as_str().is_some_and(is_origin))),
        };
        if fits { Ok(value) } else { Err(self.expectation()) }
    }

    /// The accepted values in words.
    pub(crate) fn expectation(self) -> String {
        match self {
            Self::Number { minimum, maximum: u64::MAX } => format!("a whole number of at least {minimum}"),
            Self::Number { minimum, maximum } => format!("a whole number from {minimum} to {maximum}"),
            Self::Text | Self::Password => "text that is not empty".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Choice(names) => format!("one of: {}", names.join(", ")),
            Self::Name => format!(
                "a lower-case letter followed by lower-case letters, digits or _, at most {NAME_BYTES} in all"
            ),
            Self::Url(schemes) => format!(
                "a URL that begins with {}, its user and password percent-encoded",
                schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" or ")
            ),
            Self::Secret => {
                "printable ASCII characters, at least one, none of them a blank at either end".to_owned()
            }
            Self::Origins => {
                "web origins like https://app.example or http://localhost:3000, without a path".to_owned()
            }
        }
    }
}

/// Browsers send `scheme://host[:port]` in lower case and nothing after it; anything else in the
/// list would silently never match.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let in_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:[]".contains(c);
    host.is_some_and(|host| !host.is_empty() && host.chars().all(in_host))
}

/// The servers differ in what they take unquoted or fold; all take these.
fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() <= NAME_BYTES
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(inner)
}

/// What may stand in an HTTP header, where all of our secrets go.
fn is_secret(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Drivers also take a password or token as a parameter, such as `?password=` or `?authToken=`.
fn has_credential(url: &Url) -> bool {
    let is_credential = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["password", "token", "secret"].iter().any(|part| name.contains(part))
    };
    url.password().is_some() || url.query_pairs().any(|(name, _)| is_credential(&name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PORT: Shape = Shape::Number { minimum: 0, maximum: 65_535 };
    const POSTGRES: Shape = Shape::Url(&["postgres"]);

    #[test]
    fn text_and_json_accept_the_same_values() {
        for (shape, text, value) in [
            (PORT, "0", json!(0)),
            (PORT, "65535", json!(65_535)),
            (Shape::Text, "a b", json!("a b")),
            (Shape::Path, "./data", json!("./data")),
            (Shape::Switch, "true", json!(true)),
            (Shape::Switch, "0", json!(false)),
            (Shape::Choice(&["sqlite"]), "sqlite", json!("sqlite")),
            (Shape::Name, "tenant_", json!("tenant_")),
            (Shape::Name, "a23456789_123456789_1234", json!("a23456789_123456789_1234")),
            (
                POSTGRES,
                "postgres://a:b%40@h:1/d?sslmode=require",
                json!("postgres://a:b%40@h:1/d?sslmode=require"),
            ),
            (POSTGRES, "postgres:///d", json!("postgres:///d")),
            (Shape::Secret, "Basic YTpi==", json!("Basic YTpi==")),
            (
                Shape::Origins,
                "https://a.example, http://[::1]:3000",
                json!(["https://a.example", "http://[::1]:3000"]),
            ),
        ] {
            assert_eq!(shape.read_text(text).unwrap(), value);
            assert_eq!(shape.read_json(value.clone()).unwrap(), value);
        }
    }

    #[test]
    fn values_of_another_shape_are_refused() {
        for (shape, text) in [
            (PORT, "65536"),
            (PORT, "-1"),
            (PORT, "80a"),
            (PORT, ""),
            (Shape::Text, ""),
            (Shape::Switch, "yes"),
            (Shape::Choice(&["sqlite"]), "SQLite"),
            (Shape::Name, ""),
            (Shape::Name, "_a"),
            (Shape::Name, "1a"),
            (Shape::Name, "Tenant_"),
            (Shape::Name, "tenant-"),
            (Shape::Name, "te$nant"),
            (Shape::Name, "t\u{e9}nant"),
            (Shape::Name, "a23456789_123456789_12345"),
            (POSTGRES, ""),
            (POSTGRES, "localhost"),
            (POSTGRES, "localhost:5432"),
            (POSTGRES, "postgres:localhost"),
            (POSTGRES, "mysql://localhost"),
            (POSTGRES, "postgres://user:pass#word@localhost/d"),
            (Shape::Secret, ""),
            (Shape::Secret, " a"),
            (Shape::Secret, "a\n"),
            (Shape::Secret, "\u{e9}"),
            (Shape::Origins, "https://a.example/"),
            (Shape::Origins, "*"),
            (Shape::Origins, "a.example"),
            (Shape::Origins, "https://A.example"),
            (Shape::Origins, "https://a.example,"),
        ] {
            assert!(shape.read_text(text).is_err(), "{shape:?} {text:?}");
        }
        for (shape, value) in [
            (PORT, json!("8080")),
            (PORT, json!(1.5)),
            (PORT, json!(-1)),
            (Shape::Text, json!(null)),
            (Shape::Path, json!(["a"])),
            (Shape::Switch, json!("true")),
            (Shape::Choice(&["sqlite"]), json!(0)),
            (Shape::Origins, json!("https://a.example")),
            (Shape::Origins, json!([1])),
        ] {
            assert!(shape.read_json(value.clone()).is_err(), "{shape:?} {value}");
        }
    }

    #[test]
    fn a_url_is_a_credential_only_with_a_password_or_token_in_it() {
        for (shape, text, holds) in [
            (POSTGRES, "postgres://user@host/d?sslmode=require", false),
            (POSTGRES, "postgres://user:word@host/d", true),
            (POSTGRES, "postgres://host/d?user=a&password=word", true),
            (Shape::Url(&["http"]), "http://host/?authToken=word", true),
            (Shape::Secret, "word", true),
            (Shape::Text, "password", false),
        ] {
            assert_eq!(shape.holds_credential(&json!(text)), holds, "{text}");
        }
    }

    #[test]
    fn what_was_expected_is_said_without_the_value() {
        for shape in [POSTGRES, Shape::Secret, Shape::Name] {
            let expected = shape.read_text("S\u{e9}CRET://").unwrap_err();
            assert!(!expected.contains("CRET"), "{expected}");
        }
    }
}
