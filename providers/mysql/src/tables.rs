//! The tables of a tenant's database, and which of them holds a key.
//!
//! Promises: a key of up to [`LONGEST_SHORT_KEY_BYTES`] is the primary key of its row, in the order of
//! unsigned bytes; a longer one, beyond what `InnoDB` indexes, is found by its SHA-256. Deliberately
//! unknown: transactions.

use nimbus_namespace::{Head, Space, StateDigest, StorageError};
use nimbus_sql::Failure;
use nimbus_types::{Sequence, TenantId};
use sqlx::mysql::MySqlRow;

use crate::error::Outcome;
use crate::statements::{DatabaseName, Statements, bytes, column, literal, text_literal};

/// Version of these tables, kept in the head's row.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// `InnoDB` indexes 3,072 bytes of a row in pages of 16 KiB.
pub(crate) const LONGEST_SHORT_KEY_BYTES: usize = 2048;

/// The two tables of one key space.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpaceTables {
    /// Holds keys of up to [`LONGEST_SHORT_KEY_BYTES`].
    pub(crate) short: &'static str,
    /// Holds the others.
    pub(crate) long: &'static str,
    /// The column of the value, in both.
    pub(crate) value: &'static str,
    /// What they hold, for the comments of the tables: the key's and the value's meaning.
    comments: [&'static str; 2],
}

impl SpaceTables {
    /// The tables of `space`.
    pub(crate) const fn of(space: Space) -> Self {
        match space {
            Space::Documents => Self {
                short: "documents",
                long: "documents_long",
                value: "document",
                comments: [
                    "table number (4 bytes, big-endian), then the encoded _id",
                    "an envelope, then BSON",
                ],
            },
            Space::Index => Self {
                short: "index_entries",
                long: "index_entries_long",
                value: "document_key",
                comments: [
                    "index number (4 bytes, big-endian), then the encoded fields, then the encoded _id",
                    "key of the document in documents",
                ],
            },
            Space::Meta => Self {
                short: "meta",
                long: "meta_long",
                value: "value",
                comments: ["name of a definition or counter", "an envelope, then the definition or counter"],
            },
        }
    }

    /// Whether a key belongs into the long table.
    pub(crate) fn is_long(key: &[u8]) -> bool {
        key.len() > LONGEST_SHORT_KEY_BYTES
    }

    fn add_creation(self, statements: &mut Statements, database: &DatabaseName) {
        let Self { short, long, value, comments: [key_comment, value_comment] } = self;
        statements.add(format_args!(
            "CREATE TABLE {database}.{short} (\
             `key` VARBINARY({LONGEST_SHORT_KEY_BYTES}) NOT NULL COMMENT '{key_comment}',\
             `{value}` LONGBLOB NOT NULL COMMENT '{value_comment}',\
             PRIMARY KEY (`key`)) {INNODB}"
        ));
        statements.add(format_args!(
            "CREATE TABLE {database}.{long} (\
             key_digest BINARY(32) NOT NULL COMMENT 'SHA-256 of the key',\
             `key` MEDIUMBLOB NOT NULL COMMENT '{key_comment}',\
             `{value}` LONGBLOB NOT NULL COMMENT '{value_comment}',\
             PRIMARY KEY (key_digest), KEY key_beginning (`key`(1024))) {INNODB} \
             COMMENT='Rows of {short} whose key is longer than {LONGEST_SHORT_KEY_BYTES} bytes'"
        ));
    }
}

/// How every table is stored; index prefixes of more than 767 bytes need DYNAMIC.
pub(crate) const INNODB: &str = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4";

/// Makes the database `database` with the tables of `tenant`, empty. It fails at its first statement when
/// there is a database of that name.
pub(crate) fn creation(database: &DatabaseName, tenant: &TenantId) -> Statements {
    let mut statements = Statements::one(format_args!("CREATE DATABASE {database} CHARACTER SET utf8mb4"));
    statements.add(format_args!(
        "CREATE TABLE {database}.head (\
         one TINYINT UNSIGNED NOT NULL COMMENT 'always 1: there is one row',\
         format_version INT UNSIGNED NOT NULL COMMENT 'version of these tables',\
         tenant VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'id of the tenant',\
         sequence BIGINT UNSIGNED NOT NULL COMMENT 'sequence of the newest commit, 0 when there is none',\
         time_ms BIGINT UNSIGNED NOT NULL COMMENT 'its time, epoch milliseconds',\
         digest MEDIUMBLOB NOT NULL COMMENT 'state digest after it',\
         log_start BIGINT UNSIGNED NOT NULL COMMENT 'oldest sequence the log still keeps',\
         fence BIGINT NOT NULL COMMENT 'raised to make commits of unknown outcome fail; negative once removed',\
         long_keys BOOLEAN NOT NULL COMMENT 'whether the tables named _long were ever written',\
         PRIMARY KEY (one)) {INNODB}"
    ));
    statements.add(format_args!(
        "CREATE TABLE {database}.commit_log (\
         sequence BIGINT UNSIGNED NOT NULL COMMENT 'of the commit',\
         piece INT UNSIGNED NOT NULL COMMENT 'a large record is several rows; 0 is the first',\
         pieces INT UNSIGNED NOT NULL COMMENT 'how many rows the record is',\
         time_ms BIGINT UNSIGNED NOT NULL COMMENT 'of the commit, epoch milliseconds',\
         writer BINARY(16) NOT NULL COMMENT 'mark of the attempt that wrote the group',\
         record MEDIUMBLOB NOT NULL COMMENT 'the encoded record, or a piece of it',\
         PRIMARY KEY (sequence, piece)) {INNODB}"
    ));
    for space in Space::ALL {
        SpaceTables::of(space).add_creation(&mut statements, database);
    }
    let Head { sequence, time_ms, digest, log_start } = Head::empty();
    statements.add(format_args!(
        "INSERT INTO {database}.head \
         (one, format_version, tenant, sequence, time_ms, digest, log_start, fence, long_keys) \
         VALUES (1,{FORMAT_VERSION},{},{sequence},{time_ms},{},{log_start},0,0)",
        text_literal(tenant.as_str()),
        literal(encoded(&digest)),
    ));
    statements
}

/// The head's row.
#[derive(Debug, Clone)]
pub(crate) struct HeadRow {
    pub(crate) head: Head,
    pub(crate) fence: i64,
    /// Whether any key is, or has been, in a long table.
    pub(crate) long_keys: bool,
}

impl HeadRow {
    /// Selects the row.
    pub(crate) fn selection(database: &DatabaseName) -> String {
        format!("SELECT sequence,time_ms,log_start,fence,long_keys,digest FROM {database}.head WHERE one=1")
    }

    /// Reads what [`HeadRow::selection`] answered.
    pub(crate) fn read(rows: &[MySqlRow]) -> Outcome<Self> {
        let row = rows.first().ok_or_else(missing_head)?;
        let fence: i64 = column(row, 3)?;
        if fence < 0 {
            return Err(Failure::Refused(StorageError::NotFound));
        }
        let head = Head {
            sequence: Sequence(column(row, 0)?),
            time_ms: column(row, 1)?,
            log_start: Sequence(column(row, 2)?),
            digest: StateDigest::from_bytes(&bytes(row, 5)?)?,
        };
        Ok(Self { head, fence, long_keys: column::<i8>(row, 4)? != 0 })
    }
}

/// There is no head's row.
pub(crate) fn missing_head() -> Failure {
    Failure::Refused(StorageError::Corruption("the table head has no row".into()))
}

/// Refuses tables of another version or another tenant, given the rows of
/// `SELECT format_version, tenant FROM head`.
pub(crate) fn require_owner(database: &DatabaseName, rows: &[MySqlRow], tenant: &TenantId) -> Outcome<()> {
    let row = rows.first().ok_or_else(missing_head)?;
    let (format_version, owner): (u32, String) = (column(row, 0)?, column(row, 1)?);
    if format_version != FORMAT_VERSION {
        return Err(Failure::Refused(StorageError::Corruption(format!(
            "{database}: the format version is {format_version}; this nimbus reads version {FORMAT_VERSION}"
        ))));
    }
    if owner != tenant.as_str() {
        return Err(Failure::Refused(StorageError::Corruption(format!(
            "{database}: the database belongs to another tenant"
        ))));
    }
    Ok(())
}

/// The stored form of a digest.
pub(crate) fn encoded(digest: &StateDigest) -> Vec<u8> {
    let mut stored = Vec::new();
    digest.encode(&mut stored);
    stored
}
