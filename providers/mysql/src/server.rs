//! Which server it is, whether it will do, and what to say when it will not.
//!
//! Promises: a server that cannot keep the contract is refused in one line, with the variable and both
//! figures; one that may lose what it acknowledged is warned of. Lines hold the server's name and its own
//! words, never the URL or the password. Deliberately unknown: tenants.

use nimbus_namespace::{Result, StorageError};
use nimbus_sql::Lease;
use sqlx::mysql::{MySqlConnectOptions, MySqlRow};

use crate::error::{Outcome, number};
use crate::session::Server;
use crate::statements::{Statements, ask, column};

/// Smallest `max_allowed_packet` to work with. Packets of many rows stay below it.
pub(crate) const SMALLEST_MAX_PACKET_BYTES: i64 = 4 << 20;
/// Below this a large document does not fit.
const COMFORTABLE_MAX_PACKET_BYTES: i64 = 64 << 20;
/// Smaller pages do not take keys of 2,048 bytes.
const SMALLEST_PAGE_BYTES: i64 = 16 << 10;
/// The oldest version of each flavour.
const OLDEST_MARIADB: (u32, u32) = (10, 11);
const OLDEST_MYSQL: (u32, u32) = (8, 0);

/// Asks the server about itself and refuses it if it will not do.
pub(crate) async fn inspect(lease: &mut Lease<Server>) -> Result<()> {
    let statements = Statements::one(
        "SELECT VERSION(),CAST(@@GLOBAL.innodb_page_size AS SIGNED),CAST(@@GLOBAL.max_allowed_packet AS SIGNED),\
         CAST(@@GLOBAL.innodb_flush_log_at_trx_commit AS SIGNED),CAST(@@GLOBAL.log_bin AS SIGNED),\
         CAST(@@GLOBAL.sync_binlog AS SIGNED)",
    );
    let answered = ask(lease, statements).await?;
    let row = answered.first().and_then(|selected| selected.rows.first());
    let about = row.map(About::read).transpose()?.unwrap_or_default();
    about.require().map_err(StorageError::Unavailable)?;
    for warning in about.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// What a server says of itself.
#[derive(Debug, Default)]
struct About {
    version: String,
    page_bytes: i64,
    max_packet_bytes: i64,
    flush_log_at_commit: i64,
    has_binary_log: bool,
    sync_binary_log: i64,
}

impl About {
    fn read(row: &MySqlRow) -> Outcome<Self> {
        Ok(Self {
            version: column(row, 0)?,
            page_bytes: column(row, 1)?,
            max_packet_bytes: column(row, 2)?,
            flush_log_at_commit: column(row, 3)?,
            has_binary_log: column::<i64>(row, 4)? != 0,
            sync_binary_log: column(row, 5)?,
        })
    }

    /// Why the server will not do.
    fn require(&self) -> std::result::Result<(), String> {
        let (flavour, oldest) = if self.version.contains("MariaDB") {
            ("MariaDB", OLDEST_MARIADB)
        } else {
            ("MySQL", OLDEST_MYSQL)
        };
        if version(&self.version).is_none_or(|version| version < oldest) {
            let (major, minor) = oldest;
            return Err(format!(
                "the database server is {flavour} {}; {flavour} {major}.{minor} or later is needed",
                self.version
            ));
        }
        let figures = [
            ("max_allowed_packet", self.max_packet_bytes, SMALLEST_MAX_PACKET_BYTES),
            ("innodb_page_size", self.page_bytes, SMALLEST_PAGE_BYTES),
        ];
        for (variable, is, least) in figures {
            if is < least {
                return Err(format!("the database server's {variable} is {is}; {least} or more is needed"));
            }
        }
        Ok(())
    }

    /// What an operator should know.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.max_packet_bytes < COMFORTABLE_MAX_PACKET_BYTES {
            warnings.push(format!(
                "the database server's max_allowed_packet is {}: larger documents are refused; {COMFORTABLE_MAX_PACKET_BYTES} takes all",
                self.max_packet_bytes
            ));
        }
        if self.flush_log_at_commit != 1 {
            warnings.push(format!(
                "the database server's innodb_flush_log_at_trx_commit is {}: acknowledged writes may be lost when its machine fails; 1 keeps them",
                self.flush_log_at_commit
            ));
        }
        if self.has_binary_log && self.sync_binary_log != 1 {
            warnings.push(format!(
                "the database server's sync_binlog is {}: its replicas may lack acknowledged writes when its machine fails; 1 keeps them",
                self.sync_binary_log
            ));
        }
        warnings
    }
}

/// Major and minor number of `10.11.14-MariaDB-…` or `8.0.36`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|character: char| !character.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Why the first connection failed, in one line.
pub(crate) fn explain_connect(error: &sqlx::Error, options: &MySqlConnectOptions) -> StorageError {
    let (host, port) = (options.get_host(), options.get_port());
    let place = format!("the database server at {host}:{port}");
    let text = match (error, number(error)) {
        (_, Some(1045 | 1698)) => {
            format!("{place} refuses the user {} or the password", options.get_username())
        }
        (_, Some(1049 | 1044)) => format!(
            "{place} has no database {} that the user {} may use; the URL need not name one",
            options.get_database().unwrap_or_default(),
            options.get_username()
        ),
        (_, Some(1040 | 1203 | 1226)) => format!("{place} takes no more connections"),
        (_, Some(1129 | 1130)) => format!("{place} takes no connections from this machine"),
        (_, Some(number)) => format!("{place} refuses the connection (error {number})"),
        (sqlx::Error::Io(error), _) => format!("{place} cannot be reached: {error}"),
        (sqlx::Error::Tls(error), _) => format!("{place}: TLS failed: {error}"),
        (sqlx::Error::Configuration(_), _) => format!(
            "{place} takes the password only over TLS, which it does not offer; give the user the \
             plugin mysql_native_password, or the server a certificate"
        ),
        _ => format!("{place} does not answer as MariaDB or MySQL do"),
    };
    StorageError::Unavailable(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> About {
        About {
            version: "10.11.14-MariaDB-0+deb12u2".into(),
            page_bytes: 16 << 10,
            max_packet_bytes: 64 << 20,
            flush_log_at_commit: 1,
            has_binary_log: true,
            sync_binary_log: 1,
        }
    }

    #[test]
    fn both_flavours_are_taken_from_their_oldest_version_on() {
        let refused = |version: &str| About { version: version.into(), ..sound() }.require().err();
        for taken in ["10.11.2-MariaDB", "11.4.1-MariaDB-log", "8.0.36", "8.4.0", "9.1.0"] {
            assert_eq!(refused(taken), None, "{taken}");
        }
        for old in ["10.6.18-MariaDB", "5.7.44-log", "8", "", "MariaDB"] {
            assert!(refused(old).is_some_and(|text| text.ends_with("or later is needed")), "{old}");
        }
    }

    #[test]
    fn too_small_figures_are_refused_by_name() {
        let packet = About { max_packet_bytes: 1 << 20, ..sound() }.require().expect_err("it is too small");
        assert!(packet.contains("max_allowed_packet is 1048576; 4194304"), "{packet}");
        let page = About { page_bytes: 8192, ..sound() }.require().expect_err("it is too small");
        assert!(page.contains("innodb_page_size is 8192"), "{page}");
    }

    #[test]
    fn settings_that_lose_writes_are_warned_of() {
        assert_eq!(sound().warnings(), Vec::<String>::new());
        assert!(About { flush_log_at_commit: 2, ..sound() }.warnings()[0].contains("innodb_flush_log"));
        assert!(About { sync_binary_log: 0, ..sound() }.warnings()[0].contains("sync_binlog"));
        assert!(About { max_packet_bytes: 16 << 20, ..sound() }.warnings()[0].contains("16777216"));
        assert!(About { has_binary_log: false, sync_binary_log: 0, ..sound() }.warnings().is_empty());
    }
}
