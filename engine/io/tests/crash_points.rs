//! Replacing a small file safely, with a crash at every operation: what code above the disk tests of
//! itself, and that the simulated disk tells the safe way from those that leave a sync out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::path::Path;

use nimbus_io::{Disk, Fault, SimulatedDisk, Unsynced};

const OLD: &[u8] = &[b'o'; 2_000];
const NEW: &[u8] = &[b'n'; 2_000];
const SEEDS: std::ops::Range<u64> = 0..50;

fn root() -> &'static Path {
    Path::new("/")
}

/// The syncs that a way of replacing makes.
#[derive(Clone, Copy)]
struct Syncs {
    file: bool,
    directory: bool,
}

/// Writes beside the file, then renames over it.
fn replace(disk: &SimulatedDisk, contents: &[u8], syncs: Syncs) -> io::Result<()> {
    let (beside, target) = (root().join("manifest.new"), root().join("manifest"));
    match disk.remove(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&beside, 0)?;
    file.write_at(0, contents)?;
    if syncs.file {
        file.sync()?;
    }
    disk.rename(&beside, &target)?;
    if syncs.directory {
        disk.sync_directory(root())?;
    }
    Ok(())
}

fn read(disk: &SimulatedDisk) -> Option<Vec<u8>> {
    let file = disk.open(&root().join("manifest")).ok()?;
    let mut contents = vec![0; file.size_bytes().unwrap() as usize];
    file.read_at(0, &mut contents).unwrap();
    Some(contents)
}

/// The first failure of a way of replacing, over every crash point and many seeds.
fn first_failure(syncs: Syncs) -> Option<String> {
    let safe = Syncs { file: true, directory: true };
    for seed in SEEDS {
        for crash_at in 1..=6 {
            for fault in [Fault::CrashDuring, Fault::CrashAfter] {
                let disk = SimulatedDisk::new(seed);
                replace(&disk, OLD, safe).unwrap();
                disk.place_fault(None, crash_at, fault);
                let acknowledged = replace(&disk, NEW, syncs).is_ok();
                disk.restart(Unsynced::Any);
                let found = read(&disk);
                let sound = found.as_deref() == Some(NEW) || !acknowledged && found.as_deref() == Some(OLD);
                if !sound {
                    return Some(format!("seed {seed}, {fault:?} at operation {crash_at}"));
                }
            }
        }
    }
    None
}

#[test]
fn write_sync_rename_sync_survives_every_crash() {
    assert_eq!(first_failure(Syncs { file: true, directory: true }), None);
}

#[test]
fn leaving_out_either_sync_is_found() {
    assert!(first_failure(Syncs { file: false, directory: true }).is_some(), "the file's sync");
    assert!(first_failure(Syncs { file: true, directory: false }).is_some(), "the directory's sync");
}
