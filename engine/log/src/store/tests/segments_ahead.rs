//! Segments that are made ahead, beside a log that may go on without them.

use nimbus_io::{Disk, Unsynced};

use super::world::{World, folder};
use crate::name::{FileName, Kind};
use crate::store::writer::Spare;

/// What upkeep does while it makes a segment, up to where it offers it.
fn made(world: &World) -> Spare {
    let number = world.store().writer.lock().draw_number().unwrap();
    world.store().make_segment(number, 32 << 10).unwrap()
}

/// Commits until the log has gone past a segment that is being made.
fn go_past(world: &mut World) {
    // Few enough that no checkpoint is due.
    for _ in 0..8 {
        world.commit().unwrap();
    }
}

#[test]
fn one_that_the_log_went_past_is_no_gap() {
    let mut world = World::new(1);
    world.commit().unwrap();
    let spare = made(&world);
    go_past(&mut world);
    assert!(world.store().writer.lock().newest_segment > spare.number);
    world.restart(Unsynced::Kept);
    world.open().unwrap();
    world.assert_recovered();
    let path = FileName { number: spare.number, kind: Kind::Segment }.path(&folder());
    assert!(!world.disk.list(&folder()).unwrap().contains(&path), "it is of no use any more");
}

#[test]
fn one_that_comes_too_late_is_not_written_to() {
    let mut world = World::new(2);
    world.commit().unwrap();
    let spare = made(&world);
    go_past(&mut world);
    world.store().checkpoint().unwrap();
    world.store().offer_spare(spare);
    world.commit().unwrap();
    world.open().unwrap();
    world.assert_recovered();
}

#[test]
fn one_that_comes_in_time_is_used() {
    let mut world = World::new(3);
    world.commit().unwrap();
    let spare = made(&world);
    let number = spare.number;
    world.store().offer_spare(spare);
    go_past(&mut world);
    assert!(world.store().version().file(number).is_some());
    world.open().unwrap();
    world.assert_recovered();
}
