//! From the name of a storage provider to the provider.
//!
//! Promises: a local data directory is locked when this returns, and stays so for as long as the
//! provider lives. Deliberately unknown: what providers do.

use std::path::Path;
use std::sync::Arc;

use nimbus_namespace::{NamespaceProvider, Result as StorageResult};
use nimbus_redb::RedbProvider;
use nimbus_sqlite::SqliteProvider;

use crate::config::{Settings, TenantProvider};
use crate::exit::CannotRun;

/// Opens the provider that the settings choose.
pub(crate) fn open(settings: &Settings) -> Result<Arc<dyn NamespaceProvider>, CannotRun> {
    match settings.tenant_provider {
        TenantProvider::Sqlite => local(settings, SqliteProvider::open),
        TenantProvider::Redb => local(settings, RedbProvider::open),
    }
}

/// A provider of files in the data directory.
fn local<P: NamespaceProvider + 'static>(
    settings: &Settings,
    open: impl FnOnce(&Path) -> StorageResult<P>,
) -> Result<Arc<dyn NamespaceProvider>, CannotRun> {
    match open(&settings.data_dir) {
        Ok(provider) => Ok(Arc::new(provider)),
        Err(error) => Err(CannotRun::Storage { path: settings.data_dir.clone(), error }),
    }
}
