//! Runs held against ordered maps, on the simulated disk.

mod damage;
mod merging;
mod reading;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use nimbus_io::SimulatedDisk;
use nimbus_namespace::{Direction, PhysicalReport};
use proptest::prelude::*;

use crate::cache::{Budget, Share};
use crate::position::Position;
use crate::run::writer::RunSummary;
use crate::run::{Reading, Run, RunCursor, RunWriter};
use crate::slot::{Cursor, OwnedSlot, Slot};

type Model = BTreeMap<Vec<u8>, OwnedSlot>;

fn path(number: u32) -> PathBuf {
    format!("/run-{number}").into()
}

fn share() -> Arc<Share> {
    Share::new(&Budget::new(64 << 20))
}

fn write(disk: &SimulatedDisk, number: u32, model: &Model, compress: bool) -> RunSummary {
    let mut writer = RunWriter::create(disk, &path(number), number, model.len() as u64, compress).unwrap();
    for (key, slot) in model {
        writer.add(key, slot.borrow()).unwrap();
    }
    writer.finish().unwrap()
}

fn open(disk: &SimulatedDisk, number: u32) -> Arc<Run> {
    Arc::new(Run::open(disk, &path(number), number, &share()).unwrap())
}

/// A disk with that one run, which is number 1.
fn run_of(model: &Model, compress: bool) -> Arc<Run> {
    let disk = SimulatedDisk::new(1);
    write(&disk, 1, model, compress);
    open(&disk, 1)
}

fn owned(slot: Slot<'_>) -> OwnedSlot {
    match slot {
        Slot::Removed => OwnedSlot::Removed,
        Slot::At(position) => OwnedSlot::At(position),
        Slot::Inline(value) => OwnedSlot::Inline(Bytes::copy_from_slice(value)),
    }
}

fn read(cursor: &mut dyn Cursor) -> Vec<(Vec<u8>, OwnedSlot)> {
    let mut entries = Vec::new();
    while let Some((key, slot)) = cursor.entry() {
        entries.push((key.to_vec(), owned(slot)));
        cursor.advance().unwrap();
    }
    entries
}

fn whole(run: &Arc<Run>, direction: Direction, reading: Reading) -> RunCursor {
    run.cursor(&[], None, direction, reading).unwrap()
}

fn faults(run: &Run) -> PhysicalReport {
    let mut report = PhysicalReport::default();
    run.check(&mut report);
    report
}

fn position(file: u32) -> Position {
    Position { file, block: 1, offset: 2, length: 3, checksum: 4 }
}

/// Keys of all spaces, many of which begin alike; some are long.
fn any_key() -> impl Strategy<Value = Vec<u8>> {
    (0..3u8, prop_oneof![4 => Just(1), 1 => Just(700)], proptest::collection::vec(0..4u8, 0..6)).prop_map(
        |(tag, repeated, ending)| {
            let mut key = vec![tag];
            key.extend(ending.iter().take(2).flat_map(|byte| vec![*byte; repeated]));
            key.extend(ending);
            key
        },
    )
}

fn any_slot() -> impl Strategy<Value = OwnedSlot> {
    prop_oneof![
        1 => Just(OwnedSlot::Removed),
        3 => (0..1_000_000u32).prop_map(|file| OwnedSlot::At(position(file))),
        2 => (any::<u8>(), 0..600usize).prop_map(|(byte, length)| OwnedSlot::Inline(vec![byte; length].into())),
    ]
}

fn any_model(most_entries: usize) -> impl Strategy<Value = Model> {
    proptest::collection::btree_map(any_key(), any_slot(), 0..most_entries)
}

/// A few blocks of entries of all kinds.
fn small_model() -> Model {
    let slot = |number: u32| match number % 5 {
        0 => OwnedSlot::Removed,
        1..=3 => OwnedSlot::At(position(number)),
        _ => OwnedSlot::Inline(Bytes::from(vec![number as u8; 40])),
    };
    (0..1000u32)
        .map(|number| (format!("{}key {number:05}", char::from((number / 101) as u8)).into(), slot(number)))
        .collect()
}
