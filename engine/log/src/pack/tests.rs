//! Packs on the simulated disk: what is read is what was added, and damage is named.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use nimbus_io::{Disk, Fault, Operation, SimulatedDisk, Unsynced};
use nimbus_namespace::{PhysicalReport, Result, StorageError};
use proptest::prelude::*;

use super::entries::BlockEntries;
use super::format::{BLOCK_BYTES, Encoding, Footer, encode_header, open_block, seal_block};
use super::writer::PackSummary;
use super::{Pack, PackWriter};
use crate::cache::{Budget, Share};
use crate::position::Position;

const NUMBER: u32 = 7;

fn path() -> &'static Path {
    Path::new("/pack-7")
}

fn share() -> Arc<Share> {
    Share::new(&Budget::new(64 * 1024 * 1024))
}

fn write(disk: &SimulatedDisk, entries: &[(Vec<u8>, Vec<u8>)]) -> (Vec<Position>, PackSummary) {
    let mut writer = PackWriter::create(disk, path(), NUMBER).unwrap();
    let add = |(key, value): &(Vec<u8>, Vec<u8>)| writer.add(key, value, crc32fast::hash(value)).unwrap();
    let positions = entries.iter().map(add).collect();
    (positions, writer.finish().unwrap())
}

/// Bytes that do not compress.
fn noise(seed: u32, bytes: usize) -> Vec<u8> {
    let mut state = u64::from(seed) * 2 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn open(disk: &SimulatedDisk) -> Result<Pack> {
    Pack::open(disk, path(), NUMBER, &share())
}

fn faults(pack: &Pack) -> PhysicalReport {
    let mut report = PhysicalReport::default();
    pack.check(&mut report);
    report
}

/// A file with these bytes on a disk of its own.
fn disk_with(bytes: &[u8]) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    disk.create(path(), 0).unwrap().write_at(0, bytes).unwrap();
    disk
}

fn contents(disk: &SimulatedDisk) -> Vec<u8> {
    let file = disk.open(path()).unwrap();
    let mut bytes = vec![0; file.size_bytes().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Opens, reads and checks, where only panics and wrong values count. Answers whether damage was named.
fn damage_is_named(disk: &SimulatedDisk, expected: &[(Position, Vec<u8>)]) -> bool {
    let pack = match open(disk) {
        Ok(pack) => pack,
        Err(StorageError::Corruption(message)) => {
            assert!(message.starts_with("pack-7, offset "), "{message}");
            return true;
        }
        Err(other) => panic!("not named as damage: {other}"),
    };
    for (position, value) in expected {
        match pack.read(*position) {
            Ok(read) => assert!(read == *value, "a wrong value was answered"),
            Err(StorageError::Corruption(_)) => {}
            Err(other) => panic!("not named as damage: {other}"),
        }
    }
    for entry in pack.entries().flatten() {
        assert_eq!(entry.1.length as usize, entry.2.len());
    }
    !faults(&pack).faults.is_empty()
}

/// Keys in order, values of all kinds of lengths.
fn many_entries() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let length = prop_oneof![Just(0), 1..400_usize, 4_000..40_000_usize];
    let value = (length, any::<bool>(), any::<u32>()).prop_map(|(length, is_noise, seed)| {
        if is_noise { noise(seed, length) } else { vec![seed as u8; length] }
    });
    prop::collection::btree_map(prop::collection::vec(any::<u8>(), 0..40), value, 0..60)
        .prop_map(|entries| entries.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_added_is_read(entries in many_entries()) {
        let disk = SimulatedDisk::new(1);
        let (positions, summary) = write(&disk, &entries);
        let pack = open(&disk).unwrap();
        prop_assert_eq!(summary.entries, entries.len() as u64);
        prop_assert_eq!(summary.file_bytes, contents(&disk).len() as u64);
        prop_assert_eq!((summary.file_bytes, summary.value_bytes), (pack.file_bytes(), pack.value_bytes()));
        for (position, (_, value)) in positions.iter().zip(&entries) {
            prop_assert!(pack.read(*position).unwrap() == *value);
        }
        let read: Vec<_> = pack.entries().collect::<Result<_>>().unwrap();
        let expected = entries.iter().zip(&positions);
        let expected: Vec<_> = expected
            .map(|((key, value), position)| (Bytes::from(key.clone()), *position, Bytes::from(value.clone())))
            .collect();
        prop_assert!(read == expected);
        prop_assert_eq!(faults(&pack), PhysicalReport::default());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(damage_is_named(&disk_with(&bytes), &[]));
        let _ = open_block(bytes.clone(), |bytes| vec![0; bytes]);
        let _ = BlockEntries::new(bytes.into()).count();
    }

    #[test]
    fn no_footer_makes_a_reader_panic(
        blocks in prop::collection::vec(any::<u8>(), 0..100), table in prop::collection::vec(0..130_u64, 0..5),
        cut in -40..40_i64, count in prop_oneof![Just(None), any::<u32>().prop_map(Some)],
    ) {
        let mut file = encode_header(NUMBER);
        file.extend_from_slice(&blocks);
        let table_offset = (file.len() as u64).saturating_add_signed(cut);
        let table: Vec<u8> = table.iter().flat_map(|offset| offset.to_le_bytes()).collect();
        let blocks = count.unwrap_or(table.len() as u32 / 8);
        let table_checksum = crc32fast::hash(&table);
        file.extend_from_slice(&table);
        file.extend(Footer { table_offset, blocks, table_checksum, entries: 1, value_bytes: 1 }.encode());
        prop_assert!(damage_is_named(&disk_with(&file), &[]));
    }

    #[test]
    fn no_content_under_a_right_checksum_makes_a_reader_panic(
        content in prop::collection::vec(any::<u8>(), 0..100), is_zstd in any::<bool>(), raw_bytes in 0..1_000_u32,
    ) {
        let mut block = content;
        seal_block(&mut block, 0, if is_zstd { Encoding::Zstd } else { Encoding::Raw }, raw_bytes);
        if let Ok(raw) = open_block(block, |bytes| vec![0; bytes]) {
            prop_assert_eq!(raw.len(), raw_bytes as usize);
            let _ = BlockEntries::new(raw).count();
        }
    }
}

/// A pack of a few blocks, compressed and not.
fn small_pack() -> (Vec<u8>, Vec<(Position, Vec<u8>)>) {
    let disk = SimulatedDisk::new(1);
    let mut entries: Vec<_> = (0..8_u8).map(|key| (vec![key], vec![key; 3_000])).collect();
    entries.push((vec![8], noise(8, 500)));
    entries.push((vec![9], Vec::new()));
    let (positions, _) = write(&disk, &entries);
    let values = entries.into_iter().map(|(_, value)| value);
    (contents(&disk), positions.into_iter().zip(values).collect())
}

#[test]
fn any_flipped_bits_are_named() {
    let (bytes, expected) = small_pack();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut flipped = bytes.clone();
            flipped[at] ^= flip;
            assert!(damage_is_named(&disk_with(&flipped), &expected), "byte {at} changed by {flip:#x}");
        }
    }
}

#[test]
fn a_check_reads_again_what_was_sound_when_it_was_opened() {
    let (bytes, _) = small_pack();
    for at in 0..bytes.len() {
        let disk = disk_with(&bytes);
        let pack = open(&disk).unwrap();
        disk.open(path()).unwrap().write_at(at as u64, &[!bytes[at]]).unwrap();
        let report = faults(&pack);
        assert!(!report.faults.is_empty(), "byte {at}");
        assert!(report.faults[0].location.starts_with("pack-7, offset "));
    }
}

#[test]
fn a_file_cut_short_or_lengthened_is_named() {
    let (bytes, expected) = small_pack();
    for length in 0..bytes.len() {
        assert!(damage_is_named(&disk_with(&bytes[..length]), &expected), "cut to {length}");
    }
    assert!(damage_is_named(&disk_with(&[&bytes[..], &[0; 512]].concat()), &expected));
}

#[test]
fn a_footer_that_counts_wrongly_is_named() {
    let (mut bytes, _) = small_pack();
    let footer_offset = bytes.len() - 36;
    let footer = Footer::decode(bytes[footer_offset..].try_into().unwrap()).unwrap();
    bytes.truncate(footer_offset);
    bytes.extend(Footer { entries: footer.entries + 1, ..footer }.encode());
    assert!(damage_is_named(&disk_with(&bytes), &[]));
}

#[test]
fn the_file_of_another_number_is_refused() {
    let (bytes, _) = small_pack();
    let opened = Pack::open(&disk_with(&bytes), path(), 8, &share());
    assert!(matches!(opened, Err(StorageError::Corruption(_))));
}

#[test]
fn a_position_that_was_not_given_is_refused() {
    let (bytes, expected) = small_pack();
    let disk = disk_with(&bytes);
    let pack = open(&disk).unwrap();
    let given = expected[0].0;
    for wrong in [
        Position { file: 6, ..given },
        Position { block: 1_000, ..given },
        Position { block: u32::MAX, ..given },
        Position { offset: given.offset + 1, ..given },
        Position { offset: u32::MAX, length: u32::MAX, ..given },
        Position { length: given.length - 1, ..given },
        Position { checksum: !given.checksum, ..given },
    ] {
        assert!(matches!(pack.read(wrong), Err(StorageError::Corruption(_))), "{wrong:?}");
    }
}

#[test]
fn values_larger_than_a_block_are_read() {
    let disk = SimulatedDisk::new(1);
    let entries = vec![
        (b"a".to_vec(), noise(1, 20 * 1024 * 1024)),
        (b"b".to_vec(), b"short".to_vec()),
        (b"c".to_vec(), vec![0; 20 * 1024 * 1024]),
    ];
    let (positions, summary) = write(&disk, &entries);
    assert!(summary.file_bytes < 21 * 1024 * 1024, "the zeros are compressed, the noise is not made larger");
    let pack = open(&disk).unwrap();
    for (position, (_, value)) in positions.iter().zip(&entries) {
        assert!(pack.read(*position).unwrap() == *value);
    }
    assert_eq!(positions.iter().map(|position| position.block).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_block_is_read_from_the_file_once() {
    let (bytes, expected) = small_pack();
    let disk = disk_with(&bytes);
    let share = share();
    let pack = Pack::open(&disk, path(), NUMBER, &share).unwrap();
    pack.read(expected[0].0).unwrap();
    pack.read(expected[1].0).unwrap();
    assert_eq!((share.hits(), share.misses()), (1, 1));
}

#[test]
fn going_through_the_entries_leaves_the_cache_alone() {
    let (bytes, _) = small_pack();
    let disk = disk_with(&bytes);
    let share = share();
    let pack = Pack::open(&disk, path(), NUMBER, &share).unwrap();
    let used = share.used();
    assert_eq!(pack.entries().count(), 10);
    assert_eq!((share.used(), share.misses()), (used, 0));
}

#[test]
fn entries_end_at_the_first_damage() {
    let (mut bytes, _) = small_pack();
    bytes[30] ^= 1;
    let disk = disk_with(&bytes);
    let pack = open(&disk).unwrap();
    let mut entries = pack.entries();
    assert!(matches!(entries.next(), Some(Err(StorageError::Corruption(_)))));
    assert!(entries.next().is_none());
}

#[test]
fn the_block_table_is_charged_while_the_pack_is_open() {
    let disk = SimulatedDisk::new(1);
    let entries: Vec<_> = (0..100_u8).map(|key| (vec![key], noise(u32::from(key), BLOCK_BYTES))).collect();
    write(&disk, &entries);
    let share = share();
    let pack = Pack::open(&disk, path(), NUMBER, &share).unwrap();
    assert_eq!(share.pinned(), (size_of::<Pack>() + 101 * 8) as u64);
    drop(pack);
    assert_eq!(share.pinned(), 0);
}

#[test]
fn a_finished_pack_outlives_a_crash() {
    let disk = SimulatedDisk::new(1);
    let entries: Vec<_> = (0..100_u8).map(|key| (vec![key], noise(u32::from(key), 30_000))).collect();
    let (positions, _) = write(&disk, &entries);
    disk.sync_directory(Path::new("/")).unwrap();
    disk.restart(Unsynced::Lost);
    let pack = open(&disk).unwrap();
    assert!(pack.read(positions[99]).unwrap() == entries[99].1);
    assert_eq!(faults(&pack), PhysicalReport::default());
}

#[test]
fn a_disk_that_fails_is_told_from_damage() {
    let (bytes, expected) = small_pack();
    let disk = disk_with(&bytes);
    let pack = open(&disk).unwrap();
    disk.crash();
    match pack.read(expected[0].0) {
        Err(StorageError::Io(message)) => assert!(message.starts_with("pack-7, offset 20: "), "{message}"),
        other => panic!("{other:?}"),
    }
    let other = SimulatedDisk::new(2);
    let mut writer = PackWriter::create(&other, path(), NUMBER).unwrap();
    writer.add(b"key", b"value", crc32fast::hash(b"value")).unwrap();
    other.place_fault(Some(Operation::Sync), 1, Fault::InputOutputError);
    assert!(matches!(writer.finish(), Err(StorageError::Io(_))));
}
