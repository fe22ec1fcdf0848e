//! Written, then read by key and by cursors.

use nimbus_io::{Fault, Operation};
use nimbus_namespace::StorageError;

use super::*;

fn expected(
    model: &Model,
    start: &[u8],
    end: Option<&[u8]>,
    direction: Direction,
) -> Vec<(Vec<u8>, OwnedSlot)> {
    let in_range = |key: &[u8]| key >= start && end.is_none_or(|end| key < end);
    let mut entries: Vec<_> = model
        .iter()
        .filter(|(key, _)| in_range(key))
        .map(|(key, slot)| (key.clone(), slot.clone()))
        .collect();
    if direction == Direction::Backward {
        entries.reverse();
    }
    entries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_run_reads_like_the_map_it_was_written_from(
        model in any_model(200),
        compress in any::<bool>(),
        asked in proptest::collection::vec(any_key(), 40),
        ranges in proptest::collection::vec((any_key(), proptest::option::of(any_key())), 8),
    ) {
        let run = run_of(&model, compress);
        prop_assert_eq!(run.parts.footer.entries, model.len() as u64);
        for key in model.keys().chain(&asked) {
            prop_assert_eq!(run.get(key).unwrap(), model.get(key).cloned());
        }
        let everything = (Vec::new(), None);
        for (start, end) in ranges.iter().chain([&everything]) {
            for direction in [Direction::Forward, Direction::Backward] {
                for reading in [Reading::ThroughCache, Reading::PastCache] {
                    let mut cursor = run.cursor(start, end.as_deref(), direction, reading).unwrap();
                    prop_assert_eq!(read(&mut cursor), expected(&model, start, end.as_deref(), direction));
                    cursor.advance().unwrap();
                    prop_assert!(cursor.entry().is_none(), "the end stays the end");
                }
            }
        }
        prop_assert_eq!(faults(&run), PhysicalReport::default());
    }
}

#[test]
fn big_keys_and_big_values_are_read_back_whole() {
    for compress in [false, true] {
        let mut model = small_model();
        for number in 0..20u8 {
            let mut key = vec![number % 3; 64 << 10];
            key.push(number);
            model.insert(key, OwnedSlot::At(position(number.into())));
            model.insert(vec![1, 0x61, number], OwnedSlot::Inline(vec![number; 300 << 10].into()));
        }
        let run = run_of(&model, compress);
        for (key, slot) in &model {
            assert_eq!(run.get(key).unwrap().as_ref(), Some(slot));
        }
        for direction in [Direction::Forward, Direction::Backward] {
            for reading in [Reading::ThroughCache, Reading::PastCache] {
                let read = read(&mut whole(&run, direction, reading));
                assert_eq!(read, expected(&model, &[], None, direction));
            }
        }
        assert_eq!(faults(&run), PhysicalReport::default());
    }
}

#[test]
fn an_empty_run_holds_nothing() {
    let run = run_of(&Model::new(), true);
    assert_eq!(
        (run.parts.footer.entries, run.get(b"\0key").unwrap(), run.get(b"\x01key").unwrap()),
        (0, None, None)
    );
    for direction in [Direction::Forward, Direction::Backward] {
        assert!(whole(&run, direction, Reading::ThroughCache).entry().is_none());
        assert!(run.cursor(b"a", Some(b"b"), direction, Reading::PastCache).unwrap().entry().is_none());
    }
    assert_eq!(faults(&run), PhysicalReport::default());
}

#[test]
fn only_reads_of_a_cursor_for_reads_fill_the_cache() {
    let disk = SimulatedDisk::new(1);
    write(&disk, 1, &small_model(), false);
    let share = share();
    let run = Arc::new(Run::open(&disk, &path(1), 1, &share).unwrap());
    let pinned = share.pinned();
    assert!(pinned > 0 && share.used() == pinned);
    read(&mut whole(&run, Direction::Forward, Reading::PastCache));
    faults(&run);
    assert_eq!(share.used(), pinned);
    read(&mut whole(&run, Direction::Forward, Reading::ThroughCache));
    assert!(share.used() >= pinned + 8 * 1024);
    drop(run);
    assert_eq!((share.used(), share.pinned()), (0, 0));
}

#[test]
fn compression_makes_a_run_of_like_entries_smaller() {
    let disk = SimulatedDisk::new(1);
    let plain = write(&disk, 1, &small_model(), false);
    let compressed = write(&disk, 2, &small_model(), true);
    assert_eq!((plain.entries, compressed.entries), (1000, 1000));
    assert!(compressed.file_bytes < plain.file_bytes / 2);
    assert_eq!(open(&disk, 2).file_bytes(), compressed.file_bytes);
}

#[test]
fn what_is_finished_survives_a_power_failure_and_what_is_not_cannot_be_opened() {
    let disk = SimulatedDisk::new(1);
    write(&disk, 1, &small_model(), false);
    let mut unfinished = RunWriter::create(&disk, &path(2), 2, 10, false).unwrap();
    unfinished.add(b"\0key", Slot::Removed).unwrap();
    nimbus_io::Disk::sync_directory(&disk, "/".as_ref()).unwrap();
    disk.restart(nimbus_io::Unsynced::Lost);
    assert_eq!(read(&mut whole(&open(&disk, 1), Direction::Forward, Reading::PastCache)).len(), 1000);
    let error = Run::open(&disk, &path(2), 2, &share()).err();
    assert!(matches!(error, Some(StorageError::Corruption(_))), "{error:?}");
}

#[test]
fn entries_out_of_order_are_refused() {
    let disk = SimulatedDisk::new(1);
    let mut writer = RunWriter::create(&disk, &path(1), 1, 10, false).unwrap();
    writer.add(b"\0b", Slot::Removed).unwrap();
    for key in [&b"\0b"[..], b"\0a", b"\0", b""] {
        assert!(writer.add(key, Slot::Removed).is_err());
    }
}

#[test]
fn a_failed_write_or_sync_is_an_input_output_error() {
    for operation in [Operation::Write, Operation::Sync] {
        let disk = SimulatedDisk::new(1);
        let mut writer = RunWriter::create(&disk, &path(1), 1, 10, false).unwrap();
        writer.add(b"\0b", Slot::Removed).unwrap();
        disk.place_fault(Some(operation), 1, Fault::InputOutputError);
        let error = writer.finish().err();
        assert!(matches!(&error, Some(StorageError::Io(told)) if told.starts_with("run-1: ")), "{error:?}");
    }
}
