//! One history, cut off after each single operation of the disk, and during each.

use nimbus_io::{Fault, Unsynced};
use nimbus_namespace::{Result, StorageError};

use super::world::World;

const SEED: u64 = 7;

/// Writes, a checkpoint, merging and packing.
fn script(world: &mut World) -> Result<()> {
    for round in 0..6 {
        for _ in 0..5 {
            world.commit()?;
        }
        world.store().checkpoint()?;
        if round % 2 == 1 {
            world.trim()?;
        }
        while world.store().maintain()? {}
    }
    world.commit()
}

/// How many operations the script takes on an empty tenant.
fn operations() -> u64 {
    let mut world = World::new(SEED);
    let before = world.disk.operations();
    script(&mut world).unwrap();
    world.assert_sound();
    assert!(!world.store().version().runs.is_empty());
    world.disk.operations() - before
}

#[test]
fn a_crash_after_or_during_any_operation_loses_nothing_acknowledged() {
    for nth in 1..=operations() {
        for (fault, unsynced) in [
            (Fault::CrashAfter, Unsynced::Lost),
            (Fault::CrashAfter, Unsynced::Kept),
            (Fault::CrashDuring, Unsynced::Any),
        ] {
            let mut world = World::new(SEED);
            world.disk.place_fault(None, nth, fault);
            // The last operation may be acknowledged by a script that comes to its end.
            if let Err(error) = script(&mut world) {
                assert!(matches!(error, StorageError::Io(_)), "operation {nth}, {fault:?}: {error}");
            }
            world.restart(unsynced);
            world.open().unwrap_or_else(|error| panic!("operation {nth}, {fault:?}, {unsynced:?}: {error}"));
            world.assert_recovered();
            world.commit().unwrap();
            world.assert_sound();
        }
    }
}

#[test]
fn a_crash_at_any_operation_of_recovery_loses_nothing_acknowledged() {
    let crashed = |nth| {
        let mut world = World::new(SEED);
        world.disk.place_fault(None, nth, Fault::CrashDuring);
        let _ = script(&mut world);
        world.restart(Unsynced::Any);
        world
    };
    for nth in (1..=operations()).step_by(7) {
        for recovery_nth in 1.. {
            let mut world = crashed(nth);
            world.disk.place_fault(None, recovery_nth, Fault::CrashDuring);
            if world.open().is_ok() && world.disk.is_powered() {
                break;
            }
            world.restart(Unsynced::Any);
            world.open().unwrap_or_else(|error| panic!("operations {nth} and {recovery_nth}: {error}"));
            world.assert_recovered();
        }
    }
}

#[test]
fn an_error_of_any_operation_is_told_and_loses_nothing() {
    for nth in 1..=operations() {
        let mut world = World::new(SEED);
        world.disk.place_fault(None, nth, Fault::InputOutputError);
        let outcome = script(&mut world);
        assert!(matches!(outcome, Ok(()) | Err(StorageError::Io(_))), "operation {nth}: {outcome:?}");
        world.open().unwrap_or_else(|error| panic!("operation {nth}: {error}"));
        world.assert_recovered();
        script(&mut world).unwrap_or_else(|error| panic!("operation {nth}, afterwards: {error}"));
        world.assert_sound();
    }
}
