//! Values by the key of their setting.
//!
//! Promises: `Debug` shows no value that is or may hold a credential. Deliberately unknown: whether the
//! values fit their settings.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};

use serde_json::Value;

use super::rows::SETTINGS;
use super::secret::NOT_SHOWN;

/// Values by the key of their setting.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Values(BTreeMap<&'static str, Value>);

impl Deref for Values {
    type Target = BTreeMap<&'static str, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl FromIterator<(&'static str, Value)> for Values {
    fn from_iter<I: IntoIterator<Item = (&'static str, Value)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl<const N: usize> From<[(&'static str, Value); N]> for Values {
    fn from(values: [(&'static str, Value); N]) -> Self {
        values.into_iter().collect()
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_shown =
            |key: &str| SETTINGS.iter().any(|setting| setting.key == key && !setting.shape.is_confidential());
        let entries = self
            .iter()
            .map(|(key, value)| (key, if is_shown(key) { value.to_string() } else { NOT_SHOWN.to_owned() }));
        f.debug_map().entries(entries).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_may_be_a_credential_is_not_shown() {
        let values = Values::from([
            ("port", json!(1)),
            ("mysql_url", json!("word")),
            ("libsql_auth_token", json!("word")),
        ]);
        let shown = format!("{values:?}");
        assert!(shown.contains("mysql_url") && shown.contains('1') && !shown.contains("word"), "{shown}");
    }
}
