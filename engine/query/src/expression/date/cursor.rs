//! A text under reading: digits, characters, spaces.
//!
//! Promises: nothing panics, whatever the text. Deliberately unknown: what dates look like.

/// Why a text is no date.
pub(super) type Refused = String;

/// The text that is not read yet.
pub(super) struct Cursor<'t> {
    pub(super) rest: &'t str,
}

impl<'t> Cursor<'t> {
    /// Digits of a fraction of a second; those beyond milliseconds are cut off.
    pub(super) fn fraction_ms(&mut self) -> Result<i64, Refused> {
        let digits = self.digits();
        if digits.is_empty() {
            return Err("a fraction was expected".into());
        }
        let milliseconds = digits.bytes().chain(std::iter::repeat(b'0')).take(3);
        let value = milliseconds.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        self.skip(digits.len());
        Ok(value)
    }

    pub(super) fn digits(&self) -> &'t str {
        let end = self.rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(self.rest.len());
        &self.rest[..end]
    }

    pub(super) fn begins_with_digit(&self) -> bool {
        !self.digits().is_empty()
    }

    /// A number of at least and at most so many digits.
    pub(super) fn number(&mut self, least: usize, most: usize) -> Result<i64, Refused> {
        let digits = self.digits();
        let digits = &digits[..digits.len().min(most)];
        if digits.len() < least {
            return Err(format!("a number of {least} digits was expected"));
        }
        self.skip(digits.len());
        digits.parse().map_err(|_| "a number was expected".to_owned())
    }

    pub(super) fn bounded(&mut self, least: usize, most: usize, largest: i64) -> Result<i64, Refused> {
        let number = self.number(least, most)?;
        if number > largest { Err("the time does not exist".into()) } else { Ok(number) }
    }

    pub(super) fn expect(&mut self, character: char) -> Result<(), Refused> {
        if self.take(character) { Ok(()) } else { Err(format!("the character '{character}' was expected")) }
    }

    pub(super) fn take(&mut self, character: char) -> bool {
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub(super) fn spaces(&mut self) -> bool {
        let trimmed = self.rest.trim_start();
        let any = trimmed.len() < self.rest.len();
        self.rest = trimmed;
        any
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}
