//! `$densify` and `$fill`.

use bson::{Bson, DateTime, Document, bson, doc};

use crate::support::{code, column, run, values};

fn densified(options: Document, input: &[Document], field: &str) -> Bson {
    Bson::Array(values(&run(&[doc! { "$densify": options }], input), field))
}

#[test]
fn gaps_are_closed_step_by_step() {
    let range = |bounds: Bson| doc! { "field": "v", "range": { "step": 2, "bounds": bounds } };
    let input = column("v", [7, 0, 3]);
    assert_eq!(densified(range("full".into()), &input, "v"), bson!([0, 2, 3, 4, 6, 7]));
    assert_eq!(densified(range(bson!([2, 6])), &input, "v"), bson!([0, 2, 3, 4, 7]));
    assert_eq!(densified(range(bson!([0, 4])), &[], "v"), bson!([0, 2]));
    assert_eq!(densified(range("full".into()), &[doc! { "x": 1 }], "v"), bson!([null]));
}

#[test]
fn partitions_are_densified_by_themselves_or_to_the_whole() {
    let input = [doc! { "p": "a", "v": 0 }, doc! { "p": "a", "v": 2 }, doc! { "p": "b", "v": 3 }];
    let range = |bounds: &str| doc! { "field": "v", "partitionByFields": ["p"], "range": { "step": 1, "bounds": bounds } };
    let of = |results: Vec<Document>, partition: &str| -> Vec<i32> {
        let own = results.iter().filter(|result| result.get_str("p").unwrap() == partition);
        own.map(|result| result.get_i32("v").unwrap()).collect()
    };
    let own = run(&[doc! { "$densify": range("partition") }], &input);
    assert_eq!((of(own.clone(), "a"), of(own, "b")), (vec![0, 1, 2], vec![3]));
    let full = run(&[doc! { "$densify": range("full") }], &input);
    assert_eq!((of(full.clone(), "a"), of(full, "b")), (vec![0, 1, 2, 3], vec![0, 1, 2, 3]));
}

#[test]
fn dates_are_densified_in_units() {
    let date = |text: &str| DateTime::parse_rfc3339_str(text).unwrap();
    let input = column("t", [date("2024-01-31T00:00:00Z"), date("2024-04-30T00:00:00Z")]);
    let options = doc! { "field": "t", "range": { "step": 1, "unit": "month", "bounds": "full" } };
    let months =
        ["2024-01-31T00:00:00Z", "2024-02-29T00:00:00Z", "2024-03-31T00:00:00Z", "2024-04-30T00:00:00Z"];
    assert_eq!(densified(options, &input, "t"), Bson::Array(months.map(|text| date(text).into()).to_vec()));
}

#[test]
fn fill_gives_values_where_there_are_none() {
    let input = [
        doc! { "_id": 1, "t": 1, "a": 1, "b": 4 },
        doc! { "_id": 2, "t": 2 },
        doc! { "_id": 3, "t": 3, "a": 3, "b": Bson::Null, "c": 7 },
    ];
    let fill = doc! { "$fill": { "sortBy": { "t": 1 }, "output": {
        "a": { "method": "linear" }, "b": { "method": "locf" }, "c": { "value": { "$add": ["$t", 100] } },
    } } };
    let results = run(&[fill], &input);
    assert_eq!(values(&results, "a"), [bson!(1), bson!(2.0), bson!(3)]);
    assert_eq!(values(&results, "b"), [bson!(4), bson!(4), bson!(4)]);
    assert_eq!(values(&results, "c"), [bson!(101), bson!(102), bson!(7)]);
    let parted = doc! { "$fill": { "partitionByFields": ["_id"], "sortBy": { "t": 1 }, "output": { "b": { "method": "locf" } } } };
    assert_eq!(values(&run(&[parted], &input), "b"), [bson!(4), Bson::Null, Bson::Null]);
}

#[test]
fn what_is_written_wrong_is_refused_by_number() {
    let densify = |range: Document| doc! { "$densify": { "field": "v", "range": range } };
    let fill = |how: Document| doc! { "$fill": { "output": { "v": how } } };
    let table = [
        (doc! { "$densify": 1 }, 5_733_401),
        (doc! { "$densify": { "field": "v" } }, 40414),
        (doc! { "$densify": { "field": 1 } }, 14),
        (doc! { "$densify": { "field": "v", "other": 1 } }, 40415),
        (densify(doc! { "step": 0, "bounds": "full" }), 5_733_401),
        (densify(doc! { "step": 1, "bounds": "partition" }), 5_733_408),
        (densify(doc! { "step": 1, "bounds": "other" }), 5_946_802),
        (densify(doc! { "step": 1, "bounds": [1] }), 5_733_403),
        (densify(doc! { "step": 1, "bounds": [2, 1] }), 5_733_402),
        (densify(doc! { "step": 1.5, "unit": "day", "bounds": "full" }), 6_586_400),
        (densify(doc! { "step": 1, "unit": "age", "bounds": "full" }), 9),
        (densify(doc! { "step": 1, "unit": "day", "bounds": "full" }), 5_733_201),
        (densify(doc! { "step": 1, "bounds": [0, 500_001] }), 5_897_900),
        (
            doc! { "$densify": { "field": "a.b", "partitionByFields": ["a"], "range": { "step": 1, "bounds": "full" } } },
            5_733_409,
        ),
        (doc! { "$fill": 1 }, 9),
        (doc! { "$fill": {} }, 40414),
        (fill(doc! { "method": "linear" }), 6_050_203),
        (fill(doc! { "method": "magic" }), 6_050_202),
        (fill(doc! {}), 9),
        (doc! { "$fill": { "partitionBy": "$a", "partitionByFields": ["a"], "output": {} } }, 6_050_204),
    ];
    for (stage, expected) in table {
        assert_eq!(code(std::slice::from_ref(&stage), &[doc! { "v": -1 }]), expected, "{stage}");
    }
}
