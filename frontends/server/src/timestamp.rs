//! Times as files and logs show them: RFC 3339 in UTC, with milliseconds.
//!
//! Promises: formatting is total; parsing takes back what was formatted. Deliberately unknown: where the
//! time comes from.

use std::time::{Duration, SystemTime};

/// The last millisecond of the year 9999, where RFC 3339 ends.
const LAST_MS: u64 = 253_402_300_799_999;

/// Epoch milliseconds as `2026-01-31T12:00:00.000Z`. Later times are held to the last one there is.
pub(crate) fn format(epoch_ms: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(epoch_ms.min(LAST_MS));
    humantime::format_rfc3339_millis(time).to_string()
}

/// Epoch milliseconds of a time in RFC 3339, UTC.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(text).ok()?;
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since_epoch.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_as_they_went() {
        assert_eq!(format(1_767_225_600_007), "2026-01-01T00:00:00.007Z");
        for epoch_ms in [0, 1, 1_767_225_600_007, LAST_MS] {
            assert_eq!(parse(&format(epoch_ms)), Some(epoch_ms));
        }
        assert_eq!(format(u64::MAX), format(LAST_MS));
        assert_eq!(parse("yesterday"), None);
    }
}
