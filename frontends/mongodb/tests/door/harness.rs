//! A door over an engine in memory.

use std::net::SocketAddr;
use std::sync::Arc;

use nimbus_engine::{Engine, EngineOptions};
use nimbus_io::{SimulatedRandomness, SystemClock};
use nimbus_mongodb::{Credential, MongoMetrics, MongoOptions, serve};
use nimbus_namespace::reference::ReferenceProvider;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::Client;

pub(crate) const USER: &str = "ada";
pub(crate) const PASSWORD: &str = "word";

/// A listening door.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<MongoMetrics>,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
}

/// Listens with the default options after `change`.
pub(crate) async fn listen(change: impl FnOnce(&mut MongoOptions)) -> Listening {
    let engine = Engine::new(Arc::new(ReferenceProvider::default()), EngineOptions::default());
    let credential = Credential::new(USER, PASSWORD).unwrap();
    let randomness = Arc::new(SimulatedRandomness::new(7));
    let mut options = MongoOptions::new(credential, Arc::new(SystemClock::default()), randomness);
    change(&mut options);
    let metrics = Arc::clone(&options.metrics);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move {
        let _ = stopped.await;
    };
    Listening { address, metrics, stop, served: tokio::spawn(serve(listener, engine, options, shutdown)) }
}

impl Listening {
    /// A connection on which nothing was said.
    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// A connection that has authenticated.
    pub(crate) async fn enter(&self) -> Client {
        let mut client = self.connect().await;
        client.authenticate(USER, PASSWORD).await.unwrap();
        client
    }

    /// Stops it and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }
}
