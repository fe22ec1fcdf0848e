//! What a person is told about files as they are written, cut off, and damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nimbus_io::{
    BLOCK_BYTES, Carrier, Durability, RealDisk, SECTOR_BYTES, SimulatedClock, SimulatedRandomness, WriteWay,
};
use nimbus_namespace::Space;
use nimbus_namespace::conformance::{CommitBuilder, put, remove};
use nimbus_namespace::local::OpenMark;
use nimbus_types::{Sequence, TenantId};
use tempfile::TempDir;

use super::{InspectError, inspect};
use crate::cache::Budget;
use crate::frame::is_zero;
use crate::store::{Sizes, Store, Surroundings};

const VALUE: &str = "nobody-may-see-this";
const KEY: &str = "the-key-";

/// A tenant's folder with files of every kind.
fn worked_on() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::with(WriteWay { durability: Durability::Sync, carrier: Carrier::Threads });
    let tenant = TenantId::parse("acme").unwrap();
    Store::create(&disk, folder.path(), &tenant).unwrap();
    let sizes = Sizes {
        first_segment: 16 << 10,
        segment: 64 << 10,
        checkpoint: 64 << 10,
        small_run: 4 << 10,
        pack: 64 << 10,
    };
    let surroundings = Surroundings {
        disk: Arc::new(disk),
        randomness: Arc::new(SimulatedRandomness::new(1)),
        clock: Arc::new(SimulatedClock::default()),
        budget: Budget::new(1 << 20),
        sizes,
    };
    let store = Store::open(&surroundings, folder.path(), &tenant, OpenMark::default()).unwrap();
    let mut model = CommitBuilder::new();
    for number in 0..60_u32 {
        let key = format!("{KEY}{:02}", number % 40);
        let value = format!("{VALUE}{}", number.to_string().repeat(2_000));
        let changes = vec![put(Space::Documents, &key, value), put(Space::Index, &key, "i")];
        let more = vec![put(Space::Meta, "m", number.to_le_bytes()), remove(Space::Documents, "gone")];
        let expected = model.sequence();
        store.commit(expected, &model.group([changes, more])).unwrap();
        if number == 40 {
            store.trim_log(Sequence(60)).unwrap();
        }
        while number < 58 && store.maintain().unwrap() {}
    }
    folder
}

fn told(path: &Path, keys: bool) -> (u64, String) {
    let mut out = Vec::new();
    let damaged = inspect(path, keys, &mut out).unwrap();
    (damaged, String::from_utf8(out).unwrap())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn of_kind(folder: &Path, word: &str) -> PathBuf {
    let is_it = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(word);
    files(folder).into_iter().find(is_it).unwrap_or_else(|| panic!("there is no {word}"))
}

#[test]
fn files_as_they_were_written_are_shown_without_values() {
    let folder = worked_on();
    for (word, parts) in [
        (
            "segment",
            &[
                "header    ok: segment ",
                "tenant acme",
                "2 commits ",
                "documents 1 put 1 removed, index 1 put",
            ][..],
        ),
        (
            "run",
            &["header    ok: run ", "footer    ok: ", "filter    ok: ", "fences    ok: ", "block     ok: "],
        ),
        ("pack", &["header    ok: pack ", "table     ok: ", "block     ok: ", "values "]),
        ("manifest", &["tenant acme, at commit ", "segment ", "pack ", "run "]),
    ] {
        let (damaged, text) = told(&of_kind(folder.path(), word), false);
        assert_eq!(damaged, 0, "{text}");
        for part in parts.iter().chain(&["no damage found"]) {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let (mut without, mut with) = (String::new(), String::new());
    for path in files(folder.path()) {
        without += &told(&path, false).1;
        let (damaged, text) = told(&path, true);
        assert_eq!(damaged, 0, "{text}");
        with += &text;
    }
    assert!(with.contains(&format!("put documents {}", hex(KEY))), "{with}");
    assert!(with.contains(&format!("removed documents {}", hex("gone"))), "{with}");
    assert!(with.contains(&format!("holds documents {}", hex(KEY))), "{with}");
    assert!(!without.contains(&hex(KEY)) && !without.contains(KEY));
    assert!(!with.contains(VALUE) && !with.contains(&hex(VALUE)));
}

#[test]
fn a_flipped_byte_anywhere_is_told() {
    let folder = worked_on();
    for path in files(folder.path()) {
        let whole = fs::read(&path).unwrap();
        let is_segment = told(&path, false).1.contains(": segment,");
        // What stands in a segment's unused parts is not known to have been written: a crash may leave it.
        let is_unused = |at: usize| {
            let block = at / BLOCK_BYTES * BLOCK_BYTES;
            is_segment
                && ((SECTOR_BYTES..BLOCK_BYTES).contains(&at)
                    || is_zero(&whole[block..whole.len().min(block + BLOCK_BYTES)]))
        };
        for at in (0..whole.len()).step_by(293).filter(|at| !is_unused(*at)) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x20;
            fs::write(&path, flipped).unwrap();
            let (damaged, text) = told(&path, true);
            assert!(damaged > 0 && text.contains("DAMAGED"), "{} at {at}:\n{text}", path.display());
        }
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_file_of_any_length_is_read_without_a_panic() {
    let folder = worked_on();
    for path in files(folder.path()) {
        let whole = fs::read(&path).unwrap();
        for length in (0..whole.len()).step_by(997) {
            fs::write(&path, &whole[..length]).unwrap();
            let (_, text) = told(&path, true);
            assert!(text.contains("damage"), "{text}");
        }
        fs::write(&path, whole).unwrap();
    }
}

/// Where the frames of a segment begin, as it is told.
fn frames(text: &str) -> Vec<usize> {
    let of_frame = |line: &&str| line.contains("  frame     ok: ");
    let offset = |line: &str| line.split_whitespace().next().unwrap().parse().unwrap();
    text.lines().filter(of_frame).map(offset).collect()
}

#[test]
fn what_lies_behind_damage_is_shown_all_the_same() {
    let folder = worked_on();
    let path = of_kind(folder.path(), "segment");
    let (_, text) = told(&path, false);
    let before = frames(&text);
    assert!(before.len() >= 3, "{text}");
    for at in [before[1] + 1, before[1] + 100] {
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        flipped[1] ^= 1;
        fs::write(&path, flipped).unwrap();
        let (damaged, text) = told(&path, false);
        let expected: Vec<_> = before.iter().copied().filter(|begin| *begin != before[1]).collect();
        assert_eq!((damaged, frames(&text)), (2, expected), "header and one frame:\n{text}");
        fs::write(&path, whole).unwrap();
    }

    let run = of_kind(folder.path(), "run");
    let mut bytes = fs::read(&run).unwrap();
    bytes[30] ^= 1;
    fs::write(&run, bytes).unwrap();
    let (damaged, text) = told(&run, false);
    assert!(damaged == 1 && text.contains("filter    ok") && text.contains("entries "), "{text}");
}

#[test]
fn a_frame_that_was_cut_short_is_no_damage_and_one_behind_it_is() {
    let folder = worked_on();
    let has_frames = |path: &PathBuf| frames(&told(path, false).1).len() > 1;
    let path = files(folder.path()).into_iter().rev().find(has_frames).unwrap();
    let whole = fs::read(&path).unwrap();
    let begins = frames(&told(&path, false).1);
    let cut = |begin: usize| {
        let mut bytes = whole.clone();
        bytes[begin + SECTOR_BYTES..begin + 2 * SECTOR_BYTES].fill(0);
        fs::write(&path, bytes).unwrap();
        told(&path, false)
    };
    let (damaged, text) = cut(*begins.last().unwrap());
    assert!(damaged == 0 && text.contains("torn      a write was cut short"), "{text}");
    let (damaged, text) = cut(begins[0]);
    assert!(damaged > 0 && text.contains("a whole frame follows where the log ended"), "{text}");
}

#[test]
fn other_files_are_refused_and_a_segment_that_was_never_begun_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "this is a text").unwrap();
    assert!(matches!(inspect(&path, false, &mut Vec::new()), Err(InspectError::Unknown)));
    assert!(matches!(inspect(folder.path(), false, &mut Vec::new()), Err(InspectError::Open(_))));
    assert!(matches!(inspect(&folder.path().join("no"), false, &mut Vec::new()), Err(InspectError::Open(_))));
    for bytes in [0, 100, 5_000, 65_536] {
        let path = folder.path().join("segment-0000000007");
        fs::write(&path, vec![0; bytes]).unwrap();
        let (damaged, text) = told(&path, false);
        assert!(damaged == 0 && text.contains("never begun"), "{text}");
    }
}
