//! What the tests stand on: a server, names of their own on it, and cache folders.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use nimbus_libsql::{LibsqlOptions, LibsqlProvider};
use nimbus_namespace::conformance::{CommitBuilder, put};
use nimbus_namespace::{
    Direction, KeyRange, Namespace, NamespaceProvider, Result, Space, StateDigest, StorageError,
};
use nimbus_test_servers::{Proxy, Sqld, unique};
use nimbus_types::TenantId;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A prefix and a metadata namespace of one test on a server, and its cache folders.
pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) admin_url: String,
    pub(crate) token: &'static str,
    pub(crate) admin_header: &'static str,
    pub(crate) prefix: String,
    pub(crate) metadata: String,
    pub(crate) folder: TempDir,
}

impl World {
    /// On the server that all tests share.
    pub(crate) fn shared(check: &str) -> Option<Self> {
        Sqld::shared(check).map(Self::on)
    }

    pub(crate) fn on(server: &Sqld) -> Self {
        Self {
            url: server.url(),
            admin_url: server.admin_url(),
            token: server.auth_token(),
            admin_header: server.admin_auth_header(),
            prefix: unique("t").replace('_', "x") + "_",
            metadata: unique("metadata"),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The same tenants by way of a proxy, which stands before the queries, not before the admin API.
    pub(crate) fn through(mut self, proxy: &Proxy) -> Self {
        self.url = format!("http://{}", proxy.address());
        self
    }

    pub(crate) fn cache(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn options<'a>(&'a self, cache: &'a std::path::Path) -> LibsqlOptions<'a> {
        LibsqlOptions {
            url: &self.url,
            auth_token: Some(self.token),
            admin_url: &self.admin_url,
            admin_auth_header: Some(self.admin_header),
            tenant_namespace_prefix: &self.prefix,
            metadata_namespace: &self.metadata,
            replica_cache_dir: cache,
        }
    }

    /// A provider with a cache folder of that name. Work that an earlier one carries to its end may hold the
    /// folder for a moment.
    pub(crate) async fn connect(&self, cache: &str) -> Arc<LibsqlProvider> {
        let cache = self.cache(cache);
        loop {
            match LibsqlProvider::connect(self.options(&cache)).await {
                Err(StorageError::Busy(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                connected => return Arc::new(connected.unwrap()),
            }
        }
    }

    /// The file of the replica of a tenant whose id is its own name.
    pub(crate) fn replica(&self, cache: &str, id: &str) -> PathBuf {
        self.cache(cache).join(format!("{}{id}.sqlite3", self.prefix))
    }
}

/// Where a proxy in front of the server's queries forwards to.
pub(crate) fn address(server: &Sqld) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], server.port()))
}

pub(crate) fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

pub(crate) async fn create_and_open(provider: &LibsqlProvider, id: &str) -> Arc<dyn Namespace> {
    provider.create(&tenant(id)).await.unwrap();
    provider.open(&tenant(id)).await.unwrap()
}

/// Commits one document, whose key and value are the sequence unless given.
pub(crate) async fn commit(namespace: &dyn Namespace, builder: &mut CommitBuilder, key: &str, value: &str) {
    let expected = builder.sequence();
    let changes = Space::ALL.map(|space| put(space, key, value)).to_vec();
    namespace.commit(expected, builder.group([changes])).await.unwrap();
}

pub(crate) async fn get(namespace: &dyn Namespace, key: &str) -> Result<Option<Bytes>> {
    namespace.snapshot().await?.get(Space::Documents, key.as_bytes()).await
}

/// The namespace shows what was built: head, every entry, a digest that adds up, no fault.
pub(crate) async fn assert_shows(namespace: &dyn Namespace, builder: &CommitBuilder) {
    let snapshot = namespace.snapshot().await.unwrap();
    assert_eq!(snapshot.head(), builder.head());
    let mut digest = StateDigest::default();
    for space in Space::ALL {
        let page = snapshot.scan(space, &KeyRange::all(), Direction::Forward, usize::MAX).await.unwrap();
        assert_eq!(page.entries, builder.entries(space), "{}", space.name());
        page.entries.iter().for_each(|entry| digest.add(space, &entry.key, &entry.value));
    }
    assert_eq!(digest, snapshot.head().digest);
    assert_eq!(namespace.check().await.unwrap().faults, []);
}

pub(crate) fn counter(namespace: &dyn Namespace, name: &str) -> u64 {
    let value = namespace.counters().iter().find(|figure| figure.name == name).unwrap().value;
    format!("{value}").parse().unwrap()
}

/// What an operator does with the server by hand, over plain HTTP.
pub(crate) struct Operator {
    queries: SocketAddr,
    admin: SocketAddr,
    token: String,
    admin_authorization: String,
}

impl Operator {
    pub(crate) fn of(world: &World) -> Self {
        let address = |url: &str| url.trim_start_matches("http://").parse().unwrap();
        Self {
            queries: address(&world.url),
            admin: address(&world.admin_url),
            token: format!("Bearer {}", world.token),
            admin_authorization: world.admin_header.to_owned(),
        }
    }

    pub(crate) async fn create(&self, namespace: &str) {
        let path = format!("POST /v1/namespaces/{namespace}/create");
        let (status, body) = request(self.admin, &path, &self.admin_authorization, "", "{}").await;
        assert_eq!(status, 200, "{body}");
    }

    pub(crate) async fn has(&self, namespace: &str) -> bool {
        let path = format!("GET /v1/namespaces/{namespace}/config");
        request(self.admin, &path, &self.admin_authorization, "", "").await.0 == 200
    }

    /// Carries statements out in a namespace.
    pub(crate) async fn execute(&self, namespace: &str, statements: &[String]) -> String {
        let requests: Vec<_> = statements
            .iter()
            .map(|sql| serde_json::json!({"type": "execute", "stmt": {"sql": sql}}))
            .chain([serde_json::json!({"type": "close"})])
            .collect();
        let header = format!("x-namespace-bin: {}\r\n", STANDARD_NO_PAD.encode(namespace));
        let body = serde_json::json!({ "requests": requests }).to_string();
        let (status, answer) = request(self.queries, "POST /v3/pipeline", &self.token, &header, &body).await;
        assert!(status == 200 && !answer.contains(r#""type":"error""#), "{answer}");
        answer
    }
}

/// One request on a connection of its own; the status and the whole answer.
async fn request(
    server: SocketAddr,
    line: &str,
    authorization: &str,
    headers: &str,
    body: &str,
) -> (u16, String) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n{headers}\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}
