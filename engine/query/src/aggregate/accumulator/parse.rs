//! Reading accumulators as `$group`, `$bucket` and `$setWindowFields` write them.
//!
//! Promises: an unknown accumulator or argument is an error that names it. Deliberately unknown: the stage
//! around them.

use bson::{Bson, Document};

use super::{Accumulation, AccumulatorOperator};
use crate::aggregate::spec::{type_name, whole_number};
use crate::expression::Expression;
use crate::number::Number;
use crate::{ParseContext, QueryError, SortKey, codes, parse_sort};

/// Whether there is an accumulator of this name.
pub(in crate::aggregate) fn is_accumulator(name: &str) -> bool {
    matches!(
        name,
        "$sum"
            | "$avg"
            | "$min"
            | "$max"
            | "$first"
            | "$last"
            | "$push"
            | "$addToSet"
            | "$stdDevPop"
            | "$stdDevSamp"
            | "$mergeObjects"
            | "$count"
            | "$top"
            | "$topN"
            | "$bottom"
            | "$bottomN"
            | "$firstN"
            | "$lastN"
            | "$maxN"
            | "$minN"
            | "$median"
            | "$percentile"
    )
}

/// Reads fields that are each computed by an accumulator.
pub(in crate::aggregate) fn parse_fields<'d>(
    fields: impl Iterator<Item = (&'d String, &'d Bson)>,
    context: &ParseContext,
) -> Result<Vec<Accumulation>, QueryError> {
    fields.map(|(field, value)| parse_field(field, value, context)).collect()
}

fn parse_field(field: &str, value: &Bson, context: &ParseContext) -> Result<Accumulation, QueryError> {
    if field.contains('.') {
        return Err(QueryError::new(40235, format!("The field name '{field}' cannot contain '.'")));
    }
    if field.starts_with('$') {
        return Err(QueryError::new(40236, format!("The field name '{field}' cannot be an operator name")));
    }
    let Bson::Document(accumulator) = value else {
        return Err(QueryError::new(40234, format!("The field '{field}' must be an accumulator object")));
    };
    let mut operators = accumulator.iter();
    let (Some((name, argument)), None) = (operators.next(), operators.next()) else {
        return Err(QueryError::new(40238, format!("The field '{field}' must specify one accumulator")));
    };
    Accumulation::parse(field, name, argument, context)
}

impl Accumulation {
    /// Reads an accumulator by its name and argument.
    pub(in crate::aggregate) fn parse(
        field: &str,
        name: &str,
        argument: &Bson,
        context: &ParseContext,
    ) -> Result<Self, QueryError> {
        Ok(Self {
            field: field.to_owned(),
            operator: parse_operator(name, argument, context)?,
            collation: context.collation.clone(),
            variables: context.variables.clone(),
        })
    }
}

fn parse_operator(
    name: &str,
    argument: &Bson,
    context: &ParseContext,
) -> Result<AccumulatorOperator, QueryError> {
    use AccumulatorOperator as Of;
    let unary = || match argument {
        Bson::Array(arguments) if arguments.len() == 1 => Expression::parse(&arguments[0], context),
        Bson::Array(_) => Err(QueryError::new(40237, format!("The {name} accumulator is a unary operator"))),
        argument => Expression::parse(argument, context),
    };
    Ok(match name {
        "$sum" => Of::Sum(unary()?),
        "$avg" => Of::Average(unary()?),
        "$min" => Of::Minimum(unary()?),
        "$max" => Of::Maximum(unary()?),
        "$first" => Of::First(unary()?),
        "$last" => Of::Last(unary()?),
        "$push" => Of::Push(unary()?),
        "$addToSet" => Of::AddToSet(unary()?),
        "$mergeObjects" => Of::MergeObjects(unary()?),
        "$stdDevPop" => Of::StandardDeviation { input: unary()?, is_sample: false },
        "$stdDevSamp" => Of::StandardDeviation { input: unary()?, is_sample: true },
        "$count" => match argument {
            Bson::Document(argument) if argument.is_empty() => Of::Count,
            _ => return Err(QueryError::type_mismatch("$count takes no arguments, i.e. $count:{}")),
        },
        "$firstN" | "$lastN" | "$minN" | "$maxN" => {
            let arguments = Arguments::of(name, argument, &["input", "n"], 5_787_900)?;
            let (input, n) = (arguments.expression("input", context)?, arguments.count(context)?);
            match name {
                "$firstN" => Of::FirstN { input, n },
                "$lastN" => Of::LastN { input, n },
                "$minN" => Of::MinimumN { input, n },
                _ => Of::MaximumN { input, n },
            }
        }
        "$top" | "$bottom" => {
            let arguments = Arguments::of(name, argument, &["sortBy", "output"], 5_788_001)?;
            let (order, output) = (arguments.order()?, arguments.expression("output", context)?);
            Of::Ranked { order, is_top: name == "$top", output, n: None }
        }
        "$topN" | "$bottomN" => {
            let arguments = Arguments::of(name, argument, &["sortBy", "output", "n"], 5_788_001)?;
            let (order, output) = (arguments.order()?, arguments.expression("output", context)?);
            Of::Ranked { order, is_top: name == "$topN", output, n: Some(arguments.count(context)?) }
        }
        "$median" => {
            let arguments = Arguments::of(name, argument, &["input", "method"], 7_436_100)?;
            arguments.check_method()?;
            Of::Percentile {
                input: arguments.expression("input", context)?,
                fractions: vec![0.5],
                is_median: true,
            }
        }
        "$percentile" => {
            let arguments = Arguments::of(name, argument, &["input", "p", "method"], 7_429_703)?;
            arguments.check_method()?;
            let fractions = arguments.fractions(context)?;
            Of::Percentile { input: arguments.expression("input", context)?, fractions, is_median: false }
        }
        "$accumulator" | "$function" => {
            let message = format!("{name} is not supported: this server runs no JavaScript");
            return Err(QueryError::new(codes::COMMAND_NOT_SUPPORTED, message));
        }
        _ => return Err(QueryError::new(15952, format!("unknown group operator '{name}'"))),
    })
}

/// The named arguments of an accumulator, all of which must be there.
struct Arguments<'a> {
    name: &'a str,
    arguments: &'a Document,
}

impl<'a> Arguments<'a> {
    fn of(name: &'a str, argument: &'a Bson, known: &[&str], code: i32) -> Result<Self, QueryError> {
        let Bson::Document(arguments) = argument else {
            let message = format!("specification must be an object; found {name}: {}", type_name(argument));
            return Err(QueryError::new(code, message));
        };
        if let Some(other) = arguments.keys().find(|other| !known.contains(&other.as_str())) {
            return Err(QueryError::new(5_787_901, format!("Unknown argument for {name} operator: {other}")));
        }
        if let Some(missing) = known.iter().find(|known| !arguments.contains_key(**known)) {
            return Err(QueryError::new(5_787_906, format!("Missing value for '{missing}' of {name}")));
        }
        Ok(Self { name, arguments })
    }

    fn expression(&self, name: &str, context: &ParseContext) -> Result<Expression, QueryError> {
        Expression::parse(self.arguments.get(name).unwrap_or(&Bson::Null), context)
    }

    /// `n`, which is computed from the group's id alone; a constant is checked at once.
    fn count(&self, context: &ParseContext) -> Result<Expression, QueryError> {
        let n = self.expression("n", context)?;
        if let Some(constant) = n.constant() {
            match whole_number(constant) {
                Some(1..) => {}
                Some(_) => {
                    let message = format!("'n' must be greater than 0, found {constant}");
                    return Err(QueryError::new(5_787_908, message));
                }
                None => {
                    let message = format!("Value for 'n' must be of integral type, but found {constant}");
                    return Err(QueryError::new(5_787_902, message));
                }
            }
        }
        Ok(n)
    }

    fn order(&self) -> Result<Vec<SortKey>, QueryError> {
        if let Some(Bson::Document(order)) = self.arguments.get("sortBy") {
            return parse_sort(order);
        }
        let message = format!("expected 'sortBy' to already be an object in the arguments to {}", self.name);
        Err(QueryError::new(5_788_604, message))
    }

    fn check_method(&self) -> Result<(), QueryError> {
        match self.arguments.get("method") {
            Some(Bson::String(method)) if method == "approximate" => Ok(()),
            _ => {
                let message =
                    format!("Currently only 'approximate' can be used as a 'method' of {}", self.name);
                Err(QueryError::bad_value(message))
            }
        }
    }

    fn fractions(&self, context: &ParseContext) -> Result<Vec<f64>, QueryError> {
        let wrong = || {
            let message = "The $percentile 'p' field must be an array of numbers from [0.0, 1.0]";
            QueryError::new(7_750_301, message)
        };
        let expression = self.expression("p", context)?;
        let Some(Bson::Array(fractions)) = expression.constant() else { return Err(wrong()) };
        if fractions.is_empty() {
            return Err(wrong());
        }
        let fractions = fractions.iter().map(|fraction| {
            let fraction = Number::of(fraction).map(Number::to_double);
            fraction.filter(|fraction| (0.0..=1.0).contains(fraction)).ok_or_else(wrong)
        });
        fractions.collect()
    }
}
