//! A client of Hrana over HTTP (`libsql/docs/HRANA_3_SPEC.md`) for one namespace of an sqld server.
//!
//! Promises: a transaction is one request, carried out wholly or not at all, and ends within its time
//! limit; an error says whether the transaction can have been committed. Errors hold the server's error
//! code and never its message, which may quote data. Deliberately unknown: what the SQL does.

mod columns;
mod cursor;
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

use self::protocol::{
    Batch, BatchResult, Condition, HttpError, PipelineRequest, PipelineResponse, Step, StreamRequest,
    WireError,
};
use crate::http::{Answered, Unanswered};
use crate::server::Server;

pub(crate) use self::columns::Columns;
pub(crate) use self::cursor::Cursor;
pub(crate) use self::protocol::{Row, Statement, StepResult};
pub(crate) use self::value::Value;

/// How long a transaction may take, its answer included.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(20);
/// How much longer it may take for each MiB that is sent.
const TRANSFER_LIMIT_A_MIB: Duration = Duration::from_millis(250);
/// How long reading where the head is may take before the primary counts as away.
pub(crate) const HEAD_LIMIT: Duration = Duration::from_secs(5);

const PIPELINE: &str = "/v3/pipeline";
/// How often, and after what pause, a namespace that is there is asked again when sqld says that it is not.
const PRESENCE_TRIES: usize = 20;
const PRESENCE_PAUSE: Duration = Duration::from_millis(50);

/// How a transaction begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// It only reads, at one state.
    Read,
    /// It takes the write lock at once.
    Write,
}

/// Where in a transaction a statement failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Before the first statement.
    Begin,
    /// At the statement of that index.
    Statement(usize),
    /// At COMMIT: what became of the transaction is not known.
    Commit,
}

/// Why a transaction has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server could not be reached; nothing was done.
    Unreachable,
    /// There is no answer, or none that says: the transaction may have been committed, or may yet be.
    Lost,
    /// The namespace does not exist (any more).
    NoNamespace,
    /// The namespace exists, and the server answers as if it did not; nothing was done.
    Withheld,
    /// The credentials were refused; nothing was done.
    Denied,
    /// The server takes no more requests for the moment; nothing was done.
    Throttled,
    /// A statement failed and the transaction was rolled back, unless it was COMMIT itself.
    Sql {
        /// Which it was.
        at: At,
        /// sqld's code, such as `SQLITE_BUSY`.
        code: String,
    },
}

impl Failure {
    /// Whether the transaction can have been committed, or may yet be.
    pub(crate) fn is_uncertain(&self) -> bool {
        matches!(self, Self::Lost | Self::Sql { at: At::Commit, .. })
    }

    /// Whether a constraint failed at the statement of that index.
    pub(crate) fn is_constraint_at(&self, index: usize) -> bool {
        matches!(self, Self::Sql { at: At::Statement(at), code } if *at == index && code.starts_with("SQLITE_CONSTRAINT"))
    }
}

impl From<Failure> for StorageError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable => Self::Unavailable("the libSQL primary cannot be reached".into()),
            Failure::Lost => Self::Unavailable("the libSQL primary did not answer".into()),
            Failure::NoNamespace => Self::NotFound,
            Failure::Withheld => Self::Unavailable(
                "the libSQL primary withholds a namespace that it has; the auth token may not cover it"
                    .into(),
            ),
            Failure::Denied => Self::Unavailable("the libSQL primary refuses the credentials".into()),
            Failure::Throttled => Self::Busy("the libSQL primary takes no more requests".into()),
            Failure::Sql { code, .. } => from_code(&code),
        }
    }
}

/// Codes as `libsql-server/src/hrana/stmt.rs` and `batch.rs` write them.
fn from_code(code: &str) -> StorageError {
    let text = format!("the libSQL primary answered {code}");
    match code {
        "SQLITE_BUSY" | "SQLITE_LOCKED" | "TRANSACTION_BUSY" => StorageError::Busy(text),
        "SQLITE_TOOBIG" | "ARGS_INVALID" => StorageError::Refused(text),
        "BLOCKED" | "SQLITE_READONLY" | "SQLITE_AUTH" | "SQLITE_PERM" => StorageError::Unavailable(text),
        // SQLITE_UNKNOWN is SQLITE_ERROR: the statements are fixed, so the tables must be at fault.
        "SQLITE_CORRUPT" | "SQLITE_NOTADB" | "SQLITE_CONSTRAINT" | "SQLITE_MISMATCH" | "SQLITE_UNKNOWN" => {
            StorageError::Corruption(text)
        }
        _ => StorageError::Transient(text),
    }
}

impl WireError {
    /// The code, held to the shape of codes so that nothing else of an answer is ever printed.
    fn into_code(self) -> String {
        let is_code = |code: &String| {
            let known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
            code.len() <= 64 && code.bytes().all(known)
        };
        self.code.filter(is_code).unwrap_or_else(|| "an error without a code".into())
    }
}

/// The result of a transaction.
pub(crate) type Outcome<T> = std::result::Result<T, Failure>;

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
        for _ in 0..PRESENCE_TRIES {
            self.count(batch.steps.len());
            let sent =
                self.server.http.send(Method::POST, PIPELINE, &self.headers(), body.clone(), limit).await;
            let result = answered(sent).and_then(|body| result_of(&body, count));
            self.server.contact.note(&result);
            match result {
                Err(Failure::NoNamespace) => self.require_presence().await?,
                result => return result,
            }
        }
        Err(Failure::Withheld)
    }

    /// Reads with `statements` at one state, in one round trip. Asks once more when the answer is lost.
    pub(crate) async fn read(&self, statements: Vec<Statement>, limit: Duration) -> Outcome<Vec<StepResult>> {
        match self.transact(Begin::Read, statements.clone(), limit).await {
            Err(Failure::Lost) => self.transact(Begin::Read, statements, limit).await,
            result => result,
        }
    }

    /// Carries `statements` out in one reading transaction and streams their rows.
    pub(crate) async fn stream(&self, statements: Vec<Statement>) -> Outcome<Cursor> {
        let batch = transaction(Begin::Read, statements);
        for _ in 0..PRESENCE_TRIES {
            self.count(batch.steps.len());
            let opened = Cursor::open(&self.server, self.headers().into(), &batch).await;
            self.server.contact.note(&opened);
            match opened {
                Err(Failure::NoNamespace) => self.require_presence().await?,
                opened => return opened,
            }
        }
        Err(Failure::Withheld)
    }

    /// Asks the admin API, which knows, whether a namespace that a query did not find is there: sqld keeps a
    /// number of namespaces active (`--max-active-namespaces`), and one that is just being put away is
    /// not found by whoever comes at that moment. `Ok`, after a pause, when it is there.
    async fn require_presence(&self) -> Outcome<()> {
        match self.server.admin.exists(self.name.as_str()).await {
            Ok(true) => {
                tokio::time::sleep(PRESENCE_PAUSE).await;
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
        Err(Unanswered::Unreachable) => Err(Failure::Unreachable),
        Err(Unanswered::Lost) => Err(Failure::Lost),
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

/// What a step of a transaction of `count` statements is.
fn position(step: usize, count: usize) -> At {
    match step {
        0 => At::Begin,
        step if step <= count => At::Statement(step - 1),
        _ => At::Commit,
    }
}

/// What an answer without success says.
fn refusal(status: u16, body: &[u8]) -> Failure {
    match status {
        401 | 403 => Failure::Denied,
        429 => Failure::Throttled,
        404 if is_missing_namespace(body) => Failure::NoNamespace,
        _ => Failure::Lost,
    }
}

/// Whether an answer says that there is no such namespace, in sqld's words: a proxy in between may
/// answer 404 for reasons of its own.
pub(crate) fn is_missing_namespace(body: &[u8]) -> bool {
    serde_json::from_slice::<HttpError>(body).is_ok_and(|body| body.error.ends_with("doesn't exist"))
}

/// A request's body; none of the messages can fail to be written.
fn encoded(message: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(message).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(results: &str, errors: &str) -> String {
        format!(
            r#"{{"baton":null,"results":[{{"type":"ok","response":{{"type":"batch","result":
            {{"step_results":[{results}],"step_errors":[{errors}]}}}}}},{{"type":"ok","response":{{"type":"close"}}}}]}}"#
        )
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

    #[test]
    fn codes_of_another_shape_are_not_repeated() {
        let code = |text: &str| WireError { code: Some(text.into()) }.into_code();
        assert_eq!(code("SQLITE_BUSY"), "SQLITE_BUSY");
        assert!(!code("near \"secret\"").contains("secret"));
    }

    #[test]
    fn statuses_become_what_they_mean() {
        assert_eq!(refusal(404, br#"{"error":"Namespace `a` doesn't exist"}"#), Failure::NoNamespace);
        assert_eq!(refusal(404, b"<html>not found</html>"), Failure::Lost);
        assert_eq!(refusal(401, b""), Failure::Denied);
        assert_eq!(refusal(500, b""), Failure::Lost);
    }
}
