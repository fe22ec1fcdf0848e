//! A cursor over received bytes that never reads past their end.

use super::error::WireError;

/// What is left to read of a message.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn remaining(&self) -> usize {
        self.0.len()
    }

    /// The next `count` bytes; `what` they are stands in the error.
    pub(super) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(WireError::Cut(what))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, WireError> {
        Ok(self.take(1, what)?[0])
    }

    pub(super) fn int32(&mut self, what: &'static str) -> Result<i32, WireError> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4, what)?);
        Ok(i32::from_le_bytes(bytes))
    }

    /// Text up to the next zero byte.
    pub(super) fn cstring(&mut self, what: &'static str) -> Result<&'a str, WireError> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(WireError::Cut(what))?;
        let text = self.take(end + 1, what)?;
        std::str::from_utf8(&text[..end]).map_err(|_| WireError::NotUtf8(what))
    }

    /// The first four bytes as a length that counts itself, without reading them.
    pub(super) fn peek_length(&self, what: &'static str) -> Result<usize, WireError> {
        let declared = Reader(self.0).int32(what)?;
        usize::try_from(declared).map_err(|_| WireError::Cut(what))
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Trailing(self.0.len())) }
    }
}
