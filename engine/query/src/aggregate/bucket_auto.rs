//! `$bucketAuto`: groups of about the same size.
//!
//! Promises: equal values are never in two buckets; the buckets cover the values without gaps. Deliberately
//! unknown: what is accumulated.

use std::iter::Peekable;
use std::sync::Arc;

use bson::{Bson, Document, RawDocumentBuf, doc};

use super::accumulator::Accumulation;
use super::bucket::{parse_group_by, parse_output};
use super::granularity::Granularity;
use super::group::OneGroup;
use super::keys::value_key;
use super::memory::{Held, value_bytes};
use super::operator::{Operator, Output};
use super::sort_stage::{from_raw, to_raw};
use super::spec::{is_number, type_name, whole_number};
use super::stage::Kind;
use crate::collation::Collation;
use crate::context::Variables;
use crate::expression::{Expression, Scope};
use crate::number::Number;
use crate::{ParseContext, QueryError};

struct BucketAuto {
    by: Expression,
    buckets: usize,
    fields: Vec<Accumulation>,
    granularity: Option<Granularity>,
    collation: Option<Arc<Collation>>,
    variables: Arc<Variables>,
    documents: Vec<Valued>,
    held: Held,
}

/// A document with the value by which it is put into a bucket.
struct Valued {
    key: Vec<u8>,
    value: Bson,
    document: RawDocumentBuf,
}

type Sorted = Peekable<std::vec::IntoIter<Valued>>;

pub(super) fn parse(value: &Bson, context: &ParseContext) -> Result<Kind, QueryError> {
    let Bson::Document(options) = value else {
        let message =
            format!("The argument to $bucketAuto must be an object, but found type: {}.", type_name(value));
        return Err(QueryError::new(40240, message));
    };
    let known = ["groupBy", "buckets", "output", "granularity"];
    if let Some(name) = options.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(QueryError::new(40245, format!("Unrecognized option to $bucketAuto: {name}.")));
    }
    let (Some(by), Some(buckets)) = (options.get("groupBy"), options.get("buckets")) else {
        return Err(QueryError::new(40246, "$bucketAuto requires 'groupBy' and 'buckets' to be specified."));
    };
    let by = parse_group_by("$bucketAuto", by, 40239, context)?;
    let buckets = parse_buckets(buckets)?;
    let fields = parse_output("$bucketAuto", options, 40244, context)?;
    let granularity = options.get("granularity").map(parse_granularity).transpose()?;
    Ok(Kind::Local(Box::new(BucketAuto {
        by,
        buckets,
        fields,
        granularity,
        collation: context.collation.clone(),
        variables: Arc::clone(&context.variables),
        documents: Vec::new(),
        held: Held::new("$bucketAuto"),
    })))
}

fn parse_buckets(value: &Bson) -> Result<usize, QueryError> {
    if !is_number(value) {
        let found = type_name(value);
        let message =
            format!("The $bucketAuto 'buckets' field must be a numeric value, but found type: {found}.");
        return Err(QueryError::new(40241, message));
    }
    let Some(count) = whole_number(value).and_then(|count| i32::try_from(count).ok()) else {
        let message = format!(
            "The $bucketAuto 'buckets' field must be representable as a 32-bit integer, but found {value}."
        );
        return Err(QueryError::new(40242, message));
    };
    usize::try_from(count).ok().filter(|count| *count > 0).ok_or_else(|| {
        QueryError::new(
            40243,
            format!("The $bucketAuto 'buckets' field must be greater than 0, but found: {count}."),
        )
    })
}

fn parse_granularity(value: &Bson) -> Result<Granularity, QueryError> {
    let Bson::String(name) = value else {
        let found = type_name(value);
        let message =
            format!("The $bucketAuto 'granularity' field must be a string, but found type: {found}.");
        return Err(QueryError::new(40261, message));
    };
    Granularity::of(name)
        .ok_or_else(|| QueryError::new(40257, format!("Unknown rounding granularity '{name}'")))
}

impl BucketAuto {
    /// The value's number, which is what a granularity rounds.
    fn check_number(&self, value: &Bson) -> Result<(), QueryError> {
        if self.granularity.is_none() {
            return Ok(());
        }
        let Some(number) = Number::of(value).map(Number::to_double) else {
            let found = type_name(value);
            let message = format!(
                "$bucketAuto can specify a 'granularity' with numeric boundaries only, but found a value \
                    with type: {found}"
            );
            return Err(QueryError::new(40258, message));
        };
        if number.is_nan() {
            let message =
                "$bucketAuto can specify a 'granularity' with numeric boundaries only, but found a NaN";
            return Err(QueryError::new(40259, message));
        }
        if number < 0.0 {
            let message = "$bucketAuto can specify a 'granularity' with non-negative numbers only, but \
                found a negative number";
            return Err(QueryError::new(40260, message));
        }
        Ok(())
    }

    /// The next bucket: its boundaries and what was accumulated.
    fn bucket(
        &mut self,
        sorted: &mut Sorted,
        size: usize,
        least: Option<Bson>,
        is_last: bool,
        output: &Output,
    ) -> Result<Option<(Bson, Bson, OneGroup)>, QueryError> {
        let Some(first) = sorted.next() else { return Ok(None) };
        let granularity = self.granularity.clone();
        let least = match (least, &granularity) {
            (Some(least), _) => least,
            (None, Some(series)) => rounded(&first.value, |number| series.round_down(number)),
            (None, None) => first.value.clone(),
        };
        let mut group = OneGroup::new(Bson::Null, &self.fields)?;
        let mut count = 1;
        let mut last = self.take(first, &mut group, output)?;
        while (count < size || is_last)
            && let Some(next) = sorted.next()
        {
            last = self.take(next, &mut group, output)?;
            count += 1;
        }
        let Some(series) = granularity else {
            while let Some(next) = sorted.next_if(|next| next.key == last.0) {
                last = self.take(next, &mut group, output)?;
            }
            let greatest = sorted.peek().map_or(last.1, |next| next.value.clone());
            return Ok(Some((least, greatest, group)));
        };
        let mut greatest = rounded(&last.1, |number| series.round_up(number));
        let mut boundary = value_key(&greatest, None);
        // Zero is no number of a series: what is there goes up to the first value above it.
        if Number::of(&greatest).is_some_and(Number::is_zero) {
            while let Some(next) = sorted.next_if(|next| next.key == last.0) {
                last = self.take(next, &mut group, output)?;
            }
            if let Some(next) = sorted.peek() {
                greatest = rounded(&next.value, |number| series.round_down(number));
                boundary = value_key(&greatest, None);
            }
        }
        while let Some(next) = sorted.next_if(|next| next.key < boundary) {
            self.take(next, &mut group, output)?;
        }
        Ok(Some((least, greatest, group)))
    }

    /// Puts a document into a bucket; its key and value.
    fn take(
        &mut self,
        valued: Valued,
        group: &mut OneGroup,
        output: &Output,
    ) -> Result<(Vec<u8>, Bson), QueryError> {
        let document = from_raw(&valued.document)?;
        group.add(&document, &self.fields, &mut self.held, output.memory())?;
        Ok((valued.key, valued.value))
    }
}

fn rounded(value: &Bson, round: impl FnOnce(f64) -> f64) -> Bson {
    Number::of(value).map_or_else(|| value.clone(), |number| Bson::Double(round(number.to_double())))
}

impl Operator for BucketAuto {
    fn push(&mut self, document: Document, output: &mut Output) -> Result<(), QueryError> {
        let value = self.by.evaluate(&Scope::of(&document, &self.variables))?.unwrap_or(Bson::Null);
        self.check_number(&value)?;
        let key = value_key(&value, self.collation.as_deref());
        let document = to_raw(&document)?;
        let bytes = size_of::<Valued>() + key.len() + value_bytes(&value) + document.as_bytes().len();
        self.held.grow(output.memory(), bytes)?;
        self.documents.push(Valued { key, value, document });
        Ok(())
    }

    fn finish(&mut self, output: &mut Output) -> Result<bool, QueryError> {
        let mut documents = std::mem::take(&mut self.documents);
        documents.sort_by(|a, b| a.key.cmp(&b.key));
        // Rounded, half up.
        let size = ((2 * documents.len() + self.buckets) / (2 * self.buckets)).max(1);
        let mut sorted = documents.into_iter().peekable();
        let mut least = None;
        for at in 1..=self.buckets {
            let is_last = at == self.buckets;
            let Some((min, max, group)) = self.bucket(&mut sorted, size, least.take(), is_last, output)?
            else {
                break;
            };
            least = Some(max.clone());
            let mut document = group.into_document(&self.fields);
            document.insert("_id", doc! { "min": min, "max": max });
            output.emit(document);
        }
        self.held.clear();
        Ok(false)
    }
}
