//! `$regexMatch`, `$regexFind`, `$regexFindAll`.
//!
//! Promises: a pattern means what it means in a filter ([`Pattern`]); a pattern that tries too many ways fails
//! rather than runs on; positions count code points. Deliberately unknown: how patterns are compiled.
//!
//! Compiled patterns can be far larger than they are written, so expressions keep none: each thread keeps those that
//! it used last.

use std::cell::RefCell;
use std::rc::Rc;

use bson::{Bson, Document, doc};
use fancy_regex::{Captures, Regex};

use super::kind::is_nullish;
use super::operator::{Named, Operator, Parameter};
use super::parser::Parser;
use super::strings::count;
use super::{Expression, Node, Scope, weight};
use crate::error::QueryError;
use crate::filter::Pattern;

/// How many compiled patterns a thread keeps.
const KEPT_PATTERNS: usize = 32;
/// What it costs to compile a pattern, in bytes of work.
const COMPILE_BYTES: usize = 1024 * 1024;

thread_local! {
    /// The patterns that were used last, the latest at the end.
    static KEPT: RefCell<Vec<Rc<Pattern>>> = const { RefCell::new(Vec::new()) };
}

pub(super) static OPERATORS: &[Operator] = &[
    Operator::special("$regexMatch", |parser, name, argument| parse(parser, name, argument, Wanted::Match)),
    Operator::special("$regexFind", |parser, name, argument| parse(parser, name, argument, Wanted::First)),
    Operator::special("$regexFindAll", |parser, name, argument| parse(parser, name, argument, Wanted::All)),
];

/// What a search answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Match,
    First,
    All,
}

/// A search for a regular expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Search {
    name: &'static str,
    wanted: Wanted,
    input: Expression,
    pattern: Expression,
    options: Option<Expression>,
}

fn parse(
    parser: &Parser<'_>,
    name: &'static str,
    argument: &Bson,
    wanted: Wanted,
) -> Result<Expression, QueryError> {
    static FIELDS: Named = Named {
        not_a_document: 51103,
        unknown: 31024,
        parameters: &[
            Parameter::required("input", 31022),
            Parameter::required("regex", 31023),
            Parameter::optional("options"),
        ],
    };
    let mut arguments = FIELDS.parse(parser, name, argument)?.into_iter();
    let (Some(Some(input)), Some(Some(pattern)), options) =
        (arguments.next(), arguments.next(), arguments.next().flatten())
    else {
        return Err(QueryError::new(31022, format!("{name} requires 'input' and 'regex' parameters")));
    };
    let constant_options = options.as_ref().map_or(Some(None), |options| options.constant().map(Some));
    if let (Some(pattern), Some(options)) = (pattern.constant(), constant_options)
        && let Some((pattern, options)) = as_written(name, Some(pattern), options)?
    {
        Pattern::check_syntax(pattern, options).map_err(|error| invalid(name, &error))?;
    }
    Ok(Expression(Node::Search(Box::new(Search { name, wanted, input, pattern, options }))))
}

fn invalid(name: &str, error: &QueryError) -> QueryError {
    // Unknown options keep their number.
    let code = if error.code == 51_108 { error.code } else { 51_111 };
    QueryError::new(code, format!("Invalid Regex in {name}: {error}"))
}

/// Pattern and options in the values of the arguments `regex` and `options`; `None` for a null pattern.
fn as_written<'v>(
    name: &str,
    pattern: Option<&'v Bson>,
    options: Option<&'v Bson>,
) -> Result<Option<(&'v str, &'v str)>, QueryError> {
    let options = match options {
        options if is_nullish(options) => "",
        Some(Bson::String(options)) => options,
        _ => return Err(QueryError::new(51_106, format!("{name} needs 'options' to be of type string"))),
    };
    let (pattern, own_options) = match pattern {
        pattern if is_nullish(pattern) => return Ok(None),
        Some(Bson::String(pattern)) => (pattern.as_str(), ""),
        Some(Bson::RegularExpression(regex)) => (regex.pattern.as_str(), regex.options.as_str()),
        _ => {
            let message = format!("{name} needs 'regex' to be of type string or regex");
            return Err(QueryError::new(51_105, message));
        }
    };
    if !options.is_empty() && !own_options.is_empty() {
        let message = format!("{name} found regex option(s) specified in both 'regex' and 'option' fields");
        return Err(QueryError::new(51_107, message));
    }
    Ok(Some((pattern, if options.is_empty() { own_options } else { options })))
}

impl Search {
    pub(super) fn evaluate(&self, scope: &Scope<'_>) -> Result<Bson, QueryError> {
        let (input, pattern) = (self.input.value(scope)?, self.pattern.value(scope)?);
        let options = self.options.as_ref().map(|options| options.value(scope)).transpose()?.flatten();
        let written = as_written(self.name, pattern.as_deref(), options.as_deref())?;
        let text = match input.as_deref() {
            Some(Bson::String(text)) => Some(text),
            input if is_nullish(input) => None,
            _ => {
                let message = format!("{} needs 'input' to be of type string", self.name);
                return Err(QueryError::new(51104, message));
            }
        };
        let (Some(text), Some((pattern, options))) = (text, written) else { return Ok(self.nothing()) };
        let pattern = self.compiled(pattern, options, scope)?;
        let found = self.search(pattern.compiled(), text, scope);
        found.map_err(|failure| match failure {
            Failure::Query(error) => error,
            Failure::Regex(error) => {
                let message = format!(
                    "Error occurred while executing the regular expression in {}: {error}",
                    self.name
                );
                QueryError::new(51156, message)
            }
        })
    }

    /// The compiled pattern, one of those that are kept where it can be.
    fn compiled(&self, source: &str, options: &str, scope: &Scope<'_>) -> Result<Rc<Pattern>, QueryError> {
        let is_wanted = |pattern: &Rc<Pattern>| {
            let written = pattern.regex();
            written.pattern.as_str() == source && written.options.as_str() == options
        };
        let kept = KEPT.with_borrow_mut(|kept| {
            let pattern = kept.iter().position(is_wanted).map(|place| kept.remove(place))?;
            kept.push(Rc::clone(&pattern));
            Some(pattern)
        });
        if let Some(pattern) = kept {
            return Ok(pattern);
        }
        scope.charge(COMPILE_BYTES)?;
        let pattern = Rc::new(Pattern::parse(source, options).map_err(|error| invalid(self.name, &error))?);
        KEPT.with_borrow_mut(|kept| {
            if kept.len() >= KEPT_PATTERNS {
                kept.remove(0);
            }
            kept.push(Rc::clone(&pattern));
        });
        Ok(pattern)
    }

    fn nothing(&self) -> Bson {
        match self.wanted {
            Wanted::Match => Bson::Boolean(false),
            Wanted::First => Bson::Null,
            Wanted::All => Bson::Array(Vec::new()),
        }
    }

    fn search(&self, regex: &Regex, text: &str, scope: &Scope<'_>) -> Result<Bson, Failure> {
        scope.charge(text.len())?;
        if self.wanted == Wanted::Match {
            return Ok(Bson::Boolean(regex.is_match(text)?));
        }
        let mut places = CodePoints { text, byte: 0, point: 0 };
        if self.wanted == Wanted::First {
            let captures = regex.captures(text)?;
            return Ok(captures.map_or(Bson::Null, |captures| describe(&captures, &mut places).into()));
        }
        let mut all = Vec::new();
        for captures in regex.captures_iter(text) {
            let captures = captures?;
            // Behind the last character nothing is looked for, unless there is no other place.
            if !all.is_empty() && captures.get(0).is_some_and(|whole| whole.start() == text.len()) {
                break;
            }
            let bytes = captures.iter().flatten().map(|group| group.as_str().len() + weight::ELEMENT_BYTES);
            scope.charge(bytes.sum())?;
            weight::check_array(self.name, all.len())?;
            all.push(describe(&captures, &mut places).into());
        }
        Ok(Bson::Array(all))
    }
}

enum Failure {
    Query(QueryError),
    Regex(Box<fancy_regex::Error>),
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl From<fancy_regex::Error> for Failure {
    fn from(error: fancy_regex::Error) -> Self {
        Self::Regex(Box::new(error))
    }
}

fn describe(captures: &Captures<'_, str>, places: &mut CodePoints<'_>) -> Document {
    let (text, start) = captures.get(0).map_or(("", 0), |whole| (whole.as_str(), whole.start()));
    let groups = captures.iter().skip(1).map(|group| group.map_or(Bson::Null, |group| group.as_str().into()));
    doc! { "match": text, "idx": count(places.at(start)), "captures": groups.collect::<Vec<_>>() }
}

/// Counts code points up to bytes that are asked for in ascending order.
struct CodePoints<'t> {
    text: &'t str,
    byte: usize,
    point: usize,
}

impl CodePoints<'_> {
    fn at(&mut self, byte: usize) -> usize {
        self.point += self.text.get(self.byte..byte).map_or(0, |part| part.chars().count());
        self.byte = byte;
        self.point
    }
}
