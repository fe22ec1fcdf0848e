//! What can be wrong with a configuration, in words an operator can act on.
//!
//! Promises: each problem names the flag, variable or file key it is about; no message shows a value,
//! since settings may be credentials. Deliberately unknown: how problems are found.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A flag, with its dashes.
    Flag(String),
    /// A variable.
    Variable(String),
    /// A key of the configuration file.
    File {
        /// Full path of the key, e.g. `network.port`.
        key: String,
        /// The file.
        file: PathBuf,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => f.write_str(name),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File { key, file } => write!(f, "{key} in {}", file.display()),
        }
    }
}

/// One thing to mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// A file key that no setting has.
    #[error("{file}: unknown key {key}{suggestion}", file = file.display())]
    UnknownKey {
        /// Full path of the key.
        key: String,
        /// The file it stands in.
        file: PathBuf,
        /// A hint, or nothing.
        suggestion: String,
    },
    /// A value that its setting does not take.
    #[error("{place}: expected {expected}")]
    WrongValue {
        /// Where the value stands.
        place: Place,
        /// What is accepted.
        expected: String,
    },
    /// The chosen provider cannot do without a setting that nothing sets.
    #[error(
        "provider {provider} needs {flag} (or the variable {variable}, or {file_key} in the configuration file)"
    )]
    Missing {
        /// The chosen provider.
        provider: String,
        /// The setting as a flag, with its dashes.
        flag: String,
        /// The setting as a variable.
        variable: String,
        /// The setting as a key of the configuration file.
        file_key: String,
    },
    /// A number that is greater than another setting allows.
    #[error("{number} is greater than {limit}")]
    TooMany {
        /// The number: where it is set, or its flag.
        number: String,
        /// What holds it down, likewise.
        limit: String,
    },
    /// A name that a tenant's name could be.
    #[error("{name} begins with {prefix}, so it could be a tenant's name; choose another")]
    NotOutside {
        /// The name: where it is set, or its flag.
        name: String,
        /// The prefix, likewise.
        prefix: String,
    },
    /// A setting that means nothing without another.
    #[error("{set} is set and {missing} is not; set both or none")]
    Alone {
        /// The one: where it is set.
        set: String,
        /// The other: its flag, or its variable when it has none.
        missing: String,
    },
    /// A setting of a provider that is not the chosen one.
    #[error("{place} is a setting of provider {owners}, but the tenant provider is {chosen}")]
    ForeignSetting {
        /// Where it is set.
        place: Place,
        /// The providers it belongs to.
        owners: String,
        /// The chosen provider.
        chosen: String,
    },
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {error}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is not JSON, or not an object.
    #[error("the configuration file {path} must hold one JSON object{reason}", path = path.display())]
    NotAnObject {
        /// The file.
        path: PathBuf,
        /// Where its syntax is wrong, or nothing.
        reason: String,
    },
    /// Everything that is wrong with the values, one a line.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
}

/// ` (did you mean x?)` for the known name that is closest, or nothing when none is close.
pub(crate) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    /// Jaro-Winkler similarity from which on two names look like one mistyped; clap uses the same
    /// kind of measure for flags.
    const CLOSE: f64 = 0.85;
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity > CLOSE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, candidate)| format!(" (did you mean {candidate}?)"))
}
