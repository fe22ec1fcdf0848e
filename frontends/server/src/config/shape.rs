//! What a setting's value may be, and how it is read from text and from JSON.
//!
//! Promises: a flag, a variable and a file key of one setting accept the same values and refuse the
//! others in the same words. Deliberately unknown: which setting it is and where the value came from.

use serde_json::Value;

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
    /// Web origins as browsers send them (RFC 6454, section 6.1); in text separated by commas.
    Origins,
}

impl Shape {
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
            Self::Text | Self::Path | Self::Choice(_) => self.read_json(Value::from(text)),
        }
    }

    /// Checks a value of the configuration file. The error says what was expected.
    pub(crate) fn read_json(self, value: Value) -> Result<Value, String> {
        let fits = match self {
            Self::Number { minimum, maximum } => {
                value.as_u64().is_some_and(|number| (minimum..=maximum).contains(&number))
            }
            Self::Text | Self::Path => value.as_str().is_some_and(|text| !text.is_empty()),
            Self::Switch => value.is_boolean(),
            Self::Choice(names) => value.as_str().is_some_and(|text| names.contains(&text)),
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
            Self::Text => "text that is not empty".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Choice(names) => format!("one of: {}", names.join(", ")),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PORT: Shape = Shape::Number { minimum: 0, maximum: 65_535 };

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
}
