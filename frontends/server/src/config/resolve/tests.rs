//! Which value wins, which settings are refused or missed, and what is warned about.

use std::path::PathBuf;

use serde_json::json;

use super::super::rows::{PROVIDERS, RULES, SETTINGS};
use super::super::shape::Shape;
use super::*;
use crate::environment::Platform;

/// Three values of a setting: as a flag, as a variable's text, in the file.
fn samples(setting: &Setting) -> [Value; 3] {
    let url = |scheme: &str, host: &str| json!(format!("{scheme}://{host}"));
    match setting.shape {
        Shape::Number { minimum, .. } => [json!(minimum), json!(minimum + 1), json!(minimum + 2)],
        Shape::Text | Shape::Path | Shape::Name | Shape::Secret | Shape::Password => {
            [json!("flag"), json!("variable"), json!("file")]
        }
        Shape::Url(schemes) => ["flag", "variable", "file"].map(|host| url(schemes[0], host)),
        Shape::Switch => [json!(true), json!(false), json!(true)],
        // The place a value came from tells the same value apart.
        Shape::Choice(names) => [json!(names[0]), json!(names[0]), json!(names[0])],
        Shape::Origins => [json!(["http://f"]), json!(["http://v"]), json!(["http://c"])],
    }
}

/// What must be set together with it.
fn companion(setting: &Setting) -> Option<&'static Setting> {
    let key = RULES.iter().find_map(|rule| match *rule {
        Rule::Together { one, other } if one == setting.key => Some(other),
        Rule::Together { one, other } if other == setting.key => Some(one),
        _ => None,
    })?;
    SETTINGS.iter().find(|setting| setting.key == key)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn file(key: &'static str, value: Value) -> ConfigFile {
    ConfigFile { path: PathBuf::from("nimbus.json"), values: Values::from([(key, value)]), exposed: None }
}

fn no_variables() -> Environment {
    Environment::new([("", ""); 0], Platform::Xdg)
}

/// The choice of a provider and what it cannot do without.
fn chosen(provider: &str) -> Values {
    let required = SETTINGS.iter().filter(|setting| setting.unset == Unset::Refused);
    let required = required.filter(|setting| setting.belongs_to(provider));
    let mut values: Values = required.map(|setting| (setting.key, samples(setting)[0].clone())).collect();
    values.insert("tenant_provider", json!(provider));
    values
}

fn resolve_flags(flags: &Values) -> Result<Resolved, String> {
    resolve(SETTINGS, RULES, &Sources { flags, environment: &no_variables(), file: None })
        .map_err(|error| error.to_string())
}

/// A provider's least configuration with these settings besides.
fn resolve_with<const N: usize>(
    provider: &str,
    more: [(&'static str, Value); N],
) -> Result<Resolved, String> {
    let mut flags = chosen(provider);
    flags.extend(more);
    resolve_flags(&flags)
}

#[test]
fn flag_beats_variable_beats_file_beats_default() {
    for setting in SETTINGS {
        let [by_flag, by_variable, by_file] = samples(setting);
        let mut others = chosen(setting.providers.first().copied().unwrap_or("sqlite"));
        others.remove(setting.key);
        others.extend(companion(setting).map(|other| (other.key, samples(other)[0].clone())));
        let mut with_it = others.clone();
        with_it.insert(setting.key, by_flag.clone());
        let variables = [(setting.variable(), text(&by_variable))];
        let file = file(setting.key, by_file.clone());
        for (with_flag, with_variable, with_file) in
            [(true, true, true), (false, true, true), (false, false, true), (false, false, false)]
        {
            let environment =
                Environment::new(variables.iter().filter(|_| with_variable).cloned(), Platform::Xdg);
            let sources = Sources {
                flags: if with_flag { &with_it } else { &others },
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
            let resolved = resolve(SETTINGS, RULES, &sources);
            let is_missed = setting.unset == Unset::Refused || companion(setting).is_some();
            if expected.is_none() && is_missed {
                resolved.unwrap_err();
                continue;
            }
            let value = expected.map(|(value, _)| value).or_else(|| default(setting));
            assert_eq!(resolved.unwrap().values.get(setting.key), value.as_ref(), "{}", setting.key);
        }
    }
}

#[test]
fn an_empty_variable_is_unset_and_a_wrong_one_is_named() {
    let resolve_port = |value: &str| {
        let environment = Environment::new([("NIMBUS_PORT", value)], Platform::Xdg);
        let sources = Sources { flags: &Values::default(), environment: &environment, file: None };
        resolve(SETTINGS, RULES, &sources)
            .map(|resolved| resolved.values["port"].clone())
            .map_err(|error| error.to_string())
    };
    assert_eq!(resolve_port("").unwrap(), 8080);
    let error = resolve_port("http").unwrap_err();
    assert_eq!(error, "variable NIMBUS_PORT: expected a whole number from 0 to 65535");
}

#[test]
fn a_setting_of_another_provider_is_refused_by_name_wherever_it_is_set() {
    let url = "postgres://user:secret@host";
    let variable = Environment::new([("NIMBUS_POSTGRES_URL", url)], Platform::Xdg);
    let (flags, no_flags) = (Values::from([("postgres_url", json!(url))]), Values::default());
    let file = file("postgres_url", json!(url));
    for (flags, environment, file, name) in [
        (&flags, &no_variables(), None, "--postgres-url is"),
        (&no_flags, &variable, None, "variable NIMBUS_POSTGRES_URL is"),
        (&no_flags, &no_variables(), Some(&file), "persistence.postgres_url in nimbus.json is"),
    ] {
        let error = resolve(SETTINGS, RULES, &Sources { flags, environment, file }).unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
        assert!(error.ends_with("a setting of provider postgres, but the tenant provider is sqlite"));
        assert!(!error.contains("secret"), "{error}");
    }
    resolve_with("postgres", [("postgres_url", json!(url))]).unwrap();
    let error = resolve_with("postgres", [("data_dir", json!("d"))]).unwrap_err();
    assert_eq!(
        error,
        "--data-dir is a setting of provider sqlite, redb, log, but the tenant provider is postgres"
    );
}

#[test]
fn what_the_chosen_provider_cannot_do_without_is_named_in_one_line_each() {
    for provider in PROVIDERS {
        let required: Vec<_> = SETTINGS
            .iter()
            .filter(|setting| setting.unset == Unset::Refused && setting.belongs_to(provider))
            .collect();
        resolve_flags(&chosen(provider)).unwrap();
        let bare = resolve_flags(&Values::from([("tenant_provider", json!(provider))]));
        assert_eq!(bare.is_err(), !required.is_empty(), "{provider}");
        let error = bare.err().unwrap_or_default();
        assert_eq!(error.lines().count(), required.len(), "{error}");
        for (line, setting) in error.lines().zip(required) {
            for name in [setting.flag(), setting.variable(), setting.file_key()] {
                assert!(line.contains(&name), "{name} is missing in: {line}");
            }
        }
    }
    let error = resolve_with("postgres", [("postgres_url", json!("word"))]).unwrap_err();
    assert!(
        error.starts_with("--postgres-url: expected a URL"),
        "a wrong value is not a missing one: {error}"
    );
}

#[test]
fn settings_that_contradict_each_other_are_named() {
    let error = resolve_with("postgres", [("postgres_min_connections", json!(21))]).unwrap_err();
    assert_eq!(error, "--postgres-min-connections is greater than --postgres-max-connections");
    resolve_with("mysql", [("mysql_min_connections", json!(20))]).unwrap();
    resolve_with("mysql", [("mysql_min_connections", json!(3)), ("mysql_max_connections", json!(2))])
        .unwrap_err();
    let error = resolve_with("mysql", [("mysql_tenant_database_prefix", json!("nimbus_"))]).unwrap_err();
    assert!(
        error.starts_with("--mysql-metadata-database begins with --mysql-tenant-database-prefix"),
        "{error}"
    );
    resolve_with("libsql-replica", [("libsql_metadata_namespace", json!("tenant_x"))]).unwrap_err();
    resolve_with("libsql-replica", [("libsql_metadata_namespace", json!("tenants"))]).unwrap();
    for (set, missing) in [
        ("mongodb_username", "variable NIMBUS_MONGODB_PASSWORD"),
        ("mongodb_password", "--mongodb-username"),
        ("mongodb_tls_cert", "--mongodb-tls-key"),
        ("mongodb_tls_key", "--mongodb-tls-cert"),
    ] {
        let error = resolve_with("sqlite", [(set, json!("x"))]).unwrap_err();
        assert!(error.contains(&format!("{missing} is not; set both")), "{error}");
    }
}

#[test]
fn a_credential_given_as_a_flag_is_warned_about_by_the_flags_name() {
    let warnings = |flags: &Values, variables: &[(&str, &str)]| {
        let environment = Environment::new(variables.iter().copied(), Platform::Xdg);
        let resolved = resolve(SETTINGS, RULES, &Sources { flags, environment: &environment, file: None });
        resolved.unwrap().credentials_in_flags(SETTINGS)
    };
    let url = "postgres://user:word@host/d";
    let provider = Values::from([("tenant_provider", json!("postgres"))]);
    assert_eq!(warnings(&provider, &[("NIMBUS_POSTGRES_URL", url)]), [""; 0]);
    let mut flags = provider.clone();
    flags.insert("postgres_url", json!("postgres://user@host/d"));
    assert_eq!(warnings(&flags, &[]), [""; 0], "there is no password in it");
    flags.insert("postgres_url", json!(url));
    let warned = warnings(&flags, &[]);
    assert_eq!(warned.len(), 1);
    for part in ["--postgres-url", "NIMBUS_POSTGRES_URL", "persistence.postgres_url", "list of processes"] {
        assert!(warned[0].contains(part), "{}", warned[0]);
    }
    assert!(!warned[0].contains("word"), "{}", warned[0]);
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
