//! The JSON configuration file.
//!
//! Promises: every unknown key and every value of the wrong shape is reported by its full key path and
//! file, all of them at once. Deliberately unknown: flags, variables and which value wins.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Values;
use super::problem::{ConfigError, Place, Problem, suggestion};
use super::table::{Section, Setting};
use crate::private_file;

/// What one file sets.
#[derive(Debug)]
pub(super) struct ConfigFile {
    /// Where it was read.
    pub(super) path: PathBuf,
    /// The settings it holds.
    pub(super) values: Values,
    /// A warning, if it holds credentials and others than its owner may read it.
    pub(super) exposed: Option<String>,
}

impl ConfigFile {
    /// Reads and checks a file against `table`.
    pub(super) fn read(path: &Path, table: &[Setting]) -> Result<Self, ConfigError> {
        let (text, too_wide) =
            read(path).map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        let mut file = Self { path: path.to_owned(), values: Values::default(), exposed: None };
        let sections = file.sections(&text)?;
        let mut problems = Vec::new();
        for (name, content) in sections {
            match Section::ALL.into_iter().find(|section| section.key() == name) {
                None => problems.push(file.unknown_key(&name, Section::ALL.map(Section::key))),
                Some(section) => file.read_section(section, content, table, &mut problems),
            }
        }
        if !problems.is_empty() {
            return Err(ConfigError::Problems(problems));
        }
        file.exposed = too_wide.and_then(|too_wide| file.exposure(&too_wide, table));
        Ok(file)
    }

    /// Read as any JSON first: the parser names only places then, where for a value of another kind it
    /// would quote the value.
    fn sections(&self, text: &str) -> Result<Map<String, Value>, ConfigError> {
        let reason = match serde_json::from_str(text) {
            Ok(Value::Object(sections)) => return Ok(sections),
            Ok(_) => String::new(),
            Err(error) => format!(": {error}"),
        };
        Err(ConfigError::NotAnObject { path: self.path.clone(), reason })
    }

    fn exposure(&self, too_wide: &private_file::TooWide, table: &[Setting]) -> Option<String> {
        let credentials = table.iter().filter(|setting| {
            let value = self.values.get(setting.key);
            value.is_some_and(|value| setting.shape.holds_credential(value))
        });
        let keys: Vec<_> = credentials.map(Setting::file_key).collect();
        (!keys.is_empty())
            .then(|| format!("credentials stand in the configuration file ({}): {too_wide}", keys.join(", ")))
    }

    fn read_section(
        &mut self,
        section: Section,
        content: Value,
        table: &[Setting],
        problems: &mut Vec<Problem>,
    ) {
        let Value::Object(entries) = content else {
            problems.push(self.wrong_value(section.key().to_owned(), "an object".to_owned()));
            return;
        };
        for (key, value) in entries {
            let in_section = || table.iter().filter(|setting| setting.section == section);
            let Some(setting) = in_section().find(|setting| setting.key == key) else {
                let path = format!("{}.{key}", section.key());
                let known: Vec<_> = table.iter().map(Setting::file_key).collect();
                problems.push(self.unknown_key(&path, known.iter().map(String::as_str)));
                continue;
            };
            match setting.shape.read_json(value) {
                Ok(value) => {
                    self.values.insert(setting.key, value);
                }
                Err(expected) => problems.push(self.wrong_value(setting.file_key(), expected)),
            }
        }
    }

    fn unknown_key<'a>(&self, key: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
        Problem::UnknownKey {
            key: key.to_owned(),
            file: self.path.clone(),
            suggestion: suggestion(key, known),
        }
    }

    fn wrong_value(&self, key: String, expected: String) -> Problem {
        Problem::WrongValue { place: Place::File { key, file: self.path.clone() }, expected }
    }
}

/// The content of a file, and what is wrong with its mode if others than its owner may read it.
fn read(path: &Path) -> io::Result<(String, Option<private_file::TooWide>)> {
    let mut file = File::open(path)?;
    let too_wide = private_file::check_mode(path, &file.metadata()?, 0o600).err();
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((text, too_wide))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::rows::SETTINGS;
    use super::*;

    fn read(text: &str) -> Result<Values, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nimbus.json");
        fs::write(&path, text).unwrap();
        ConfigFile::read(&path, SETTINGS).map(|file| file.values).map_err(|error| error.to_string())
    }

    #[test]
    fn known_keys_are_read() {
        let text = r#"{"network": {"port": 1, "allow_network": true}, "runtime": {}}"#;
        let values = read(text).unwrap();
        assert_eq!(values.len(), 2);
        assert_eq!(values["port"], 1);
    }

    #[test]
    fn every_unknown_key_and_wrong_type_is_named_at_once() {
        let error = read(
            r#"{"netwrk": {}, "persistence": {"datadir": "x", "port": 1}, "network": {"port": "80"}, "runtime": 3}"#,
        )
        .unwrap_err();
        for part in [
            "unknown key netwrk (did you mean network?)",
            "unknown key persistence.datadir (did you mean persistence.data_dir?)",
            "unknown key persistence.port",
            "network.port in ",
            "a whole number from 0 to 65535",
            "runtime in ",
            "an object",
            "nimbus.json",
        ] {
            assert!(error.contains(part), "{part:?} is missing in:\n{error}");
        }
    }

    #[test]
    fn broken_json_and_other_json_are_refused() {
        for text in ["", "{", "[]", "null", "{} x"] {
            assert!(read(text).unwrap_err().contains("nimbus.json"), "{text:?}");
        }
    }

    #[test]
    fn content_of_the_wrong_kind_is_not_quoted() {
        for text in ["\"postgres://a:hunter2@b\"", "[\"hunter2\"]", "{\"persistence\": hunter2}", "{hunter2}"]
        {
            let error = read(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        for section in
            ["\"hunter2\"", "{\"postgres_url\": \"hunter2\"}", "{\"libsql_auth_token\": [\"hunter2\"]}"]
        {
            let error = read(&format!("{{\"persistence\": {section}}}")).unwrap_err();
            assert!(error.contains("persistence") && !error.contains("hunter2"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_with_credentials_that_others_may_read_is_told() {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nimbus.json");
        let exposed = |persistence: &str, mode: u32| {
            fs::write(&path, format!("{{\"persistence\": {persistence}}}")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            ConfigFile::read(&path, SETTINGS).unwrap().exposed
        };
        let (token, url) =
            (r#"{"libsql_auth_token": "hunter2"}"#, r#"{"postgres_url": "postgres://a:hunter2@b/c"}"#);
        for (persistence, mode, named) in [
            (token, 0o644, Some("persistence.libsql_auth_token")),
            (url, 0o640, Some("persistence.postgres_url")),
            (token, 0o600, None),
            (url, 0o400, None),
            (r#"{"postgres_url": "postgres://a@b/c"}"#, 0o644, None),
            (r#"{"data_dir": "hunter2"}"#, 0o644, None),
        ] {
            let warning = exposed(persistence, mode);
            assert_eq!(warning.is_some(), named.is_some(), "{persistence} {mode:o}: {warning:?}");
            if let (Some(warning), Some(named)) = (warning, named) {
                assert!(warning.contains(named) && warning.contains("nimbus.json"), "{warning}");
                assert!(!warning.contains("hunter2"), "{warning}");
            }
        }
    }
}
