//! `$year`, `$month` and the like, `$dateToParts`, `$dateFromParts`, `$tsSecond`, `$tsIncrement`.
//!
//! Promises: weeks and days are numbered as MongoDB does (manual, "Date Expression Operators"); parts beyond
//! their range carry over into the larger ones (manual, "$dateFromParts", "Value Range"). Deliberately unknown:
//! how dates are written.

use bson::{Bson, DateTime, Document, doc};
use jiff::civil::{Date, ISOWeekDate, Weekday};

use super::zone::{self, DAY_MS, HOUR_MS, Local, MINUTE_MS, SECOND_MS, Zone};
use crate::error::QueryError;
use crate::expression::kind::type_name;
use crate::expression::operator::{Arguments, Named, Operator, Parameter, Signature};
use crate::number::Number;

static PART: Named = Named {
    not_a_document: 40535,
    unknown: 40535,
    parameters: &[Parameter::required("date", 40539), Parameter::optional("timezone")],
};

static TO_PARTS: Named = Named {
    not_a_document: 40524,
    unknown: 40520,
    parameters: &[
        Parameter::required("date", 40522),
        Parameter::optional("timezone"),
        Parameter::optional("iso8601"),
    ],
};

static FROM_PARTS: Named = Named {
    not_a_document: 40519,
    unknown: 40518,
    parameters: &[
        Parameter::optional("year"),
        Parameter::optional("month"),
        Parameter::optional("day"),
        Parameter::optional("isoWeekYear"),
        Parameter::optional("isoWeek"),
        Parameter::optional("isoDayOfWeek"),
        Parameter::optional("hour"),
        Parameter::optional("minute"),
        Parameter::optional("second"),
        Parameter::optional("millisecond"),
        Parameter::optional("timezone"),
    ],
};

const PART_SIGNATURE: Signature = Signature::FirstOrNamed(&PART);

pub(super) static OPERATORS: &[Operator] = &[
    Operator::eager("$year", PART_SIGNATURE, |arguments| part(arguments, |at| at.civil.year().into())),
    Operator::eager("$month", PART_SIGNATURE, |arguments| part(arguments, |at| at.civil.month().into())),
    Operator::eager("$dayOfMonth", PART_SIGNATURE, |arguments| part(arguments, |at| at.civil.day().into())),
    Operator::eager("$dayOfYear", PART_SIGNATURE, |arguments| {
        part(arguments, |at| at.civil.day_of_year().into())
    }),
    Operator::eager("$dayOfWeek", PART_SIGNATURE, |arguments| part(arguments, Local::day_of_week)),
    Operator::eager("$hour", PART_SIGNATURE, |arguments| part(arguments, |at| at.civil.hour().into())),
    Operator::eager("$minute", PART_SIGNATURE, |arguments| part(arguments, |at| at.civil.minute().into())),
    Operator::eager("$second", PART_SIGNATURE, |arguments| part(arguments, |at| at.civil.second().into())),
    Operator::eager("$millisecond", PART_SIGNATURE, |arguments| {
        part(arguments, |at| at.civil.millisecond().into())
    }),
    Operator::eager("$week", PART_SIGNATURE, |arguments| part(arguments, Local::week)),
    Operator::eager("$isoWeek", PART_SIGNATURE, |arguments| {
        part(arguments, |at| at.civil.iso_week_date().week().into())
    }),
    Operator::eager("$isoDayOfWeek", PART_SIGNATURE, |arguments| {
        part(arguments, |at| at.civil.weekday().to_monday_one_offset().into())
    }),
    Operator::eager("$isoWeekYear", PART_SIGNATURE, |arguments| {
        let year = part(arguments, |at| at.civil.iso_week_date().year().into())?;
        Ok(year.map(|year| year.as_i32().map_or(Bson::Null, |year| Bson::Int64(year.into()))))
    }),
    Operator::eager("$dateToParts", Signature::Named(&TO_PARTS), |arguments| to_parts(arguments)),
    Operator::eager("$dateFromParts", Signature::Named(&FROM_PARTS), |arguments| from_parts(arguments)),
    Operator::eager("$tsSecond", Signature::Exactly(1), |arguments| {
        timestamp(arguments, 5_687_301, |timestamp| timestamp.time)
    }),
    Operator::eager("$tsIncrement", Signature::Exactly(1), |arguments| {
        timestamp(arguments, 5_687_302, |timestamp| timestamp.increment)
    }),
];

impl Local {
    /// 1 for Sunday to 7 for Saturday.
    pub(super) fn day_of_week(&self) -> i32 {
        self.civil.weekday().to_sunday_one_offset().into()
    }

    /// Weeks begin on Sundays; the days before the first Sunday of a year are in week 0.
    pub(super) fn week(&self) -> i32 {
        (i32::from(self.civil.day_of_year()) + 7 - self.day_of_week()) / 7
    }
}

fn part(arguments: &Arguments<'_>, read: fn(&Local) -> i32) -> Result<Option<Bson>, QueryError> {
    let date = zone::instant(arguments, 0)?;
    let (Some(date), Some(zone)) = (date, Zone::of(arguments, 1)?) else { return Ok(Some(Bson::Null)) };
    Ok(Some(Bson::Int32(read(&zone.local(date)?))))
}

fn timestamp(
    arguments: &Arguments<'_>,
    code: i32,
    read: fn(&bson::Timestamp) -> u32,
) -> Result<Option<Bson>, QueryError> {
    match arguments.get(0) {
        None | Some(Bson::Null | Bson::Undefined) => Ok(Some(Bson::Null)),
        Some(Bson::Timestamp(timestamp)) => Ok(Some(Bson::Int64(read(timestamp).into()))),
        other => {
            let kind = type_name(other);
            arguments.fail(code, format_args!("expects a timestamp, but got {kind}"))
        }
    }
}

fn to_parts(arguments: &Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let date = zone::instant(arguments, 0)?;
    let (Some(date), Some(zone)) = (date, Zone::of(arguments, 1)?) else { return Ok(Some(Bson::Null)) };
    let is_iso = match arguments.get(2) {
        None if !arguments.is_given(2) => false,
        Some(Bson::Boolean(is_iso)) => *is_iso,
        None | Some(Bson::Null | Bson::Undefined) => return Ok(Some(Bson::Null)),
        other => {
            let message = format!("iso8601 must evaluate to a bool, found {}", type_name(other));
            return Err(QueryError::new(40521, message));
        }
    };
    let clock = zone.local(date)?.civil;
    let mut parts = if is_iso {
        let week = clock.iso_week_date();
        doc! {
            "isoWeekYear": i32::from(week.year()),
            "isoWeek": i32::from(week.week()),
            "isoDayOfWeek": i32::from(week.weekday().to_monday_one_offset()),
        }
    } else {
        doc! {
            "year": i32::from(clock.year()),
            "month": i32::from(clock.month()),
            "day": i32::from(clock.day()),
        }
    };
    let time: Document = doc! {
        "hour": i32::from(clock.hour()),
        "minute": i32::from(clock.minute()),
        "second": i32::from(clock.second()),
        "millisecond": i32::from(clock.millisecond()),
    };
    parts.extend(time);
    Ok(Some(Bson::Document(parts)))
}

fn from_parts(arguments: &Arguments<'_>) -> Result<Option<Bson>, QueryError> {
    let given = |places: std::ops::Range<usize>| places.into_iter().any(|place| arguments.is_given(place));
    match (arguments.is_given(0), arguments.is_given(3)) {
        (false, false) => {
            return arguments.fail(40516, "requires either 'year' or 'isoWeekYear' to be present");
        }
        (true, _) if given(3..6) => {
            return arguments.fail(40489, "does not allow mixing natural dates with ISO dates");
        }
        (false, true) if given(0..3) => {
            return arguments.fail(40525, "does not allow mixing ISO dates with natural dates");
        }
        _ => {}
    }
    let Some(zone) = Zone::of(arguments, 10)? else { return Ok(Some(Bson::Null)) };
    let mut parts = [0; 10];
    for (place, slot) in parts.iter_mut().enumerate() {
        match integer(arguments, place)? {
            Some(value) => *slot = value,
            None => return Ok(Some(Bson::Null)),
        }
    }
    let [year, month, day, iso_year, iso_week, iso_day, hour, minute, second, millisecond] = parts;
    let day = if arguments.is_given(0) {
        first_of_month(checked_year("year", year)?, month)? + day - 1
    } else {
        let year = checked_year("isoWeekYear", iso_year)?;
        let first = ISOWeekDate::new(year, 1, Weekday::Monday).map_err(|_| zone::outside_calendar())?;
        day_number(first.date())? + (iso_week - 1) * 7 + iso_day - 1
    };
    let sum = [(day, DAY_MS), (hour, HOUR_MS), (minute, MINUTE_MS), (second, SECOND_MS), (millisecond, 1)]
        .into_iter()
        .try_fold(0_i64, |sum, (count, unit_ms)| sum.checked_add(count.checked_mul(unit_ms)?));
    let clock_ms = sum.ok_or_else(zone::outside_calendar)?;
    let date: DateTime = zone.instant_at(clock_ms)?;
    Ok(Some(Bson::DateTime(date)))
}

/// A part that is given, or else its default; `None` where it is null.
fn integer(arguments: &Arguments<'_>, place: usize) -> Result<Option<i64>, QueryError> {
    let name = FROM_PARTS.parameters[place].name;
    if !arguments.is_given(place) {
        // Days and months begin with 1, times with 0.
        return Ok(Some(i64::from(place < 6)));
    }
    let value = match arguments.get(place) {
        None | Some(Bson::Null | Bson::Undefined) => return Ok(None),
        Some(value) => value,
    };
    let Some(number) = Number::of(value).and_then(Number::to_integer) else {
        let kind = type_name(Some(value));
        let message = format!("'{name}' must evaluate to an integer, found {kind} with value {value}");
        return Err(QueryError::new(40515, message));
    };
    // Seconds and milliseconds may be any that fit.
    let is_bounded = !matches!(name, "year" | "isoWeekYear" | "second" | "millisecond");
    if is_bounded && i16::try_from(number).is_err() {
        let message = format!(
            "'{name}' must evaluate to a value in the range [-32768, 32767]; value {number} is not in range"
        );
        return Err(QueryError::new(31034, message));
    }
    Ok(Some(number))
}

fn checked_year(name: &str, year: i64) -> Result<i16, QueryError> {
    if let Ok(year @ 1..=9999) = i16::try_from(year) {
        return Ok(year);
    }
    let message = format!("'{name}' must evaluate to an integer in the range 1 to 9999, found {year}");
    Err(QueryError::new(40523, message))
}

/// The day, counted from 1970-01-01, on which a month begins. Months beyond 1 to 12 are of other years.
fn first_of_month(year: i16, month: i64) -> Result<i64, QueryError> {
    let months = i64::from(year) * 12 + month - 1;
    let year = i16::try_from(months.div_euclid(12)).map_err(|_| zone::outside_calendar())?;
    let month = months.rem_euclid(12) as i8 + 1;
    day_number(Date::new(year, month, 1).map_err(|_| zone::outside_calendar())?)
}

fn day_number(date: Date) -> Result<i64, QueryError> {
    Ok(zone::clock_ms_of(date.into())?.div_euclid(DAY_MS))
}
