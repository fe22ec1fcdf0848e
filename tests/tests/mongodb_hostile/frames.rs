//! Bytes that are no message, or none that is in use: each closes its connection.

use bson::{Document, doc};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use nimbus_tests::{Opcode, message};
use std::io::Write;

use crate::{Outcome, Row};

const LARGEST_BYTES: i32 = 48_000_000;
const MESSAGE: i32 = Opcode::Message as i32;

fn closed(name: &'static str, bytes: Vec<u8>) -> Row {
    Row { name, bytes, outcome: Outcome::Closed, authenticated: false }
}

/// A header with any length, and what follows it.
fn raw(length: i32, opcode: i32, body: &[u8]) -> Vec<u8> {
    [&[length, 7, 0, opcode].map(i32::to_le_bytes).concat(), body].concat()
}

fn bytes_of(document: &Document) -> Vec<u8> {
    bson::serialize_to_vec(document).expect("a document is BSON")
}

fn ping() -> Vec<u8> {
    bytes_of(&doc! { "ping": 1, "$db": "admin" })
}

/// The body of a message: flags, then sections.
fn body(flags: u32, sections: &[&[u8]]) -> Vec<u8> {
    [&flags.to_le_bytes()[..], &sections.concat()].concat()
}

fn section(document: &[u8]) -> Vec<u8> {
    [&[0], document].concat()
}

fn sequence(size: i32, name: &[u8], documents: &[u8]) -> Vec<u8> {
    [&[1], &size.to_le_bytes()[..], name, documents].concat()
}

fn compressed(opcode: i32, declared_bytes: i32, compressor: u8, bytes: &[u8]) -> Vec<u8> {
    let fields = [opcode.to_le_bytes(), declared_bytes.to_le_bytes()].concat();
    message(Opcode::Compressed as i32, 7, &[&fields, &[compressor][..], bytes].concat())
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes bytes");
    encoder.finish().expect("memory takes bytes")
}

/// A document in which documents are nested this deep, made without recursion.
pub(crate) fn nested(depth: i32) -> Vec<u8> {
    let opening = |level: i32| [&(5 + 8 * level).to_le_bytes()[..], &[3, b'a', 0]].concat();
    let mut bytes: Vec<u8> = (1..=depth).rev().flat_map(opening).collect();
    bytes.extend_from_slice(&[5, 0, 0, 0, 0]);
    bytes.extend(std::iter::repeat_n(0, usize::try_from(depth).expect("a depth")));
    bytes
}

fn with_checksum(good: bool) -> Vec<u8> {
    let body = body(1, &[&section(&ping())]);
    let length = i32::try_from(16 + body.len() + 4).expect("a small message");
    let mut bytes = raw(length, MESSAGE, &body);
    let checksum = crc32c::crc32c(&bytes) ^ u32::from(!good);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

pub(crate) fn rows() -> Vec<Row> {
    let fine = |name, bytes| Row { outcome: Outcome::Fine, ..closed(name, bytes) };
    // Of one that has shown a password more is read before it is refused.
    let known = |row| Row { authenticated: true, ..row };
    let refused = |name, code, bytes| Row { outcome: Outcome::Error(code), ..known(closed(name, bytes)) };
    let whole = ping();
    let mut cut = whole.clone();
    cut.truncate(whole.len() - 4);
    let mut too_long = whole.clone();
    too_long[0] = 200;
    let mut negative = whole.clone();
    negative[..4].copy_from_slice(&(-1_i32).to_le_bytes());
    let mut tiny = whole.clone();
    tiny[..4].copy_from_slice(&4_i32.to_le_bytes());
    let mut unended = whole.clone();
    *unended.last_mut().expect("a document has a last byte") = 1;
    let mut unknown_type = whole.clone();
    unknown_type[4] = 0x7A;
    let not_utf8 = {
        let mut bytes = bytes_of(&doc! { "ping": "abc", "$db": "admin" });
        let at = bytes.windows(3).position(|window| window == b"abc").expect("the text");
        bytes[at] = 0xFF;
        bytes
    };
    let two_bodies = body(0, &[&section(&whole), &section(&whole)]);
    let one_document = bytes_of(&doc! { "_id": 5 });
    let size = i32::try_from(4 + 10 + one_document.len()).expect("small");
    let good_sequence = sequence(size, b"documents\0", &one_document);
    let wrapped = body(0, &[&section(&whole)]);
    let declared = i32::try_from(wrapped.len()).expect("small");
    let bomb = zlib(&vec![0; 60_000_000]);
    vec![
        closed("nothing at all", Vec::new()),
        closed("one byte", vec![1]),
        closed("half a header", raw(26, MESSAGE, &[])[..8].to_vec()),
        closed("length 0", raw(0, MESSAGE, &whole)),
        closed("length 15", raw(15, MESSAGE, &whole)),
        closed("length 16, no body", raw(16, MESSAGE, &[])),
        closed("a negative length", raw(-1, MESSAGE, &whole)),
        closed("the least length", raw(i32::MIN, MESSAGE, &whole)),
        closed("the greatest length", raw(i32::MAX, MESSAGE, &whole)),
        closed("more than a stranger may send", raw(65_537, MESSAGE, &whole)),
        known(closed("one byte too large", raw(LARGEST_BYTES + 1, MESSAGE, &whole))),
        known(closed("a length that never arrives", raw(LARGEST_BYTES, MESSAGE, &whole))),
        closed("opcode 0", message(0, 7, &whole)),
        closed("opcode reply", message(Opcode::Reply as i32, 7, &whole)),
        closed("opcode update of old", message(2001, 7, &whole)),
        closed("opcode insert of old", message(2002, 7, &whole)),
        closed("opcode get more of old", message(2005, 7, &whole)),
        closed("opcode delete of old", message(2006, 7, &whole)),
        closed("opcode kill cursors of old", message(2007, 7, &whole)),
        closed("an unknown opcode", message(123_456, 7, &whole)),
        closed("a negative opcode", message(-5, 7, &whole)),
        closed("an unknown flag that is required", message(MESSAGE, 7, &body(1 << 7, &[&section(&whole)]))),
        fine("an unknown flag that is optional", message(MESSAGE, 7, &body(1 << 20, &[&section(&whole)]))),
        closed("flags and no section", message(MESSAGE, 7, &body(0, &[]))),
        closed("half the flags", message(MESSAGE, 7, &[0, 0])),
        closed("a section of unknown kind", message(MESSAGE, 7, &body(0, &[&[9], &whole]))),
        closed("two bodies", message(MESSAGE, 7, &two_bodies)),
        closed("a sequence and no body", message(MESSAGE, 7, &body(0, &[&good_sequence]))),
        closed("a document cut short", message(MESSAGE, 7, &body(0, &[&section(&cut)]))),
        closed("a document longer than the message", message(MESSAGE, 7, &body(0, &[&section(&too_long)]))),
        closed("a document of negative length", message(MESSAGE, 7, &body(0, &[&section(&negative)]))),
        closed("a document of length 4", message(MESSAGE, 7, &body(0, &[&section(&tiny)]))),
        closed("a document without its end", message(MESSAGE, 7, &body(0, &[&section(&unended)]))),
        closed("an unknown type of value", message(MESSAGE, 7, &body(0, &[&section(&unknown_type)]))),
        closed("text that is not UTF-8", message(MESSAGE, 7, &body(0, &[&section(&not_utf8)]))),
        closed("bytes behind the sections", message(MESSAGE, 7, &body(0, &[&section(&whole), &[0, 0]]))),
        closed(
            "a sequence of size 0",
            message(MESSAGE, 7, &body(0, &[&section(&whole), &sequence(0, b"d\0", &[])])),
        ),
        closed(
            "a sequence of negative size",
            message(MESSAGE, 7, &body(0, &[&section(&whole), &sequence(-9, b"d\0", &[])])),
        ),
        closed(
            "a sequence beyond the message",
            message(MESSAGE, 7, &body(0, &[&section(&whole), &sequence(900, b"d\0", &one_document)])),
        ),
        closed(
            "a sequence without a name's end",
            message(MESSAGE, 7, &body(0, &[&section(&whole), &sequence(8, b"docu", &[])])),
        ),
        closed(
            "a sequence with half a document",
            message(MESSAGE, 7, &body(0, &[&section(&whole), &sequence(10, b"d\0", &one_document[..4])])),
        ),
        refused("nesting of 10,000", 15, message(MESSAGE, 7, &body(0, &[&section(&nested(10_000))]))),
        refused("nesting of 1,000,000", 15, message(MESSAGE, 7, &body(0, &[&section(&nested(1_000_000))]))),
        fine("a right checksum", with_checksum(true)),
        closed("a wrong checksum", with_checksum(false)),
        closed("a checksum announced and missing", message(MESSAGE, 7, &body(1, &[]))),
        closed(
            "an old query for something else",
            message(
                Opcode::Query as i32,
                7,
                &[&[0; 4][..], b"acme.notes\0", &[0; 8], &bytes_of(&doc! { "_id": 1 })].concat(),
            ),
        ),
        closed("an old query cut short", message(Opcode::Query as i32, 7, &[0; 6])),
        closed("an old query without a name's end", message(Opcode::Query as i32, 7, b"\0\0\0\0admin")),
        closed("a compressed message cut short", message(Opcode::Compressed as i32, 7, &[0; 5])),
        fine("a compressed message", compressed(MESSAGE, declared, 2, &zlib(&wrapped))),
        closed("an unknown compressor", compressed(MESSAGE, declared, 77, &zlib(&wrapped))),
        closed("compressed bytes that are none", compressed(MESSAGE, declared, 2, &[1, 2, 3, 4])),
        closed("less inside than declared", compressed(MESSAGE, declared + 5, 2, &zlib(&wrapped))),
        closed("more inside than declared", compressed(MESSAGE, declared - 5, 2, &zlib(&wrapped))),
        closed("a negative size inside", compressed(MESSAGE, -1, 2, &zlib(&wrapped))),
        closed("a size inside beyond all limits", compressed(MESSAGE, i32::MAX, 2, &zlib(&wrapped))),
        known(closed("a bomb", compressed(MESSAGE, LARGEST_BYTES - 16, 2, &bomb))),
        known(closed("a bomb that says it is small", compressed(MESSAGE, 100, 2, &bomb))),
        closed(
            "compressed within compressed",
            compressed(Opcode::Compressed as i32, declared, 2, &zlib(&wrapped)),
        ),
        closed("snappy bytes that are none", compressed(MESSAGE, declared, 1, &[0xFF; 20])),
        closed("zstd bytes that are none", compressed(MESSAGE, declared, 3, &[0xFF; 20])),
    ]
}
