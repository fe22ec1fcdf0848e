//! The simulated directory tree: the names that are seen, the names that would survive a crash, and
//! the changes between the two.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    /// Number of the file's contents.
    File(u64),
    Directory,
}

/// A change of names that survives a crash wholly or not at all.
enum Change {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

type Tree = BTreeMap<PathBuf, Node>;

/// All names below `/`, which is there from the beginning.
pub(super) struct Names {
    visible: Tree,
    durable: Tree,
    /// In the order of making.
    unsynced: Vec<Change>,
}

impl Names {
    pub(super) fn new() -> Self {
        let root = Tree::from([(PathBuf::from("/"), Node::Directory)]);
        Self { visible: root.clone(), durable: root, unsynced: Vec::new() }
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<u64> {
        match self.visible.get(path) {
            Some(Node::File(number)) => Ok(*number),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn add(&mut self, path: &Path, node: Node) -> io::Result<()> {
        self.check_directory(parent(path))?;
        if self.visible.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.change(Change::Add(path.into(), node));
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        self.change(Change::Remove(path.into()));
        Ok(())
    }

    pub(super) fn remove_directory(&mut self, path: &Path) -> io::Result<()> {
        if !self.list(path)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.change(Change::Remove(path.into()));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.file(from)?;
        self.check_directory(parent(to))?;
        if self.visible.get(to) == Some(&Node::Directory) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.change(Change::Rename(from.into(), to.into()));
        Ok(())
    }

    pub(super) fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.check_directory(directory)?;
        let inside = self.visible.keys().filter(|path| path.parent() == Some(directory));
        Ok(inside.cloned().collect())
    }

    /// Makes the changes durable that concern `directory`.
    pub(super) fn sync(&mut self, directory: &Path) -> io::Result<()> {
        self.check_directory(directory)?;
        self.persist(|change| change.directories().contains(&directory));
        Ok(())
    }

    /// After a crash: the durable names, and those unsynced changes for which `keep` says so and
    /// which still have what they change.
    pub(super) fn crash(&mut self, mut keep: impl FnMut() -> bool) {
        self.persist(|_| keep());
        self.unsynced.clear();
        // A name whose directory did not survive is gone with it; parents come before children here.
        for (path, node) in std::mem::take(&mut self.durable) {
            if path.parent().is_none_or(|parent| self.durable.get(parent) == Some(&Node::Directory)) {
                self.durable.insert(path, node);
            }
        }
        self.visible.clone_from(&self.durable);
    }

    /// Whether any name stands for the file, or would after a crash.
    pub(super) fn refers_to(&self, file: u64) -> bool {
        self.visible.values().chain(self.durable.values()).any(|node| *node == Node::File(file))
    }

    fn persist(&mut self, mut keep: impl FnMut(&Change) -> bool) {
        for change in std::mem::take(&mut self.unsynced) {
            if keep(&change) {
                change.apply(&mut self.durable);
            } else {
                self.unsynced.push(change);
            }
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.unsynced.push(change);
    }

    fn check_directory(&self, path: &Path) -> io::Result<()> {
        match self.visible.get(path) {
            Some(Node::Directory) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Change {
    fn apply(&self, tree: &mut Tree) {
        match self {
            Self::Add(path, node) => {
                tree.insert(path.clone(), *node);
            }
            Self::Remove(path) => {
                tree.remove(path);
            }
            Self::Rename(from, to) => {
                if let Some(node) = tree.remove(from) {
                    tree.insert(to.clone(), node);
                }
            }
        }
    }

    fn directories(&self) -> Vec<&Path> {
        match self {
            Self::Add(path, _) | Self::Remove(path) => vec![parent(path)],
            Self::Rename(from, to) => vec![parent(from), parent(to)],
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}
