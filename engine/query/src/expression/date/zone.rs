//! Time zones, and instants as the clocks on their walls show them.
//!
//! Promises: names are those of the bundled IANA database, offsets those of MongoDB (manual, "$dateToString",
//! "Timezone"); an instant outside of the years that the calendar knows is an error. Deliberately unknown:
//! operators.

use bson::{Bson, DateTime};
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::{Offset, TimeZone};

use crate::error::QueryError;
use crate::expression::kind::type_name;
use crate::expression::operator::Arguments;

/// Milliseconds of a second.
pub(super) const SECOND_MS: i64 = 1_000;
/// Of a minute.
pub(super) const MINUTE_MS: i64 = 60 * SECOND_MS;
/// Of an hour.
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Of a day that no clock is changed on.
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

/// A time zone.
#[derive(Debug, Clone)]
pub(super) struct Zone(TimeZone);

/// What calendar and clock show in a zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local {
    /// Date and time of day.
    pub(super) civil: civil::DateTime,
    /// The same as milliseconds since 1970 began on that clock.
    pub(super) clock_ms: i64,
    /// How far the clock is ahead of UTC.
    pub(super) offset_ms: i64,
}

impl Zone {
    pub(super) const UTC: Self = Self(TimeZone::UTC);

    /// The zone that an argument names, UTC if it was not given; `None` where it is null.
    pub(super) fn of(arguments: &Arguments<'_>, place: usize) -> Result<Option<Self>, QueryError> {
        if !arguments.is_given(place) {
            return Ok(Some(Self::UTC));
        }
        match arguments.get(place) {
            None | Some(Bson::Null | Bson::Undefined) => Ok(None),
            Some(Bson::String(name)) => Self::parse(name).map(Some),
            other => {
                let kind = type_name(other);
                Err(QueryError::new(40517, format!("timezone must evaluate to a string, found {kind}")))
            }
        }
    }

    /// Reads a name or an offset from UTC: `+hh`, `+hhmm` or `+hh:mm`.
    pub(super) fn parse(name: &str) -> Result<Self, QueryError> {
        if matches!(name, "UTC" | "GMT" | "Z") {
            return Ok(Self::UTC);
        }
        if name.starts_with(['+', '-']) {
            let offset = parse_offset(name).and_then(|seconds| Offset::from_seconds(seconds).ok());
            return offset.map(|offset| Self(TimeZone::fixed(offset))).ok_or_else(|| unrecognized(name));
        }
        TimeZone::get(name).map(Self).map_err(|_| unrecognized(name))
    }

    pub(super) fn is_utc(&self) -> bool {
        self.0 == TimeZone::UTC
    }

    /// What the clock shows at an instant.
    pub(super) fn local(&self, instant: DateTime) -> Result<Local, QueryError> {
        let instant =
            Timestamp::from_millisecond(instant.timestamp_millis()).map_err(|_| outside_calendar())?;
        let offset = self.0.to_offset(instant);
        let offset_ms = i64::from(offset.seconds()) * SECOND_MS;
        let civil = offset.to_datetime(instant);
        Ok(Local { civil, clock_ms: instant.as_millisecond() + offset_ms, offset_ms })
    }

    /// The instant at which the clock shows this. Of two such instants it is the earlier; a time that was
    /// skipped when clocks were put forward is taken as if they had not been.
    pub(super) fn instant(&self, clock: civil::DateTime) -> Result<DateTime, QueryError> {
        let instant = self.0.to_timestamp(clock).map_err(|_| outside_calendar())?;
        Ok(DateTime::from_millis(instant.as_millisecond()))
    }

    /// The same for milliseconds since 1970 began on that clock.
    pub(super) fn instant_at(&self, clock_ms: i64) -> Result<DateTime, QueryError> {
        self.instant(civil_of(clock_ms)?)
    }
}

/// Date and time of day of a clock.
pub(super) fn civil_of(clock_ms: i64) -> Result<civil::DateTime, QueryError> {
    let instant = Timestamp::from_millisecond(clock_ms).map_err(|_| outside_calendar())?;
    Ok(Offset::UTC.to_datetime(instant))
}

/// Milliseconds since 1970 began on the same clock.
pub(super) fn clock_ms_of(civil: civil::DateTime) -> Result<i64, QueryError> {
    let instant = Offset::UTC.to_timestamp(civil).map_err(|_| outside_calendar())?;
    Ok(instant.as_millisecond())
}

/// Seconds ahead of UTC.
pub(super) fn parse_offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits, "0"),
        4 => digits.split_at_checked(2)?,
        5 => digits.split_once(':')?,
        _ => return None,
    };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i32>().ok());
    Some(sign * (number(hours)?? * 3_600 + number(minutes)?? * 60))
}

fn unrecognized(name: &str) -> QueryError {
    QueryError::new(40485, format!("unrecognized time zone identifier: \"{name}\""))
}

/// The calendar ends with the years -9999 and 9999.
pub(super) fn outside_calendar() -> QueryError {
    QueryError::new(18537, "date operators are only defined on years -9999 to 9999")
}

/// The instant that a value is: a date, the time of an `ObjectId`, or that of a timestamp.
pub(super) fn instant_of(value: &Bson) -> Option<DateTime> {
    match value {
        Bson::DateTime(date) => Some(*date),
        Bson::ObjectId(id) => Some(id.timestamp()),
        Bson::Timestamp(timestamp) => Some(DateTime::from_millis(i64::from(timestamp.time) * SECOND_MS)),
        _ => None,
    }
}

/// The instant that an argument is; `None` where it is null.
pub(super) fn instant(arguments: &Arguments<'_>, place: usize) -> Result<Option<DateTime>, QueryError> {
    match arguments.get(place) {
        None | Some(Bson::Null | Bson::Undefined) => Ok(None),
        Some(value) => instant_of(value).map(Some).ok_or_else(|| {
            QueryError::new(16006, format!("can't convert from BSON type {} to Date", type_name(Some(value))))
        }),
    }
}
