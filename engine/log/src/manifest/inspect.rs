//! A manifest for a person: the head, and the files that the tenant has.

use std::io;

use super::{Manifest, PackEntry, Refusal, SegmentEntry, VERSION};
use crate::inspect::{Printer, Source};

/// Prints a manifest.
pub(crate) fn inspect(source: &Source, printer: &mut Printer<'_>) -> io::Result<()> {
    let bytes = match source.read(0, source.size_bytes()) {
        Ok(bytes) => bytes,
        Err(why) => return printer.damage("manifest", 0, why),
    };
    let manifest = match Manifest::decode(&bytes) {
        Ok(manifest) => manifest,
        Err(Refusal::Damaged) => return printer.damage("manifest", 0, "it does not match its checksum"),
        Err(Refusal::Version(version)) => {
            let why = format_args!("its version is {version}; this nimbus reads version {VERSION}");
            return printer.damage("manifest", 0, why);
        }
    };
    let Manifest { tenant, next_file, last_segment, frame_crc, head, segments, packs, runs } = &manifest;
    let (sequence, log_start) = (head.sequence, head.log_start);
    printer.line(format_args!(
        "ok: tenant {tenant}, at commit {sequence}, log from {log_start}, last frame {frame_crc:08x}, \
         replayed behind segment {last_segment}, next file {next_file}"
    ))?;
    for SegmentEntry { number, base_sequence, last_sequence, used_bytes, values, .. } in segments {
        printer.line(format_args!(
            "segment {number}: commits {base_sequence}-{last_sequence}, {used_bytes} bytes, values {} bytes, \
             dead {} bytes",
            values.bytes, values.dead_bytes
        ))?;
    }
    for PackEntry { number, values } in packs {
        printer.line(format_args!(
            "pack {number}: values {} bytes, dead {} bytes",
            values.bytes, values.dead_bytes
        ))?;
    }
    runs.iter().try_for_each(|run| printer.line(format_args!("run {run}")))
}
