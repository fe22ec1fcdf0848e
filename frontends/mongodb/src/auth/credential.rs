//! A user name and a password, as an operator sets them.

use std::fmt;

/// Why a user name or password cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// There must be one.
    #[error("the user name is empty")]
    NoUsername,
    /// There must be one.
    #[error("the password is empty")]
    NoPassword,
    /// Drivers could not send it.
    #[error("the password holds a character that SASLprep (RFC 4013) prohibits")]
    Prohibited,
}

/// The user that is let in.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    username: String,
    /// As `SASLprep` leaves it.
    password: String,
}

impl Credential {
    /// Checks and prepares them: the password as RFC 7677 demands and drivers do, the user name not, as in
    /// MongoDB.
    pub fn new(username: &str, password: &str) -> Result<Self, CredentialError> {
        if username.is_empty() {
            return Err(CredentialError::NoUsername);
        }
        let password = stringprep::saslprep(password).map_err(|_| CredentialError::Prohibited)?.into_owned();
        if password.is_empty() {
            return Err(CredentialError::NoPassword);
        }
        Ok(Self { username: username.to_owned(), password })
    }

    /// The user's name.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The prepared password, for deriving keys.
    pub(super) fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_prepared_and_not_shown() {
        // A soft hyphen is mapped to nothing, a Roman numeral to its letters (RFC 4013, section 3).
        let credential = Credential::new("ada", "I\u{ad}\u{2168}").unwrap();
        assert_eq!(credential, Credential::new("ada", "IIX").unwrap());
        assert!(!format!("{credential:?}").contains("IIX"));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for (username, password, error) in [
            ("", "word", CredentialError::NoUsername),
            ("ada", "", CredentialError::NoPassword),
            ("ada", "\u{ad}", CredentialError::NoPassword),
            ("ada", "a\u{7}", CredentialError::Prohibited),
        ] {
            assert_eq!(Credential::new(username, password), Err(error));
        }
    }
}
