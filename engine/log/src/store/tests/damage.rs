//! Bits that flip: at rest in every file, and on the way to the medium.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nimbus_io::{BLOCK_BYTES, Disk, Fault, Operation, SECTOR_BYTES};
use nimbus_namespace::StorageError;

use super::world::{World, assert_reads, folder, is_corruption};
use crate::frame;
use crate::name::{FileName, Kind};

/// A tenant with sealed and unsealed segments, runs and packs.
fn grown(seed: u64) -> World {
    let mut world = World::new(seed);
    for round in 0..8 {
        for _ in 0..4 {
            world.commit().unwrap();
        }
        if round % 2 == 1 {
            world.store().checkpoint().unwrap();
        }
        if round == 4 {
            world.trim().unwrap();
            while world.store().maintain().unwrap() {}
        }
    }
    for _ in 0..3 {
        world.commit().unwrap();
    }
    world.store = None;
    world
}

fn files(world: &World) -> Vec<PathBuf> {
    world.disk.list(&folder()).unwrap()
}

fn bytes_of(world: &World, path: &Path) -> Vec<u8> {
    let file = world.disk.open(path).unwrap();
    let mut bytes = vec![0; file.size_bytes().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Where the header and the frames of a segment end; zeros are behind it.
fn used_bytes(segment: &[u8]) -> usize {
    let mut block = 1;
    while let Some(header) = segment.get(block * BLOCK_BYTES..).and_then(frame::header_of) {
        block += header.blocks() as usize;
    }
    block * BLOCK_BYTES
}

/// Whether a byte at that place is one that was acknowledged.
fn matters(path: &Path, bytes: &[u8], offset: usize) -> bool {
    match FileName::of(path).map(|name| name.kind) {
        Some(Kind::Segment) => offset < SECTOR_BYTES || (BLOCK_BYTES..used_bytes(bytes)).contains(&offset),
        _ => true,
    }
}

/// Reads everything and scrubs. Whether damage was reported; wrong data fails the test.
pub(super) fn finds_damage(world: &mut World) -> bool {
    if let Err(error) = world.open() {
        assert!(is_corruption(&error) || matches!(error, StorageError::Unavailable(_)), "{error}");
        return true;
    }
    assert_eq!(*world.store().head(), *world.model.head());
    for read in [assert_reads(&world.store().version(), &world.model), world.assert_log()] {
        assert!(read.as_ref().err().is_none_or(is_corruption), "{read:?}");
    }
    !world.store().check().faults.is_empty()
}

#[test]
fn a_bit_that_flips_at_rest_is_found_and_never_returned() {
    let mut met: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..12 {
        for file in 0..files(&grown(seed)).len() {
            let mut world = grown(seed);
            let path = files(&world)[file].clone();
            let before = bytes_of(&world, &path);
            for _ in 0..4 {
                let Some(offset) = world.disk.flip_bit(&path).unwrap() else { continue };
                let found = finds_damage(&mut world);
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if matters(&path, &before, offset as usize) {
                    assert!(found, "seed {seed}, {name}, offset {offset} of {}", before.len());
                    *met.entry(name.split('-').next().unwrap().to_owned()).or_default() += 1;
                    break;
                }
            }
        }
    }
    for kind in ["manifest", "segment", "run", "pack"] {
        assert!(met.get(kind).is_some_and(|times| *times > 5), "{kind} was hardly met: {met:?}");
    }
}

/// The last frame is the one that could be taken for a torn one, and cut off.
#[test]
fn any_bit_of_the_last_acknowledged_frame_is_found() {
    let path = {
        let world = grown(3);
        files(&world)
            .into_iter()
            .rfind(|path| FileName::of(path).is_some_and(|name| name.kind == Kind::Segment))
            .unwrap()
    };
    let mut world = grown(3);
    let whole = bytes_of(&world, &path);
    let end = used_bytes(&whole);
    let mut begin = BLOCK_BYTES;
    while let Some(header) = frame::header_of(&whole[begin..]) {
        let next = begin + header.blocks() as usize * BLOCK_BYTES;
        if next >= end {
            break;
        }
        begin = next;
    }
    for offset in (begin..end).step_by(3) {
        let file = world.disk.open(&path).unwrap();
        file.write_at(offset as u64, &[whole[offset] ^ 0x08]).unwrap();
        let opened = world.open();
        assert!(opened.as_ref().err().is_some_and(is_corruption), "offset {offset}: {opened:?}");
        file.write_at(offset as u64, &[whole[offset]]).unwrap();
    }
    world.open().unwrap();
    world.assert_sound();
}

/// A frame that is whole, but not the one that was written there.
#[test]
fn a_frame_that_does_not_follow_the_one_before_is_refused() {
    let mut world = World::new(9);
    for _ in 0..3 {
        world.commit().unwrap();
    }
    world.store = None;
    let (path, whole) = last_segment(&world);
    let last = *frames(&whole).last().unwrap();
    let mut header = whole[last..last + 48].to_vec();
    header[32] ^= 1;
    let crc = crc32fast::hash(&header[4..]);
    header[..4].copy_from_slice(&crc.to_le_bytes());
    world.disk.open(&path).unwrap().write_at(last as u64, &header).unwrap();
    let opened = world.open();
    assert!(opened.as_ref().err().is_some_and(is_corruption), "{opened:?}");
}

/// The newest segment, whole.
fn last_segment(world: &World) -> (PathBuf, Vec<u8>) {
    let is_segment = |path: &PathBuf| FileName::of(path).is_some_and(|name| name.kind == Kind::Segment);
    let path = files(world).into_iter().rfind(is_segment).unwrap();
    let whole = bytes_of(world, &path);
    (path, whole)
}

/// Where the frames of a segment begin.
fn frames(segment: &[u8]) -> Vec<usize> {
    let mut begins = Vec::new();
    let mut begin = BLOCK_BYTES;
    while let Some(header) = segment.get(begin..).and_then(frame::header_of) {
        begins.push(begin);
        begin += header.blocks() as usize * BLOCK_BYTES;
    }
    begins
}

/// What a lost sector leaves looks like a torn write, and is none: whole frames follow.
#[test]
fn a_sector_that_is_lost_within_the_log_is_found() {
    let mut world = grown(3);
    let (path, whole) = last_segment(&world);
    let begins = frames(&whole);
    assert!(begins.len() > 2);
    let last = *begins.last().unwrap();
    for offset in (begins[0]..last).step_by(SECTOR_BYTES) {
        let sector = &whole[offset..offset + SECTOR_BYTES];
        if sector.iter().all(|byte| *byte == 0) {
            continue;
        }
        let file = world.disk.open(&path).unwrap();
        file.write_at(offset as u64, &[0; SECTOR_BYTES]).unwrap();
        let opened = world.open();
        assert!(opened.as_ref().err().is_some_and(is_corruption), "offset {offset}: {opened:?}");
        file.write_at(offset as u64, sector).unwrap();
    }
    world.open().unwrap();
    world.assert_sound();
}

#[test]
fn a_segment_that_is_not_this_tenants_or_does_not_follow_is_refused() {
    // A byte of the number, of the crc before, and of the tenant's id.
    for at in [12, 20, 32] {
        let mut world = grown(3);
        let (path, whole) = last_segment(&world);
        let mut sector = whole[..SECTOR_BYTES].to_vec();
        sector[at] ^= 3;
        let crc = crc32fast::hash(&sector[..SECTOR_BYTES - 4]);
        sector[SECTOR_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        world.disk.open(&path).unwrap().write_at(0, &sector).unwrap();
        let opened = world.open();
        assert!(opened.as_ref().err().is_some_and(is_corruption), "byte {at}: {opened:?}");
    }
}

/// Frames that memory has a copy of are compared with the medium.
#[test]
fn a_check_finds_what_has_changed_under_an_open_tenant() {
    let mut world = grown(3);
    let (path, whole) = last_segment(&world);
    world.open().unwrap();
    let at = frames(&whole)[0] + 100;
    world.disk.open(&path).unwrap().write_at(at as u64, &[!whole[at]]).unwrap();
    assert_eq!(world.store().check().faults.len(), 1);
}

#[test]
fn a_bit_that_flips_on_the_way_is_found_and_never_returned() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        for nth in 0..20 {
            if nth == 10 {
                world.disk.place_fault(Some(Operation::Write), 1 + world.below(4), Fault::FlippedBit);
            }
            world.commit().unwrap();
            if nth % 7 == 6 {
                // A run that is not as written may be found out as it is opened.
                let checkpoint = world.store().checkpoint();
                assert!(checkpoint.as_ref().err().is_none_or(is_corruption), "{checkpoint:?}");
            }
        }
        world.store = None;
        finds_damage(&mut world);
    }
}

#[test]
fn a_file_that_is_missing_is_named() {
    for file in 0..files(&grown(5)).len() {
        let mut world = grown(5);
        let path = files(&world)[file].clone();
        let is_last_segment = files(&world)
            .iter()
            .rfind(|path| FileName::of(path).is_some_and(|name| name.kind == Kind::Segment))
            == Some(&path);
        world.disk.remove(&path).unwrap();
        let outcome = world.open().map(|()| world.store().check());
        let told = match &outcome {
            Err(error) => is_corruption(error),
            Ok(report) => !report.faults.is_empty(),
        };
        // Nothing refers to the newest segment but the log itself.
        assert!(told || is_last_segment, "{}: {outcome:?}", path.display());
    }
}
