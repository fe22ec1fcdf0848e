//! Reads dates from text, by a format or as people write them.
//!
//! Promises: a text that says less than a date, or more than it should, is refused with a reason. Without a
//! format these forms are known: ISO 8601 dates with or without a time (`2017-02-08T12:10:40.787Z`,
//! `20170208T121040`), American dates (`2/8/2017`), and dates with the name of the month (`July 4th, 2017`,
//! `4 Jul 2017`), each with an optional time, fraction, am or pm, and zone. Deliberately unknown: operators.

use bson::DateTime;
use jiff::civil::{Date, ISOWeekDate, Weekday};

use super::cursor::{Cursor, Refused};
use super::names;
use super::zone::{self, DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Zone};

/// What a text says about a date.
#[derive(Default)]
struct Parts {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    time_ms: i64,
    /// How far the clock is ahead of UTC, or the zone it is in.
    zone: Option<Zone>,
}

/// Reads a text by a format. `zone` is where its clock is, if the text does not say; only one may.
pub(super) fn read(text: &str, format: Option<&str>, zone: Option<&Zone>) -> Result<DateTime, Refused> {
    let mut cursor = Cursor { rest: text };
    let parts = match format {
        Some(format) => cursor.formatted(format)?,
        None => cursor.free()?,
    };
    if !cursor.rest.is_empty() {
        return Err("trailing data".into());
    }
    let own_zone = match (&parts.zone, zone) {
        (Some(_), Some(_)) => {
            return Err("you cannot pass in a date/time string with time zone information together \
                                          with a timezone argument"
                .into());
        }
        (own, given) => own.as_ref().or(given).unwrap_or(&Zone::UTC).clone(),
    };
    let clock_ms = parts.day_number()? * DAY_MS + parts.time_ms;
    own_zone.instant_at(clock_ms).map_err(|error| error.message)
}

impl Parts {
    /// The day, counted from 1970-01-01.
    fn day_number(&self) -> Result<i64, Refused> {
        let impossible = || "the date does not exist".to_owned();
        let small = |value: i64| i8::try_from(value).map_err(|_| impossible());
        let date = match (self.year, self.iso_year) {
            (Some(_), Some(_)) => {
                return Err("a mixing of ISO dates with natural dates is not allowed".into());
            }
            (Some(year), None) => {
                let year = i16::try_from(year).map_err(|_| impossible())?;
                match (self.day_of_year, self.month, self.day) {
                    (Some(day), None, None) => {
                        let first = Date::new(year, 1, 1).map_err(|_| impossible())?;
                        if day < 1 || day > first.days_in_year().into() {
                            return Err(impossible());
                        }
                        let first = zone::clock_ms_of(first.into()).map_err(|error| error.message)?;
                        return Ok(first.div_euclid(DAY_MS) + day - 1);
                    }
                    (None, Some(month), Some(day)) => Date::new(year, small(month)?, small(day)?),
                    _ => {
                        return Err(
                            "an incomplete date/time string has been found, with elements missing".into()
                        );
                    }
                }
            }
            (None, Some(year)) => {
                let year = i16::try_from(year).map_err(|_| impossible())?;
                let weekday = Weekday::from_monday_one_offset(small(self.iso_day.unwrap_or(1))?);
                let week = small(self.iso_week.unwrap_or(1))?;
                weekday.and_then(|weekday| ISOWeekDate::new(year, week, weekday)).map(ISOWeekDate::date)
            }
            (None, None) => {
                return Err("an incomplete date/time string has been found, with elements missing".into());
            }
        };
        let date = date.map_err(|_| impossible())?;
        Ok(zone::clock_ms_of(date.into()).map_err(|error| error.message)?.div_euclid(DAY_MS))
    }
}

impl Cursor<'_> {
    fn formatted(&mut self, format: &str) -> Result<Parts, Refused> {
        let mut parts = Parts::default();
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                self.expect(character)?;
                continue;
            }
            match characters.next() {
                Some('Y') => parts.year = Some(self.number(4, 4)?),
                Some('m') => parts.month = Some(self.number(1, 2)?),
                Some('d') => parts.day = Some(self.number(1, 2)?),
                Some('j') => parts.day_of_year = Some(self.number(1, 3)?),
                Some('G') => parts.iso_year = Some(self.number(4, 4)?),
                Some('V') => parts.iso_week = Some(self.number(1, 2)?),
                Some('u') => parts.iso_day = Some(self.number(1, 1)?),
                Some('H') => parts.time_ms += self.bounded(1, 2, 23)? * HOUR_MS,
                Some('M') => parts.time_ms += self.bounded(1, 2, 59)? * MINUTE_MS,
                Some('S') => parts.time_ms += self.bounded(1, 2, 59)? * SECOND_MS,
                Some('L') => parts.time_ms += self.number(1, 3)?,
                Some('b' | 'B') => {
                    let (month, bytes) =
                        names::leading_month(self.rest).ok_or("a month's name was expected")?;
                    parts.month = Some(month);
                    self.skip(bytes);
                }
                Some('z') => parts.zone = Some(self.zone()?),
                Some('Z') => {
                    let negative = self.take('-');
                    if !negative {
                        self.take('+');
                    }
                    let minutes = self.bounded(1, 4, 1_439)?;
                    let (hours, minutes) = (minutes / 60, minutes % 60);
                    let sign = if negative { '-' } else { '+' };
                    let zone = Zone::parse(&format!("{sign}{hours:02}{minutes:02}"));
                    parts.zone = Some(zone.map_err(|error| error.message)?);
                }
                Some('%') => self.expect('%')?,
                Some(other) => return Err(format!("the format specifier %{other} is not known")),
                None => return Err("Unmatched '%' at end of format string".into()),
            }
        }
        Ok(parts)
    }

    /// A date without a format, then a time, then a zone.
    fn free(&mut self) -> Result<Parts, Refused> {
        let mut parts = Parts::default();
        self.spaces();
        if let Some(bytes) = names::leading_day(self.rest) {
            self.skip(bytes);
            self.take(',');
            self.spaces();
        }
        self.free_date(&mut parts)?;
        let comma = self.take(',');
        let space = self.spaces();
        if self.take('T') || self.take('t') || ((comma || space) && self.begins_with_digit()) {
            self.free_time(&mut parts)?;
            self.spaces();
        }
        if !self.rest.is_empty() {
            parts.zone = Some(self.zone()?);
        }
        Ok(parts)
    }

    fn free_date(&mut self, parts: &mut Parts) -> Result<(), Refused> {
        if let Some((month, bytes)) = names::leading_month(self.rest) {
            // July 4th, 2017
            parts.month = Some(month);
            self.skip(bytes);
            self.take('.');
            self.spaces();
            parts.day = Some(self.day()?);
            self.take(',');
            self.spaces();
            parts.year = Some(self.number(4, 4)?);
            return Ok(());
        }
        let digits = self.digits();
        match (digits.len(), self.rest.as_bytes().get(digits.len())) {
            (8, _) => {
                // 20170208
                parts.year = Some(self.number(4, 4)?);
                parts.month = Some(self.number(2, 2)?);
                parts.day = Some(self.number(2, 2)?);
            }
            (4, Some(b'-' | b'/')) => {
                parts.year = Some(self.number(4, 4)?);
                let separator = if self.take('-') { '-' } else { '/' };
                self.take('/');
                if separator == '-' && self.take('W') {
                    parts.iso_year = parts.year.take();
                    parts.iso_week = Some(self.number(2, 2)?);
                    if self.take('-') {
                        parts.iso_day = Some(self.number(1, 1)?);
                    }
                    return Ok(());
                }
                if separator == '-' && self.digits().len() == 3 {
                    parts.day_of_year = Some(self.number(3, 3)?);
                    return Ok(());
                }
                parts.month = Some(self.number(1, 2)?);
                self.expect(separator)?;
                parts.day = Some(self.number(1, 2)?);
            }
            (1 | 2, Some(b'/')) => {
                // Month first, as in America.
                parts.month = Some(self.number(1, 2)?);
                self.expect('/')?;
                parts.day = Some(self.number(1, 2)?);
                self.expect('/')?;
                parts.year = Some(self.number(4, 4)?);
            }
            (1 | 2, _) => {
                // 4 July 2017, 04-Jul-2017
                parts.day = Some(self.day()?);
                let separator = self.separator();
                let (month, bytes) =
                    names::leading_month(self.rest).ok_or("an incomplete date/time string has been found")?;
                parts.month = Some(month);
                self.skip(bytes);
                if separator {
                    self.separator()
                } else {
                    self.spaces()
                };
                parts.year = Some(self.number(4, 4)?);
            }
            _ => return Err("no date was found at its beginning".into()),
        }
        Ok(())
    }

    fn free_time(&mut self, parts: &mut Parts) -> Result<(), Refused> {
        let packed = self.digits().len() >= 4;
        let mut hour = self.bounded(if packed { 2 } else { 1 }, 2, 24)?;
        let mut rest_ms = 0;
        if self.take(':') || packed {
            rest_ms += self.bounded(2, 2, 59)? * MINUTE_MS;
            if self.take(':') || (packed && self.begins_with_digit()) {
                rest_ms += self.bounded(2, 2, 59)? * SECOND_MS;
                if self.take('.') || self.take(',') {
                    rest_ms += self.fraction_ms()?;
                }
            }
        }
        let before = self.rest;
        self.spaces();
        match self.rest.get(..2).map(str::to_ascii_lowercase).as_deref() {
            Some(half @ ("am" | "pm")) if (1..=12).contains(&hour) => {
                hour = hour % 12 + if half == "pm" { 12 } else { 0 };
                self.skip(2);
            }
            _ => self.rest = before,
        }
        if hour == 24 && rest_ms > 0 {
            return Err("the time does not exist".into());
        }
        parts.time_ms = hour * HOUR_MS + rest_ms;
        Ok(())
    }

    /// An offset, `Z` or the name of a zone.
    fn zone(&mut self) -> Result<Zone, Refused> {
        let is_part = |character: char| character.is_ascii_alphanumeric() || "+-:/_".contains(character);
        let end = self.rest.find(|character| !is_part(character)).unwrap_or(self.rest.len());
        let name = &self.rest[..end];
        let zone = match name {
            "z" | "utc" | "gmt" => Zone::UTC,
            name => Zone::parse(name).map_err(|_| "the time zone could not be found in it".to_owned())?,
        };
        self.skip(end);
        Ok(zone)
    }

    /// A day of a month, with or without its ordinal ending.
    fn day(&mut self) -> Result<i64, Refused> {
        let day = self.number(1, 2)?;
        if matches!(self.rest.get(..2), Some("st" | "nd" | "rd" | "th")) {
            self.skip(2);
        }
        Ok(day)
    }

    fn separator(&mut self) -> bool {
        self.take('-') || self.take('.') || self.take('/') || self.spaces()
    }
}
