//! The messages of Hrana over HTTP that are used here: a pipeline of one batch, and a cursor.
//!
//! Source: `libsql/docs/HRANA_3_SPEC.md`, "Hrana over HTTP". Deliberately unknown: what the SQL does.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::Value;

/// A statement with its arguments.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Statement {
    pub(crate) sql: Cow<'static, str>,
    pub(crate) args: Vec<Value>,
}

impl Statement {
    /// A statement of fixed text.
    pub(crate) fn new(sql: impl Into<Cow<'static, str>>, args: impl Into<Vec<Value>>) -> Self {
        Self { sql: sql.into(), args: args.into() }
    }
}

/// When a step of a batch is carried out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Condition {
    /// The step of that number went well.
    Ok(usize),
    /// A transaction is open.
    InTransaction,
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct IsAutocommit {
            r#type: &'static str,
        }
        let mut out = serializer.serialize_map(Some(2))?;
        match self {
            Self::Ok(step) => {
                out.serialize_entry("type", "ok")?;
                out.serialize_entry("step", step)?;
            }
            Self::InTransaction => {
                out.serialize_entry("type", "not")?;
                out.serialize_entry("cond", &IsAutocommit { r#type: "is_autocommit" })?;
            }
        }
        out.end()
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) stmt: Statement,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) condition: Option<Condition>,
}

#[derive(Debug, Serialize)]
pub(super) struct Batch {
    pub(super) steps: Vec<Step>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum StreamRequest<'a> {
    Batch { batch: &'a Batch },
    Close,
}

#[derive(Serialize)]
pub(super) struct PipelineRequest<'a> {
    pub(super) baton: Option<&'a str>,
    pub(super) requests: Vec<StreamRequest<'a>>,
}

#[derive(Serialize)]
pub(super) struct CursorRequest<'a> {
    pub(super) batch: &'a Batch,
}

#[derive(Deserialize)]
pub(super) struct PipelineResponse {
    pub(super) results: Vec<StreamResult>,
}

/// What became of one request of a pipeline.
#[derive(Deserialize)]
pub(super) struct StreamResult {
    pub(super) response: Option<StreamResponse>,
    pub(super) error: Option<WireError>,
}

#[derive(Deserialize)]
pub(super) struct StreamResponse {
    pub(super) result: Option<BatchResult>,
}

#[derive(Deserialize)]
pub(super) struct BatchResult {
    pub(super) step_results: Vec<Option<StepResult>>,
    pub(super) step_errors: Vec<Option<WireError>>,
}

/// The columns of one row.
pub(crate) type Row = Vec<Value>;

/// What a statement answered.
#[derive(Debug, Deserialize)]
pub(crate) struct StepResult {
    /// Its rows.
    pub(crate) rows: Vec<Row>,
}

/// A server's error. Its message may quote data and is read only where it is compared with a fixed text.
#[derive(Deserialize)]
pub(super) struct WireError {
    #[serde(default)]
    pub(super) code: Option<String>,
}

/// One line of a cursor's answer after the first.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum CursorEntry {
    StepBegin {
        step: usize,
    },
    StepEnd {},
    StepError {
        step: usize,
        error: WireError,
    },
    Error {
        error: WireError,
    },
    #[serde(other)]
    Other,
}

/// The first line of a cursor's answer.
#[derive(Deserialize)]
pub(super) struct CursorOpened {
    pub(super) baton: Option<String>,
}

/// A line of a cursor's answer that holds a row; tried first, because nearly all do.
#[derive(Deserialize)]
pub(super) struct CursorRow {
    pub(super) row: Row,
}

/// The body of an answer whose status is no success.
#[derive(Deserialize)]
pub(super) struct HttpError {
    #[serde(default)]
    pub(super) error: String,
}
