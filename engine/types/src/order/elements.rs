//! Walking the elements of a document or array whose bytes nobody has checked.
//!
//! Promises: a walk ends, never panics, and yields the same elements each time, so that whatever is
//! built upon it is a function of the bytes. Deliberately unknown: what the elements are for.

use bson::RawBsonRef;
use bson::raw::{RawArray, RawDocument, RawIter};

use crate::limits;

/// One step of a walk.
pub(crate) enum Element<'a> {
    /// A field's name (empty inside an array) and value.
    Value(&'a str, RawBsonRef<'a>),
    /// The rest cannot be read: the raw bytes of the whole document or array. Always the last step.
    Opaque(&'a [u8]),
}

/// The elements of one document or array.
pub(crate) struct Elements<'a> {
    bytes: &'a [u8],
    named: bool,
    state: State<'a>,
}

enum State<'a> {
    Reading(RawIter<'a>),
    Unreadable,
    Done,
}

impl<'a> Elements<'a> {
    /// The fields of a document that lies inside `depth` others.
    pub(crate) fn of_document(document: &'a RawDocument, depth: usize) -> Self {
        Self::new(document.as_bytes(), true, document.iter_elements(), depth)
    }

    /// The elements of an array that lies inside `depth` documents and arrays.
    pub(crate) fn of_array(array: &'a RawArray, depth: usize) -> Self {
        Self::new(array.as_bytes(), false, array.iter_elements(), depth)
    }

    /// Beyond the nesting limit nothing is read: a hostile document can nest a million levels deep,
    /// and the callers recurse.
    fn new(bytes: &'a [u8], named: bool, elements: RawIter<'a>, depth: usize) -> Self {
        let state = if depth < limits::NESTING_DEPTH { State::Reading(elements) } else { State::Unreadable };
        Self { bytes, named, state }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        if let State::Reading(elements) = &mut self.state {
            match elements.next().map(|element| element.and_then(|e| Ok((e.key().as_str(), e.value()?)))) {
                Some(Ok((name, value))) => {
                    return Some(Element::Value(if self.named { name } else { "" }, value));
                }
                Some(Err(_)) => self.state = State::Unreadable,
                None => self.state = State::Done,
            }
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Unreadable => Some(Element::Opaque(self.bytes)),
            State::Reading(_) | State::Done => None,
        }
    }
}
