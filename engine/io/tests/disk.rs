//! What every disk does while nothing goes wrong: the same cases on the real and the simulated one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nimbus_io::{AlignedBuffer, BLOCK_BYTES, Disk, DiskFile, RealDisk, SimulatedDisk};

/// Runs a case on both disks, each with an empty directory to work in.
fn on_both(case: impl Fn(&dyn Disk, &Path)) {
    let directory = tempfile::tempdir().unwrap();
    case(&RealDisk::probe(directory.path()), directory.path());
    case(&SimulatedDisk::new(1), Path::new("/"));
}

fn read(file: &dyn DiskFile, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xEE; length];
    file.read_at(offset, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_new_file_is_zeros_of_its_size() {
    on_both(|disk, root| {
        let size = (1 << 20) + 4_097;
        let file = disk.create(&root.join("segment"), size).unwrap();
        assert_eq!(file.size_bytes().unwrap(), size);
        assert!(read(&*file, 0, size as usize).iter().all(|byte| *byte == 0));
        assert_eq!(disk.create(&root.join("empty"), 0).unwrap().size_bytes().unwrap(), 0);
        let taken = disk.create(&root.join("segment"), 10).err().unwrap();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    });
}

#[test]
fn writes_are_read_back_where_they_were_put() {
    on_both(|disk, root| {
        let file = disk.create(&root.join("file"), 600).unwrap();
        file.write_at(510, b"across sectors").unwrap();
        file.write_at(700, b"beyond the end").unwrap();
        file.write_at(900, b"").unwrap();
        file.sync().unwrap();
        assert_eq!(read(&*file, 508, 18), b"\0\0across sectors\0\0");
        assert_eq!(read(&*file, 600, 114), [&[0; 100], b"beyond the end".as_slice()].concat());
        assert_eq!(file.size_bytes().unwrap(), 714);
        let error = file.read_at(710, &mut [0; 5]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        let again = disk.open(&root.join("file")).unwrap();
        assert_eq!(read(&*again, 700, 14), b"beyond the end");
    });
}

#[test]
fn durable_writes_are_of_whole_blocks() {
    on_both(|disk, root| {
        let file = disk.create(&root.join("file"), 3 * BLOCK_BYTES as u64).unwrap();
        file.write_durable_at(BLOCK_BYTES as u64, &[7; BLOCK_BYTES]).unwrap();
        assert_eq!(read(&*file, BLOCK_BYTES as u64, BLOCK_BYTES), [7; BLOCK_BYTES]);
        for (offset, length) in [(1, BLOCK_BYTES), (0, 512), (512, BLOCK_BYTES), (0, BLOCK_BYTES + 1)] {
            let error = file.write_durable_at(offset, &vec![9; length]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "offset {offset}, length {length}");
        }
        assert_eq!(read(&*file, 0, BLOCK_BYTES), [0; BLOCK_BYTES]);
    });
}

#[test]
fn a_durable_write_may_be_started_and_gives_its_buffer_back() {
    on_both(|disk, root| {
        let file = disk.create(&root.join("file"), 2 * BLOCK_BYTES as u64).unwrap();
        let (sender, ends) = std::sync::mpsc::channel();
        for (offset, value) in [(0, 1), (BLOCK_BYTES as u64, 2), (1, 3)] {
            let buffer = AlignedBuffer::from([value; BLOCK_BYTES].as_slice());
            let sender = sender.clone();
            let done = move |result: std::io::Result<()>, buffer: AlignedBuffer| {
                sender.send((buffer[0], buffer.len(), result.map_err(|error| error.kind()))).unwrap();
            };
            file.start_durable_write(offset, buffer, Box::new(done));
        }
        drop(sender);
        let mut ended: Vec<_> = ends.iter().collect();
        ended.sort_unstable_by_key(|(value, ..)| *value);
        let refused = Err(ErrorKind::InvalidInput);
        assert_eq!(ended, [(1, BLOCK_BYTES, Ok(())), (2, BLOCK_BYTES, Ok(())), (3, BLOCK_BYTES, refused)]);
        assert_eq!(read(&*file, 0, 2 * BLOCK_BYTES), [[1; BLOCK_BYTES], [2; BLOCK_BYTES]].concat());
        assert_eq!(disk.in_flight(), 0);
        file.finish_writing();
    });
}

#[test]
fn a_truncation_shortens_and_never_lengthens() {
    on_both(|disk, root| {
        let file = disk.create(&root.join("file"), 1_000).unwrap();
        file.write_at(0, &[1; 1_000]).unwrap();
        for size in [1_000, 600] {
            file.truncate(size).unwrap();
            assert_eq!(file.size_bytes().unwrap(), size);
        }
        assert_eq!(file.truncate(601).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(file.size_bytes().unwrap(), 600);
        file.write_at(700, b"x").unwrap();
        assert_eq!(read(&*file, 598, 103), [[1; 2].as_slice(), &[0; 100], b"x"].concat());
        file.truncate(0).unwrap();
        assert_eq!(disk.open(&root.join("file")).unwrap().size_bytes().unwrap(), 0);
    });
}

#[test]
fn names_are_made_renamed_listed_and_removed() {
    on_both(|disk, root| {
        let inside = root.join("tenant");
        disk.create_directory(&inside).unwrap();
        assert_eq!(disk.create_directory(&inside).unwrap_err().kind(), ErrorKind::AlreadyExists);
        for name in ["b", "a", "c"] {
            disk.create(&inside.join(name), 1).unwrap().write_at(0, name.as_bytes()).unwrap();
        }
        disk.rename(&inside.join("a"), &inside.join("b")).unwrap();
        let names = ["b", "c"].map(|name| inside.join(name));
        assert_eq!(disk.list(&inside).unwrap(), names);
        assert_eq!(disk.list(root).unwrap(), std::slice::from_ref(&inside));
        assert_eq!(read(&*disk.open(&names[0]).unwrap(), 0, 1), b"a");

        assert_eq!(disk.remove_directory(&inside).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
        for name in &names {
            let handle = disk.open(name).unwrap();
            disk.remove(name).unwrap();
            assert_eq!(handle.size_bytes().unwrap(), 1, "an open handle goes on");
        }
        disk.sync_directory(&inside).unwrap();
        disk.remove_directory(&inside).unwrap();
        disk.sync_directory(root).unwrap();
        assert_eq!(disk.list(root).unwrap(), Vec::<PathBuf>::new());
    });
}

#[test]
fn what_is_missing_is_not_found() {
    on_both(|disk, root| {
        let (missing, other) = (root.join("missing"), root.join("other"));
        let answers = [
            disk.open(&missing).err(),
            disk.rename(&missing, &other).err(),
            disk.remove(&missing).err(),
            disk.remove_directory(&missing).err(),
            disk.sync_directory(&missing).err(),
            disk.list(&missing).err(),
            disk.create(&missing.join("file"), 1).err(),
            disk.create_directory(&missing.join("inside")).err(),
        ];
        for (at, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.map(|error| error.kind()), Some(ErrorKind::NotFound), "answer {at}");
        }
    });
}

#[test]
fn there_is_room_on_the_disk() {
    on_both(|disk, root| assert!(disk.free_bytes(root).unwrap() > 0));
}
