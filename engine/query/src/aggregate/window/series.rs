//! Window functions over a series of numbers: slope, area, covariance, moving average, filling of gaps.
//!
//! Promises: all are computed in doubles but for the moving average and the filled values, which keep
//! Decimal128. Deliberately unknown: windows.

use bson::Bson;

use crate::QueryError;
use crate::aggregate::spec::type_name;
use crate::number::{Decimal, Number};

/// A value, and where it stands, in the unit that was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    at: f64,
    value: Option<f64>,
}

/// The points of a partition.
pub(super) fn points(
    operator: &str,
    values: &[Option<Bson>],
    partition: &super::Partition,
    unit_ms: Option<i64>,
) -> Result<Vec<Point>, QueryError> {
    let points = values.iter().zip(&partition.positions).map(|(value, position)| {
        let at = match (position, unit_ms) {
            (Some(Bson::DateTime(date)), Some(unit_ms)) => date.timestamp_millis() as f64 / unit_ms as f64,
            (Some(Bson::DateTime(_)), _) => {
                let message = format!("{operator} where the sortBy is a Date requires a 'unit'");
                return Err(QueryError::new(5_624_901, message));
            }
            (Some(position), None) if Number::of(position).is_some() => number(position),
            (position, unit_ms) => {
                let expected = if unit_ms.is_some() { "a Date when a 'unit' is given" } else { "a number" };
                let found = position.as_ref().map_or("missing", type_name);
                let message = format!("{operator}: the sortBy value must be {expected}, but it is {found}");
                return Err(QueryError::new(5_624_900, message));
            }
        };
        let value = match value {
            None | Some(Bson::Null | Bson::Undefined) => None,
            Some(Bson::DateTime(date)) if operator == "$derivative" => Some(date.timestamp_millis() as f64),
            Some(value) if Number::of(value).is_some() => Some(number(value)),
            Some(value) => {
                let message =
                    format!("{operator}: the input must be a number, but it is {}", type_name(value));
                return Err(QueryError::new(5_624_903, message));
            }
        };
        Ok(Point { at, value })
    });
    points.collect()
}

fn number(value: &Bson) -> f64 {
    Number::of(value).map_or(f64::NAN, Number::to_double)
}

/// The slope from the first point to the last; null where there are not two.
pub(super) fn derivative(points: &[Point]) -> Bson {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Bson::Null };
    let (Some(from), Some(to)) = (first.value, last.value) else { return Bson::Null };
    let distance = last.at - first.at;
    if distance == 0.0 { Bson::Null } else { Bson::Double((to - from) / distance) }
}

/// The area under the points by the trapezoidal rule; points without a value are left out.
pub(super) fn integral(points: &[Point]) -> Bson {
    let mut known = points.iter().filter_map(|point| Some((point.at, point.value?)));
    let Some(mut before) = known.next() else { return Bson::Null };
    let mut area = 0.0;
    for point in known {
        area += (point.0 - before.0) * f64::midpoint(point.1, before.1);
        before = point;
    }
    Bson::Double(area)
}

/// The covariance of two columns, of the rows in which both are numbers; in one pass (Welford's method).
pub(super) fn covariance(x: &[Option<Bson>], y: &[Option<Bson>], is_sample: bool) -> Bson {
    let (mut count, mut mean_x, mut mean_y, mut moment) = (0.0, 0.0, 0.0, 0.0);
    let numbers = |value: &Option<Bson>| value.as_ref().and_then(Number::of).map(Number::to_double);
    for (x, y) in x.iter().zip(y) {
        let (Some(x), Some(y)) = (numbers(x), numbers(y)) else { continue };
        count += 1.0;
        let difference = x - mean_x;
        mean_x += difference / count;
        mean_y += (y - mean_y) / count;
        moment += difference * (y - mean_y);
    }
    let divisor = if is_sample { count - 1.0 } else { count };
    if divisor <= 0.0 { Bson::Null } else { Bson::Double(moment / divisor) }
}

/// The exponential moving average; null where there is no number, which changes nothing.
pub(super) fn exponential_average(values: Vec<Option<Bson>>, alpha: f64) -> Vec<Bson> {
    let mut average: Option<Number> = None;
    let averages = values.into_iter().map(|value| {
        let Some(number) = value.as_ref().and_then(Number::of) else { return Bson::Null };
        let next = match average {
            None => number,
            Some(before) => {
                let kept = before.multiply(Number::Double(1.0 - alpha));
                number.multiply(Number::Double(alpha)).add(kept)
            }
        };
        average = Some(next);
        next.into()
    });
    averages.collect()
}

/// Each value, or the last one before it that was there.
pub(super) fn last_observed(values: Vec<Option<Bson>>) -> Vec<Bson> {
    let mut last = Bson::Null;
    let filled = values.into_iter().map(|value| {
        if let Some(value) = value.filter(|value| !matches!(value, Bson::Null | Bson::Undefined)) {
            last = value;
        }
        last.clone()
    });
    filled.collect()
}

/// Each value, and on the straight line between its neighbours where there is none.
pub(super) fn linear_fill(
    values: Vec<Option<Bson>>,
    positions: &[Option<Bson>],
) -> Result<Vec<Bson>, QueryError> {
    let places: Vec<f64> =
        positions.iter().map(|position| place(position.as_ref())).collect::<Result<_, _>>()?;
    if places.windows(2).any(|pair| pair[0].total_cmp(&pair[1]).is_eq()) {
        return Err(QueryError::new(6_050_106, "There can be no repeated values in the sort field"));
    }
    let mut filled: Vec<Bson> = Vec::with_capacity(values.len());
    let mut known: Option<(usize, Number)> = None;
    for (at, value) in values.into_iter().enumerate() {
        let Some(value) = value.filter(|value| !matches!(value, Bson::Null | Bson::Undefined)) else {
            filled.push(Bson::Null);
            continue;
        };
        let Some(number) = Number::of(&value) else {
            let found = type_name(&value);
            let message = format!("Value to be filled must be numeric or nullish, but it is {found}");
            return Err(QueryError::type_mismatch(message));
        };
        if let Some((from, before)) = known {
            for (gap, value) in filled.iter_mut().enumerate().skip(from + 1) {
                let fraction = (places[gap] - places[from]) / (places[at] - places[from]);
                *value = between(before, number, fraction);
            }
        }
        known = Some((at, number));
        filled.push(value);
    }
    Ok(filled)
}

/// The value so far on the way from one number to another.
fn between(from: Number, to: Number, fraction: f64) -> Bson {
    if from.is_decimal() || to.is_decimal() {
        let rise = to.subtract(from).to_decimal().multiply(&Decimal::from_double(fraction));
        return Bson::Decimal128(from.to_decimal().add(&rise).pack());
    }
    let (from, to) = (from.to_double(), to.to_double());
    Bson::Double(from + (to - from) * fraction)
}

/// Where a document stands in the order, as a number.
fn place(position: Option<&Bson>) -> Result<f64, QueryError> {
    match position {
        Some(Bson::DateTime(date)) => Ok(date.timestamp_millis() as f64),
        Some(value) if Number::of(value).is_some() => Ok(number(value)),
        other => {
            let found = other.map_or("missing", type_name);
            let message =
                format!("$linearFill: the sortBy value must be a number or a Date, but it is {found}");
            Err(QueryError::type_mismatch(message))
        }
    }
}
