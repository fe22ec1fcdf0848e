//! Reaching the server: the URL, the session's settings, and why it cannot be reached.
//!
//! Promises: no text holds the URL or the password; statements and values are never logged. Deliberately
//! unknown: schemas and tables.

use nimbus_namespace::StorageError;
use nimbus_sql::{Backend, Failure};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection, Postgres};
use sqlx::{ConnectOptions, Connection};

use crate::error::classify;

/// Parameters of the URL that sqlx knows. It logs others together with their values.
const URL_PARAMETERS: [&str; 15] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
];

/// Statements prepared on one connection. A tenant in use has about six of them, each a few dozen KiB
/// of the server's memory.
const STATEMENT_CACHE: usize = 256;

/// Settings of every session.
///
/// - A commit answered is a commit kept: `synchronous_commit` is raised from `off`, stricter ones stay.
/// - Statements go by a key only and are planned once a connection: custom plans would plan a commit anew
///   each time, JIT costs more than it gains, and a plan made while a table was small must not scan it
///   whole once it has grown.
/// - Whatever waits, ends: for a lock, in a statement, in a forgotten snapshot, at a dead client.
const SESSION: &str = "
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') = 'off';
    SET default_transaction_isolation = 'read committed';
    SET default_transaction_read_only = off;
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off;
    SET enable_bitmapscan = off;
    SET jit = off;
    SET lock_timeout = '5s';
    SET statement_timeout = '15s';
    SET idle_in_transaction_session_timeout = '10min';
    SET tcp_keepalives_idle = 30;
    SET tcp_keepalives_interval = 10;
    SET tcp_keepalives_count = 3;
    SET client_min_messages = error;
    SET search_path = pg_catalog;
    SET bytea_output = 'hex';
    SET standard_conforming_strings = on;
";

/// One database, as the pool connects to it.
pub(crate) struct PostgresBackend {
    options: PgConnectOptions,
}

impl PostgresBackend {
    /// Takes `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`.
    pub(crate) fn parse(url: &str) -> Result<Self, StorageError> {
        let refused = |what: String| Err(StorageError::Unavailable(format!("the URL of PostgreSQL {what}")));
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return refused("must begin with postgres://".into());
        }
        let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
            if !URL_PARAMETERS.contains(&name) {
                let known = URL_PARAMETERS.join(", ");
                return refused(format!("has a parameter that is not known; those known are {known}"));
            }
        }
        match url.parse::<PgConnectOptions>() {
            Ok(options) => Ok(Self {
                options: options
                    .application_name("nimbus")
                    .statement_cache_capacity(STATEMENT_CACHE)
                    .disable_statement_logging(),
            }),
            Err(_) => refused(
                "cannot be read; it looks like postgres://user:password@host:5432/database, \
                 with special characters of the password percent-encoded"
                    .into(),
            ),
        }
    }

    /// What a failure to connect means, for the one who gave the URL.
    pub(crate) fn explain(&self, error: &sqlx::Error) -> StorageError {
        let address = format!("{}:{}", self.options.get_host(), self.options.get_port());
        let role = self.options.get_username();
        let text = match error {
            sqlx::Error::Database(error) => {
                let sqlstate = error.code().unwrap_or_default().into_owned();
                match &*sqlstate {
                    "28P01" => format!("PostgreSQL at {address} refuses the password of role {role:?}"),
                    "28000" => format!(
                        "PostgreSQL at {address} refuses role {role:?}: it does not exist, or pg_hba.conf does not let it in"
                    ),
                    "3D000" => format!(
                        "PostgreSQL at {address} has no database {:?}; create it, or name another in the URL",
                        self.options.get_database().unwrap_or(role)
                    ),
                    "42501" => format!(
                        "role {role:?} may not connect to the database; GRANT CONNECT ON DATABASE … TO {role} helps"
                    ),
                    "53300" => format!("PostgreSQL at {address} takes no more connections"),
                    "57P03" => format!("PostgreSQL at {address} is starting up or shutting down"),
                    _ => format!("PostgreSQL at {address} answers with an error (SQLSTATE {sqlstate})"),
                }
            }
            sqlx::Error::Tls(error) => format!("no TLS connection to PostgreSQL at {address}: {error}"),
            sqlx::Error::Io(error) => format!("PostgreSQL at {address} cannot be reached: {error}"),
            _ => format!("what answers at {address} does not speak PostgreSQL's protocol"),
        };
        StorageError::Unavailable(text)
    }
}

impl Backend for PostgresBackend {
    type Database = Postgres;

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        sqlx::raw_sql(SESSION).execute(&mut connection).await?;
        Ok(connection)
    }

    async fn end_transaction(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("ROLLBACK").execute(connection).await.map(|_| ())
    }

    fn classify(error: &dyn DatabaseError) -> Failure {
        classify(&error.code().unwrap_or_default())
    }
}

/// Asks what the server must be and the role must be allowed.
pub(crate) async fn require_fit(connection: &mut PgConnection) -> Result<(), StorageError> {
    /// The first version with `plan_cache_mode`, without which a commit is planned anew each time.
    const OLDEST_VERSION: i32 = 12;
    let asked: (i32, String, bool, bool, String, String, bool) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_version'), \
             pg_is_in_recovery(), has_database_privilege(current_database(), 'CREATE'), \
             current_database()::text, current_user::text, current_setting('fsync')::bool",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(|_| StorageError::Unavailable("PostgreSQL does not say which version it is".into()))?;
    let (major, version, is_standby, may_create, database, role, fsync) = asked;
    let refused = if major < OLDEST_VERSION {
        format!("PostgreSQL {version} is too old; {OLDEST_VERSION} is the oldest that will do")
    } else if is_standby {
        "PostgreSQL at that address is a standby, which takes no writes; name its primary".into()
    } else if !may_create {
        format!(
            "role {role:?} may not create schemas in database {database:?}; \
             GRANT CREATE ON DATABASE \"{database}\" TO \"{role}\" helps"
        )
    } else {
        if !fsync {
            tracing::warn!(
                "PostgreSQL runs with fsync = off: a crash of its machine loses acknowledged writes"
            );
        }
        return Ok(());
    };
    Err(StorageError::Unavailable(refused))
}

/// Opens one connection outside of any pool, for what is done at the start, and explains a failure. The
/// caller bounds its time.
pub(crate) async fn connect_once(backend: &PostgresBackend) -> Result<PgConnection, StorageError> {
    // The version first: an old server does not know every setting of a session.
    let mut connection = backend.options.connect().await.map_err(|error| backend.explain(&error))?;
    require_fit(&mut connection).await?;
    match sqlx::raw_sql(SESSION).execute(&mut connection).await {
        Ok(_) => Ok(connection),
        Err(error) => {
            let explained = backend.explain(&error);
            let _ = connection.close().await;
            Err(explained)
        }
    }
}
