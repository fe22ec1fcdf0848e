//! Rest: what an idle store gives back, and that it goes on as before when it is used again.

use nimbus_io::{Disk, Unsynced};
use nimbus_namespace::Space;
use nimbus_namespace::conformance::put;
use nimbus_types::Sequence;

use super::world::{World, folder};
use crate::name::{FileName, Kind};
use crate::store::version::ValueFile;

const IDLE_MS: u64 = 10_000;

fn commit(world: &mut World, value_bytes: usize) {
    let expected = world.model.sequence();
    let group =
        world.model.group([vec![put(Space::Documents, expected.0.to_be_bytes(), vec![7; value_bytes])]]);
    world.store().commit(expected, &group).unwrap();
}

fn upkeep(world: &World) {
    while world.store().maintain().unwrap() {}
}

fn since_checkpoint_bytes(world: &World) -> u64 {
    world.store().writer.lock().since_checkpoint.memory.bytes()
}

#[test]
fn an_idle_store_gives_back_its_delta_its_frames_and_what_it_writes_by() {
    let mut world = World::new(1);
    commit(&mut world, 30_000);
    world.clock.advance_ms(IDLE_MS - 1);
    assert!(!world.store().wants_rest());
    upkeep(&world);
    assert!(since_checkpoint_bytes(&world) > 30_000, "it is not idle yet");

    world.clock.advance_ms(1);
    assert!(world.store().wants_rest());
    upkeep(&world);
    assert_eq!(since_checkpoint_bytes(&world), 0);
    {
        let writer = world.store().writer.lock();
        assert!(writer.active.is_none() && writer.buffer.capacity() == 0);
    }
    let version = world.store().version();
    assert!(version.delta.is_empty() && version.frozen.is_none());
    assert!(!world.store().wants_rest(), "it would never come to an end");
    world.assert_sound();
}

#[test]
fn a_store_that_holds_little_gives_back_its_buffer_only() {
    let mut world = World::new(2);
    commit(&mut world, 300);
    world.clock.advance_ms(IDLE_MS);
    upkeep(&world);
    assert_eq!(world.store().writer.lock().buffer.capacity(), 0);
    assert!(world.store().version().runs.is_empty(), "a run for so little");
    world.assert_sound();
}

#[test]
fn a_commit_puts_rest_off() {
    let mut world = World::new(3);
    commit(&mut world, 30_000);
    world.clock.advance_ms(IDLE_MS - 1);
    commit(&mut world, 300);
    world.clock.advance_ms(IDLE_MS - 1);
    assert!(!world.store().wants_rest());
}

#[test]
fn a_segment_made_ahead_goes_and_the_next_one_is_small() {
    let mut world = World::new(4);
    for _ in 0..4 {
        commit(&mut world, 14_000);
    }
    upkeep(&world);
    let spare = world.store().writer.lock().spare.as_ref().map(|spare| spare.number).unwrap();
    world.clock.advance_ms(IDLE_MS);
    upkeep(&world);
    let path = FileName { number: spare, kind: Kind::Segment }.path(&folder());
    assert!(!world.disk.list(&folder()).unwrap().contains(&path), "it takes room for nothing");

    commit(&mut world, 300);
    let first_segment = world.surroundings.sizes.first_segment;
    let blocks = world.store().writer.lock().active.as_ref().map(|active| active.blocks);
    assert_eq!(blocks, Some((first_segment / 4096) as u32));
    world.restart(Unsynced::Kept);
    world.open().unwrap();
    world.assert_recovered();
}

#[test]
fn a_store_that_was_opened_with_much_to_replay_comes_to_rest() {
    let mut world = World::new(5);
    commit(&mut world, 30_000);
    world.open().unwrap();
    assert!(!world.store().wants_rest());
    world.clock.advance_ms(IDLE_MS);
    upkeep(&world);
    assert_eq!(since_checkpoint_bytes(&world), 0);
    let version = world.store().version();
    assert!(version.files.iter().all(|(_, file)| matches!(file, ValueFile::Segment(_))));
    assert_eq!(world.store().read_log(Sequence(0), 9).unwrap().len(), 1);
    world.assert_sound();
}
