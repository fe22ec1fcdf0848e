//! Who may touch the folder: a store until it is closed, and what it leaves there when something fails.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use nimbus_io::{Disk, Fault, Operation, Unsynced};
use nimbus_namespace::StorageError;
use nimbus_types::Sequence;

use super::world::{World, assert_reads, folder};
use crate::cache::Budget;
use crate::name::{FileName, Kind};
use crate::store::Store;

/// Four runs to be merged, and sealed segments to be packed behind them.
fn with_work(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..4 {
        for _ in 0..3 {
            world.commit().unwrap();
        }
        world.store().checkpoint().unwrap();
    }
    let before = world.model.sequence().next();
    world.model.trim(before);
    world.store().trim_log(before).unwrap();
    world
}

fn closed() -> StorageError {
    StorageError::Unavailable("closed by a test".into())
}

#[test]
fn a_closed_store_changes_no_file() {
    let mut world = with_work(1);
    world.commit().unwrap();
    world.store().close(closed());
    let before = world.disk.operations();
    world.store().checkpoint().unwrap();
    assert!(!world.store().maintain().unwrap());
    assert!(!world.store().prepare_spare().unwrap());
    assert!(matches!(world.store().compact_fully(), Err(StorageError::Unavailable(_))));
    assert!(matches!(world.store().trim_log(Sequence(1_000)), Err(StorageError::Unavailable(_))));
    assert_eq!(world.disk.operations(), before);
    world.open().unwrap();
    world.assert_sound();
}

/// Nobody knows what a failed write has left, so nothing may be written behind it or over it.
#[test]
fn after_a_failed_write_nothing_is_written_until_the_tenant_is_reopened() {
    for (operation, is_commit) in [(Operation::Write, true), (Operation::Rename, false)] {
        let mut world = with_work(5);
        world.commit().unwrap();
        world.disk.place_fault(Some(operation), 1, Fault::InputOutputError);
        let failed = if is_commit { world.commit() } else { world.store().checkpoint() };
        assert!(matches!(failed, Err(StorageError::Io(_))), "{failed:?}");
        assert!(world.store().has_stopped());
        let (before, unacknowledged) = (world.disk.operations(), world.unacknowledged.clone());
        assert!(matches!(world.commit(), Err(StorageError::Io(_))));
        assert!(matches!(world.store().trim_log(Sequence(1_000)), Err(StorageError::Io(_))));
        assert_reads(&world.store().version(), &world.model).unwrap();
        assert_eq!(world.disk.operations(), before);
        world.open().unwrap();
        world.unacknowledged = unacknowledged;
        world.assert_recovered();
        world.commit().unwrap();
        world.assert_sound();
    }
}

#[test]
fn closing_waits_for_upkeep() {
    assert_closing_waits("merging and packing", |store, meanwhile| {
        let _held = store.reshaping.lock();
        meanwhile();
    });
    assert_closing_waits("a checkpoint", |store, meanwhile| {
        let _held = store.upkeep.lock();
        meanwhile();
    });
    assert_closing_waits("a segment being made", |store, meanwhile| {
        let _held = store.making.lock();
        meanwhile();
    });
}

fn assert_closing_waits(for_what: &str, holding: impl Fn(&Store, &dyn Fn())) {
    let world = with_work(2);
    let store = world.store();
    thread::scope(|scope| {
        holding(store, &|| {
            let closing = scope.spawn(|| store.close(closed()));
            // Time in which one that did not wait would be found out.
            thread::sleep(Duration::from_millis(30));
            assert!(!closing.is_finished(), "it did not wait for {for_what}");
        });
    });
    assert!(store.has_stopped());
}

#[test]
fn what_nobody_needs_is_gone_once_a_tenant_has_been_opened() {
    let mut world = with_work(6);
    for name in ["run-0000000900", "pack-0000000901", "segment-0000000000", "manifest.new"] {
        world.disk.create(&folder().join(name), 4096).unwrap();
    }
    // What is not ours is left alone.
    world.disk.create(&folder().join("notes"), 1).unwrap();
    let ours = |world: &World| {
        let files = world.disk.list(&folder()).unwrap();
        files.into_iter().filter(|path| !path.ends_with("manifest")).collect::<Vec<_>>()
    };
    world.open().unwrap();
    let version = world.store().version();
    for path in ours(&world) {
        let is_known = FileName::of(&path).is_some_and(|name| match name.kind {
            Kind::Run => version.runs.iter().any(|run| run.number() == name.number),
            Kind::Segment | Kind::Pack => version.file(name.number).is_some(),
        });
        assert!(is_known || path.ends_with("notes"), "{}", path.display());
    }
    assert!(ours(&world).contains(&folder().join("notes")));
    world.assert_sound();
}

/// A manifest whose sync failed is seen by whoever opens the tenant next, and may yet be lost.
#[test]
fn files_are_removed_only_under_a_manifest_that_is_durable() {
    for seed in 0..40 {
        let mut world = with_work(seed);
        let nth = 1 + world.below(4);
        world.disk.place_fault(Some(Operation::SyncDirectory), nth, Fault::InputOutputError);
        while world.store().maintain().is_ok_and(|more| more) {}
        world.open().unwrap();
        world.restart(Unsynced::Any);
        world.open().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        world.assert_recovered();
    }
}

#[test]
fn upkeep_that_fails_leaves_no_file_behind() {
    for nth in 1..60 {
        let world = with_work(3);
        world.disk.place_fault(None, nth, Fault::InputOutputError);
        let outcome = (|| {
            while world.store().maintain()? {}
            world.store().checkpoint()
        })();
        // A file that cannot be removed is removed when the tenant is next opened.
        if outcome.is_ok() || world.store().has_stopped() {
            continue;
        }
        let version = world.store().version();
        let runs = version.runs.iter().map(|run| FileName { number: run.number(), kind: Kind::Run });
        let known: BTreeSet<FileName> = runs.collect();
        for name in world.disk.list(&folder()).unwrap().iter().filter_map(|path| FileName::of(path)) {
            let is_known = match name.kind {
                Kind::Segment => true,
                Kind::Run => known.contains(&name),
                Kind::Pack => version.file(name.number).is_some(),
            };
            assert!(is_known, "operation {nth}: {name:?}");
        }
    }
}

#[test]
fn without_anything_to_write_down_a_short_memory_asks_for_nothing() {
    let mut world = World::new(4);
    world.surroundings.budget = Budget::new(1 << 10);
    world.open().unwrap();
    // A segment that was begun, and whose first frame was cut short, takes memory and holds no frame.
    world.store().writer.lock().since_checkpoint.memory.grow(1 << 10);
    assert!(world.surroundings.budget.is_short());
    assert!(!world.store().maintain().unwrap());
    assert!(!world.store().wants_upkeep());
}

/// A commit may fail while runs are being merged or values packed, which then must not be published.
#[test]
fn after_a_failed_write_files_are_not_reshaped() {
    let mut world = with_work(6);
    world.disk.place_fault(Some(Operation::Write), 1, Fault::InputOutputError);
    assert!(world.commit().is_err());
    let before = world.disk.operations();
    let reshaped = world.store().reshape(|_| (), |_| ());
    assert!(matches!(reshaped, Err(StorageError::Unavailable(_))), "{reshaped:?}");
    assert_eq!(world.disk.operations(), before);
}
