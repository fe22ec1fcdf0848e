//! The scrub: reads every byte that the tenant's files promise, and names what is wrong.
//!
//! Promises: reads only; a flipped byte in a frame, a block or a value is found. Deliberately unknown:
//! whether documents, indexes and log agree, which the engine verifies.

use nimbus_io::BLOCK_BYTES;
use nimbus_namespace::{PhysicalReport, Result};
use nimbus_types::Sequence;

use super::Store;
use super::version::{ValueFile, Version};
use crate::file_name;
use crate::frame::Frame;
use crate::manifest::Manifest;
use crate::segment::Segment;

impl Store {
    /// See [`nimbus_namespace::Namespace::check`].
    pub(crate) fn check(&self) -> PhysicalReport {
        let version = self.version();
        let mut report = PhysicalReport::default();
        if let Err(error) = Manifest::read(&*version.context.disk, &version.context.folder) {
            report.add("manifest", error.to_string());
        }
        for run in &*version.runs {
            run.check(&mut report);
        }
        let mut log = LogCheck { version: &version, last: None };
        for (_, file) in &*version.files {
            match file {
                ValueFile::Pack(pack) => pack.check(&mut report),
                ValueFile::Segment(segment) => log.check(segment, &mut report),
            }
        }
        log.finish(&mut report);
        report
    }
}

/// Follows the log through its segments.
struct LogCheck<'a> {
    version: &'a Version,
    /// The newest frame's sequence and `crc`.
    last: Option<(Sequence, u32)>,
}

impl LogCheck<'_> {
    fn check(&mut self, segment: &Segment, report: &mut PhysicalReport) {
        let name = file_name(segment.path());
        if let Err(error) = self.check_frames(segment, report) {
            report.add(&name, error.to_string());
        }
    }

    fn check_frames(&mut self, segment: &Segment, report: &mut PhysicalReport) -> Result<()> {
        let disk = &*self.version.context.disk;
        let name = file_name(segment.path());
        segment.check_header(disk)?;
        for frame in segment.frames(disk, 1) {
            let (block, header, bytes) = frame?;
            if header.sequence > self.version.head.sequence {
                // Written since the version was taken.
                return Ok(());
            }
            let place = format!("{name}, offset {}", u64::from(block) * BLOCK_BYTES as u64);
            let follows = self.last.is_none_or(|(sequence, crc)| {
                header.sequence == sequence.next() && header.previous_crc == crc
            });
            if !follows {
                report.add(&place, "the frame does not follow the one before");
            }
            self.last = Some((header.last_sequence(), header.crc));
            if let Err(error) = segment.check_medium(disk, block, &bytes) {
                report.add(&place, error.to_string());
            }
            if let Err(error) = Frame::read(bytes, header) {
                report.add(&place, error.to_string());
            }
        }
        Ok(())
    }

    /// The log reaches from its start to the head.
    fn finish(self, report: &mut PhysicalReport) {
        let head = &self.version.head;
        let reached =
            self.last.map_or(Sequence(head.log_start.0.saturating_sub(1)), |(sequence, _)| sequence);
        if reached < head.sequence {
            report.add("commit log", format!("it ends at {reached}, the head is at {}", head.sequence));
        }
        let first = self.version.segments().map(|segment| segment.base_sequence()).next();
        if head.log_start <= head.sequence && first.is_none_or(|first| first > head.log_start) {
            report.add(
                "commit log",
                format!("its first records are missing; it should start at {}", head.log_start),
            );
        }
    }
}
