//! Files that only their owner may read.
//!
//! Promises: directories are made with mode 0700 and files with 0600; wider modes are refused, never
//! silently narrowed; a written file is either wholly the old one or wholly the new one, also after a
//! power cut. Deliberately unknown: what the files hold. On Windows, where there are no such modes,
//! the profile directory's own access list protects the files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file or directory that more people can reach than its owner.
#[derive(Debug, thiserror::Error)]
#[error("{path} has mode {found:04o}, which lets other users in; run: chmod {wanted:o} {path}", path = path.display())]
pub(crate) struct TooWide {
    path: PathBuf,
    found: u32,
    wanted: u32,
}

/// Makes `path` and what is missing above it, with mode 0700. What is there already is left alone.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Refuses what grants anything beyond `wanted`. Pass an open file's own metadata, so that what was
/// checked is what is read.
pub(crate) fn check_mode(path: &Path, metadata: &fs::Metadata, wanted: u32) -> Result<(), TooWide> {
    let found = permission_bits(metadata);
    if found & !wanted == 0 { Ok(()) } else { Err(TooWide { path: path.to_owned(), found, wanted }) }
}

#[cfg(unix)]
fn permission_bits(metadata: &fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
}

#[cfg(not(unix))]
fn permission_bits(_: &fs::Metadata) -> u32 {
    0
}

/// Opens for appending, making the file with mode 0600 when it is missing.
pub(crate) fn open_append(path: &Path) -> io::Result<File> {
    private(fs::OpenOptions::new().append(true).create(true)).open(path)
}

/// Opens a file that is there to be locked, not read.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    private(fs::OpenOptions::new().write(true).create(true).truncate(false)).open(path)
}

fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Puts `content` at `path` in place of what was there: temporary file beside it (mode 0600), fsync,
/// rename, fsync of the directory.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
    temporary.write_all(content)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|failure| failure.error)?;
    sync_directory(directory)
}

/// Puts `content` at `path` if nothing is there, in the same way; false, and nothing touched, if something is.
pub(crate) fn create(path: &Path, content: &[u8]) -> io::Result<bool> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
    temporary.write_all(content)?;
    temporary.as_file().sync_all()?;
    match temporary.persist_noclobber(path) {
        Ok(_) => sync_directory(directory).map(|()| true),
        Err(failure) if failure.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(failure) => Err(failure.error),
    }
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Directories cannot be synced on Windows; the rename is written through by the file system.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        permission_bits(&fs::metadata(path).unwrap())
    }

    #[test]
    fn made_things_are_private() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        create_directory(&directory).unwrap();
        let file = directory.join("file");
        replace(&file, b"one").unwrap();
        open_append(&directory.join("log")).unwrap();
        assert_eq!([mode_of(&directory), mode_of(&root.path().join("a"))], [0o700; 2]);
        assert_eq!([mode_of(&file), mode_of(&directory.join("log"))], [0o600; 2]);
        assert!(!create(&file, b"three").unwrap());
        assert!(create(&directory.join("new"), b"x").unwrap());
        assert_eq!(mode_of(&directory.join("new")), 0o600);
        fs::remove_file(directory.join("new")).unwrap();
        replace(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "no temporary file is left");
    }

    #[test]
    fn wider_modes_are_refused_with_the_command_that_mends_them() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        replace(&path, b"x").unwrap();
        for (found, passes) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o610, false)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(found)).unwrap();
            let answer = check_mode(&path, &fs::metadata(&path).unwrap(), 0o600);
            assert_eq!(answer.is_ok(), passes, "{found:o}");
            if let Err(refusal) = answer {
                assert!(refusal.to_string().contains("chmod 600"), "{refusal}");
            }
        }
    }
}
