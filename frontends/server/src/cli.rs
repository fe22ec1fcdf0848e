//! The command line: commands, flags and their help.
//!
//! Promises: the flags of settings come from the settings table, so that help, parsing and completions
//! know the same names, values and defaults as the configuration does; no message quotes a value that may
//! be a credential. Deliberately unknown: what the commands do.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, StringValueParser, TypedValueParser as _, ValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap::{ValueEnum, ValueHint};
use clap_complete::Shell;
use serde_json::Value;

use crate::config::{SETTINGS, Section, Setting, Shape, Unset, Values};

/// Nimbus: one server, many isolated tenants.
#[derive(Debug, Parser)]
#[command(name = "nimbus", version, subcommand_required = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 a mismatch or damage was found or serving failed, 2 usage or cannot run."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve tenants over HTTP until SIGTERM or SIGINT
    ///
    /// Each setting is taken from its flag, else from its `NIMBUS_*` variable, else from the
    /// configuration file, else it has its default. `RUST_LOG` sets what is logged to stderr (info).
    Start(StartArguments),
    /// Print or rotate the local admin token
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Check tenants: do documents, indexes and commit log agree?
    ///
    /// A data directory can be checked while no server owns it; tenants on a database server also while
    /// servers use them. Ends with 0 when everything agrees, with 1 when it does not, and with 2 when the
    /// check could not run, for example because a server owns the directory.
    Verify(VerifyArguments),
    /// Look into the files of provider log
    #[command(subcommand)]
    Log(LogCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell to complete for
        shell: Shell,
    },
}

const CONFIG_HELP: &str = "JSON file with settings [variable: NIMBUS_CONFIG]";

/// Arguments of `start` besides the settings.
#[derive(Debug, clap::Args)]
pub(crate) struct StartArguments {
    /// The configuration file, which `NIMBUS_CONFIG` may name instead.
    #[arg(long, help = CONFIG_HELP, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
}

/// Commands about the admin token.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum AuthCommand {
    /// Print the admin token; it is made when there is none
    Token,
    /// Replace the admin token and print the new one
    ///
    /// A running server of the same user takes it up at once; the old token stops within a second.
    RotateAdmin,
}

/// Arguments of `verify` besides the settings.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArguments {
    /// The configuration file, which `NIMBUS_CONFIG` may name instead.
    #[arg(long, help = CONFIG_HELP, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Check this tenant only
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    /// How to print the reports
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Commands about the files of provider `log`.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Print what is in a segment, run, pack or manifest, and which of its parts are damaged
    ///
    /// The file is only read, and may be in use. Values are never printed. Ends with 0 when no damage was
    /// found, with 1 when some was, and with 2 when the file could not be looked into.
    Inspect(InspectArguments),
}

/// Arguments of `log inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArguments {
    /// A file of a tenant's folder, like data/acme.log/segment-0000000001
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Print the keys too, in hexadecimal digits; they hold what is indexed
    #[arg(long)]
    pub(crate) keys: bool,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines for people
    Text,
    /// One JSON object
    Json,
}

/// The whole command line, for parsing and for completions.
pub(crate) fn definition() -> clap::Command {
    CommandLine::command()
        .mut_subcommand("start", |start| with_settings(start, &Section::ALL))
        .mut_subcommand("verify", |verify| with_settings(verify, &[Section::Persistence]))
}

/// Reads the arguments of a process. On a usage error, and for help and version, the process ends.
pub(crate) fn parse() -> (Command, Values) {
    let matches = definition().try_get_matches().unwrap_or_else(|error| unquoted(error).exit());
    read(&matches).unwrap_or_else(|error| error.exit())
}

/// An error about a stray argument quotes it, and it may be the end of a credential that lacked quotes:
/// `--libsql-admin-auth-header Basic dXNlcjp3b3Jk`.
fn unquoted(error: clap::Error) -> clap::Error {
    let stray = error.kind() == ErrorKind::UnknownArgument
        && matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(text)) if !text.starts_with('-'));
    if !stray {
        return error;
    }
    let message = "an argument belongs to no flag; a value with blanks in it needs quotes around it";
    definition().error(ErrorKind::UnknownArgument, message)
}

fn read(matches: &ArgMatches) -> Result<(Command, Values), clap::Error> {
    let command = CommandLine::from_arg_matches(matches)?.command;
    let settings = matches.subcommand().map(|(_, matches)| settings_given(matches)).unwrap_or_default();
    Ok((command, settings))
}

fn with_settings(command: clap::Command, sections: &[Section]) -> clap::Command {
    let chosen =
        SETTINGS.iter().filter(|setting| sections.contains(&setting.section) && setting.shape.has_flag());
    command.args(chosen.map(argument))
}

fn argument(setting: &'static Setting) -> Arg {
    let unset = match setting.unset {
        Unset::Default(text) | Unset::Computed(text) => format!("[default: {text}]"),
        Unset::Nothing => "[default: none]".to_owned(),
        Unset::Refused => "[must be set]".to_owned(),
    };
    let help = format!("{} {unset} [variable: {}]", setting.help, setting.variable());
    let argument = Arg::new(setting.key)
        .long(setting.long())
        .value_name(setting.value_name)
        .value_parser(value_parser(setting.shape))
        .help_heading(heading(setting))
        .help(help);
    match setting.shape {
        // A switch may stand alone; `=` keeps what follows it from being taken for its value.
        Shape::Switch => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Shape::Origins => argument.action(ArgAction::Append),
        Shape::Path => argument.value_hint(ValueHint::AnyPath),
        // A token may begin with a dash; taken for a flag, it would be quoted in an error.
        Shape::Secret => argument.allow_hyphen_values(true).value_hint(ValueHint::Other),
        Shape::Url(_) => argument.value_hint(ValueHint::Url),
        Shape::Number { .. } | Shape::Text | Shape::Name | Shape::Choice(_) | Shape::Password => argument,
    }
}

fn heading(setting: &Setting) -> String {
    match (setting.providers, setting.section) {
        ([], Section::Persistence) => "Persistence".to_owned(),
        ([], Section::Runtime) => "Runtime".to_owned(),
        ([], Section::Network) => "Network".to_owned(),
        ([provider], _) => format!("Provider {provider}"),
        (providers, _) => format!("Providers {}", providers.join(", ")),
    }
}

fn value_parser(shape: Shape) -> ValueParser {
    match shape {
        Shape::Choice(names) => PossibleValuesParser::new(names).map(Value::from).into(),
        // The parser's errors quote the value; the configuration checks these, and does not.
        _ if shape.is_confidential() => StringValueParser::new().map(Value::from).into(),
        _ => ValueParser::new(move |text: &str| {
            shape.read_text(text).map_err(|expected| format!("expected {expected}"))
        }),
    }
}

/// The settings that stand on the command line. A repeated list flag adds to the list.
fn settings_given(matches: &ArgMatches) -> Values {
    let mut values = Values::default();
    for setting in SETTINGS {
        // A command has only the flags of its own sections, and some settings have none; asking for
        // another is an error here.
        let Ok(Some(mut given)) = matches.try_get_many::<Value>(setting.key) else { continue };
        let value = match setting.shape {
            Shape::Origins => given.filter_map(Value::as_array).flatten().cloned().collect(),
            _ => given.next_back().cloned().unwrap_or_default(),
        };
        values.insert(setting.key, value);
    }
    values
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse_line(line: &str) -> Result<(Command, Values), clap::Error> {
        definition().try_get_matches_from(line.split(' ')).and_then(|matches| read(&matches))
    }

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }

    #[test]
    fn only_given_flags_are_values() {
        assert_eq!(parse_line("nimbus start").unwrap().1, Values::default());
        let line = "nimbus start --port 0 --allow-network --data-dir d --cors-allow-origin http://a \
                    --cors-allow-origin http://b,http://c --tenant-provider sqlite --config f.json";
        let (command, values) = parse_line(&line.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap();
        let Command::Start(start) = command else { panic!("{command:?}") };
        assert_eq!(start.config, Some(PathBuf::from("f.json")));
        assert_eq!(
            values,
            Values::from([
                ("port", json!(0)),
                ("allow_network", json!(true)),
                ("data_dir", json!("d")),
                ("cors_allow_origin", json!(["http://a", "http://b", "http://c"])),
                ("tenant_provider", json!("sqlite")),
            ])
        );
        assert_eq!(
            parse_line("nimbus start --allow-network=false").unwrap().1["allow_network"],
            json!(false)
        );
    }

    #[test]
    fn verify_takes_the_settings_of_persistence_only() {
        let (command, values) = parse_line("nimbus verify --tenant a --data-dir d -f json").unwrap();
        let Command::Verify(verify) = command else { panic!("{command:?}") };
        assert_eq!((verify.tenant.as_deref(), verify.format), (Some("a"), Format::Json));
        assert_eq!(values, Values::from([("data_dir", json!("d"))]));
        assert!(parse_line("nimbus verify --port 1").is_err());
    }

    #[test]
    fn usage_errors_end_with_the_code_of_a_command_that_cannot_run() {
        for line in [
            "nimbus start --port 70000",
            "nimbus start --tenant-provider oracle",
            "nimbus start --prot 1",
            "nimbus start --cors-allow-origin *",
            "nimbus start --allow-network yes",
            "nimbus dev",
            "nimbus auth",
            "nimbus log",
            "nimbus log inspect",
            "nimbus log inspect a b",
            "nimbus completions smash",
        ] {
            let error = parse_line(line).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(crate::exit::Exit::CannotRun.code()), "{line}");
        }
        let message = parse_line("nimbus start --port 70000").unwrap_err().to_string();
        assert!(message.contains("--port") && message.contains("from 0 to 65535"), "{message}");
    }

    #[test]
    fn help_shows_every_setting_with_variable_and_default() {
        let help = definition().find_subcommand_mut("start").unwrap().render_long_help().to_string();
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!words.contains("--mongodb-password"), "passwords have no flag");
        for setting in SETTINGS.iter().filter(|setting| setting.shape.has_flag()) {
            assert!(
                words.contains(&setting.flag()) && words.contains(&setting.variable()),
                "{}",
                setting.key
            );
            if let Unset::Default(text) | Unset::Computed(text) = setting.unset {
                assert!(words.contains(&format!("[default: {text}]")), "{}", setting.key);
            }
        }
        for heading in
            ["Persistence:", "Providers sqlite, redb, log:", "Provider log:", "Provider libsql-replica:"]
        {
            assert_eq!(help.lines().filter(|line| *line == heading).count(), 1, "{heading}");
        }
    }

    #[test]
    fn no_message_quotes_what_may_be_a_credential() {
        for (line, parses) in [
            ("nimbus start --postgres-url word", true),
            ("nimbus start --postgres-url=", true),
            ("nimbus start --libsql-auth-token -word", true),
            ("nimbus start --libsql-auth-token --word", true),
            ("nimbus start --libsql-admin-auth-header Basic word", false),
            ("nimbus verify --libsql-admin-auth-header Basic word", false),
            ("nimbus start --libsql-token=word", false),
            ("nimbus start --postgres-url a --postgres-url word", false),
            ("nimbus start --postgres-url word --port word2", false),
        ] {
            match parse_line(line).map_err(unquoted) {
                Ok(_) => assert!(parses, "{line}"),
                Err(error) => {
                    let message = error.to_string().replace("word2", "");
                    assert!(!parses && !message.contains("word"), "{line}: {message}");
                    assert_eq!(error.exit_code(), 2, "{line}");
                }
            }
        }
    }
}
