//! A blocking HTTP client for one server, with the few calls that most suites share.
//!
//! Promises: every status is a [`Reply`], only a broken connection is an error; connections are kept
//! and a clone shares them, so threads can each take a clone. For requests that no proper client would
//! send see [`exchange`](crate::exchange).

use serde_json::{Value, json};
use ureq::http::Request;

use crate::server::PATIENCE;

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
    url: String,
    token: Option<String>,
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body; bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in a reply {}: {:?}", self.status, self.body))
    }

    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Holds the reply to a status.
    ///
    /// # Panics
    /// When it has another one, with the body.
    #[allow(clippy::return_self_not_must_use, reason = "often the status is all that matters")]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "the reply was {}", self.body);
        self
    }
}

impl Client {
    /// A client of the server at `url` (no trailing slash).
    pub fn new(url: String, token: Option<String>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .max_idle_connections(128)
            .max_idle_connections_per_host(128)
            .build();
        Self { agent: config.into(), url, token }
    }

    /// The same server with another token, or none.
    #[must_use]
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self.clone() }
    }

    /// Sends a request; an error means that the connection broke or nothing came back.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, ureq::Error> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string())?)
            }
            None if matches!(method, "POST" | "PUT" | "PATCH") => {
                self.agent.run(request.body(String::new())?)
            }
            None => self.agent.run(request.body(())?),
        };
        read(response?)
    }

    /// Sends a request.
    ///
    /// # Panics
    /// When the connection breaks.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Reply {
        self.try_send(method, path, headers, body)
            .unwrap_or_else(|error| panic!("no answer to {method} {path}: {error}"))
    }

    /// GET.
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], None)
    }

    /// POST with a JSON body.
    #[allow(clippy::needless_pass_by_value, reason = "callers write the body in place with json!")]
    pub fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, &[], Some(&body))
    }

    /// PUT with a JSON body.
    #[allow(clippy::needless_pass_by_value, reason = "callers write the body in place with json!")]
    pub fn put(&self, path: &str, body: Value) -> Reply {
        self.send("PUT", path, &[], Some(&body))
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], None)
    }

    /// Makes a tenant.
    pub fn create_tenant(&self, tenant: &str) {
        self.post("/api/tenants", json!({ "id": tenant })).expect_status(201);
    }

    /// The list of tenants, as the server orders it.
    pub fn tenants(&self) -> Vec<String> {
        let list = self.get("/api/tenants").expect_status(200).json();
        let list = list["tenants"].as_array().expect("a list of tenants");
        list.iter().map(|id| id.as_str().expect("an id is a string").to_owned()).collect()
    }

    /// Inserts a document and returns its id.
    pub fn insert(&self, tenant: &str, table: &str, fields: &Value) -> String {
        let body = json!({ "table": table, "fields": fields });
        let reply = self.post(&format!("/api/tenants/{tenant}/documents"), body).expect_status(201);
        reply.json()["id"].as_str().expect("the id of a new document is a string").to_owned()
    }

    /// Reads one document, which must be there.
    pub fn document(&self, tenant: &str, table: &str, id: &str) -> Value {
        let reply = self.get(&format!("/api/tenants/{tenant}/documents/{table}/{id}")).expect_status(200);
        reply.json()["document"].clone()
    }

    /// All documents of a table, read page by page.
    pub fn documents(&self, tenant: &str, table: &str) -> Vec<Value> {
        let mut documents = Vec::new();
        let mut body = json!({"query": {"table": table, "filters": []}, "page_size": 500});
        loop {
            let reply = self.post(&format!("/api/tenants/{tenant}/query/paginated"), body.clone());
            let page = reply.expect_status(200).json();
            documents.extend(page["data"].as_array().expect("a list of documents").iter().cloned());
            if page["has_more"] != true {
                return documents;
            }
            body["after"] = page["next_cursor"].clone();
        }
    }

    /// The consistency report.
    pub fn consistency(&self, tenant: &str) -> Value {
        self.get(&format!("/debug/tenants/{tenant}/consistency")).expect_status(200).json()
    }

    /// Holds a tenant to a consistent state.
    ///
    /// # Panics
    /// When the report says otherwise.
    pub fn assert_consistent(&self, tenant: &str) {
        let report = self.consistency(tenant);
        assert_eq!(report["ok"], true, "tenant {tenant} is not consistent: {report}");
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Reply, ureq::Error> {
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let body = response.body_mut().with_config().limit(u64::MAX).read_to_vec()?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Reply { status: response.status().as_u16(), headers, body })
}
