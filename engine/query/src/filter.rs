//! Filters: conditions on documents, in MongoDB's query language.
//!
//! Promises: MongoDB's meaning of a predicate on an array (it holds if it holds for any element or for the
//! whole array), of a missing field, and of negation (`Ne`, `NotIn`, `Not` and `Exists(false)` hold exactly
//! when their positive twin does not). A document whose bytes are broken is read up to the break. What
//! is not understood is refused by name. Deliberately unknown: which index may help a filter
//! ([`crate::bounds`]), and where the documents come from.

mod bits;
mod evaluated;
mod explain;
mod matching;
mod modulo;
mod number;
mod parse;
mod pattern;
mod position;
mod sample;
mod tree;
mod type_set;

pub use self::bits::{BitTest, Bits};
pub use self::evaluated::Evaluated;
pub use self::explain::explain_failure;
pub use self::modulo::Modulo;
pub(crate) use self::number::{decimal, exact_integer};
pub use self::pattern::Pattern;
pub(crate) use self::pattern::PatternBudget;
pub use self::sample::SampleRate;
pub use self::tree::{Condition, Filter, InvalidFilter, Predicate};
pub use self::type_set::{TypeSet, type_name};
