//! The manifest: which files a tenant has, and up to where the log is in its runs.
//!
//! Promises: it is replaced as a whole or not at all (written beside, synced, renamed, folder synced); one
//! that does not check out is damage. Everything that is in the folder and not in the manifest is either
//! the log since the last checkpoint or the leftover of interrupted work. Layout, little-endian:
//! `NIMBUSMF · version u16 = 1 · tenant (u16 length, bytes) · next file u32 · last segment u32 · frame crc
//! u32 · sequence u64 · time_ms u64 · log_start u64 · digest (u32 length, bytes)`, then three lists, each
//! with a `u32` count: segments `number u32 · salt u32 · base sequence u64 · last sequence u64 · used bytes
//! u64 · value bytes u64 · dead bytes u64`, packs `number u32 · value bytes u64 · dead bytes u64`, runs
//! `number u32`, newest first; at last the CRC-32 of all before it.

mod inspect;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use nimbus_io::Disk;
use nimbus_namespace::{Head, Result, StateDigest, StorageError};
use nimbus_types::{Sequence, TenantId};

use crate::{corrupt, failed};
pub(crate) use inspect::inspect;

pub(crate) const MAGIC: &[u8; 8] = b"NIMBUSMF";
const VERSION: u16 = 1;
const NAME: &str = "manifest";
/// Where it is written before it gets its name.
pub(crate) const UNFINISHED: &str = "manifest.new";

/// A sealed segment whose values are in the runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentEntry {
    pub(crate) number: u32,
    pub(crate) salt: u32,
    pub(crate) base_sequence: Sequence,
    pub(crate) last_sequence: Sequence,
    pub(crate) used_bytes: u64,
    pub(crate) values: Values,
}

/// A pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackEntry {
    pub(crate) number: u32,
    pub(crate) values: Values,
}

/// How many bytes of values a file holds, and how many of them are known to be dead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) bytes: u64,
    pub(crate) dead_bytes: u64,
}

impl Values {
    /// The part that lives, as far as is known: 1 is all of it, and nothing is dead of no bytes at all.
    pub(crate) fn live_ratio(self) -> f64 {
        if self.bytes == 0 { 1.0 } else { 1.0 - self.dead_bytes.min(self.bytes) as f64 / self.bytes as f64 }
    }
}

/// See the head of this file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) tenant: TenantId,
    /// Above the number of every file that is named here.
    pub(crate) next_file: u32,
    /// The newest segment whose frames are all in the runs; 0 for none. Segments with a greater number are
    /// replayed.
    pub(crate) last_segment: u32,
    /// `crc` of the last frame that is in the runs.
    pub(crate) frame_crc: u32,
    /// The head as of that frame.
    pub(crate) head: Head,
    pub(crate) segments: Vec<SegmentEntry>,
    pub(crate) packs: Vec<PackEntry>,
    /// Newest first.
    pub(crate) runs: Vec<u32>,
}

impl Manifest {
    /// Of a tenant that has just been made.
    pub(crate) fn empty(tenant: &TenantId) -> Self {
        Self {
            tenant: tenant.clone(),
            next_file: 1,
            last_segment: 0,
            frame_crc: 0,
            head: Head::empty(),
            segments: Vec::new(),
            packs: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// How many sealed segments there are, and the part of all values that lives.
    pub(crate) fn figures(&self) -> (Option<f64>, Option<f64>) {
        let packs = self.packs.iter().map(|pack| pack.values);
        let all = self.segments.iter().map(|segment| segment.values).chain(packs);
        let sum = all.fold(Values::default(), |sum, values| Values {
            bytes: sum.bytes + values.bytes,
            dead_bytes: sum.dead_bytes + values.dead_bytes,
        });
        (Some(self.segments.len() as f64), Some(sum.live_ratio()))
    }

    /// Where it lies in the tenant's folder.
    pub(crate) fn path(folder: &Path) -> PathBuf {
        folder.join(NAME)
    }

    /// Reads the manifest in `folder`.
    pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> Result<Self> {
        let path = Self::path(folder);
        let read = || {
            let file = disk.open(&path)?;
            let mut bytes = vec![0; file.size_bytes()? as usize];
            file.read_at(0, &mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => corrupt(&path, 0, "the manifest is missing"),
            _ => failed("read", &path, &error),
        })?;
        Self::decode(&bytes).map_err(|refusal| match refusal {
            Refusal::Damaged => corrupt(&path, 0, "the manifest does not match its checksum"),
            Refusal::Version(version) => StorageError::Unavailable(format!(
                "{NAME}: the format version is {version}; this nimbus reads version {VERSION}"
            )),
        })
    }

    /// Puts it in the place of the one in `folder`, durably.
    pub(crate) fn publish(&self, disk: &dyn Disk, folder: &Path) -> Result<()> {
        let (path, beside) = (Self::path(folder), folder.join(UNFINISHED));
        let bytes = self.encode();
        let write = || {
            match disk.remove(&beside) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = disk.create(&beside, 0)?;
            file.write_at(0, &bytes)?;
            file.sync()?;
            disk.rename(&beside, &path)?;
            disk.sync_directory(folder)
        };
        write().map_err(|error| failed("write", &path, &error))
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(self.tenant.as_str().len() as u16).to_le_bytes());
        out.extend_from_slice(self.tenant.as_str().as_bytes());
        for number in [self.next_file, self.last_segment, self.frame_crc] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.head.sequence.0, self.head.time_ms, self.head.log_start.0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let mut digest = Vec::new();
        self.head.digest.encode(&mut digest);
        out.extend_from_slice(&(digest.len() as u32).to_le_bytes());
        out.extend_from_slice(&digest);
        out.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        for segment in &self.segments {
            out.extend_from_slice(&segment.number.to_le_bytes());
            out.extend_from_slice(&segment.salt.to_le_bytes());
            let Values { bytes, dead_bytes } = segment.values;
            let (base, last) = (segment.base_sequence.0, segment.last_sequence.0);
            for number in [base, last, segment.used_bytes, bytes, dead_bytes] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out.extend_from_slice(&(self.packs.len() as u32).to_le_bytes());
        for pack in &self.packs {
            out.extend_from_slice(&pack.number.to_le_bytes());
            out.extend_from_slice(&pack.values.bytes.to_le_bytes());
            out.extend_from_slice(&pack.values.dead_bytes.to_le_bytes());
        }
        out.extend_from_slice(&(self.runs.len() as u32).to_le_bytes());
        for run in &self.runs {
            out.extend_from_slice(&run.to_le_bytes());
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> std::result::Result<Self, Refusal> {
        let (content, crc) = bytes.split_last_chunk().ok_or(Refusal::Damaged)?;
        if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
            return Err(Refusal::Damaged);
        }
        let mut reader = Reader(content);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(Refusal::Damaged);
        }
        let version = reader.u16()?;
        if version != VERSION {
            return Err(Refusal::Version(version));
        }
        let id_bytes = usize::from(reader.u16()?);
        let id = std::str::from_utf8(reader.take(id_bytes)?).map_err(|_| Refusal::Damaged)?;
        let tenant = TenantId::parse(id).map_err(|_| Refusal::Damaged)?;
        let [next_file, last_segment, frame_crc] = [reader.u32()?, reader.u32()?, reader.u32()?];
        let [sequence, time_ms, log_start] = [reader.u64()?, reader.u64()?, reader.u64()?];
        let digest_bytes = reader.u32()? as usize;
        let digest = StateDigest::from_bytes(&Bytes::copy_from_slice(reader.take(digest_bytes)?))
            .map_err(|_| Refusal::Damaged)?;
        let head = Head { sequence: Sequence(sequence), time_ms, digest, log_start: Sequence(log_start) };
        let segments = reader.list(|reader| {
            Ok(SegmentEntry {
                number: reader.u32()?,
                salt: reader.u32()?,
                base_sequence: Sequence(reader.u64()?),
                last_sequence: Sequence(reader.u64()?),
                used_bytes: reader.u64()?,
                values: reader.values()?,
            })
        })?;
        let packs =
            reader.list(|reader| Ok(PackEntry { number: reader.u32()?, values: reader.values()? }))?;
        let runs = reader.list(Reader::u32)?;
        if !reader.0.is_empty() {
            return Err(Refusal::Damaged);
        }
        Ok(Self { tenant, next_file, last_segment, frame_crc, head, segments, packs, runs })
    }
}

enum Refusal {
    Damaged,
    Version(u16),
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> std::result::Result<&'a [u8], Refusal> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Refusal::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> std::result::Result<[u8; N], Refusal> {
        self.take(N)?.try_into().map_err(|_| Refusal::Damaged)
    }

    fn u16(&mut self) -> std::result::Result<u16, Refusal> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> std::result::Result<u32, Refusal> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> std::result::Result<u64, Refusal> {
        self.array().map(u64::from_le_bytes)
    }

    fn values(&mut self) -> std::result::Result<Values, Refusal> {
        Ok(Values { bytes: self.u64()?, dead_bytes: self.u64()? })
    }

    fn list<T>(
        &mut self,
        item: impl Fn(&mut Self) -> std::result::Result<T, Refusal>,
    ) -> std::result::Result<Vec<T>, Refusal> {
        let count = self.u32()?;
        (0..count).map(|_| item(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use nimbus_io::SimulatedDisk;
    use nimbus_namespace::Space;

    use super::*;

    fn manifest() -> Manifest {
        let mut manifest = Manifest::empty(&TenantId::parse("Acme").unwrap());
        manifest.next_file = 9;
        manifest.last_segment = 3;
        manifest.frame_crc = 77;
        manifest.head.sequence = Sequence(12);
        manifest.head.digest.add(Space::Index, &[0, 0, 0, 2, 8], b"b");
        manifest.segments.push(SegmentEntry {
            number: 3,
            salt: 5,
            base_sequence: Sequence(7),
            last_sequence: Sequence(12),
            used_bytes: 8192,
            values: Values { bytes: 100, dead_bytes: 40 },
        });
        manifest.packs.push(PackEntry { number: 4, values: Values { bytes: 10, dead_bytes: 1 } });
        manifest.runs = vec![8, 6];
        manifest
    }

    #[test]
    fn a_manifest_survives_its_file_and_replaces_the_one_before() {
        let (disk, folder) = (SimulatedDisk::new(1), Path::new("/"));
        Manifest::empty(&TenantId::parse("Acme").unwrap()).publish(&disk, folder).unwrap();
        manifest().publish(&disk, folder).unwrap();
        assert_eq!(Manifest::read(&disk, folder).unwrap(), manifest());
        assert!((manifest().segments[0].values.live_ratio() - 0.6).abs() < 1e-9);
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_found() {
        let stored = manifest().encode();
        for at in 0..stored.len() {
            let mut flipped = stored.clone();
            flipped[at] ^= 0x10;
            assert!(Manifest::decode(&flipped).is_err(), "byte {at}");
            assert!(Manifest::decode(&stored[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_missing_manifest_is_damage_and_not_an_empty_tenant() {
        let missing = Manifest::read(&SimulatedDisk::new(1), Path::new("/"));
        assert!(matches!(missing, Err(StorageError::Corruption(_))), "{missing:?}");
    }
}
