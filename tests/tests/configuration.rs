//! The command line as an operator meets it: which source of a setting wins, what stops a start, help,
//! completions, and the rotation of the admin token. Each through the real binary.

use std::path::Path;

use nimbus_tests::{Installation, assert_error};
use serde_json::json;

/// Starts with these arguments and variables and says which of the directories holds the new tenant.
fn chosen_directory(installation: &Installation, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let server = installation.start_with(arguments, variables).unwrap_or_else(|failure| panic!("{failure}"));
    server.client().create_tenant("probe");
    let holds = |name: &&str| installation.path(name).join("probe.sqlite3").is_file();
    let holding: Vec<_> = ["by-flag", "by-variable", "by-file", "data"].into_iter().filter(holds).collect();
    server.client().delete("/api/tenants/probe").expect_status(204);
    server.stop();
    assert_eq!(holding.len(), 1, "one directory holds the tenant: {holding:?}");
    holding[0].to_owned()
}

fn show(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let installation = Installation::new();
    let by_file = show(&installation.path("by-file"));
    let by_variable = show(&installation.path("by-variable"));
    let by_flag = show(&installation.path("by-flag"));
    let file = json!({
        "persistence": {"data_dir": by_file, "tenant_provider": "sqlite"},
        "network": {"port": 0},
    });
    let config = show(&installation.write("nimbus.json", &file.to_string()));
    let variable = ("NIMBUS_DATA_DIR", by_variable.as_str());

    assert_eq!(chosen_directory(&installation, &["--port", "0"], &[]), "data");
    assert_eq!(chosen_directory(&installation, &["--config", &config], &[]), "by-file");
    assert_eq!(chosen_directory(&installation, &[], &[("NIMBUS_CONFIG", &config)]), "by-file");
    assert_eq!(chosen_directory(&installation, &["--config", &config], &[variable]), "by-variable");
    let flags = ["--config", config.as_str(), "--data-dir", by_flag.as_str()];
    assert_eq!(chosen_directory(&installation, &flags, &[variable]), "by-flag");
}

#[test]
fn a_start_stops_at_what_it_does_not_understand_and_names_it() {
    let installation = Installation::new();
    let files = [
        ("an unknown key", r#"{"persistence": {"data_dirr": "x"}}"#, "data_dirr"),
        ("an unknown section", r#"{"persistense": {}}"#, "persistense"),
        ("a key of another section", r#"{"network": {"data_dir": "x"}}"#, "data_dir"),
        ("a value of the wrong type", r#"{"network": {"port": "many"}}"#, "port"),
        ("a port out of range", r#"{"network": {"port": 70000}}"#, "port"),
        (
            "an unknown provider",
            r#"{"persistence": {"tenant_provider": "paper"}}"#,
            "persistence.tenant_provider",
        ),
        ("a file that is not JSON", "data_dir = 1", "nimbus.json"),
        ("a file that is not an object", "[]", "nimbus.json"),
    ];
    for (what, text, named) in files {
        let config = show(&installation.write("nimbus.json", text));
        let output = installation.refused(&["--config", &config, "--port", "0"], &[]);
        assert!(output.contains(named), "{what}: the error names {named}: {output}");
    }
    let arguments: [(&str, &[&str], &str); 5] = [
        ("an unknown flag", &["--port", "0", "--no-such-flag"], "--no-such-flag"),
        ("a flag of another provider", &["--port", "0", "--postgres-url", "x"], "postgres-url"),
        ("a port that is no number", &["--port", "http"], "port"),
        ("a provider that is not built in", &["--port", "0", "--tenant-provider", "paper"], "paper"),
        (
            "a configuration file that is not there",
            &["--port", "0", "--config", "absent.json"],
            "absent.json",
        ),
    ];
    for (what, arguments, named) in arguments {
        let output = installation.refused(arguments, &[]);
        assert!(output.contains(named), "{what}: the error names {named}: {output}");
    }
    let output = installation.refused(&[], &[("NIMBUS_PORT", "many")]);
    assert!(output.contains("NIMBUS_PORT"), "a bad variable is named: {output}");
}

#[test]
fn help_names_defaults_and_units() {
    let installation = Installation::new();
    let output = installation.run(&["start", "--help"]);
    assert!(output.status.success());
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for expected in ["--port", "8080", "--host", "127.0.0.1", "--data-dir", "./data", "--tenant-provider"] {
        assert!(help.contains(expected), "the help of start lacks {expected}:\n{help}");
    }
    for expected in ["sqlite", "NIMBUS_DATA_DIR", "bytes", "secs"] {
        assert!(help.contains(expected), "the help of start lacks {expected}:\n{help}");
    }
    let general = installation.run(&["--help"]);
    let general = String::from_utf8_lossy(&general.stdout).into_owned();
    for command in ["start", "auth", "verify", "completions"] {
        assert!(general.contains(command), "the general help lacks {command}:\n{general}");
    }
}

/// The heading that a flag stands under.
fn heading_of<'a>(help: &'a str, flag: &str) -> &'a str {
    let before = help.lines().take_while(|line| !line.trim_start().starts_with(&format!("{flag} ")));
    before.filter(|line| !line.starts_with(' ') && line.ends_with(':')).last().unwrap_or_default()
}

#[test]
fn help_groups_flags_by_provider() {
    let installation = Installation::new();
    for command in ["start", "verify"] {
        let output = installation.run(&[command, "--help"]);
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        for (flag, heading) in [
            ("--tenant-provider", "Persistence:"),
            ("--data-dir", "Providers sqlite, redb, log:"),
            ("--memory-budget-mb", "Provider log:"),
            ("--postgres-url", "Provider postgres:"),
            ("--postgres-max-connections", "Provider postgres:"),
            ("--mysql-tenant-database-prefix", "Provider mysql:"),
            ("--libsql-auth-token", "Provider libsql-replica:"),
            ("--libsql-replica-cache-dir", "Provider libsql-replica:"),
        ] {
            assert_eq!(heading_of(&help, flag), heading, "{flag} of {command}:\n{help}");
        }
    }
}

#[test]
fn a_setting_of_another_provider_is_refused_by_name_however_it_is_given() {
    let installation = Installation::new();
    for (chosen, flag, value) in [
        ("sqlite", "--postgres-url", "postgres://user@127.0.0.1/database"),
        ("redb", "--libsql-replica-cache-dir", "cache"),
        ("sqlite", "--memory-budget-mb", "64"),
        ("log", "--postgres-min-connections", "1"),
        ("postgres", "--data-dir", "data"),
        ("postgres", "--mysql-max-connections", "5"),
        ("mysql", "--postgres-metadata-schema", "metadata"),
        ("libsql-replica", "--mysql-url", "mysql://user@127.0.0.1"),
    ] {
        let provider = ["--port", "0", "--tenant-provider", chosen];
        let by_flag = installation.refused(&[&provider[..], &[flag, value]].concat(), &[]);
        let variable = format!("NIMBUS_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase());
        let by_variable = installation.refused(&provider, &[(&variable, value)]);
        let key = flag.trim_start_matches('-').replace('-', "_");
        let in_file = value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number));
        let file = json!({"persistence": {&key: in_file}});
        let config = show(&installation.write("nimbus.json", &file.to_string()));
        let by_file = installation.refused(&[&provider[..], &["--config", &config]].concat(), &[]);
        for (output, name) in [(by_flag, flag), (by_variable, &variable), (by_file, &key)] {
            assert!(output.contains(name) && output.contains(chosen), "{name} with {chosen}: {output}");
        }
    }
}

#[test]
fn completions_are_printed_for_each_shell() {
    let installation = Installation::new();
    for shell in ["bash", "zsh", "fish"] {
        let output = installation.run(&["completions", shell]);
        let script = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && script.contains("tenant-provider"), "{shell}: {script}");
    }
    assert!(!installation.run(&["completions", "no-such-shell"]).status.success());
}

#[test]
fn a_rotated_token_replaces_the_old_one() {
    let installation = Installation::new();
    let server = installation.start();
    let old = installation.token();
    let client = server.client();
    client.get("/api/tenants").expect_status(200);

    let output = installation.run(&["auth", "rotate-admin"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let new = installation.token();
    assert_ne!(old, new);
    // The running server takes up the new token when it is first presented.
    client.with_token(Some(&new)).get("/api/tenants").expect_status(200);
    assert_error("the old token", &client.get("/api/tenants"), 401, "auth.unauthorized");
    server.stop();

    let server = installation.start();
    server.client().get("/api/tenants").expect_status(200);
    let old_again = server.client().with_token(Some(&old)).get("/api/tenants");
    assert_error("the old token after a restart", &old_again, 401, "auth.unauthorized");
    server.stop();
    let file = std::fs::read_to_string(installation.token_file()).expect("the token file");
    let file: serde_json::Value = serde_json::from_str(&file).expect("the token file is JSON");
    assert!(!file["rotated_at"].is_null(), "{file}");
}
