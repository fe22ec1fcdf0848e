//! A client of Hrana over HTTP (`libsql/docs/HRANA_3_SPEC.md`) for one namespace of an sqld server.
//!
//! Promises: a transaction is one request, carried out wholly or not at all, and ends within its time
//! limit; an error says whether the transaction can have been committed. Errors hold the server's error
//! code and never its message, which may quote data. Deliberately unknown: what the SQL does.

mod columns;
mod cursor;
mod failure;
mod protocol;
mod value;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderValue;
use nimbus_namespace::remote::NamespaceName;
use nimbus_namespace::{Result, StorageError};
use tokio::time::Instant;

use self::failure::{position, refusal};
use self::protocol::{Batch, BatchResult, Condition, PipelineRequest, PipelineResponse, Step, StreamRequest};
use crate::http::{Answered, Unanswered};
use crate::server::Server;

pub(crate) use self::columns::Columns;
pub(crate) use self::cursor::Cursor;
pub(crate) use self::failure::{At, Failure, Outcome, is_missing_namespace};
pub(crate) use self::protocol::{Row, Statement, StepResult};
pub(crate) use self::value::Value;

/// How long a transaction may take, its answer included.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(20);
/// How much longer it may take for each MiB that is sent.
const TRANSFER_LIMIT_A_MIB: Duration = Duration::from_millis(250);
/// How long reading where the head is may take before the primary counts as away.
pub(crate) const HEAD_LIMIT: Duration = Duration::from_secs(5);

const PIPELINE: &str = "/v3/pipeline";
/// How often, and after what pause, a request is sent again that the server has not looked at: because it
/// had too many, or because it says that a namespace that is there is not.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// How a transaction begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// It only reads, at one state.
    Read,
    /// It takes the write lock at once.
    Write,
}

/// Figures that only grow.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Requests sent.
    pub(crate) round_trips: AtomicU64,
    /// Statements sent, BEGIN and COMMIT included.
    pub(crate) statements: AtomicU64,
}

impl StepResult {
    /// The columns of the first row; `Corruption` when there is none.
    pub(crate) fn first_row(self) -> Result<Columns> {
        let missing = || StorageError::Corruption("a row on the libSQL primary is missing".into());
        self.rows.into_iter().next().map(Columns::from).ok_or_else(missing)
    }
}

/// One namespace of a server.
pub(crate) struct Database {
    server: Arc<Server>,
    name: NamespaceName,
    /// Names the namespace: `x-namespace-bin`, base64 without padding.
    header: HeaderValue,
    traffic: Traffic,
}

impl Database {
    pub(crate) fn new(server: Arc<Server>, name: NamespaceName) -> Result<Self> {
        let header = HeaderValue::from_str(&STANDARD_NO_PAD.encode(name.as_str()))
            .map_err(|_| StorageError::Corruption("a namespace's name is malformed".into()))?;
        Ok(Self { server, name, header, traffic: Traffic::default() })
    }

    pub(crate) fn name(&self) -> &NamespaceName {
        &self.name
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Carries `statements` out in one transaction and one round trip. Answers one result for each.
    pub(crate) async fn transact(
        &self,
        begin: Begin,
        statements: Vec<Statement>,
        limit: Duration,
    ) -> Outcome<Vec<StepResult>> {
        let (count, batch) = (statements.len(), transaction(begin, statements));
        let body = encoded(&PipelineRequest {
            baton: None,
            requests: vec![StreamRequest::Batch { batch: &batch }, StreamRequest::Close],
        });
        let limit = limit + TRANSFER_LIMIT_A_MIB * (body.len() >> 20) as u32;
        let mut failure = Failure::Withheld;
        for _ in 0..TRIES {
            self.count(batch.steps.len());
            let sent =
                self.server.http.send(Method::POST, PIPELINE, &self.headers(), body.clone(), limit).await;
            let result = answered(sent).and_then(|body| result_of(&body, count));
            self.server.contact.note(&result);
            match result {
                Ok(results) => return Ok(results),
                Err(error) => failure = self.wait_to_retry(error).await?,
            }
        }
        Err(failure)
    }

    /// Reads with `statements` at one state, in one round trip. Asks once more when the answer is lost and
    /// there is time left.
    pub(crate) async fn read(&self, statements: Vec<Statement>, limit: Duration) -> Outcome<Vec<StepResult>> {
        let began = Instant::now();
        let first = self.transact(Begin::Read, statements.clone(), limit).await;
        let left = limit.saturating_sub(began.elapsed());
        match first {
            Err(Failure::Lost) if !left.is_zero() => self.transact(Begin::Read, statements, left).await,
            result => result,
        }
    }

    /// Carries `statements` out in one reading transaction and streams their rows.
    pub(crate) async fn stream(&self, statements: Vec<Statement>) -> Outcome<Cursor> {
        let batch = transaction(Begin::Read, statements);
        let mut failure = Failure::Withheld;
        for _ in 0..TRIES {
            self.count(batch.steps.len());
            let opened = Cursor::open(&self.server, self.headers().into(), &batch).await;
            self.server.contact.note(&opened);
            match opened {
                Ok(cursor) => return Ok(cursor),
                Err(error) => failure = self.wait_to_retry(error).await?,
            }
        }
        Err(failure)
    }

    /// Waits until a request that the server has not looked at may be sent again, and answers what to say
    /// after the last time. Any other failure is handed back.
    async fn wait_to_retry(&self, failure: Failure) -> Outcome<Failure> {
        match failure {
            Failure::NoNamespace => {
                self.require_presence().await?;
                Ok(Failure::Withheld)
            }
            // Whoever still talks to a namespace that is being deleted finds its tables missing.
            failure if failure.is_statement_refused() => {
                self.require_presence().await?;
                Err(failure)
            }
            Failure::Throttled => {
                tokio::time::sleep(PAUSE).await;
                Ok(Failure::Throttled)
            }
            failure => Err(failure),
        }
    }

    /// Asks the admin API, which knows, whether a namespace that a query did not find is there: sqld keeps a
    /// number of namespaces active (`--max-active-namespaces`), and one that is just being put away is
    /// not found by whoever comes at that moment. `Ok`, after a pause, when it is there.
    async fn require_presence(&self) -> Outcome<()> {
        match self.server.admin.exists(self.name.as_str()).await {
            Ok(true) => {
                tokio::time::sleep(PAUSE).await;
                Ok(())
            }
            Ok(false) => Err(Failure::NoNamespace),
            Err(_) => Err(Failure::Unreachable),
        }
    }

    fn headers(&self) -> [(&'static str, HeaderValue); 1] {
        [("x-namespace-bin", self.header.clone())]
    }

    fn count(&self, statements: usize) {
        self.traffic.round_trips.fetch_add(1, Ordering::Relaxed);
        self.traffic.statements.fetch_add(statements as u64, Ordering::Relaxed);
    }
}

fn answered(sent: std::result::Result<Answered, Unanswered>) -> Outcome<Bytes> {
    match sent {
        Ok(Answered { status: 200, body }) => Ok(body),
        Ok(Answered { status, body }) => Err(refusal(status, &body)),
        Err(unanswered) => Err(unanswered.into()),
    }
}

/// BEGIN, each statement if the one before went well, COMMIT, and ROLLBACK if that was not reached.
fn transaction(begin: Begin, statements: Vec<Statement>) -> Batch {
    let begin = match begin {
        Begin::Read => "BEGIN",
        Begin::Write => "BEGIN IMMEDIATE",
    };
    let fixed = |sql: &'static str| Statement::new(sql, []);
    let mut steps = vec![Step { stmt: fixed(begin), condition: None }];
    for stmt in statements.into_iter().chain([fixed("COMMIT")]) {
        let condition = Some(Condition::Ok(steps.len() - 1));
        steps.push(Step { stmt, condition });
    }
    steps.push(Step { stmt: fixed("ROLLBACK"), condition: Some(Condition::InTransaction) });
    Batch { steps }
}

/// Reads the answer to a transaction of `count` statements.
fn result_of(body: &[u8], count: usize) -> Outcome<Vec<StepResult>> {
    let response: PipelineResponse = serde_json::from_slice(body).map_err(|_| Failure::Lost)?;
    let batch = response.results.into_iter().next().ok_or(Failure::Lost)?;
    if let Some(error) = batch.error {
        // The batch as a whole failed, perhaps after its COMMIT.
        return Err(Failure::Sql { at: At::Commit, code: error.into_code() });
    }
    let Some(BatchResult { step_results, step_errors }) = batch.response.and_then(|response| response.result)
    else {
        return Err(Failure::Lost);
    };
    let failed = step_errors.into_iter().enumerate().find_map(|(step, error)| Some((step, error?)));
    if let Some((step, error)) = failed {
        return Err(Failure::Sql { at: position(step, count), code: error.into_code() });
    }
    let carried_out: Vec<StepResult> = step_results.into_iter().flatten().collect();
    // BEGIN, the statements and COMMIT; ROLLBACK was skipped.
    if carried_out.len() != count + 2 {
        return Err(Failure::Lost);
    }
    Ok(carried_out.into_iter().skip(1).take(count).collect())
}

/// A request's body; none of the messages can fail to be written.
fn encoded(message: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(message).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Admin;
    use crate::contact::Contact;
    use crate::endpoint::Endpoint;
    use crate::http::HttpClient;

    fn batch(results: &str, errors: &str) -> String {
        format!(
            r#"{{"baton":null,"results":[{{"type":"ok","response":{{"type":"batch","result":
            {{"step_results":[{results}],"step_errors":[{errors}]}}}}}},{{"type":"ok","response":{{"type":"close"}}}}]}}"#
        )
    }

    /// A server that answers each request, of which `answer` sees the beginning, with a status and a body.
    async fn server_that_answers(
        answer: impl Fn(&str) -> (&'static str, String) + Send + 'static,
    ) -> Arc<Server> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 8192];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let (status, body) = answer(&String::from_utf8_lossy(&request[..length]));
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}", body.len());
                let answer = format!("{head}\r\nConnection: close\r\n\r\n{body}");
                let _gone = stream.write_all(answer.as_bytes()).await;
            }
        });
        let client = || HttpClient::new(Endpoint::parse(&url).unwrap(), None).unwrap();
        Arc::new(Server { http: client(), admin: Admin::new(client()), contact: Contact::default() })
    }

    fn database(server: &Arc<Server>) -> Database {
        Database::new(Arc::clone(server), NamespaceName::stored("tenant_acme").unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_server_that_takes_no_more_requests_is_busy_and_not_away() {
        let server = server_that_answers(|_| ("429 Too Many Requests", String::new())).await;
        let database = database(&server);
        let refused = database.transact(Begin::Write, Vec::new(), REQUEST_LIMIT).await;
        assert_eq!(refused.unwrap_err(), Failure::Throttled);
        assert_eq!(database.stream(Vec::new()).await.err(), Some(Failure::Throttled));
        assert!(server.contact.is_reachable());
    }

    /// Whoever still talks to a namespace that is being deleted finds its tables missing.
    #[tokio::test]
    async fn a_missing_table_is_damage_only_while_its_namespace_is_there() {
        for is_there in [false, true] {
            let answer = move |request: &str| {
                let gone = r#"{"error":"Namespace `tenant_acme` doesn't exist"}"#.to_owned();
                if request.starts_with("POST") {
                    let missing = r#"{"message":"no such table: head","code":"SQLITE_UNKNOWN"}"#;
                    ("200 OK", batch(&format!("{DONE},null,null,null"), &format!("null,{missing},null,null")))
                } else if is_there {
                    ("200 OK", "{}".to_owned())
                } else {
                    ("404 Not Found", gone)
                }
            };
            let database = database(&server_that_answers(answer).await);
            let statement = vec![Statement::new("SELECT sequence FROM head", [])];
            let failure = database.transact(Begin::Write, statement, REQUEST_LIMIT).await.unwrap_err();
            let told = StorageError::from(failure);
            assert_eq!(matches!(told, StorageError::Corruption(_)), is_there, "{told}");
            assert_eq!(matches!(told, StorageError::NotFound), !is_there, "{told}");
        }
    }

    const DONE: &str = r#"{"cols":[],"rows":[],"affected_row_count":0}"#;

    #[test]
    fn only_a_commit_that_was_carried_out_is_a_result() {
        let row = r#"{"cols":[],"rows":[[{"type":"integer","value":"7"}]],"affected_row_count":1}"#;
        let whole = batch(&format!("{DONE},{row},{DONE},null"), "null,null,null,null");
        assert_eq!(result_of(whole.as_bytes(), 1).unwrap()[0].rows, [[Value::Integer(7)]]);
        let skipped = batch(&format!("{DONE},{row},null,null"), "null,null,null,null");
        assert_eq!(result_of(skipped.as_bytes(), 1).unwrap_err(), Failure::Lost);
        assert_eq!(result_of(&whole.as_bytes()[..whole.len() / 2], 1).unwrap_err(), Failure::Lost);
        let refused = r#"{"results":[{"type":"error","error":{"message":"m","code":"RESPONSE_TOO_LARGE"}}]}"#;
        assert!(result_of(refused.as_bytes(), 1).unwrap_err().is_uncertain());
    }

    #[test]
    fn a_failed_step_is_told_by_its_place_and_code() {
        let failed_at = |step: usize| {
            let errors: Vec<_> =
                (0..4)
                    .map(|at| {
                        if at == step { r#"{"message":"secret","code":"SQLITE_CONSTRAINT"}"# } else { "null" }
                    })
                    .collect();
            result_of(batch(DONE, &errors.join(",")).as_bytes(), 1).unwrap_err()
        };
        assert!(failed_at(1).is_constraint_at(0) && !failed_at(1).is_uncertain());
        assert!(matches!(failed_at(0), Failure::Sql { at: At::Begin, .. }));
        assert!(failed_at(2).is_uncertain(), "COMMIT itself");
        assert!(!StorageError::from(failed_at(1)).to_string().contains("secret"));
    }
}
