//! Changed bytes: always noticed, never believed.

use nimbus_io::Disk;
use nimbus_namespace::{Result, StorageError};

use super::super::format::HEADER_BYTES;
use super::*;

/// Opens the run and reads all of it in every way there is.
fn read_everything(disk: &SimulatedDisk, number: u32, model: &Model) -> Result<()> {
    let run = Arc::new(Run::open(disk, &path(number), number, &share())?);
    for direction in [Direction::Forward, Direction::Backward] {
        let mut cursor = run.cursor(&[], None, direction, Reading::PastCache)?;
        let mut left = model.len();
        while let Some((key, slot)) = cursor.entry() {
            assert_eq!(model.get(key), Some(&owned(slot)));
            left -= 1;
            cursor.advance()?;
        }
        assert_eq!(left, 0);
    }
    for (key, slot) in model {
        assert_eq!(run.get(key)?.as_ref(), Some(slot));
    }
    Ok(())
}

#[test]
fn a_changed_byte_anywhere_is_named_when_it_is_used_and_by_a_check() {
    for compress in [false, true] {
        let disk = SimulatedDisk::new(1);
        let model = small_model();
        let bytes = write(&disk, 1, &model, compress).file_bytes;
        let opened_before = open(&disk, 1);
        assert!(opened_before.parts.fences.blocks() >= 3);
        let file = disk.open(&path(1)).unwrap();
        // Every byte of the header, the filter, the fences and the footer, and every fifth of the blocks.
        let blocks = HEADER_BYTES as u64..opened_before.parts.footer.filter_offset;
        for offset in (0..bytes).filter(|offset| !blocks.contains(offset) || offset % 5 == 0) {
            let mut byte = [0];
            file.read_at(offset, &mut byte).unwrap();
            file.write_at(offset, &[byte[0] ^ (1 << (offset % 8))]).unwrap();
            let told = read_everything(&disk, 1, &model);
            let is_named = |told: &str| told.starts_with("run-1, offset ");
            assert!(
                matches!(&told, Err(StorageError::Corruption(told)) if is_named(told)),
                "offset {offset}: {told:?}"
            );
            let report = faults(&opened_before);
            assert!(report.faults.iter().all(|fault| is_named(&fault.location)), "{report:?}");
            assert_eq!(report.faults.len(), 1, "offset {offset}: {report:?}");
            file.write_at(offset, &byte).unwrap();
        }
        assert_eq!(faults(&opened_before), PhysicalReport::default());
        read_everything(&disk, 1, &model).unwrap();
    }
}

#[test]
fn each_length_but_the_right_one_is_refused() {
    let disk = SimulatedDisk::new(1);
    let model = small_model();
    let bytes = write(&disk, 1, &model, true).file_bytes;
    let mut content = vec![0; bytes as usize];
    disk.open(&path(1)).unwrap().read_at(0, &mut content).unwrap();
    content.extend([0; 64]);
    for length in
        (0..content.len()).filter(|length| *length as u64 != bytes && (length % 3 == 0 || *length < 200))
    {
        let number = 1000 + length as u32;
        disk.create(&path(number), 0).unwrap().write_at(0, &content[..length]).unwrap();
        let error = Run::open(&disk, &path(number), 1, &share()).err();
        assert!(matches!(error, Some(StorageError::Corruption(_))), "length {length}: {error:?}");
    }
}

#[test]
fn damage_in_one_block_does_not_hide_damage_in_another() {
    let disk = SimulatedDisk::new(1);
    write(&disk, 1, &small_model(), false);
    let run = open(&disk, 1);
    for block in [0, 2] {
        let offset = run.parts.fences.extent(block).start;
        disk.open(&path(1)).unwrap().write_at(offset + 10, b"damage").unwrap();
    }
    let report = faults(&run);
    assert_eq!(report.faults.len(), 2, "{report:?}");
    assert_eq!(report.faults[0].location, "run-1, offset 20");
}

#[test]
fn a_missing_file_and_a_file_of_another_number_are_damage() {
    let disk = SimulatedDisk::new(1);
    write(&disk, 1, &small_model(), false);
    disk.rename(&path(1), &path(2)).unwrap();
    for number in [1, 2] {
        let error = Run::open(&disk, &path(number), number, &share()).err();
        assert!(matches!(error, Some(StorageError::Corruption(_))), "{error:?}");
    }
}

proptest! {
    #[test]
    fn arbitrary_files_are_refused_without_a_panic(
        content in proptest::collection::vec(any::<u8>(), 0..400),
        with_header in any::<bool>(),
    ) {
        let disk = SimulatedDisk::new(1);
        let file = disk.create(&path(1), 0).unwrap();
        file.write_at(0, &content).unwrap();
        if with_header {
            file.write_at(0, &crate::run::format::header(1)).unwrap();
        }
        let error = Run::open(&disk, &path(1), 1, &share()).err();
        prop_assert!(matches!(error, Some(StorageError::Corruption(_))), "{:?}", error);
    }

    /// Checksums that match protect from nothing here: whoever wrote the file meant it.
    #[test]
    fn arbitrary_parts_under_right_checksums_are_read_without_a_panic(
        content in proptest::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..200),
        intervals in 0..3u32,
        fences in proptest::collection::vec(0..4u8, 0..20),
        honest in any::<bool>(),
    ) {
        use crate::run::fences::FencesBuilder;
        use crate::run::format::{Footer, HEADER_BYTES, header};
        use crate::run::sealed::{Place, seal};

        let (mut block, mut bytes) = ([&content[..], &[1, 0, 0, 0], &intervals.to_le_bytes()].concat(), header(1));
        seal(&block, Place { file: 1, block: 0 }, None, &mut bytes).unwrap();
        block.clear();
        let fences = if honest {
            let mut builder = FencesBuilder::default();
            builder.add(bytes.len() - HEADER_BYTES, &[]);
            builder.encode(&[1], &[1, 9])
        } else {
            fences
        };
        let offset = bytes.len() as u64;
        bytes.extend(&fences);
        let footer = Footer {
            entries: 3,
            blocks: 1,
            longest_block: 300,
            filter_offset: offset,
            fences_offset: offset,
            fences_checksum: crc32fast::hash(&fences),
            number: 1,
            ..Footer::default()
        };
        bytes.extend(footer.encode());
        let disk = SimulatedDisk::new(1);
        disk.create(&path(1), 0).unwrap().write_at(0, &bytes).unwrap();
        if let Ok(run) = Run::open(&disk, &path(1), 1, &share()).map(Arc::new) {
            let _ = run.get(&[1, 2]);
            for direction in [Direction::Forward, Direction::Backward] {
                if let Ok(mut cursor) = run.cursor(&[], None, direction, Reading::PastCache) {
                    while cursor.entry().is_some() && cursor.advance().is_ok() {}
                }
            }
            faults(&run);
        }
    }
}
