//! The table of operators, and how their arguments are written and evaluated.
//!
//! Each family has a table `OPERATORS`. An [`Operator`] is either eager, a function of the values of its
//! arguments, which a [`Signature`] describes, or special, and then reads its argument itself. Promises:
//! functions see no argument that breaks the signature. Deliberately unknown: what the operators do.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use bson::Bson;

use super::kind::is_nullish;
use super::parser::Parser;
use super::{Expression, Node, Scope, Value, weight};
use super::{
    arithmetic, arrange, arrays, bits, build, comparison, convert, date, iteration, logic, misc, objects,
    powers, regex, search, sets, statistics, strings, trigonometry, variables,
};
use crate::collation::Collation;
use crate::error::QueryError;
use crate::value;

/// One operator of the language.
pub(crate) struct Operator {
    name: &'static str,
    form: Form,
}

/// How an operator's argument becomes an expression.
enum Form {
    /// All arguments are evaluated and handed to the function.
    Eager(Signature, Apply),
    /// The operator reads its argument itself.
    Special(Special),
}

/// Computes an operator's value from those of its arguments; `None` is a missing value.
pub(crate) type Apply = fn(&mut Arguments<'_>) -> Result<Option<Bson>, QueryError>;

/// Reads the argument of the operator with this name.
pub(crate) type Special = fn(&Parser<'_>, &'static str, &Bson) -> Result<Expression, QueryError>;

/// How arguments are written.
#[derive(Clone, Copy)]
pub(crate) enum Signature {
    /// An array of so many; one may stand without the array.
    Exactly(usize),
    /// An array with at least and at most so many; one may stand without the array.
    Between(usize, usize),
    /// An array of any number; one may stand without the array.
    Any,
    /// A document with these fields, in whose order the function gets the values.
    Named(&'static Named),
    /// A document with these fields, or the first of them alone, in an array of one or without.
    FirstOrNamed(&'static Named),
}

/// Arguments that have names.
pub(crate) struct Named {
    /// The number of the error where the argument is no document.
    pub(crate) not_a_document: i32,
    /// The number of the error where a field is none of the parameters.
    pub(crate) unknown: i32,
    /// What may be given.
    pub(crate) parameters: &'static [Parameter],
}

/// One named argument.
pub(crate) struct Parameter {
    /// Its field name.
    pub(crate) name: &'static str,
    /// The number of the error where it is not given; `None` if it need not be.
    pub(crate) required: Option<i32>,
}

impl Parameter {
    pub(crate) const fn required(name: &'static str, code: i32) -> Self {
        Self { name, required: Some(code) }
    }

    pub(crate) const fn optional(name: &'static str) -> Self {
        Self { name, required: None }
    }
}

impl Operator {
    /// An operator of the values of its arguments.
    pub(crate) const fn eager(name: &'static str, signature: Signature, apply: Apply) -> Self {
        Self { name, form: Form::Eager(signature, apply) }
    }

    /// An operator that reads its argument itself.
    pub(crate) const fn special(name: &'static str, parse: Special) -> Self {
        Self { name, form: Form::Special(parse) }
    }
}

static REGISTRY: LazyLock<HashMap<&'static str, &'static Operator>> = LazyLock::new(|| {
    let families = [
        arithmetic::OPERATORS,
        arrange::OPERATORS,
        arrays::OPERATORS,
        bits::OPERATORS,
        build::OPERATORS,
        comparison::OPERATORS,
        convert::OPERATORS,
        iteration::OPERATORS,
        logic::OPERATORS,
        misc::OPERATORS,
        objects::OPERATORS,
        powers::OPERATORS,
        regex::OPERATORS,
        search::OPERATORS,
        sets::OPERATORS,
        statistics::OPERATORS,
        strings::OPERATORS,
        trigonometry::OPERATORS,
        variables::OPERATORS,
    ];
    families.into_iter().chain(date::FAMILIES).flatten().map(|operator| (operator.name, operator)).collect()
});

/// Reads `{ name: argument }`.
pub(crate) fn parse(parser: &Parser<'_>, name: &str, argument: &Bson) -> Result<Expression, QueryError> {
    let operator = *REGISTRY
        .get(name)
        .ok_or_else(|| QueryError::new(168, format!("Unrecognized expression '{name}'")))?;
    match &operator.form {
        Form::Special(parse) => parse(parser, operator.name, argument),
        Form::Eager(signature, apply) => {
            let arguments = signature.parse(parser, operator.name, argument)?;
            let collation = parser.context().collation.clone();
            Ok(Expression(Node::Call(Call { name: operator.name, apply: *apply, arguments, collation })))
        }
    }
}

/// The expressions of an array, or the one that stands without.
pub(crate) fn list(parser: &Parser<'_>, argument: &Bson) -> Result<Vec<Expression>, QueryError> {
    match argument {
        Bson::Array(elements) => elements.iter().map(|element| parser.parse(element)).collect(),
        single => Ok(vec![parser.parse(single)?]),
    }
}

/// The error about a number of arguments.
pub(crate) fn wrong_count(name: &str, least: usize, most: usize, given: usize) -> QueryError {
    if least == most {
        let message = format!("Expression {name} takes exactly {least} arguments. {given} were passed in.");
        return QueryError::new(16020, message);
    }
    let message = format!(
        "Expression {name} takes at least {least} arguments, and at most {most}, but {given} were passed in."
    );
    QueryError::new(28667, message)
}

fn check_count(name: &str, least: usize, most: usize, given: usize) -> Result<(), QueryError> {
    if (least..=most).contains(&given) { Ok(()) } else { Err(wrong_count(name, least, most, given)) }
}

impl Signature {
    fn parse(
        self,
        parser: &Parser<'_>,
        name: &str,
        argument: &Bson,
    ) -> Result<Vec<Option<Expression>>, QueryError> {
        let (least, most) = match self {
            Self::Exactly(count) => (count, count),
            Self::Between(least, most) => (least, most),
            Self::Any => (0, usize::MAX),
            Self::Named(named) => return named.parse(parser, name, argument),
            Self::FirstOrNamed(named) => {
                let is_named = matches!(argument, Bson::Document(document)
                    if document.keys().next().is_some_and(|key| !key.starts_with('$')));
                if is_named {
                    return named.parse(parser, name, argument);
                }
                let mut arguments: Vec<_> = list(parser, argument)?.into_iter().map(Some).collect();
                check_count(name, 1, 1, arguments.len())?;
                arguments.resize(named.parameters.len(), None);
                return Ok(arguments);
            }
        };
        let arguments = list(parser, argument)?;
        check_count(name, least, most, arguments.len())?;
        Ok(arguments.into_iter().map(Some).collect())
    }
}

impl Named {
    /// The arguments in the order of the parameters, those that are not given as `None`.
    pub(crate) fn parse(
        &self,
        parser: &Parser<'_>,
        name: &str,
        argument: &Bson,
    ) -> Result<Vec<Option<Expression>>, QueryError> {
        let fields = self.fields(name, argument)?;
        fields.into_iter().map(|field| field.map(|field| parser.parse(field)).transpose()).collect()
    }

    /// The same as they were written.
    pub(crate) fn fields<'b>(
        &self,
        name: &str,
        argument: &'b Bson,
    ) -> Result<Vec<Option<&'b Bson>>, QueryError> {
        let Bson::Document(document) = argument else {
            let message = format!("{name} only supports an object as its argument");
            return Err(QueryError::new(self.not_a_document, message));
        };
        let mut fields = vec![None; self.parameters.len()];
        for (field, value) in document {
            let Some(place) = self.parameters.iter().position(|parameter| parameter.name == field) else {
                let message = format!("Unrecognized argument to {name}: {field}");
                return Err(QueryError::new(self.unknown, message));
            };
            fields[place] = Some(value);
        }
        for (parameter, field) in self.parameters.iter().zip(&fields) {
            if let (Some(code), None) = (parameter.required, field) {
                return Err(QueryError::new(
                    code,
                    format!("Missing '{}' parameter to {name}", parameter.name),
                ));
            }
        }
        Ok(fields)
    }
}

/// An eager operator with its arguments; an optional one that was not given is `None`.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    name: &'static str,
    apply: Apply,
    arguments: Vec<Option<Expression>>,
    collation: Option<Arc<Collation>>,
}

impl PartialEq for Call {
    // The name says which function it is.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.arguments == other.arguments && self.collation == other.collation
    }
}

impl Call {
    pub(crate) fn evaluate(&self, scope: &Scope<'_>) -> Result<Option<Bson>, QueryError> {
        let mut values = Vec::with_capacity(self.arguments.len());
        for argument in &self.arguments {
            values.push(match argument {
                Some(argument) => argument.value(scope)?,
                None => None,
            });
        }
        let (given, collation) = (&self.arguments, self.collation.as_deref());
        let mut arguments = Arguments { operator: self.name, collation, values, given };
        let result = (self.apply)(&mut arguments)?;
        if let Some(value) = &result {
            scope.charge(weight::of(value)?)?;
        }
        Ok(result)
    }
}

/// The values of an operator's arguments.
pub(crate) struct Arguments<'v> {
    /// The operator's name, for messages.
    pub(crate) operator: &'static str,
    /// How strings compare.
    pub(crate) collation: Option<&'v Collation>,
    values: Vec<Value<'v>>,
    given: &'v [Option<Expression>],
}

impl Arguments<'_> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The value of one; `None` when it is missing or was not given.
    pub(crate) fn get(&self, place: usize) -> Option<&Bson> {
        self.values.get(place)?.as_deref()
    }

    /// The same, taken out of the arguments.
    pub(crate) fn take(&mut self, place: usize) -> Option<Bson> {
        self.values.get_mut(place)?.take().map(Cow::into_owned)
    }

    /// Whether the argument was written at all.
    pub(crate) fn is_given(&self, place: usize) -> bool {
        self.given.get(place).is_some_and(Option::is_some)
    }

    /// Whether the value is null, undefined or missing.
    pub(crate) fn is_null(&self, place: usize) -> bool {
        is_nullish(self.get(place))
    }

    /// Whether any value is null, undefined or missing.
    pub(crate) fn any_null(&self) -> bool {
        (0..self.len()).any(|place| self.is_null(place))
    }

    /// All values in their order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Option<&Bson>> {
        self.values.iter().map(Option::as_deref)
    }

    /// The order of two values by the collation; a missing one comes before all.
    pub(crate) fn compare(&self, a: Option<&Bson>, b: Option<&Bson>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) => value::compare_collated(a, b, self.collation),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }

    /// A failure with a message that begins with the operator's name.
    pub(crate) fn fail<T>(&self, code: i32, message: impl std::fmt::Display) -> Result<T, QueryError> {
        Err(QueryError::new(code, format!("{} {message}", self.operator)))
    }
}
