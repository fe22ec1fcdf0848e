//! `nimbus start`: composes provider, engine and doors, and sees them through to the end.
//!
//! Promises: nothing listens before the token, the audit log, the bind rule and the provider are in
//! order; the lines on stdout appear when requests are answered; at the end accepted
//! requests finish first, then tenants close, then the audit log is written out. Deliberately unknown:
//! what requests do.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use nimbus_engine::{Engine, EngineOptions};
use nimbus_http::HttpOptions;
use nimbus_io::{Clock, SystemClock, SystemRandomness};
use tokio_util::sync::CancellationToken;

use crate::audit::AuditLog;
use crate::cli::StartArguments;
use crate::config::{self, Settings, Storage, Values};
use crate::environment::Environment;
use crate::exit::{CannotRun, Exit};
use crate::gatekeeper::LocalGatekeeper;
use crate::mongodb::MongoDoor;
use crate::token::{TokenStore, TokenWatch};
use crate::{listen, logging, mongodb, open_files, providers, signals};

/// Serves until a signal asks for the end.
pub(crate) fn start(
    arguments: &StartArguments,
    flags: &Values,
    environment: &Environment,
) -> Result<Exit, CannotRun> {
    let loaded = config::load(flags, arguments.config.as_deref(), environment)?;
    logging::set_up(environment);
    let settings = loaded.log_warnings();
    let tenants_with_files = if settings.storage.holds_files() { settings.max_open_tenants } else { 0 };
    let protocols = if settings.no_mongodb { 1 } else { 2 };
    open_files::raise_limit(tenants_with_files, protocols * settings.max_connections);
    let runtime = tokio::runtime::Runtime::new().map_err(CannotRun::Process)?;
    runtime.block_on(serve(&settings, environment))
}

async fn serve(settings: &Settings, environment: &Environment) -> Result<Exit, CannotRun> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = TokenStore::new(environment.token_path()?);
    let token = store.load_or_create(clock.as_ref(), &SystemRandomness)?;
    let addresses = listen::resolve(&settings.host, settings.port)?;
    listen::permit(&settings.host, &addresses, settings.allow_network, token.rotated_ms(), clock.now_ms())?;
    let audit = Arc::new(open_audit_log(environment, &clock)?);
    let provider = providers::open(&settings.storage).await?;
    let listener = listen::bind(&addresses).await?;
    let token_directory = store.path().parent().unwrap_or(Path::new("."));
    let mongodb = mongodb::open(settings, &addresses, token_directory, &clock).await?;
    let shutdown_requested = signals::shutdown_requested().map_err(CannotRun::Process)?;
    let address = listener.local_addr().map_err(CannotRun::Process)?;

    let engine = Engine::new(provider, engine_options(settings, &clock));
    announce(address, engine.provider_name(), &settings.storage, store.path(), mongodb.as_ref());
    let token = TokenWatch::new(store, token, Arc::clone(&clock));
    let gatekeeper = LocalGatekeeper { token, audit: Arc::clone(&audit) };
    let options = http_options(settings, gatekeeper, clock, mongodb.as_ref());

    let stopping = CancellationToken::new();
    let stop = stopping.clone();
    tokio::spawn(async move {
        shutdown_requested.await;
        stop.cancel();
    });
    let http = nimbus_http::serve(listener, engine.clone(), options, stopping.clone().cancelled_owned());
    let (http, mongodb) =
        tokio::join!(ending(http, &stopping), ending(serve_mongodb(mongodb, &engine, &stopping), &stopping));

    engine.close().await;
    audit.close();
    match http.and(mongodb) {
        Ok(()) => Ok(Exit::Clean),
        Err(error) => {
            tracing::error!("serving failed: {error}");
            Ok(Exit::Failed)
        }
    }
}

/// Serves MongoDB drivers until the server stops; without a listener for them, only waits for that.
async fn serve_mongodb(
    door: Option<MongoDoor>,
    engine: &Engine,
    stopping: &CancellationToken,
) -> io::Result<()> {
    let stop = stopping.clone().cancelled_owned();
    let Some(door) = door else {
        stop.await;
        return Ok(());
    };
    nimbus_mongodb::serve(door.listener, engine.clone(), door.options, stop).await
}

/// However one door ends, the others end too.
async fn ending(
    served: impl Future<Output = io::Result<()>>,
    stopping: &CancellationToken,
) -> io::Result<()> {
    let served = served.await;
    stopping.cancel();
    served
}

fn open_audit_log(environment: &Environment, clock: &Arc<dyn Clock>) -> Result<AuditLog, CannotRun> {
    let path = environment.audit_path()?;
    AuditLog::open(&path, Arc::clone(clock)).map_err(|error| CannotRun::Audit { path, error })
}

fn engine_options(settings: &Settings, clock: &Arc<dyn Clock>) -> EngineOptions {
    EngineOptions {
        clock: Arc::clone(clock),
        randomness: Arc::new(SystemRandomness),
        idle_close_ms: settings.idle_close_secs * 1000,
        max_open_tenants: settings.max_open_tenants,
        log_retain_commits: settings.log_retain_commits,
        ..EngineOptions::default()
    }
}

fn http_options(
    settings: &Settings,
    gatekeeper: LocalGatekeeper,
    clock: Arc<dyn Clock>,
    mongodb: Option<&MongoDoor>,
) -> HttpOptions {
    HttpOptions {
        other_figures: mongodb.map(|door| {
            let metrics = Arc::clone(&door.options.metrics);
            Arc::new(move || metrics.render()) as Arc<dyn Fn() -> String + Send + Sync>
        }),
        allowed_origins: settings.cors_allow_origin.clone(),
        body_limit_bytes: settings.body_limit_bytes,
        request_timeout_ms: settings.request_timeout_secs * 1000,
        shutdown_grace_ms: settings.shutdown_grace_secs * 1000,
        max_connections: settings.max_connections,
        ..HttpOptions::new(Arc::new(gatekeeper), clock, Arc::new(SystemRandomness))
    }
}

/// Says where the server is and how to get in. A closed stdout is no reason not to serve.
fn announce(
    address: SocketAddr,
    provider: &str,
    storage: &Storage,
    token_path: &Path,
    mongodb: Option<&MongoDoor>,
) {
    let token_path = token_path.display();
    let mut text = format!(
        "nimbus listening on http://{address} (provider {provider}, {storage})\n\
         admin token in {token_path} (print it with: nimbus auth token)\n"
    );
    if let Some(door) = mongodb {
        text.push_str(&door.announcement);
        text.push('\n');
    }
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
