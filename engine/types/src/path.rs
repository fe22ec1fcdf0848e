//! Dotted field paths: `a.b.c` over a raw document, with MongoDB's meaning of arrays.
//!
//! The rules (MongoDB manual, "Query an Array of Embedded Documents" and "Query an Array"):
//! a segment names a field of a document; where the path goes on through an array it fans out into
//! each element that is a document; a decimal segment under an array also names the element at that
//! position, counted from 0. One walk serves filters, sort keys and index derivation, so that an index
//! holds an entry wherever a filter can match.
//!
//! Where a decimal segment meets an array, documents in it that have no field of that name are passed
//! over, rather than reported as lacking it: `a.0.b` speaks about position 0.
//!
//! Promises: never panics and never recurses deeper than a path has segments. A broken raw element
//! ends the document or array that holds it, as if nothing followed
//! ([`check_document`](crate::document::check_document) is the door that refuses such documents).
//! Deliberately unknown: what is done with the values reached; an array at the end of a path is
//! reported whole, and its elements are for the caller to look at.

use std::ops::ControlFlow;

use bson::raw::{RawArray, RawBsonRef, RawDocument};

use crate::limits;

/// Why a path was refused. The message names the rule, and is safe to show to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path is empty, or two dots touch, or a dot stands at an end.
    #[error("the field path {path:?} has an empty segment")]
    EmptySegment {
        /// The refused path.
        path: String,
    },
    /// A segment begins with `$`, which is for operators.
    #[error("the field path {path:?} has a segment that begins with $")]
    Dollar {
        /// The refused path.
        path: String,
    },
    /// A NUL character, which no BSON field name can hold.
    #[error("the field path {path:?} has a NUL character")]
    Nul {
        /// The refused path.
        path: String,
    },
    /// More segments than a document may be deep.
    #[error("the field path has {segments} segments, more than {limit}")]
    TooDeep {
        /// How many it has.
        segments: usize,
        /// How many it may have.
        limit: usize,
    },
}

/// Whether a client may name this path: non-empty segments, no NUL, no leading `$`, and no more
/// segments than [`limits::NESTING_DEPTH`].
pub fn check(path: &str) -> Result<(), PathError> {
    let segments = path.split('.').count();
    if segments > limits::NESTING_DEPTH {
        return Err(PathError::TooDeep { segments, limit: limits::NESTING_DEPTH });
    }
    if path.contains('\0') {
        return Err(PathError::Nul { path: path.into() });
    }
    for segment in path.split('.') {
        if segment.is_empty() {
            return Err(PathError::EmptySegment { path: path.into() });
        }
        if segment.starts_with('$') {
            return Err(PathError::Dollar { path: path.into() });
        }
    }
    Ok(())
}

/// What stands at the end of one way along a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reached<'d> {
    /// The value of a field. Filters also look at its elements when it is an array.
    Value(RawBsonRef<'d>),
    /// The array element whose position the last segment names. Filters look at it whole, even when
    /// it is itself an array.
    Element(RawBsonRef<'d>),
    /// A document has no such field, or a scalar stands where a document should. Filters compare it as
    /// null.
    Missing,
    /// An array in the middle of the path offers no way on: it is empty, or an element is no document.
    /// No predicate matches here; an index records null, so that the document keeps an entry.
    Nowhere,
}

/// One array that a way along a path went through, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayStep<'p> {
    /// The array's own path, as it is written: a prefix of the walked path.
    pub array: &'p str,
    /// Which element.
    pub element: usize,
}

/// Reports everything that `path` reaches in `document`, in document order, with the arrays that it
/// fanned out from. Ends early when `visit` breaks.
///
/// An element that is named by its position is not fanned out from, and so is no step. An array that
/// is empty counts as one step, at element 0.
pub fn walk<'d, 'p>(
    document: &'d RawDocument,
    path: &'p str,
    visit: impl FnMut(Reached<'d>, &[ArrayStep<'p>]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut walk = Walk { path, trail: Vec::new(), visit };
    if path.split('.').count() > limits::NESTING_DEPTH {
        return walk.report(Reached::Missing);
    }
    walk.document(document, 0)
}

/// A walk under way. Positions in the path are byte offsets of a segment's first character.
struct Walk<'p, V> {
    path: &'p str,
    trail: Vec<ArrayStep<'p>>,
    visit: V,
}

impl<'d, 'p, V> Walk<'p, V>
where
    V: FnMut(Reached<'d>, &[ArrayStep<'p>]) -> ControlFlow<()>,
{
    /// Follows the path from `at` through documents, up to its end or to an array.
    fn document(&mut self, mut document: &'d RawDocument, mut at: usize) -> ControlFlow<()> {
        loop {
            let (segment, next) = self.segment(at);
            let Some(value) = field(document, segment) else { return self.report(Reached::Missing) };
            let Some(next) = next else { return self.report(Reached::Value(value)) };
            match value {
                RawBsonRef::Document(inner) => (document, at) = (inner, next),
                RawBsonRef::Array(elements) => return self.array(elements, next),
                _ => return self.report(Reached::Missing),
            }
        }
    }

    /// Follows the path from `at` through the elements of an array.
    fn array(&mut self, elements: &'d RawArray, at: usize) -> ControlFlow<()> {
        let (segment, next) = self.segment(at);
        if let Some(position) = position(segment) {
            return self.position(elements, position, at, next);
        }
        let mut elements = elements.into_iter().map_while(Result::ok).peekable();
        if elements.peek().is_none() {
            return self.step(at, 0, |walk| walk.report(Reached::Nowhere));
        }
        for (element, value) in elements.enumerate() {
            self.step(at, element, |walk| match value {
                RawBsonRef::Document(document) => walk.document(document, at),
                _ => walk.report(Reached::Nowhere),
            })?;
        }
        ControlFlow::Continue(())
    }

    /// As [`Self::array`], for a segment that may be a position or the name of a field.
    fn position(
        &mut self,
        elements: &'d RawArray,
        position: usize,
        at: usize,
        next: Option<usize>,
    ) -> ControlFlow<()> {
        let (name, _) = self.segment(at);
        let mut found = false;
        for (element, value) in elements.into_iter().map_while(Result::ok).enumerate() {
            if let RawBsonRef::Document(document) = value
                && field(document, name).is_some()
            {
                found = true;
                self.step(at, element, |walk| walk.document(document, at))?;
            }
            if element == position {
                found = true;
                match (value, next) {
                    (value, None) => self.report(Reached::Element(value))?,
                    (RawBsonRef::Document(document), Some(next)) => self.document(document, next)?,
                    (RawBsonRef::Array(inner), Some(next)) => self.array(inner, next)?,
                    (_, Some(_)) => self.report(Reached::Nowhere)?,
                }
            }
        }
        if found { ControlFlow::Continue(()) } else { self.report(Reached::Nowhere) }
    }

    /// Runs `inside` with one more step on the trail.
    fn step(
        &mut self,
        at: usize,
        element: usize,
        inside: impl FnOnce(&mut Self) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.trail.push(ArrayStep { array: self.path.get(..at - 1).unwrap_or_default(), element });
        let flow = inside(self);
        self.trail.pop();
        flow
    }

    fn report(&mut self, reached: Reached<'d>) -> ControlFlow<()> {
        (self.visit)(reached, &self.trail)
    }

    /// The segment that begins at `at`, and where the one after it begins.
    fn segment(&self, at: usize) -> (&'p str, Option<usize>) {
        let rest = &self.path[at..];
        match rest.split_once('.') {
            Some((segment, _)) => (segment, Some(at + segment.len() + 1)),
            None => (rest, None),
        }
    }
}

/// The value of a document's own field; a broken element ends the document.
fn field<'d>(document: &'d RawDocument, name: &str) -> Option<RawBsonRef<'d>> {
    document.get(name).ok().flatten()
}

/// The position that a segment names, if it is written the one way array keys are: decimal, no sign, no
/// leading zero.
fn position(segment: &str) -> Option<usize> {
    let canonical = segment == "0" || !segment.starts_with(['0', '+']);
    segment.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use bson::{Bson, Document, RawDocumentBuf, bson, doc};

    use super::*;

    /// What a walk reports, in a form that reads well in a table.
    fn walked(document: &Document, path: &str) -> Vec<Bson> {
        let raw = RawDocumentBuf::try_from(document).unwrap();
        let mut seen = Vec::new();
        let _ = walk(&raw, path, |reached, trail| {
            let trail: Vec<Bson> = trail.iter().map(|s| bson!([s.array, s.element.to_string()])).collect();
            let value = match reached {
                Reached::Value(value) => bson!({ "value": Bson::try_from(value).unwrap() }),
                Reached::Element(value) => bson!({ "element": Bson::try_from(value).unwrap() }),
                Reached::Missing => bson!("missing"),
                Reached::Nowhere => bson!("nowhere"),
            };
            seen.push(if trail.is_empty() { value } else { bson!([value, trail]) });
            ControlFlow::Continue(())
        });
        seen
    }

    #[test]
    fn paths_are_checked() {
        for good in ["a", "a.b", "a.0.b", "ä.ö", "a$", "a b", "a.b$c"] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "$a", "a.$b", "a\0", "a.\0"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        let deepest = vec!["a"; limits::NESTING_DEPTH].join(".");
        assert_eq!(check(&deepest), Ok(()));
        assert!(matches!(check(&format!("{deepest}.a")), Err(PathError::TooDeep { .. })));
    }

    #[test]
    fn documents_are_followed_to_the_end_of_the_path() {
        let document = doc! { "a": { "b": 1 }, "c": 2 };
        assert_eq!(walked(&document, "a.b"), [bson!({ "value": 1 })]);
        assert_eq!(walked(&document, "a"), [bson!({ "value": { "b": 1 } })]);
        assert_eq!(walked(&document, "a.x"), [bson!("missing")]);
        assert_eq!(walked(&document, "c.b"), [bson!("missing")]);
        assert_eq!(walked(&document, "x.y.z"), [bson!("missing")]);
    }

    #[test]
    fn an_array_at_the_end_is_reported_whole() {
        assert_eq!(walked(&doc! { "a": [1, 2] }, "a"), [bson!({ "value": [1, 2] })]);
    }

    #[test]
    fn an_array_along_the_path_fans_out_into_its_documents() {
        let document = doc! { "a": [{ "b": 1 }, 5, {}, [{ "b": 9 }]] };
        let want = [
            bson!([{ "value": 1 }, [["a", "0"]]]),
            bson!(["nowhere", [["a", "1"]]]),
            bson!(["missing", [["a", "2"]]]),
            bson!(["nowhere", [["a", "3"]]]),
        ];
        assert_eq!(walked(&document, "a.b"), want);
        assert_eq!(walked(&doc! { "a": [] }, "a.b"), [bson!(["nowhere", [["a", "0"]]])]);
        let nested = doc! { "a": [{ "b": [{ "c": 1 }] }] };
        assert_eq!(walked(&nested, "a.b.c"), [bson!([{ "value": 1 }, [["a", "0"], ["a.b", "0"]]])]);
    }

    #[test]
    fn a_decimal_segment_is_a_position_and_a_field_name() {
        let document = doc! { "a": [5, [2, 4], { "b": 3 }] };
        assert_eq!(walked(&document, "a.0"), [bson!({ "element": 5 })]);
        assert_eq!(walked(&document, "a.1"), [bson!({ "element": [2, 4] })]);
        assert_eq!(walked(&document, "a.1.0"), [bson!({ "element": 2 })]);
        assert_eq!(walked(&document, "a.2.b"), [bson!({ "value": 3 })]);
        assert_eq!(walked(&document, "a.0.b"), [bson!("nowhere")]);
        assert_eq!(walked(&document, "a.3"), [bson!("nowhere")]);
        assert_eq!(walked(&doc! { "a": { "0": 7 } }, "a.0"), [bson!({ "value": 7 })]);
        let both = doc! { "a": [{ "0": 7 }] };
        let want = [bson!([{ "value": 7 }, [["a", "0"]]]), bson!({ "element": { "0": 7 } })];
        assert_eq!(walked(&both, "a.0"), want);
    }

    #[test]
    fn only_canonical_decimals_are_positions() {
        for (segment, want) in [("0", Some(0)), ("10", Some(10)), ("00", None), ("+1", None), ("-1", None)] {
            assert_eq!(position(segment), want, "{segment}");
        }
        assert_eq!(position("99999999999999999999999"), None);
    }

    #[test]
    fn a_walk_ends_when_the_visitor_breaks() {
        let raw = RawDocumentBuf::try_from(&doc! { "a": [{ "b": 1 }, { "b": 2 }] }).unwrap();
        let mut visits = 0;
        let flow = walk(&raw, "a.b", |_, _| {
            visits += 1;
            ControlFlow::Break(())
        });
        assert_eq!((flow, visits), (ControlFlow::Break(()), 1));
    }

    #[test]
    fn broken_elements_end_their_document() {
        // One element of type 0x7A, which does not exist.
        let bytes = [8, 0, 0, 0, 0x7A, b'a', 0, 0];
        let broken = RawDocument::from_bytes(&bytes).unwrap();
        let mut seen = Vec::new();
        let _ = walk(broken, "a.b", |reached, _| {
            seen.push(format!("{reached:?}"));
            ControlFlow::Continue(())
        });
        assert_eq!(seen, ["Missing"]);
    }

    #[test]
    fn hostile_nesting_does_not_overflow_the_stack() {
        // Arrays, each the only element of the one around it: openings outermost first, then the ends.
        const LEVELS: i32 = 100_000;
        let openings = (1..=LEVELS).rev().flat_map(|level| {
            let [a, b, c, d] = (5 + 8 * level).to_le_bytes();
            [a, b, c, d, 0x04, b'0', 0]
        });
        let bytes: Vec<u8> = openings.chain([5, 0, 0, 0, 0]).chain((0..LEVELS).map(|_| 0)).collect();
        let document = RawDocument::from_bytes(&bytes).unwrap();
        let path = vec!["0"; LEVELS as usize].join(".");
        let mut seen = Vec::new();
        let _ = walk(document, &path, |reached, _| {
            seen.push(format!("{reached:?}"));
            ControlFlow::Continue(())
        });
        assert_eq!(seen, ["Missing"]);
    }
}
