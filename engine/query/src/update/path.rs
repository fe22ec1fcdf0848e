//! Paths of an update: fields, array positions, `$`, `$[]` and `$[identifier]`.
//!
//! Promises: a path that parses has no more segments than a document may have levels, so that trees of
//! paths may be walked by recursion. Deliberately unknown: documents and operators.

use std::borrow::Cow;

use nimbus_types::limits;

use super::EMPTY_FIELD_NAME;
use crate::error::{QueryError, codes};

/// A name under which a document or array holds a value.
///
/// The order is that in which MongoDB applies an update: positions by number, then names by their bytes
/// (manual, "Update Operators Behavior").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    /// A decimal number: a position in an array, a name in a document.
    Position(usize),
    /// A field.
    Name(String),
    /// `$`: the position at which the filter matched.
    Matched,
}

impl Segment {
    /// How the segment is written, and what it is called in a document.
    pub(super) fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Position(position) => Cow::Owned(position.to_string()),
            Self::Name(name) => Cow::Borrowed(name),
            Self::Matched => Cow::Borrowed("$"),
        }
    }
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Into one field or element.
    Field(Segment),
    /// Into each element that the array filter of this identifier matches; the empty identifier is `$[]`.
    Elements(String),
}

/// Takes a path apart.
pub(super) fn parse(path: &str) -> Result<Vec<Step>, QueryError> {
    if path.is_empty() {
        return Err(QueryError::new(EMPTY_FIELD_NAME, "An empty update path is not valid."));
    }
    if path.split('.').count() > limits::NESTING_DEPTH {
        let limit = limits::NESTING_DEPTH;
        return Err(QueryError::new(
            codes::OVERFLOW,
            format!("An update path has more than {limit} segments"),
        ));
    }
    if path.contains('\0') {
        return Err(QueryError::bad_value("An update path has a NUL character"));
    }
    let steps: Vec<Step> = path.split('.').map(|segment| step(path, segment)).collect::<Result<_, _>>()?;
    match &steps[0] {
        Step::Field(Segment::Matched) => {
            return Err(QueryError::bad_value(format!(
                "Cannot have positional (i.e. '$') element in the first position in path '{path}'"
            )));
        }
        Step::Elements(_) => {
            return Err(QueryError::bad_value(format!(
                "Cannot have array filter identifier (i.e. '$[<id>]') element in the first position in path \
                 '{path}'"
            )));
        }
        Step::Field(_) => {}
    }
    if steps.iter().filter(|step| **step == Step::Field(Segment::Matched)).count() > 1 {
        return Err(QueryError::bad_value(format!(
            "Too many positional (i.e. '$') elements found in path '{path}'"
        )));
    }
    Ok(steps)
}

fn step(path: &str, segment: &str) -> Result<Step, QueryError> {
    if segment.is_empty() {
        return Err(QueryError::new(
            EMPTY_FIELD_NAME,
            format!("The update path '{path}' contains an empty field name, which is not allowed."),
        ));
    }
    if segment == "$" {
        return Ok(Step::Field(Segment::Matched));
    }
    if let Some(identifier) = segment.strip_prefix("$[").and_then(|rest| rest.strip_suffix(']')) {
        return Ok(Step::Elements(identifier.to_owned()));
    }
    // The fields of a database reference are the only ones of that form that an update may name.
    if segment.starts_with('$') && !matches!(segment, "$ref" | "$id" | "$db") {
        return Err(dollar_prefixed(segment, path));
    }
    Ok(Step::Field(position(segment).map_or_else(|| Segment::Name(segment.to_owned()), Segment::Position)))
}

/// The array position that a segment names: decimal digits without leading zeros.
pub(super) fn position(segment: &str) -> Option<usize> {
    let canonical = segment == "0" || !segment.starts_with('0');
    let digits = segment.bytes().all(|byte| byte.is_ascii_digit());
    (canonical && digits).then(|| segment.parse().ok()).flatten()
}

pub(super) fn dollar_prefixed(field: &str, path: &str) -> QueryError {
    QueryError::new(
        codes::DOLLAR_PREFIXED_FIELD_NAME,
        format!(
            "The dollar ($) prefixed field '{field}' in '{path}' is not allowed in the context of an update's \
             replacement document. Consider using an aggregation pipeline with $replaceWith."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_told_apart() {
        let name = |name: &str| Step::Field(Segment::Name(name.into()));
        let expected = [
            name("a"),
            Step::Field(Segment::Position(10)),
            name("01"),
            Step::Field(Segment::Matched),
            Step::Elements(String::new()),
            Step::Elements("x".into()),
        ];
        assert_eq!(parse("a.10.01.$.$[].$[x]").unwrap(), expected);
    }

    #[test]
    fn broken_paths_are_refused() {
        let table = [
            ("", 56),
            ("a.", 56),
            (".a", 56),
            ("a..b", 56),
            ("$", 2),
            ("$[]", 2),
            ("$[x].a", 2),
            ("a.$.b.$", 2),
            ("$a", 52),
            ("a.$b", 52),
            ("a.$[b", 52),
        ];
        for (path, code) in table {
            assert_eq!(parse(path).unwrap_err().code, code, "{path:?}");
        }
        assert_eq!(parse(&vec!["a"; 101].join(".")).unwrap_err().code, 15);
        assert!(parse("a.$ref").is_ok());
    }

    #[test]
    fn positions_sort_by_number_and_before_names() {
        let segment = |text: &str| match parse(&format!("x.{text}")).unwrap().pop() {
            Some(Step::Field(segment)) => segment,
            other => panic!("{other:?}"),
        };
        let mut segments = ["b", "10", "9", "a", "A"].map(segment);
        segments.sort();
        assert_eq!(segments.map(|segment| segment.name().into_owned()), ["9", "10", "A", "a", "b"]);
    }
}
