//! What Nimbus stands on.

use std::path::Path;
use std::sync::Arc;

use nimbus_log::{LogOptions, LogProvider};
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
    Log,
    Redb,
    Sqlite,
}

impl Provider {
    /// The value of `--tenant-provider` that chooses it, and of `--nimbus-provider` here.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Redb => "redb",
            Self::Sqlite => "sqlite",
        }
    }

    /// Opens it in a folder, which is made if it is not there.
    pub(crate) fn open(self, folder: &Path) -> Outcome<Arc<dyn NamespaceProvider>> {
        Ok(match self {
            Self::Log => Arc::new(LogProvider::open(folder, LogOptions::default())?),
            Self::Redb => Arc::new(RedbProvider::open(folder)?),
            Self::Sqlite => Arc::new(SqliteProvider::open(folder)?),
        })
    }

    /// Drops the commit log of a closed tenant, which peers do not have, and gives back the space that
    /// the provider can give back. Only `log` can.
    pub(super) fn compact(self, runtime: &Runtime, folder: &Path, tenant: &TenantId) -> Outcome<()> {
        let provider = self.open(folder)?;
        runtime.block_on(async {
            let namespace = provider.open(tenant).await?;
            let head = namespace.head().await?;
            namespace.trim_log(head.sequence.next()).await?;
            drop(namespace);
            Outcome::Ok(())
        })?;
        drop(provider);
        if let Self::Log = self {
            let provider = LogProvider::open(folder, LogOptions::default())?;
            runtime.block_on(provider.compact_fully(tenant))?;
        }
        Ok(())
    }
}
