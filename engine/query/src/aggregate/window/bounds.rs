//! Reading the `window` of a window function.
//!
//! Promises: the lower bound does not exceed the upper, and what is measured can be. Deliberately unknown:
//! partitions.

use bson::Bson;

use super::frame::{Bound, Frame};
use super::parse::Written;
use crate::aggregate::spec::whole_number;
use crate::expression::date::Unit;
use crate::number::Number;
use crate::{QueryError, SortKey};

impl Written<'_> {
    /// The window; the whole partition without one.
    pub(super) fn frame(&self) -> Result<Frame, QueryError> {
        let Some(window) = self.window else { return Ok(Frame::WHOLE) };
        let Bson::Document(window) = window else {
            return Err(QueryError::failed_to_parse("'window' field must be an object"));
        };
        if let Some(name) =
            window.keys().find(|name| !matches!(name.as_str(), "documents" | "range" | "unit"))
        {
            return Err(QueryError::failed_to_parse(format!(
                "'window' field can only contain 'documents', 'range' and 'unit', found {name}"
            )));
        }
        match (window.get("documents"), window.get("range"), window.get("unit")) {
            (None, None, None) => Ok(Frame::WHOLE),
            (Some(bounds), None, None) => self.documents(bounds),
            (None, Some(bounds), unit) => self.range(bounds, unit),
            (Some(_), Some(_), _) => Err(QueryError::failed_to_parse(
                "'window' field can have only one of 'documents' and 'range'",
            )),
            (_, None, Some(_)) => Err(QueryError::failed_to_parse("'unit' can be used with 'range' only")),
        }
    }

    fn documents(&self, bounds: &Bson) -> Result<Frame, QueryError> {
        let (lower, upper) = parse_bounds(bounds, |bound| {
            whole_number(bound).ok_or_else(|| {
                QueryError::failed_to_parse(format!(
                    "Numeric document-based bounds must be an integer, found {bound}"
                ))
            })
        })?;
        if (lower, upper) != (Bound::Unbounded, Bound::Unbounded) {
            self.need_documents_order()?;
        }
        let start = offset(lower, 0);
        if start.zip(offset(upper, 0)).is_some_and(|(lower, upper)| lower > upper) {
            return Err(lower_exceeds_upper(bounds));
        }
        Ok(Frame::Documents(lower, upper))
    }

    fn need_documents_order(&self) -> Result<(), QueryError> {
        if self.order.is_empty() {
            return Err(QueryError::new(5_339_901, "Document-based bounds require a sortBy"));
        }
        Ok(())
    }

    fn range(&self, bounds: &Bson, unit: Option<&Bson>) -> Result<Frame, QueryError> {
        let unit = match unit {
            None => None,
            Some(Bson::String(name)) => Some(Unit::parse(name)?),
            Some(_) => return Err(QueryError::failed_to_parse("'unit' must be a string")),
        };
        let (lower, upper) = parse_bounds(bounds, |bound| {
            let number = Number::of(bound).ok_or_else(|| {
                QueryError::failed_to_parse(format!(
                    "Range-based bounds expression must be a number, found {bound}"
                ))
            })?;
            if unit.is_some() && number.to_integer().is_none() {
                let message = format!("With 'unit', range-based bounds must be integers, found {bound}");
                return Err(QueryError::failed_to_parse(message));
            }
            Ok(number)
        })?;
        match self.order {
            [SortKey { descending: false, .. }] => {}
            _ if (lower, upper) == (Bound::Unbounded, Bound::Unbounded) => {}
            _ => {
                let message = "Range-based bounds require sortBy a single field, in ascending order";
                return Err(QueryError::new(5_339_902, message));
            }
        }
        let zero = Number::Int32(0);
        if offset(lower, zero)
            .zip(offset(upper, zero))
            .is_some_and(|(lower, upper)| lower.compare(upper).is_gt())
        {
            return Err(lower_exceeds_upper(bounds));
        }
        Ok(Frame::Range(lower, upper, unit))
    }
}

fn lower_exceeds_upper(bounds: &Bson) -> QueryError {
    QueryError::new(5_339_900, format!("Lower bound must not exceed upper bound: {bounds}"))
}

/// How far a bound is away, if it is bound at all.
fn offset<T>(bound: Bound<T>, here: T) -> Option<T> {
    match bound {
        Bound::Unbounded => None,
        Bound::Current => Some(here),
        Bound::Offset(offset) => Some(offset),
    }
}

fn parse_bounds<T>(
    bounds: &Bson,
    parse: impl Fn(&Bson) -> Result<T, QueryError>,
) -> Result<(Bound<T>, Bound<T>), QueryError> {
    let bound = |bound: &Bson| match bound {
        Bson::String(text) if text == "unbounded" => Ok(Bound::Unbounded),
        Bson::String(text) if text == "current" => Ok(Bound::Current),
        Bson::String(text) => {
            let message = format!("Window bounds must be 'unbounded', 'current', or a number, found {text}");
            Err(QueryError::failed_to_parse(message))
        }
        other => Ok(Bound::Offset(parse(other)?)),
    };
    if let Some([lower, upper]) = bounds.as_array().map(Vec::as_slice) {
        return Ok((bound(lower)?, bound(upper)?));
    }
    Err(QueryError::failed_to_parse(format!("Window bounds must be a 2-element array: {bounds}")))
}
