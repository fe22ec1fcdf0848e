//! Files that were written once and must be readable for good: see `engine/FORMAT.md`.
//!
//! The files are copied to a simulated disk before anything opens them. `cargo test -p nimbus-log --lib golden --
//! --ignored` writes the folder of the newest version, which happens once for each.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nimbus_io::{Disk, SimulatedDisk};
use nimbus_namespace::conformance::{put, remove};
use nimbus_namespace::{KeyChange, Space};
use nimbus_types::Sequence;

use super::world::{World, folder};
use crate::name::{FileName, Kind};
use crate::store::version::ValueFile;

/// The newest version, and so the folder that today's code would write.
const NEWEST: u32 = 1;

fn golden(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version.to_string())
}

fn document(number: u8) -> [KeyChange; 2] {
    let key = [0, 0, 0, 1, b'd', number];
    let text = format!("document {number}: {}", "all is well. ".repeat(usize::from(number)));
    [put(Space::Documents, key, text), put(Space::Index, [0, 0, 0, 7, number], &key[..])]
}

fn commit(world: &mut World, commits: &[&[KeyChange]]) {
    let expected = world.model.sequence();
    let group = world.model.group(commits.iter().map(|changes| changes.to_vec()));
    world.store().commit(expected, &group).unwrap();
}

fn trim(world: &mut World, before: u64) {
    world.model.trim(Sequence(before));
    world.store().trim_log(Sequence(before)).unwrap();
}

/// The history that every golden folder holds: two segments that went into a pack, one that is sealed, one that
/// is being written. Each has groups of several commits, removals, and index entries of both kinds.
fn history() -> World {
    let mut world = World::new(1);
    // No longer than they need to be.
    world.surroundings.sizes.segment = 20 << 10;
    world.open().unwrap();
    let documents: Vec<[KeyChange; 2]> = (0..40).map(document).collect();
    let first: Vec<&[KeyChange]> = documents.iter().map(<[KeyChange; 2]>::as_slice).collect();
    commit(&mut world, &first);
    commit(&mut world, &[&[put(Space::Meta, "schema", "one"), put(Space::Index, [0, 0, 0, 8, 1], "unique")]]);
    world.store().checkpoint().unwrap();
    trim(&mut world, 42);
    while world.store().maintain().unwrap() {}

    commit(
        &mut world,
        &[
            &document(40),
            &[remove(Space::Documents, [0, 0, 0, 1, b'd', 3]), remove(Space::Index, [0, 0, 0, 7, 3])],
        ],
    );
    commit(
        &mut world,
        &[&[put(Space::Meta, "schema", "two"), put(Space::Documents, [0, 0, 0, 2], vec![0; 3000])]],
    );
    trim(&mut world, 43);
    world.store().checkpoint().unwrap();

    let removed = [remove(Space::Documents, [0, 0, 0, 1, b'd', 5]), remove(Space::Index, [0, 0, 0, 7, 5])];
    commit(&mut world, &[&document(41), &document(42), &removed]);
    commit(&mut world, &[&[remove(Space::Index, [0, 0, 0, 8, 1])]]);
    trim(&mut world, 44);
    world
}

/// The history's world, standing on the files of a golden folder instead of its own.
fn opened(version: u32) -> World {
    let mut world = history();
    let disk = SimulatedDisk::new(2);
    disk.create_directory(&folder()).unwrap();
    for entry in fs::read_dir(golden(version)).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let file = disk.create(&folder().join(path.file_name().unwrap()), bytes.len() as u64).unwrap();
        file.write_at(0, &bytes).unwrap();
        file.sync().unwrap();
    }
    disk.sync_directory(&folder()).unwrap();
    world.surroundings.disk = Arc::new(disk.clone());
    world.disk = disk;
    world.open().unwrap();
    world
}

fn files(disk: &SimulatedDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let read = |path: PathBuf| {
        let file = disk.open(&path).unwrap();
        let mut bytes = vec![0; file.size_bytes().unwrap() as usize];
        file.read_at(0, &mut bytes).unwrap();
        (path, bytes)
    };
    disk.list(&folder()).unwrap().into_iter().map(read).collect()
}

#[test]
fn what_was_written_once_is_read_and_written_on() {
    for version in 1..=NEWEST {
        let mut world = opened(version);
        assert_eq!(*world.store().head(), *world.model.head());
        let view = world.store().version();
        let value = |key: &[u8]| view.get(Space::Documents, key).unwrap();
        assert_eq!(
            value(&[0, 0, 0, 1, b'd', 2]).as_deref(),
            Some(b"document 2: all is well. all is well. ".as_slice())
        );
        assert_eq!(value(&[0, 0, 0, 1, b'd', 3]), None, "removed before the checkpoint");
        assert_eq!(value(&[0, 0, 0, 1, b'd', 5]), None, "removed after it");
        assert_eq!(view.get(Space::Meta, b"schema").unwrap().as_deref(), Some(b"two".as_slice()));
        assert_eq!(
            view.get(Space::Index, &[0, 0, 0, 7, 2]).unwrap().as_deref(),
            Some([0, 0, 0, 1, b'd', 2].as_slice())
        );
        assert_eq!(world.store().read_log(Sequence(43), 100).unwrap().len(), 5);
        world.assert_sound();
        for _ in 0..20 {
            world.commit().unwrap();
        }
        trim(&mut world, 60);
        world.store().checkpoint().unwrap();
        while world.store().maintain().unwrap() {}
        world.assert_sound();
        world.open().unwrap();
        world.assert_sound();
    }
}

#[test]
fn every_kind_of_file_is_among_them() {
    for version in 1..=NEWEST {
        let world = opened(version);
        let view = world.store().version();
        let packs = view.files.iter().filter(|(_, file)| matches!(file, ValueFile::Pack(_))).count();
        assert!(view.runs.len() >= 2 && packs == 1 && view.segments().count() == 2);
        assert!(view.delta.len() > 4, "a segment is replayed");
    }
}

/// All but packs, whose bytes depend on the version of zstd.
#[test]
fn today_the_same_history_leaves_the_same_bytes() {
    let of = |world: &World| {
        let is_pack = |path: &PathBuf| FileName::of(path).is_some_and(|name| name.kind == Kind::Pack);
        files(&world.disk).into_iter().filter(|(path, _)| !is_pack(path)).collect::<Vec<_>>()
    };
    let (today, then) = (of(&history()), of(&opened(NEWEST)));
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(names(&today), names(&then));
    for ((path, today), (_, then)) in today.iter().zip(&then) {
        assert!(today == then, "{}: what is written has changed; see engine/FORMAT.md", path.display());
    }
}

#[test]
#[ignore = "writes the folder of a new version"]
fn golden_files_are_written() {
    let into = golden(NEWEST);
    fs::create_dir(&into).unwrap();
    for (path, bytes) in files(&history().disk) {
        fs::write(into.join(path.file_name().unwrap()), bytes).unwrap();
    }
}
