//! libSQL by hand: one statement for each operation, sent to the primary as one request of the Hrana
//! protocol over HTTP (JSON, version 2), on a keep-alive connection for each writer or reader.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};

use super::Peer;
use crate::Outcome;
use crate::measure::on_threads;
use crate::work::Work;

const INSERT: &str = "INSERT INTO documents (id, grp, body) VALUES ";

/// A loaded table in a namespace of a primary.
pub(crate) struct HranaPeer<'a> {
    url: String,
    token: String,
    namespace: String,
    work: &'a Work,
}

impl<'a> HranaPeer<'a> {
    /// Makes the table in a namespace that is there, and loads the documents to start from.
    pub(crate) fn open(url: &str, token: &str, namespace: &str, work: &'a Work) -> Outcome<Self> {
        let url = format!("{}/v2/pipeline", url.trim_end_matches('/'));
        let peer = Self { url, token: token.into(), namespace: STANDARD_NO_PAD.encode(namespace), work };
        let connection = peer.connect();
        for statement in [
            "CREATE TABLE documents (id TEXT PRIMARY KEY, grp INTEGER NOT NULL, body BLOB NOT NULL) STRICT",
            "CREATE INDEX by_group ON documents (grp)",
        ] {
            connection.execute(statement, &[])?;
        }
        for numbers in Work::batches(work.documents) {
            let rows = vec!["(?, ?, ?)"; numbers.clone().count()].join(", ");
            connection.execute(&format!("{INSERT}{rows}"), &numbers.flat_map(values).collect::<Vec<_>>())?;
        }
        Ok(peer)
    }

    fn connect(&self) -> Connection<'_> {
        let agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(30))).build();
        Connection { agent: agent.into(), peer: self }
    }
}

/// The columns of the `n`-th document.
fn values(n: u64) -> [Value; 3] {
    [
        json!({"type": "text", "value": Work::id(n)}),
        json!({"type": "integer", "value": Work::group(n).to_string()}),
        json!({"type": "blob", "base64": STANDARD_NO_PAD.encode(Work::document(n).as_bytes())}),
    ]
}

struct Connection<'a> {
    agent: ureq::Agent,
    peer: &'a HranaPeer<'a>,
}

impl Connection<'_> {
    /// Runs one statement, and answers how many rows came back.
    fn execute(&self, sql: &str, arguments: &[Value]) -> Outcome<usize> {
        let execute = json!({"type": "execute", "stmt": {"sql": sql, "args": arguments}});
        let body = json!({"requests": [execute, {"type": "close"}]});
        let request = self.agent.post(&self.peer.url).header("x-namespace-bin", &self.peer.namespace);
        let request = request.header("authorization", format!("Bearer {}", self.peer.token));
        let reply =
            request.send(body.to_string())?.body_mut().with_config().limit(64 << 20).read_to_string()?;
        let reply: Value = serde_json::from_str(&reply)?;
        let result = &reply["results"][0]["response"]["result"];
        result["rows"].as_array().map(Vec::len).ok_or_else(|| format!("the primary answered {reply}").into())
    }
}

impl Peer for HranaPeer<'_> {
    fn name(&self) -> &'static str {
        "Hrana (sqld)"
    }

    fn inserts(&self, writers: u64, until: Instant) -> Outcome<u64> {
        on_threads(writers, |_| {
            let connection = self.connect();
            let mut done = 0;
            for n in self.work.fresh() {
                if Instant::now() >= until {
                    break;
                }
                connection.execute(&format!("{INSERT}(?, ?, ?)"), &values(n))?;
                done += 1;
            }
            Ok(done)
        })
    }

    fn point_reads(&self, threads: u64, until: Instant) -> Outcome<u64> {
        on_threads(threads, |thread| {
            let connection = self.connect();
            let mut done = 0;
            for n in self.work.scattered(thread) {
                if Instant::now() >= until {
                    break;
                }
                let [id, ..] = values(n);
                if connection.execute("SELECT body FROM documents WHERE id = ?", &[id])? != 1 {
                    return Err("a document is missing".into());
                }
                done += 1;
            }
            Ok(done)
        })
    }

    fn index_scans(&self, until: Instant) -> Outcome<u64> {
        let connection = self.connect();
        let mut done = 0;
        for n in self.work.scattered(0) {
            if Instant::now() >= until {
                break;
            }
            let [_, group, _] = values(n);
            if connection.execute("SELECT body FROM documents WHERE grp = ?", &[group])? == 0 {
                return Err("an index scan found nothing".into());
            }
            done += 1;
        }
        Ok(done)
    }
}
