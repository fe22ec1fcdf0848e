//! The settings of a server, one row each.
//!
//! Promises: a row is all there is to a setting. Its flag, variable and file key follow from its key
//! and section; help texts, precedence, unknown-key checks and the provider check read this table.
//! Deliberately unknown: what the values do.

use super::shape::Shape;

/// Object of the configuration file that a setting's key stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// Where and how tenants are kept.
    Persistence,
    /// How the running server treats tenants and its own end.
    Runtime,
    /// Who may reach it and how.
    Network,
}

impl Section {
    /// Every section, in the order help and documentation list them.
    pub(crate) const ALL: [Self; 3] = [Self::Persistence, Self::Runtime, Self::Network];

    /// The object's key in the file.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Persistence => "persistence",
            Self::Runtime => "runtime",
            Self::Network => "network",
        }
    }
}

/// One thing an operator can set.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Name in `snake_case`, unique in the table.
    pub(crate) key: &'static str,
    /// Where its key stands in the file.
    pub(crate) section: Section,
    /// The values it takes.
    pub(crate) shape: Shape,
    /// The value when nothing sets it, as text; empty for an empty list.
    pub(crate) default: &'static str,
    /// Stands for the value in help texts.
    pub(crate) value_name: &'static str,
    /// One line for help texts, with the unit.
    pub(crate) help: &'static str,
    /// The tenant providers it belongs to; empty when it has meaning with all of them. Setting it
    /// while another provider is chosen stops the start.
    pub(crate) providers: &'static [&'static str],
}

impl Setting {
    /// `--data-dir`
    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.long())
    }

    /// `data-dir`
    pub(crate) fn long(&self) -> String {
        self.key.replace('_', "-")
    }

    /// `NIMBUS_DATA_DIR`
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.key.to_ascii_uppercase())
    }

    /// `persistence.data_dir`
    pub(crate) fn file_key(&self) -> String {
        format!("{}.{}", self.section.key(), self.key)
    }
}

/// What the name of every variable of ours begins with.
pub(crate) const VARIABLE_PREFIX: &str = "NIMBUS_";
/// The variable that names the configuration file, as `--config` does.
pub(crate) const CONFIG_VARIABLE: &str = "NIMBUS_CONFIG";

/// Values of `--tenant-provider`.
pub(crate) const PROVIDERS: &[&str] = &["sqlite", "redb"];

const COUNT: Shape = Shape::Number { minimum: 1, maximum: u64::MAX };
/// Up to a day, so that the sum of two durations in milliseconds never overflows.
const SECONDS: Shape = Shape::Number { minimum: 1, maximum: 86_400 };

/// Every setting.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        key: "tenant_provider",
        section: Section::Persistence,
        shape: Shape::Choice(PROVIDERS),
        default: "sqlite",
        value_name: "PROVIDER",
        help: "Where tenants are kept",
        providers: &[],
    },
    Setting {
        key: "data_dir",
        section: Section::Persistence,
        shape: Shape::Path,
        default: "./data",
        value_name: "DIR",
        help: "Directory that holds the tenants' files; one process at a time owns it",
        providers: &["sqlite", "redb"],
    },
    Setting {
        key: "log_retain_commits",
        section: Section::Persistence,
        shape: COUNT,
        default: "100000",
        value_name: "COMMITS",
        help: "Commits each tenant's log keeps for readers of the journal",
        providers: &[],
    },
    Setting {
        key: "idle_close_secs",
        section: Section::Runtime,
        shape: SECONDS,
        default: "300",
        value_name: "SECONDS",
        help: "Seconds without use after which a tenant's storage is closed until it is used again",
        providers: &[],
    },
    Setting {
        key: "max_open_tenants",
        section: Section::Runtime,
        shape: COUNT,
        default: "1000",
        value_name: "TENANTS",
        help: "Tenants open at once; past it the one unused longest is closed until it is used again",
        providers: &[],
    },
    Setting {
        key: "shutdown_grace_secs",
        section: Section::Runtime,
        shape: SECONDS,
        default: "10",
        value_name: "SECONDS",
        help: "Seconds that accepted requests get to finish after SIGTERM or SIGINT",
        providers: &[],
    },
    Setting {
        key: "host",
        section: Section::Network,
        shape: Shape::Text,
        default: "127.0.0.1",
        value_name: "HOST",
        help: "Address or host name to listen on; beyond loopback it needs --allow-network",
        providers: &[],
    },
    Setting {
        key: "port",
        section: Section::Network,
        shape: Shape::Number { minimum: 0, maximum: 65_535 },
        default: "8080",
        value_name: "PORT",
        help: "TCP port to listen on; 0 picks a free one",
        providers: &[],
    },
    Setting {
        key: "allow_network",
        section: Section::Network,
        shape: Shape::Switch,
        default: "false",
        value_name: "BOOL",
        help: "Allow a --host beyond loopback, given an admin token rotated within the last 30 days",
        providers: &[],
    },
    Setting {
        key: "cors_allow_origin",
        section: Section::Network,
        shape: Shape::Origins,
        default: "",
        value_name: "ORIGIN",
        help: "Web origin whose pages may call the API, besides loopback; repeatable",
        providers: &[],
    },
    Setting {
        key: "body_limit_bytes",
        section: Section::Network,
        shape: Shape::Number { minimum: 1024, maximum: 1 << 30 },
        default: "17825792",
        value_name: "BYTES",
        help: "Largest request body in bytes; the default is 17 MiB",
        providers: &[],
    },
    Setting {
        key: "request_timeout_secs",
        section: Section::Network,
        shape: SECONDS,
        default: "60",
        value_name: "SECONDS",
        help: "Seconds a request's body may take to arrive, and its answer to be made",
        providers: &[],
    },
    Setting {
        key: "max_connections",
        section: Section::Network,
        shape: Shape::Number { minimum: 1, maximum: 1_000_000 },
        default: "10000",
        value_name: "COUNT",
        help: "Connections open at once; more wait until one is closed",
        providers: &[],
    },
];

#[cfg(test)]
mod tests {
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
        }
    }

    #[test]
    fn the_manual_lists_every_setting() {
        let manual = include_str!("../../README.md");
        for setting in SETTINGS {
            for name in [setting.flag(), setting.variable(), setting.file_key()] {
                assert!(manual.contains(&format!("`{name}`")), "README.md does not name {name}");
            }
            let default = format!("`{}`", setting.default);
            let row = manual.lines().find(|line| line.contains(&format!("`{}`", setting.variable())));
            assert!(setting.default.is_empty() || row.is_some_and(|row| row.contains(&default)), "{default}");
        }
    }
}
