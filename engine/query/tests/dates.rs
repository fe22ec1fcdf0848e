//! Operators on dates, as clients write them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bson::{Bson, Document, bson, doc};
use nimbus_query::{Expression, ParseContext, QueryError, Scope, Variables};
use proptest::prelude::*;

fn evaluate(expression: &Bson, document: &Document) -> Result<Bson, QueryError> {
    let parsed = Expression::parse(expression, &ParseContext::default())?;
    let variables = Variables::default();
    parsed.evaluate_or_null(&Scope::of(document, &variables))
}

/// The instant that an ISO 8601 text names.
fn date(text: &str) -> Bson {
    Bson::DateTime(bson::DateTime::parse_rfc3339_str(text).unwrap())
}

fn check(table: Vec<(Bson, Bson)>) {
    // A Thursday, and the last day of February in a leap year.
    let document = doc! { "d": date("2024-02-29T23:30:15.123Z"), "null": null };
    for (expression, expected) in table {
        let value = evaluate(&expression, &document).unwrap_or_else(|error| panic!("{expression}: {error}"));
        assert_eq!(value, expected, "{expression}");
    }
}

fn check_errors(table: Vec<(Bson, i32)>) {
    let document = doc! { "d": date("2024-02-29T23:30:15.123Z") };
    for (expression, code) in table {
        let error = evaluate(&expression, &document).expect_err(&expression.to_string());
        assert_eq!(error.code, code, "{expression}: {error}");
    }
}

#[test]
fn parts_are_those_of_the_zone() {
    let zoned = |operator: &str, zone: &str| bson!({ operator: { "date": "$d", "timezone": zone } });
    check(vec![
        (bson!({ "$year": "$d" }), bson!(2024)),
        (bson!({ "$month": ["$d"] }), bson!(2)),
        (bson!({ "$dayOfMonth": "$d" }), bson!(29)),
        (zoned("$dayOfMonth", "Europe/Berlin"), bson!(1)),
        (zoned("$month", "Europe/Berlin"), bson!(3)),
        (zoned("$hour", "Europe/Berlin"), bson!(0)),
        (zoned("$hour", "-05:00"), bson!(18)),
        (zoned("$hour", "-0530"), bson!(18)),
        (zoned("$minute", "-0530"), bson!(0)),
        (zoned("$hour", "+03"), bson!(2)),
        (bson!({ "$dayOfYear": "$d" }), bson!(60)),
        (bson!({ "$dayOfWeek": "$d" }), bson!(5)),
        (bson!({ "$isoDayOfWeek": "$d" }), bson!(4)),
        (bson!({ "$week": "$d" }), bson!(8)),
        (bson!({ "$isoWeek": "$d" }), bson!(9)),
        (bson!({ "$isoWeekYear": { "$toDate": "2021-01-03" } }), bson!(2020_i64)),
        (bson!({ "$isoWeek": { "$toDate": "2021-01-03" } }), bson!(53)),
        (bson!({ "$week": { "$toDate": "2023-01-01" } }), bson!(1)),
        (bson!({ "$week": { "$toDate": "2022-01-01" } }), bson!(0)),
        (bson!({ "$second": "$d" }), bson!(15)),
        (bson!({ "$millisecond": "$d" }), bson!(123)),
        (bson!({ "$year": "$null" }), Bson::Null),
        (bson!({ "$year": { "date": "$d", "timezone": "$null" } }), Bson::Null),
        (
            bson!({ "$year": Bson::Timestamp(bson::Timestamp { time: 1_000_000_000, increment: 1 }) }),
            bson!(2001),
        ),
        (
            bson!({ "$year": bson::oid::ObjectId::parse_str("5f5e1000aaaaaaaaaaaaaaaa").unwrap() }),
            bson!(2020),
        ),
        (bson!({ "$tsSecond": Bson::Timestamp(bson::Timestamp { time: 7, increment: 8 }) }), bson!(7_i64)),
        (bson!({ "$tsIncrement": Bson::Timestamp(bson::Timestamp { time: 7, increment: 8 }) }), bson!(8_i64)),
        (
            bson!({ "$dateToParts": { "date": "$d", "timezone": "Asia/Kolkata" } }),
            bson!({ "year": 2024, "month": 3, "day": 1, "hour": 5, "minute": 0, "second": 15, "millisecond": 123 }),
        ),
        (
            bson!({ "$dateToParts": { "date": "$d", "iso8601": true } }),
            bson!({ "isoWeekYear": 2024, "isoWeek": 9, "isoDayOfWeek": 4, "hour": 23, "minute": 30, "second": 15, "millisecond": 123 }),
        ),
    ]);
    check_errors(vec![
        (bson!({ "$year": "x" }), 16006),
        (bson!({ "$year": { "date": "$d", "timezone": "Nowhere/Town" } }), 40485),
        (bson!({ "$year": { "date": "$d", "timezone": 5 } }), 40517),
        (bson!({ "$year": { "timezone": "UTC" } }), 40539),
        (bson!({ "$tsSecond": "$d" }), 5_687_301),
        (bson!({ "$year": Bson::DateTime(bson::DateTime::MAX) }), 18537),
    ]);
}

#[test]
fn dates_are_made_from_parts() {
    let make = |parts: Bson| bson!({ "$dateFromParts": parts });
    check(vec![
        (make(bson!({ "year": 2024 })), date("2024-01-01T00:00:00Z")),
        (
            make(
                bson!({ "year": 2024, "month": 2, "day": 30, "hour": 25, "minute": -1, "second": 61, "millisecond": 1 }),
            ),
            date("2024-03-02T01:00:01.001Z"),
        ),
        (make(bson!({ "year": 2024, "month": 14 })), date("2025-02-01T00:00:00Z")),
        (make(bson!({ "year": 2024, "month": 0 })), date("2023-12-01T00:00:00Z")),
        (make(bson!({ "year": 2024, "timezone": "America/New_York" })), date("2024-01-01T05:00:00Z")),
        (make(bson!({ "isoWeekYear": 2024, "isoWeek": 9, "isoDayOfWeek": 4 })), date("2024-02-29T00:00:00Z")),
        (make(bson!({ "isoWeekYear": 2017 })), date("2017-01-02T00:00:00Z")),
        (make(bson!({ "year": "$null" })), Bson::Null),
        (make(bson!({ "year": 2024, "timezone": "$null" })), Bson::Null),
    ]);
    check_errors(vec![
        (make(bson!({})), 40516),
        (make(bson!({ "year": 2024, "isoWeek": 1 })), 40489),
        (make(bson!({ "isoWeekYear": 2024, "day": 1 })), 40525),
        (make(bson!({ "year": "x" })), 40515),
        (make(bson!({ "year": 0 })), 40523),
        (make(bson!({ "year": 2024, "month": 40000 })), 31034),
        (make(bson!({ "year": 2024, "second": i64::MAX })), 18537),
        (make(bson!({ "years": 2024 })), 40518),
    ]);
}

#[test]
fn dates_move_along_the_calendar() {
    let add = |start: &str, unit: &str, amount: i64| bson!({ "$dateAdd": { "startDate": date(start), "unit": unit, "amount": amount } });
    let in_zone = |start: &str, unit: &str, zone: &str| bson!({ "$dateAdd": { "startDate": date(start), "unit": unit, "amount": 1, "timezone": zone } });
    check(vec![
        (add("2024-01-31T12:00:00Z", "month", 1), date("2024-02-29T12:00:00Z")),
        (add("2024-01-31T12:00:00Z", "quarter", 1), date("2024-04-30T12:00:00Z")),
        (add("2024-02-29T12:00:00Z", "year", -1), date("2023-02-28T12:00:00Z")),
        (add("2024-02-29T12:00:00Z", "week", 1), date("2024-03-07T12:00:00Z")),
        (add("2024-02-29T12:00:00Z", "day", 1), date("2024-03-01T12:00:00Z")),
        (add("2024-02-29T12:00:00Z", "millisecond", 1), date("2024-02-29T12:00:00.001Z")),
        // Clocks in Paris go forward in the night to 2024-03-31: a day has 23 hours, 24 hours more than a day.
        (in_zone("2024-03-30T12:00:00Z", "day", "Europe/Paris"), date("2024-03-31T11:00:00Z")),
        (in_zone("2024-03-31T00:30:00Z", "hour", "Europe/Paris"), date("2024-03-31T01:30:00Z")),
        (
            bson!({ "$dateSubtract": { "startDate": "$d", "unit": "hour", "amount": 24 } }),
            date("2024-02-28T23:30:15.123Z"),
        ),
        (bson!({ "$dateAdd": { "startDate": "$null", "unit": "day", "amount": 1 } }), Bson::Null),
        (bson!({ "$dateAdd": { "startDate": "$d", "unit": "day", "amount": "$null" } }), Bson::Null),
    ]);
    check_errors(vec![
        (bson!({ "$dateAdd": { "startDate": "x", "unit": "day", "amount": 1 } }), 5_166_403),
        (bson!({ "$dateAdd": { "startDate": "$d", "unit": "eon", "amount": 1 } }), 9),
        (bson!({ "$dateAdd": { "startDate": "$d", "unit": "day", "amount": 1.5 } }), 5_166_405),
        (bson!({ "$dateAdd": { "startDate": "$d", "unit": "day" } }), 5_166_402),
        (add("2024-01-31T12:00:00Z", "year", 9_000), 5_976_500),
        (add("2024-01-31T12:00:00Z", "hour", i64::MAX), 5_976_500),
        (bson!({ "$dateSubtract": { "startDate": "$d", "unit": "day", "amount": i64::MIN } }), 5_976_500),
    ]);
}

#[test]
fn differences_count_boundaries() {
    let between = |start: &str, end: &str, unit: &str, more: Document| {
        let mut arguments = doc! { "startDate": date(start), "endDate": date(end), "unit": unit };
        arguments.extend(more);
        bson!({ "$dateDiff": arguments })
    };
    let (last, first) = ("2023-12-31T23:59:59.999Z", "2024-01-01T00:00:00Z");
    check(vec![
        (between(last, first, "year", doc! {}), bson!(1_i64)),
        (between(last, first, "quarter", doc! {}), bson!(1_i64)),
        (between(last, first, "month", doc! {}), bson!(1_i64)),
        (between(last, first, "day", doc! {}), bson!(1_i64)),
        (between(last, first, "hour", doc! {}), bson!(1_i64)),
        (between(last, first, "millisecond", doc! {}), bson!(1_i64)),
        (between(first, last, "year", doc! {}), bson!(-1_i64)),
        // 2024-01-01 was a Monday.
        (between(last, first, "week", doc! {}), bson!(0_i64)),
        (between(last, first, "week", doc! { "startOfWeek": "Mon" }), bson!(1_i64)),
        (between("2024-01-06T00:00:00Z", "2024-01-07T00:00:00Z", "week", doc! {}), bson!(1_i64)),
        (between(last, first, "day", doc! { "timezone": "America/New_York" }), bson!(0_i64)),
        // Twelve hours pass although clocks show thirteen.
        (
            between(
                "2024-03-30T23:00:00Z",
                "2024-03-31T11:00:00Z",
                "hour",
                doc! { "timezone": "Europe/Paris" },
            ),
            bson!(12_i64),
        ),
        (
            between("2024-01-01T00:29:00Z", "2024-01-01T00:31:00Z", "hour", doc! { "timezone": "+05:30" }),
            bson!(1_i64),
        ),
    ]);
    check_errors(vec![
        (bson!({ "$dateDiff": { "startDate": 1, "endDate": "$d", "unit": "day" } }), 5_166_307),
        (
            bson!({ "$dateDiff": { "startDate": "$d", "endDate": "$d", "unit": "week", "startOfWeek": "x" } }),
            9,
        ),
    ]);
}

#[test]
fn dates_are_truncated_to_bins() {
    let truncate = |more: Document| {
        let mut arguments = doc! { "date": "$d" };
        arguments.extend(more);
        bson!({ "$dateTrunc": arguments })
    };
    check(vec![
        (truncate(doc! { "unit": "year" }), date("2024-01-01T00:00:00Z")),
        (truncate(doc! { "unit": "year", "binSize": 10 }), date("2020-01-01T00:00:00Z")),
        (truncate(doc! { "unit": "quarter" }), date("2024-01-01T00:00:00Z")),
        (truncate(doc! { "unit": "month" }), date("2024-02-01T00:00:00Z")),
        (truncate(doc! { "unit": "week" }), date("2024-02-25T00:00:00Z")),
        (truncate(doc! { "unit": "week", "startOfWeek": "monday" }), date("2024-02-26T00:00:00Z")),
        (truncate(doc! { "unit": "week", "startOfWeek": "thursday" }), date("2024-02-29T00:00:00Z")),
        (truncate(doc! { "unit": "day" }), date("2024-02-29T00:00:00Z")),
        (truncate(doc! { "unit": "day", "timezone": "Europe/Berlin" }), date("2024-02-29T23:00:00Z")),
        (truncate(doc! { "unit": "hour" }), date("2024-02-29T23:00:00Z")),
        (truncate(doc! { "unit": "hour", "timezone": "+05:30" }), date("2024-02-29T23:30:00Z")),
        (truncate(doc! { "unit": "minute", "binSize": 20 }), date("2024-02-29T23:20:00Z")),
        (truncate(doc! { "unit": "second", "binSize": 10 }), date("2024-02-29T23:30:10Z")),
        (truncate(doc! { "unit": "millisecond", "binSize": 50 }), date("2024-02-29T23:30:15.100Z")),
        (truncate(doc! { "unit": "day", "binSize": null }), Bson::Null),
        (truncate(doc! { "unit": "year", "binSize": i64::MAX }), date("2000-01-01T00:00:00Z")),
        (
            bson!({ "$dateTrunc": { "date": date("1999-12-31T23:00:00Z"), "unit": "year", "binSize": 5 } }),
            date("1995-01-01T00:00:00Z"),
        ),
    ]);
    check_errors(vec![
        (truncate(doc! { "unit": "day", "binSize": 0 }), 5_439_018),
        (truncate(doc! { "unit": "day", "binSize": "x" }), 5_439_017),
        (
            bson!({ "$dateTrunc": { "date": date("1999-12-31T23:00:00Z"), "unit": "year", "binSize": i64::MAX } }),
            18537,
        ),
    ]);
}

#[test]
fn dates_are_written() {
    let written = |format: &str, zone: &str| bson!({ "$dateToString": { "date": "$d", "format": format, "timezone": zone } });
    check(vec![
        (bson!({ "$dateToString": { "date": "$d" } }), bson!("2024-02-29T23:30:15.123Z")),
        (
            bson!({ "$dateToString": { "date": "$d", "timezone": "+01:00" } }),
            bson!("2024-03-01T00:30:15.123"),
        ),
        (written("%Y%m%d %H:%M:%S.%L %j", "UTC"), bson!("20240229 23:30:15.123 060")),
        (written("%G-W%V-%u %U %w %b %B %%", "UTC"), bson!("2024-W09-4 08 5 Feb February %")),
        (written("%z %Z", "America/New_York"), bson!("-0500 -300")),
        (written("%z %Z", "Asia/Kolkata"), bson!("+0530 330")),
        (bson!({ "$dateToString": { "date": "$null", "onNull": "none" } }), bson!("none")),
        (bson!({ "$dateToString": { "date": "$null" } }), Bson::Null),
    ]);
    check_errors(vec![
        (written("%", "UTC"), 18535),
        (written("%q", "UTC"), 18536),
        (bson!({ "$dateToString": { "date": "$d", "format": 5 } }), 18533),
        (bson!({ "$dateToString": { "date": "x" } }), 16006),
        (bson!({ "$dateToString": { "format": "%Y" } }), 18628),
        (
            bson!({ "$dateToString": { "date": Bson::DateTime(bson::DateTime::from_millis(-100_000_000_000_000)) } }),
            18537,
        ),
    ]);
}

#[test]
fn dates_are_read() {
    let read = |text: &str| bson!({ "$dateFromString": { "dateString": text } });
    let by =
        |text: &str, format: &str| bson!({ "$dateFromString": { "dateString": text, "format": format } });
    let table = [
        ("2017-02-08T12:10:40.787", "2017-02-08T12:10:40.787Z"),
        ("2017-02-08T12:10:40.787654Z", "2017-02-08T12:10:40.787Z"),
        ("2017-02-08 12:10:40", "2017-02-08T12:10:40Z"),
        ("2017-02-08T12:10", "2017-02-08T12:10:00Z"),
        ("2017-02-08", "2017-02-08T00:00:00Z"),
        ("2017-02-08T12:10:40+01:00", "2017-02-08T11:10:40Z"),
        ("2017-02-08T12:10:40 -0530", "2017-02-08T17:40:40Z"),
        ("2017-02-08T12:10:40 Europe/Berlin", "2017-02-08T11:10:40Z"),
        ("20170208T121040", "2017-02-08T12:10:40Z"),
        ("20170208", "2017-02-08T00:00:00Z"),
        ("2017/02/08", "2017-02-08T00:00:00Z"),
        ("2017-039", "2017-02-08T00:00:00Z"),
        ("2017-W06-3", "2017-02-08T00:00:00Z"),
        ("2/8/2017", "2017-02-08T00:00:00Z"),
        ("July 4th, 2017", "2017-07-04T00:00:00Z"),
        ("July 4th, 2017 11am", "2017-07-04T11:00:00Z"),
        ("July 4th, 2017 12:30am UTC", "2017-07-04T00:30:00Z"),
        ("Tue, 4 Jul 2017 01:02:03 pm +0200", "2017-07-04T11:02:03Z"),
        ("04-Jul-2017", "2017-07-04T00:00:00Z"),
    ];
    check(table.iter().map(|(text, expected)| (read(text), date(expected))).collect());
    check(vec![
        (by("06-15-2018", "%m-%d-%Y"), date("2018-06-15T00:00:00Z")),
        (by("2018 166 07", "%Y %j %H"), date("2018-06-15T07:00:00Z")),
        (by("2018-W24-5", "%G-W%V-%u"), date("2018-06-15T00:00:00Z")),
        (by("15 Jun 2018 10:11:12.5 +0100", "%d %b %Y %H:%M:%S.%L %z"), date("2018-06-15T09:11:12.005Z")),
        (by("2018-06-15 -90", "%Y-%m-%d %Z"), date("2018-06-15T01:30:00Z")),
        (
            bson!({ "$dateFromString": { "dateString": "2017-02-08", "timezone": "America/New_York" } }),
            date("2017-02-08T05:00:00Z"),
        ),
        (
            bson!({ "$dateFromString": { "dateString": "x", "onError": "$d" } }),
            date("2024-02-29T23:30:15.123Z"),
        ),
        (bson!({ "$dateFromString": { "dateString": 5, "onError": "bad" } }), bson!("bad")),
        (bson!({ "$dateFromString": { "dateString": "$null", "onNull": "none" } }), bson!("none")),
        (bson!({ "$dateFromString": { "dateString": "$null" } }), Bson::Null),
    ]);
    let refused = [
        "",
        "x",
        "2017",
        "2017-02",
        "2017-13-01",
        "2017-02-30",
        "12:10:40",
        "2017-02-08T25:00",
        "2017-02-08 x",
    ];
    check_errors(refused.iter().map(|text| (read(text), 241)).collect());
    check_errors(vec![
        (by("2018-06-15", "%Y/%m/%d"), 241),
        (by("2018-06-15 1", "%Y-%m-%d"), 241),
        (by("2018-06", "%Y-%m"), 241),
        (bson!({ "$dateFromString": { "dateString": "2017-02-08T00:00:00Z", "timezone": "UTC" } }), 241),
    ]);
}

proptest! {
    /// No date, zone, unit or amount causes a panic.
    #[test]
    fn nothing_panics(
        date_ms in prop_oneof![any::<i64>(), -300_000_000_000_000_i64..300_000_000_000_000],
        amount in any::<i64>(),
        unit in prop::sample::select(vec!["year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond"]),
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "+23:59", "-99:99", "Pacific/Apia", "Africa/Monrovia"]),
    ) {
        let date = Bson::DateTime(bson::DateTime::from_millis(date_ms));
        let table = [
            bson!({ "$dateAdd": { "startDate": date.clone(), "unit": unit, "amount": amount, "timezone": zone } }),
            bson!({ "$dateSubtract": { "startDate": date.clone(), "unit": unit, "amount": amount, "timezone": zone } }),
            bson!({ "$dateTrunc": { "date": date.clone(), "unit": unit, "binSize": amount, "timezone": zone } }),
            bson!({ "$dateDiff": { "startDate": date.clone(), "endDate": Bson::DateTime(bson::DateTime::from_millis(amount)), "unit": unit, "timezone": zone } }),
            bson!({ "$dateToParts": { "date": date.clone(), "timezone": zone } }),
            bson!({ "$dateToString": { "date": date.clone(), "timezone": zone } }),
            bson!({ "$dateFromParts": { "year": 9999, "month": 12, "second": amount, "millisecond": date_ms, "timezone": zone } }),
            bson!({ "$week": { "date": date, "timezone": zone } }),
        ];
        for expression in table {
            let _ = evaluate(&expression, &Document::new());
        }
    }

    /// Parts of a date make the date again.
    #[test]
    fn parts_round_trip(date_ms in 0_i64..250_000_000_000_000, iso in any::<bool>()) {
        let date = Bson::DateTime(bson::DateTime::from_millis(date_ms));
        let parts = evaluate(&bson!({ "$dateToParts": { "date": date.clone(), "iso8601": iso } }), &Document::new()).unwrap();
        prop_assert_eq!(evaluate(&bson!({ "$dateFromParts": parts }), &Document::new()).unwrap(), date.clone());
        let text = evaluate(&bson!({ "$dateToString": { "date": date.clone() } }), &Document::new()).unwrap();
        prop_assert_eq!(evaluate(&bson!({ "$dateFromString": { "dateString": text } }), &Document::new()).unwrap(), date);
    }

    /// No text and no format causes a panic.
    #[test]
    fn texts_and_formats_do_not_panic(text in "[0-9a-zA-Zµ :/T.,%+-]{0,24}", format in "[%YmdHMSLzZjGVubB:-]{0,16}") {
        let _ = evaluate(&bson!({ "$dateFromString": { "dateString": &text } }), &Document::new());
        let _ = evaluate(&bson!({ "$dateFromString": { "dateString": &text, "format": &format } }), &Document::new());
    }
}
