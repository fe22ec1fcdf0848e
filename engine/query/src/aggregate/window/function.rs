//! What a window function computes for each document of a partition.
//!
//! Promises: every expression is evaluated once for each document, whatever the windows. Deliberately
//! unknown: how the partition came about.

use std::ops::Range;
use std::sync::Arc;

use bson::{Bson, Document};

use super::frame::Frame;
use super::{Partition, series};
use crate::QueryError;
use crate::aggregate::accumulator::{Accumulation, Input};
use crate::aggregate::memory::{Held, Memory, value_bytes};
use crate::aggregate::shape::whole;
use crate::context::Variables;
use crate::expression::{Expression, Scope};

/// A field of the output.
#[derive(Debug, Clone)]
pub(in crate::aggregate) struct WindowField {
    pub(in crate::aggregate) path: String,
    pub(in crate::aggregate) function: Function,
}

/// A window function.
#[derive(Debug, Clone)]
pub(in crate::aggregate) enum Function {
    Accumulate(Accumulation, Frame),
    Rank,
    DenseRank,
    DocumentNumber,
    Shift { output: Expression, by: isize, default: Bson },
    Derivative { input: Expression, unit_ms: Option<i64>, frame: Frame },
    Integral { input: Expression, unit_ms: Option<i64>, frame: Frame },
    Covariance { x: Expression, y: Expression, is_sample: bool, frame: Frame },
    ExponentialAverage { input: Expression, alpha: f64 },
    LinearFill(Expression),
    LastObserved(Expression),
}

impl Function {
    /// The value for each document of the partition; what they take is accounted.
    pub(super) fn compute(
        &self,
        partition: &Partition,
        variables: &Variables,
        held: &mut Held,
        memory: &Arc<Memory>,
    ) -> Result<Vec<Bson>, QueryError> {
        let evaluate = |expression: &Expression| -> Result<Vec<Option<Bson>>, QueryError> {
            let documents = partition.documents.iter();
            documents.map(|document| expression.evaluate(&Scope::of(document, variables))).collect()
        };
        let count = partition.documents.len();
        let values = match self {
            Self::Accumulate(accumulation, frame) => {
                let windows = frame.windows(partition)?;
                return accumulate(accumulation, &partition.documents, &windows, held, memory);
            }
            Self::DocumentNumber => (1..=count).map(whole).collect(),
            Self::Rank => ranks(partition, |at, _| at + 1),
            Self::DenseRank => ranks(partition, |_, before| before + 1),
            Self::Shift { output, by, default } => {
                let values = evaluate(output)?;
                let shifted = (0..count).map(|at| {
                    let from = at.checked_add_signed(*by).and_then(|from| values.get(from));
                    from.map_or_else(|| default.clone(), |value| value.clone().unwrap_or(Bson::Null))
                });
                shifted.collect()
            }
            Self::Derivative { input, unit_ms, frame } => {
                let points = series::points("$derivative", &evaluate(input)?, partition, *unit_ms)?;
                frame
                    .windows(partition)?
                    .into_iter()
                    .map(|window| series::derivative(&points[window]))
                    .collect()
            }
            Self::Integral { input, unit_ms, frame } => {
                let points = series::points("$integral", &evaluate(input)?, partition, *unit_ms)?;
                frame
                    .windows(partition)?
                    .into_iter()
                    .map(|window| series::integral(&points[window]))
                    .collect()
            }
            Self::Covariance { x, y, is_sample, frame } => {
                let (x, y) = (evaluate(x)?, evaluate(y)?);
                let windows = frame.windows(partition)?.into_iter();
                windows.map(|window| series::covariance(&x[window.clone()], &y[window], *is_sample)).collect()
            }
            Self::ExponentialAverage { input, alpha } => {
                series::exponential_average(evaluate(input)?, *alpha)
            }
            Self::LinearFill(input) => series::linear_fill(evaluate(input)?, &partition.positions)?,
            Self::LastObserved(input) => series::last_observed(evaluate(input)?),
        };
        held.grow(memory, values.iter().map(value_bytes).sum())?;
        Ok(values)
    }
}

/// Ranks from one, equal for documents that sort equal: of the place of the first such document, and of the
/// rank before.
fn ranks(partition: &Partition, rank: impl Fn(usize, usize) -> usize) -> Vec<Bson> {
    let mut current = 0;
    let ranks = partition.places.iter().enumerate().map(|(at, place)| {
        if at == 0 || partition.places[at - 1] != *place {
            current = rank(at, current);
        }
        whole(current)
    });
    ranks.collect()
}

fn accumulate(
    accumulation: &Accumulation,
    documents: &[Document],
    windows: &[Range<usize>],
    held: &mut Held,
    memory: &Arc<Memory>,
) -> Result<Vec<Bson>, QueryError> {
    let inputs = documents.iter().map(|document| accumulation.input(document));
    let inputs: Vec<Input> = inputs.collect::<Result<_, _>>()?;
    let mut accumulator = accumulation.start(&Document::new())?;
    let mut covered = 0..0;
    let mut values: Vec<Bson> = Vec::with_capacity(windows.len());
    for window in windows {
        if window.start != covered.start || window.end < covered.end {
            accumulator = accumulation.start(&Document::new())?;
            covered = window.start..window.start;
        }
        let unchanged = covered == *window;
        for input in &inputs[covered.end..window.end] {
            accumulator.add(input.clone())?;
        }
        covered = window.clone();
        let value = match values.last() {
            Some(last) if unchanged && !window.is_empty() => last.clone(),
            _ => accumulator.result(),
        };
        held.grow(memory, value_bytes(&value))?;
        values.push(value);
    }
    Ok(values)
}
