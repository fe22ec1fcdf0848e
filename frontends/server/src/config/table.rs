//! What there is to know about a setting.
//!
//! Promises: a row is all there is to a setting. Its flag, variable and file key follow from its key
//! and section; help texts, precedence, unknown-key checks and the provider check read the rows.
//! Deliberately unknown: which settings there are, and what their values do.

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
    /// What holds when nothing sets it.
    pub(crate) unset: Unset,
    /// Stands for the value in help texts.
    pub(crate) value_name: &'static str,
    /// One line for help texts, with the unit.
    pub(crate) help: &'static str,
    /// The tenant providers it belongs to; empty when it has meaning with all of them. Setting it
    /// while another provider is chosen stops the start.
    pub(crate) providers: &'static [&'static str],
}

/// What holds when nothing sets a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unset {
    /// This value, given as text.
    Default(&'static str),
    /// What the server finds fitting when it starts, in words.
    Computed(&'static str),
    /// Nothing; the server does without.
    Nothing,
    /// The start is refused, if it has meaning with the chosen provider.
    Refused,
}

impl Setting {
    /// Whether it has meaning while `provider` is the chosen one.
    pub(crate) fn belongs_to(&self, provider: &str) -> bool {
        self.providers.is_empty() || self.providers.contains(&provider)
    }

    /// What an operator sets it by: its flag, or its variable when it has none.
    pub(crate) fn name(&self) -> String {
        if self.shape.has_flag() { self.flag() } else { format!("variable {}", self.variable()) }
    }

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

/// What two settings must keep to between them. Both belong to the same provider.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    /// One number may not be greater than the other.
    AtMost {
        /// Key of the number that is held down.
        number: &'static str,
        /// Key of the number that holds it down.
        limit: &'static str,
    },
    /// A name may not begin with a prefix, since it would then be a name that the prefix can make.
    Outside {
        /// Key of the name.
        name: &'static str,
        /// Key of the prefix.
        prefix: &'static str,
    },
    /// Either both are set or none.
    Together {
        /// Key of the one.
        one: &'static str,
        /// Key of the other.
        other: &'static str,
    },
}
