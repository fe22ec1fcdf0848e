//! Durable writes on the machine's own disk: every way does the same, whatever goes wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use nimbus_io::{AlignedBuffer, BLOCK_BYTES, Carrier, Disk, DiskFile, Durability, RealDisk, WriteWay};

/// Beyond the longest file of any file system, and within what an offset may be.
const BEYOND_ANY_FILE: u64 = 1 << 62;

fn ways() -> impl Iterator<Item = WriteWay> {
    [Durability::Direct, Durability::Sync].into_iter().flat_map(|durability| {
        [Carrier::Ring, Carrier::Threads].map(|carrier| WriteWay { durability, carrier })
    })
}

fn on_every_way(case: impl Fn(&RealDisk, &Path)) {
    for way in ways() {
        let directory = tempfile::tempdir().unwrap();
        println!("{way}");
        case(&RealDisk::with(way), directory.path());
    }
}

type Ended = (u8, io::Result<()>, AlignedBuffer);

/// Starts a write of `blocks` whole blocks of `value`; its end comes as a message.
fn start(file: &dyn DiskFile, offset: u64, blocks: usize, value: u8, ended: &Sender<Ended>) {
    let mut buffer = AlignedBuffer::new();
    buffer.resize(blocks * BLOCK_BYTES, value);
    let ended = ended.clone();
    file.start_durable_write(
        offset,
        buffer,
        Box::new(move |result, buffer| drop(ended.send((value, result, buffer)))),
    );
}

/// Waits until nobody can send any more; the values of the writes that ended, ascending.
fn ended_well(ended: Sender<Ended>, ends: &Receiver<Ended>) -> Vec<u8> {
    drop(ended);
    let mut values: Vec<u8> = ends
        .iter()
        .map(|(value, result, buffer)| {
            result.unwrap();
            assert!(!buffer.is_empty() && buffer.iter().all(|byte| *byte == value), "its own buffer");
            value
        })
        .collect();
    values.sort_unstable();
    values
}

fn read(file: &dyn DiskFile, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xEE; length];
    file.read_at(offset, &mut bytes).unwrap();
    bytes
}

#[test]
fn many_writes_at_once_all_end_where_they_belong() {
    const FILES: u8 = 20;
    const WRITES: u8 = 10;
    on_every_way(|disk, root| {
        let (ended, ends) = channel();
        let files: Vec<_> = (0..FILES)
            .map(|file| disk.create(&root.join(file.to_string()), u64::from(WRITES) * 8_192).unwrap())
            .collect();
        let value = |file: u8, write: u8| file * WRITES + write;
        std::thread::scope(|scope| {
            for (number, file) in (0..).zip(&files) {
                let ended = ended.clone();
                scope.spawn(move || {
                    for write in 0..WRITES {
                        start(&**file, u64::from(write) * 8_192, 2, value(number, write), &ended);
                    }
                });
            }
        });
        assert_eq!(ended_well(ended, &ends), (0..FILES * WRITES).collect::<Vec<_>>());
        assert_eq!(disk.in_flight(), 0);
        for (number, file) in (0..).zip(&files) {
            for write in 0..WRITES {
                let expected = [value(number, write); 8_192];
                assert_eq!(read(&**file, u64::from(write) * 8_192, 8_192), expected);
            }
        }
    });
}

#[test]
fn more_writes_than_a_ring_holds_are_done_in_turn() {
    on_every_way(|disk, root| {
        let (ended, ends) = channel();
        let file = disk.create(&root.join("file"), 1_000 * BLOCK_BYTES as u64).unwrap();
        for write in 0..1_000 {
            start(&*file, write * BLOCK_BYTES as u64, 1, (write % 251) as u8, &ended);
        }
        assert_eq!(ended_well(ended, &ends).len(), 1_000);
        for write in 0..1_000 {
            assert_eq!(read(&*file, write * BLOCK_BYTES as u64, 1), [(write % 251) as u8]);
        }
    });
}

#[test]
fn bytes_from_any_memory_are_written() {
    on_every_way(|disk, root| {
        let file = disk.create(&root.join("file"), 4 * BLOCK_BYTES as u64).unwrap();
        let memory: Vec<u8> = (0..3 * BLOCK_BYTES).map(|at| (at % 251) as u8).collect();
        for shift in [0, 1, 512] {
            let bytes = &memory[shift..shift + 2 * BLOCK_BYTES];
            file.write_durable_at(BLOCK_BYTES as u64, bytes).unwrap();
            assert_eq!(read(&*file, BLOCK_BYTES as u64, bytes.len()), bytes);
        }
    });
}

#[test]
fn a_durable_write_lengthens_a_file() {
    on_every_way(|disk, root| {
        let file = disk.create(&root.join("file"), 0).unwrap();
        let (ended, ends) = channel();
        start(&*file, 2 * BLOCK_BYTES as u64, 1, 5, &ended);
        assert_eq!(ended_well(ended, &ends), [5]);
        file.write_durable_at(4 * BLOCK_BYTES as u64, &[6; BLOCK_BYTES]).unwrap();
        assert_eq!(file.size_bytes().unwrap(), 5 * BLOCK_BYTES as u64);
        assert_eq!(read(&*file, 0, 1), [0]);
        assert_eq!(read(&*file, 2 * BLOCK_BYTES as u64, 1), [5]);
    });
}

#[test]
fn nothing_to_write_is_written() {
    on_every_way(|disk, root| {
        let file = disk.create(&root.join("file"), 0).unwrap();
        let (ended, ends) = channel();
        start(&*file, 0, 0, 1, &ended);
        ends.recv().unwrap().1.unwrap();
    });
}

#[test]
fn a_write_that_fails_says_so_and_the_next_one_works() {
    on_every_way(|disk, root| {
        let file = disk.create(&root.join("file"), BLOCK_BYTES as u64).unwrap();
        let (ended, ends) = channel();
        for (offset, kind) in [
            (BEYOND_ANY_FILE, io::ErrorKind::FileTooLarge),
            (1, io::ErrorKind::InvalidInput),
            (i64::MAX as u64 + 1, io::ErrorKind::InvalidInput),
        ] {
            assert_eq!(file.write_durable_at(offset, &[1; BLOCK_BYTES]).unwrap_err().kind(), kind);
            start(&*file, offset, 1, 1, &ended);
            assert_eq!(ends.recv().unwrap().1.unwrap_err().kind(), kind, "offset {offset}");
        }
        start(&*file, 0, 1, 2, &ended);
        assert_eq!(ended_well(ended, &ends), [2]);
        assert_eq!(disk.in_flight(), 0);
    });
}

#[test]
fn what_was_started_is_done_after_the_disk_and_the_files_are_gone() {
    on_every_way(|disk, root| {
        // A disk of its own, so that nothing else keeps it.
        let disk = RealDisk::with(disk.way());
        let (ended, ends) = channel();
        for number in 0..100_u8 {
            let file = disk.create(&root.join(number.to_string()), BLOCK_BYTES as u64).unwrap();
            start(&*file, 0, 1, number, &ended);
        }
        drop(disk);
        assert_eq!(ended_well(ended, &ends), (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn the_last_file_may_go_where_its_write_ends() {
    on_every_way(|disk, root| {
        let file = RealDisk::with(disk.way()).create(&root.join("file"), BLOCK_BYTES as u64).unwrap();
        let (ended, ends) = channel();
        let kept = file.clone();
        let done = move |result, buffer| {
            drop(kept);
            let _ = ended.send((0, result, buffer));
        };
        let buffer = AlignedBuffer::from([0; BLOCK_BYTES].as_slice());
        file.start_durable_write(0, buffer, Box::new(done));
        drop(file);
        ends.recv().unwrap().1.unwrap();
    });
}

#[test]
fn a_panic_of_one_who_waits_does_not_stop_the_others() {
    on_every_way(|disk, root| {
        let file = disk.create(&root.join("file"), 10 * BLOCK_BYTES as u64).unwrap();
        let (ended, ends) = channel();
        for number in 0..10_u8 {
            let buffer = AlignedBuffer::from([number; BLOCK_BYTES].as_slice());
            let at = u64::from(number) * BLOCK_BYTES as u64;
            file.start_durable_write(at, buffer, Box::new(|_, _| panic!("on purpose")));
            start(&*file, at, 1, number, &ended);
        }
        assert_eq!(ended_well(ended, &ends), (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn writes_are_in_flight_until_they_end() {
    on_every_way(|disk, root| {
        let file = disk.create(&root.join("file"), BLOCK_BYTES as u64).unwrap();
        let (reached, holds) = channel();
        let mut releases = Vec::new();
        // Whoever carries out writes is held up, by as many ends as the larger carrier has threads.
        for _ in 0..4 {
            let (release, held) = channel::<()>();
            releases.push(release);
            let reached = reached.clone();
            let done = move |_, _| {
                let _ = reached.send(());
                let _ = held.recv();
            };
            let buffer = AlignedBuffer::from([0; BLOCK_BYTES].as_slice());
            file.start_durable_write(0, buffer, Box::new(done));
        }
        let held_at_once = if disk.way().carrier == Carrier::Ring { 1 } else { 4 };
        holds.iter().take(held_at_once).for_each(drop);
        let before = disk.in_flight();
        let (ended, ends) = channel();
        start(&*file, 0, 1, 1, &ended);
        assert_eq!((before, disk.in_flight()), (4 - held_at_once, 5 - held_at_once));
        drop(releases);
        assert_eq!(ended_well(ended, &ends), [1]);
        holds.iter().take(4 - held_at_once).for_each(drop);
        assert_eq!(disk.in_flight(), 0);
    });
}

#[test]
fn a_file_may_be_written_again_after_writing_was_finished() {
    on_every_way(|disk, root| {
        let path = root.join("file");
        let file = disk.create(&path, BLOCK_BYTES as u64).unwrap();
        file.write_durable_at(0, &[1; BLOCK_BYTES]).unwrap();
        let renamed = root.join("renamed");
        disk.rename(&path, &renamed).unwrap();
        let other = disk.create(&path, BLOCK_BYTES as u64).unwrap();
        file.finish_writing();
        file.write_durable_at(0, &[2; BLOCK_BYTES]).unwrap();
        assert_eq!(read(&*file, 0, BLOCK_BYTES), [2; BLOCK_BYTES]);
        assert_eq!(read(&*other, 0, BLOCK_BYTES), [0; BLOCK_BYTES], "by the name it would be this one");
    });
}

#[test]
fn only_a_file_that_is_being_written_directly_has_a_second_descriptor() {
    on_every_way(|disk, root| {
        let path = root.canonicalize().unwrap().join("file");
        let descriptors = || {
            let open = std::fs::read_dir("/proc/self/fd").unwrap();
            open.filter(|entry| std::fs::read_link(entry.as_ref().unwrap().path()).is_ok_and(|to| to == path))
                .count()
        };
        let file = disk.create(&path, BLOCK_BYTES as u64).unwrap();
        file.write_at(0, b"x").unwrap();
        assert_eq!(descriptors(), 1);
        file.write_durable_at(0, &[1; BLOCK_BYTES]).unwrap();
        let is_direct = disk.way().durability == Durability::Direct;
        assert_eq!(descriptors(), 1 + usize::from(is_direct));
        file.finish_writing();
        assert_eq!(descriptors(), 1);
    });
}

#[test]
fn a_file_is_its_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    RealDisk::probe(directory.path()).create(&path, 1).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_probe_leaves_nothing_behind_and_finds_a_way_that_works() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::probe(directory.path());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    assert_eq!(disk.describe(), disk.way().to_string());
    let file = disk.create(&directory.path().join("file"), BLOCK_BYTES as u64).unwrap();
    let (ended, ends) = channel();
    start(&*file, 0, 1, 1, &ended);
    assert_eq!(ended_well(ended, &ends), [1]);
}

#[test]
fn where_nothing_can_be_tried_the_way_is_that_which_works_everywhere() {
    for nowhere in ["/proc", "/nowhere"] {
        let disk = RealDisk::probe(Path::new(nowhere));
        assert_eq!(disk.describe(), "pwrite and fdatasync, 4 threads");
    }
}

#[test]
fn ways_are_told_apart() {
    let told: Vec<_> = ways().map(|way| RealDisk::with(way).describe()).collect();
    assert_eq!(
        told,
        [
            "direct synchronous writes, io_uring",
            "direct synchronous writes, 4 threads",
            "pwrite and fdatasync, io_uring",
            "pwrite and fdatasync, 4 threads",
        ]
    );
}
