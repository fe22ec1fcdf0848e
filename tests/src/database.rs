//! Database servers that hold tenants: how Nimbus reaches them, and how a test ends and restarts one.
//!
//! Promises: credentials reach Nimbus by variables, never by arguments, which anybody can list.
//! Deliberately unknown: what Nimbus keeps there.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use nimbus_test_servers::{Mariadb, Postgres, Sqld};

use crate::provider::Provider;

/// How to reach a database server, credentials included.
#[derive(Debug, Clone)]
pub enum Access {
    /// `PostgreSQL`.
    Postgres {
        /// As a role that may create schemas.
        url: String,
    },
    /// `MariaDB` or `MySQL`.
    Mysql {
        /// As a user with the rights that an operator grants.
        url: String,
        /// As a user with all rights, to look at everything.
        superuser_url: String,
    },
    /// libSQL.
    Libsql {
        /// The data.
        url: String,
        /// What the data's side demands.
        auth_token: String,
        /// The admin API.
        admin_url: String,
        /// What the admin API demands.
        admin_auth_header: String,
        /// Where the server keeps a folder for each namespace.
        namespaces: PathBuf,
    },
}

impl Access {
    /// To the server that this test process shares; `None` for a provider without one, and after reporting
    /// `check` as skipped where the server is not installed.
    pub(crate) fn shared(provider: Provider, check: &str) -> Option<Self> {
        match provider {
            Provider::Sqlite | Provider::Redb | Provider::Log => None,
            Provider::Postgres => Postgres::shared(check).map(Self::to_postgres),
            Provider::Mysql => Mariadb::shared(check).map(Self::to_mysql),
            Provider::LibsqlReplica => Sqld::shared(check).map(Self::to_libsql),
        }
    }

    fn to_postgres(server: &Postgres) -> Self {
        Self::Postgres { url: server.url() }
    }

    fn to_mysql(server: &Mariadb) -> Self {
        Self::Mysql { url: server.url(), superuser_url: server.superuser_url() }
    }

    fn to_libsql(server: &Sqld) -> Self {
        Self::Libsql {
            url: server.url(),
            auth_token: server.auth_token().to_owned(),
            admin_url: server.admin_url(),
            admin_auth_header: server.admin_auth_header().to_owned(),
            namespaces: data_folder(server).join("dbs"),
        }
    }

    /// The provider that uses it.
    pub fn provider(&self) -> Provider {
        match self {
            Self::Postgres { .. } => Provider::Postgres,
            Self::Mysql { .. } => Provider::Mysql,
            Self::Libsql { .. } => Provider::LibsqlReplica,
        }
    }

    /// The same by way of a proxy in front of the data's port.
    #[must_use]
    pub fn through(mut self, proxy: SocketAddr) -> Self {
        let port = self.address().port();
        let (Self::Postgres { url } | Self::Mysql { url, .. } | Self::Libsql { url, .. }) = &mut self;
        *url = url.replace(&format!(":{port}"), &format!(":{}", proxy.port()));
        self
    }

    /// Where the data's server listens.
    pub fn address(&self) -> SocketAddr {
        let (Self::Postgres { url } | Self::Mysql { url, .. } | Self::Libsql { url, .. }) = self;
        let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next()).map(str::parse);
        (Ipv4Addr::LOCALHOST, port.and_then(Result::ok).expect("the URL has a port")).into()
    }

    /// What each variable must hold.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        match self.clone() {
            Self::Postgres { url } => vec![("NIMBUS_POSTGRES_URL", url)],
            Self::Mysql { url, .. } => vec![("NIMBUS_MYSQL_URL", url)],
            Self::Libsql { url, auth_token, admin_url, admin_auth_header, .. } => vec![
                ("NIMBUS_LIBSQL_URL", url),
                ("NIMBUS_LIBSQL_AUTH_TOKEN", auth_token),
                ("NIMBUS_LIBSQL_ADMIN_URL", admin_url),
                ("NIMBUS_LIBSQL_ADMIN_AUTH_HEADER", admin_auth_header),
            ],
        }
    }
}

/// Where sqld keeps its data, as its command line says.
fn data_folder(server: &Sqld) -> PathBuf {
    let process = server.process().expect("it runs");
    let line = fs::read_to_string(format!("/proc/{process}/cmdline")).expect("/proc shows own processes");
    let folder = line.split('\0').find_map(|word| word.strip_prefix("--db-path="));
    Path::new(folder.expect("sqld is told where its data are")).to_owned()
}

/// A database server of one test, which may end it.
#[derive(Debug)]
pub enum Database {
    /// `PostgreSQL`.
    Postgres(Postgres),
    /// `MariaDB` or `MySQL`.
    Mysql(Mariadb),
    /// libSQL.
    Libsql(Sqld),
}

/// Calls a method that all servers have.
macro_rules! of_each {
    ($database:expr, $server:ident => $call:expr) => {
        match $database {
            Database::Postgres($server) => $call,
            Database::Mysql($server) => $call,
            Database::Libsql($server) => $call,
        }
    };
}

impl Database {
    /// Starts one for `provider`; `None` after reporting `check` as skipped where it is not installed.
    ///
    /// # Panics
    /// For a provider that has no server.
    pub fn start(provider: Provider, check: &str) -> Option<Self> {
        match provider {
            Provider::Postgres => Postgres::start(check).map(Self::Postgres),
            Provider::Mysql => Mariadb::start(check).map(Self::Mysql),
            Provider::LibsqlReplica => Sqld::start(check).map(Self::Libsql),
            Provider::Sqlite | Provider::Redb | Provider::Log => panic!("{} has no server", provider.name()),
        }
    }

    /// How Nimbus reaches it.
    pub fn access(&self) -> Access {
        match self {
            Self::Postgres(server) => Access::to_postgres(server),
            Self::Mysql(server) => Access::to_mysql(server),
            Self::Libsql(server) => Access::to_libsql(server),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, of_each!(self, server => server.port())).into()
    }

    /// Ends all of it by SIGKILL. Its data stay.
    pub fn kill(&mut self) {
        of_each!(self, server => server.kill());
    }

    /// Starts it again on the same port with the same data, and waits until it answers.
    pub fn restart(&mut self) {
        of_each!(self, server => server.restart());
    }
}
