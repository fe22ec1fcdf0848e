//! Dotted paths into documents that stream through a pipeline.
//!
//! Promises: paths lead through embedded documents; what happens at an array is said by each function.
//! Deliberately unknown: array positions, which a pipeline's paths do not have.

use bson::{Bson, Document};

/// The value at a path through documents alone.
pub(super) fn get<'a>(document: &'a Document, path: &str) -> Option<&'a Bson> {
    let mut document = document;
    let mut rest = path;
    while let Some((name, further)) = rest.split_once('.') {
        document = document.get(name)?.as_document()?;
        rest = further;
    }
    document.get(rest)
}

/// Puts a value at a path; what stands in the way and is no document is replaced by one.
pub(super) fn set(document: &mut Document, path: &str, value: Bson) {
    let Some((name, rest)) = path.split_once('.') else {
        document.insert(path, value);
        return;
    };
    if !matches!(document.get(name), Some(Bson::Document(_))) {
        document.insert(name, Document::new());
    }
    if let Some(Bson::Document(inner)) = document.get_mut(name) {
        set(inner, rest, value);
    }
}

/// Puts a value in the place of the one at a path through documents, which is given back; nothing happens if
/// there is none.
pub(super) fn replace(document: &mut Document, path: &str, value: Bson) -> Option<Bson> {
    match path.split_once('.') {
        None => document.get_mut(path).map(|place| std::mem::replace(place, value)),
        Some((name, rest)) => match document.get_mut(name) {
            Some(Bson::Document(inner)) => replace(inner, rest, value),
            _ => None,
        },
    }
}

/// Takes the value at a path through documents away.
pub(super) fn remove(document: &mut Document, path: &str) {
    match path.split_once('.') {
        None => {
            document.remove(path);
        }
        Some((name, rest)) => {
            if let Some(Bson::Document(inner)) = document.get_mut(name) {
                remove(inner, rest);
            }
        }
    }
}

/// All values that a path reaches, arrays along it and at its end taken element by element.
pub(super) fn visit<'a>(document: &'a Document, path: &str, visitor: &mut impl FnMut(&'a Bson)) {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    match (document.get(name), rest) {
        (Some(Bson::Array(elements)), None) => elements.iter().for_each(visitor),
        (Some(value), None) => visitor(value),
        (Some(Bson::Document(inner)), Some(rest)) => visit(inner, rest, visitor),
        (Some(Bson::Array(elements)), Some(rest)) => {
            for inner in elements.iter().filter_map(Bson::as_document) {
                visit(inner, rest, visitor);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn paths_lead_through_documents() {
        let mut document = doc! { "a": { "b": 1, "c": { "d": 2 } }, "x": 5 };
        assert_eq!(get(&document, "a.c.d"), Some(&Bson::Int32(2)));
        assert_eq!(get(&document, "a.b.d"), None);
        set(&mut document, "a.c.e", Bson::Int32(3));
        set(&mut document, "x.y", Bson::Int32(4));
        remove(&mut document, "a.b");
        remove(&mut document, "a.b.c");
        assert_eq!(document, doc! { "a": { "c": { "d": 2, "e": 3 } }, "x": { "y": 4 } });
    }

    #[test]
    fn visiting_takes_arrays_apart() {
        let document = doc! { "a": [{ "b": [1, 2] }, { "b": 3 }, 4, { "c": 5 }] };
        let mut seen = Vec::new();
        visit(&document, "a.b", &mut |value| seen.push(value.as_i32().unwrap()));
        assert_eq!(seen, [1, 2, 3]);
    }
}
