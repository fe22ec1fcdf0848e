//! `$dateAdd`, `$dateSubtract`, `$dateDiff`, `$dateTrunc`.
//!
//! Promises: days and longer units follow the calendar of the time zone, shorter ones the clock of physics;
//! a day that a month lacks becomes its last (manual, "$dateAdd"); differences count boundaries that are
//! crossed (manual, "$dateDiff"). Deliberately unknown: how dates are written.

use bson::{Bson, DateTime};
use jiff::civil::{Date, Weekday};

use super::unit::{self, Unit};
use super::zone::{self, DAY_MS, HOUR_MS, Local, MINUTE_MS, SECOND_MS, Zone};
use crate::error::QueryError;
use crate::expression::kind::type_name;
use crate::expression::operator::{Arguments, Named, Operator, Parameter, Signature};
use crate::number::Number;

static ADDITION: Named = Named {
    not_a_document: 5_166_400,
    unknown: 5_166_401,
    parameters: &[
        Parameter::required("startDate", 5_166_402),
        Parameter::required("unit", 5_166_402),
        Parameter::required("amount", 5_166_402),
        Parameter::optional("timezone"),
    ],
};

static DIFFERENCE: Named = Named {
    not_a_document: 5_166_301,
    unknown: 5_166_302,
    parameters: &[
        Parameter::required("startDate", 5_166_303),
        Parameter::required("endDate", 5_166_304),
        Parameter::required("unit", 5_166_305),
        Parameter::optional("timezone"),
        Parameter::optional("startOfWeek"),
    ],
};

static TRUNCATION: Named = Named {
    not_a_document: 5_439_007,
    unknown: 5_439_008,
    parameters: &[
        Parameter::required("date", 5_439_009),
        Parameter::required("unit", 5_439_010),
        Parameter::optional("binSize"),
        Parameter::optional("timezone"),
        Parameter::optional("startOfWeek"),
    ],
};

pub(super) static OPERATORS: &[Operator] = &[
    Operator::eager("$dateAdd", Signature::Named(&ADDITION), |arguments| add(arguments, 1)),
    Operator::eager("$dateSubtract", Signature::Named(&ADDITION), |arguments| add(arguments, -1)),
    Operator::eager("$dateDiff", Signature::Named(&DIFFERENCE), |arguments| difference(arguments)),
    Operator::eager("$dateTrunc", Signature::Named(&TRUNCATION), |arguments| truncate(arguments)),
];

/// A date argument under an operator's own number for values that are none.
fn date(
    arguments: &Arguments<'_>,
    place: usize,
    name: &str,
    code: i32,
) -> Result<Option<DateTime>, QueryError> {
    match arguments.get(place) {
        None | Some(Bson::Null | Bson::Undefined) => Ok(None),
        Some(value) => match zone::instant_of(value) {
            Some(date) => Ok(Some(date)),
            None => arguments.fail(
                code,
                format_args!("requires '{name}' to be a date, but got {}", type_name(Some(value))),
            ),
        },
    }
}

/// An argument that is a whole number, whatever its type.
fn integer(arguments: &Arguments<'_>, place: usize) -> Option<i64> {
    arguments.get(place).and_then(Number::of).and_then(Number::to_integer)
}

fn add(arguments: &Arguments<'_>, sign: i64) -> Result<Option<Bson>, QueryError> {
    let start = date(arguments, 0, "startDate", 5_166_403)?;
    let unit = Unit::of(arguments, 1, 5_166_404)?;
    let zone = Zone::of(arguments, 3)?;
    let (Some(start), Some(unit), Some(zone), false) = (start, unit, zone, arguments.is_null(2)) else {
        return Ok(Some(Bson::Null));
    };
    let Some(amount) = integer(arguments, 2) else {
        return arguments.fail(5_166_405, "expects integer amount of time units");
    };
    let moved = amount.checked_mul(sign).and_then(|count| unit.add_in(start, count, &zone).transpose());
    match moved {
        Some(date) => Ok(Some(Bson::DateTime(date?))),
        None => arguments.fail(5_976_500, format_args!("invalid 'amount' parameter value: {amount}")),
    }
}

fn difference(arguments: &Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let start = date(arguments, 0, "startDate", 5_166_307)?;
    let end = date(arguments, 1, "endDate", 5_166_307)?;
    let unit = Unit::of(arguments, 2, 5_166_306)?;
    let zone = Zone::of(arguments, 3)?;
    let (Some(start), Some(end), Some(unit), Some(zone)) = (start, end, unit, zone) else {
        return Ok(Some(Bson::Null));
    };
    let first_day = match unit {
        Unit::Week => unit::start_of_week(arguments, 4, 5_439_016)?,
        _ => Some(Weekday::Sunday),
    };
    let Some(first_day) = first_day else { return Ok(Some(Bson::Null)) };
    let count = |instant| boundaries(&zone.local(instant)?, unit, first_day);
    Ok(Some(Bson::Int64(count(end)? - count(start)?)))
}

/// How many units have begun, counted from an arbitrary one.
fn boundaries(local: &Local, unit: Unit, first_day: Weekday) -> Result<i64, QueryError> {
    let date = local.civil.date();
    let day = local.clock_ms.div_euclid(DAY_MS);
    // Clocks that are changed by whole hours do not add one; zones that are off by half an hour do have
    // their own boundaries.
    let physical = |unit_ms: i64| {
        let instant_ms = local.clock_ms - local.offset_ms;
        (instant_ms + local.offset_ms.rem_euclid(unit_ms)).div_euclid(unit_ms)
    };
    Ok(match unit {
        Unit::Year => i64::from(date.year()),
        Unit::Quarter => months(date).div_euclid(3),
        Unit::Month => months(date),
        Unit::Week => (day - first_day_number(first_day)).div_euclid(7),
        Unit::Day => day,
        Unit::Hour => physical(HOUR_MS),
        Unit::Minute => physical(MINUTE_MS),
        Unit::Second => physical(SECOND_MS),
        Unit::Millisecond => local.clock_ms - local.offset_ms,
    })
}

/// Months since the year 0 began.
fn months(date: Date) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

/// A day, counted from 1970-01-01, that is such a day of the week. That day was a Thursday.
fn first_day_number(first_day: Weekday) -> i64 {
    i64::from(first_day.to_monday_zero_offset()) - 3
}

fn truncate(arguments: &Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let instant = date(arguments, 0, "date", 5_439_012)?;
    let unit = Unit::of(arguments, 1, 5_439_013)?;
    let zone = Zone::of(arguments, 3)?;
    let is_bin_null = arguments.is_given(2) && arguments.is_null(2);
    let (Some(instant), Some(unit), Some(zone), false) = (instant, unit, zone, is_bin_null) else {
        return Ok(Some(Bson::Null));
    };
    let bin = if arguments.is_given(2) { integer(arguments, 2) } else { Some(1) };
    let Some(bin) = bin else {
        return arguments.fail(5_439_017, "requires 'binSize' to be a 64-bit integer");
    };
    if bin <= 0 {
        return arguments
            .fail(5_439_018, format_args!("requires 'binSize' to be greater than 0, but got {bin}"));
    }
    let first_day = match unit {
        Unit::Week => unit::start_of_week(arguments, 4, 5_439_015)?,
        _ => Some(Weekday::Sunday),
    };
    let Some(first_day) = first_day else { return Ok(Some(Bson::Null)) };
    truncated(&zone.local(instant)?, unit, bin, &zone, first_day).map(|date| Some(Bson::DateTime(date)))
}

/// The days from 1970-01-01 to 2000-01-01, from which bins are counted (manual, "$dateTrunc").
const REFERENCE_DAY: i64 = 10_957;

fn truncated(
    local: &Local,
    unit: Unit,
    bin: i64,
    zone: &Zone,
    first_day: Weekday,
) -> Result<DateTime, QueryError> {
    let floor = |value: i64, reference: i64, bin: i64| value - (value - reference).rem_euclid(bin);
    let day = local.clock_ms.div_euclid(DAY_MS);
    let of_day = |day: i64| zone.instant_at(day.checked_mul(DAY_MS).ok_or_else(zone::outside_calendar)?);
    let of_month = |months: i64| {
        let year = i16::try_from(months.div_euclid(12)).map_err(|_| zone::outside_calendar())?;
        let month = months.rem_euclid(12) as i8 + 1;
        let date = Date::new(year, month, 1).map_err(|_| zone::outside_calendar())?;
        zone.instant(date.into())
    };
    // Shorter units are cut on the axis of instants, where no hour comes twice.
    let of_clock = |unit_ms: i64| {
        let bin_ms = bin.saturating_mul(unit_ms);
        let past_ms = (local.clock_ms - REFERENCE_DAY * DAY_MS).rem_euclid(bin_ms);
        Ok(DateTime::from_millis((local.clock_ms - local.offset_ms).saturating_sub(past_ms)))
    };
    match unit {
        Unit::Year => of_month(floor(months(local.civil.date()), 24_000, bin.saturating_mul(12))),
        Unit::Quarter => of_month(floor(months(local.civil.date()), 24_000, bin.saturating_mul(3))),
        Unit::Month => of_month(floor(months(local.civil.date()), 24_000, bin)),
        Unit::Week => {
            // The first such day of the week that is not before the reference.
            let first = REFERENCE_DAY + (first_day_number(first_day) - REFERENCE_DAY).rem_euclid(7);
            of_day(floor(day, first, bin.saturating_mul(7)))
        }
        Unit::Day => of_day(floor(day, REFERENCE_DAY, bin)),
        Unit::Hour => of_clock(HOUR_MS),
        Unit::Minute => of_clock(MINUTE_MS),
        Unit::Second => of_clock(SECOND_MS),
        Unit::Millisecond => of_clock(1),
    }
}
