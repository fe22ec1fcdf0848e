//! Several runs read or written as one.

use super::*;
use crate::run::{MergeCursor, merge};

/// The map that the models, the newest first, make together, and the positions that it lost.
fn merged(models: &[Model], forget_removed: bool) -> (Model, Vec<Position>) {
    let (mut result, mut lost) = (Model::new(), Vec::new());
    for model in models.iter().rev() {
        for (key, slot) in model {
            if let Some(OwnedSlot::At(position)) = result.insert(key.clone(), slot.clone()) {
                lost.push(position);
            }
        }
    }
    if forget_removed {
        result.retain(|_, slot| *slot != OwnedSlot::Removed);
    }
    (result, lost)
}

fn sorted(mut positions: Vec<Position>) -> Vec<[u8; Position::STORED_BYTES]> {
    positions.sort_by_key(|position| position.to_bytes());
    positions.into_iter().map(Position::to_bytes).collect()
}

fn runs(disk: &SimulatedDisk, models: &[Model]) -> Vec<Arc<Run>> {
    let numbered = models.iter().zip(1..);
    numbered
        .map(|(model, number)| {
            write(disk, number, model, number % 2 == 0);
            open(disk, number)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn merged_runs_say_what_the_newest_says(
        models in proptest::collection::vec(any_model(80), 0..6),
        forget_removed in any::<bool>(),
    ) {
        let disk = SimulatedDisk::new(1);
        let runs = runs(&disk, &models);
        let (expected, expected_lost) = merged(&models, forget_removed);
        let expected_keys = runs.iter().map(|run| run.filtered_keys()).sum();
        let mut writer = RunWriter::create(&disk, &path(99), 99, expected_keys, true).unwrap();
        let mut lost = Vec::new();
        merge(&runs, &mut writer, forget_removed, &mut |position| lost.push(position)).unwrap();
        prop_assert_eq!(writer.finish().unwrap().entries, expected.len() as u64);
        prop_assert_eq!(sorted(lost), sorted(expected_lost));
        let run = open(&disk, 99);
        let read = read(&mut whole(&run, Direction::Forward, Reading::ThroughCache));
        prop_assert_eq!(read, expected.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(faults(&run), PhysicalReport::default());
    }

    #[test]
    fn a_merging_cursor_walks_both_ways_within_bounds(
        models in proptest::collection::vec(any_model(60), 0..6),
        start in any_key(),
        end in proptest::option::of(any_key()),
    ) {
        let disk = SimulatedDisk::new(1);
        let runs = runs(&disk, &models);
        let (mut expected, _) = merged(&models, false);
        expected.retain(|key, _| *key >= start && end.as_ref().is_none_or(|end| key < end));
        let mut expected: Vec<_> = expected.into_iter().collect();
        for direction in [Direction::Forward, Direction::Backward] {
            let cursor = |run: &Arc<Run>| -> Box<dyn Cursor> {
                Box::new(run.cursor(&start, end.as_deref(), direction, Reading::ThroughCache).unwrap())
            };
            let mut merged = MergeCursor::new(runs.iter().map(cursor).collect(), direction);
            prop_assert_eq!(read(&mut merged), expected.clone());
            merged.advance().unwrap();
            prop_assert!(merged.entry().is_none(), "the end stays the end");
            expected.reverse();
        }
    }
}

#[test]
fn a_damaged_input_ends_the_merge() {
    let disk = SimulatedDisk::new(1);
    write(&disk, 1, &small_model(), false);
    let run = open(&disk, 1);
    nimbus_io::Disk::open(&disk, &path(1)).unwrap().write_at(5000, &[0xAA; 8]).unwrap();
    let mut writer = RunWriter::create(&disk, &path(2), 2, 600, false).unwrap();
    assert!(merge(&[run], &mut writer, true, &mut |_| {}).is_err());
}
