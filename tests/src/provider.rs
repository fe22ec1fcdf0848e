//! The storage providers, and one test for each of them.
//!
//! Deliberately unknown: where a provider's servers are.

/// A value of `--tenant-provider`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// The default one: a `SQLite` file per tenant.
    Sqlite,
    /// A redb file per tenant.
    Redb,
    /// A folder of the native log store per tenant.
    Log,
    /// A schema per tenant.
    Postgres,
    /// A database per tenant.
    Mysql,
    /// A namespace per tenant on a libSQL server, read from a local replica.
    LibsqlReplica,
}

impl Provider {
    /// What `--tenant-provider` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Redb => "redb",
            Self::Log => "log",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::LibsqlReplica => "libsql-replica",
        }
    }

    /// Whether tenants live on a database server.
    pub fn is_remote(self) -> bool {
        !matches!(self, Self::Sqlite | Self::Redb | Self::Log)
    }
}

/// Makes a `#[test]` of each function for every provider: `fn check(provider: Provider)` becomes
/// `sqlite::check`, `redb::check`, `log::check`, `postgres::check`, `mysql::check` and `libsql_replica::check`.
#[macro_export]
macro_rules! on_every_provider {
    ($($check:ident),+ $(,)?) => {
        $crate::on_one_provider! { sqlite, Sqlite, $($check),+ }
        $crate::on_one_provider! { redb, Redb, $($check),+ }
        $crate::on_one_provider! { log, Log, $($check),+ }
        $crate::on_every_server! { $($check),+ }
    };
}

/// As [`on_every_provider`], for the providers whose tenants live on a database server.
#[macro_export]
macro_rules! on_every_server {
    ($($check:ident),+ $(,)?) => {
        $crate::on_one_provider! { postgres, Postgres, $($check),+ }
        $crate::on_one_provider! { mysql, Mysql, $($check),+ }
        $crate::on_one_provider! { libsql_replica, LibsqlReplica, $($check),+ }
    };
}

/// As [`on_every_provider`], for one: a module name and a variant of `Provider`.
#[macro_export]
macro_rules! on_one_provider {
    ($module:ident, $provider:ident, $($check:ident),+ $(,)?) => {
        mod $module {
            $(
                #[test]
                fn $check() {
                    super::$check($crate::Provider::$provider);
                }
            )+
        }
    };
}
