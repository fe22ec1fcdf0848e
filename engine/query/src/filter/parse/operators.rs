//! The operators that stand under a field's name.
//!
//! Promises: each becomes a condition on one value, whether the field or an array's element supplies it.
//! Deliberately unknown: operators that stand in the place of a field.

use bson::{Bson, Document};

use super::{Place, is_operators, unsupported};
use crate::error::QueryError;
use crate::expression::truthy;
use crate::filter::{BitTest, Bits, Condition, Modulo, Predicate, TypeSet};
use crate::operand::with_raw;

/// Operators in the place of a field, which make the operand of `$elemMatch` a filter of documents.
const DOCUMENT_OPERATORS: [&str; 11] = [
    "$and",
    "$or",
    "$nor",
    "$where",
    "$expr",
    "$text",
    "$comment",
    "$jsonSchema",
    "$sampleRate",
    "$alwaysTrue",
    "$alwaysFalse",
];

impl Place<'_> {
    /// What a value without an operator demands: a match of a regular expression, else equality.
    pub(super) fn implicit(self, operand: &Bson) -> Result<Condition, QueryError> {
        match operand {
            Bson::RegularExpression(regex) => self.pattern(regex.pattern.as_str(), regex.options.as_str()),
            operand => equality(operand),
        }
    }

    /// All of a field's operators.
    pub(super) fn operators(self, path: &str, operators: &Document) -> Result<Condition, QueryError> {
        let mut conditions = Vec::with_capacity(operators.len());
        for (name, operand) in operators {
            conditions.extend(self.condition(path, name, operand, operators)?);
        }
        Ok(only_or(conditions, Condition::All))
    }

    /// One operator, which may look at its `siblings`; `None` if it only qualifies another.
    fn condition(
        self,
        path: &str,
        name: &str,
        operand: &Bson,
        siblings: &Document,
    ) -> Result<Option<Condition>, QueryError> {
        let is = |predicate| Ok(Some(Condition::Is(predicate)));
        let bits = |test| Bits::parse(test, operand).map(|bits| Some(Condition::Is(Predicate::Bits(bits))));
        match name {
            "$eq" => equality(operand).map(Some),
            "$ne" if matches!(operand, Bson::RegularExpression(_)) => {
                Err(QueryError::bad_value("Can't have regex as arg to $ne."))
            }
            "$ne" => is(Predicate::Ne(defined(operand)?)),
            "$gt" => is(Predicate::Gt(ranged(path, operand)?)),
            "$gte" => is(Predicate::Gte(ranged(path, operand)?)),
            "$lt" => is(Predicate::Lt(ranged(path, operand)?)),
            "$lte" => is(Predicate::Lte(ranged(path, operand)?)),
            "$in" => self.one_of(name, operand).map(Some),
            "$nin" => Ok(Some(match self.one_of(name, operand)? {
                Condition::Is(Predicate::In(operands)) => Condition::Is(Predicate::NotIn(operands)),
                other => Condition::Not(Box::new(other)),
            })),
            "$not" => self.negation(path, operand).map(Some),
            "$exists" => is(Predicate::Exists(truthy(operand))),
            "$type" => is(Predicate::Type(TypeSet::parse(operand)?)),
            "$regex" => self.regex(operand, siblings.get("$options")).map(Some),
            "$options" if siblings.contains_key("$regex") => Ok(None),
            "$options" => Err(QueryError::bad_value("$options needs a $regex")),
            "$mod" => is(Predicate::Modulo(Modulo::parse(operand)?)),
            "$size" => is(Predicate::Size(size(operand)?)),
            "$all" => self.every(path, operand).map(Some),
            "$elemMatch" => self.element(path, operand).map(Some),
            "$bitsAllSet" => bits(BitTest::AllSet),
            "$bitsAnySet" => bits(BitTest::AnySet),
            "$bitsAllClear" => bits(BitTest::AllClear),
            "$bitsAnyClear" => bits(BitTest::AnyClear),
            "$near" | "$nearSphere" | "$geoNear" | "$within" | "$geoWithin" | "$geoIntersects"
            | "$maxDistance" | "$minDistance" | "$uniqueDocs" => Err(unsupported(name)),
            _ => Err(QueryError::bad_value(format!("unknown operator: {name}"))),
        }
    }

    fn negation(self, path: &str, operand: &Bson) -> Result<Condition, QueryError> {
        let negated = match operand {
            Bson::RegularExpression(_) => self.implicit(operand)?,
            Bson::Document(operators) if operators.is_empty() => {
                return Err(QueryError::bad_value("$not cannot be empty"));
            }
            Bson::Document(operators) => self.deeper()?.operators(path, operators)?,
            _ => return Err(QueryError::bad_value("$not needs a regex or a document")),
        };
        Ok(Condition::Not(Box::new(negated)))
    }

    /// `$all`: each of the values, or for each of the `$elemMatch`es an element.
    fn every(self, path: &str, operand: &Bson) -> Result<Condition, QueryError> {
        let Bson::Array(operands) = operand else {
            return Err(QueryError::bad_value("$all needs an array"));
        };
        let of_elements = |operand: &Bson| {
            operand.as_document().is_some_and(|it| it.keys().next().is_some_and(|k| k == "$elemMatch"))
        };
        let elements_first = operands.first().is_some_and(of_elements);
        let one = |operand: &Bson| match operand {
            Bson::Document(operators) if elements_first => match operators.get("$elemMatch") {
                Some(operand) if operators.len() == 1 => self.element(path, operand),
                _ => Err(QueryError::bad_value("$all/$elemMatch has to be consistent")),
            },
            _ if elements_first => Err(QueryError::bad_value("$all/$elemMatch has to be consistent")),
            Bson::Document(document) if is_operators(document) => {
                Err(QueryError::bad_value("no $ expressions in $all"))
            }
            operand => self.implicit(operand),
        };
        let conditions = operands.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        // All of nothing matches nothing here.
        Ok(if conditions.is_empty() {
            Condition::Any(conditions)
        } else {
            only_or(conditions, Condition::All)
        })
    }

    fn element(self, path: &str, operand: &Bson) -> Result<Condition, QueryError> {
        let Bson::Document(operand) = operand else {
            return Err(QueryError::bad_value("$elemMatch needs an Object"));
        };
        let inside = self.deeper()?;
        let first = operand.keys().next().map_or("", String::as_str);
        let predicate = if is_operators(operand) && !DOCUMENT_OPERATORS.contains(&first) {
            Predicate::ElementIs(Box::new(inside.operators(path, operand)?))
        } else {
            Predicate::ElementMatches(Box::new(Self { at_root: false, ..inside }.filter(operand)?))
        };
        Ok(Condition::Is(predicate))
    }

    /// `$in`: equal to one of the values, or matched by one of the regular expressions among them.
    fn one_of(self, name: &str, operand: &Bson) -> Result<Condition, QueryError> {
        let Bson::Array(operands) = operand else {
            return Err(QueryError::bad_value(format!("{name} needs an array")));
        };
        let (mut values, mut conditions) = (Vec::with_capacity(operands.len()), Vec::new());
        for operand in operands {
            match operand {
                Bson::RegularExpression(_) => conditions.push(self.implicit(operand)?),
                Bson::Document(document) if is_operators(document) => {
                    return Err(QueryError::bad_value(format!("cannot nest $ under {name}")));
                }
                operand => values.push(defined(operand)?),
            }
        }
        if !values.is_empty() || conditions.is_empty() {
            conditions.insert(0, Condition::Is(Predicate::In(values)));
        }
        Ok(only_or(conditions, Condition::Any))
    }

    fn regex(self, operand: &Bson, options: Option<&Bson>) -> Result<Condition, QueryError> {
        let options = match options {
            None => None,
            Some(Bson::String(options)) => Some(options.as_str()),
            Some(_) => return Err(QueryError::bad_value("$options has to be a string")),
        };
        match operand {
            Bson::String(source) => self.pattern(source, options.unwrap_or_default()),
            Bson::RegularExpression(regex) => {
                let own = regex.options.as_str();
                if !own.is_empty() && options.is_some() {
                    return Err(QueryError::new(51_075, "options set in both $regex and $options"));
                }
                self.pattern(regex.pattern.as_str(), options.unwrap_or(own))
            }
            _ => Err(QueryError::bad_value("$regex has to be a string")),
        }
    }

    fn pattern(self, source: &str, options: &str) -> Result<Condition, QueryError> {
        Ok(Condition::Is(Predicate::Regex(self.patterns.parse(source, options)?)))
    }
}

fn equality(operand: &Bson) -> Result<Condition, QueryError> {
    Ok(Condition::Is(Predicate::Eq(defined(operand)?)))
}

/// The operand, unless it is the deprecated undefined.
fn defined(operand: &Bson) -> Result<Bson, QueryError> {
    match operand {
        Bson::Undefined => Err(QueryError::bad_value("cannot compare to undefined")),
        operand => Ok(operand.clone()),
    }
}

fn ranged(path: &str, operand: &Bson) -> Result<Bson, QueryError> {
    if matches!(operand, Bson::RegularExpression(_)) {
        let message = format!("Can't have RegEx as arg to predicate over field '{path}'.");
        return Err(QueryError::bad_value(message));
    }
    defined(operand)
}

fn size(operand: &Bson) -> Result<usize, QueryError> {
    let expected = |what: &str| {
        QueryError::failed_to_parse(format!("Failed to parse $size. Expected {what} in: $size: {operand}"))
    };
    let is_number = with_raw(operand, |operand| TypeSet::NUMBER.contains(operand)).unwrap_or(false);
    if !is_number {
        return Err(expected("a number"));
    }
    let size =
        with_raw(operand, crate::filter::exact_integer).flatten().ok_or_else(|| expected("an integer"))?;
    usize::try_from(size).map_err(|_| expected("a non-negative number"))
}

fn only_or(mut conditions: Vec<Condition>, several: fn(Vec<Condition>) -> Condition) -> Condition {
    if conditions.len() == 1 { conditions.remove(0) } else { several(conditions) }
}
