//! The listener for MongoDB drivers: whether there is one, where, and with which credentials.
//!
//! Promises: it is never reachable from other machines without encryption; a port that was asked for is
//! listened on or the start fails, while the usual one is done without if something else has it.
//! Deliberately unknown: the protocol.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use nimbus_io::{Clock, SystemRandomness};
use nimbus_mongodb::MongoOptions;
use tokio::net::TcpListener;

use crate::config::Settings;
use crate::exit::CannotRun;
use crate::listen::{self, ListenError};
use crate::tls;
use crate::wire_credentials::WireCredentials;

/// The port that every driver takes when none is named.
const USUAL_PORT: u16 = 27_017;

/// A listener, and what is to be known about it.
pub(crate) struct MongoDoor {
    pub(crate) listener: TcpListener,
    pub(crate) options: MongoOptions,
    /// A line for whoever wants to connect.
    pub(crate) announcement: String,
}

/// Opens the listener. `host` are the addresses of `--host`, already permitted; `token_directory` is where
/// credentials are kept when the tenants' provider has no directory. `None` when there is to be none, or its
/// usual port is taken.
pub(crate) async fn open(
    settings: &Settings,
    host: &[SocketAddr],
    token_directory: &Path,
    clock: &Arc<dyn Clock>,
) -> Result<Option<MongoDoor>, CannotRun> {
    if settings.no_mongodb {
        return Ok(None);
    }
    let tls = match (&settings.mongodb_tls_cert, &settings.mongodb_tls_key) {
        (Some(certificate), Some(key)) => Some(tls::load(certificate, key)?),
        _ => None,
    };
    let addresses = addresses(settings, host, tls.is_some());
    let Some(listener) = bind(settings, &addresses).await? else { return Ok(None) };
    let directory = settings.storage.data_dir().unwrap_or(token_directory);
    let credentials = WireCredentials::load_or_create(settings, directory, &SystemRandomness)?;
    let address = listener.local_addr().map_err(CannotRun::Process)?;
    let announcement = announcement(address, tls.is_some(), &credentials);
    let options = MongoOptions {
        replica_set: settings.mongodb_replica_set.clone(),
        test_commands: settings.mongodb_test_commands,
        tls,
        max_connections: settings.max_connections,
        message_timeout_ms: settings.request_timeout_secs * 1000,
        shutdown_grace_ms: settings.shutdown_grace_secs * 1000,
        ..MongoOptions::new(credentials.credential, Arc::clone(clock), Arc::new(SystemRandomness))
    };
    Ok(Some(MongoDoor { listener, options, announcement }))
}

/// Where to listen: as the other protocols do if connections are encrypted, else on loopback.
fn addresses(settings: &Settings, host: &[SocketAddr], is_encrypted: bool) -> Vec<SocketAddr> {
    let port = settings.mongodb_port.unwrap_or(USUAL_PORT);
    let is_local = host.iter().all(|address| address.ip().to_canonical().is_loopback());
    if is_local || (is_encrypted && settings.allow_network) {
        return host.iter().map(|address| SocketAddr::new(address.ip(), port)).collect();
    }
    tracing::info!("MongoDB drivers are listened to on loopback only; --mongodb-tls-cert lifts that");
    vec![(Ipv4Addr::LOCALHOST, port).into()]
}

/// `None` when the usual port, which nobody asked for, is taken.
async fn bind(settings: &Settings, addresses: &[SocketAddr]) -> Result<Option<TcpListener>, CannotRun> {
    match listen::bind(addresses).await {
        Ok(listener) => Ok(Some(listener)),
        Err(ListenError::Bind { error, addresses })
            if settings.mongodb_port.is_none() && error.kind() == io::ErrorKind::AddrInUse =>
        {
            tracing::warn!(
                "MongoDB drivers are not listened to: {addresses} is taken; --mongodb-port names another port"
            );
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn announcement(address: SocketAddr, is_encrypted: bool, credentials: &WireCredentials) -> String {
    let tls = if is_encrypted { "&tls=true" } else { "" };
    let user = credentials.credential.username();
    let password = match &credentials.file {
        Some(path) => format!("password in {}", path.display()),
        None => "password as it was set".to_owned(),
    };
    format!("MongoDB on mongodb://{address}/?directConnection=true{tls} (user {user}, {password})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::environment::{Environment, Platform};

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let environment = Environment::new(variables.iter().copied(), Platform::Xdg);
        config::load(&config::Values::default(), None, &environment).unwrap().log_warnings()
    }

    #[test]
    fn beyond_loopback_it_takes_encryption_and_the_flag() {
        let text = |addresses: Vec<SocketAddr>| addresses[0].to_string();
        for (host, allow_network, is_encrypted, expected) in [
            ("127.0.0.1", "false", false, "127.0.0.1:27017"),
            ("[::1]", "false", false, "[::1]:27017"),
            ("0.0.0.0", "true", false, "127.0.0.1:27017"),
            ("0.0.0.0", "false", true, "127.0.0.1:27017"),
            ("0.0.0.0", "true", true, "0.0.0.0:27017"),
        ] {
            let settings = settings(&[("NIMBUS_ALLOW_NETWORK", allow_network)]);
            let host = listen::resolve(host, 8080).unwrap();
            assert_eq!(text(addresses(&settings, &host, is_encrypted)), expected);
        }
        let settings = settings(&[("NIMBUS_MONGODB_PORT", "1")]);
        let host = listen::resolve("127.0.0.1", 8080).unwrap();
        assert_eq!(text(addresses(&settings, &host, false)), "127.0.0.1:1");
    }

    #[tokio::test]
    async fn a_taken_port_matters_only_if_it_was_asked_for() {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = first.local_addr().unwrap();
        assert!(bind(&settings(&[]), &[taken]).await.unwrap().is_none());
        let port = taken.port().to_string();
        let asked = settings(&[("NIMBUS_MONGODB_PORT", port.as_str())]);
        let error = bind(&asked, &[taken]).await.unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()), "{error}");
    }

    #[tokio::test]
    async fn what_is_announced_shows_no_password() {
        let clock: Arc<dyn Clock> = Arc::new(nimbus_io::SystemClock::new());
        let host = listen::resolve("127.0.0.1", 0).unwrap();
        let root = tempfile::tempdir().unwrap();
        let data_dir = root.path().to_str().unwrap();
        let file = [("NIMBUS_MONGODB_PORT", "0"), ("NIMBUS_DATA_DIR", data_dir)];
        let door = open(&settings(&file), &host, Path::new("unused"), &clock).await.unwrap().unwrap();
        let place = root.path().join("wire-credentials.json");
        assert!(door.announcement.ends_with(&format!("(user nimbus, password in {})", place.display())));
        let set = [
            ("NIMBUS_MONGODB_PORT", "0"),
            ("NIMBUS_MONGODB_USERNAME", "ada"),
            ("NIMBUS_MONGODB_PASSWORD", "secret"),
        ];
        let door = open(&settings(&set), &host, Path::new("unused"), &clock).await.unwrap().unwrap();
        assert!(door.announcement.ends_with("(user ada, password as it was set)"), "{}", door.announcement);
        let none = settings(&[("NIMBUS_NO_MONGODB", "true")]);
        assert!(open(&none, &host, Path::new("unused"), &clock).await.unwrap().is_none());
    }
}
