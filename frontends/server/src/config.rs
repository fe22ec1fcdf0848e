//! The configuration of a server: what an operator set, checked and complete.
//!
//! Promises: a [`Settings`] value went through every check, and holds a value for every setting; an
//! error names each flag, variable or file key that has to change. Deliberately unknown: how the
//! settings are put to use.

mod file;
mod problem;
mod resolve;
mod rows;
mod secret;
mod shape;
mod storage;
mod table;
mod values;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) use problem::ConfigError;
pub(crate) use rows::SETTINGS;
pub(crate) use secret::Secret;
pub(crate) use shape::Shape;
pub(crate) use storage::{LibsqlStorage, LogStorage, MysqlStorage, PostgresStorage, Storage};
pub(crate) use table::{CONFIG_VARIABLE, Section, Setting, Unset};
pub(crate) use values::Values;

use crate::environment::Environment;
use file::ConfigFile;
use resolve::{Sources, resolve, unknown_variables};
use rows::RULES;

/// Every setting of a server; the rows say what each means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) storage: Storage,
    pub(crate) log_retain_commits: u64,
    pub(crate) idle_close_secs: u64,
    pub(crate) max_open_tenants: usize,
    pub(crate) shutdown_grace_secs: u64,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) allow_network: bool,
    #[serde(default)]
    pub(crate) cors_allow_origin: Vec<String>,
    pub(crate) body_limit_bytes: usize,
    pub(crate) request_timeout_secs: u64,
    pub(crate) max_connections: usize,
    /// The usual port, if it is free, when nothing is said.
    pub(crate) mongodb_port: Option<u16>,
    pub(crate) no_mongodb: bool,
    pub(crate) mongodb_username: Option<String>,
    pub(crate) mongodb_password: Option<Secret>,
    pub(crate) mongodb_replica_set: Option<String>,
    pub(crate) mongodb_test_commands: bool,
    pub(crate) mongodb_tls_cert: Option<PathBuf>,
    pub(crate) mongodb_tls_key: Option<PathBuf>,
}

/// A configuration, and what to tell about it once logs are set up.
#[derive(Debug)]
pub(crate) struct Loaded {
    settings: Settings,
    warnings: Vec<String>,
}

impl Loaded {
    /// Logs what looks like a mistake but does not stop the start, and hands out the settings.
    pub(crate) fn log_warnings(self) -> Settings {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        self.settings
    }
}

/// Brings flags, variables and the configuration file together. `config` is the value of `--config`.
pub(crate) fn load(
    flags: &Values,
    config: Option<&Path>,
    environment: &Environment,
) -> Result<Loaded, ConfigError> {
    let path = config.or_else(|| environment.value(CONFIG_VARIABLE).map(Path::new));
    let file = path.map(|path| ConfigFile::read(path, SETTINGS)).transpose()?;
    let resolved = resolve(SETTINGS, RULES, &Sources { flags, environment, file: file.as_ref() })?;
    let mut warnings = unknown_variables(SETTINGS, environment);
    warnings.extend(resolved.credentials_in_flags(SETTINGS));
    warnings.extend(file.and_then(|file| file.exposed));
    Ok(Loaded { settings: assemble(&resolved.values), warnings })
}

/// What belongs to the chosen provider stands together, under its name.
fn assemble(values: &Values) -> Settings {
    let (mut storage, mut settings) = (Map::new(), Map::new());
    for setting in SETTINGS {
        let Some(value) = values.get(setting.key) else { continue };
        let of_storage = setting.key == "tenant_provider" || !setting.providers.is_empty();
        let place = if of_storage { &mut storage } else { &mut settings };
        place.insert(setting.key.to_owned(), value.clone());
    }
    settings.insert("storage".to_owned(), storage.into());
    serde_json::from_value(Value::Object(settings))
        .expect("the rows check every value that Settings takes; a test holds them together")
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
        let settings = load_with(&Values::default(), &[]).unwrap();
        assert!(matches!(&settings.storage, Storage::Sqlite(local) if local.data_dir == Path::new("./data")));
        assert_eq!((settings.host.as_str(), settings.port), ("127.0.0.1", 8080));
        assert!(!settings.allow_network && settings.cors_allow_origin.is_empty());
    }

    /// Values that a provider takes: `text` for names, the edge of each number that is next to `number`.
    fn values_of(provider: &str, text: &str, number: u64) -> Values {
        let belonging = SETTINGS.iter().filter(|setting| setting.belongs_to(provider));
        let mut values: Values = belonging
            .filter_map(|setting| {
                let value = match setting.shape {
                    Shape::Number { minimum, maximum } => json!(number.clamp(minimum, maximum)),
                    Shape::Url(schemes) => json!(format!("{}://user:hush@{text}:1/d", schemes[0])),
                    // A metadata name must not begin with a tenant prefix.
                    Shape::Name if setting.key.contains("prefix") => json!(format!("{text}_")),
                    Shape::Secret | Shape::Password | Shape::Text | Shape::Path | Shape::Name => json!(text),
                    Shape::Switch | Shape::Choice(_) | Shape::Origins => return None,
                };
                Some((setting.key, value))
            })
            .collect();
        values.insert("tenant_provider", json!(provider));
        values
    }

    #[test]
    fn the_rows_and_the_settings_agree_at_the_edges() {
        for provider in rows::PROVIDERS {
            for number in [u64::MIN, u64::MAX] {
                load_with(&values_of(provider, "text", number), &[]).unwrap();
            }
            let mut required = values_of(provider, "text", 0);
            required.retain(|key, _| {
                let row = SETTINGS.iter().find(|setting| setting.key == *key);
                *key == "tenant_provider" || row.is_some_and(|row| row.unset == Unset::Refused)
            });
            load_with(&required, &[]).unwrap();
        }
    }

    #[test]
    fn settings_show_where_tenants_are_and_no_credential() {
        for (provider, place) in [
            ("sqlite", "data text"),
            ("redb", "data text"),
            ("log", "data text"),
            ("postgres", "server text:1, prefix text_"),
            ("mysql", "server text:1, prefix text_"),
            ("libsql-replica", "server text:1, prefix text_, replicas text"),
        ] {
            let settings = load_with(&values_of(provider, "text", 7), &[]).unwrap();
            assert_eq!(settings.storage.to_string(), place);
            assert!(!format!("{settings:?}").contains("hush"), "{settings:?}");
        }
        let secrets = Values::from([
            ("tenant_provider", json!("libsql-replica")),
            ("libsql_url", json!("http://a")),
            ("libsql_admin_url", json!("http://a")),
            ("libsql_auth_token", json!("hush")),
            ("libsql_admin_auth_header", json!("Basic hush")),
        ]);
        let settings = load_with(&secrets, &[]).unwrap();
        assert!(!format!("{settings:?} {secrets:?}").contains("hush"), "{settings:?}");
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
        let port = |config| load(&Values::default(), config, &environment).unwrap().settings.port;
        assert_eq!(port(Some(by_flag.as_path())), 1);
        assert_eq!(port(None), 2);
        let missing = load(&Values::default(), Some(Path::new("no-such.json")), &environment);
        assert!(missing.unwrap_err().to_string().contains("no-such.json"));
    }
}
