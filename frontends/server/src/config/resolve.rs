//! Which value wins: flag before variable before file before default.
//!
//! Promises: every setting of the table gets exactly one value; a list is taken whole from its winner,
//! never joined; a setting of a provider that was not chosen is refused wherever it is set. Deliberately
//! unknown: what the values do.

use super::Values;
use super::file::ConfigFile;
use super::problem::{ConfigError, Place, Problem, suggestion};
use super::table::{CONFIG_VARIABLE, Setting, VARIABLE_PREFIX};
use crate::environment::Environment;

/// Everywhere a value may come from.
pub(super) struct Sources<'a> {
    /// Settings given as flags.
    pub(super) flags: &'a Values,
    /// Variables.
    pub(super) environment: &'a Environment,
    /// The configuration file, if there is one.
    pub(super) file: Option<&'a ConfigFile>,
}

/// The value of every setting in `table`.
pub(super) fn resolve(table: &[Setting], sources: &Sources<'_>) -> Result<Values, ConfigError> {
    let mut values = Values::new();
    let mut set_at = Vec::new();
    let mut problems = Vec::new();
    for setting in table {
        match find(setting, sources) {
            Ok(Some((value, place))) => {
                values.insert(setting.key, value);
                set_at.push((setting, place));
            }
            Ok(None) => {
                values.insert(setting.key, default(setting));
            }
            Err(problem) => problems.push(problem),
        }
    }
    let chosen = values.get("tenant_provider").and_then(|value| value.as_str());
    if let Some(chosen) = chosen {
        problems.extend(set_at.into_iter().filter_map(|(setting, place)| foreign(setting, place, chosen)));
    }
    if problems.is_empty() { Ok(values) } else { Err(ConfigError::Problems(problems)) }
}

fn find(setting: &Setting, sources: &Sources<'_>) -> Result<Option<(serde_json::Value, Place)>, Problem> {
    if let Some(value) = sources.flags.get(setting.key) {
        return Ok(Some((value.clone(), Place::Flag(setting.flag()))));
    }
    if let Some(text) = sources.environment.value(&setting.variable()) {
        let place = Place::Variable(setting.variable());
        let read =
            text.to_str().ok_or_else(|| "UTF-8".to_owned()).and_then(|text| setting.shape.read_text(text));
        return match read {
            Ok(value) => Ok(Some((value, place))),
            Err(expected) => Err(Problem::WrongValue { place, expected }),
        };
    }
    let from_file = sources.file.and_then(|file| Some((file, file.values.get(setting.key)?)));
    Ok(from_file.map(|(file, value)| {
        (value.clone(), Place::File { key: setting.file_key(), file: file.path.clone() })
    }))
}

/// Defaults are given as text; an empty one stands for an empty list.
fn default(setting: &Setting) -> serde_json::Value {
    if setting.default.is_empty() {
        return serde_json::Value::Array(Vec::new());
    }
    setting.shape.read_text(setting.default).expect("a test reads every default of the table")
}

fn foreign(setting: &Setting, place: Place, chosen: &str) -> Option<Problem> {
    if setting.providers.is_empty() || setting.providers.contains(&chosen) {
        return None;
    }
    Some(Problem::ForeignSetting { place, owners: setting.providers.join(", "), chosen: chosen.to_owned() })
}

/// A warning for each variable that looks like ours and is not. It does not stop the start, since
/// another program's or a later version's variable may well stand in a shared environment.
pub(super) fn unknown_variables(table: &[Setting], environment: &Environment) -> Vec<String> {
    let mut known: Vec<_> = table.iter().map(Setting::variable).collect();
    known.push(CONFIG_VARIABLE.to_owned());
    let unknown =
        environment.names_with_prefix(VARIABLE_PREFIX).filter(|name| !known.iter().any(|k| k == name));
    unknown
        .map(|name| {
            let hint = suggestion(name, known.iter().map(String::as_str));
            format!("variable {name} is not a setting of nimbus and has no effect{hint}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::{Value, json};

    use super::super::shape::Shape;
    use super::super::table::{SETTINGS, Section};
    use super::*;
    use crate::environment::Platform;

    /// Three distinct values of a setting: as a flag, as a variable's text, in the file.
    fn samples(setting: &Setting) -> [Value; 3] {
        match setting.shape {
            Shape::Number { minimum, .. } => [json!(minimum), json!(minimum + 1), json!(minimum + 2)],
            Shape::Text | Shape::Path => [json!("flag"), json!("variable"), json!("file")],
            Shape::Switch => [json!(true), json!(false), json!(true)],
            // With one provider there is one value; the place it came from still tells them apart.
            Shape::Choice(names) => [json!(names[0]), json!(names[0]), json!(names[0])],
            Shape::Origins => [json!(["http://f"]), json!(["http://v"]), json!(["http://c"])],
        }
    }

    fn text(value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
            other => other.to_string(),
        }
    }

    fn file(setting: &Setting, value: Value) -> ConfigFile {
        ConfigFile { path: PathBuf::from("nimbus.json"), values: Values::from([(setting.key, value)]) }
    }

    #[test]
    fn flag_beats_variable_beats_file_beats_default() {
        for setting in SETTINGS {
            let [by_flag, by_variable, by_file] = samples(setting);
            let flags = Values::from([(setting.key, by_flag.clone())]);
            let variables = [(setting.variable(), text(&by_variable))];
            let file = file(setting, by_file.clone());
            for (with_flag, with_variable, with_file) in
                [(true, true, true), (false, true, true), (false, false, true), (false, false, false)]
            {
                let environment =
                    Environment::new(variables.iter().filter(|_| with_variable).cloned(), Platform::Xdg);
                let none = Values::new();
                let sources = Sources {
                    flags: if with_flag { &flags } else { &none },
                    environment: &environment,
                    file: with_file.then_some(&file),
                };
                let expected = match (with_flag, with_variable, with_file) {
                    (true, ..) => Some((by_flag.clone(), Place::Flag(setting.flag()))),
                    (_, true, _) => Some((by_variable.clone(), Place::Variable(setting.variable()))),
                    (.., true) => Some((
                        by_file.clone(),
                        Place::File { key: setting.file_key(), file: PathBuf::from("nimbus.json") },
                    )),
                    _ => None,
                };
                assert_eq!(find(setting, &sources).unwrap(), expected, "{}", setting.key);
                let resolved = resolve(SETTINGS, &sources).unwrap();
                let value = expected.map_or_else(|| default(setting), |(value, _)| value);
                assert_eq!(resolved[setting.key], value, "{}", setting.key);
                assert_eq!(resolved.len(), SETTINGS.len());
            }
        }
    }

    #[test]
    fn an_empty_variable_is_unset_and_a_wrong_one_is_named() {
        let resolve_with = |value: &str| {
            let environment = Environment::new([("NIMBUS_PORT", value)], Platform::Xdg);
            let sources = Sources { flags: &Values::new(), environment: &environment, file: None };
            resolve(SETTINGS, &sources).map_err(|error| error.to_string())
        };
        assert_eq!(resolve_with("").unwrap()["port"], 8080);
        let error = resolve_with("http").unwrap_err();
        assert_eq!(error, "variable NIMBUS_PORT: expected a whole number from 0 to 65535");
    }

    const TWO_PROVIDERS: &[Setting] = &[
        Setting {
            key: "tenant_provider",
            section: Section::Persistence,
            shape: Shape::Choice(&["sqlite", "postgres"]),
            default: "sqlite",
            value_name: "PROVIDER",
            help: "",
            providers: &[],
        },
        Setting {
            key: "postgres_url",
            section: Section::Persistence,
            shape: Shape::Text,
            default: "postgres://localhost",
            value_name: "URL",
            help: "",
            providers: &["postgres"],
        },
    ];

    #[test]
    fn a_setting_of_another_provider_is_refused_by_name_wherever_it_is_set() {
        let url = "postgres://user:secret@host";
        let none = Environment::new([("", ""); 0], Platform::Xdg);
        let variable = Environment::new([("NIMBUS_POSTGRES_URL", url)], Platform::Xdg);
        let flags = Values::from([("postgres_url", json!(url))]);
        let file = file(&TWO_PROVIDERS[1], json!(url));
        let no_flags = Values::new();
        for (flags, environment, file, name) in [
            (&flags, &none, None, "--postgres-url is"),
            (&no_flags, &variable, None, "variable NIMBUS_POSTGRES_URL is"),
            (&no_flags, &none, Some(&file), "persistence.postgres_url in nimbus.json is"),
        ] {
            let error =
                resolve(TWO_PROVIDERS, &Sources { flags, environment, file }).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
            assert!(error.ends_with("a setting of provider postgres, but the tenant provider is sqlite"));
            assert!(!error.contains("secret"), "{error}");
        }
        let chosen = Values::from([("tenant_provider", json!("postgres")), ("postgres_url", json!(url))]);
        resolve(TWO_PROVIDERS, &Sources { flags: &chosen, environment: &none, file: None }).unwrap();
        resolve(TWO_PROVIDERS, &Sources { flags: &no_flags, environment: &none, file: None })
            .expect("a default is not a use");
    }

    #[test]
    fn unknown_variables_are_told_with_a_hint() {
        let set = [("NIMBUS_PROT", "1"), ("NIMBUS_PORT", "1"), ("NIMBUS_CONFIG", "x"), ("NIMBUS_X", "")];
        let warnings = unknown_variables(SETTINGS, &Environment::new(set, Platform::Xdg));
        assert_eq!(
            warnings,
            ["variable NIMBUS_PROT is not a setting of nimbus and has no effect (did you mean NIMBUS_PORT?)"]
        );
    }
}
