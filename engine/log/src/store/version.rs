//! What readers see: one state of the tenant, which never changes.
//!
//! A version is the head and the indexes that lead to its values: the delta, the delta that is being
//! checkpointed if there is one, and the runs. Promises: whoever holds a version reads that state for as
//! long as they hold it, whatever is committed, merged or packed meanwhile; files it may need stay readable.
//! Deliberately unknown: how a version came about.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use nimbus_io::Disk;
use nimbus_namespace::local::OpenMark;
use nimbus_namespace::{Direction, Entry, EntryPage, Head, KeyRange, PageBound, Result, Space, StorageError};

use crate::cache::Share;
use crate::pack::Pack;
use crate::position::Position;
use crate::run::{MergeCursor, NearBlock, Reading, Run};
use crate::segment::{NearPage, Segment};
use crate::slot::{Cursor, OwnedSlot, Slot};
use crate::tree::Tree;

/// What every version of an open tenant shares.
pub(crate) struct Context {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
    pub(crate) share: Arc<Share>,
    /// Goes with the last version, after which nobody has a file of the tenant open.
    pub(crate) _mark: OpenMark,
}

/// A file with values.
#[derive(Clone)]
pub(crate) enum ValueFile {
    Segment(Arc<Segment>),
    Pack(Arc<Pack>),
}

/// One state of a tenant.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) context: Arc<Context>,
    pub(crate) head: Arc<Head>,
    /// Keys written since the last checkpoint was begun.
    pub(crate) delta: Tree,
    /// Keys that a checkpoint is writing to a run.
    pub(crate) frozen: Option<Tree>,
    /// Newest first.
    pub(crate) runs: Arc<[Arc<Run>]>,
    /// By ascending number.
    pub(crate) files: Arc<[(u32, ValueFile)]>,
}

/// Where the last of several values was found; the next is often there, too.
#[derive(Default)]
struct Near {
    /// One for each run, or none when a single key is looked up.
    blocks: Vec<NearBlock>,
    page: NearPage,
}

/// A key of all spaces together: the tag of the space, then the key in it.
pub(crate) fn with_tagged<T>(space: Space, key: &[u8], work: impl FnOnce(&[u8]) -> T) -> T {
    const SHORT: usize = 128;
    if key.len() < SHORT {
        let mut tagged = [0; SHORT];
        tagged[0] = space.tag();
        tagged[1..=key.len()].copy_from_slice(key);
        work(&tagged[..=key.len()])
    } else {
        work(&tagged(space, key))
    }
}

/// See [`with_tagged`].
pub(crate) fn tagged(space: Space, key: &[u8]) -> Vec<u8> {
    let mut tagged = Vec::with_capacity(key.len() + 1);
    tagged.push(space.tag());
    tagged.extend_from_slice(key);
    tagged
}

impl Version {
    /// The value of one key.
    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>> {
        with_tagged(space, key, |key| self.look_up(key, &mut Near::default()))
    }

    fn look_up(&self, key: &[u8], near: &mut Near) -> Result<Option<Bytes>> {
        for tree in std::iter::once(&self.delta).chain(&self.frozen) {
            if let Some(slot) = tree.get(key) {
                return self.resolve(slot, &mut near.page);
            }
        }
        for (ordinal, run) in self.runs.iter().enumerate() {
            let found = match near.blocks.get_mut(ordinal) {
                Some(block) => run.get_near(key, block)?,
                None => run.get(key)?,
            };
            match found {
                None => {}
                Some(OwnedSlot::Inline(value)) => return Ok(Some(value)),
                Some(slot) => return self.resolve(slot.borrow(), &mut near.page),
            }
        }
        Ok(None)
    }

    /// Where the value of a key of all spaces lies, if it has one and the value is not in the index itself.
    pub(crate) fn position(&self, key: &[u8]) -> Result<Option<Position>> {
        let of = |slot| if let Slot::At(position) = slot { Some(position) } else { None };
        for tree in std::iter::once(&self.delta).chain(&self.frozen) {
            if let Some(slot) = tree.get(key) {
                return Ok(of(slot));
            }
        }
        for run in &*self.runs {
            if let Some(slot) = run.get(key)? {
                return Ok(of(slot.borrow()));
            }
        }
        Ok(None)
    }

    /// See [`nimbus_namespace::Snapshot::get_many`].
    pub(crate) fn get_many(&self, space: Space, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        let mut bound = PageBound::new(keys.len());
        let mut values = Vec::with_capacity(keys.len());
        let mut near = Near::default();
        near.blocks.resize_with(self.runs.len(), NearBlock::default);
        for key in keys {
            if bound.is_reached() {
                break;
            }
            let value = with_tagged(space, key, |key| self.look_up(key, &mut near))?;
            bound.count(value.as_ref().map_or(0, Bytes::len));
            values.push(value);
        }
        Ok(values)
    }

    /// See [`nimbus_namespace::Snapshot::scan`].
    pub(crate) fn scan(
        &self,
        space: Space,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<EntryPage> {
        let mut page = EntryPage::default();
        if range.is_empty() {
            return Ok(page);
        }
        let start = tagged(space, &range.start);
        let end = range.end.as_ref().map_or_else(|| vec![space.tag() + 1], |end| tagged(space, end));
        let mut cursor = self.cursor(&start, Some(&end), direction)?;
        let mut bound = PageBound::new(limit);
        let mut near = NearPage::default();
        while let Some((key, slot)) = cursor.entry() {
            if slot != Slot::Removed {
                // One entry beyond the page tells whether there is more; its value is not read.
                if bound.is_reached() {
                    page.more = true;
                    break;
                }
                let key = Bytes::copy_from_slice(&key[1..]);
                if let Some(value) = self.resolve(slot, &mut near)? {
                    bound.count(key.len() + value.len());
                    page.entries.push(Entry { key, value });
                }
            }
            cursor.advance()?;
        }
        Ok(page)
    }

    /// Every key with `start <= key < end` and what the newest index says of it, removals included.
    pub(crate) fn cursor(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        direction: Direction,
    ) -> Result<MergeCursor<'_>> {
        let mut cursors: Vec<Box<dyn Cursor + '_>> = Vec::with_capacity(self.runs.len() + 2);
        for tree in std::iter::once(&self.delta).chain(&self.frozen).filter(|tree| !tree.is_empty()) {
            cursors.push(Box::new(tree.cursor(start, end, direction)));
        }
        for run in &*self.runs {
            cursors.push(Box::new(run.cursor(start, end, direction, Reading::ThroughCache)?));
        }
        Ok(MergeCursor::new(cursors, direction))
    }

    /// The value a slot stands for; `None` for a removal.
    pub(crate) fn resolve(&self, slot: Slot<'_>, near: &mut NearPage) -> Result<Option<Bytes>> {
        match slot {
            Slot::Removed => Ok(None),
            Slot::Inline(value) => Ok(Some(Bytes::copy_from_slice(value))),
            Slot::At(position) => self.value(position, near).map(Some),
        }
    }

    fn value(&self, position: Position, near: &mut NearPage) -> Result<Bytes> {
        let Context { disk, share, .. } = &*self.context;
        match self.file(position.file) {
            Some(ValueFile::Segment(segment)) => segment.value(&**disk, share, position, near),
            Some(ValueFile::Pack(pack)) => pack.read(position),
            None => Err(StorageError::Corruption(format!(
                "a value should be in the missing file {}",
                position.file
            ))),
        }
    }

    /// The file of that number, if it holds values.
    pub(crate) fn file(&self, number: u32) -> Option<&ValueFile> {
        let at = self.files.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&self.files[at].1)
    }

    /// The segments whose log records are kept, in order.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.files.iter().filter_map(|(_, file)| match file {
            ValueFile::Segment(segment) => Some(segment),
            ValueFile::Pack(_) => None,
        })
    }
}
