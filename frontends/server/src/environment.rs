//! Environment variables, and the per-user places that follow from them.
//!
//! Promises: an empty variable is an unset one; everything else of this crate reads variables through
//! an [`Environment`] value, so that a test brings its own and none races another. Deliberately
//! unknown: what is written at the places.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A per-user place cannot be named because a variable is missing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("cannot tell where {what} belongs: set {variables}")]
pub(crate) struct NoPlace {
    what: &'static str,
    variables: &'static str,
}

/// The conventions for per-user files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Platform {
    /// XDG Base Directory Specification 0.8.
    Xdg,
    /// Apple's `~/Library`.
    MacOs,
    /// `%LOCALAPPDATA%`.
    Windows,
}

impl Platform {
    /// The platform this binary was built for.
    pub(crate) const fn current() -> Self {
        if cfg!(target_os = "macos") {
            Self::MacOs
        } else if cfg!(windows) {
            Self::Windows
        } else {
            Self::Xdg
        }
    }
}

/// The variables of one process, at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    variables: BTreeMap<OsString, OsString>,
    platform: Platform,
}

impl Environment {
    /// The variables of this process, now.
    pub(crate) fn of_process() -> Self {
        Self::new(std::env::vars_os(), Platform::current())
    }

    /// These variables and no others; empty ones are dropped.
    pub(crate) fn new<N, V>(variables: impl IntoIterator<Item = (N, V)>, platform: Platform) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        Self { variables, platform }
    }

    /// A variable that is set to something.
    pub(crate) fn value(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Names of all variables that begin with `prefix`, in order. Names that are not UTF-8 are left
    /// out; none of ours is.
    pub(crate) fn names_with_prefix(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.variables.keys().filter_map(|name| name.to_str()).filter(move |name| name.starts_with(prefix))
    }

    /// Where the admin token lives.
    pub(crate) fn token_path(&self) -> Result<PathBuf, NoPlace> {
        const WHAT: &str = "the admin token";
        match self.platform {
            Platform::Xdg => Ok(self.xdg("XDG_DATA_HOME", ".local/share", WHAT)?.join("nimbus/auth/token")),
            Platform::MacOs => Ok(self.home(WHAT)?.join("Library/Application Support/nimbus/auth/token")),
            Platform::Windows => Ok(self.local_app_data(WHAT)?.join("nimbus/auth/token.json")),
        }
    }

    /// Where the audit log lives.
    pub(crate) fn audit_path(&self) -> Result<PathBuf, NoPlace> {
        const WHAT: &str = "the audit log";
        let base = match self.platform {
            Platform::Xdg | Platform::MacOs => self.xdg("XDG_STATE_HOME", ".local/state", WHAT)?,
            Platform::Windows => self.local_app_data(WHAT)?,
        };
        Ok(base.join("nimbus/logs/access.jsonl"))
    }

    /// The specification asks that a relative path in an XDG variable be ignored.
    fn xdg(&self, variable: &str, under_home: &str, what: &'static str) -> Result<PathBuf, NoPlace> {
        match self.value(variable).map(Path::new).filter(|path| path.is_absolute()) {
            Some(path) => Ok(path.to_owned()),
            None => Ok(self.home(what)?.join(under_home)),
        }
    }

    fn home(&self, what: &'static str) -> Result<PathBuf, NoPlace> {
        self.value("HOME")
            .map(PathBuf::from)
            .ok_or(NoPlace { what, variables: "HOME (or XDG_DATA_HOME and XDG_STATE_HOME)" })
    }

    fn local_app_data(&self, what: &'static str) -> Result<PathBuf, NoPlace> {
        self.value("LOCALAPPDATA").map(PathBuf::from).ok_or(NoPlace { what, variables: "LOCALAPPDATA" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(platform: Platform, variables: &[(&str, &str)]) -> [Option<String>; 2] {
        let environment = Environment::new(variables.iter().copied(), platform);
        [environment.token_path(), environment.audit_path()]
            .map(|place| place.ok().map(|path| path.to_string_lossy().into_owned()))
    }

    #[test]
    fn places_follow_the_platform() {
        let home = ("HOME", "/home/ada");
        let expect = |token: &str, audit: &str| [Some(token.to_owned()), Some(audit.to_owned())];
        assert_eq!(
            places(Platform::Xdg, &[home]),
            expect(
                "/home/ada/.local/share/nimbus/auth/token",
                "/home/ada/.local/state/nimbus/logs/access.jsonl"
            )
        );
        assert_eq!(
            places(Platform::Xdg, &[("XDG_DATA_HOME", "/d"), ("XDG_STATE_HOME", "/s")]),
            expect("/d/nimbus/auth/token", "/s/nimbus/logs/access.jsonl")
        );
        assert_eq!(
            places(Platform::MacOs, &[home])[0].as_deref(),
            Some("/home/ada/Library/Application Support/nimbus/auth/token")
        );
        assert_eq!(
            places(Platform::Windows, &[("LOCALAPPDATA", "/local")]),
            expect("/local/nimbus/auth/token.json", "/local/nimbus/logs/access.jsonl")
        );
    }

    #[test]
    fn relative_and_empty_xdg_variables_are_ignored() {
        let places =
            places(Platform::Xdg, &[("HOME", "/h"), ("XDG_DATA_HOME", "relative"), ("XDG_STATE_HOME", "")]);
        assert_eq!(places[0].as_deref(), Some("/h/.local/share/nimbus/auth/token"));
        assert_eq!(places[1].as_deref(), Some("/h/.local/state/nimbus/logs/access.jsonl"));
    }

    #[test]
    fn without_a_home_the_error_names_the_variable() {
        let environment = Environment::new([("PATH", "/bin")], Platform::Xdg);
        assert!(environment.token_path().unwrap_err().to_string().contains("HOME"));
    }
}
