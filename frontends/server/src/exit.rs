//! What the process ends with, for scripts and service managers.
//!
//! Promises: every way out of `nimbus` is one of these; usage errors found by the argument parser
//! end with the same code as [`Exit::CannotRun`]. Deliberately unknown: how a command finds out.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use nimbus_engine::EngineError;
use nimbus_log::InspectError;
use nimbus_namespace::StorageError;
use nimbus_types::InvalidId;

use crate::config::ConfigError;
use crate::environment::NoPlace;
use crate::listen::ListenError;
use crate::token::TokenError;
use crate::wire_credentials::CredentialsError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command did what it was asked to do and found nothing wrong.
    Clean,
    /// The command ran and the answer is bad: `verify` found a mismatch, `log inspect` damage, or serving failed.
    Failed,
    /// Usage, configuration, a busy data directory or port, a database server that cannot be used: the
    /// command did not run.
    CannotRun,
    /// A second signal cut the shutdown short; 128 + the signal's number, as shells count.
    Interrupted {
        /// The signal's number.
        signal: u8,
    },
}

impl Exit {
    /// The number the operating system sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Failed => 1,
            Self::CannotRun => 2,
            Self::Interrupted { signal } => 128 + signal,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command could not do its work. The message stands on stderr, the code is
/// [`Exit::CannotRun`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum CannotRun {
    /// The configuration has to be mended.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A per-user place cannot be named.
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    /// The admin token cannot be had.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The server may not, or cannot, listen there.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The audit log cannot be opened.
    #[error("cannot open the audit log {path}: {error}", path = path.display())]
    Audit {
        /// The audit log.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Drivers cannot be let in with the credentials.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The certificate or key for drivers cannot be used.
    #[error("{flag} {path}: {reason}", path = path.display())]
    Tls {
        /// The flag that names the file.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is nothing to verify.
    #[error("there is no data directory {path}; name it with --data-dir", path = .0.display())]
    NoDataDirectory(PathBuf),
    /// The data directory is held by another process, or cannot be read.
    #[error("cannot open the data directory {path}: {error}", path = path.display())]
    Storage {
        /// The data directory.
        path: PathBuf,
        /// Why.
        error: StorageError,
    },
    /// The server that holds the tenants cannot be used.
    #[error("cannot open provider {provider}: {error} (settings: {settings})")]
    Provider {
        /// The provider.
        provider: &'static str,
        /// The flags of the settings that say where the server is and how to get in.
        settings: String,
        /// Why, without credentials.
        error: StorageError,
    },
    /// A file of provider `log` cannot be looked into.
    #[error("{path}: {error}", path = path.display())]
    Inspect {
        /// The file.
        path: PathBuf,
        /// Why.
        error: InspectError,
    },
    /// `--tenant` is no tenant id.
    #[error("--tenant: {0}")]
    TenantId(#[from] InvalidId),
    /// The tenants cannot be listed, or the one that was asked for does not exist.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The operating system refused threads, signals or the like.
    #[error("cannot set up the process: {0}")]
    Process(io::Error),
    /// What was asked for cannot be printed.
    #[error("cannot write to stdout: {0}")]
    Output(io::Error),
}
