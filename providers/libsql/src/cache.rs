//! The cache folder: one SQLite file for each replica, in the keeping of the sqlite provider.
//!
//! Promises: the folder belongs to one process, and no folder is taken that holds databases of something
//! else, since what is no tenant's replica is removed; a file is named after one namespace on the primary, its
//! generation included, so that a later tenant of the same id never meets it; nothing here is the only copy of
//! anything. Deliberately unknown: what the files hold.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use nimbus_namespace::remote::NamespaceName;
use nimbus_namespace::{
    Direction, KeyRange, Namespace, NamespaceProvider, Result, Space, StateDigest, StorageError,
};
use nimbus_sqlite::{SqliteNamespace, SqliteProvider};
use nimbus_types::TenantId;
use parking_lot::Mutex;

/// The file that says that a folder is a cache.
const MARK: &str = ".nimbus-replicas";
/// Files that SQLite keeps beside a database, worthless without it.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The replicas' files.
pub(crate) struct Cache {
    files: SqliteProvider,
    /// Files that this process has made, or has read as a whole.
    verified: Mutex<HashSet<ReplicaId>>,
}

/// A replica's file, by the id under which the sqlite provider keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ReplicaId(TenantId);

impl ReplicaId {
    /// `$` is no character of an id, and `-` none of a namespace's name.
    pub(crate) fn of(name: &NamespaceName) -> Result<Self> {
        let id = name.as_str().replace('$', "-");
        TenantId::parse(&id)
            .map(Self)
            .map_err(|_| StorageError::Corruption("a namespace's name is malformed".into()))
    }
}

impl Cache {
    /// Takes the folder; `Busy` when another process holds it, `Unavailable` when it is no cache.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let cache = Self { files: SqliteProvider::open(directory)?, verified: Mutex::default() };
        claim(directory)?;
        remove_orphans(directory)?;
        Ok(cache)
    }

    /// Removes every file that is not of one of `names`.
    pub(crate) async fn keep_only(&self, names: &[NamespaceName]) -> Result<()> {
        let kept: Result<BTreeSet<_>> = names.iter().map(ReplicaId::of).collect();
        let kept = kept?;
        for id in self.files.list().await?.into_iter().map(ReplicaId) {
            if !kept.contains(&id) {
                self.remove(&id).await?;
            }
        }
        Ok(())
    }

    /// Makes an empty file in place of whatever is there, and opens it.
    pub(crate) async fn make(&self, id: &ReplicaId) -> Result<SqliteNamespace> {
        self.remove(id).await?;
        self.files.create(&id.0).await?;
        let file = self.files.open_file(&id.0).await?;
        self.verified.lock().insert(id.clone());
        Ok(file)
    }

    /// Opens the file; `None` when there is none, or none that can be used. Its entries add up to the
    /// digest of its head, which is found out by reading all of them when this process first opens it.
    pub(crate) async fn reopen(&self, id: &ReplicaId) -> Result<Option<SqliteNamespace>> {
        match self.open_verified(id).await {
            Ok(file) => Ok(Some(file)),
            Err(StorageError::NotFound) => Ok(None),
            Err(error @ (StorageError::Corruption(_) | StorageError::Io(_))) => {
                tracing::warn!(%error, "a replica cannot be used and is built anew");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn open_verified(&self, id: &ReplicaId) -> Result<SqliteNamespace> {
        let file = self.files.open_file(&id.0).await?;
        if !self.verified.lock().contains(id) {
            verify(&file).await?;
            self.verified.lock().insert(id.clone());
        }
        Ok(file)
    }

    /// Closes and removes the file; harmless when there is none.
    pub(crate) async fn remove(&self, id: &ReplicaId) -> Result<()> {
        self.verified.lock().remove(id);
        match self.files.remove(&id.0).await {
            Err(StorageError::NotFound) => Ok(()),
            result => result,
        }
    }
}

/// Reads every entry. SQLite keeps no checksums, so a flipped byte shows in the digest alone.
async fn verify(file: &SqliteNamespace) -> Result<()> {
    let snapshot = file.snapshot().await?;
    let mut digest = StateDigest::default();
    for space in Space::ALL {
        let mut range = KeyRange::all();
        loop {
            let page = snapshot.scan(space, &range, Direction::Forward, usize::MAX).await?;
            page.entries.iter().for_each(|entry| digest.add(space, &entry.key, &entry.value));
            match page.entries.last() {
                // The first key after the last one.
                Some(last) if page.more => range.start = [&last.key, &[0][..]].concat().into(),
                _ => break,
            }
            // Each page keeps this thread busy; others get their turn in between.
            tokio::task::yield_now().await;
        }
    }
    if digest == snapshot.head().digest {
        Ok(())
    } else {
        Err(StorageError::Corruption("its entries do not add up to the digest of its head".into()))
    }
}

/// Marks the folder as a cache, unless it holds databases without being marked: a data directory of the sqlite
/// provider looks like a cache full of replicas that are nobody's any more.
fn claim(directory: &Path) -> Result<()> {
    let failed = |error| StorageError::Io(format!("cannot claim the replica cache: {error}"));
    let mark = directory.join(MARK);
    if mark.try_exists().map_err(failed)? {
        return Ok(());
    }
    for entry in fs::read_dir(directory).map_err(failed)? {
        if entry.map_err(failed)?.file_name().to_string_lossy().contains(".sqlite3") {
            return Err(StorageError::Unavailable(
                "the replica cache directory holds databases that are no replicas; name one that is empty"
                    .into(),
            ));
        }
    }
    fs::write(mark, "").map_err(failed)
}

/// Somebody may have deleted databases from the cache and left what stood beside them, which SQLite would
/// take for a new database's.
fn remove_orphans(directory: &Path) -> Result<()> {
    let sweep = || -> std::io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let text = path.to_string_lossy();
            let database = COMPANIONS.iter().find_map(|suffix| text.strip_suffix(suffix));
            if database
                .is_some_and(|database| database.ends_with(".sqlite3") && !Path::new(database).exists())
            {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    };
    sweep().map_err(|error| StorageError::Io(format!("cannot clear the replica cache: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_two_generations_have_two_files() {
        let id = |name| ReplicaId::of(&NamespaceName::stored(name).unwrap()).unwrap();
        assert_eq!(id("tenant_a$2").0.as_str(), "tenant_a-2");
        assert_ne!(id("tenant_a$2"), id("tenant_a_2"));
    }

    #[test]
    fn what_stood_beside_a_deleted_database_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MARK), "").unwrap();
        let names = ["a.sqlite3-wal", "a.sqlite3-shm", "b.sqlite3", "b.sqlite3-wal", "notes-wal"];
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let _cache = Cache::open(folder.path()).unwrap();
        let kept = names.map(|name| folder.path().join(name).exists());
        assert_eq!(kept, [false, false, true, true, true]);
    }

    #[test]
    fn a_folder_with_databases_of_something_else_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["acme.sqlite3", "lost.sqlite3-wal"].map(|name| folder.path().join(name));
        for name in &names {
            fs::write(name, "somebody's only copy").unwrap();
        }
        let refused = Cache::open(folder.path()).err();
        assert!(matches!(refused, Some(StorageError::Unavailable(_))), "{refused:?}");
        assert!(names.iter().all(|name| name.exists()));

        let empty = folder.path().join("empty");
        drop(Cache::open(&empty).unwrap());
        fs::write(empty.join("tenant_acme.sqlite3"), "a replica").unwrap();
        assert!(Cache::open(&empty).is_ok(), "a cache is known again");
    }
}
