//! The catalog that readers share.
//!
//! Promises: [`CatalogCache::at`] answers with the catalog of exactly the state the snapshot sees,
//! from memory when the digest of `Meta` is the cached one, else from the snapshot itself; readers that
//! find it in memory wait for nobody and change nothing that others read.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use nimbus_types::Sequence;

use super::Catalog;
use crate::error::Result;
use crate::storage::View;

/// A catalog with the state of `Meta` it belongs to; by default that of an empty one.
#[derive(Default)]
struct Cached {
    sequence: Sequence,
    meta_digest: u128,
    catalog: Arc<Catalog>,
}

/// The newest catalog that has been loaded.
#[derive(Default)]
pub(crate) struct CatalogCache {
    newest: ArcSwap<Cached>,
}

/// A catalog, borrowed from the cache for the moment; don't keep it through a wait.
pub(crate) struct CatalogGuard(Guard<Arc<Cached>>);

impl CatalogGuard {
    /// The same catalog, for whoever keeps it.
    pub(crate) fn shared(&self) -> Arc<Catalog> {
        self.0.catalog.clone()
    }
}

impl Deref for CatalogGuard {
    type Target = Catalog;

    fn deref(&self) -> &Catalog {
        &self.0.catalog
    }
}

impl CatalogCache {
    /// The catalog `snapshot` sees.
    pub(crate) async fn at(&self, snapshot: &View<'_>) -> Result<CatalogGuard> {
        let head = snapshot.head();
        let newest = self.newest.load();
        if newest.meta_digest == head.digest.meta {
            return Ok(CatalogGuard(newest));
        }
        drop(newest);
        let catalog = Arc::new(Catalog::load(snapshot).await?);
        let loaded = Arc::new(Cached { sequence: head.sequence, meta_digest: head.digest.meta, catalog });
        self.newest.rcu(|newest| if newest.sequence < loaded.sequence { &loaded } else { newest }.clone());
        Ok(CatalogGuard(Guard::from_inner(loaded)))
    }
}
