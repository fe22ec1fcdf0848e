//! How a tenant's files are called: `segment-0000000012`, `run-0000000013`, `pack-0000000014`.
//!
//! Promises: a name says kind and number, and names in order are numbers in order.

use std::path::{Path, PathBuf};

/// What a numbered file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A piece of the commit log.
    Segment,
    /// A sorted run.
    Run,
    /// Values that outlive the log.
    Pack,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Segment, Self::Run, Self::Pack];

    /// What its names begin with.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Run => "run",
            Self::Pack => "pack",
        }
    }
}

/// A numbered file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileName {
    /// Drawn from one counter for all kinds.
    pub(crate) number: u32,
    /// What it is.
    pub(crate) kind: Kind,
}

impl FileName {
    /// The path of the file in the tenant's `folder`.
    pub(crate) fn path(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}-{:010}", self.kind.word(), self.number))
    }

    /// The reverse of [`FileName::path`]; `None` for a file that is not one of these.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (word, number) = name.split_once('-')?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word)?;
        let found = Self { number: number.parse().ok()?, kind };
        (found.path(path.parent()?) == path).then_some(found)
    }
}
