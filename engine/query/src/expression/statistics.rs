//! Accumulators as expressions: `$sum`, `$avg`, `$min`, `$max`, `$stdDevPop`, `$stdDevSamp`, `$median`,
//! `$percentile`.
//!
//! Promises: one argument that is an array stands for its elements; several arguments are taken as they
//! are, so that an array among them is no number. What is no number does not count, nor does null for
//! `$min` and `$max`. Deliberately unknown: groups of documents.

use bson::Bson;

use super::kind::is_nullish;
use super::operator::{Arguments, Named, Operator, Parameter, Signature};
use super::parser::Parser;
use super::{Expression, Node, Scope};
use crate::error::QueryError;
use crate::number::{Deviation, Number, Sum, percentile};

pub(super) static OPERATORS: &[Operator] = &[
    Operator::eager("$sum", Signature::Any, |arguments| Ok(Some(sum(arguments).total().into()))),
    Operator::eager("$avg", Signature::Any, |arguments| {
        Ok(Some(sum(arguments).average().map_or(Bson::Null, Bson::from)))
    }),
    Operator::eager("$min", Signature::Any, |arguments| {
        let least = values(arguments).min_by(|a, b| arguments.compare(Some(a), Some(b)));
        Ok(Some(least.cloned().unwrap_or(Bson::Null)))
    }),
    Operator::eager("$max", Signature::Any, |arguments| {
        // The first of equal ones, as for the least.
        let greatest = values(arguments).min_by(|a, b| arguments.compare(Some(b), Some(a)));
        Ok(Some(greatest.cloned().unwrap_or(Bson::Null)))
    }),
    Operator::eager("$stdDevPop", Signature::Any, |arguments| {
        Ok(Some(deviation(arguments).of_population().map_or(Bson::Null, Bson::Double)))
    }),
    Operator::eager("$stdDevSamp", Signature::Any, |arguments| {
        Ok(Some(deviation(arguments).of_sample().map_or(Bson::Null, Bson::Double)))
    }),
    Operator::special("$median", parse_median),
    Operator::special("$percentile", parse_percentile),
];

/// The values that count, null and missing ones left out.
fn values<'a>(arguments: &'a Arguments<'_>) -> Box<dyn Iterator<Item = &'a Bson> + 'a> {
    match (arguments.len(), arguments.get(0)) {
        (1, Some(Bson::Array(elements))) => {
            Box::new(elements.iter().filter(|element| !is_nullish(Some(element))))
        }
        _ => Box::new(arguments.iter().filter(|value| !is_nullish(*value)).flatten()),
    }
}

fn sum(arguments: &Arguments<'_>) -> Sum {
    let mut sum = Sum::default();
    values(arguments).filter_map(Number::of).for_each(|number| sum.add(number));
    sum
}

fn deviation(arguments: &Arguments<'_>) -> Deviation {
    let mut deviation = Deviation::default();
    values(arguments).filter_map(Number::of).for_each(|number| deviation.add(number.to_double()));
    deviation
}

/// `$median` or `$percentile`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Percentile {
    input: Expression,
    /// From 0 to 1.
    ranks: Vec<f64>,
    /// Whether the one result stands without an array.
    single: bool,
}

fn check_method(name: &str, method: &Bson) -> Result<(), QueryError> {
    if *method == Bson::String("approximate".into()) {
        return Ok(());
    }
    Err(QueryError::bad_value(format!("Currently only 'approximate' can be used as a {name} 'method'.")))
}

fn parse_median(parser: &Parser<'_>, name: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    static FIELDS: Named = Named {
        not_a_document: 7_436_201,
        unknown: 40415,
        parameters: &[Parameter::required("input", 40414), Parameter::required("method", 40414)],
    };
    let fields = FIELDS.fields(name, argument)?;
    let &[Some(input), Some(method)] = fields.as_slice() else {
        return Err(QueryError::new(40414, "$median needs 'input' and 'method'"));
    };
    check_method(name, method)?;
    let input = parser.parse(input)?;
    Ok(Expression(Node::Percentile(Box::new(Percentile { input, ranks: vec![0.5], single: true }))))
}

fn parse_percentile(
    parser: &Parser<'_>,
    name: &'static str,
    argument: &Bson,
) -> Result<Expression, QueryError> {
    static FIELDS: Named = Named {
        not_a_document: 7_429_703,
        unknown: 40415,
        parameters: &[
            Parameter::required("input", 40414),
            Parameter::required("p", 40414),
            Parameter::required("method", 40414),
        ],
    };
    let fields = FIELDS.fields(name, argument)?;
    let &[Some(input), Some(p), Some(method)] = fields.as_slice() else {
        return Err(QueryError::new(40414, "$percentile needs 'input', 'p' and 'method'"));
    };
    check_method(name, method)?;
    let ranks = ranks(parser.parse(p)?.constant())?;
    let input = parser.parse(input)?;
    Ok(Expression(Node::Percentile(Box::new(Percentile { input, ranks, single: false }))))
}

fn ranks(value: Option<&Bson>) -> Result<Vec<f64>, QueryError> {
    let message = "The $percentile 'p' field must be an array of numbers from [0.0, 1.0]";
    let Some(Bson::Array(ranks)) = value else { return Err(QueryError::new(7_750_300, message)) };
    if ranks.is_empty() {
        return Err(QueryError::new(7_750_301, format!("{message}, but found an empty array")));
    }
    let rank = |value: &Bson| {
        let Some(rank) = Number::of(value) else {
            return Err(QueryError::new(7_750_302, format!("{message}, but found: {value}")));
        };
        let rank = rank.to_double();
        if !(0.0..=1.0).contains(&rank) {
            return Err(QueryError::new(7_750_303, format!("{message}, but found: {value}")));
        }
        Ok(rank)
    };
    ranks.iter().map(rank).collect()
}

impl Percentile {
    pub(super) fn evaluate(&self, scope: &Scope<'_>) -> Result<Bson, QueryError> {
        let input = self.input.value(scope)?;
        let mut numbers: Vec<f64> = match input.as_deref() {
            Some(Bson::Array(elements)) => {
                elements.iter().filter_map(Number::of).map(Number::to_double).collect()
            }
            value => value.and_then(Number::of).map(Number::to_double).into_iter().collect(),
        };
        numbers.sort_by(f64::total_cmp);
        let at = |rank: &f64| percentile(&numbers, *rank).map_or(Bson::Null, Bson::Double);
        Ok(match (self.single, self.ranks.first()) {
            (true, Some(rank)) => at(rank),
            _ => Bson::Array(self.ranks.iter().map(at).collect()),
        })
    }
}
