//! What stages hold in memory, accounted against one budget for the whole operation.
//!
//! Promises: what is held is given back when its holder is dropped. Sizes are of the values as they lie in
//! memory, and so somewhat above their BSON. Deliberately unknown: what is done with the documents.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bson::{Bson, Document};

use crate::error::{QueryError, codes};

/// The budget of one operation, shared by all of its stages, those of nested pipelines included.
#[derive(Debug)]
pub(super) struct Memory {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
}

impl Memory {
    pub(super) fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self { limit_bytes, used_bytes: AtomicUsize::new(0) })
    }

    /// What all stages hold now.
    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }
}

/// What one stage holds of the budget.
#[derive(Debug)]
pub(super) struct Held {
    stage: &'static str,
    bytes: usize,
    memory: Option<Arc<Memory>>,
}

impl Held {
    /// Nothing yet, for the stage of that name.
    pub(super) fn new(stage: &'static str) -> Self {
        Self { stage, bytes: 0, memory: None }
    }

    /// Takes more of the budget, or fails if there is not as much.
    pub(super) fn grow(&mut self, memory: &Arc<Memory>, bytes: usize) -> Result<(), QueryError> {
        let memory = self.memory.get_or_insert_with(|| Arc::clone(memory));
        let used = memory.used_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.bytes += bytes;
        if used <= memory.limit_bytes {
            return Ok(());
        }
        let (stage, limit) = (self.stage, memory.limit_bytes);
        Err(QueryError::new(
            codes::EXCEEDED_MEMORY_LIMIT_NO_DISK_USE,
            format!(
                "Exceeded memory limit for {stage}: the operation may hold {limit} bytes, and nothing spills to disk"
            ),
        ))
    }

    /// Gives back some of what is held.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        if let Some(memory) = &self.memory {
            memory.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Sets what is held to a new amount, such as that of an accumulator that grew or shrank.
    pub(super) fn change(
        &mut self,
        memory: &Arc<Memory>,
        before: usize,
        after: usize,
    ) -> Result<(), QueryError> {
        if after >= before {
            return self.grow(memory, after - before);
        }
        self.shrink(before - after);
        Ok(())
    }

    /// Gives back everything.
    pub(super) fn clear(&mut self) {
        self.shrink(self.bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Bytes that a document takes in memory.
pub(super) fn document_bytes(document: &Document) -> usize {
    let fields = document.iter().map(|(name, value)| name.len() + FIELD_BYTES + heap_bytes(value));
    size_of::<Document>() + fields.sum::<usize>()
}

/// Bytes that a value takes in memory.
pub(super) fn value_bytes(value: &Bson) -> usize {
    size_of::<Bson>() + heap_bytes(value)
}

/// A field's slot in a document: its name's header, its hash, its value, its place in the table.
const FIELD_BYTES: usize = size_of::<String>() + size_of::<Bson>() + 2 * size_of::<usize>();

fn heap_bytes(value: &Bson) -> usize {
    match value {
        Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text) => text.len(),
        Bson::Document(document) => document_bytes(document) - size_of::<Document>(),
        Bson::Array(values) => values.iter().map(value_bytes).sum(),
        Bson::Binary(binary) => binary.bytes.len(),
        Bson::RegularExpression(regex) => regex.pattern.as_str().len() + regex.options.as_str().len(),
        Bson::JavaScriptCodeWithScope(code) => code.code.len() + document_bytes(&code.scope),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_shared_and_given_back() {
        let memory = Memory::new(100);
        let mut sort = Held::new("$sort");
        let mut group = Held::new("$group");
        sort.grow(&memory, 60).unwrap();
        group.grow(&memory, 40).unwrap();
        let error = group.grow(&memory, 1).unwrap_err();
        assert_eq!(error.code, 292);
        assert!(error.message.contains("$group") && error.message.contains("100 bytes"), "{error}");
        drop(group);
        sort.grow(&memory, 40).unwrap();
        sort.clear();
        assert_eq!(memory.used_bytes(), 0);
    }
}
