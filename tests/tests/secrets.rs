//! Credentials of database servers stand nowhere: not in replies, metrics, logs at their most talkative, the
//! audit log, files or the process's arguments; and a start that cannot work ends soon, with code 2 and one
//! line that says which setting to mend and shows no credential either.

use std::fs;

use nimbus_test_servers::{Mariadb, PASSWORD, Postgres, Sqld};
use nimbus_tests::{Client, Installation, Mode, Provider, Proxy, on_every_server};
use serde_json::json;

on_every_server! {
    no_credential_is_shown_by_a_server_at_work,
    a_start_that_cannot_work_ends_with_one_line_and_shows_no_credential,
}

/// A password, token or header that is not the right one, and a secret all the same.
const WRONG: &str = "word-of-mouth";

/// What may stand nowhere.
fn credentials(installation: &Installation) -> Vec<String> {
    let mut credentials = vec![PASSWORD.to_owned(), WRONG.to_owned()];
    for (name, value) in installation.variables() {
        if name == "NIMBUS_LIBSQL_AUTH_TOKEN" {
            credentials.push(value);
        } else if name == "NIMBUS_LIBSQL_ADMIN_AUTH_HEADER" {
            credentials.push(value.split(' ').next_back().expect("a last word").to_owned());
        }
    }
    credentials
}

fn assert_unseen(credentials: &[String], what: &str, text: &str) {
    for credential in credentials {
        if let Some(at) = text.find(credential.as_str()) {
            let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
            panic!("{what} shows a credential: {}", text[line..].lines().next().unwrap_or_default());
        }
    }
}

fn no_credential_is_shown_by_a_server_at_work(provider: Provider) {
    let Some(installation) = Installation::on(provider) else { return };
    let proxy = Proxy::start(installation.database_address(), 1);
    let installation = installation.through(&proxy).with_log_level("trace");
    let credentials = credentials(&installation);
    let server = installation.start();
    let client = server.client();
    let mut seen = use_everything(&client);
    // Connections that break, and such that cannot be had.
    for mode in [Mode::Cut, Mode::Chaos { most_bytes: 2_000, longest_delay_ms: 1 }, Mode::Pass] {
        proxy.set(mode);
        seen += &use_everything(&client);
    }
    assert!(seen.contains("service."), "something has failed meanwhile: {seen}");
    assert_unseen(&credentials, "a reply", &seen);
    for part in ["cmdline", "comm", "status"] {
        let process = fs::read(format!("/proc/{}/{part}", server.process())).expect("its own process");
        assert_unseen(&credentials, part, &String::from_utf8_lossy(&process));
    }
    let log = server.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log is at its most talkative: {log}");
    server.stop();
    let verify = installation.verify(&["--format", "json"]);
    assert_unseen(&credentials, "verify", &String::from_utf8_lossy(&verify.stdout));
    assert_unseen(&credentials, "verify", &String::from_utf8_lossy(&verify.stderr));
    // Logs, the audit log, the token, replicas.
    let files = installation.files(".");
    assert!(files.contains(&installation.path("./state/nimbus/logs/access.jsonl")), "{files:?}");
    for path in files {
        let bytes = fs::read(&path).expect("a file of the installation");
        assert_unseen(&credentials, &path.display().to_string(), &String::from_utf8_lossy(&bytes));
    }
}

/// Every kind of request once; all replies in one text.
fn use_everything(client: &Client) -> String {
    let note = json!({"table": "notes", "fields": {"text": "a note"}});
    let query = json!({"table": "notes", "filters": []});
    let schema = json!({"fields": [], "indexes": [{"name": "by_text", "fields": ["text"], "unique": true}]});
    let requests = [
        ("POST", "/api/tenants", Some(json!({"id": "acme"}))),
        ("POST", "/api/tenants/acme/documents", Some(note.clone())),
        ("PUT", "/api/tenants/acme/schema/notes", Some(schema)),
        ("POST", "/api/tenants/acme/documents", Some(note)),
        ("GET", "/api/tenants/acme/documents/notes", None),
        ("POST", "/api/tenants/acme/query", Some(query)),
        ("GET", "/api/tenants/acme/journal", None),
        ("GET", "/debug/tenants/acme/consistency", None),
        ("GET", "/debug/tenants/acme/engine/metrics", None),
        ("GET", "/debug/runtime/metrics", None),
        ("GET", "/metrics", None),
        ("GET", "/api/tenants", None),
        ("GET", "/openapi.json", None),
        ("DELETE", "/api/tenants/acme", None),
    ];
    let send = |(method, path, body): &(&str, &str, Option<_>)| {
        format!("{:?}\n", client.send(method, path, &[], body.as_ref()))
    };
    requests.iter().map(send).collect()
}

/// One way to set a provider wrongly.
struct Mistake {
    what: &'static str,
    variable: &'static str,
    value: String,
    /// What the line must say besides the name of the setting.
    says: &'static str,
}

fn mistakes(provider: Provider, check: &str) -> Option<Vec<Mistake>> {
    let mistake = |what, variable, value: String, says| Mistake { what, variable, value, says };
    let mistakes = match provider {
        Provider::Postgres => {
            let server = Postgres::shared(check)?;
            let (url, port) = (server.url(), server.port().to_string());
            let with = |what, value, says| mistake(what, "NIMBUS_POSTGRES_URL", value, says);
            vec![
                with("a wrong password", url.replace(PASSWORD, WRONG), "password"),
                with("an unknown user", url.replace("nimbus:", "nobody:"), "password"),
                with("a port where nobody listens", url.replace(&port, "1"), "127.0.0.1:1"),
                with("a port that is none", url.replace(&port, "port"), "URL"),
                with("another scheme", url.replace("postgres:", "mysql:"), "postgres"),
                with("no URL", format!("nimbus {PASSWORD}"), "URL"),
                with("a missing database", format!("{}/nowhere", before_last(&url, '/')), "nowhere"),
                with("a missing right", server.powerless_url(), "GRANT CREATE"),
            ]
        }
        Provider::Mysql => {
            let server = Mariadb::shared(check)?;
            let (url, port) = (server.url(), server.port().to_string());
            let with = |what, value, says| mistake(what, "NIMBUS_MYSQL_URL", value, says);
            vec![
                with("a wrong password", url.replace(PASSWORD, WRONG), "password"),
                with("an unknown user", url.replace("nimbus:", "nobody:"), "password"),
                with("a port where nobody listens", url.replace(&port, "1"), "127.0.0.1:1"),
                with("a port that is none", url.replace(&port, "port"), "URL"),
                with("another scheme", url.replace("mysql:", "postgres:"), "mysql"),
                with("no URL", format!("nimbus {PASSWORD}"), "URL"),
                with("a missing right", server.powerless_url(), "GRANT"),
            ]
        }
        _ => {
            let server = Sqld::shared(check)?;
            let port = server.port().to_string();
            let (url, admin_url) = ("NIMBUS_LIBSQL_URL", "NIMBUS_LIBSQL_ADMIN_URL");
            let (token, header) = ("NIMBUS_LIBSQL_AUTH_TOKEN", "NIMBUS_LIBSQL_ADMIN_AUTH_HEADER");
            vec![
                mistake("a wrong token", token, WRONG.to_owned(), "credentials"),
                mistake("a wrong header", header, format!("basic {WRONG}"), "credentials"),
                mistake("a port where nobody listens", url, "http://127.0.0.1:1".to_owned(), "127.0.0.1:1"),
                mistake("the same for the admin", admin_url, "http://127.0.0.1:1".to_owned(), "127.0.0.1:1"),
                mistake("a port that is none", url, server.url().replace(&port, "port"), "URL"),
                mistake("another scheme", url, server.url().replace("http:", "mysql:"), "http"),
                mistake("no URL", admin_url, format!("admin {WRONG}"), "URL"),
                mistake("a header that is none", header, format!("basic\n{WRONG}"), "ASCII"),
            ]
        }
    };
    Some(mistakes)
}

fn before_last(text: &str, separator: char) -> &str {
    text.rsplit_once(separator).expect("the separator").0
}

fn a_start_that_cannot_work_ends_with_one_line_and_shows_no_credential(provider: Provider) {
    let Some(mistakes) = mistakes(provider, "a start that cannot work") else { return };
    let mut wrong = Vec::new();
    for Mistake { what, variable, value, says } in mistakes {
        for log_level in ["info", "trace"] {
            let Some(installation) = Installation::on(provider) else { return };
            let installation = installation.with_log_level(log_level);
            let variables = installation.variables();
            let variables: Vec<_> = variables
                .iter()
                .map(|(name, right)| (*name, if *name == variable { &value } else { right }.as_str()))
                .collect();
            let Err(failure) = installation.start_with(&["--port", "0"], &variables) else {
                panic!("{what}: the server started");
            };
            assert_unseen(&credentials(&installation), what, &failure.output);
            // As a flag or as a variable.
            let flag = variable.trim_start_matches("NIMBUS_").to_lowercase().replace('_', "-");
            let is_named = failure.output.contains(&flag) || failure.output.contains(variable);
            // A server for tests does not write through to the disk, of which a log line may warn.
            let lines = failure.output.lines().filter(|line| !line.contains(" WARN "));
            let one_line = log_level == "trace" || lines.count() == 1;
            if failure.code != Some(2) || !one_line || !is_named || !failure.output.contains(says) {
                wrong.push(format!("{what} ({log_level}): {failure}"));
            }
            println!("{what} ({log_level}): {}", failure.output.lines().next_back().unwrap_or_default());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
