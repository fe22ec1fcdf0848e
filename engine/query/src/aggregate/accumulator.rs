//! Accumulators: what `$group` and window functions make of many values.
//!
//! Promises: MongoDB's treatment of null, missing values and number types by each accumulator (manual,
//! "Aggregation Accumulators"); each tells in constant time how much memory it takes. Deliberately unknown:
//! groups and windows.

mod collect;
mod extremes;
mod numeric;
mod parse;
mod percentile;
mod ranked;

use std::sync::Arc;

use bson::{Bson, Document};

pub(super) use self::parse::{is_accumulator, parse_fields};
use super::sort_stage::to_raw;
use crate::collation::Collation;
use crate::context::Variables;
use crate::expression::{Expression, Scope};
use crate::{QueryError, SortKey, sort_key};

/// An accumulator as it is written, for one field of the output.
#[derive(Debug, Clone)]
pub(super) struct Accumulation {
    pub(super) field: String,
    pub(super) operator: AccumulatorOperator,
    pub(super) collation: Option<Arc<Collation>>,
    pub(super) variables: Arc<Variables>,
}

/// Which accumulator, and of what.
#[derive(Debug, Clone)]
pub(super) enum AccumulatorOperator {
    Sum(Expression),
    Average(Expression),
    Minimum(Expression),
    Maximum(Expression),
    First(Expression),
    Last(Expression),
    Push(Expression),
    AddToSet(Expression),
    MergeObjects(Expression),
    Count,
    StandardDeviation {
        input: Expression,
        is_sample: bool,
    },
    FirstN {
        input: Expression,
        n: Expression,
    },
    LastN {
        input: Expression,
        n: Expression,
    },
    MinimumN {
        input: Expression,
        n: Expression,
    },
    MaximumN {
        input: Expression,
        n: Expression,
    },
    /// `$top`, `$topN`, `$bottom`, `$bottomN`; without `n` a single value.
    Ranked {
        order: Vec<SortKey>,
        is_top: bool,
        output: Expression,
        n: Option<Expression>,
    },
    /// `$median`, whose result is a single value, and `$percentile`.
    Percentile {
        input: Expression,
        fractions: Vec<f64>,
        is_median: bool,
    },
}

/// What one document gives an accumulator.
#[derive(Clone)]
pub(super) struct Input {
    value: Option<Bson>,
    /// The document's place in the order of a ranked accumulator.
    key: Vec<u8>,
}

/// A running accumulator.
pub(super) trait Accumulator: Send {
    /// Takes one more value.
    fn add(&mut self, input: Input) -> Result<(), QueryError>;

    /// What came of the values.
    fn result(&self) -> Bson;

    /// Bytes of the values that are held, beyond a constant.
    fn held_bytes(&self) -> usize {
        0
    }
}

impl Accumulation {
    /// Starts anew. `group` is the group's id where it is a document: what `n` may be computed from.
    pub(super) fn start(&self, group: &Document) -> Result<Box<dyn Accumulator>, QueryError> {
        use AccumulatorOperator as Of;
        let collation = self.collation.clone();
        let count = |n: &Expression| self.parse_count(n, group);
        Ok(match &self.operator {
            Of::Sum(_) => Box::new(numeric::Total::default()),
            Of::Average(_) => Box::new(numeric::Average::default()),
            Of::Count => Box::new(numeric::Count::default()),
            Of::StandardDeviation { is_sample, .. } => Box::new(numeric::Deviation::new(*is_sample)),
            Of::Minimum(_) => Box::new(extremes::Extreme::new(false, collation)),
            Of::Maximum(_) => Box::new(extremes::Extreme::new(true, collation)),
            Of::MinimumN { n, .. } => Box::new(extremes::Extremes::new(false, count(n)?, collation)),
            Of::MaximumN { n, .. } => Box::new(extremes::Extremes::new(true, count(n)?, collation)),
            Of::First(_) => Box::new(collect::First::default()),
            Of::Last(_) => Box::new(collect::Last::default()),
            Of::FirstN { n, .. } => Box::new(collect::FirstN::new(count(n)?)),
            Of::LastN { n, .. } => Box::new(collect::LastN::new(count(n)?)),
            Of::Push(_) => Box::new(collect::Push::default()),
            Of::AddToSet(_) => Box::new(collect::AddToSet::new(collation)),
            Of::MergeObjects(_) => Box::new(collect::MergeObjects::default()),
            Of::Ranked { is_top, n, .. } => {
                let n = n.as_ref().map(count).transpose()?;
                Box::new(ranked::Ranked::new(*is_top, n))
            }
            Of::Percentile { fractions, is_median, .. } => {
                Box::new(percentile::Percentile::new(fractions.clone(), *is_median))
            }
        })
    }

    /// What an accumulator takes of a document.
    pub(super) fn input(&self, document: &Document) -> Result<Input, QueryError> {
        use AccumulatorOperator as Of;
        let evaluate = |expression: &Expression| expression.evaluate(&Scope::of(document, &self.variables));
        Ok(match &self.operator {
            Of::Count => Input { value: None, key: Vec::new() },
            Of::Ranked { order, output, .. } => Input {
                value: evaluate(output)?,
                key: sort_key(&to_raw(document)?, order, self.collation.as_deref()),
            },
            Of::Sum(input)
            | Of::Average(input)
            | Of::Minimum(input)
            | Of::Maximum(input)
            | Of::First(input)
            | Of::Last(input)
            | Of::Push(input)
            | Of::AddToSet(input)
            | Of::MergeObjects(input)
            | Of::StandardDeviation { input, .. }
            | Of::FirstN { input, .. }
            | Of::LastN { input, .. }
            | Of::MinimumN { input, .. }
            | Of::MaximumN { input, .. }
            | Of::Percentile { input, .. } => Input { value: evaluate(input)?, key: Vec::new() },
        })
    }

    /// The number of values wanted.
    fn parse_count(&self, n: &Expression, group: &Document) -> Result<usize, QueryError> {
        let n = n.evaluate(&Scope::of(group, &self.variables))?;
        let whole = n.as_ref().and_then(super::spec::whole_number);
        match whole.map(usize::try_from) {
            Some(Ok(count @ 1..)) => Ok(count),
            Some(_) => {
                Err(QueryError::new(5_787_908, format!("'n' must be greater than 0, found {}", shown(n))))
            }
            None => {
                let message = format!("Value for 'n' must be of integral type, but found {}", shown(n));
                Err(QueryError::new(5_787_902, message))
            }
        }
    }
}

fn shown(value: Option<Bson>) -> String {
    value.map_or_else(|| "a missing value".into(), |value| value.to_string())
}
