//! Units of time, and the day on which weeks begin.
//!
//! Promises: the names are MongoDB's (manual, "$dateAdd", "$dateTrunc"). Days and longer units follow the calendar
//! of a time zone, shorter ones the clock of physics; a day that a month lacks becomes its last. Deliberately
//! unknown: operators and stages.

use bson::{Bson, DateTime};
use jiff::Span;
use jiff::civil::Weekday;

use super::zone::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Zone};
use crate::error::QueryError;
use crate::expression::kind::type_name;
use crate::expression::operator::Arguments;

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

impl Unit {
    /// The unit that an argument names; `None` where it is null.
    pub(super) fn of(arguments: &Arguments<'_>, place: usize, code: i32) -> Result<Option<Self>, QueryError> {
        match arguments.get(place) {
            None | Some(Bson::Null | Bson::Undefined) => Ok(None),
            Some(Bson::String(name)) => Self::parse(name).map(Some),
            other => arguments
                .fail(code, format_args!("requires 'unit' to be a string, but got {}", type_name(other))),
        }
    }

    /// The unit of that name.
    pub(crate) fn parse(name: &str) -> Result<Self, QueryError> {
        Ok(match name {
            "year" => Self::Year,
            "quarter" => Self::Quarter,
            "month" => Self::Month,
            "week" => Self::Week,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "minute" => Self::Minute,
            "second" => Self::Second,
            "millisecond" => Self::Millisecond,
            other => return Err(QueryError::failed_to_parse(format!("unknown time unit value: {other}"))),
        })
    }

    /// How many milliseconds the unit always has in UTC; `None` for months and longer units.
    pub(crate) fn fixed_ms(self) -> Option<i64> {
        match self {
            Self::Year | Self::Quarter | Self::Month => None,
            Self::Week => Some(7 * DAY_MS),
            Self::Day => Some(DAY_MS),
            Self::Hour => Some(HOUR_MS),
            Self::Minute => Some(MINUTE_MS),
            Self::Second => Some(SECOND_MS),
            Self::Millisecond => Some(1),
        }
    }

    /// The date so many units later, or earlier, in UTC; `None` when there is no such date.
    pub(crate) fn add(self, date: DateTime, count: i64) -> Option<DateTime> {
        match self.fixed_ms() {
            Some(unit_ms) => shifted(date, count, unit_ms),
            None => self.add_in(date, count, &Zone::UTC).ok().flatten(),
        }
    }

    /// The same by the calendar of a time zone.
    ///
    /// # Errors
    /// Where the date itself lies outside of the calendar.
    pub(super) fn add_in(
        self,
        date: DateTime,
        count: i64,
        zone: &Zone,
    ) -> Result<Option<DateTime>, QueryError> {
        let span = Span::new();
        let span = match self {
            Self::Year => span.try_years(count),
            Self::Quarter => span.try_months(count.saturating_mul(3)),
            Self::Month => span.try_months(count),
            Self::Week => span.try_weeks(count),
            Self::Day => span.try_days(count),
            Self::Hour => return Ok(shifted(date, count, HOUR_MS)),
            Self::Minute => return Ok(shifted(date, count, MINUTE_MS)),
            Self::Second => return Ok(shifted(date, count, SECOND_MS)),
            Self::Millisecond => return Ok(shifted(date, count, 1)),
        };
        let clock = zone.local(date)?.civil;
        match span.and_then(|span| clock.checked_add(span)) {
            Ok(clock) => zone.instant(clock).map(Some),
            Err(_) => Ok(None),
        }
    }
}

fn shifted(date: DateTime, count: i64, unit_ms: i64) -> Option<DateTime> {
    let shift_ms = count.checked_mul(unit_ms)?;
    date.timestamp_millis().checked_add(shift_ms).map(DateTime::from_millis)
}

/// The first day of the week that an argument names, Sunday if it was not given; `None` where it is null.
pub(super) fn start_of_week(
    arguments: &Arguments<'_>,
    place: usize,
    code: i32,
) -> Result<Option<Weekday>, QueryError> {
    if !arguments.is_given(place) {
        return Ok(Some(Weekday::Sunday));
    }
    let name = match arguments.get(place) {
        None | Some(Bson::Null | Bson::Undefined) => return Ok(None),
        Some(Bson::String(name)) => name.to_lowercase(),
        other => {
            let kind = type_name(other);
            return arguments
                .fail(code, format_args!("requires 'startOfWeek' to be a string, but got {kind}"));
        }
    };
    Ok(Some(match name.as_str() {
        "monday" | "mon" => Weekday::Monday,
        "tuesday" | "tue" => Weekday::Tuesday,
        "wednesday" | "wed" => Weekday::Wednesday,
        "thursday" | "thu" => Weekday::Thursday,
        "friday" | "fri" => Weekday::Friday,
        "saturday" | "sat" => Weekday::Saturday,
        "sunday" | "sun" => Weekday::Sunday,
        other => return Err(QueryError::failed_to_parse(format!("unknown day of week value: {other}"))),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_the_calendar() {
        let date = |text| DateTime::parse_rfc3339_str(text).unwrap();
        let add = |unit, text, count| Unit::parse(unit).unwrap().add(date(text), count);
        assert_eq!(add("month", "2024-01-31T00:00:00Z", 1), Some(date("2024-02-29T00:00:00Z")));
        assert_eq!(add("month", "2024-03-31T01:00:00Z", -1), Some(date("2024-02-29T01:00:00Z")));
        assert_eq!(add("week", "2024-01-31T00:00:00Z", 1), Some(date("2024-02-07T00:00:00Z")));
        assert_eq!(add("year", "2024-01-31T00:00:00Z", i64::MAX), None);
        assert!(Unit::parse("fortnight").is_err());
    }

    #[test]
    fn fixed_units_reach_beyond_the_calendar() {
        let far = DateTime::from_millis(i64::MAX - 1);
        assert_eq!(Unit::Millisecond.add(far, 1), Some(DateTime::MAX));
        assert_eq!(Unit::Day.add(far, 1), None);
        assert_eq!(Unit::Month.add(far, 1), None);
    }
}
