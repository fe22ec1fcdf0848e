//! Documents as JSON, for operators who look with SQL.

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, Regex, Timestamp, doc};
use nimbus_namespace::Space;
use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_types::Sequence;

use crate::support::{Operator, Place, create_and_open};

/// Bytes of the envelope before a document's BSON.
const ENVELOPE_BYTES: usize = 29;

/// What the server makes of stored documents, as `operators` see it.
async fn shown(place: &Place, documents: &[Document]) -> Vec<String> {
    let provider = place.connect().await;
    let namespace = create_and_open(&provider, "acme").await;
    let stored = |document: &Document| [vec![0; ENVELOPE_BYTES], document.to_vec().unwrap()].concat();
    let changes = documents
        .iter()
        .enumerate()
        .map(|(at, document)| put(Space::Documents, [at as u8], stored(document)));
    namespace.commit(Sequence::ZERO, CommitBuilder::new().group([changes.collect()])).await.unwrap();
    let query = format!(
        "SELECT {}.document_json(document) FROM {}acme.documents ORDER BY `key`",
        place.metadata, place.prefix
    );
    Operator::at(place).await.column(&query).await
}

#[tokio::test]
async fn documents_of_every_type_are_shown_as_extended_json() {
    let Some(mut place) = Place::shared("mysql document_json") else { return };
    place.url.clone_from(&place.operators_url);
    let decimals = [
        "0",
        "-1.50",
        "1E+3",
        "1.234E-20",
        "9999999999999999999999999999999999",
        "NaN",
        "-Infinity",
        "0.001",
    ];
    let decimals = decimals.map(|text| Bson::Decimal128(text.parse::<Decimal128>().unwrap()));
    let doubles = [
        0.0,
        -0.5,
        1.5,
        1e100,
        -2.5e-7,
        123_456_789.125,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::NAN,
        f64::NEG_INFINITY,
    ];
    let dates = [0, 1_700_000_000_123, 253_402_300_799_999, -1].map(DateTime::from_millis);
    let documents = [
        doc! {},
        doc! { "_id": "a", "text": "größe \"quoted\" \\ \n \u{1} 🦀", "empty": "", "nested": { "a": [1, [2, {}], []], "b": {} } },
        doc! { "i": [0, -1, i32::MAX, i32::MIN], "l": [0_i64, -1_i64, i64::MAX, i64::MIN], "yes": true, "no": false, "null": null },
        doc! { "doubles": doubles.to_vec() },
        doc! { "decimals": decimals.to_vec() },
        doc! { "dates": dates.to_vec() },
        doc! {
            "oid": bson::oid::ObjectId::parse_str("65a1b2c3d4e5f60718293a4b").unwrap(),
            "bytes": Binary { subtype: BinarySubtype::Generic, bytes: vec![0xFF; 100] },
            "uuid": Binary { subtype: BinarySubtype::Uuid, bytes: (0..16).collect() },
            "old": Binary { subtype: BinarySubtype::BinaryOld, bytes: vec![1, 2, 3] },
            "regex": Regex { pattern: "^a\"b".try_into().unwrap(), options: "ix".try_into().unwrap() },
            "timestamp": Timestamp { time: 4_000_000_000, increment: 7 },
            "code": Bson::JavaScriptCode("f()".into()),
            "scoped": JavaScriptCodeWithScope { code: "g()".into(), scope: doc! { "x": 1, "y": [2] } },
            "symbol": Bson::Symbol("s".into()),
            "min": Bson::MinKey,
            "max": Bson::MaxKey,
            "undefined": Bson::Undefined,
            "last": "after all",
        },
    ];
    let shown = shown(&place, &documents).await;
    assert_eq!(shown.len(), documents.len());
    for (document, text) in documents.into_iter().zip(shown) {
        let read: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(read, Bson::Document(document).into_relaxed_extjson(), "{text}");
    }
}

#[tokio::test]
async fn a_user_without_the_right_to_make_functions_works_without() {
    let Some(place) = Place::shared("mysql without document_json") else { return };
    let provider = place.connect().await;
    create_and_open(&provider, "acme").await;
    let query = format!(
        "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '{}'",
        place.metadata
    );
    assert_eq!(Operator::at(&place).await.column::<String>(&query).await, Vec::<String>::new());
}
