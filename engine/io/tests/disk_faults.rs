//! What the simulated disk does when something goes wrong, fault by fault.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex};

use nimbus_io::{
    AlignedBuffer, BLOCK_BYTES, Disk, DiskFile, Fault, Operation, SECTOR_BYTES, SimulatedDisk, Unsynced,
};

const SECTORS: usize = BLOCK_BYTES / SECTOR_BYTES;
const EIO: i32 = 5;

fn path() -> &'static Path {
    Path::new("/file")
}

/// A disk with a durable file of one block of zeros.
fn disk_with_file(seed: u64) -> (SimulatedDisk, Arc<dyn DiskFile>) {
    let disk = SimulatedDisk::new(seed);
    let file = disk.create(path(), BLOCK_BYTES as u64).unwrap();
    disk.sync_directory(Path::new("/")).unwrap();
    (disk, file)
}

/// The first byte of each sector of the file, after checking that each sector is all of one byte.
fn sectors(disk: &SimulatedDisk) -> [u8; SECTORS] {
    let file = disk.open(path()).unwrap();
    let mut bytes = [0xEE; BLOCK_BYTES];
    file.read_at(0, &mut bytes).unwrap();
    bytes.as_chunks::<SECTOR_BYTES>().0.iter().for_each(|sector| {
        assert!(sector.iter().all(|byte| *byte == sector[0]), "half a sector was written");
    });
    std::array::from_fn(|sector| bytes[sector * SECTOR_BYTES])
}

/// What `run` leaves in the sectors, over many seeds.
fn outcomes(run: impl Fn(&SimulatedDisk, &dyn DiskFile)) -> BTreeSet<[u8; SECTORS]> {
    let outcome = |seed| {
        let (disk, file) = disk_with_file(seed);
        run(&disk, &*file);
        sectors(&disk)
    };
    (0..200).map(outcome).collect()
}

fn is_torn(sectors: [u8; SECTORS]) -> bool {
    sectors.contains(&0) && sectors.contains(&1)
}

#[test]
fn a_seed_repeats_its_crash_and_another_differs() {
    let crash = |seed| {
        let (disk, file) = disk_with_file(seed);
        file.write_at(0, &[1; BLOCK_BYTES]).unwrap();
        disk.restart(Unsynced::Any);
        sectors(&disk)
    };
    assert_eq!(crash(7), crash(7));
    assert!((0..20).any(|seed| crash(seed) != crash(7)));
}

#[test]
fn a_crash_loses_writes_that_were_not_synced_and_only_those() {
    let (disk, file) = disk_with_file(1);
    file.write_at(0, &[1; SECTOR_BYTES]).unwrap();
    file.sync().unwrap();
    file.write_durable_at(0, &[2; BLOCK_BYTES]).unwrap();
    file.write_at(0, &[3; SECTOR_BYTES]).unwrap();
    assert_eq!(sectors(&disk), [3, 2, 2, 2, 2, 2, 2, 2], "before the crash all of it is read");
    disk.restart(Unsynced::Lost);
    assert_eq!(sectors(&disk), [2; SECTORS]);
}

#[test]
fn a_lengthening_that_was_not_synced_is_lost() {
    let (disk, file) = disk_with_file(1);
    file.write_at(BLOCK_BYTES as u64, b"longer").unwrap();
    disk.restart(Unsynced::Lost);
    assert_eq!(disk.open(path()).unwrap().size_bytes().unwrap(), BLOCK_BYTES as u64);
}

#[test]
fn a_crash_may_keep_any_of_the_unsynced_sectors() {
    let outcomes = outcomes(|disk, file| {
        file.write_at(0, &[1; BLOCK_BYTES]).unwrap();
        disk.restart(Unsynced::Any);
    });
    let keeps_later_without_earlier = |sectors: &[u8; SECTORS]| sectors[0] == 0 && sectors[SECTORS - 1] == 1;
    assert!(outcomes.len() > 50 && outcomes.iter().any(keeps_later_without_earlier));
}

#[test]
fn a_crash_may_reorder_unsynced_writes_of_one_sector() {
    let outcomes = outcomes(|disk, file| {
        for value in [1, 2] {
            file.write_at(0, &[value; SECTOR_BYTES]).unwrap();
        }
        disk.restart(Unsynced::Kept);
        assert_eq!(sectors(disk)[0], 2, "in order when everything is kept");
        for value in [3, 4] {
            disk.open(path()).unwrap().write_at(0, &[value; SECTOR_BYTES]).unwrap();
        }
        disk.restart(Unsynced::Any);
    });
    let first: BTreeSet<u8> = outcomes.iter().map(|sectors| sectors[0]).collect();
    assert_eq!(first, BTreeSet::from([2, 3, 4]), "neither, the earlier or the later");
}

#[test]
fn power_that_fails_during_a_durable_write_tears_it() {
    let outcomes = outcomes(|disk, file| {
        disk.place_fault(Some(Operation::Write), 1, Fault::CrashDuring);
        file.write_durable_at(0, &[1; BLOCK_BYTES]).unwrap_err();
        assert!(!disk.is_powered());
        disk.restart(Unsynced::Lost);
    });
    assert!(outcomes.into_iter().any(is_torn));
}

#[test]
fn power_that_fails_during_a_sync_keeps_any_of_the_sectors() {
    let outcomes = outcomes(|disk, file| {
        file.write_at(0, &[1; BLOCK_BYTES]).unwrap();
        disk.place_fault(Some(Operation::Sync), 1, Fault::CrashDuring);
        file.sync().unwrap_err();
        disk.restart(Unsynced::Lost);
    });
    assert!(outcomes.into_iter().any(is_torn));
}

#[test]
fn a_truncation_is_durable_and_syncs_nothing_else() {
    let (disk, file) = disk_with_file(1);
    file.write_at(0, &[1; BLOCK_BYTES]).unwrap();
    file.write_at(BLOCK_BYTES as u64, &[1; BLOCK_BYTES]).unwrap();
    file.truncate(700).unwrap();
    disk.restart(Unsynced::Lost);
    let file = disk.open(path()).unwrap();
    let mut bytes = [0xEE; 700];
    file.read_at(0, &mut bytes).unwrap();
    assert_eq!((file.size_bytes().unwrap(), bytes), (700, [0; 700]));
    file.write_at(0, &[2; BLOCK_BYTES]).unwrap();
    file.truncate(700).unwrap();
    disk.restart(Unsynced::Kept);
    let file = disk.open(path()).unwrap();
    file.read_at(0, &mut bytes).unwrap();
    assert_eq!((file.size_bytes().unwrap(), bytes), (700, [2; 700]), "a sector is kept up to the end");
}

#[test]
fn a_truncation_that_fails_leaves_either_length() {
    for fault in [Fault::CrashDuring, Fault::InputOutputError] {
        let sizes: BTreeSet<u64> = (0..50)
            .map(|seed| {
                let (disk, file) = disk_with_file(seed);
                disk.place_fault(Some(Operation::Truncate), 1, fault);
                file.truncate(10).unwrap_err();
                disk.restart(Unsynced::Kept);
                disk.open(path()).unwrap().size_bytes().unwrap()
            })
            .collect();
        assert_eq!(sizes, BTreeSet::from([10, BLOCK_BYTES as u64]), "{fault:?}");
    }
}

#[test]
fn a_started_write_ends_before_the_call_does_with_its_fault() {
    let (disk, file) = disk_with_file(1);
    disk.place_fault(Some(Operation::Write), 2, Fault::InputOutputError);
    let ends = Arc::new(Mutex::new(Vec::new()));
    for value in [1, 2] {
        let seen = ends.clone();
        let buffer = AlignedBuffer::from([value; BLOCK_BYTES].as_slice());
        let done = move |result: std::io::Result<()>, buffer: AlignedBuffer| {
            seen.lock().unwrap().push((buffer[0], result.err().and_then(|error| error.raw_os_error())));
        };
        file.start_durable_write(0, buffer, Box::new(done));
    }
    assert_eq!(*ends.lock().unwrap(), [(1, None), (2, Some(EIO))]);
    disk.restart(Unsynced::Lost);
    assert!(!sectors(&disk).contains(&0), "the first was durable");
}

#[test]
fn power_that_fails_while_a_file_is_made_may_leave_a_shorter_one() {
    let sizes: BTreeSet<u64> = (0..50)
        .map(|seed| {
            let disk = SimulatedDisk::new(seed);
            disk.place_fault(Some(Operation::Create), 1, Fault::CrashDuring);
            disk.create(path(), 10).err().unwrap();
            disk.restart(Unsynced::Kept);
            disk.open(path()).unwrap().size_bytes().unwrap()
        })
        .collect();
    assert!(sizes.len() > 5 && sizes.iter().all(|size| *size <= 10), "{sizes:?}");
}

#[test]
fn a_failing_write_answers_eio_once_and_may_have_written_a_part() {
    let outcomes = outcomes(|disk, file| {
        disk.place_fault(Some(Operation::Write), 2, Fault::InputOutputError);
        file.write_durable_at(0, &[0; BLOCK_BYTES]).unwrap();
        let error = file.write_durable_at(0, &[1; BLOCK_BYTES]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(EIO));
        disk.restart(Unsynced::Lost);
        let file = disk.open(path()).unwrap();
        file.write_at(0, &[]).unwrap();
    });
    assert!(outcomes.into_iter().any(is_torn));
}

#[test]
fn what_a_failing_sync_left_out_is_never_made_durable() {
    let outcomes = outcomes(|disk, file| {
        file.write_at(0, &[1; BLOCK_BYTES]).unwrap();
        disk.place_fault(Some(Operation::Sync), 1, Fault::InputOutputError);
        assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(EIO));
        file.sync().unwrap();
        assert_eq!(sectors(disk), [1; SECTORS], "reads go on seeing it");
        disk.restart(Unsynced::Kept);
    });
    assert!(outcomes.into_iter().any(is_torn));
}

#[test]
fn a_flipped_bit_in_a_write_goes_unnoticed() {
    let (disk, file) = disk_with_file(1);
    disk.place_fault(None, 1, Fault::FlippedBit);
    file.write_durable_at(0, &[0; BLOCK_BYTES]).unwrap();
    disk.restart(Unsynced::Lost);
    let mut bytes = [0; BLOCK_BYTES];
    disk.open(path()).unwrap().read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
}

#[test]
fn a_bit_flips_at_rest() {
    let (disk, file) = disk_with_file(1);
    let offset = disk.flip_bit(path()).unwrap().unwrap();
    for _before_and_after_a_crash in 0..2 {
        let mut byte = [0];
        disk.open(path()).unwrap().read_at(offset, &mut byte).unwrap();
        assert_eq!(byte[0].count_ones(), 1);
        disk.restart(Unsynced::Lost);
    }
    drop(file);
    disk.create(Path::new("/empty"), 0).unwrap();
    assert_eq!(disk.flip_bit(Path::new("/empty")).unwrap(), None);
}

#[test]
fn after_the_nth_operation_there_is_no_power_and_old_handles_stay_dead() {
    let (disk, file) = disk_with_file(1);
    let before = disk.operations();
    disk.place_fault(Some(Operation::Write), 3, Fault::CrashAfter);
    for value in 1..=3 {
        file.write_durable_at(0, &[value; BLOCK_BYTES]).unwrap();
    }
    assert!(!disk.is_powered());
    assert_eq!(disk.operations() - before, 3);
    assert!(file.write_at(0, &[9]).is_err() && file.read_at(0, &mut [0]).is_err());
    assert!(file.sync().is_err() && disk.open(path()).is_err() && disk.list(Path::new("/")).is_err());
    disk.restart(Unsynced::Lost);
    assert_eq!(sectors(&disk), [3; SECTORS]);
    assert!(file.write_at(0, &[9]).is_err() && file.read_at(0, &mut [0]).is_err());
}

#[test]
fn names_without_a_directory_sync_may_vanish() {
    let root = Path::new("/");
    let run = |seed, unsynced| {
        let disk = SimulatedDisk::new(seed);
        disk.create(&root.join("synced"), 1).unwrap();
        disk.create(&root.join("removed"), 1).unwrap();
        disk.create(&root.join("renamed"), 1).unwrap();
        disk.sync_directory(root).unwrap();
        // A synced file's contents do not bring its name with them.
        let made = disk.create(&root.join("made"), 1).unwrap();
        made.write_at(0, b"x").unwrap();
        made.sync().unwrap();
        disk.remove(&root.join("removed")).unwrap();
        disk.rename(&root.join("renamed"), &root.join("target")).unwrap();
        disk.restart(unsynced);
        let names = disk.list(root).unwrap();
        names.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(run(1, Unsynced::Lost), ["removed", "renamed", "synced"]);
    assert_eq!(run(1, Unsynced::Kept), ["made", "synced", "target"]);
    let outcomes: BTreeSet<_> = (0..200).map(|seed| run(seed, Unsynced::Any)).collect();
    assert_eq!(outcomes.len(), 8, "three changes, each there or not");
    let whole =
        |names: &Vec<String>| names.contains(&"renamed".to_owned()) != names.contains(&"target".to_owned());
    assert!(outcomes.iter().all(whole), "a rename is never half done: {outcomes:?}");
}

#[test]
fn a_file_in_a_directory_that_did_not_survive_is_gone() {
    let disk = SimulatedDisk::new(1);
    let (directory, file) = (Path::new("/tenant"), Path::new("/tenant/file"));
    disk.create_directory(directory).unwrap();
    disk.create(file, 1).unwrap();
    disk.sync_directory(directory).unwrap();
    disk.restart(Unsynced::Lost);
    assert_eq!(disk.open(file).err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(disk.list(Path::new("/")).unwrap().len(), 0);
}

#[test]
fn a_fault_can_be_placed_at_each_kind_of_operation() {
    let disk = SimulatedDisk::new(1);
    let (root, one, two) = (Path::new("/"), Path::new("/one"), Path::new("/two"));
    let file = disk.create(one, 1).unwrap();
    let attempts: [(Operation, &dyn Fn() -> std::io::Result<()>); 8] = [
        (Operation::Create, &|| disk.create(two, 1).map(drop)),
        (Operation::Write, &|| file.write_at(0, b"x")),
        (Operation::Sync, &|| file.sync()),
        (Operation::Truncate, &|| file.truncate(0)),
        (Operation::Rename, &|| disk.rename(one, two)),
        (Operation::Remove, &|| disk.remove(one)),
        (Operation::ChangeDirectory, &|| disk.create_directory(two)),
        (Operation::SyncDirectory, &|| disk.sync_directory(root)),
    ];
    for (operation, attempt) in attempts {
        disk.place_fault(Some(operation), 1, Fault::InputOutputError);
        if operation != Operation::Write {
            file.write_at(0, b"x").expect("an operation of another kind is not at fault");
        }
        assert_eq!(attempt().unwrap_err().raw_os_error(), Some(EIO), "{operation:?}");
        assert_eq!(disk.list(root).unwrap(), [one], "{operation:?} was not done");
    }
}

#[test]
fn a_full_disk_takes_no_more_and_loses_nothing() {
    let (disk, file) = disk_with_file(1);
    disk.set_capacity_bytes(BLOCK_BYTES as u64 + 10);
    assert_eq!(disk.free_bytes(Path::new("/")).unwrap(), 10);
    let full = file.write_at(BLOCK_BYTES as u64, &[1; 11]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    assert_eq!(disk.create(Path::new("/more"), 11).err().unwrap().kind(), ErrorKind::StorageFull);
    file.write_durable_at(0, &[1; BLOCK_BYTES]).unwrap();
    assert_eq!(sectors(&disk), [1; SECTORS]);
}
