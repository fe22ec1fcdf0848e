//! Upkeep: what it leaves, and that readers do not notice it.

use nimbus_namespace::conformance::put;
use nimbus_namespace::{Direction, KeyRange, Space, StorageError};
use nimbus_types::Sequence;

use super::world::{World, assert_reads};
use crate::store::version::ValueFile;

fn commit_values(world: &mut World, keys: std::ops::Range<u16>, bytes: usize) {
    for key in keys {
        let value: Vec<u8> = (0..bytes).map(|at| (at as u8).wrapping_mul(key as u8)).collect();
        let group = world.model.group([vec![put(Space::Documents, key.to_be_bytes(), value)]]);
        world.store().commit(Sequence(world.model.sequence().0 - 1), &group).unwrap();
    }
}

fn upkeep(world: &World) {
    while world.store().maintain().unwrap() {}
}

#[test]
fn runs_stay_few_and_segments_that_the_log_needs_stay() {
    let mut world = World::new(1);
    for _ in 0..30 {
        commit_values(&mut world, 0..20, 700);
        upkeep(&world);
    }
    let version = world.store().version();
    assert!(version.runs.len() < 12, "{}", version.runs.len());
    assert!(world.store().read_log(Sequence(0), 10).unwrap().len() == 10);
    world.assert_sound();
}

#[test]
fn a_trimmed_log_leaves_packs_of_what_lives() {
    let mut world = World::new(2);
    for _ in 0..10 {
        commit_values(&mut world, 0..40, 900);
    }
    let before = world.store().version();
    let model = world.model.clone();
    world.store().checkpoint().unwrap();
    let head = world.model.sequence();
    world.model.trim(head.next());
    world.store().trim_log(head.next()).unwrap();
    upkeep(&world);
    let version = world.store().version();
    let packs = version.files.iter().filter(|(_, file)| matches!(file, ValueFile::Pack(_))).count();
    assert!(packs > 0, "nothing was packed");
    let sealed = version.segments().filter(|segment| segment.base_sequence() < head).count();
    assert_eq!(sealed, 0, "segments that nobody needs are there");
    world.assert_sound();
    assert_reads(&before, &model).unwrap();
    world.open().unwrap();
    world.assert_sound();
}

#[test]
fn a_pack_of_which_little_lives_is_packed_again() {
    let mut world = World::new(6);
    commit_values(&mut world, 0..40, 900);
    world.store().checkpoint().unwrap();
    trim_all(&mut world);
    upkeep(&world);
    let packs = |world: &World| -> Vec<u32> {
        let version = world.store().version();
        let packs = version.files.iter().filter(|(_, file)| matches!(file, ValueFile::Pack(_)));
        packs.map(|(number, _)| *number).collect()
    };
    let before = packs(&world);
    assert_eq!(before.len(), 1);
    // Runs are merged as they become many, and merging tells what has been replaced.
    for _ in 0..4 {
        commit_values(&mut world, 0..35, 900);
        world.store().checkpoint().unwrap();
        upkeep(&world);
    }
    assert!(!packs(&world).contains(&before[0]), "it still takes its whole room");
    world.assert_sound();
}

fn trim_all(world: &mut World) {
    let before = world.model.sequence().next();
    world.model.trim(before);
    world.store().trim_log(before).unwrap();
}

#[test]
fn packs_of_empty_values_are_left_alone() {
    let mut world = World::new(5);
    commit_values(&mut world, 0..40, 0);
    world.store().checkpoint().unwrap();
    let before = world.model.sequence().next();
    world.model.trim(before);
    world.store().trim_log(before).unwrap();
    let times = (0..50).take_while(|_| world.store().maintain().unwrap()).count();
    assert!(times < 10, "upkeep never comes to its end");
    world.assert_sound();
}

#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    let mut world = World::new(3);
    commit_values(&mut world, 0..10, 900);
    world.disk.set_capacity_bytes(100 << 10);
    let mut key = 10;
    let error = loop {
        let mut next = world.model.clone();
        let group = next.group([vec![put(Space::Documents, [key], vec![7; 3000])]]);
        match world.store().commit(world.model.sequence(), &group) {
            Ok(_) => world.model = next,
            Err(error) => break error,
        }
        key += 1;
        assert!(key < 200, "the disk never fills");
    };
    assert!(matches!(&error, StorageError::Io(_)), "{error}");
    assert_reads(&world.store().version(), &world.model).unwrap();

    world.disk.set_capacity_bytes(1 << 30);
    world.open().unwrap();
    world.assert_recovered();
    commit_values(&mut world, 300..310, 900);
    world.assert_sound();
}

#[test]
fn a_scan_that_ends_early_says_that_there_is_more() {
    let mut world = World::new(4);
    commit_values(&mut world, 0..9, 10);
    world.store().checkpoint().unwrap();
    commit_values(&mut world, 4..12, 10);
    let version = world.store().version();
    let page = version.scan(Space::Documents, &KeyRange::all(), Direction::Backward, 5).unwrap();
    assert_eq!((page.entries.len(), page.more), (5, true));
    let page = version.scan(Space::Documents, &KeyRange::all(), Direction::Forward, 12).unwrap();
    assert_eq!((page.entries.len(), page.more), (12, false));
}

#[test]
fn commits_wait_for_a_merge_when_runs_pile_up() {
    let mut world = World::new(5);
    for _ in 0..40 {
        commit_values(&mut world, 0..2, 10);
        world.store().checkpoint().unwrap();
    }
    assert!(world.store().version().runs.len() <= 33, "{}", world.store().version().runs.len());
    world.assert_sound();
}

#[test]
fn readers_get_the_newest_version_and_keep_no_other() {
    let mut world = World::new(6);
    commit_values(&mut world, 0..1, 10);
    let older = std::sync::Arc::downgrade(&*world.store().snapshot());
    commit_values(&mut world, 1..2, 10);
    assert!(older.upgrade().is_none(), "nobody reads it any more");
    assert_eq!(*world.store().snapshot().head, *world.model.head());
}
