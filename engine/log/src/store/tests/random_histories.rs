//! Random histories on a simulated machine: writes, upkeep, crashes and failures in any order, from a seed.
//!
//! `NIMBUS_SIMULATION_SEEDS` says how many histories are run (a few hundred unless it is set) and
//! `NIMBUS_SIMULATION_FIRST_SEED` where they begin; a failure names its seed.

use std::env;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use nimbus_io::{Disk, Fault, Operation, Unsynced};
use nimbus_namespace::conformance::CommitBuilder;
use nimbus_namespace::{Result, StorageError};
use nimbus_types::Sequence;

use super::damage::finds_damage;
use super::world::{World, assert_reads, folder};
use crate::store::writer::Spare;
use crate::store::{Store, Version};

const SEEDS: u64 = 300;
const STEPS: u64 = 60;

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// A snapshot and what it has to show for as long as it lives.
type Held = (Arc<Version>, CommitBuilder);

/// What a history holds on to while the log goes on.
#[derive(Default)]
struct Beside {
    snapshots: Vec<Held>,
    /// A segment that upkeep has made and not offered yet.
    made: Option<Spare>,
    /// A store that was closed after it had stopped, and may still have users.
    closed: Option<Store>,
}

fn step(world: &mut World, beside: &mut Beside) -> Result<()> {
    let held = &mut beside.snapshots;
    match world.below(22) {
        0..=6 => world.commit(),
        7 => world.commit_many(),
        8 => world.store().checkpoint(),
        9 | 10 => world.store().maintain().map(drop),
        11 => world.trim(),
        12 => {
            while world.store().maintain()? {}
            Ok(())
        }
        16 => {
            beside.clear();
            world.open()?;
            if !world.disk.is_powered() {
                return Err(StorageError::Io("power failed as the tenant was opened".into()));
            }
            world.assert_recovered();
            Ok(())
        }
        17 if beside.made.is_none() => {
            let number = world.store().writer.lock().draw_number()?;
            beside.made = Some(world.store().make_segment(number, 16 << (10 + world.below(3)))?);
            Ok(())
        }
        18 => {
            if let Some(spare) = beside.made.take() {
                world.store().offer_spare(spare);
            }
            Ok(())
        }
        19 => {
            if let Some(closed) = &beside.closed {
                let before = world.disk.operations();
                assert!(!closed.maintain()?);
                closed.checkpoint()?;
                let _refused = closed.trim_log(Sequence(u64::MAX));
                assert_eq!(world.disk.operations(), before, "a closed store changes nothing");
            }
            Ok(())
        }
        // Everything that the log does not need goes into packs, and packs into packs.
        20 => {
            world.trim_all()?;
            world.store().checkpoint()?;
            while world.store().maintain()? {}
            Ok(())
        }
        13 => {
            let read = assert_reads(&world.store().version(), &world.model);
            ended(world, read.and_then(|()| world.assert_log()))
        }
        14 => {
            held.push((world.store().version(), world.model.clone()));
            Ok(())
        }
        _ => {
            if let Some((version, model)) = held.pop() {
                return ended(world, assert_reads(&version, &model));
            }
            Ok(())
        }
    }
}

/// Reads fail only once power has.
fn ended(world: &World, read: Result<()>) -> Result<()> {
    assert!(read.is_ok() || !world.disk.is_powered(), "{read:?}");
    read
}

impl Beside {
    /// The store that it all belongs to goes.
    fn clear(&mut self) {
        self.snapshots.clear();
        self.made = None;
    }
}

fn place_fault(world: &World) {
    const OPERATIONS: [Option<Operation>; 9] = [
        None,
        None,
        Some(Operation::Write),
        Some(Operation::Sync),
        Some(Operation::Rename),
        Some(Operation::SyncDirectory),
        Some(Operation::Create),
        Some(Operation::Truncate),
        Some(Operation::Remove),
    ];
    const FAULTS: [Fault; 3] = [Fault::InputOutputError, Fault::CrashDuring, Fault::CrashAfter];
    let operation = OPERATIONS[world.below(OPERATIONS.len() as u64) as usize];
    let fault = FAULTS[world.below(FAULTS.len() as u64) as usize];
    // Kinds of operations that are seldom are met soon.
    let within = if matches!(operation, None | Some(Operation::Write)) { 25 } else { 4 };
    world.disk.place_fault(operation, 1 + world.below(within), fault);
}

/// Opens the tenant again, through crashes and failures of the recovery itself.
fn recover(world: &mut World) {
    for attempt in 0.. {
        if !world.disk.is_powered() {
            let unsynced = [Unsynced::Lost, Unsynced::Kept, Unsynced::Any][world.below(3) as usize];
            world.restart(unsynced);
        }
        if attempt < 3 && world.below(3) == 0 {
            place_fault(world);
        }
        match world.open() {
            Ok(()) => break,
            Err(StorageError::Io(_)) => assert!(attempt < 20, "recovery never comes to its end"),
            Err(error) => panic!("recovery failed: {error}"),
        }
    }
    if world.disk.is_powered() {
        // A fault that has been placed and not met yet may meet the check.
        let mut checked = Ok(());
        if world.below(4) == 0 {
            checked = world.store().maintain().map(drop);
        }
        if checked.is_ok() && world.disk.is_powered() {
            return world.assert_recovered();
        }
    }
    recover(world);
}

fn history(seed: u64) -> u64 {
    let mut world = World::new(seed);
    let mut beside = Beside::default();
    let is_faulty = world.below(4) != 0;
    for _ in 0..STEPS {
        if is_faulty && world.below(6) == 0 {
            place_fault(&world);
        }
        if let Err(error) = step(&mut world, &mut beside) {
            assert!(is_faulty && matches!(error, StorageError::Io(_)), "{error}");
            beside.clear();
            beside.closed = None;
            if let Some(store) = world.store.take().filter(|_| world.disk.is_powered()) {
                store.close(StorageError::Unavailable("the namespace has been reopened".into()));
                beside.closed = Some(store);
            }
            recover(&mut world);
        }
    }
    world.restart(Unsynced::Any);
    world.open().unwrap();
    world.assert_recovered();
    let contents = contents(&world);
    flip(&mut world);
    contents
}

/// A bit of any file turns over: the damage is told, or does not matter.
fn flip(world: &mut World) {
    world.store = None;
    let files = world.disk.list(&folder()).unwrap();
    let file = &files[world.below(files.len() as u64) as usize];
    world.disk.flip_bit(file).unwrap();
    finds_damage(world);
}

/// A hash of every byte of every file.
fn contents(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in world.disk.list(&folder()).unwrap() {
        let file = world.disk.open(&path).unwrap();
        let mut bytes = vec![0; file.size_bytes().unwrap() as usize];
        file.read_at(0, &mut bytes).unwrap();
        (path, bytes).hash(&mut hasher);
    }
    hasher.finish()
}

#[test]
fn whatever_fails_what_was_acknowledged_is_there() {
    let first = setting("NIMBUS_SIMULATION_FIRST_SEED", 0);
    for seed in first..first + setting("NIMBUS_SIMULATION_SEEDS", SEEDS) {
        let outcome = std::panic::catch_unwind(|| history(seed));
        assert!(outcome.is_ok(), "NIMBUS_SIMULATION_FIRST_SEED={seed} NIMBUS_SIMULATION_SEEDS=1");
    }
}

#[test]
fn the_same_seed_leaves_the_same_bytes() {
    for seed in 0..10 {
        assert_eq!(history(seed), history(seed), "seed {seed}");
    }
}
