//! The view and the functions that show stored documents as JSON.

use bson::spec::BinarySubtype;
use bson::{
    Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, Regex, Timestamp, doc,
    oid::ObjectId,
};
use nimbus_namespace::Space;
use nimbus_namespace::conformance::{CommitBuilder, put};
use serde_json::Value;
use sqlx::Row;

use crate::setting::{Place, commit, create_and_open};

/// A document as the engine stores it: an envelope of 29 bytes, whose checksum the functions do not read.
fn stored(created_ms: u64, updated_ms: u64, version: u64, bson: &[u8]) -> Vec<u8> {
    let numbers = [created_ms, updated_ms, version].map(u64::to_le_bytes).concat();
    [&[0xC0, 0xC1, 0xC2, 0xC3, 1], &numbers[..], bson].concat()
}

fn encoded(document: &Document) -> Vec<u8> {
    let mut bson = Vec::new();
    document.to_writer(&mut bson).unwrap();
    bson
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("\\x"), |hex, byte| hex + &format!("{byte:02x}"))
}

/// What the database makes of a BSON document.
async fn shown(place: &Place, bson: &[u8]) -> Value {
    let (metadata, document) = (&place.metadata, hex(&stored(1, 2, 3, bson)));
    let rows = place.sql(format!("SELECT {metadata}.document_json('{document}')::text")).await;
    serde_json::from_str(rows[0].get(0)).unwrap()
}

async fn assert_shown(place: &Place, document: Document) {
    let bson = encoded(&document);
    let expected = Bson::Document(document).into_relaxed_extjson();
    // As text, so that the order of fields counts.
    assert_eq!(shown(place, &bson).await.to_string(), expected.to_string());
}

fn every_type() -> Document {
    let seconds = |seconds: i64, ms: i64| DateTime::from_millis(seconds * 1000 + ms);
    doc! {
        "_id": ObjectId::from_bytes(*b"twelve-bytes"),
        "z": 1.5, "whole": 100.0, "negative zero": -0.0, "smallest": 5e-324, "largest": f64::MAX,
        "nan": f64::NAN, "infinity": f64::INFINITY, "minus infinity": f64::NEG_INFINITY,
        "text": "größe \"quoted\" \\ \n \u{1} 🦀", "empty": "", "nul": "a\0b\0",
        "document": { "b": 1, "a": { "": Bson::Null }, "none": {} },
        "array": [1, "two", [3.25, []], { "four": true }],
        "binary": Binary { subtype: BinarySubtype::Generic, bytes: (0..=255).collect() },
        "old binary": Binary { subtype: BinarySubtype::BinaryOld, bytes: vec![7; 3] },
        "user binary": Binary { subtype: BinarySubtype::UserDefined(0x80), bytes: Vec::new() },
        "undefined": Bson::Undefined, "null": Bson::Null, "yes": true, "no": false,
        "date": seconds(1_600_000_000, 123), "round date": seconds(1_600_000_000, 0),
        "first date": seconds(0, 0), "date before": seconds(-1, 0), "last date": seconds(253_402_300_799, 0),
        "regex": Regex { pattern: "^a\"b".try_into().unwrap(), options: "im".try_into().unwrap() },
        "code": Bson::JavaScriptCode("x => '\"'".into()), "symbol": Bson::Symbol("s".into()),
        "scoped": JavaScriptCodeWithScope { code: "f()".into(), scope: doc! { "x": [1] } },
        "int32": i32::MIN, "int64": i64::MIN, "largest int64": i64::MAX, "minus one": -1,
        "timestamp": Timestamp { time: u32::MAX, increment: 7 },
        "min": Bson::MinKey, "max": Bson::MaxKey, "ключ\"": 1,
    }
}

#[tokio::test]
async fn every_type_of_bson_is_shown_as_extended_json() {
    let Some(place) = Place::shared("postgres documents as JSON") else { return };
    let _provider = place.connect().await;
    assert_shown(&place, every_type()).await;
    assert_shown(&place, doc! {}).await;
    for decimal in [
        "0",
        "-0",
        "1",
        "-1.5",
        "0.001",
        "0.0000001",
        "1E+3",
        "1.0E+3",
        "123456789.123456789",
        "NaN",
        "Infinity",
        "-Infinity",
        "9.999999999999999999999999999999999E+6144",
        "1E-6176",
        "0E+6111",
        "0.00",
    ] {
        let decimal: Decimal128 = decimal.parse().unwrap();
        assert_shown(&place, doc! { "decimal": decimal }).await;
    }
    // The crate makes no DBPointer: name, length of the collection's, collection, ObjectId.
    let element = [b"\x0cp\0\x04\0\0\0a.b\0".as_slice(), b"twelve-bytes"].concat();
    let bson = [&(element.len() as u32 + 5).to_le_bytes()[..], &element, &[0]].concat();
    let expected = serde_json::json!({
        "p": { "$dbPointer": { "$ref": "a.b", "$id": { "$oid": "7477656c76652d6279746573" } } }
    });
    assert_eq!(shown(&place, &bson).await, expected);
}

#[tokio::test]
async fn doubles_are_shown_exactly() {
    let Some(place) = Place::shared("postgres documents as JSON") else { return };
    let _provider = place.connect().await;
    let seed = 7;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut numbers = vec![f64::MIN_POSITIVE, 1e23, 9_007_199_254_740_993.0, 0.1, 1e-310, -123.456e-200];
    numbers.extend(
        std::iter::repeat_with(|| f64::from_bits(random.u64(..))).filter(|n| n.is_finite()).take(500),
    );
    let shown = shown(&place, &encoded(&doc! { "numbers": numbers.clone() })).await;
    for (number, shown) in numbers.iter().zip(shown["numbers"].as_array().unwrap()) {
        let shown = shown.as_f64().unwrap();
        assert_eq!(shown.to_bits(), number.to_bits(), "{number:e} is shown as {shown:e}, seed {seed}");
    }
}

#[tokio::test]
async fn the_view_shows_documents_with_their_table_version_and_times() {
    let Some(place) = Place::shared("postgres documents as JSON") else { return };
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "Acme").await;
    let document = |id: &str| stored(1_600_000_000_000, 1_600_000_001_500, 42, &encoded(&doc! { "_id": id }));
    let long_key = [&[0, 0, 1, 4][..], &[b'k'; 3000]].concat();
    let changes = vec![
        put(Space::Documents, [0, 0, 0, 7, 1], document("short")),
        put(Space::Documents, &long_key, document("long")),
    ];
    commit(&*namespace, &mut CommitBuilder::new(), changes).await;
    let schema = &place.schemas().await[0];
    let rows = place
        .sql(format!(
            "SELECT concat_ws('|', table_number, version, extract(epoch FROM created)::text, \
                 extract(epoch FROM updated)::text, document ->> '_id') \
             FROM \"{schema}\".documents_json ORDER BY table_number"
        ))
        .await;
    let rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(
        rows,
        ["7|42|1600000000.000000|1600000001.500000|short", "260|42|1600000000.000000|1600000001.500000|long"]
    );
}
