//! Bytes that nobody wrote: whatever they are, readers refuse them without a panic and without taking more
//! memory than the bytes do.

use std::path::Path;

use bytes::Bytes;
use nimbus_io::{AlignedBuffer, BLOCK_BYTES, Disk, SECTOR_BYTES, SimulatedDisk};
use nimbus_namespace::conformance::{CommitBuilder, put, remove};
use nimbus_namespace::{Space, StateDigest, StorageError};
use nimbus_types::Sequence;
use proptest::prelude::*;

use crate::frame::{self, Before, Frame, Inspected};
use crate::manifest::Manifest;
use crate::segment::SegmentHeader;

const SALT: u32 = 77;

/// A whole frame with changes of every kind.
fn written() -> AlignedBuffer {
    let mut builder = CommitBuilder::new();
    let group = builder.group((0..3_u8).map(|number| {
        vec![
            put(Space::Documents, [0, 0, 0, 1, number], vec![number; 900]),
            put(Space::Index, [0, 0, 0, 2, number], &[0, 0, 0, 1, number][..]),
            put(Space::Index, [0, 0, 0, 3, number], "own"),
            remove(Space::Meta, [number]),
        ]
    }));
    let digest = StateDigest::default();
    let before = Before { digest: &digest, sequence: Sequence(0), log_start: Sequence(1), previous_crc: 0 };
    let mut out = AlignedBuffer::default();
    let mut header = frame::write_group(&mut out, &mut Vec::new(), &before, &group).unwrap();
    header.seal(SALT, &mut out);
    out
}

/// Puts right the checksums of a frame's header and payload, as no accident would.
fn put_right(frame: &mut [u8]) {
    let used = 48 + u32::from_le_bytes(frame[8..12].try_into().unwrap()) as usize;
    if let Some(payload) = frame.get(48..used) {
        let crc = crc32fast::hash(payload);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
    }
    let crc = crc32fast::hash(&frame[4..48]);
    frame[..4].copy_from_slice(&crc.to_le_bytes());
}

/// Takes a frame for what it says it is.
fn take_apart(bytes: &[u8]) -> Inspected {
    let inspected = frame::inspect(bytes, SALT);
    if let Inspected::Frame(header) = inspected
        && let Ok(frame) = Frame::read(Bytes::copy_from_slice(&bytes[..header.used_bytes()]), header)
    {
        let changes = frame.changes().len();
        assert!(changes * 5 <= bytes.len() && header.last_sequence() >= Sequence(0));
        let logged: usize = frame.records().map(|record| record.changes.len()).sum();
        assert!(logged <= changes);
        let _ = frame.digest_after(&StateDigest::default());
    }
    inspected
}

#[test]
fn a_frame_that_is_whole_is_found_so() {
    assert!(matches!(take_apart(&written()), Inspected::Frame(_)));
}

proptest! {
    #[test]
    fn bytes_that_are_no_frame(bytes in prop::collection::vec(any::<u8>(), 0..3 * BLOCK_BYTES)) {
        prop_assert!(!matches!(take_apart(&bytes), Inspected::Frame(_)));
    }

    #[test]
    fn frames_that_have_changed_are_never_taken_for_whole(
        changed in prop::collection::vec((0..BLOCK_BYTES, 1..=u8::MAX), 1..4),
    ) {
        let whole = written();
        let mut bytes = whole.to_vec();
        for (at, change) in changed {
            bytes[at] ^= change;
        }
        prop_assert!(bytes == whole[..] || !matches!(take_apart(&bytes), Inspected::Frame(_)));
    }

    #[test]
    fn frames_that_are_wrong_under_right_checksums(
        changed in prop::collection::vec((8..200_usize, any::<u8>()), 1..6),
        length in prop::option::of(any::<u32>()),
        keep_salt in any::<bool>(),
    ) {
        let mut bytes = written().to_vec();
        for (at, value) in changed {
            bytes[at] = value;
        }
        if let Some(length) = length {
            bytes[8..12].copy_from_slice(&length.to_le_bytes());
        }
        if keep_salt {
            bytes[12..16].copy_from_slice(&SALT.to_le_bytes());
            bytes[36..40].fill(0);
        }
        put_right(&mut bytes);
        take_apart(&bytes);
    }

    #[test]
    fn sectors_that_are_no_header(bytes in prop::collection::vec(any::<u8>(), SECTOR_BYTES), put_right in any::<bool>()) {
        let mut sector: [u8; SECTOR_BYTES] = bytes.try_into().unwrap();
        if put_right {
            sector[..10].copy_from_slice(b"NIMBUSSG\x01\0");
            let crc = crc32fast::hash(&sector[..SECTOR_BYTES - 4]);
            sector[SECTOR_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        }
        let read = SegmentHeader::read(Path::new("/segment-0000000001"), &sector);
        prop_assert!(read.is_err() || sector[32..160].iter().any(u8::is_ascii_alphanumeric));
    }

    #[test]
    fn bytes_that_are_no_manifest(bytes in prop::collection::vec(any::<u8>(), 0..400), put_right in any::<bool>()) {
        let mut bytes = bytes;
        if put_right {
            bytes.splice(..bytes.len().min(16), *b"NIMBUSMF\x01\0\x04\0Acme");
            bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        }
        let disk = SimulatedDisk::new(1);
        let file = disk.create(Path::new("/manifest"), 0).unwrap();
        file.write_at(0, &bytes).unwrap();
        let read = Manifest::read(&disk, Path::new("/"));
        prop_assert!(matches!(read, Err(StorageError::Corruption(_))), "{read:?}");
    }
}
