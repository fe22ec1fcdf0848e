//! The JSON configuration file.
//!
//! Promises: every unknown key and every value of the wrong shape is reported by its full key path and
//! file, all of them at once. Deliberately unknown: flags, variables and which value wins.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Values;
use super::problem::{ConfigError, Place, Problem, suggestion};
use super::table::{Section, Setting};

/// What one file sets.
#[derive(Debug)]
pub(super) struct ConfigFile {
    /// Where it was read.
    pub(super) path: PathBuf,
    /// The settings it holds.
    pub(super) values: Values,
}

impl ConfigFile {
    /// Reads and checks a file against `table`.
    pub(super) fn read(path: &Path, table: &[Setting]) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        let sections: Map<String, Value> = serde_json::from_str(&text)
            .map_err(|error| ConfigError::NotAnObject { path: path.to_owned(), error })?;
        let mut file = Self { path: path.to_owned(), values: BTreeMap::new() };
        let mut problems = Vec::new();
        for (name, content) in sections {
            match Section::ALL.into_iter().find(|section| section.key() == name) {
                None => problems.push(file.unknown_key(&name, Section::ALL.map(Section::key))),
                Some(section) => file.read_section(section, content, table, &mut problems),
            }
        }
        if problems.is_empty() { Ok(file) } else { Err(ConfigError::Problems(problems)) }
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

#[cfg(test)]
mod tests {
    use super::super::table::SETTINGS;
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
}
