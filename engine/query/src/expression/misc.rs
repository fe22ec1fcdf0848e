//! `$type`, `$isNumber`, `$binarySize`, `$bsonSize`, `$rand`, `$sampleRate`, and operators that are refused.
//!
//! Promises: `$rand` draws from the command's seed, and each `$rand` of a command from a sequence of its own.
//! Deliberately unknown: conversions ([`super::convert`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bson::{Bson, RawDocumentBuf};

use super::kind::{is_nullish, type_name};
use super::operator::{Arguments, Operator, Signature};
use super::parser::Parser;
use super::strings::count;
use super::{Expression, Node};
use crate::error::{QueryError, codes};
use crate::number::Number;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::eager("$type", Signature::Exactly(1), |arguments| Ok(Some(type_name(arguments.get(0)).into()))),
    Operator::eager("$isNumber", Signature::Exactly(1), |arguments| {
        Ok(Some(Bson::Boolean(arguments.get(0).and_then(Number::of).is_some())))
    }),
    Operator::eager("$binarySize", Signature::Exactly(1), binary_size),
    Operator::eager("$bsonSize", Signature::Exactly(1), bson_size),
    Operator::special("$rand", parse_random),
    Operator::special("$sampleRate", parse_sample_rate),
    Operator::special("$meta", refuse),
    Operator::special("$function", refuse),
    Operator::special("$accumulator", refuse),
    Operator::special("$toHashedIndexKey", refuse),
];

fn refuse(_: &Parser<'_>, name: &'static str, _: &Bson) -> Result<Expression, QueryError> {
    Err(QueryError::new(codes::COMMAND_NOT_SUPPORTED, format!("the expression {name} is not supported")))
}

fn binary_size(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    match arguments.get(0) {
        Some(Bson::String(text)) => Ok(Some(count(text.len()))),
        Some(Bson::Binary(binary)) => Ok(Some(count(binary.bytes.len()))),
        value if is_nullish(value) => Ok(Some(Bson::Null)),
        value => arguments
            .fail(51276, format!("requires a string or BinData argument, found: {}", type_name(value))),
    }
}

fn bson_size(arguments: &mut Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    match arguments.get(0) {
        Some(Bson::Document(document)) => match RawDocumentBuf::try_from(document) {
            Ok(raw) => Ok(Some(count(raw.as_bytes().len()))),
            Err(error) => arguments.fail(codes::BAD_VALUE, format!("cannot measure a document: {error}")),
        },
        value if is_nullish(value) => Ok(Some(Bson::Null)),
        value => arguments.fail(31393, format!("requires a document input, found: {}", type_name(value))),
    }
}

/// `$rand`: how many numbers were drawn, and from which seed.
#[derive(Debug, Clone)]
pub(super) struct Random {
    seed: u64,
    drawn: Arc<AtomicU64>,
}

impl PartialEq for Random {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.drawn, &other.drawn)
    }
}

impl Random {
    fn new(parser: &Parser<'_>) -> Self {
        // Tells the `$rand`s of one command apart.
        static SEQUENCES: AtomicU64 = AtomicU64::new(0);
        let sequence = SEQUENCES.fetch_add(1, Ordering::Relaxed);
        let seed = fastrand::Rng::with_seed(parser.context().variables.seed).u64(..);
        Self { seed: seed ^ sequence.rotate_left(32), drawn: Arc::default() }
    }

    /// The next number, at least 0 and less than 1.
    pub(super) fn draw(&self) -> f64 {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        fastrand::Rng::with_seed(self.seed.wrapping_add(drawn)).f64()
    }
}

fn parse_random(parser: &Parser<'_>, _: &'static str, argument: &Bson) -> Result<Expression, QueryError> {
    match argument {
        Bson::Document(document) if document.is_empty() => Ok(Expression(Node::Random(Random::new(parser)))),
        Bson::Array(elements) if elements.is_empty() => Ok(Expression(Node::Random(Random::new(parser)))),
        _ => Err(QueryError::new(3_040_501, "$rand does not currently accept arguments")),
    }
}

fn parse_sample_rate(
    parser: &Parser<'_>,
    _: &'static str,
    argument: &Bson,
) -> Result<Expression, QueryError> {
    let rate = Number::of(argument).map(Number::to_double).filter(|rate| (0.0..=1.0).contains(rate));
    match rate {
        Some(rate) => parser.parse(&bson::bson!({ "$lt": [{ "$rand": {} }, rate] })),
        None => Err(QueryError::bad_value("$sampleRate needs a number between 0 and 1")),
    }
}
