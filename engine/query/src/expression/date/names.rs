//! English names of months and days, as dates are written with them.
//!
//! Promises: all names are ASCII. Deliberately unknown: formats.

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// How many letters a short name has.
const SHORT: usize = 3;

/// The name of a month, counted from 1.
pub(super) fn month(number: i8) -> &'static str {
    let index = usize::try_from(number).unwrap_or(1).saturating_sub(1);
    MONTHS.get(index).copied().unwrap_or_default()
}

/// Its first letters.
pub(super) fn short_month(number: i8) -> &'static str {
    month(number).get(..SHORT).unwrap_or_default()
}

/// The number of the month that a text begins with, whole or short, and how long that is. Case does not matter.
pub(super) fn leading_month(text: &str) -> Option<(i64, usize)> {
    let (index, bytes) = leading(&MONTHS, text)?;
    Some((i64::try_from(index).ok()? + 1, bytes))
}

/// How long the day of the week is that a text begins with, whole or short.
pub(super) fn leading_day(text: &str) -> Option<usize> {
    leading(&DAYS, text).map(|(_, bytes)| bytes)
}

fn leading(names: &[&str], text: &str) -> Option<(usize, usize)> {
    let begins = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    names.iter().enumerate().find_map(|(index, name)| {
        let short = name.get(..SHORT)?;
        let bytes = [*name, short].into_iter().find(|name| begins(name))?.len();
        Some((index, bytes))
    })
}
