//! The configuration of a server: what an operator set, checked and complete.
//!
//! Promises: a [`Settings`] value went through every check, and holds a value for every setting; an
//! error names each flag, variable or file key that has to change. Deliberately unknown: how the
//! settings are put to use.

mod file;
mod problem;
mod resolve;
mod shape;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

pub(crate) use problem::ConfigError;
pub(crate) use shape::Shape;
pub(crate) use table::{CONFIG_VARIABLE, SETTINGS, Section, Setting};

use crate::environment::Environment;
use file::ConfigFile;
use resolve::{Sources, resolve, unknown_variables};

/// Values by the key of their setting.
pub(crate) type Values = BTreeMap<&'static str, Value>;

/// Where tenants live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TenantProvider {
    /// One `SQLite` file per tenant under the data directory.
    Sqlite,
    /// One redb file per tenant under the data directory.
    Redb,
}

/// Every setting of a server; the table says what each means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) tenant_provider: TenantProvider,
    pub(crate) data_dir: PathBuf,
    pub(crate) log_retain_commits: u64,
    pub(crate) idle_close_secs: u64,
    pub(crate) max_open_tenants: usize,
    pub(crate) shutdown_grace_secs: u64,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) allow_network: bool,
    pub(crate) cors_allow_origin: Vec<String>,
    pub(crate) body_limit_bytes: usize,
    pub(crate) request_timeout_secs: u64,
    pub(crate) max_connections: usize,
}

/// A configuration, and what to tell about it once logs are set up.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The settings.
    pub(crate) settings: Settings,
    /// Things that look like mistakes but do not stop the start.
    pub(crate) warnings: Vec<String>,
}

/// Brings flags, variables and the configuration file together. `config` is the value of `--config`.
pub(crate) fn load(
    flags: &Values,
    config: Option<&Path>,
    environment: &Environment,
) -> Result<Loaded, ConfigError> {
    let path = config.or_else(|| environment.value(CONFIG_VARIABLE).map(Path::new));
    let file = path.map(|path| ConfigFile::read(path, SETTINGS)).transpose()?;
    let values = resolve(SETTINGS, &Sources { flags, environment, file: file.as_ref() })?;
    let values = values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let settings = serde_json::from_value(Value::Object(values))
        .expect("the table checks every value that Settings takes; a test holds them together");
    Ok(Loaded { settings, warnings: unknown_variables(SETTINGS, environment) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::environment::Platform;

    fn load_with(flags: &Values, variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let environment = Environment::new(variables.iter().copied(), Platform::Xdg);
        load(flags, None, &environment).map(|loaded| loaded.settings)
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let settings = load_with(&Values::new(), &[]).unwrap();
        assert_eq!(settings.tenant_provider, TenantProvider::Sqlite);
        assert_eq!(settings.data_dir, Path::new("./data"));
        assert_eq!((settings.host.as_str(), settings.port), ("127.0.0.1", 8080));
        assert!(!settings.allow_network && settings.cors_allow_origin.is_empty());
    }

    #[test]
    fn the_table_and_the_settings_agree_at_the_edges() {
        for edge in [u64::MIN, u64::MAX] {
            let mut flags = Values::new();
            for setting in SETTINGS {
                if let Shape::Number { minimum, maximum } = setting.shape {
                    flags.insert(setting.key, json!(edge.clamp(minimum, maximum)));
                }
            }
            load_with(&flags, &[]).unwrap();
        }
        for provider in table::PROVIDERS {
            load_with(&Values::from([("tenant_provider", json!(provider))]), &[]).unwrap();
        }
    }

    #[test]
    fn the_file_is_named_by_flag_before_variable() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, port: u16| {
            let path = directory.path().join(name);
            std::fs::write(&path, json!({"network": {"port": port}}).to_string()).unwrap();
            path
        };
        let (by_flag, by_variable) = (write("flag.json", 1), write("variable.json", 2));
        let environment = Environment::new([(CONFIG_VARIABLE, by_variable.as_os_str())], Platform::Xdg);
        let port = |config| load(&Values::new(), config, &environment).unwrap().settings.port;
        assert_eq!(port(Some(by_flag.as_path())), 1);
        assert_eq!(port(None), 2);
        let missing = load(&Values::new(), Some(Path::new("no-such.json")), &environment);
        assert!(missing.unwrap_err().to_string().contains("no-such.json"));
    }
}
