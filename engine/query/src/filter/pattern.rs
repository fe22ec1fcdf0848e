//! Regular expressions.
//!
//! Promises: the syntax and meaning of PCRE, which MongoDB uses, as far as
//! [`fancy_regex`] can follow once [`translate`] has spelled out what the two read differently; what it cannot
//! follow is an error. Matching gives up after a number of steps rather than hang. Word boundaries
//! know Unicode's letters, where PCRE knows only ASCII's. Deliberately unknown: arrays and paths.

mod prefix;
mod translate;

use std::cell::Cell;

use bson::RawBsonRef;
use bson::raw::CString;
use fancy_regex::{Expr, Regex, RegexBuilder};

use self::translate::translate;
use super::matching::text;
use crate::error::QueryError;

/// Longest pattern, in bytes, as in MongoDB.
const PATTERN_BYTES: usize = 32_764;
/// Most steps back that a search may take.
const BACKTRACK_STEPS: usize = 1_000_000;
/// Largest compiled program, in instructions.
const PROGRAM_INSTRUCTIONS: usize = 1 << 18;
/// Largest compiled part of a pattern that needs no way back.
const PART_BYTES: usize = 2 << 20;
/// Most patterns in one filter; compiled, each may be far larger than it is written.
const PATTERNS: usize = 500;

/// How many patterns a filter may still have.
pub(crate) struct PatternBudget(Cell<usize>);

impl Default for PatternBudget {
    fn default() -> Self {
        Self(Cell::new(PATTERNS))
    }
}

impl PatternBudget {
    /// As [`Pattern::parse`], while there is budget left.
    pub(crate) fn parse(&self, source: &str, options: &str) -> Result<Pattern, QueryError> {
        let left = self.0.get().checked_sub(1).ok_or_else(|| {
            QueryError::bad_value(format!("a filter may have at most {PATTERNS} regular expressions"))
        })?;
        self.0.set(left);
        Pattern::parse(source, options)
    }
}

/// A regular expression, with its options.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: bson::Regex,
    compiled: Regex,
}

impl Pattern {
    /// Reads a pattern with its options: any of `i`, `m`, `x`, `s` and `u` (manual, "`$regex`").
    ///
    /// # Errors
    /// 51108 for an unknown option, 51091 for a pattern that does not compile.
    pub(crate) fn parse(source: &str, options: &str) -> Result<Self, QueryError> {
        let regex = as_written(source, options)?;
        let compiled = RegexBuilder::new(&translate(source, options))
            .case_insensitive(options.contains('i'))
            .multi_line(options.contains('m'))
            .ignore_whitespace(options.contains('x'))
            .dot_matches_new_line(options.contains('s'))
            .backtrack_limit(BACKTRACK_STEPS)
            .max_prog_size(PROGRAM_INSTRUCTIONS)
            .delegate_size_limit(PART_BYTES)
            .build()
            .map_err(|error| invalid(&error))?;
        Ok(Self { regex, compiled })
    }

    /// Whether a pattern can be read; it may still turn out too large when it is compiled.
    pub(crate) fn check_syntax(source: &str, options: &str) -> Result<(), QueryError> {
        as_written(source, options)?;
        let spaced = if options.contains('x') { "(?x)" } else { "" };
        let tree = Expr::parse_tree(&format!("{spaced}{}", translate(source, options)));
        tree.map(|_| ()).map_err(|error| invalid(&error))
    }

    /// What finds the pattern in texts.
    pub(crate) fn compiled(&self) -> &Regex {
        &self.compiled
    }

    /// Pattern and options as they were written.
    pub fn regex(&self) -> &bson::Regex {
        &self.regex
    }

    /// Whether the pattern is found in the text.
    ///
    /// # Errors
    /// 51156 when the search takes too many steps.
    pub(crate) fn is_match(&self, text: &str) -> Result<bool, QueryError> {
        self.compiled.is_match(text).map_err(|error| {
            let message = format!("Error occurred while executing regular expression: {error}");
            QueryError::new(51_156, message)
        })
    }

    /// Whether the value is a string that holds the pattern, or the same pattern itself.
    pub(super) fn matches(&self, value: RawBsonRef<'_>) -> Result<bool, QueryError> {
        match value {
            RawBsonRef::RegularExpression(regex) => {
                let parts = (self.regex.pattern.as_str(), self.regex.options.as_str());
                Ok((regex.pattern.as_str(), regex.options.as_str()) == parts)
            }
            value => text(value).map_or(Ok(false), |text| self.is_match(text)),
        }
    }

    /// What every string that matches begins with, and whether every string that begins so matches.
    pub(crate) fn prefix(&self) -> (String, bool) {
        if self.regex.options.as_str().contains(['i', 'm', 'x']) {
            return (String::new(), false);
        }
        prefix::of(self.regex.pattern.as_str())
    }
}

/// Pattern and options, if they keep the rules that need no reading of the pattern.
fn as_written(source: &str, options: &str) -> Result<bson::Regex, QueryError> {
    if let Some(flag) = options.chars().find(|flag| !"imxsu".contains(*flag)) {
        return Err(QueryError::new(51_108, format!("invalid flag in regex options: {flag}")));
    }
    if source.len() > PATTERN_BYTES {
        return Err(QueryError::bad_value("Regular expression is too long"));
    }
    let without_nul = |text: &str| {
        let message = "Regular expression cannot contain an embedded null byte";
        CString::try_from(text).map_err(|_| QueryError::bad_value(message))
    };
    Ok(bson::Regex { pattern: without_nul(source)?, options: without_nul(options)? })
}

fn invalid(error: &fancy_regex::Error) -> QueryError {
    QueryError::new(51_091, format!("Regular expression is invalid: {error}"))
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.regex == other.regex
    }
}
