//! A namespace's redb file: how it is made and opened, and how it says whose it is.
//!
//! Promises: a file of another tenant, of a newer format or of another program is refused by name.
//! Deliberately unknown: what is read and written.

use std::path::Path;

use nimbus_namespace::local::FileKind;
use nimbus_namespace::{Head, Result, Space, StorageError};
use nimbus_types::TenantId;
use redb::{Builder, Database, ReadableDatabase, ReadableTable};

use crate::error::{from_redb, guarded};
use crate::tables;

/// `<tenant>.redb`; redb keeps no file beside it.
pub(crate) const KIND: FileKind = FileKind { extension: "redb", companions: &[] };

/// Version of the tables, kept in the table `owner`.
const FORMAT_VERSION: u32 = 1;

/// Memory for pages of one open tenant. redb's own default of 1 GiB is meant for a single database; what
/// does not fit here is still in the system's page cache.
const CACHE_BYTES: usize = 16 << 20;

/// Writes an empty namespace to `path`, where there must be nothing. The caller syncs the file.
pub(crate) fn create(path: &Path, tenant: &TenantId) -> Result<()> {
    let database = Builder::new().create(path).map_err(from_redb)?;
    initialize(&database, tenant)?;
    database.close().map_err(from_redb)
}

/// Makes every table, so that readers find them all.
pub(crate) fn initialize(database: &Database, tenant: &TenantId) -> Result<()> {
    let transaction = database.begin_write().map_err(from_redb)?;
    {
        let mut owner = transaction.open_table(tables::OWNER).map_err(from_redb)?;
        owner.insert(FORMAT_VERSION, tenant.as_str()).map_err(from_redb)?;
        let mut head = transaction.open_table(tables::HEAD).map_err(from_redb)?;
        tables::write_head(&mut head, &Head::empty())?;
        transaction.open_table(tables::COMMIT_LOG).map_err(from_redb)?;
        for space in Space::ALL {
            transaction.open_table(tables::of(space)).map_err(from_redb)?;
        }
    }
    transaction.commit().map_err(from_redb)
}

/// Opens the file after making sure that it is `tenant`'s. After a crash redb first walks the whole file
/// to find out which pages are free. A refusal names the file.
pub(crate) fn open(path: &Path, tenant: &TenantId) -> Result<Database> {
    let open = || {
        let database = Builder::new().set_cache_size(CACHE_BYTES).open(path).map_err(from_redb)?;
        require_owner(&database, tenant)?;
        Ok(database)
    };
    let file = path.file_name().unwrap_or_default().display();
    guarded(open).map_err(|error| match error {
        StorageError::Corruption(message) => StorageError::Corruption(format!("{file}: {message}")),
        StorageError::Unavailable(message) => StorageError::Unavailable(format!("{file}: {message}")),
        other => other,
    })
}

fn require_owner(database: &Database, tenant: &TenantId) -> Result<()> {
    let transaction = database.begin_read().map_err(from_redb)?;
    let table = transaction.open_table(tables::OWNER).map_err(from_redb)?;
    let missing = || StorageError::Corruption("it does not say whose it is".into());
    let (format_version, owner) = table.first().map_err(from_redb)?.ok_or_else(missing)?;
    if format_version.value() != FORMAT_VERSION {
        return Err(StorageError::Corruption(format!(
            "the format version is {}; this nimbus reads version {FORMAT_VERSION}",
            format_version.value()
        )));
    }
    if owner.value() != tenant.as_str() {
        return Err(StorageError::Corruption("the file belongs to another tenant".into()));
    }
    Ok(())
}
