//! Collations as documents write them.
//!
//! Promises: unknown fields, values and locales are refused with MongoDB's codes. Deliberately unknown:
//! where the document comes from.

use std::sync::Arc;

use bson::{Bson, Document};
use icu_collator::options::{AlternateHandling, CaseLevel, CollatorOptions, MaxVariable, Strength};
use icu_collator::preferences::{CollationCaseFirst, CollationNumericOrdering};
use icu_collator::{CollatorBorrowed, CollatorPreferences};

use super::{Collation, VERSION, locale};
use crate::error::QueryError;
use crate::operand::with_raw;

/// A collation of another version than ours.
const INCOMPATIBLE_COLLATION_VERSION: i32 = 161;
/// A field that a document of a fixed form does not have.
const UNKNOWN_FIELD: i32 = 40_415;
/// A field that a document of a fixed form must have.
const MISSING_FIELD: i32 = 40_414;

impl Collation {
    /// Reads a collation; `None` is the simple one, which compares strings by their bytes.
    ///
    /// # Errors
    /// An unknown field, a value of the wrong type or out of range, an unknown locale.
    pub fn parse(collation: &Document) -> Result<Option<Arc<Self>>, QueryError> {
        let Some(name) = collation.get("locale") else {
            let message = "BSON field 'collation.locale' is missing but a required field";
            return Err(QueryError::new(MISSING_FIELD, message));
        };
        let Bson::String(name) = name else { return Err(wrong_type("locale", name, "string")) };
        if name == "simple" {
            return match collation.len() {
                1 => Ok(None),
                _ => Err(QueryError::bad_value("the 'simple' locale takes no other collation options")),
            };
        }
        let locale = locale::parse(name)
            .ok_or_else(|| QueryError::bad_value(format!("Field 'locale' is invalid in: {collation}")))?;
        let fields = Fields::read(collation)?;
        let backwards = fields.backwards.unwrap_or_else(|| locale::is_backwards(&locale));
        let turned = locale::turned(&locale, backwards).ok_or_else(|| {
            QueryError::bad_value(format!("'backwards: {backwards}' is not supported for the locale {name}"))
        })?;
        let mut preferences = CollatorPreferences::from(&turned);
        preferences.case_first = fields.case_first.or(preferences.case_first);
        preferences.numeric_ordering = fields.numeric_ordering.or(preferences.numeric_ordering);
        let collator = CollatorBorrowed::try_new(preferences, fields.options)
            .map_err(|_| QueryError::bad_value(format!("Field 'locale' is invalid in: {collation}")))?;
        let normalization = fields.normalization.unwrap_or(false);
        Ok(Some(Arc::new(Self { locale: name.clone(), normalization, backwards, collator })))
    }
}

/// Everything but the locale.
#[derive(Default)]
struct Fields {
    options: CollatorOptions,
    case_first: Option<CollationCaseFirst>,
    numeric_ordering: Option<CollationNumericOrdering>,
    normalization: Option<bool>,
    backwards: Option<bool>,
}

impl Fields {
    fn read(collation: &Document) -> Result<Self, QueryError> {
        let mut fields = Self::default();
        let options = &mut fields.options;
        for (name, value) in collation {
            match name.as_str() {
                "locale" => {}
                "strength" => options.strength = Some(strength(value)?),
                "caseLevel" => {
                    let on = boolean(name, value)?;
                    options.case_level = Some(if on { CaseLevel::On } else { CaseLevel::Off });
                }
                "caseFirst" => {
                    fields.case_first = Some(match text(name, value)? {
                        "upper" => CollationCaseFirst::Upper,
                        "lower" => CollationCaseFirst::Lower,
                        "off" => CollationCaseFirst::False,
                        other => return Err(not_among(name, other)),
                    });
                }
                "numericOrdering" => {
                    let on = boolean(name, value)?;
                    fields.numeric_ordering = Some(if on {
                        CollationNumericOrdering::True
                    } else {
                        CollationNumericOrdering::False
                    });
                }
                "alternate" => {
                    options.alternate_handling = Some(match text(name, value)? {
                        "shifted" => AlternateHandling::Shifted,
                        "non-ignorable" => AlternateHandling::NonIgnorable,
                        other => return Err(not_among(name, other)),
                    });
                }
                "maxVariable" => {
                    options.max_variable = Some(match text(name, value)? {
                        "punct" => MaxVariable::Punctuation,
                        "space" => MaxVariable::Space,
                        other => return Err(not_among(name, other)),
                    });
                }
                "normalization" => fields.normalization = Some(boolean(name, value)?),
                "backwards" => fields.backwards = Some(boolean(name, value)?),
                "version" if text(name, value)? == VERSION => {}
                "version" => {
                    let message =
                        format!("Requested collation version {value}, but this server has {VERSION}");
                    return Err(QueryError::new(INCOMPATIBLE_COLLATION_VERSION, message));
                }
                _ => {
                    let message = format!("BSON field 'collation.{name}' is an unknown field.");
                    return Err(QueryError::new(UNKNOWN_FIELD, message));
                }
            }
        }
        Ok(fields)
    }
}

fn strength(value: &Bson) -> Result<Strength, QueryError> {
    let number = match value {
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => {
            with_raw(value, crate::filter::exact_integer).flatten()
        }
        other => return Err(wrong_type("strength", other, "int")),
    };
    Ok(match number {
        Some(1) => Strength::Primary,
        Some(2) => Strength::Secondary,
        Some(3) => Strength::Tertiary,
        Some(4) => Strength::Quaternary,
        Some(5) => Strength::Identical,
        _ => return Err(not_among("strength", &value.to_string())),
    })
}

fn boolean(name: &str, value: &Bson) -> Result<bool, QueryError> {
    value.as_bool().ok_or_else(|| wrong_type(name, value, "bool"))
}

fn text<'a>(name: &str, value: &'a Bson) -> Result<&'a str, QueryError> {
    value.as_str().ok_or_else(|| wrong_type(name, value, "string"))
}

fn not_among(name: &str, value: &str) -> QueryError {
    QueryError::bad_value(format!(
        "Enumeration value '{value}' for field 'collation.{name}' is not a valid value."
    ))
}

fn wrong_type(name: &str, value: &Bson, expected: &str) -> QueryError {
    let found = crate::filter::type_name(value.element_type());
    QueryError::type_mismatch(format!(
        "BSON field 'collation.{name}' is the wrong type '{found}', expected type '{expected}'"
    ))
}
