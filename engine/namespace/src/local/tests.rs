//! Tests of the local root: the lock, listing, and creates and removals cut short at every step.

use super::*;

const KIND: FileKind = FileKind { extension: "sqlite3", companions: &["-wal", "-shm"] };

fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

fn open(directory: &Path) -> LocalRoot {
    LocalRoot::open(directory, KIND).unwrap()
}

fn write(path: &Path) -> Result<()> {
    fs::write(path, "store").map_err(|error| failed("write", path, &error))
}

/// Names in the directory, the lock's left out.
fn names(root: &LocalRoot) -> BTreeSet<String> {
    root.file_names().unwrap().into_iter().filter(|name| name != LOCK_FILE).collect()
}

#[test]
fn a_second_root_on_the_directory_is_busy_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("deep/data");
    let root = open(&directory);
    let Err(StorageError::Busy(message)) = LocalRoot::open(&directory, KIND) else { panic!("not busy") };
    assert!(message.contains("deep/data") && message.contains("another nimbus"), "{message}");
    drop(root);
    open(&directory);
}

#[cfg(unix)]
#[test]
fn a_new_directory_and_a_new_store_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("data");
    let root = open(&directory);
    assert_eq!(mode(&directory), 0o700);
    root.create(&tenant("file"), write).unwrap();
    assert_eq!(mode(&root.path(&tenant("file"))), 0o600);
    root.create(&tenant("folder"), |path| fs::create_dir(path).map_err(|error| failed("make", path, &error)))
        .unwrap();
    assert_eq!(mode(&root.path(&tenant("folder"))), 0o700);
}

#[test]
fn stores_are_listed_in_order_and_foreign_files_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let root = open(folder.path());
    for id in ["b", "a", "B", "A-1"] {
        root.create(&tenant(id), write).unwrap();
    }
    let foreign =
        ["C.sqlite3", "c.redb", "csqlite3", "_c.sqlite3", "c~1.sqlite3", "c.sqlite3-wal", ".sqlite3"];
    for name in foreign {
        fs::write(folder.path().join(name), "").unwrap();
    }
    assert_eq!(root.list().unwrap(), ["A-1", "B", "a", "b"].map(tenant));
    drop(root);
    let root = open(folder.path());
    assert!(foreign.iter().all(|name| names(&root).contains(*name)));
}

#[test]
fn a_store_is_made_once_and_removed_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = open(folder.path());
    let id = tenant("Acme");
    root.create(&id, write).unwrap();
    assert!(matches!(root.create(&id, write), Err(StorageError::AlreadyExists)));
    assert!(root.exists(&id).unwrap());
    fs::write(folder.path().join("acme~8.sqlite3-wal"), "").unwrap();
    root.remove(&id).unwrap();
    assert!(matches!(root.remove(&id), Err(StorageError::NotFound)));
    assert_eq!(names(&root), BTreeSet::new());
}

#[test]
fn a_store_that_could_not_be_made_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = open(folder.path());
    let refused = root.create(&tenant("a"), |path| {
        write(path)?;
        write(&with_suffix(path, "-wal"))?;
        Err(StorageError::Io("full".into()))
    });
    assert!(matches!(refused, Err(StorageError::Io(_))));
    assert_eq!(names(&root), BTreeSet::new());
}

#[test]
fn what_a_crash_left_is_cleared_at_open_and_the_rest_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str| fs::write(folder.path().join(name), "").unwrap();
    // A create of `a`, a removal of `B`, and one of `c` after which a store of that name was put back.
    let left = ["a.sqlite3.creating", "a.sqlite3.creating-wal", "b~8.sqlite3.dropping", "b~8.sqlite3-wal"];
    left.into_iter().for_each(put);
    ["c.sqlite3.dropping", "c.sqlite3", "c.sqlite3-wal"].into_iter().for_each(put);
    fs::create_dir(folder.path().join("d.sqlite3.dropping")).unwrap();
    ["e.redb.creating", "E.sqlite3.creating"].into_iter().for_each(put);
    let root = open(folder.path());
    let kept = ["c.sqlite3", "c.sqlite3-wal", "e.redb.creating", "E.sqlite3.creating"];
    assert_eq!(names(&root), kept.map(str::to_owned).into());
}

#[test]
fn a_companion_without_its_store_is_neither_adopted_nor_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let root = open(folder.path());
    fs::write(folder.path().join("a.sqlite3-wal"), "data").unwrap();
    let Err(StorageError::Corruption(message)) = root.create(&tenant("a"), write) else { panic!("adopted") };
    assert!(message.contains("a.sqlite3-wal"), "{message}");
    assert!(folder.path().join("a.sqlite3-wal").exists());
}
