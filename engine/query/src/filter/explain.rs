//! Why a document does not match a filter, in the form of `errInfo.details` of a failed validator (manual,
//! "Specify Validation With Query Operators").
//!
//! Promises: the outermost operator with what it demanded, and for `$jsonSchema` each rule broken; the
//! document may be read by whoever wrote it, so its values may be told. A part of what MongoDB tells: the
//! values that an operator met are those at the end of its path, arrays whole. Deliberately unknown: what
//! a failed validator does.

use std::ops::ControlFlow;

use bson::{Bson, Document, RawDocument, doc};
use nimbus_types::path::{self, Reached};

use super::{Filter, Predicate};

/// What about the document does not match; of a filter that it does match, the outermost operator's name.
///
/// Shaped `{ operatorName, … }`: with `schemaRulesNotSatisfied` for `$jsonSchema`, `clausesNotSatisfied`
/// (`[{ index, details }]`) for `$and` and `$or`, and else `specifiedAs`, `reason` and the
/// `consideredValue` or `consideredValues`.
pub fn explain_failure(filter: &Filter, document: &RawDocument) -> Document {
    match filter {
        Filter::Collated(_, filter) => explain_failure(filter, document),
        Filter::Schema(schema) => {
            doc! { "operatorName": "$jsonSchema", "schemaRulesNotSatisfied": schema.explain(document) }
        }
        Filter::And(filters) => {
            doc! { "operatorName": "$and", "clausesNotSatisfied": not_satisfied(filters, document) }
        }
        Filter::Or(filters) => {
            doc! { "operatorName": "$or", "clausesNotSatisfied": not_satisfied(filters, document) }
        }
        Filter::Not(filter) => {
            let mut told = doc! { "operatorName": "$not", "reason": "child expression matched" };
            if let Filter::Field { path, predicate } = filter.as_ref() {
                told.insert("details", explain_field(path, predicate, document));
            }
            told
        }
        Filter::Field { path, predicate } => explain_field(path, predicate, document),
        Filter::Evaluated(expression) => doc! {
            "operatorName": "$expr",
            "specifiedAs": { "$expr": expression.source() },
            "reason": "expression did not match",
        },
        Filter::Sample(rate) => {
            doc! { "operatorName": "$sampleRate", "specifiedAs": { "$sampleRate": rate.rate() } }
        }
        Filter::All => doc! { "operatorName": "$alwaysTrue" },
    }
}

fn not_satisfied(filters: &[Filter], document: &RawDocument) -> Vec<Document> {
    let failed = (0_i32..).zip(filters).filter(|(_, filter)| !filter.matches(document).unwrap_or(true));
    failed
        .map(|(index, filter)| doc! { "index": index, "details": explain_failure(filter, document) })
        .collect()
}

fn explain_field(path: &str, predicate: &Predicate, document: &RawDocument) -> Document {
    let (name, operand, reason) = describe(predicate);
    let mut told = doc! { "operatorName": name, "specifiedAs": { path: { name: operand } } };
    let mut values = values_at(path, document);
    if values.is_empty() {
        told.insert("reason", "field was missing");
        return told;
    }
    told.insert("reason", reason);
    if values.len() == 1 {
        told.insert("consideredValue", values.remove(0));
    } else {
        told.insert("consideredValues", values);
    }
    told
}

/// The operator's name, its operand, and what it means for it to fail.
fn describe(predicate: &Predicate) -> (&'static str, Bson, &'static str) {
    const COMPARISON: &str = "comparison failed";
    const VALUES: &str = "no matching value found in array";
    match predicate {
        Predicate::Eq(operand) => ("$eq", operand.clone(), COMPARISON),
        Predicate::Ne(operand) => ("$ne", operand.clone(), COMPARISON),
        Predicate::Gt(operand) => ("$gt", operand.clone(), COMPARISON),
        Predicate::Gte(operand) => ("$gte", operand.clone(), COMPARISON),
        Predicate::Lt(operand) => ("$lt", operand.clone(), COMPARISON),
        Predicate::Lte(operand) => ("$lte", operand.clone(), COMPARISON),
        Predicate::In(operands) => ("$in", operands.clone().into(), VALUES),
        Predicate::NotIn(operands) => ("$nin", operands.clone().into(), "matching value found in array"),
        Predicate::Exists(wanted) => {
            ("$exists", (*wanted).into(), if *wanted { "path does not exist" } else { "path does exist" })
        }
        Predicate::Prefix(prefix) => ("$regex", prefix.into(), "regular expression did not match"),
        Predicate::Contains(operand) => ("$in", operand.clone(), VALUES),
        Predicate::Type(types) => {
            ("$type", types.names().into_iter().map(Bson::from).collect(), "type did not match")
        }
        Predicate::Regex(pattern) => {
            let regex = Bson::RegularExpression(pattern.regex().clone());
            ("$regex", regex, "regular expression did not match")
        }
        Predicate::Modulo(modulo) => {
            let (divisor, remainder) = modulo.parts();
            (
                "$mod",
                Bson::Array(vec![divisor.into(), remainder.into()]),
                "$mod did not evaluate to expected remainder",
            )
        }
        Predicate::Size(size) => (
            "$size",
            i64::try_from(*size).unwrap_or(i64::MAX).into(),
            "array length was not equal to given size",
        ),
        Predicate::Bits(bits) => {
            let positions = bits.positions().iter().map(|position| Bson::from(i64::from(*position)));
            (bits.test().name(), positions.collect(), "bitwise operator failed to match")
        }
        Predicate::ElementMatches(_) | Predicate::ElementIs(_) => {
            ("$elemMatch", doc! {}.into(), "array did not satisfy the child predicate")
        }
    }
}

fn values_at(path: &str, document: &RawDocument) -> Vec<Bson> {
    let mut values = Vec::new();
    let _ = path::walk(document, path, |reached, _| {
        if let Reached::Value(value) | Reached::Element(value) = reached {
            values.extend(Bson::try_from(value));
        }
        ControlFlow::Continue(())
    });
    values
}
