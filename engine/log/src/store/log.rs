//! Reading the commit log.
//!
//! Promises: records come in order and without a gap, or the damage is named. Deliberately unknown: who
//! reads. A reader goes through the log page by page, so where the last page ended is remembered.

use nimbus_namespace::{CommitRecord, LogPage, Result};
use nimbus_types::Sequence;
use parking_lot::Mutex;

use super::Store;
use crate::frame::Frame;

/// Where the frame after some record begins.
#[derive(Debug, Clone, Copy)]
struct Place {
    next: Sequence,
    segment: u32,
    block: u32,
}

/// Remembers where the last page of the log ended.
#[derive(Default)]
pub(crate) struct LastPage(Mutex<Option<Place>>);

impl Store {
    /// See [`nimbus_namespace::Namespace::read_log`].
    pub(crate) fn read_log(&self, after: Sequence, limit: usize) -> Result<Vec<CommitRecord>> {
        let version = self.version();
        let mut page = LogPage::begin(&version.head, after, limit)?;
        if page.wanted() == 0 {
            return page.finish();
        }
        let remembered = self.last_page.0.lock().filter(|place| place.next == after.next());
        let first = match remembered {
            Some(place) => Some(place.segment),
            None => version
                .segments()
                .filter(|segment| segment.base_sequence() <= after.next())
                .last()
                .map(|segment| segment.number()),
        };
        let segments =
            version.segments().skip_while(|segment| first.is_some_and(|first| segment.number() < first));
        for segment in segments {
            let begin =
                remembered.filter(|place| place.segment == segment.number()).map_or(1, |place| place.block);
            for frame in segment.frames(&*version.context.disk, begin) {
                let (block, header, bytes) = frame?;
                if page.wanted() == 0 {
                    return page.finish();
                }
                if header.last_sequence() <= page.last() || header.sequence > version.head.sequence {
                    continue;
                }
                for record in Frame::read(bytes, header)?.records().filter(|record| record.sequence > after) {
                    if page.wanted() > 0 {
                        page.take_record(record)?;
                    }
                }
                // A page may end within a frame, which the next page then begins with.
                let place = Place { next: page.last().next(), segment: segment.number(), block };
                *self.last_page.0.lock() = Some(place);
            }
        }
        page.finish()
    }
}
