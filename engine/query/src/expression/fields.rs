//! Which fields of a document an expression may look at, so that no others need be decoded for it.
//!
//! Promises: a document with these fields alone gives every expression the value that the whole one does.
//! Deliberately unknown: what operators do with the fields; a field too many may be named.

use std::collections::BTreeSet;

use bson::{Bson, Document, RawDocument};

/// Names of fields at the top of a document; `None` where any field may be looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldsRead(Option<BTreeSet<String>>);

impl FieldsRead {
    /// The fields that an expression looks at, from how it is written: paths are strings that begin with `$`.
    pub(crate) fn of(expression: &Bson) -> Self {
        let mut names = BTreeSet::new();
        Self(collect(expression, &mut names).then_some(names))
    }

    /// The document, decoded as far as the expression can see it.
    ///
    /// # Errors
    /// The bytes are broken.
    pub(crate) fn decode(&self, document: &RawDocument) -> Result<Document, bson::error::Error> {
        let Some(names) = &self.0 else { return Document::try_from(document) };
        let mut decoded = Document::new();
        for element in document.iter_elements() {
            let element = element?;
            if names.contains(element.key().as_str()) {
                decoded.insert(element.key().as_str(), Bson::try_from(element.value()?)?);
            }
        }
        Ok(decoded)
    }
}

/// Whether the fields can be told; the recursion is as deep as the expression, which was parsed before.
fn collect(expression: &Bson, names: &mut BTreeSet<String>) -> bool {
    match expression {
        Bson::String(text) => match text.strip_prefix('$') {
            Some(variable) if variable.starts_with('$') => {
                !matches!(variable[1..].split('.').next(), Some("ROOT" | "CURRENT"))
            }
            Some(path) => {
                names.extend(path.split('.').next().map(str::to_owned));
                true
            }
            None => true,
        },
        Bson::Array(elements) => elements.iter().all(|element| collect(element, names)),
        Bson::Document(object) => object.iter().all(|(name, value)| {
            // Its field is named by a plain string, or only known when it is evaluated.
            name != "$getField" && collect(value, names)
        }),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, bson, doc};

    use super::*;

    #[test]
    fn only_the_fields_that_are_named_are_decoded() {
        let document = doc! { "a": { "x": 1 }, "b": 2, "c": 3 };
        let raw = RawDocumentBuf::try_from(&document).unwrap();
        let table = [
            (bson!({ "$gt": ["$a.x", { "$add": ["$c", 1] }] }), doc! { "a": { "x": 1 }, "c": 3 }),
            (bson!({ "$eq": ["$$NOW", "b"] }), doc! {}),
            (bson!({ "$let": { "vars": { "v": "$b" }, "in": "$$v.c" } }), doc! { "b": 2 }),
            (bson!({ "$eq": ["$a", "$$ROOT.b"] }), document.clone()),
            (bson!({ "$map": { "input": "$a", "in": "$$CURRENT" } }), document.clone()),
            (bson!({ "$not": { "$getField": "b" } }), document.clone()),
        ];
        for (expression, expected) in table {
            assert_eq!(FieldsRead::of(&expression).decode(&raw).unwrap(), expected, "{expression}");
        }
    }
}
