//! What may be an `_id`, and how keys are put together and taken apart.

use bson::raw::{RawBson, RawDocumentBuf, cstr};
use bson::{Bson, RawBsonRef, Regex, doc, rawdoc};
use nimbus_types::key::{
    KeyError, decode_value, document_key, document_key_of, encode_id, encode_value, index_key, index_prefix,
    split_document_key, table_prefix,
};
use nimbus_types::{IndexId, TableId, limits};

#[test]
fn an_id_of_a_refused_type_is_an_error_that_says_so() {
    let regex = Regex { pattern: "a".try_into().unwrap(), options: "".try_into().unwrap() };
    let refused = [
        (Bson::Array(vec![]), "an _id must not be an array"),
        (Bson::RegularExpression(regex), "an _id must not be a regular expression"),
        (Bson::Undefined, "an _id must not be undefined"),
        (Bson::Document(doc! { "$a": 1 }), "a field name in an _id must not begin with '$': \"$a\""),
    ];
    for (id, message) in refused {
        let id = RawBson::try_from(id).unwrap();
        assert_eq!(encode_id(id.as_raw_bson_ref()).unwrap_err().to_string(), message);
    }
}

#[test]
fn other_ids_are_their_encoded_value() {
    let document = rawdoc! { "a": { "$b": [1, 2] } };
    let allowed =
        [RawBsonRef::Null, RawBsonRef::Int32(7), RawBsonRef::String("x"), RawBsonRef::Document(&document)];
    for id in allowed {
        let key = encode_id(id).unwrap();
        let mut value = Vec::new();
        encode_value(&mut value, id);
        assert_eq!(key, value);
        assert_eq!(decode_value(&key), Some((id.try_into().unwrap(), key.len())));
        assert_eq!(document_key_of(TableId(3), id).unwrap(), document_key(TableId(3), &key));
    }
}

#[test]
fn ids_keep_to_the_length_limit() {
    // One byte for the type and two for the end.
    let longest = "x".repeat(limits::KEY_BYTES - 3);
    assert_eq!(encode_id(RawBsonRef::String(&longest)).unwrap().len(), limits::KEY_BYTES);
    let too_long = KeyError::TooLong { bytes: limits::KEY_BYTES + 1, limit: limits::KEY_BYTES };
    assert!(document_key_of(TableId(1), RawBsonRef::String(&longest)).is_ok());
    let too_long_id = longest + "x";
    assert_eq!(document_key_of(TableId(1), RawBsonRef::String(&too_long_id)), Err(too_long.clone()));
    assert_eq!(encode_id(RawBsonRef::String(&too_long_id)), Err(too_long));
}

#[test]
fn ids_keep_to_the_nesting_limit() {
    let mut document = RawDocumentBuf::new();
    for _ in 1..limits::NESTING_DEPTH {
        document = rawdoc! { "a": document };
    }
    let key = encode_id(RawBsonRef::Document(&document)).unwrap();
    assert!(decode_value(&key).is_some());
    let deeper = rawdoc! { "a": document };
    let error = encode_id(RawBsonRef::Document(&deeper)).unwrap_err();
    assert_eq!(error, KeyError::TooDeep { limit: limits::NESTING_DEPTH });
}

#[test]
fn ids_that_would_not_come_back_are_refused() {
    let mut twice = RawDocumentBuf::new();
    twice.append(cstr!("a"), 1);
    twice.append(cstr!("a"), 2);
    let duplicate = KeyError::DuplicateName { name: "a".to_owned() };
    assert_eq!(encode_id(RawBsonRef::Document(&rawdoc! { "b": [twice.clone()] })), Err(duplicate));
    // Encoded all the same where it is no id; nothing reads it back.
    let mut key = Vec::new();
    encode_value(&mut key, RawBsonRef::Document(&twice));
    assert_eq!(decode_value(&key), None);

    // A boolean that is neither 0 nor 1.
    let malformed = RawDocumentBuf::from_bytes(vec![9, 0, 0, 0, 8, b'a', 0, 2, 0]).unwrap();
    assert_eq!(encode_id(RawBsonRef::Document(&malformed)), Err(KeyError::Malformed));
}

#[test]
fn keys_begin_with_their_table_or_index() {
    let table = TableId(0x0102_0304);
    assert_eq!(&table_prefix(table)[..], [1, 2, 3, 4]);
    let key = document_key(table, b"id");
    assert_eq!(&key[..], [1, 2, 3, 4, b'i', b'd']);
    assert_eq!(split_document_key(&key), Some((table, &b"id"[..])));
    assert_eq!(split_document_key(&key[..3]), None);
    assert_eq!(&index_prefix(IndexId(1))[..], [0, 0, 0, 1]);
    assert_eq!(&index_key(IndexId(256), b"ab", b"id")[..], [0, 0, 1, 0, b'a', b'b', b'i', b'd']);
}
