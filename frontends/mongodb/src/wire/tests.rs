//! The codec against messages made here byte by byte, against damage, and against itself.

use bson::{Bson, Document, RawDocumentBuf, doc};
use proptest::prelude::*;

use super::error::Refusal;
use super::message::SEQUENCE_DOCUMENTS;
use super::*;

const PLAIN: ReplyForm = ReplyForm { opcode: Opcode::Msg, checksum: false, compressor: None };

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

/// A message with this opcode and content.
fn framed(opcode: i32, content: &[u8]) -> Vec<u8> {
    [&header::raw(HEADER_BYTES + content.len(), 7, 0, opcode), content].concat()
}

/// `OP_MSG` with these flags and sections.
fn msg(flags: u32, sections: &[Vec<u8>]) -> Vec<u8> {
    framed(2013, &[&flags.to_le_bytes()[..], &sections.concat()].concat())
}

fn body(document: &Document) -> Vec<u8> {
    [&[0][..], raw(document).as_bytes()].concat()
}

fn sequence(name: &str, documents: &[Document]) -> Vec<u8> {
    let documents: Vec<u8> = documents.iter().flat_map(|document| raw(document).into_bytes()).collect();
    let length = u32::try_from(4 + name.len() + 1 + documents.len()).unwrap().to_le_bytes();
    [&[1][..], &length, name.as_bytes(), &[0], &documents].concat()
}

fn query(collection: &str, document: &Document) -> Vec<u8> {
    let content = [&[0; 4][..], collection.as_bytes(), &[0; 9], raw(document).as_bytes()].concat();
    framed(2004, &content)
}

fn compressed(compressor: u8, declared: i32, content: &[u8]) -> Vec<u8> {
    let head = [2013_i32.to_le_bytes(), declared.to_le_bytes()].concat();
    framed(2012, &[&head[..], &[compressor], content].concat())
}

fn read(bytes: &[u8]) -> Result<Message, WireError> {
    let (head, body) = bytes.split_first_chunk().ok_or(WireError::Cut("the header"))?;
    let header = Header::decode(*head, MESSAGE_BYTES)?;
    if header.body_bytes() != body.len() {
        return Err(WireError::Cut("the test's message"));
    }
    decode(&header, body)
}

/// `levels` documents, one inside the other.
fn nested(levels: usize) -> Vec<u8> {
    let mut bytes = vec![5, 0, 0, 0, 0];
    for _ in 1..levels {
        let length = u32::try_from(bytes.len() + 8).unwrap().to_le_bytes();
        bytes = [&length[..], &[3, b'a', 0], &bytes, &[0]].concat();
    }
    bytes
}

#[test]
fn a_body_and_sequences_are_read() {
    let message = read(&msg(
        0,
        &[
            sequence("documents", &[doc! { "_id": 1 }, doc! { "_id": 2 }]),
            body(&doc! { "insert": "c", "$db": "d" }),
            sequence("none", &[]),
        ],
    ))
    .unwrap();
    assert!(message.expects_reply && message.request_id == 7 && message.reply_form == PLAIN);
    let request = message.request.unwrap();
    assert_eq!(request.body, raw(&doc! { "insert": "c", "$db": "d" }));
    let documents = vec![raw(&doc! { "_id": 1 }), raw(&doc! { "_id": 2 })];
    assert_eq!(request.sequences, [("documents".to_owned(), documents), ("none".to_owned(), vec![])]);
}

#[test]
fn flags_say_whether_to_reply_and_unknown_required_ones_are_refused() {
    let with = |flags| read(&msg(flags, &[body(&doc! { "ping": 1 })]));
    assert!(!with(2).unwrap().expects_reply);
    assert!(with(1 << 16).unwrap().expects_reply);
    assert!(with(1 << 31).unwrap().expects_reply);
    assert_eq!(with(4).unwrap_err(), WireError::UnknownFlags(4));
    assert_eq!(with(1 << 15).unwrap_err(), WireError::UnknownFlags(1 << 15));
}

#[test]
fn a_handshake_comes_as_a_query_and_gets_a_database() {
    let message = read(&query("admin.$cmd", &doc! { "isMaster": 1 })).unwrap();
    assert_eq!(message.reply_form.opcode, Opcode::Query);
    assert_eq!(message.request.unwrap().body, raw(&doc! { "isMaster": 1, "$db": "admin" }));
    for collection in ["test.users", "test.$cmd", ""] {
        let refused = read(&query(collection, &doc! { "isMaster": 1 }));
        assert_eq!(refused.unwrap_err(), WireError::QueryCollection);
    }
}

#[test]
fn malformed_messages_are_told_apart() {
    let ping = body(&doc! { "ping": 1 });
    let mut not_utf8 = msg(0, &[body(&doc! { "a": "xyz" })]);
    let at = not_utf8.windows(3).position(|window| window == b"xyz").unwrap();
    not_utf8[at] = 0xFF;
    let mut long_body = ping.clone();
    long_body[1] += 1;
    let many: Vec<_> = (0..9).map(|n| sequence(&format!("s{n}"), &[])).chain([ping.clone()]).collect();
    for (bytes, error) in [
        (framed(1, &[]), WireError::UnknownOpcode(1)),
        (framed(2013, &[]), WireError::Cut("the flags")),
        (msg(0, &[]), WireError::Bodies(0)),
        (msg(0, &[sequence("documents", &[])]), WireError::Bodies(0)),
        (msg(0, &[ping.clone(), ping.clone()]), WireError::Bodies(2)),
        (msg(0, &[vec![2]]), WireError::UnknownSection(2)),
        (msg(0, &[vec![0, 1]]), WireError::Cut("a document's length")),
        (msg(0, &[long_body]), WireError::Cut("a document")),
        (msg(0, &[vec![0, 0xFF, 0xFF, 0xFF, 0xFF]]), WireError::Cut("a document's length")),
        (msg(0, &[vec![0, 4, 0, 0, 0]]), WireError::Bson("a length of 4 bytes".to_owned())),
        (msg(0, &[vec![1, 3, 0, 0, 0]]), WireError::Cut("a sequence's length")),
        (msg(0, &[vec![1, 6, 0, 0, 0, b'a', b'b']]), WireError::Cut("a sequence's name")),
        (msg(0, &[vec![1, 6, 0, 0, 0, 0xFF, 0]]), WireError::NotUtf8("a sequence's name")),
        (msg(0, &many), WireError::Sequences),
        (msg(0, &[body(&doc! { "a": 1 }), sequence("a", &[])]), WireError::RepeatedField),
        (msg(0, &[ping.clone(), sequence("a", &[]), sequence("a", &[])]), WireError::RepeatedField),
        (framed(2004, &[0; 4]), WireError::Cut("the collection's name")),
        (framed(2012, &[0; 4]), WireError::UnknownOpcode(0)),
        (framed(2012, &2012_i32.to_le_bytes()), WireError::Compressed),
        (compressed(0, -1, &[]), WireError::Compressed),
        (compressed(0, 48_000_000, &[]), WireError::Compressed),
        (compressed(4, 0, &[]), WireError::UnknownCompressor(4)),
    ] {
        assert_eq!(read(&bytes).unwrap_err(), error);
    }
    assert!(matches!(read(&not_utf8).unwrap_err(), WireError::Bson(_)));
}

#[test]
fn a_field_may_not_stand_twice() {
    let mut twice = raw(&doc! { "find": "c", "$db": "d" });
    twice.append(bson::cstr!("$db"), "other");
    let section = [&[0][..], twice.as_bytes()].concat();
    assert_eq!(read(&msg(0, &[section])).unwrap_err(), WireError::RepeatedField);
}

#[test]
fn what_is_well_formed_and_too_much_is_refused_without_ending_the_connection() {
    let deep = |levels| read(&msg(0, &[[&[0][..], &nested(levels)].concat()])).unwrap().request;
    assert!(deep(BSON_DEPTH).is_ok());
    assert_eq!(deep(BSON_DEPTH + 1), Err(Refusal::TooDeep));
    // A nesting that would exhaust the stack of whoever follows it by recursion.
    assert_eq!(deep(10_000), Err(Refusal::TooDeep));

    let large = body(&doc! { "insert": "x".repeat(17 * 1024 * 1024) });
    let refused = read(&msg(2, &[large])).unwrap();
    assert!(matches!(refused.request, Err(Refusal::TooLarge { .. })) && !refused.expects_reply);

    let many = vec![doc! {}; SEQUENCE_DOCUMENTS + 1];
    let of = |documents: &[Document]| {
        read(&msg(0, &[body(&doc! { "a": 1 }), sequence("documents", documents)])).unwrap().request
    };
    assert!(of(&many[1..]).is_ok());
    assert_eq!(of(&many), Err(Refusal::TooManyDocuments));
}

#[test]
fn lengths_are_held_to_the_limit() {
    for (declared, limit_bytes, accepted) in [
        (15, 100, false),
        (16, 100, true),
        (100, 100, true),
        (101, 100, false),
        (-1, 100, false),
        (i32::MAX, usize::MAX, false),
        (48_000_000, usize::MAX, true),
        (48_000_001, usize::MAX, false),
    ] {
        let mut head = [0; HEADER_BYTES];
        head[..4].copy_from_slice(&i32::to_le_bytes(declared));
        head[12..].copy_from_slice(&2013_i32.to_le_bytes());
        assert_eq!(Header::decode(head, limit_bytes).is_ok(), accepted, "{declared}");
    }
}

#[test]
fn a_wrong_checksum_is_noticed_wherever_the_damage_is() {
    let form = ReplyForm { checksum: true, ..PLAIN };
    let bytes = encode_reply(form, 7, 0, &raw(&doc! { "ping": 1 }));
    assert!(read(&bytes).unwrap().reply_form.checksum);
    // The length and the opcode must stay, for a message to be there; the flag, for a checksum to be.
    for at in (4..12).chain(20..bytes.len()) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        assert_eq!(read(&damaged).unwrap_err(), WireError::Checksum, "byte {at}");
    }
    assert_eq!(read(&framed(2013, &[1, 0, 0])).unwrap_err(), WireError::Cut("the flags"));
}

/// CRC-32C of nine digits (RFC 3720 uses the same polynomial).
#[test]
fn the_checksum_is_crc_32c() {
    assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
}

#[test]
fn compressed_content_is_held_to_its_declared_size() {
    let content = [&[0; 4][..], &body(&doc! { "a": "x".repeat(100_000) })].concat();
    let size = i32::try_from(content.len()).unwrap();
    let snappy = snap::raw::Encoder::new().compress_vec(&content).unwrap();
    let zstd = zstd::bulk::compress(&content, 1).unwrap();
    let mut zlib = Vec::new();
    let mut encoder = flate2::read::ZlibEncoder::new(&content[..], flate2::Compression::fast());
    std::io::Read::read_to_end(&mut encoder, &mut zlib).unwrap();
    for (number, packed) in [(0, &content), (1, &snappy), (2, &zlib), (3, &zstd)] {
        assert!(read(&compressed(number, size, packed)).is_ok(), "{number}");
        let cut = &packed[..packed.len() / 2];
        for bytes in [
            compressed(number, size - 1, packed),
            compressed(number, size + 1, packed),
            compressed(number, 0, packed),
            compressed(number, size, cut),
            compressed(number, size, b"no such thing"),
        ] {
            assert_eq!(read(&bytes).unwrap_err(), WireError::Compressed, "{number}");
        }
    }
    // Five bytes that declare 4 GiB, and a declaration that the content cannot reach.
    let bomb = [0xFF, 0xFF, 0xFF, 0xFF, 0x0F];
    assert_eq!(read(&compressed(1, 40_000_000, &bomb)).unwrap_err(), WireError::Compressed);
}

#[test]
fn a_zstd_frame_may_not_ask_for_a_window_beyond_the_limit() {
    // A frame header without content size (RFC 8878, section 3.1.1.1) with a window of 2^27 bytes, and an
    // empty last block.
    let window = |exponent: u8| [0x28, 0xB5, 0x2F, 0xFD, 0, (exponent - 10) << 3, 1, 0, 0];
    assert_eq!(read(&compressed(3, 0, &window(27))).unwrap_err(), WireError::Compressed);
    assert_eq!(read(&compressed(3, 0, &window(23))).unwrap_err(), WireError::Cut("the flags"));
}

#[test]
fn a_reply_to_a_query_is_one_document_of_an_op_reply() {
    let form = ReplyForm { opcode: Opcode::Query, ..PLAIN };
    let document = raw(&doc! { "ok": 1.0 });
    let bytes = encode_reply(form, 3, 9, &document);
    assert_eq!(bytes[..HEADER_BYTES], header::raw(bytes.len(), 3, 9, 1));
    assert_eq!(bytes[16..36], [8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(&bytes[36..], document.as_bytes());
}

fn documents() -> impl Strategy<Value = Document> {
    let value = prop_oneof![
        any::<i32>().prop_map(Bson::from),
        any::<i64>().prop_map(Bson::from),
        "\\PC{0,200}".prop_map(Bson::from),
        prop::collection::vec(any::<bool>().prop_map(Bson::from), 0..5).prop_map(Bson::Array),
        Just(Bson::Document(doc! { "a": { "b": Bson::Null } })),
    ];
    prop::collection::btree_map("[a-z$]{1,6}", value, 0..6).prop_map(|fields| fields.into_iter().collect())
}

fn forms() -> impl Strategy<Value = ReplyForm> {
    let compressor = prop::sample::select(vec![
        None,
        Some(Compressor::Noop),
        Some(Compressor::Snappy),
        Some(Compressor::Zlib),
        Some(Compressor::Zstd),
    ]);
    (any::<bool>(), compressor).prop_map(|(checksum, compressor)| ReplyForm {
        opcode: Opcode::Msg,
        // Compressed messages have none.
        checksum: checksum && compressor.is_none(),
        compressor,
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(document in documents(), form in forms(), id in any::<i32>()) {
        let bytes = encode_reply(form, id, 0, &raw(&document));
        let message = read(&bytes).unwrap();
        prop_assert_eq!((message.request_id, message.reply_form, message.expects_reply), (id, form, true));
        let request = message.request.unwrap();
        prop_assert_eq!((request.body, request.sequences), (raw(&document), vec![]));
    }

    #[test]
    fn sequences_come_out_as_they_went_in(
        list in prop::collection::vec(documents(), 0..8), first in any::<bool>()
    ) {
        let mut sections = [body(&doc! { "insert": "c" }), sequence("documents", &list)];
        if first { sections.reverse(); }
        let request = read(&msg(0, &sections)).unwrap().request.unwrap();
        let expected: Vec<_> = list.iter().map(raw).collect();
        prop_assert_eq!(request.sequences, vec![("documents".to_owned(), expected)]);
    }

    /// Every document that comes through can be read as a whole.
    #[test]
    fn damage_is_refused_or_readable(
        document in documents(), form in forms(), cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut bytes = encode_reply(form, 7, 0, &raw(&document));
        for (at, byte) in flips {
            // The length stays, so that the damage is met further in.
            let at = 4 + at.index(bytes.len() - 4);
            bytes[at] = byte;
        }
        let _ = read(&bytes[..cut.index(bytes.len())]);
        if let Ok(Message { request: Ok(request), .. }) = read(&bytes) {
            prop_assert!(Document::try_from(&*request.body).is_ok());
        }
    }

    #[test]
    fn no_bytes_panic(
        opcode in prop::sample::select(vec![2004, 2012, 2013]),
        content in prop::collection::vec(any::<u8>(), 0..300),
        zeros in 0_usize..6,
    ) {
        let content = [&vec![0; zeros][..], &content].concat();
        let _ = read(&framed(opcode, &content));
        for compressor in 0..4 {
            let _ = read(&compressed(compressor, 300, &content));
        }
    }
}
