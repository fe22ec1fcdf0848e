//! How large values are, and how large they may become.
//!
//! A few operators can make much of little: `$range`, `$concat` in `$reduce`, `$map` in `$map`. What one
//! evaluation of an expression makes or copies is therefore counted in bytes, and bounded. Promises: what
//! passed [`of`] may be walked by recursion. Deliberately unknown: which operator made the value.

use bson::{Bson, Document};
use nimbus_types::limits;

use crate::error::{QueryError, codes};

/// What an element of an array or a field of a document costs beside its contents, in bytes; also one turn
/// of `$map`, `$filter` or `$reduce`.
pub(crate) const ELEMENT_BYTES: usize = size_of::<Bson>();
/// Largest value that an operator makes, in bytes; MongoDB's figure for those that it bounds.
pub(crate) const VALUE_BYTES: usize = 100 * 1024 * 1024;
/// Most bytes that one evaluation of an expression may make or copy.
pub(crate) const WORK_BYTES: usize = 1024 * 1024 * 1024;
/// Longest string that an operator makes, in bytes.
pub(crate) const STRING_BYTES: usize = limits::DOCUMENT_BYTES;

/// About how many bytes a value takes.
///
/// # Errors
/// When it is nested deeper than documents may be, or larger than [`VALUE_BYTES`].
pub(crate) fn of(value: &Bson) -> Result<usize, QueryError> {
    let bytes = at_depth(value, 0)?;
    check_value(bytes)?;
    Ok(bytes)
}

/// The same for a document.
pub(crate) fn of_document(document: &Document) -> Result<usize, QueryError> {
    document_at_depth(document, 1)
}

fn at_depth(value: &Bson, depth: usize) -> Result<usize, QueryError> {
    let contents = match value {
        Bson::Document(document) => document_at_depth(document, depth + 1)?,
        Bson::Array(elements) => {
            check_depth(depth + 1)?;
            let mut bytes = 0;
            for element in elements {
                bytes += at_depth(element, depth + 1)?;
            }
            bytes
        }
        Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text) => text.len(),
        Bson::Binary(binary) => binary.bytes.len(),
        Bson::RegularExpression(regex) => regex.pattern.as_str().len() + regex.options.as_str().len(),
        Bson::JavaScriptCodeWithScope(code) => code.code.len() + document_at_depth(&code.scope, depth + 1)?,
        _ => 0,
    };
    Ok(contents + ELEMENT_BYTES)
}

fn document_at_depth(document: &Document, depth: usize) -> Result<usize, QueryError> {
    check_depth(depth)?;
    let mut bytes = 0;
    for (name, value) in document {
        bytes += name.len() + at_depth(value, depth)?;
    }
    Ok(bytes)
}

fn check_depth(depth: usize) -> Result<(), QueryError> {
    if depth > limits::NESTING_DEPTH {
        let message = format!("a computed value is nested more than {} levels deep", limits::NESTING_DEPTH);
        return Err(QueryError::new(codes::OVERFLOW, message));
    }
    Ok(())
}

pub(crate) fn too_much_work() -> QueryError {
    let message = format!("the expression makes more than {WORK_BYTES} bytes of one document");
    QueryError::new(codes::EXCEEDED_MEMORY_LIMIT, message)
}

/// Refuses to make a string that is too long.
pub(crate) fn check_string(operator: &str, bytes: usize) -> Result<(), QueryError> {
    if bytes > STRING_BYTES {
        let message = format!("{operator} would make a string of more than {STRING_BYTES} bytes");
        return Err(QueryError::new(codes::EXCEEDED_MEMORY_LIMIT, message));
    }
    Ok(())
}

/// Refuses to make an array that is too long.
pub(crate) fn check_array(operator: &str, elements: usize) -> Result<(), QueryError> {
    if elements > VALUE_BYTES / ELEMENT_BYTES {
        let message = format!("{operator} would use too much memory and cannot spill to disk");
        return Err(QueryError::new(codes::EXCEEDED_MEMORY_LIMIT, message));
    }
    Ok(())
}

/// Refuses to make a value of this size.
pub(crate) fn check_value(bytes: usize) -> Result<(), QueryError> {
    if bytes > VALUE_BYTES {
        let message = format!("the expression makes a value of more than {VALUE_BYTES} bytes");
        return Err(QueryError::new(codes::EXCEEDED_MEMORY_LIMIT, message));
    }
    Ok(())
}
