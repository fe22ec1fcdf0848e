//! Where the tenants of an installation live, and what stands there when one looks past Nimbus.
//!
//! Promises: installations have names of their own on a server that they share; looking is done with the
//! programs an operator has (`psql`, `mariadb`, files). Deliberately unknown: how tables are laid out.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nimbus_test_servers::unique;

use crate::database::Access;
use crate::provider::Provider;

/// Where tenants live: files in a folder, or names with a prefix on a server.
#[derive(Debug, Clone)]
pub(crate) enum Storage {
    Files(Provider),
    Server { access: Access, prefix: String, metadata: String },
}

impl Storage {
    /// New names on a server.
    pub(crate) fn on_server(access: Access) -> Self {
        // The last `_` of a prefix tells where an id begins.
        Self::Server { access, prefix: format!("{}_", unique("t")), metadata: unique("m") }
    }

    pub(crate) fn provider(&self) -> Provider {
        match self {
            Self::Files(provider) => *provider,
            Self::Server { access, .. } => access.provider(),
        }
    }

    /// The same names by way of a proxy.
    pub(crate) fn through(self, proxy: SocketAddr) -> Self {
        match self {
            Self::Server { access, prefix, metadata } => {
                Self::Server { access: access.through(proxy), prefix, metadata }
            }
            Self::Files(_) => self,
        }
    }

    /// Where the data's server listens; `None` for files.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Server { access, .. } => Some(access.address()),
            Self::Files(_) => None,
        }
    }

    /// The settings, as variables; `root` is the installation's folder.
    pub(crate) fn variables(&self, root: &Path) -> Vec<(&'static str, String)> {
        let mut variables = vec![("NIMBUS_TENANT_PROVIDER", self.provider().name().to_owned())];
        let (access, prefix, metadata) = match self {
            Self::Files(_) => {
                variables.push(("NIMBUS_DATA_DIR", text(&root.join("data"))));
                return variables;
            }
            Self::Server { access, prefix, metadata } => (access, prefix.clone(), metadata.clone()),
        };
        variables.extend(access.variables());
        variables.extend(match access {
            Access::Postgres { .. } => [
                ("NIMBUS_POSTGRES_TENANT_SCHEMA_PREFIX", prefix),
                ("NIMBUS_POSTGRES_METADATA_SCHEMA", metadata),
            ],
            Access::Mysql { .. } => [
                ("NIMBUS_MYSQL_TENANT_DATABASE_PREFIX", prefix),
                ("NIMBUS_MYSQL_METADATA_DATABASE", metadata),
            ],
            Access::Libsql { .. } => [
                ("NIMBUS_LIBSQL_TENANT_NAMESPACE_PREFIX", prefix),
                ("NIMBUS_LIBSQL_METADATA_NAMESPACE", metadata),
            ],
        });
        if let Access::Libsql { .. } = access {
            variables.push(("NIMBUS_LIBSQL_REPLICA_CACHE_DIR", text(&root.join("cache"))));
        }
        variables
    }

    /// The tenants' stores: schemas, databases or namespaces of the prefix, or files without their ending.
    pub(crate) fn stores(&self, root: &Path) -> BTreeSet<String> {
        let (access, prefix) = match self {
            Self::Files(provider) => {
                let of_tenants = |name: &String| !name.starts_with('.') && name != "wire-credentials.json";
                return file_names(&root.join("data"))
                    .filter(of_tenants)
                    .map(|name| stem(&name, *provider).to_owned())
                    .collect();
            }
            Self::Server { access, prefix, .. } => (access, prefix),
        };
        let all: Vec<_> = match access {
            Access::Postgres { url } => lines(psql(url).args(["-c", "SELECT nspname FROM pg_namespace"])),
            Access::Mysql { superuser_url, .. } => {
                lines(mariadb("mariadb", superuser_url).args(["-N", "-B", "-e", "SHOW DATABASES"]))
            }
            // sqld lists no namespaces; it keeps a folder for each.
            Access::Libsql { namespaces, .. } => file_names(namespaces).collect(),
        };
        all.into_iter().filter(|name| name.starts_with(prefix.as_str())).collect()
    }

    /// Everything in one of the stores, as far as the server's own tools show it; bytes may be in hex, and
    /// what is not UTF-8 is replaced.
    pub(crate) fn dump(&self, root: &Path, store: &str) -> String {
        let bytes = match self {
            Self::Files(provider) => {
                let folder = root.join("data");
                let names = file_names(&folder).filter(|name| stem(name, *provider) == store);
                names.flat_map(|name| contents(&folder.join(name))).collect()
            }
            Self::Server { access: Access::Postgres { url }, .. } => {
                let schema = format!("--schema=\"{store}\"");
                output(Command::new("pg_dump").args(["--no-password", &schema, &format!("--dbname={url}")]))
            }
            Self::Server { access: Access::Mysql { superuser_url, .. }, .. } => {
                let options = ["--hex-blob", "--single-transaction", "--no-tablespaces", store];
                output(mariadb("mariadb-dump", superuser_url).args(options))
            }
            Self::Server { access: Access::Libsql { namespaces, .. }, .. } => {
                contents(&namespaces.join(store))
            }
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Whether a dump holds the text as it is, or in hex digits of either case.
pub fn holds(dump: &str, text: &str) -> bool {
    let digits = text.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    let hex: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
    [text, &hex, &hex.to_uppercase()].iter().any(|form| dump.contains(*form))
}

fn psql(url: &str) -> Command {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--no-password", "-At", url]);
    command
}

/// A program of `MariaDB`'s, by which `MySQL` servers can be asked, too.
fn mariadb(program: &str, url: &str) -> Command {
    let (user, rest) = url.strip_prefix("mysql://").and_then(|url| url.split_once(':')).expect("a user");
    let (password, address) = rest.split_once('@').expect("a password");
    let (host, port) = address.split_once(':').expect("a port");
    let mut command = Command::new(program);
    command.args(["--no-defaults", "--protocol=tcp", &format!("--host={host}"), &format!("--port={port}")]);
    command.args([format!("--user={user}"), format!("--password={password}")]);
    command
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output().expect("servers are installed with their clients");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn lines(command: &mut Command) -> Vec<String> {
    String::from_utf8_lossy(&output(command)).lines().map(str::to_owned).collect()
}

fn file_names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
}

/// What a file holds, or all files within a folder, one after the other.
fn contents(path: &Path) -> Vec<u8> {
    let paths = if path.is_dir() { files_within(path) } else { vec![path.to_owned()] };
    // A companion file may go while the server runs.
    paths.into_iter().filter_map(|path| fs::read(path).ok()).flatten().collect()
}

/// All files of a folder and of the folders within; none where it is not there.
pub(crate) fn files_within(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files_within(&path) } else { vec![path] }).collect()
}

/// The name before the provider's ending, which a database shares with its companions.
fn stem(name: &str, provider: Provider) -> &str {
    let ending = match provider {
        Provider::Redb => ".redb",
        Provider::Log => ".log",
        _ => ".sqlite3",
    };
    name.split(ending).next().unwrap_or(name)
}

/// A path as text. Temporary folders have plain names.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
