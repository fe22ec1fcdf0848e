//! The user name and password of MongoDB drivers: set by the operator, or made at first start and kept in a
//! file.
//!
//! Promises: the file is private, and is made once however many servers start; no message shows what is in
//! it; one that cannot be used is refused and left alone. Deliberately unknown: how clients prove that
//! they know the password.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use nimbus_io::Randomness;
use nimbus_mongodb::{Credential, CredentialError};
use serde::{Deserialize, Serialize};

use crate::config::{Secret, Settings};
use crate::private_file::{self, TooWide};

/// The file's name.
pub(crate) const FILE: &str = "wire-credentials.json";
/// The user that is made.
const USERNAME: &str = "nimbus";
/// Random bytes in a password; it is written as twice as many hexadecimal digits.
const PASSWORD_BYTES: usize = 24;

/// Why the credentials cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    /// What the operator set cannot be used.
    #[error("--mongodb-username and the variable NIMBUS_MONGODB_PASSWORD: {0}")]
    Set(CredentialError),
    /// The file system said no.
    #[error("cannot use the credentials file {path}: {error}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others can reach the file.
    #[error("the credentials of MongoDB drivers are not private: {0}")]
    TooWide(#[from] TooWide),
    /// The file holds something else.
    #[error(
        "the credentials file {path} is broken ({reason}); mend it, or delete it to have new credentials made",
        path = path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong, without its content.
        reason: String,
    },
}

/// Who is let in, and where that stands.
#[derive(Debug)]
pub(crate) struct WireCredentials {
    pub(crate) credential: Credential,
    /// The file, unless the operator set them.
    pub(crate) file: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    username: String,
    password: String,
}

impl WireCredentials {
    /// Those that are set, else those in the file in `directory`, which is made if it is not there.
    pub(crate) fn load_or_create(
        settings: &Settings,
        directory: &Path,
        randomness: &dyn Randomness,
    ) -> Result<Self, CredentialsError> {
        let password = settings.mongodb_password.as_ref().map(Secret::expose);
        if let (Some(username), Some(password)) = (&settings.mongodb_username, password) {
            let credential = Credential::new(username, password).map_err(CredentialsError::Set)?;
            return Ok(Self { credential, file: None });
        }
        let path = directory.join(FILE);
        let credential = match read(&path)? {
            Some(credential) => credential,
            None => create(&path, randomness)?,
        };
        Ok(Self { credential, file: Some(path) })
    }
}

/// The credentials in the file; `None` when there is no file.
fn read(path: &Path) -> Result<Option<Credential>, CredentialsError> {
    let io = |error| CredentialsError::Io { path: path.to_owned(), error };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    private_file::check_mode(path, &file.metadata().map_err(io)?, 0o600)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(io)?;
    let broken = |reason: String| CredentialsError::Broken { path: path.to_owned(), reason };
    // The parser's own message may quote what it read, so it is not passed on.
    let content: Content = serde_json::from_slice(&text)
        .map_err(|_| broken("it must be a JSON object with username and password".to_owned()))?;
    let credential = Credential::new(&content.username, &content.password);
    credential.map(Some).map_err(|error| broken(error.to_string()))
}

/// New credentials, unless another server has just made some.
fn create(path: &Path, randomness: &dyn Randomness) -> Result<Credential, CredentialsError> {
    let io = |error| CredentialsError::Io { path: path.to_owned(), error };
    let content = Content { username: USERNAME.to_owned(), password: random_password(randomness) };
    let text = serde_json::to_vec_pretty(&content).map_err(|error| io(error.into()))?;
    private_file::create_directory(path.parent().unwrap_or(Path::new("."))).map_err(io)?;
    private_file::create(path, &text).map_err(io)?;
    read(path)?.ok_or_else(|| io(io::ErrorKind::NotFound.into()))
}

fn random_password(randomness: &dyn Randomness) -> String {
    let mut bytes = [0; PASSWORD_BYTES];
    randomness.fill(&mut bytes);
    bytes.iter().fold(String::with_capacity(PASSWORD_BYTES * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nimbus_io::{SimulatedRandomness, SystemRandomness};

    use super::*;
    use crate::config;
    use crate::environment::{Environment, Platform};

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let environment = Environment::new(variables.iter().copied(), Platform::Xdg);
        config::load(&config::Values::default(), None, &environment).unwrap().log_warnings()
    }

    fn load(directory: &Path) -> Result<WireCredentials, CredentialsError> {
        WireCredentials::load_or_create(&settings(&[]), directory, &SystemRandomness)
    }

    #[test]
    fn credentials_are_made_once_and_kept() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("data");
        let first = load(&directory).unwrap();
        assert_eq!(first.credential.username(), "nimbus");
        assert_eq!(first.file.as_deref(), Some(directory.join(FILE).as_path()));
        assert_eq!(load(&directory).unwrap().credential, first.credential);
        let text = fs::read_to_string(directory.join(FILE)).unwrap();
        let content: Content = serde_json::from_str(&text).unwrap();
        assert_eq!(content.password.len(), 48);
        assert!(!format!("{first:?}").contains(&content.password));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(directory.join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn servers_that_start_together_agree() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(FILE);
        let first = create(&path, &SimulatedRandomness::new(1)).unwrap();
        assert_eq!(create(&path, &SimulatedRandomness::new(2)).unwrap(), first);
    }

    #[test]
    fn what_the_operator_set_needs_no_file() {
        let root = tempfile::tempdir().unwrap();
        let load = |password| {
            let set = [("NIMBUS_MONGODB_USERNAME", "ada"), ("NIMBUS_MONGODB_PASSWORD", password)];
            WireCredentials::load_or_create(&settings(&set), root.path(), &SystemRandomness)
        };
        let set = load("p\u{e4}ss w\u{f6}rd").unwrap();
        assert_eq!((set.credential.username(), set.file), ("ada", None));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        let error = load("word\u{7}").unwrap_err().to_string();
        assert!(error.contains("NIMBUS_MONGODB_PASSWORD") && !error.contains("word\u{7}"), "{error}");
    }

    #[test]
    fn a_broken_file_is_refused_without_showing_it_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        load(root.path()).unwrap();
        for broken in [
            "",
            "secret",
            r#"{"username":"secret"}"#,
            r#"{"username":"a","password":"secret","role":1}"#,
            r#"{"username":"","password":"secret"}"#,
            r#"{"username":"a","password":""}"#,
        ] {
            fs::write(root.path().join(FILE), broken).unwrap();
            let error = load(root.path()).unwrap_err().to_string();
            assert!(error.contains("broken") && !error.contains("secret"), "{error}");
            assert_eq!(fs::read_to_string(root.path().join(FILE)).unwrap(), broken);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        load(root.path()).unwrap();
        fs::set_permissions(root.path().join(FILE), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(load(root.path()).unwrap_err(), CredentialsError::TooWide(_)));
    }
}
