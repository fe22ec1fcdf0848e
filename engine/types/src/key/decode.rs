//! Key bytes back to values.
//!
//! Promises: never panics, and reads only what [`encode_value`](super::encode_value) writes, so that
//! encoding what was read gives the same bytes. Deliberately unknown: descending fields, whose bytes
//! no caller reads back.

use bson::oid::ObjectId;
use bson::{Binary, Bson, DateTime, Document, JavaScriptCodeWithScope, RawBson, Regex, Timestamp};

use super::{END, ESCAPED_NUL, NUL, number};
use crate::limits;
use crate::order::number::Number;
use crate::order::{CanonicalType, db_pointer};

/// The value that `bytes` begin with, and how many of them it takes up.
///
/// A number comes back in the smallest type that holds it exactly (int32, int64, double,
/// Decimal128), a symbol as a string. `None` when the bytes are not an encoded value, and when no
/// [`Bson`] can hold it: malformed or too deeply nested parts, and documents with two fields of one
/// name.
pub fn decode_value(bytes: &[u8]) -> Option<(Bson, usize)> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(0)?;
    Some((value, bytes.len() - reader.rest.len()))
}

/// The bytes not yet read.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// `depth` counts the documents and arrays around the value.
    fn value(&mut self, depth: usize) -> Option<Bson> {
        let first = *self.rest.first()?;
        let kind = CanonicalType::of_key_byte(first)?;
        if kind == CanonicalType::Number {
            return self.number();
        }
        self.take::<1>()?;
        Some(match kind {
            CanonicalType::MinKey => Bson::MinKey,
            CanonicalType::Undefined => Bson::Undefined,
            CanonicalType::Null => Bson::Null,
            CanonicalType::Number => return None,
            CanonicalType::String => Bson::String(self.text()?),
            CanonicalType::Object => Bson::Document(self.document(depth)?),
            CanonicalType::Array => Bson::Array(self.array(depth)?),
            CanonicalType::Binary => {
                let length = self.length()?;
                let [subtype] = self.take()?;
                Bson::Binary(Binary { subtype: subtype.into(), bytes: self.slice(length)?.to_vec() })
            }
            CanonicalType::ObjectId => Bson::ObjectId(ObjectId::from_bytes(self.take()?)),
            CanonicalType::Boolean => match self.take()? {
                [0] => Bson::Boolean(false),
                [1] => Bson::Boolean(true),
                _ => return None,
            },
            CanonicalType::Date => {
                Bson::DateTime(DateTime::from_millis(i64::from_be_bytes(self.take()?) ^ i64::MIN))
            }
            CanonicalType::Timestamp => Bson::Timestamp(Timestamp {
                time: u32::from_be_bytes(self.take()?),
                increment: u32::from_be_bytes(self.take()?),
            }),
            CanonicalType::Regex => Bson::RegularExpression(Regex {
                pattern: self.text()?.try_into().ok()?,
                options: self.text()?.try_into().ok()?,
            }),
            CanonicalType::DbPointer => {
                let length = self.length()?;
                db_pointer::from_value_bytes(self.slice(length)?)?
            }
            CanonicalType::JavaScript => Bson::JavaScriptCode(self.text()?),
            CanonicalType::JavaScriptWithScope => Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope {
                code: self.text()?,
                scope: self.document(depth)?,
            }),
            CanonicalType::MaxKey => Bson::MaxKey,
        })
    }

    /// Numbers leave room for bytes that nobody writes, so what was read is written once more.
    fn number(&mut self) -> Option<Bson> {
        let before = self.rest;
        let value = number::read(self)?.to_bson()?;
        let mut written = Vec::new();
        number::append(&mut written, Number::of(RawBson::try_from(value.clone()).ok()?.as_raw_bson_ref())?);
        let read = &before[..before.len() - self.rest.len()];
        (written == read).then_some(value)
    }

    fn document(&mut self, depth: usize) -> Option<Document> {
        let mut document = Document::new();
        while let Some(kind) = self.next_kind(depth)? {
            let [kind_byte] = self.take()?;
            let end = self.rest.iter().position(|byte| *byte == NUL)?;
            let name = str::from_utf8(self.slice(end)?).ok()?.to_owned();
            self.take::<1>()?;
            // The kind stands before the name and again before the value.
            let kinds_agree =
                kind_byte == kind as u8 && CanonicalType::of_key_byte(*self.rest.first()?)? == kind;
            if !kinds_agree || document.contains_key(&name) {
                return None;
            }
            document.insert(name, self.value(depth + 1)?);
        }
        Some(document)
    }

    fn array(&mut self, depth: usize) -> Option<Vec<Bson>> {
        let mut array = Vec::new();
        while self.next_kind(depth)?.is_some() {
            array.push(self.value(depth + 1)?);
        }
        Some(array)
    }

    /// The kind of the next element of a document or array, its byte not yet taken. The inner
    /// `None` is the end, which is taken; the outer `None` is malformed.
    #[expect(clippy::option_option, reason = "the end and malformed bytes are two different things")]
    fn next_kind(&mut self, depth: usize) -> Option<Option<CanonicalType>> {
        if depth >= limits::NESTING_DEPTH {
            return None;
        }
        let first = *self.rest.first()?;
        if first == END {
            self.take::<1>()?;
            return Some(None);
        }
        CanonicalType::of_key_byte(first).map(Some)
    }

    fn text(&mut self) -> Option<String> {
        let mut text = Vec::new();
        loop {
            let end = self.rest.iter().position(|byte| *byte == NUL)?;
            text.extend_from_slice(self.slice(end)?);
            match self.take()? {
                [NUL, ESCAPED_NUL] => text.push(NUL),
                [NUL, NUL] => return String::from_utf8(text).ok(),
                _ => return None,
            }
        }
    }

    fn length(&mut self) -> Option<usize> {
        Some(u32::from_be_bytes(self.take()?) as usize)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (slice, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(slice)
    }

    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }
}
