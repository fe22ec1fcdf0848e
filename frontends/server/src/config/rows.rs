//! The settings of a server, one row each, in the order in which help and documentation list them.
//!
//! Deliberately unknown: how rows are read and what their values do.

use super::shape::Shape;
use super::table::{Rule, Section, Setting, Unset};

/// Values of `--tenant-provider`.
pub(crate) const PROVIDERS: &[&str] = &["sqlite", "redb", "log", "postgres", "mysql", "libsql-replica"];

const LOCAL: &[&str] = &["sqlite", "redb", "log"];
const LOG: &[&str] = &["log"];
const POSTGRES: &[&str] = &["postgres"];
const MYSQL: &[&str] = &["mysql"];
const LIBSQL: &[&str] = &["libsql-replica"];

const COUNT: Shape = Shape::Number { minimum: 1, maximum: u64::MAX };
/// Up to a day, so that the sum of two durations in milliseconds never overflows.
const SECONDS: Shape = Shape::Number { minimum: 1, maximum: 86_400 };
/// Connections a pool keeps open though nobody needs them.
const FEWEST_CONNECTIONS: Shape = Shape::Number { minimum: 0, maximum: 10_000 };
/// Reads may hold all connections of a pool but one, so there must be one to commit on.
const MOST_CONNECTIONS: Shape = Shape::Number { minimum: 2, maximum: 10_000 };
/// In MiB. With less a tenant could not be worked on; no machine has more.
const MEMORY: Shape = Shape::Number { minimum: 16, maximum: 1 << 24 };
const LIBSQL_SCHEMES: &[&str] = &["http", "https", "libsql"];

const TENANT_PREFIX: Unset = Unset::Default("tenant_");
const METADATA_NAME: Unset = Unset::Default("nimbus_provider");

/// What settings must keep to between them.
pub(crate) const RULES: &[Rule] = &[
    Rule::AtMost { number: "postgres_min_connections", limit: "postgres_max_connections" },
    Rule::AtMost { number: "mysql_min_connections", limit: "mysql_max_connections" },
    Rule::Outside { name: "postgres_metadata_schema", prefix: "postgres_tenant_schema_prefix" },
    Rule::Outside { name: "mysql_metadata_database", prefix: "mysql_tenant_database_prefix" },
    Rule::Together { one: "mongodb_username", other: "mongodb_password" },
    Rule::Together { one: "mongodb_tls_cert", other: "mongodb_tls_key" },
    Rule::Outside { name: "libsql_metadata_namespace", prefix: "libsql_tenant_namespace_prefix" },
];

/// Every setting.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        key: "tenant_provider",
        section: Section::Persistence,
        shape: Shape::Choice(PROVIDERS),
        unset: Unset::Default("sqlite"),
        value_name: "PROVIDER",
        help: "Where tenants are kept",
        providers: &[],
    },
    Setting {
        key: "log_retain_commits",
        section: Section::Persistence,
        shape: COUNT,
        unset: Unset::Default("100000"),
        value_name: "COMMITS",
        help: "Commits each tenant's log keeps for readers of the journal",
        providers: &[],
    },
    Setting {
        key: "data_dir",
        section: Section::Persistence,
        shape: Shape::Path,
        unset: Unset::Default("./data"),
        value_name: "DIR",
        help: "Directory that holds the tenants' files; one process at a time owns it",
        providers: LOCAL,
    },
    Setting {
        key: "memory_budget_mb",
        section: Section::Persistence,
        shape: MEMORY,
        unset: Unset::Computed("a quarter of the memory, 64 to 4096"),
        value_name: "MIB",
        help: "MiB of memory for the data of all tenants together",
        providers: LOG,
    },
    Setting {
        key: "postgres_url",
        section: Section::Persistence,
        shape: Shape::Url(&["postgres", "postgresql"]),
        unset: Unset::Refused,
        value_name: "URL",
        help: "Server and database, like postgres://user@host:5432/database; holds the password",
        providers: POSTGRES,
    },
    Setting {
        key: "postgres_tenant_schema_prefix",
        section: Section::Persistence,
        shape: Shape::Name,
        unset: TENANT_PREFIX,
        value_name: "NAME",
        help: "What the name of every tenant's schema begins with",
        providers: POSTGRES,
    },
    Setting {
        key: "postgres_metadata_schema",
        section: Section::Persistence,
        shape: Shape::Name,
        unset: METADATA_NAME,
        value_name: "NAME",
        help: "Schema that says which tenants there are",
        providers: POSTGRES,
    },
    Setting {
        key: "postgres_min_connections",
        section: Section::Persistence,
        shape: FEWEST_CONNECTIONS,
        unset: Unset::Default("1"),
        value_name: "COUNT",
        help: "Connections to the server that are kept open",
        providers: POSTGRES,
    },
    Setting {
        key: "postgres_max_connections",
        section: Section::Persistence,
        shape: MOST_CONNECTIONS,
        unset: Unset::Default("20"),
        value_name: "COUNT",
        help: "Connections to the server open at once; at most three quarters serve reads",
        providers: POSTGRES,
    },
    Setting {
        key: "mysql_url",
        section: Section::Persistence,
        shape: Shape::Url(&["mysql", "mariadb"]),
        unset: Unset::Refused,
        value_name: "URL",
        help: "Server, like mysql://user@host:3306; holds the password",
        providers: MYSQL,
    },
    Setting {
        key: "mysql_tenant_database_prefix",
        section: Section::Persistence,
        shape: Shape::Name,
        unset: TENANT_PREFIX,
        value_name: "NAME",
        help: "What the name of every tenant's database begins with",
        providers: MYSQL,
    },
    Setting {
        key: "mysql_metadata_database",
        section: Section::Persistence,
        shape: Shape::Name,
        unset: METADATA_NAME,
        value_name: "NAME",
        help: "Database that says which tenants there are",
        providers: MYSQL,
    },
    Setting {
        key: "mysql_min_connections",
        section: Section::Persistence,
        shape: FEWEST_CONNECTIONS,
        unset: Unset::Default("1"),
        value_name: "COUNT",
        help: "Connections to the server that are kept open",
        providers: MYSQL,
    },
    Setting {
        key: "mysql_max_connections",
        section: Section::Persistence,
        shape: MOST_CONNECTIONS,
        unset: Unset::Default("20"),
        value_name: "COUNT",
        help: "Connections to the server open at once; at most three quarters serve reads",
        providers: MYSQL,
    },
    Setting {
        key: "libsql_url",
        section: Section::Persistence,
        shape: Shape::Url(LIBSQL_SCHEMES),
        unset: Unset::Refused,
        value_name: "URL",
        help: "The primary, like http://host:8080",
        providers: LIBSQL,
    },
    Setting {
        key: "libsql_auth_token",
        section: Section::Persistence,
        shape: Shape::Secret,
        unset: Unset::Nothing,
        value_name: "TOKEN",
        help: "Token that the primary demands, if it does",
        providers: LIBSQL,
    },
    Setting {
        key: "libsql_admin_url",
        section: Section::Persistence,
        shape: Shape::Url(LIBSQL_SCHEMES),
        unset: Unset::Refused,
        value_name: "URL",
        help: "The primary's admin interface, which makes and removes namespaces, like http://host:8081",
        providers: LIBSQL,
    },
    Setting {
        key: "libsql_admin_auth_header",
        section: Section::Persistence,
        shape: Shape::Secret,
        unset: Unset::Nothing,
        value_name: "VALUE",
        help: "Value of the Authorization header that the admin interface demands, if it does",
        providers: LIBSQL,
    },
    Setting {
        key: "libsql_tenant_namespace_prefix",
        section: Section::Persistence,
        shape: Shape::Name,
        unset: TENANT_PREFIX,
        value_name: "NAME",
        help: "What the name of every tenant's namespace begins with",
        providers: LIBSQL,
    },
    Setting {
        key: "libsql_metadata_namespace",
        section: Section::Persistence,
        shape: Shape::Name,
        unset: METADATA_NAME,
        value_name: "NAME",
        help: "Namespace that says which tenants there are",
        providers: LIBSQL,
    },
    Setting {
        key: "libsql_replica_cache_dir",
        section: Section::Persistence,
        shape: Shape::Path,
        unset: Unset::Default("./data/libsql-replica"),
        value_name: "DIR",
        help: "Directory of the replicas that are read; it may be deleted while no server runs",
        providers: LIBSQL,
    },
    Setting {
        key: "idle_close_secs",
        section: Section::Runtime,
        shape: SECONDS,
        unset: Unset::Default("300"),
        value_name: "SECONDS",
        help: "Seconds without use after which a tenant's storage is closed until it is used again",
        providers: &[],
    },
    Setting {
        key: "max_open_tenants",
        section: Section::Runtime,
        shape: COUNT,
        unset: Unset::Default("1000"),
        value_name: "TENANTS",
        help: "Tenants open at once; past it the one unused longest is closed until it is used again",
        providers: &[],
    },
    Setting {
        key: "shutdown_grace_secs",
        section: Section::Runtime,
        shape: SECONDS,
        unset: Unset::Default("10"),
        value_name: "SECONDS",
        help: "Seconds that accepted requests get to finish after SIGTERM or SIGINT",
        providers: &[],
    },
    Setting {
        key: "host",
        section: Section::Network,
        shape: Shape::Text,
        unset: Unset::Default("127.0.0.1"),
        value_name: "HOST",
        help: "Address or host name to listen on; beyond loopback it needs --allow-network",
        providers: &[],
    },
    Setting {
        key: "port",
        section: Section::Network,
        shape: Shape::Number { minimum: 0, maximum: 65_535 },
        unset: Unset::Default("8080"),
        value_name: "PORT",
        help: "TCP port to listen on; 0 picks a free one",
        providers: &[],
    },
    Setting {
        key: "allow_network",
        section: Section::Network,
        shape: Shape::Switch,
        unset: Unset::Default("false"),
        value_name: "BOOL",
        help: "Allow a --host beyond loopback, given an admin token rotated within the last 30 days",
        providers: &[],
    },
    Setting {
        key: "cors_allow_origin",
        section: Section::Network,
        shape: Shape::Origins,
        unset: Unset::Nothing,
        value_name: "ORIGIN",
        help: "Web origin whose pages may call the API, besides loopback; repeatable",
        providers: &[],
    },
    Setting {
        key: "body_limit_bytes",
        section: Section::Network,
        shape: Shape::Number { minimum: 1024, maximum: 1 << 30 },
        unset: Unset::Default("17825792"),
        value_name: "BYTES",
        help: "Largest request body in bytes; the default is 17 MiB",
        providers: &[],
    },
    Setting {
        key: "request_timeout_secs",
        section: Section::Network,
        shape: SECONDS,
        unset: Unset::Default("60"),
        value_name: "SECONDS",
        help: "Seconds a request or message may take to arrive, and its answer to be made or taken",
        providers: &[],
    },
    Setting {
        key: "max_connections",
        section: Section::Network,
        shape: Shape::Number { minimum: 1, maximum: 1_000_000 },
        unset: Unset::Default("10000"),
        value_name: "COUNT",
        help: "Connections of each protocol open at once; more wait until one is closed",
        providers: &[],
    },
    Setting {
        key: "mongodb_port",
        section: Section::Network,
        shape: Shape::Number { minimum: 0, maximum: 65_535 },
        unset: Unset::Computed("27017 if it is free"),
        value_name: "PORT",
        help: "TCP port for MongoDB drivers; 0 picks a free one",
        providers: &[],
    },
    Setting {
        key: "no_mongodb",
        section: Section::Network,
        shape: Shape::Switch,
        unset: Unset::Default("false"),
        value_name: "BOOL",
        help: "Do not listen for MongoDB drivers",
        providers: &[],
    },
    Setting {
        key: "mongodb_username",
        section: Section::Network,
        shape: Shape::Text,
        unset: Unset::Nothing,
        value_name: "NAME",
        help: "User of MongoDB drivers, with the password in NIMBUS_MONGODB_PASSWORD; both are generated otherwise",
        providers: &[],
    },
    Setting {
        key: "mongodb_password",
        section: Section::Network,
        shape: Shape::Password,
        unset: Unset::Nothing,
        value_name: "PASSWORD",
        help: "Password of MongoDB drivers",
        providers: &[],
    },
    Setting {
        key: "mongodb_replica_set",
        section: Section::Network,
        shape: Shape::Text,
        unset: Unset::Nothing,
        value_name: "NAME",
        help: "Tell MongoDB drivers that this is the only member of a replica set of that name",
        providers: &[],
    },
    Setting {
        key: "mongodb_test_commands",
        section: Section::Network,
        shape: Shape::Switch,
        unset: Unset::Default("false"),
        value_name: "BOOL",
        help: "Let MongoDB drivers make commands fail (configureFailPoint), for their specification tests only",
        providers: &[],
    },
    Setting {
        key: "mongodb_tls_cert",
        section: Section::Network,
        shape: Shape::Path,
        unset: Unset::Nothing,
        value_name: "FILE",
        help: "Certificate chain in PEM format that MongoDB drivers are shown; they have to use TLS then",
        providers: &[],
    },
    Setting {
        key: "mongodb_tls_key",
        section: Section::Network,
        shape: Shape::Path,
        unset: Unset::Nothing,
        value_name: "FILE",
        help: "Private key of the certificate, in PEM format",
        providers: &[],
    },
];

#[cfg(test)]
mod tests {
    use super::super::table::CONFIG_VARIABLE;
    use super::*;

    #[test]
    fn names_follow_from_the_key() {
        let setting = SETTINGS.iter().find(|setting| setting.key == "data_dir").unwrap();
        assert_eq!(setting.flag(), "--data-dir");
        assert_eq!(setting.variable(), "NIMBUS_DATA_DIR");
        assert_eq!(setting.file_key(), "persistence.data_dir");
    }

    #[test]
    fn rows_are_well_formed() {
        let mut keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), SETTINGS.len(), "a key stands twice");
        for setting in SETTINGS {
            assert_ne!(setting.variable(), CONFIG_VARIABLE);
            assert!(setting.providers.iter().all(|name| PROVIDERS.contains(name)), "{}", setting.key);
            if let Unset::Default(text) = setting.unset {
                setting.shape.read_text(text).unwrap();
            }
            // Else a credential could not be told from a value that may be shown.
            assert_eq!(
                setting.key.contains("url"),
                matches!(setting.shape, Shape::Url(_)),
                "{}",
                setting.key
            );
        }
    }

    #[test]
    fn rules_are_about_settings_of_one_provider() {
        let row = |key: &str| SETTINGS.iter().find(|setting| setting.key == key).unwrap();
        for rule in RULES {
            let (one, other) = match *rule {
                Rule::AtMost { number, limit } => (row(number), row(limit)),
                Rule::Outside { name, prefix } => (row(name), row(prefix)),
                Rule::Together { one, other } => (row(one), row(other)),
            };
            assert_eq!(one.providers, other.providers, "{rule:?}");
        }
    }

    #[test]
    fn the_manual_lists_every_setting() {
        let manual = include_str!("../../README.md");
        for setting in SETTINGS {
            let flag = setting.shape.has_flag().then(|| setting.flag());
            for name in [setting.variable(), setting.file_key()].into_iter().chain(flag) {
                assert!(manual.contains(&format!("`{name}`")), "README.md does not name {name}");
            }
            let row = manual.lines().find(|line| line.contains(&format!("`{}`", setting.variable())));
            let cells: Vec<_> = row.unwrap_or_default().split(" | ").collect();
            let default = match setting.unset {
                Unset::Default(text) => format!("`{text}`"),
                Unset::Computed(text) => text.to_owned(),
                Unset::Nothing => "none".to_owned(),
                Unset::Refused => "must be set".to_owned(),
            };
            assert_eq!(cells.get(3), Some(&default.as_str()), "{}", setting.key);
        }
    }
}
