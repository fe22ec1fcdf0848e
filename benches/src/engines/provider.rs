//! What Nimbus stands on.

use std::path::Path;
use std::sync::Arc;

use nimbus_namespace::NamespaceProvider;
use nimbus_redb::RedbProvider;
use nimbus_sqlite::SqliteProvider;
use nimbus_types::TenantId;
use tokio::runtime::Runtime;

use crate::Outcome;

/// A storage provider whose files lie in one folder.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum Provider {
    #[default]
    Redb,
    Sqlite,
}

impl Provider {
    /// The value of `--tenant-provider` that chooses it, and of `--nimbus-provider` here.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Redb => "redb",
            Self::Sqlite => "sqlite",
        }
    }

    /// Opens it in a folder, which is made if it is not there.
    pub(super) fn open(self, folder: &Path) -> Outcome<Arc<dyn NamespaceProvider>> {
        Ok(match self {
            Self::Redb => Arc::new(RedbProvider::open(folder)?),
            Self::Sqlite => Arc::new(SqliteProvider::open(folder)?),
        })
    }

    /// Drops the commit log of a closed tenant, which peers do not have, and gives back the space that
    /// the provider can give back. These two keep it for later writes.
    pub(super) fn compact(self, runtime: &Runtime, folder: &Path, tenant: &TenantId) -> Outcome<()> {
        let provider = self.open(folder)?;
        runtime.block_on(async {
            let namespace = provider.open(tenant).await?;
            let head = namespace.head().await?;
            namespace.trim_log(head.sequence).await?;
            Ok(())
        })
    }
}
