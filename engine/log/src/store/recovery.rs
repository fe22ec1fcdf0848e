//! Opening: the manifest, then every frame that was written after it.
//!
//! Promises: what was acknowledged is there; a frame that a crash cut short at the very end of the log is
//! cut off, and the zeros behind the log are put back; anything else that does not check out refuses to open
//! and names file and offset. Files that neither the manifest nor the log needs are removed. Deliberately
//! unknown: why the last process ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use nimbus_io::{AlignedBuffer, BLOCK_BYTES, DiskFile, SECTOR_BYTES};
use nimbus_namespace::local::OpenMark;
use nimbus_namespace::{Head, Result, StorageError};
use nimbus_types::TenantId;
use parking_lot::{Condvar, Mutex};

use super::checkpoint::{Upkeep, sealed_segment};
use super::counters::Counts;
use super::current::Current;
use super::version::{Context, ValueFile, Version};
use super::writer::{Active, SinceCheckpoint, Writer};
use super::{Store, Surroundings};
use crate::cache::Share;
use crate::frame::{self, Frame, Inspected, is_zero};
use crate::manifest::{Manifest, UNFINISHED};
use crate::name::{FileName, Kind};
use crate::pack::Pack;
use crate::run::Run;
use crate::segment::{Found, Mirror, Segment, SegmentHeader};
use crate::tree::Tree;
use crate::{corrupt, failed};

/// A new segment is at least twice as long as the log since the last checkpoint.
const GROWTH: u64 = 2;

/// See [`Store::open`].
pub(super) fn open(
    surroundings: &Surroundings,
    folder: &Path,
    tenant: &TenantId,
    mark: OpenMark,
) -> Result<Store> {
    let disk = Arc::clone(&surroundings.disk);
    let manifest = Manifest::read(&*disk, folder)?;
    if manifest.tenant != *tenant {
        return Err(StorageError::Corruption("the manifest belongs to another tenant".into()));
    }
    let share = Share::new(&surroundings.budget);
    let context = Arc::new(Context { disk, folder: folder.to_owned(), share, _mark: mark });
    let (unread, next_file) = tidy(&context, &manifest)?;
    let store = assemble(surroundings, context, tenant, manifest, next_file)?;
    store.replay(&unread)?;
    Ok(store)
}

/// Removes what interrupted work left behind, and answers the segments to be replayed, in order, and the
/// number of the next file.
fn tidy(context: &Context, manifest: &Manifest) -> Result<(Vec<FileName>, u32)> {
    let Context { disk, folder, .. } = context;
    let listed = disk.list(folder).map_err(|error| failed("list", folder, &error))?;
    let segments = manifest.segments.iter().map(|entry| (entry.number, Kind::Segment));
    let packs = manifest.packs.iter().map(|entry| (entry.number, Kind::Pack));
    let runs = manifest.runs.iter().map(|number| (*number, Kind::Run));
    let named: BTreeSet<FileName> =
        segments.chain(packs).chain(runs).map(|(number, kind)| FileName { number, kind }).collect();
    let mut paths = named.iter().map(|name| name.path(folder));
    if let Some(missing) = paths.find(|path| listed.binary_search(path).is_err()) {
        return Err(corrupt(&missing, 0, "the file is missing, which the manifest names"));
    }
    let mut unread = Vec::new();
    let mut leftovers = Vec::new();
    let mut next_file = manifest.next_file;
    for path in &listed {
        let unfinished = path.file_name().is_some_and(|name| name == UNFINISHED);
        let name = FileName::of(path);
        if let Some(name) = name {
            next_file = next_file.max(name.number.saturating_add(1));
            if name.kind == Kind::Segment && name.number > manifest.last_segment {
                unread.push(name);
                continue;
            }
        }
        if unfinished || name.is_some_and(|name| !named.contains(&name)) {
            leftovers.push(path);
        }
    }
    if !leftovers.is_empty() {
        // After a failed sync the manifest that is seen may not be the one that would survive a crash, and
        // the other one may name these files.
        disk.sync_directory(folder).map_err(|error| failed("sync", folder, &error))?;
    }
    for path in leftovers {
        disk.remove(path).map_err(|error| failed("remove", path, &error))?;
    }
    unread.sort_unstable();
    Ok((unread, next_file))
}

/// The store as of the manifest.
fn assemble(
    surroundings: &Surroundings,
    context: Arc<Context>,
    tenant: &TenantId,
    manifest: Manifest,
    next_file: u32,
) -> Result<Store> {
    let (disk, folder, share) = (&*context.disk, &context.folder, &context.share);
    let path = |number, kind| FileName { number, kind }.path(folder);
    let open_run = |number: &u32| Run::open(disk, &path(*number, Kind::Run), *number, share).map(Arc::new);
    let runs = manifest.runs.iter().map(open_run).collect::<Result<_>>()?;
    let mut files = BTreeMap::new();
    for entry in &manifest.packs {
        let pack = Pack::open(disk, &path(entry.number, Kind::Pack), entry.number, share)?;
        files.insert(entry.number, ValueFile::Pack(Arc::new(pack)));
    }
    for entry in &manifest.segments {
        let segment = sealed_segment(path(entry.number, Kind::Segment), entry);
        files.insert(entry.number, ValueFile::Segment(Arc::new(segment)));
    }
    let head = Arc::new(manifest.head.clone());
    let writer = Writer {
        refusal: None,
        in_flight: false,
        head: Arc::clone(&head),
        frame_crc: manifest.frame_crc,
        active: None,
        spare: None,
        newest_segment: manifest.last_segment,
        next_segment_bytes: surroundings.sizes.first_segment,
        next_file,
        since_checkpoint: SinceCheckpoint::new(share.charge(0)),
        buffer: AlignedBuffer::default(),
        written_us: surroundings.clock.monotonic_us(),
    };
    let version = Version {
        context: Arc::clone(&context),
        head,
        delta: Tree::default(),
        frozen: None,
        runs,
        files: files.into_iter().collect(),
    };
    Ok(Store {
        context,
        tenant: tenant.clone(),
        randomness: Arc::clone(&surroundings.randomness),
        clock: Arc::clone(&surroundings.clock),
        sizes: surroundings.sizes,
        current: Current::new(version),
        writer: Mutex::new(writer),
        written: Condvar::new(),
        upkeep: Mutex::new(Upkeep::new(manifest)),
        reshaping: Mutex::default(),
        making: Mutex::default(),
        last_page: super::log::LastPage::default(),
        turn_asked: std::sync::atomic::AtomicBool::new(false),
        counts: Counts::default(),
    })
}

/// A segment read into memory.
struct Unread {
    segment: Arc<Segment>,
    header: SegmentHeader,
    file: Arc<dyn DiskFile>,
    bytes: Vec<u8>,
}

impl Store {
    /// Applies the frames of segments since the last checkpoint.
    fn replay(&self, names: &[FileName]) -> Result<()> {
        let mut never_begun = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let Some(unread) = self.read_segment(*name)? else {
                // No frame was acknowledged in a segment without a header. The log may have gone past it: it
                // was made ahead and not used. Had it held frames, the next one would not follow.
                never_begun.push(name);
                continue;
            };
            let is_last = at + 1 == names.len();
            self.replay_segment(&unread, is_last || !self.any_begun(&names[at + 1..])?)?;
        }
        for name in never_begun {
            self.discard(&self.segment_path(name.number));
        }
        Ok(())
    }

    fn any_begun(&self, names: &[FileName]) -> Result<bool> {
        for name in names {
            if self.read_header(*name)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read_header(&self, name: FileName) -> Result<Option<(Arc<dyn DiskFile>, SegmentHeader)>> {
        let path = name.path(&self.context.folder);
        let read = || {
            let file = self.context.disk.open(&path)?;
            let mut sector = [0; SECTOR_BYTES];
            // A file that is shorter was being made when the process ended.
            if file.size_bytes()? >= SECTOR_BYTES as u64 {
                file.read_at(0, &mut sector)?;
            }
            Ok((file, sector))
        };
        let (file, sector) = read().map_err(|error: std::io::Error| failed("read", &path, &error))?;
        match SegmentHeader::read(&path, &sector)? {
            Found::Nothing => Ok(None),
            Found::Header(header) if header.number != name.number || header.tenant != self.tenant => {
                Err(corrupt(&path, 0, "the header is of another file"))
            }
            Found::Header(header) => Ok(Some((file, header))),
        }
    }

    fn read_segment(&self, name: FileName) -> Result<Option<Unread>> {
        let Some((file, header)) = self.read_header(name)? else { return Ok(None) };
        let path = name.path(&self.context.folder);
        let read = || {
            let mut bytes = vec![0; file.size_bytes()? as usize];
            file.read_at(0, &mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error: std::io::Error| failed("read", &path, &error))?;
        let mirror = Mirror::new(bytes.len() as u64);
        self.writer.lock().since_checkpoint.memory.grow(mirror.memory_bytes() as u64);
        let segment = Arc::new(Segment::live(path, &header, Arc::clone(&file), mirror));
        Ok(Some(Unread { segment, header, file, bytes }))
    }

    /// Applies a segment's frames. Only the log's last segment may end in a torn frame, and only it is
    /// written on.
    fn replay_segment(&self, unread: &Unread, is_last: bool) -> Result<()> {
        let Unread { segment, header, bytes, .. } = unread;
        let damaged = |block: usize, what: &str| corrupt(segment.path(), (block * BLOCK_BYTES) as u64, what);
        {
            let mut writer = self.writer.lock();
            if header.previous_crc != writer.frame_crc || header.base_sequence != writer.head.sequence.next()
            {
                return Err(damaged(0, "the segment does not follow the one before"));
            }
            writer.newest_segment = segment.number();
        }
        let mut block = 1;
        loop {
            match frame::inspect(bytes.get(block * BLOCK_BYTES..).unwrap_or_default(), header.salt) {
                Inspected::Frame(found) => {
                    let begin = block * BLOCK_BYTES;
                    let frame = Bytes::copy_from_slice(&bytes[begin..begin + found.used_bytes()]);
                    let frame = Frame::read(frame, found)
                        .and_then(|frame| self.replay_frame(segment, block as u32, &frame));
                    frame.map_err(|error| match error {
                        StorageError::Corruption(what) => damaged(block, &what),
                        other => other,
                    })?;
                    block += found.blocks() as usize;
                }
                Inspected::Damaged(what) => return Err(damaged(block, what)),
                Inspected::Torn if !is_last => {
                    return Err(damaged(block, "a frame is cut short within the log"));
                }
                Inspected::Torn | Inspected::Nothing => break,
            }
        }
        if is_last { self.write_on(unread, block) } else { Ok(()) }
    }

    fn replay_frame(&self, segment: &Arc<Segment>, block: u32, frame: &Frame) -> Result<()> {
        let mut writer = self.writer.lock();
        let header = frame.header();
        if header.previous_crc != writer.frame_crc || header.sequence != writer.head.sequence.next() {
            return Err(StorageError::Corruption("a frame does not follow the one before".into()));
        }
        let head = Arc::new(Head {
            sequence: header.last_sequence(),
            time_ms: frame.last_time_ms().unwrap_or(writer.head.time_ms),
            digest: frame.digest_after(&writer.head.digest)?,
            log_start: header.log_start,
        });
        let placed: Vec<_> = frame.changes().iter().map(|change| change.placed.clone()).collect();
        let since = &mut writer.since_checkpoint;
        self.show(since, segment, block, header, frame.bytes(), &placed, &head);
        writer.frame_crc = header.crc;
        writer.head = head;
        self.counts.replayed_frames.add(1);
        Ok(())
    }

    /// Makes the log's last segment the active one again, behind its frames.
    fn write_on(&self, unread: &Unread, block: usize) -> Result<()> {
        let Unread { segment, header, file, bytes } = unread;
        let tail = bytes.get(block * BLOCK_BYTES..).unwrap_or_default();
        // What a torn write left must go: the next frame's sectors have to be zeros before it is written.
        let left = tail.chunks(BLOCK_BYTES).rposition(|block| !is_zero(block)).map_or(0, |last| last + 1);
        let whole_blocks = bytes.len() / BLOCK_BYTES;
        if left > 0 {
            refuse_later_frames(segment, header.salt, tail, block)?;
            let mut zeros = AlignedBuffer::default();
            zeros.resize(left.min(whole_blocks - block) * BLOCK_BYTES, 0);
            let offset = (block * BLOCK_BYTES) as u64;
            file.write_durable_at(offset, &zeros).map_err(|error| failed("write", segment.path(), &error))?;
            self.counts.torn_tails.add(1);
        }
        let mut writer = self.writer.lock();
        let log_bytes: u64 = writer.since_checkpoint.segments.iter().map(|(entry, _)| entry.used_bytes).sum();
        let next_segment_bytes = (log_bytes * GROWTH).next_power_of_two();
        writer.next_segment_bytes = next_segment_bytes.clamp(self.sizes.first_segment, self.sizes.segment);
        writer.active = Some(Active {
            segment: Arc::clone(segment),
            file: Arc::clone(file),
            next_block: block as u32,
            blocks: whole_blocks as u32,
            header: None,
        });
        Ok(())
    }
}

/// Behind a frame that was cut short there cannot be one that was not: frames are written one at a time.
fn refuse_later_frames(segment: &Segment, salt: u32, tail: &[u8], first: usize) -> Result<()> {
    for (ordinal, _) in tail.chunks_exact(BLOCK_BYTES).enumerate().skip(1) {
        if matches!(frame::inspect(&tail[ordinal * BLOCK_BYTES..], salt), Inspected::Frame(_)) {
            let offset = ((first + ordinal) * BLOCK_BYTES) as u64;
            return Err(corrupt(segment.path(), offset, "a whole frame follows one that is cut short"));
        }
    }
    Ok(())
}
