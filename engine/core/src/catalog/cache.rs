//! The catalog that readers share.
//!
//! Promises: [`CatalogCache::at`] answers with the catalog of exactly the state the snapshot sees,
//! from memory when the digest of `Meta` is the cached one, else from the snapshot itself.

use std::sync::Arc;

use nimbus_types::Sequence;
use parking_lot::RwLock;

use super::Catalog;
use crate::error::Result;
use crate::storage::View;

struct Cached {
    sequence: Sequence,
    meta_digest: u128,
    catalog: Arc<Catalog>,
}

/// The newest catalog that has been loaded.
#[derive(Default)]
pub(crate) struct CatalogCache {
    cached: RwLock<Option<Cached>>,
}

impl CatalogCache {
    /// The catalog `snapshot` sees.
    pub(crate) async fn at(&self, snapshot: &View) -> Result<Arc<Catalog>> {
        let head = snapshot.head();
        if let Some(cached) =
            self.cached.read().as_ref().filter(|cached| cached.meta_digest == head.digest.meta)
        {
            return Ok(cached.catalog.clone());
        }
        let (sequence, meta_digest) = (head.sequence, head.digest.meta);
        let catalog = Arc::new(Catalog::load(snapshot).await?);
        let mut cached = self.cached.write();
        if cached.as_ref().is_none_or(|older| older.sequence < sequence) {
            *cached = Some(Cached { sequence, meta_digest, catalog: catalog.clone() });
        }
        Ok(catalog)
    }
}
