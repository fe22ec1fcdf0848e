//! From the name of a storage provider to the provider.
//!
//! Promises: a local data directory is locked when this returns, and stays so for as long as the
//! provider lives. Deliberately unknown: what providers do.

use std::sync::Arc;

use nimbus_namespace::NamespaceProvider;
use nimbus_sqlite::SqliteProvider;

use crate::config::{Settings, TenantProvider};
use crate::exit::CannotRun;

/// Opens the provider that the settings choose.
pub(crate) fn open(settings: &Settings) -> Result<Arc<dyn NamespaceProvider>, CannotRun> {
    match settings.tenant_provider {
        TenantProvider::Sqlite => match SqliteProvider::open(&settings.data_dir) {
            Ok(provider) => Ok(Arc::new(provider)),
            Err(error) => Err(CannotRun::Storage { path: settings.data_dir.clone(), error }),
        },
    }
}
