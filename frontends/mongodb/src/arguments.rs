//! The fields of a command, taken one by one with their types.
//!
//! Promises: a field of a wrong type is refused with its name and both types; what nobody took is refused
//! by name at the end, so that no option is ignored in silence. A null field counts as missing.
//! Deliberately unknown: what the fields mean.

use bson::{Bson, Document};

use crate::error::{CommandError, Result, codes};

/// Number of "unknown field" in MongoDB's parser of commands.
const UNKNOWN_FIELD: i32 = 40415;
/// Number of "missing field" there.
const MISSING_FIELD: i32 = 40414;

/// Fields that have not been taken yet.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// What stands before the dot in messages: the command, or the command and a place in it.
    owner: String,
    fields: Document,
}

impl Arguments {
    /// The fields of `owner`.
    pub(crate) fn new(owner: impl Into<String>, fields: Document) -> Self {
        Self { owner: owner.into(), fields }
    }

    /// Any value; null counts as missing.
    pub(crate) fn take(&mut self, name: &str) -> Option<Bson> {
        self.fields.remove(name).filter(|value| !matches!(value, Bson::Null | Bson::Undefined))
    }

    /// Whether the field is there, null or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// Drops fields that are allowed and mean nothing here.
    pub(crate) fn allow(&mut self, names: &[&str]) {
        for name in names {
            self.fields.remove(name);
        }
    }

    /// A document.
    pub(crate) fn document(&mut self, name: &str) -> Result<Option<Document>> {
        match self.take(name) {
            None => Ok(None),
            Some(Bson::Document(document)) => Ok(Some(document)),
            Some(other) => Err(self.wrong_type(name, &other, "'object'")),
        }
    }

    /// A string.
    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Bson::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(name, &other, "'string'")),
        }
    }

    /// A boolean, or a number that stands for one.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>> {
        match self.take(name) {
            None => Ok(None),
            Some(Bson::Boolean(boolean)) => Ok(Some(boolean)),
            Some(Bson::Int32(number)) => Ok(Some(number != 0)),
            Some(Bson::Int64(number)) => Ok(Some(number != 0)),
            Some(Bson::Double(number)) => Ok(Some(number != 0.0)),
            Some(other) => Err(self.wrong_type(name, &other, "types '[bool, long, int, decimal, double']")),
        }
    }

    /// The boolean, false where it is missing.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool> {
        Ok(self.boolean(name)?.unwrap_or(false))
    }

    /// A whole number, of any numeric type.
    pub(crate) fn integer(&mut self, name: &str) -> Result<Option<i64>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match whole_number(&value) {
            Some(number) => Ok(Some(number)),
            None if matches!(value, Bson::Double(_)) => Err(CommandError::failed_to_parse(format!(
                "BSON field '{}.{name}' must be a whole number",
                self.owner
            ))),
            None => Err(self.wrong_type(name, &value, "types '[long, int, decimal, double']")),
        }
    }

    /// A whole number that is not negative.
    pub(crate) fn count(&mut self, name: &str) -> Result<Option<u64>> {
        let Some(number) = self.integer(name)? else { return Ok(None) };
        // 51024 is the number of MongoDB's parser for a value out of bounds.
        u64::try_from(number).map(Some).map_err(|_| {
            CommandError::new(
                51024,
                format!("BSON field '{name}' value must be >= 0, actual value '{number}'"),
            )
        })
    }

    /// An array.
    pub(crate) fn array(&mut self, name: &str) -> Result<Option<Vec<Bson>>> {
        match self.take(name) {
            None => Ok(None),
            Some(Bson::Array(elements)) => Ok(Some(elements)),
            Some(other) => Err(self.wrong_type(name, &other, "'array'")),
        }
    }

    /// An array of documents.
    pub(crate) fn documents(&mut self, name: &str) -> Result<Option<Vec<Document>>> {
        let Some(elements) = self.array(name)? else { return Ok(None) };
        let document = |(at, element)| match element {
            Bson::Document(document) => Ok(document),
            other => Err(self.wrong_type(&format!("{name}.{at}"), &other, "'object'")),
        };
        elements.into_iter().enumerate().map(document).collect::<Result<_>>().map(Some)
    }

    /// Hands on a field that must be there.
    pub(crate) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| {
            CommandError::new(
                MISSING_FIELD,
                format!("BSON field '{}.{name}' is missing but a required field", self.owner),
            )
        })
    }

    /// Refuses what nobody took.
    pub(crate) fn end(&self) -> Result<()> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(name) => Err(CommandError::new(
                UNKNOWN_FIELD,
                format!("BSON field '{}.{name}' is an unknown field.", self.owner),
            )),
        }
    }

    /// What has not been taken.
    pub(crate) fn rest(&self) -> &Document {
        &self.fields
    }

    fn wrong_type(&self, name: &str, value: &Bson, expected: &str) -> CommandError {
        let expected =
            if expected.starts_with("types") { expected.to_owned() } else { format!("type {expected}") };
        let (owner, found) = (&self.owner, type_name(value));
        CommandError::new(
            codes::TYPE_MISMATCH,
            format!("BSON field '{owner}.{name}' is the wrong type '{found}', expected {expected}"),
        )
    }
}

/// The value of a number that is whole and fits.
pub(crate) fn whole_number(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        // Every whole double of this range is exactly an i64.
        Bson::Double(number) if number.fract() == 0.0 && number.abs() < 9.0e18 => Some(*number as i64),
        Bson::Decimal128(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// MongoDB's name of a value's type (manual, "BSON Types", aliases).
pub(crate) fn type_name(value: &Bson) -> &'static str {
    match value {
        Bson::Double(_) => "double",
        Bson::String(_) => "string",
        Bson::Document(_) => "object",
        Bson::Array(_) => "array",
        Bson::Binary(_) => "binData",
        Bson::Undefined => "undefined",
        Bson::ObjectId(_) => "objectId",
        Bson::Boolean(_) => "bool",
        Bson::DateTime(_) => "date",
        Bson::Null => "null",
        Bson::RegularExpression(_) => "regex",
        Bson::DbPointer(_) => "dbPointer",
        Bson::JavaScriptCode(_) => "javascript",
        Bson::Symbol(_) => "symbol",
        Bson::JavaScriptCodeWithScope(_) => "javascriptWithScope",
        Bson::Int32(_) => "int",
        Bson::Timestamp(_) => "timestamp",
        Bson::Int64(_) => "long",
        Bson::Decimal128(_) => "decimal",
        Bson::MinKey => "minKey",
        Bson::MaxKey => "maxKey",
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn what_nobody_takes_is_refused_by_name() {
        let mut arguments = Arguments::new("find", doc! { "filter": {}, "foo": 1 });
        assert_eq!(arguments.document("filter").unwrap(), Some(doc! {}));
        let refused = arguments.end().unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (40415, "BSON field 'find.foo' is an unknown field.")
        );
    }

    #[test]
    fn types_are_named_when_they_are_wrong() {
        let mut arguments =
            Arguments::new("find", doc! { "filter": "x", "limit": -1, "skip": 1.5, "sort": Bson::Null });
        assert_eq!(
            arguments.document("filter").unwrap_err().message,
            "BSON field 'find.filter' is the wrong type 'string', expected type 'object'"
        );
        assert_eq!(arguments.count("limit").unwrap_err().code, 51024);
        assert_eq!(arguments.integer("skip").unwrap_err().code, 9);
        assert_eq!(arguments.document("sort").unwrap(), None, "null counts as missing");
    }
}
