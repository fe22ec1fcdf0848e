//! Looking into one file of a tenant's folder, for a person: what it is, its parts, which of them are damaged.
//!
//! Promises: reads only and takes no lock, so a file may be looked into while a server writes it; damage is
//! told and what lies behind it is looked at all the same, as far as it can be found; values are never shown,
//! keys only when they are asked for. Each kind of file is taken apart beside its format. Deliberately
//! unknown: whether the file is still part of a store.

mod printer;
mod source;

use std::io::{self, Write};
use std::path::Path;

use crate::name::{FileName, Kind};
use crate::{manifest, pack, run, segment};
pub(crate) use printer::{Printer, SpaceCounts};
pub(crate) use source::Source;

/// Why a file could not be looked into.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// There is no such file, or it may not be read.
    #[error("cannot open the file: {0}")]
    Open(io::Error),
    /// Neither its first bytes nor its name are those of a segment, a run, a pack or a manifest.
    #[error("this is no file of the log store")]
    Unknown,
    /// What was found cannot be written.
    #[error("cannot write what was found: {0}")]
    Output(io::Error),
}

/// Writes what is in the file at `path` to `out`, keys in hexadecimal digits if `keys` says so, and answers how
/// many places of it are damaged. A last frame that a crash cut short is none: recovery cuts it off.
pub fn inspect(path: &Path, keys: bool, out: &mut dyn Write) -> Result<u64, InspectError> {
    let source = Source::open(path).map_err(InspectError::Open)?;
    let kind = FileKind::of(path, &source).ok_or(InspectError::Unknown)?;
    let mut printer = Printer::new(out, keys);
    let told = tell(path, &source, kind, &mut printer);
    told.and_then(|()| printer.finish()).map_err(InspectError::Output)
}

fn tell(path: &Path, source: &Source, kind: FileKind, printer: &mut Printer<'_>) -> io::Result<()> {
    printer.line(format_args!(
        "{}: {}, {} bytes",
        crate::file_name(path),
        kind.name(),
        source.size_bytes()
    ))?;
    let number = FileName::of(path).map(|name| name.number);
    match kind {
        FileKind::Numbered(Kind::Segment) => segment::inspect(source, number, printer),
        FileKind::Numbered(Kind::Run) => run::inspect(source, number, printer),
        FileKind::Numbered(Kind::Pack) => pack::inspect(source, number, printer),
        FileKind::Manifest => manifest::inspect(source, printer),
    }
}

/// What there is in a tenant's folder.
#[derive(Clone, Copy)]
enum FileKind {
    Numbered(Kind),
    Manifest,
}

impl FileKind {
    /// By the first bytes; where they are damaged, or not written yet, by the name.
    fn of(path: &Path, source: &Source) -> Option<Self> {
        let magics = [
            (segment::MAGIC, Self::Numbered(Kind::Segment)),
            (run::MAGIC, Self::Numbered(Kind::Run)),
            (pack::MAGIC, Self::Numbered(Kind::Pack)),
            (manifest::MAGIC, Self::Manifest),
        ];
        let first = source.read(0, 8).unwrap_or_default();
        let by_magic = magics.into_iter().find(|(magic, _)| first[..] == magic[..]).map(|(_, kind)| kind);
        by_magic.or_else(|| FileName::of(path).map(|name| Self::Numbered(name.kind))).or_else(|| {
            let is_manifest = path.file_name().is_some_and(|name| name == "manifest");
            is_manifest.then_some(Self::Manifest)
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Numbered(kind) => kind.word(),
            Self::Manifest => "manifest",
        }
    }
}

#[cfg(test)]
mod tests;
