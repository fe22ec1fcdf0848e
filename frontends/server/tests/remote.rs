//! The binary over real database servers: it says where tenants are, verifies them while a server uses
//! them, and refuses in one line what cannot work. No output shows a credential.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};

use nimbus_test_servers::{Mariadb, Postgres, Sqld, unique};
use tempfile::TempDir;

/// One provider on its server, and places of its own.
struct Setup {
    provider: &'static str,
    variables: Vec<(&'static str, String)>,
    /// Which variable holds the credential that the server asks for.
    credential: &'static str,
    folder: TempDir,
}

impl Setup {
    fn postgres(check: &str) -> Option<Self> {
        let url = Postgres::shared(check)?.url();
        let variables = vec![
            ("NIMBUS_POSTGRES_URL", url),
            ("NIMBUS_POSTGRES_TENANT_SCHEMA_PREFIX", unique("t")),
            ("NIMBUS_POSTGRES_METADATA_SCHEMA", unique("m")),
        ];
        Some(Self::new("postgres", variables, "NIMBUS_POSTGRES_URL"))
    }

    fn mysql(check: &str) -> Option<Self> {
        let url = Mariadb::shared(check)?.url();
        let variables = vec![
            ("NIMBUS_MYSQL_URL", url),
            ("NIMBUS_MYSQL_TENANT_DATABASE_PREFIX", unique("t")),
            ("NIMBUS_MYSQL_METADATA_DATABASE", unique("m")),
        ];
        Some(Self::new("mysql", variables, "NIMBUS_MYSQL_URL"))
    }

    fn libsql(check: &str) -> Option<Self> {
        let server = Sqld::shared(check)?;
        let variables = vec![
            ("NIMBUS_LIBSQL_URL", server.url()),
            ("NIMBUS_LIBSQL_AUTH_TOKEN", server.auth_token().to_owned()),
            ("NIMBUS_LIBSQL_ADMIN_URL", server.admin_url()),
            ("NIMBUS_LIBSQL_ADMIN_AUTH_HEADER", server.admin_auth_header().to_owned()),
            ("NIMBUS_LIBSQL_TENANT_NAMESPACE_PREFIX", unique("t")),
            ("NIMBUS_LIBSQL_METADATA_NAMESPACE", unique("m")),
        ];
        Some(Self::new("libsql-replica", variables, "NIMBUS_LIBSQL_AUTH_TOKEN"))
    }

    fn new(provider: &'static str, variables: Vec<(&'static str, String)>, credential: &'static str) -> Self {
        Self { provider, variables, credential, folder: tempfile::tempdir().unwrap() }
    }

    /// `nimbus COMMAND`, with a replica cache called `cache`.
    fn command(&self, command: &str, cache: &str) -> Command {
        let mut nimbus = Command::new(env!("CARGO_BIN_EXE_nimbus"));
        nimbus.arg(command).env_clear().current_dir(self.folder.path());
        nimbus.env("HOME", self.folder.path()).env("NIMBUS_TENANT_PROVIDER", self.provider);
        nimbus.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if self.provider == "libsql-replica" {
            nimbus.env("NIMBUS_LIBSQL_REPLICA_CACHE_DIR", self.folder.path().join(cache));
        }
        nimbus
    }

    fn value(&self, variable: &str) -> &str {
        &self.variables.iter().find(|(name, _)| *name == variable).unwrap().1
    }

    /// What no output may show.
    fn secret(&self) -> &str {
        let credential = self.value(self.credential);
        let password = credential.split_once("://").and_then(|(_, rest)| rest.split(['@', ':']).nth(1));
        password.unwrap_or(credential)
    }

    fn check_unseen(&self, text: &str) {
        assert!(!text.contains(self.secret()), "{text}");
    }
}

/// A server that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn both(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

fn serves_and_verifies(setup: &Setup) {
    let mut start = setup.command("start", "served");
    start.env("NIMBUS_PORT", "0").env("RUST_LOG", "trace");
    let mut server = Running(start.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut log = server.0.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = log.read_to_end(&mut bytes);
        text(&bytes)
    });
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let place = format!("(provider {}, server 127.0.0.1:", setup.provider);
    let prefix = setup.variables.iter().find(|(name, _)| name.ends_with("PREFIX")).unwrap();
    assert!(line.contains(&place) && line.contains(&format!("prefix {}", prefix.1)), "{line}");
    setup.check_unseen(&line);

    let verified = setup.command("verify", "looked").output().unwrap();
    assert!(verified.status.success(), "{}", both(&verified));
    assert_eq!(text(&verified.stdout), "tenants checked: 0, with mismatches: 0\n");
    drop(server);
    let log = log.join().unwrap();
    assert!(!log.is_empty());
    setup.check_unseen(&log);
}

fn a_wrong_credential_is_refused_in_one_line(setup: &Setup) {
    let wrong = setup.value(setup.credential).replace(setup.secret(), "hunter2");
    for command in ["start", "verify"] {
        let mut nimbus = setup.command(command, "refused");
        let refused = nimbus.env(setup.credential, &wrong).env("NIMBUS_PORT", "0").output().unwrap();
        let error = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{error}");
        let last = error.lines().last().unwrap_or_default();
        let begins = format!("error: cannot open provider {}: ", setup.provider);
        assert!(last.starts_with(&begins), "{error}");
        assert_eq!(error.lines().filter(|line| !line.contains(" WARN ")).count(), 1, "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

macro_rules! on_each_provider {
    ($($name:ident)+) => {$(
        mod $name {
            use super::Setup;

            #[test]
            fn serves_and_verifies() {
                let Some(setup) = Setup::$name("the binary on a server") else { return };
                super::serves_and_verifies(&setup);
            }

            #[test]
            fn a_wrong_credential_is_refused_in_one_line() {
                let Some(setup) = Setup::$name("a wrong credential") else { return };
                super::a_wrong_credential_is_refused_in_one_line(&setup);
            }
        }
    )+};
}

on_each_provider! { postgres mysql libsql }
