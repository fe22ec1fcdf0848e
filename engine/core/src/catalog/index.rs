//! One index of a table: as it is stored, and as the engine keeps it at hand.
//!
//! Promises: [`Index::keys_of`] is the only place where a document's entries come from, so that writers,
//! builders and verification agree. Deliberately unknown: where entries are stored.

use std::borrow::Cow;
use std::sync::Arc;

use bson::{Document, RawDocument};
use nimbus_query::{Collation, Filter};
use nimbus_types::IndexId;
use nimbus_types::index::{DerivedEntries, IndexDefinition, IndexField, derive};
use serde::{Deserialize, Serialize};

use super::language::{parse_collation, parse_filter};
use super::schema::IndexSchema;
use crate::error::{Result, invalid};

/// Where an index stands between being asked for and being gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum IndexState {
    /// Writers keep it, older documents are still being added, no query uses it.
    Building,
    /// Every document is in it.
    Ready,
    /// Nobody keeps it; its entries are being removed.
    Dropping,
}

/// An index as the catalog stores it. Fields that an index may lack are left out when they say nothing, so
/// that entries of before they were known read, and are written, as they were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are stored, and independent of each other")]
pub(crate) struct IndexEntry {
    pub(crate) id: u32,
    pub(crate) name: String,
    /// Dotted path and whether it is descending.
    pub(crate) fields: Vec<(String, bool)>,
    pub(crate) unique: bool,
    pub(crate) sparse: bool,
    /// Whether any document ever had an array in an indexed field.
    pub(crate) multikey: bool,
    pub(crate) state: IndexState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<Document>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expire_after_secs: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) collation: Option<Document>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) hidden: bool,
}

impl IndexEntry {
    /// A new index, not built yet.
    pub(crate) fn new(id: IndexId, schema: &IndexSchema) -> Self {
        Self {
            id: id.0,
            name: schema.name.clone(),
            fields: schema.fields.iter().map(|field| (field.path.clone(), field.descending)).collect(),
            unique: schema.unique,
            sparse: schema.sparse,
            multikey: false,
            state: IndexState::Building,
            filter: schema.filter.clone(),
            expire_after_secs: schema.expire_after_secs,
            collation: schema.collation.clone(),
            hidden: schema.hidden,
        }
    }

    /// What a user would have asked for to get this index.
    pub(crate) fn schema(&self) -> IndexSchema {
        let field =
            |(path, descending): &(String, bool)| IndexField { path: path.clone(), descending: *descending };
        IndexSchema {
            name: self.name.clone(),
            fields: self.fields.iter().map(field).collect(),
            unique: self.unique,
            sparse: self.sparse,
            filter: self.filter.clone(),
            expire_after_secs: self.expire_after_secs,
            collation: self.collation.clone(),
            hidden: self.hidden,
        }
    }
}

/// An index that is at hand for writers and the planner.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(crate) definition: IndexDefinition,
    pub(crate) state: IndexState,
    pub(crate) multikey: bool,
    /// Which documents are in it, where not all are.
    pub(crate) filter: Option<Arc<Filter>>,
    /// How its strings compare where not by their bytes.
    pub(crate) collation: Option<Arc<Collation>>,
    pub(crate) expire_after_secs: Option<i64>,
    pub(crate) hidden: bool,
}

impl Index {
    /// What an entry of the catalog says.
    pub(crate) fn open(entry: &IndexEntry) -> Result<Self> {
        let collation = entry.collation.as_ref().map(parse_collation).transpose()?.flatten();
        let filter =
            entry.filter.as_ref().map(|filter| parse_filter(filter, collation.clone(), 0)).transpose()?;
        Ok(Self {
            definition: entry.schema().definition(IndexId(entry.id)),
            state: entry.state,
            multikey: entry.multikey,
            filter: filter.map(Arc::new),
            collation,
            expire_after_secs: entry.expire_after_secs,
            hidden: entry.hidden,
        })
    }

    /// Whether a query may walk it. A partial one only serves a query that selects none but its documents.
    /// One with a collation keeps its strings unique, but its order is not that of any query.
    pub(crate) fn serves_queries(&self) -> bool {
        self.state == IndexState::Ready && !self.hidden && self.collation.is_none()
    }

    /// The entries of a document; none where the index leaves it out. An error means that the document
    /// must not be written.
    pub(crate) fn keys_of(&self, document: &RawDocument) -> Result<DerivedEntries> {
        if let Some(filter) = &self.filter
            && !filter.matches(document)?
        {
            return Ok(DerivedEntries::default());
        }
        let document = match &self.collation {
            Some(collation) => Cow::Owned(collation.keyed(document, &self.definition.fields)),
            None => Cow::Borrowed(document),
        };
        derive(&self.definition, &document)
            .map_err(|error| invalid(format!("index {:?}: {error}", self.definition.name)))
    }
}
