//! What providers that keep a tenant in a local file or folder share: its name, its making and its
//! removal, the lock on the data directory, and the stores that are open.
//!
//! Promises: a [`LocalRoot`] is the only one on its directory, across processes; a name belongs to
//! one tenant on any file system; a create or a removal that a crash cut short is undone or finished
//! at the next open of the root or the next use of the name; files that are not ours are left alone.
//! Deliberately unknown: what is in the files. Callers keep uses of one tenant's name from overlapping.

mod carried;
mod name;
mod stores;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use nimbus_types::TenantId;

use crate::error::{Result, StorageError};

pub use carried::carried;
pub use stores::{LocalStore, LocalStores, OpenMark};

/// The file whose lock says that a data directory is in use.
const LOCK_FILE: &str = ".nimbus.lock";
/// Ends the name of a store that is not finished.
const CREATING: &str = ".creating";
/// Ends the name of a store whose removal has been decided. It is the last of its files to go.
const DROPPING: &str = ".dropping";

/// How one provider's files look.
#[derive(Debug, Clone, Copy)]
pub struct FileKind {
    /// What follows the tenant's name and a dot.
    pub extension: &'static str,
    /// Endings of further files that the store keeps beside its own, such as `-wal`.
    pub companions: &'static [&'static str],
}

/// A data directory that this process owns for as long as the value lives.
#[derive(Debug)]
pub struct LocalRoot {
    directory: PathBuf,
    kind: FileKind,
    /// Closing the file gives the lock back.
    _lock: File,
}

impl LocalRoot {
    /// Makes the directory if need be (readable by its owner alone), locks it and clears away what
    /// interrupted creates and removals left. `Busy` when another process or value holds it.
    pub fn open(directory: &Path, kind: FileKind) -> Result<Self> {
        make_directory(directory).map_err(|error| failed("make", directory, &error))?;
        let lock = lock(directory)?;
        let absolute = directory.canonicalize().map_err(|error| failed("resolve", directory, &error))?;
        let root = Self { directory: absolute, kind, _lock: lock };
        let interrupted: BTreeSet<TenantId> =
            root.file_names()?.iter().filter_map(|file| root.interrupted_tenant(file)).collect();
        for tenant in &interrupted {
            root.finish_interrupted(tenant)?;
        }
        Ok(root)
    }

    /// The directory, as an absolute path.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the tenant's store is, or would be.
    pub fn path(&self, tenant: &TenantId) -> PathBuf {
        self.directory.join(format!("{}.{}", name::encode(tenant), self.kind.extension))
    }

    /// Whether the tenant has a finished store.
    pub fn exists(&self, tenant: &TenantId) -> Result<bool> {
        exists(&self.path(tenant))
    }

    /// Tenants that have a finished store, in ascending order.
    pub fn list(&self) -> Result<Vec<TenantId>> {
        let tenants: BTreeSet<TenantId> =
            self.file_names()?.iter().filter_map(|file| self.tenant_of(file)).collect();
        Ok(tenants.into_iter().collect())
    }

    /// Makes the tenant's store. `make` gets a temporary path, writes all of the store there and
    /// leaves it closed; only then does it get its name, readable by its owner alone. `AlreadyExists` when there is one.
    pub fn create(&self, tenant: &TenantId, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let path = self.path(tenant);
        if exists(&path)? {
            return Err(StorageError::AlreadyExists);
        }
        self.finish_interrupted(tenant)?;
        self.refuse_orphans(&path)?;
        let creating = with_suffix(&path, CREATING);
        let finished = make(&creating)
            .and_then(|()| restrict(&creating))
            .and_then(|()| sync(&creating))
            .and_then(|()| rename(&creating, &path));
        match finished {
            Ok(()) => self.sync_directory(),
            Err(error) => {
                // The first error is the one to report; what stays is cleared at the next use.
                let _ = self.finish_interrupted(tenant);
                Err(error)
            }
        }
    }

    /// Removes the tenant's store and all its companions. `NotFound` when there is none. The removal
    /// is decided, durably, before the first byte goes.
    pub fn remove(&self, tenant: &TenantId) -> Result<()> {
        self.finish_interrupted(tenant)?;
        let path = self.path(tenant);
        if !exists(&path)? {
            return Err(StorageError::NotFound);
        }
        rename(&path, &with_suffix(&path, DROPPING))?;
        self.sync_directory()?;
        self.finish_interrupted(tenant)
    }

    /// Makes renames and removals in the directory durable.
    pub fn sync_directory(&self) -> Result<()> {
        sync(&self.directory)
    }

    /// Undoes an interrupted create and finishes an interrupted removal of one tenant.
    fn finish_interrupted(&self, tenant: &TenantId) -> Result<()> {
        let path = self.path(tenant);
        let creating = with_suffix(&path, CREATING);
        self.remove_companions(&creating)?;
        remove_entry(&creating)?;

        let dropping = with_suffix(&path, DROPPING);
        if exists(&dropping)? {
            // With a store of that name in place the companions are that store's.
            if !exists(&path)? {
                self.remove_companions(&path)?;
                // While companions may exist their mark must too: nothing else tells that they are garbage.
                self.sync_directory()?;
            }
            remove_entry(&dropping)?;
        }
        Ok(())
    }

    fn remove_companions(&self, path: &Path) -> Result<()> {
        self.kind.companions.iter().try_for_each(|suffix| remove_entry(&with_suffix(path, suffix)))
    }

    /// A companion without its store may hold the only copy of somebody's data, and a new store of
    /// that name would take it for its own. Neither may happen.
    fn refuse_orphans(&self, path: &Path) -> Result<()> {
        for suffix in self.kind.companions {
            let orphan = with_suffix(path, suffix);
            if exists(&orphan)? {
                return Err(StorageError::Corruption(format!(
                    "{} is in the data directory without {}; put the one back or take the other away",
                    file_name(&orphan),
                    file_name(path)
                )));
            }
        }
        Ok(())
    }

    /// The tenant of a finished store's file name.
    fn tenant_of(&self, file: &str) -> Option<TenantId> {
        name::decode(file.strip_suffix(self.kind.extension)?.strip_suffix('.')?)
    }

    /// The tenant of a file that an interrupted create or removal left.
    fn interrupted_tenant(&self, file: &str) -> Option<TenantId> {
        let store = self.kind.companions.iter().find_map(|suffix| file.strip_suffix(suffix)).unwrap_or(file);
        self.tenant_of(store.strip_suffix(CREATING).or_else(|| store.strip_suffix(DROPPING))?)
    }

    /// Names in the directory; one that is not UTF-8 is not ours.
    fn file_names(&self) -> Result<Vec<String>> {
        let read = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.directory)? {
                names.extend(entry?.file_name().into_string().ok());
            }
            Ok(names)
        };
        read().map_err(|error| failed("list", &self.directory, &error))
    }
}

fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

fn lock(directory: &Path) -> Result<File> {
    let path = directory.join(LOCK_FILE);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| failed("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StorageError::Busy(format!(
            "the data directory {} is held by another nimbus",
            directory.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failed("lock", &path, &error)),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|error| failed("look for", path, &error))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| failed("rename", from, &error))
}

fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| failed("sync", path, &error))
}

/// Leaves a store to its owner alone, whatever the directory around it allows.
#[cfg(unix)]
fn restrict(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|error| failed("restrict", path, &error))
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "the same signature everywhere")]
fn restrict(_path: &Path) -> Result<()> {
    Ok(())
}

/// Removes a file, or a folder with all in it, if it is there.
fn remove_entry(path: &Path) -> Result<()> {
    let remove = || {
        if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
    };
    match remove() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, &error)),
        _ => Ok(()),
    }
}

fn failed(what: &str, path: &Path, error: &io::Error) -> StorageError {
    StorageError::Io(format!("cannot {what} {}: {error}", file_name(path)))
}

/// The last part of a path: messages reach clients, who need not learn where the data lies.
fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| ".".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;
