//! Reading `$setWindowFields`.
//!
//! Promises: an unknown function or argument is an error that names it; a function that needs an order or
//! may have no window is refused otherwise. Deliberately unknown: documents.

use bson::{Bson, Document};

use super::SetWindowFields;
use super::function::{Function, WindowField};
use crate::aggregate::accumulator::{Accumulation, is_accumulator};
use crate::aggregate::spec::{check_path, type_name, whole_number};
use crate::aggregate::stage::Kind;
use crate::expression::Expression;
use crate::expression::date::Unit;
use crate::number::Number;
use crate::{ParseContext, QueryError, SortKey, parse_sort};

/// Reads the stage.
pub(in crate::aggregate) fn parse(value: &Bson, context: &ParseContext) -> Result<Kind, QueryError> {
    let Bson::Document(options) = value else {
        let found = type_name(value);
        let message = format!("the $setWindowFields stage specification must be an object, found {found}");
        return Err(QueryError::failed_to_parse(message));
    };
    let mut partition_by = None;
    let mut order = Vec::new();
    let mut output = None;
    for (name, value) in options {
        match (name.as_str(), value) {
            ("partitionBy", _) => partition_by = Some(Expression::parse(value, context)?),
            ("sortBy", Bson::Document(sort)) => order = parse_sort(sort)?,
            ("output", Bson::Document(fields)) => output = Some(fields),
            ("sortBy" | "output", _) => {
                let found = type_name(value);
                let message = format!(
                    "BSON field '$setWindowFields.{name}' is the wrong type '{found}', expected type 'object'"
                );
                return Err(QueryError::type_mismatch(message));
            }
            _ => {
                let message = format!("BSON field '$setWindowFields.{name}' is an unknown field.");
                return Err(QueryError::new(40415, message));
            }
        }
    }
    let Some(output) = output else {
        let message = "BSON field '$setWindowFields.output' is missing but a required field";
        return Err(QueryError::new(40414, message));
    };
    let fields = output.iter().map(|(path, value)| {
        check_path(path)?;
        Ok(WindowField { path: path.clone(), function: parse_function(path, value, &order, context)? })
    });
    let fields = fields.collect::<Result<_, _>>()?;
    let stage = SetWindowFields::new("$setWindowFields", partition_by, order, fields, context);
    Ok(Kind::Local(Box::new(stage)))
}

fn parse_function(
    path: &str,
    value: &Bson,
    order: &[SortKey],
    context: &ParseContext,
) -> Result<Function, QueryError> {
    let Bson::Document(written) = value else {
        let message = format!("The field '{path}' must be an object");
        return Err(QueryError::failed_to_parse(message));
    };
    let mut operator = None;
    let mut window = None;
    for (name, value) in written {
        if name == "window" {
            window = Some(value);
        } else if name.starts_with('$') && operator.is_none() {
            operator = Some((name.as_str(), value));
        } else {
            let message = format!("Window function found an unknown argument: {name}");
            return Err(QueryError::failed_to_parse(message));
        }
    }
    let Some((name, argument)) = operator else {
        return Err(QueryError::failed_to_parse(format!("Expected a $-prefixed window function, {value}")));
    };
    let function = Written { name, argument, window, order, context };
    match name {
        "$rank" => function.ranking(Function::Rank),
        "$denseRank" => function.ranking(Function::DenseRank),
        "$documentNumber" => function.ranking(Function::DocumentNumber),
        "$shift" => function.shift(),
        "$derivative" | "$integral" => function.calculus(),
        "$covariancePop" | "$covarianceSamp" => function.covariance(),
        "$expMovingAvg" => function.exponential_average(),
        "$linearFill" => {
            function.refuse_window()?;
            function.need_one_order()?;
            Ok(Function::LinearFill(Expression::parse(argument, context)?))
        }
        "$locf" => {
            function.refuse_window()?;
            function.need_order()?;
            Ok(Function::LastObserved(Expression::parse(argument, context)?))
        }
        "$mergeObjects" => Err(function.unknown()),
        name if is_accumulator(name) => {
            let frame = function.frame()?;
            Ok(Function::Accumulate(Accumulation::parse(path, name, argument, context)?, frame))
        }
        _ => Err(function.unknown()),
    }
}

/// A window function as it is written.
pub(super) struct Written<'a> {
    name: &'a str,
    argument: &'a Bson,
    pub(super) window: Option<&'a Bson>,
    pub(super) order: &'a [SortKey],
    context: &'a ParseContext,
}

impl Written<'_> {
    fn unknown(&self) -> QueryError {
        QueryError::failed_to_parse(format!("Unrecognized window function, {}", self.name))
    }

    fn refuse_window(&self) -> Result<(), QueryError> {
        if self.window.is_some() {
            let message = format!("{} does not accept a 'window' field", self.name);
            return Err(QueryError::new(5_371_601, message));
        }
        Ok(())
    }

    fn need_order(&self) -> Result<(), QueryError> {
        if self.order.is_empty() {
            return Err(QueryError::new(5_371_602, format!("{} requires a sortBy", self.name)));
        }
        Ok(())
    }

    fn need_one_order(&self) -> Result<(), QueryError> {
        if self.order.len() != 1 {
            let message = format!(
                "{} must be specified with a top level sortBy expression with exactly one element",
                self.name
            );
            return Err(QueryError::new(5_371_602, message));
        }
        Ok(())
    }

    /// The named arguments, none beside those known.
    fn arguments(&self, known: &[&str]) -> Result<&Document, QueryError> {
        let Bson::Document(arguments) = self.argument else {
            let message =
                format!("Argument to {} must be an object, found {}", self.name, type_name(self.argument));
            return Err(QueryError::failed_to_parse(message));
        };
        match arguments.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                let message = format!("{} got unexpected argument: {name}", self.name);
                Err(QueryError::failed_to_parse(message))
            }
            None => Ok(arguments),
        }
    }

    fn expression(&self, arguments: &Document, name: &str) -> Result<Expression, QueryError> {
        match arguments.get(name) {
            Some(value) => Expression::parse(value, self.context),
            None => Err(QueryError::failed_to_parse(format!("{} requires '{name}'", self.name))),
        }
    }

    fn ranking(&self, function: Function) -> Result<Function, QueryError> {
        if !self.argument.as_document().is_some_and(Document::is_empty) {
            let message = format!("{} must be specified with '{{}}' as the value", self.name);
            return Err(QueryError::new(5_371_603, message));
        }
        self.refuse_window()?;
        if self.name == "$documentNumber" {
            self.need_order()?;
        } else {
            self.need_one_order()?;
        }
        Ok(function)
    }

    fn shift(&self) -> Result<Function, QueryError> {
        let arguments = self.arguments(&["output", "by", "default"])?;
        self.refuse_window()?;
        self.need_order()?;
        let output = self.expression(arguments, "output")?;
        let by = arguments.get("by").and_then(whole_number).and_then(|by| i32::try_from(by).ok());
        let by = by.and_then(|by| isize::try_from(by).ok());
        let Some(by) = by else {
            return Err(QueryError::failed_to_parse("'$shift:by' field must be an integer"));
        };
        let default = match arguments.get("default") {
            None => Bson::Null,
            Some(default) => {
                Expression::parse(default, self.context)?.constant().cloned().ok_or_else(|| {
                    QueryError::failed_to_parse(format!(
                        "'$shift:default' expression must yield a constant value: {default}"
                    ))
                })?
            }
        };
        Ok(Function::Shift { output, by, default })
    }

    fn calculus(&self) -> Result<Function, QueryError> {
        let arguments = self.arguments(&["input", "unit"])?;
        self.need_one_order()?;
        let input = self.expression(arguments, "input")?;
        let unit_ms = arguments.get("unit").map(parse_fixed_unit).transpose()?;
        if self.name == "$derivative" && self.window.is_none() {
            return Err(QueryError::failed_to_parse("$derivative requires explicit window bounds"));
        }
        let frame = self.frame()?;
        Ok(if self.name == "$derivative" {
            Function::Derivative { input, unit_ms, frame }
        } else {
            Function::Integral { input, unit_ms, frame }
        })
    }

    fn covariance(&self) -> Result<Function, QueryError> {
        let Bson::Array(inputs) = self.argument else {
            return Err(QueryError::failed_to_parse(format!(
                "{} requires an array of two expressions",
                self.name
            )));
        };
        let [x, y] = inputs.as_slice() else {
            return Err(QueryError::failed_to_parse(format!(
                "{} requires an array of two expressions",
                self.name
            )));
        };
        Ok(Function::Covariance {
            x: Expression::parse(x, self.context)?,
            y: Expression::parse(y, self.context)?,
            is_sample: self.name == "$covarianceSamp",
            frame: self.frame()?,
        })
    }

    fn exponential_average(&self) -> Result<Function, QueryError> {
        let arguments = self.arguments(&["input", "N", "alpha"])?;
        self.refuse_window()?;
        self.need_order()?;
        let input = self.expression(arguments, "input")?;
        let alpha = match (arguments.get("N"), arguments.get("alpha")) {
            (Some(n), None) => match whole_number(n) {
                Some(n @ 1..) => 2.0 / (n as f64 + 1.0),
                _ => {
                    return Err(QueryError::failed_to_parse(format!(
                        "'N' must be a positive integer, found {n}"
                    )));
                }
            },
            (None, Some(alpha)) => {
                let number =
                    Number::of(alpha).map(Number::to_double).filter(|alpha| *alpha > 0.0 && *alpha < 1.0);
                number.ok_or_else(|| {
                    QueryError::failed_to_parse(format!(
                        "'alpha' must be between 0 and 1 (exclusive), found {alpha}"
                    ))
                })?
            }
            _ => {
                let message = "$expMovingAvg sub object must have exactly two fields: An 'input' field, \
                    and either an 'N' field or an 'alpha' field";
                return Err(QueryError::failed_to_parse(message));
            }
        };
        Ok(Function::ExponentialAverage { input, alpha })
    }
}

/// The milliseconds of a unit that is always as long.
fn parse_fixed_unit(unit: &Bson) -> Result<i64, QueryError> {
    let named = unit.as_str().and_then(|name| Unit::parse(name).ok());
    named
        .and_then(Unit::fixed_ms)
        .ok_or_else(|| QueryError::new(5_490_704, format!("unit must be 'week' or smaller, found {unit}")))
}
