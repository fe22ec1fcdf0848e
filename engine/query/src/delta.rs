//! What an update changed, as change streams show it.
//!
//! Promises: applied to the document before, a delta gives the document after, the order of fields at the top
//! apart (manual, "update Event", `updateDescription`). Where a changed array or document is shorter to
//! write whole than field by field, it is written whole. Deliberately unknown: how the change was asked
//! for.

use bson::{Bson, Document, doc};

use crate::update::{bson_bytes, identical};

/// About what an entry for a cut array takes beside its path, in bytes.
const TRUNCATION_BYTES: usize = 16;

/// The difference as `{ updatedFields, removedFields, truncatedArrays }`, with dotted paths.
pub fn delta(before: &Document, after: &Document) -> Document {
    let mut delta = Delta::default();
    delta.document("", before, after);
    let truncated = delta.truncated.into_iter().map(|(field, length)| {
        // A document of 16 MiB has fewer elements than an i32 can count.
        Bson::Document(doc! { "field": field, "newSize": i32::try_from(length).unwrap_or(i32::MAX) })
    });
    doc! {
        "updatedFields": delta.updated,
        "removedFields": delta.removed,
        "truncatedArrays": truncated.collect::<Vec<_>>(),
    }
}

#[derive(Default)]
struct Delta {
    updated: Document,
    removed: Vec<String>,
    truncated: Vec<(String, usize)>,
    /// About how long all of it is.
    bytes: usize,
}

impl Delta {
    fn document(&mut self, prefix: &str, before: &Document, after: &Document) {
        for name in before.keys().filter(|name| !after.contains_key(name)) {
            let path = join(prefix, name);
            self.bytes += path.len() + 2;
            self.removed.push(path);
        }
        for (name, new) in after {
            match before.get(name) {
                Some(old) => self.value(join(prefix, name), old, new),
                None => self.update(join(prefix, name), new),
            }
        }
    }

    fn array(&mut self, path: &str, before: &[Bson], after: &[Bson]) {
        if after.len() < before.len() {
            self.bytes += path.len() + TRUNCATION_BYTES;
            self.truncated.push((path.to_owned(), after.len()));
        }
        for (position, new) in after.iter().enumerate() {
            let path = format!("{path}.{position}");
            match before.get(position) {
                Some(old) => self.value(path, old, new),
                None => self.update(path, new),
            }
        }
    }

    fn value(&mut self, path: String, old: &Bson, new: &Bson) {
        if identical(old, new) {
            return;
        }
        let mut within = Self::default();
        match (old, new) {
            (Bson::Document(old), Bson::Document(new)) if keeps_order(old, new) => {
                within.document(&path, old, new);
            }
            (Bson::Array(old), Bson::Array(new)) => within.array(&path, old, new),
            _ => return self.update(path, new),
        }
        if within.bytes > path.len() + 2 + bson_bytes(new) {
            return self.update(path, new);
        }
        self.updated.extend(within.updated);
        self.removed.extend(within.removed);
        self.truncated.extend(within.truncated);
        self.bytes += within.bytes;
    }

    fn update(&mut self, path: String, new: &Bson) {
        self.bytes += path.len() + 2 + bson_bytes(new);
        self.updated.insert(path, new.clone());
    }
}

/// Whether the fields of `new` stand where changes, removals and additions put them.
fn keeps_order(old: &Document, new: &Document) -> bool {
    let kept = old.keys().filter(|name| new.contains_key(name));
    let added = new.keys().filter(|name| !old.contains_key(name));
    kept.chain(added).eq(new.keys())
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}
