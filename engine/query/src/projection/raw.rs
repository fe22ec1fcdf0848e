//! A choice of fields, made on a document's bytes.
//!
//! Promises: the result of [`Fields::project`] for a tree that names fields and computes none, without
//! decoding what is only copied. Deliberately unknown: everything else that a projection can do.

use bson::raw::{RawArray, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};

use super::tree::{Fields, Node};

type Decoded<T> = Result<T, bson::error::Error>;

/// The document with the named fields alone, or without them.
pub(super) fn project(
    fields: &Fields,
    is_inclusion: bool,
    document: &RawDocument,
) -> Decoded<RawDocumentBuf> {
    let mut projected = RawDocumentBuf::new();
    for element in document.iter_elements() {
        let element = element?;
        let name = element.key();
        match fields.children.get(name.as_str()) {
            None if is_inclusion => {}
            None => projected.append(name, element.value()?),
            Some(Node::Within(fields)) => match element.value()? {
                RawBsonRef::Document(inner) => projected.append(name, project(fields, is_inclusion, inner)?),
                RawBsonRef::Array(inner) => {
                    projected.append(name, project_array(fields, is_inclusion, inner)?);
                }
                scalar if !is_inclusion => projected.append(name, scalar),
                _ => {}
            },
            Some(_) if is_inclusion => projected.append(name, element.value()?),
            Some(_) => {}
        }
    }
    Ok(projected)
}

fn project_array(fields: &Fields, is_inclusion: bool, array: &RawArray) -> Decoded<RawArrayBuf> {
    let mut projected = RawArrayBuf::new();
    for element in array {
        match element? {
            RawBsonRef::Document(inner) => projected.push(project(fields, is_inclusion, inner)?),
            RawBsonRef::Array(inner) => projected.push(project_array(fields, is_inclusion, inner)?),
            scalar if !is_inclusion => projected.push(scalar),
            _ => {}
        }
    }
    Ok(projected)
}
