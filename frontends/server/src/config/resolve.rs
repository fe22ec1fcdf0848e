//! Which value wins: flag before variable before file before default.
//!
//! Promises: every setting that has meaning with the chosen provider gets its one value, or is refused by
//! name when there must be one; a list is taken whole from its winner, never joined; a setting of a
//! provider that was not chosen is refused wherever it is set. Deliberately unknown: what the values do.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Values;
use super::file::ConfigFile;
use super::problem::{ConfigError, Place, Problem, suggestion};
use super::table::{CONFIG_VARIABLE, Rule, Setting, Unset, VARIABLE_PREFIX};
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

/// The settings that have meaning with the chosen provider, and where those were set that do not have
/// their default.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) values: Values,
    set_at: BTreeMap<&'static str, Place>,
}

/// The values that hold, of the settings in `table`.
pub(super) fn resolve(
    table: &'static [Setting],
    rules: &[Rule],
    sources: &Sources<'_>,
) -> Result<Resolved, ConfigError> {
    // A provider that cannot be read is told once, below; nothing is said then of what belongs to it.
    let chosen = table.iter().find(|setting| setting.key == "tenant_provider").and_then(|setting| {
        let value = find(setting, sources).ok()?.map(|(value, _)| value).or_else(|| default(setting))?;
        value.as_str().map(str::to_owned)
    });
    let mut resolved = Resolved::default();
    let mut problems = Vec::new();
    for setting in table {
        let foreign = chosen.as_ref().filter(|chosen| !setting.belongs_to(chosen));
        match (find(setting, sources), foreign) {
            (Err(problem), _) => problems.push(problem),
            (Ok(Some((_, place))), Some(chosen)) => problems.push(foreign_setting(setting, place, chosen)),
            (Ok(Some((value, place))), None) => {
                resolved.values.insert(setting.key, value);
                resolved.set_at.insert(setting.key, place);
            }
            (Ok(None), Some(_)) => {}
            (Ok(None), None) => {
                if let Some(value) = default(setting) {
                    resolved.values.insert(setting.key, value);
                } else if let (Unset::Refused, Some(chosen)) = (setting.unset, &chosen) {
                    problems.push(missing(setting, chosen));
                }
            }
        }
    }
    problems.extend(rules.iter().filter_map(|rule| resolved.broken(*rule, table)));
    if problems.is_empty() { Ok(resolved) } else { Err(ConfigError::Problems(problems)) }
}

fn find(setting: &Setting, sources: &Sources<'_>) -> Result<Option<(Value, Place)>, Problem> {
    let read = |value: Result<Value, String>, place: Place| match value {
        Ok(value) => Ok(Some((value, place))),
        Err(expected) => Err(Problem::WrongValue { place, expected }),
    };
    if let Some(value) = sources.flags.get(setting.key) {
        return read(setting.shape.read_json(value.clone()), Place::Flag(setting.flag()));
    }
    if let Some(text) = sources.environment.value(&setting.variable()) {
        let text = text.to_str().ok_or_else(|| "UTF-8".to_owned());
        let value = text.and_then(|text| setting.shape.read_text(text));
        return read(value, Place::Variable(setting.variable()));
    }
    let from_file = sources.file.and_then(|file| Some((file, file.values.get(setting.key)?)));
    Ok(from_file.map(|(file, value)| {
        (value.clone(), Place::File { key: setting.file_key(), file: file.path.clone() })
    }))
}

fn default(setting: &Setting) -> Option<Value> {
    let Unset::Default(text) = setting.unset else { return None };
    Some(setting.shape.read_text(text).expect("a test reads every default of the table"))
}

fn foreign_setting(setting: &Setting, place: Place, chosen: &str) -> Problem {
    Problem::ForeignSetting { place, owners: setting.providers.join(", "), chosen: chosen.to_owned() }
}

fn missing(setting: &Setting, chosen: &str) -> Problem {
    Problem::Missing {
        provider: chosen.to_owned(),
        flag: setting.flag(),
        variable: setting.variable(),
        file_key: setting.file_key(),
    }
}

impl Resolved {
    /// What is wrong between two settings, if both have a value.
    fn broken(&self, rule: Rule, table: &[Setting]) -> Option<Problem> {
        let name_of = |key: &str| {
            let name = || table.iter().find(|setting| setting.key == key).map(Setting::name);
            self.set_at.get(key).map(ToString::to_string).or_else(name).unwrap_or_default()
        };
        match rule {
            Rule::AtMost { number, limit } => {
                let exceeds = self.values.get(number)?.as_u64()? > self.values.get(limit)?.as_u64()?;
                exceeds.then(|| Problem::TooMany { number: name_of(number), limit: name_of(limit) })
            }
            Rule::Together { one, other } => {
                let (set, missing) = match (self.values.get(one), self.values.get(other)) {
                    (Some(_), None) => (one, other),
                    (None, Some(_)) => (other, one),
                    _ => return None,
                };
                Some(Problem::Alone { set: name_of(set), missing: name_of(missing) })
            }
            Rule::Outside { name, prefix } => {
                let inside = self.values.get(name)?.as_str()?.starts_with(self.values.get(prefix)?.as_str()?);
                inside.then(|| Problem::NotOutside { name: name_of(name), prefix: name_of(prefix) })
            }
        }
    }

    /// A warning for each credential that was given as a flag.
    pub(super) fn credentials_in_flags(&self, table: &[Setting]) -> Vec<String> {
        let given = table.iter().filter(|setting| {
            let value = self.values.get(setting.key);
            matches!(self.set_at.get(setting.key), Some(Place::Flag(_)))
                && value.is_some_and(|value| setting.shape.holds_credential(value))
        });
        given
            .map(|setting| {
                format!(
                    "{} holds a credential, and other users of this machine can read it in the list of \
                     processes; the variable {} or {} in the configuration file is the place for it",
                    setting.flag(),
                    setting.variable(),
                    setting.file_key()
                )
            })
            .collect()
    }
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
mod tests;
