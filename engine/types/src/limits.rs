//! Every limit of the data model, in one place.
//!
//! Where MongoDB has the same limit the figure is MongoDB's (manual, "MongoDB Limits and
//! Thresholds"). Deliberately unknown: limits of a protocol or of one provider.

/// Longest tenant id, in characters (all of them ASCII).
pub const TENANT_ID_CHARACTERS: usize = 128;
/// Longest table name, in bytes.
pub const TABLE_NAME_BYTES: usize = 255;
/// Longest index name, in bytes.
pub const INDEX_NAME_BYTES: usize = 128;
/// Largest document, in bytes of BSON.
pub const DOCUMENT_BYTES: usize = 16 * 1024 * 1024;
/// Deepest nesting of documents and arrays.
pub const NESTING_DEPTH: usize = 100;
/// Most fields in one index.
pub const INDEX_FIELDS: usize = 32;
/// Most indexes on one table, the implied one on `_id` not counted.
pub const INDEXES_PER_TABLE: usize = 64;
/// Most typed fields in one table's schema.
pub const FIELDS_PER_SCHEMA: usize = 1_000;
/// Most tables of one tenant.
pub const TABLES_PER_TENANT: usize = 10_000;
/// Most entries one document may have in one index (a multikey index over a huge array).
pub const INDEX_ENTRIES_PER_DOCUMENT: usize = 100_000;
/// Most bytes of keys one document may have in one index (a long field beside a huge array).
pub const INDEX_BYTES_PER_DOCUMENT: usize = 64 * 1024 * 1024;
/// Longest encoded key, in bytes. Longer index keys are refused when the document is written.
pub const KEY_BYTES: usize = 64 * 1024;
/// Most document writes in one transaction.
pub const WRITES_PER_TRANSACTION: usize = 100_000;
/// Most bytes of documents and index keys written in one transaction.
pub const TRANSACTION_BYTES: usize = 48 * 1024 * 1024;
/// Most bytes a query may hold in memory to sort.
pub const SORT_BYTES: usize = 100 * 1024 * 1024;
/// Most bytes of documents one reply may hold; larger results are read in pages.
pub const RESULT_BYTES: usize = 64 * 1024 * 1024;
/// Most filter clauses in one query, nested ones and each value of a list counted.
pub const FILTER_CLAUSES: usize = 10_000;
