//! Collations: how strings compare where not by their bytes.
//!
//! Promises: the order of the Unicode collation algorithm as CLDR tailors it to a language, with MongoDB's
//! options (manual, "Collation"). [`Collation::key`] compares as [`Collation::compare`] does. Keys depend on
//! the version of Unicode's data and so are not for storing. Deliberately unknown: which
//! commands and indexes have a collation.

mod compare;
mod locale;
mod parse;

use std::cmp::Ordering;
use std::convert::Infallible;

use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use icu_collator::CollatorBorrowed;
use icu_collator::options::{AlternateHandling, CaseLevel, MaxVariable, ResolvedCollatorOptions, Strength};
use icu_collator::preferences::{CollationCaseFirst, CollationNumericOrdering};
use nimbus_types::index::IndexField;

pub(crate) use self::compare::compare_by;

/// The version that MongoDB 7 gives its collations.
const VERSION: &str = "57.1";

/// A collation other than the simple one.
pub struct Collation {
    /// As it was written, ICU's way: `en_US`, `de@collation=phonebook`.
    locale: String,
    normalization: bool,
    backwards: bool,
    collator: CollatorBorrowed<'static>,
}

impl Collation {
    /// The order of two strings.
    pub fn compare(&self, a: &str, b: &str) -> Ordering {
        self.collator.compare(a, b)
    }

    /// Bytes that compare as the strings do.
    pub fn key(&self, text: &str) -> Vec<u8> {
        let mut key = Vec::with_capacity(2 * text.len());
        let written: Result<_, Infallible> = self.collator.write_sort_key_to(text, &mut key);
        written.map(|()| key).unwrap_or_default()
    }

    /// All of the collation, defaults of its locale included, as MongoDB lists it.
    pub fn to_document(&self) -> Document {
        let options = self.collator.resolved_options();
        doc! {
            "locale": &self.locale,
            "caseLevel": options.case_level == CaseLevel::On,
            "caseFirst": case_first(options),
            "strength": strength(options),
            "numericOrdering": options.numeric == CollationNumericOrdering::True,
            "alternate": if options.alternate_handling == AlternateHandling::Shifted { "shifted" } else { "non-ignorable" },
            "maxVariable": if options.max_variable == MaxVariable::Space { "space" } else { "punct" },
            "normalization": self.normalization,
            "backwards": self.backwards,
            "version": VERSION,
        }
    }

    /// A stand-in for `document` whose values at the fields' paths compare by their bytes as the document's do
    /// by the collation: strings within them are replaced by their keys, each byte as one character. It
    /// holds only the top-level fields that the paths begin with.
    pub fn keyed(&self, document: &RawDocument, fields: &[IndexField]) -> RawDocumentBuf {
        let mut keyed = Document::new();
        for field in fields {
            let name = field.path.split('.').next().unwrap_or_default();
            if let Ok(Some(value)) = document.get(name)
                && let Ok(value) = Bson::try_from(value)
            {
                keyed.insert(name, self.keyed_value(value));
            }
        }
        // The names come from BSON, and keys as text from characters, so BSON can hold them.
        RawDocumentBuf::try_from(&keyed).unwrap_or_else(|_| document.to_owned())
    }

    /// The value with each string in it replaced by its key as text. Recurses as deep as the value.
    pub fn keyed_value(&self, value: Bson) -> Bson {
        match value {
            Bson::String(text) | Bson::Symbol(text) => {
                Bson::String(self.key(&text).into_iter().map(char::from).collect())
            }
            Bson::Array(elements) => elements.into_iter().map(|element| self.keyed_value(element)).collect(),
            Bson::Document(fields) => Bson::Document(
                fields.into_iter().map(|(name, value)| (name, self.keyed_value(value))).collect(),
            ),
            other => other,
        }
    }
}

fn case_first(options: ResolvedCollatorOptions) -> &'static str {
    match options.case_first {
        CollationCaseFirst::Upper => "upper",
        CollationCaseFirst::Lower => "lower",
        _ => "off",
    }
}

fn strength(options: ResolvedCollatorOptions) -> i32 {
    match options.strength {
        Strength::Primary => 1,
        Strength::Secondary => 2,
        Strength::Quaternary => 4,
        Strength::Identical => 5,
        _ => 3,
    }
}

impl std::fmt::Debug for Collation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Collation({})", self.to_document())
    }
}

impl PartialEq for Collation {
    fn eq(&self, other: &Self) -> bool {
        self.to_document() == other.to_document()
    }
}

impl Eq for Collation {}
