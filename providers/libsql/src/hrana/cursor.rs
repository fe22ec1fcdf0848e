//! Rows of a reading transaction as they come, however many there are.
//!
//! Promises: memory holds a row and a piece of the network's at a time; an end that is not the
//! transaction's own end is an error. A cursor that is dropped early leaves its transaction to sqld, which
//! ends it after ten seconds. sqld limits the size of whole answers (10 MB), not of a cursor's.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use hyper::header::HeaderValue;

use super::failure::{position, refusal};
use super::protocol::{
    Batch, CursorEntry, CursorOpened, CursorRequest, CursorRow, PipelineRequest, Row, StreamRequest,
};
use super::{At, Failure, Outcome, PIPELINE, REQUEST_LIMIT, encoded};
use crate::server::Server;

/// How long the next piece of an answer may take.
const PIECE_LIMIT: Duration = REQUEST_LIMIT;
/// Longest line: a row of the largest value that sqld stores, in base64.
const LINE_BYTES: usize = 1 << 30;

/// The rows of one transaction.
pub(crate) struct Cursor {
    server: Arc<Server>,
    headers: Vec<(&'static str, HeaderValue)>,
    body: Incoming,
    unread: BytesMut,
    /// How much of `unread` is known to hold no end of a line.
    searched: usize,
    /// Statements of the transaction, without BEGIN, COMMIT and ROLLBACK.
    statements: usize,
    step: usize,
    steps_ended: usize,
    baton: Option<String>,
}

impl Cursor {
    pub(super) async fn open(
        server: &Arc<Server>,
        headers: Vec<(&'static str, HeaderValue)>,
        batch: &Batch,
    ) -> Outcome<Self> {
        let body = encoded(&CursorRequest { batch });
        let response = server.http.open(Method::POST, "/v3/cursor", &headers, body, REQUEST_LIMIT).await?;
        let status = response.status().as_u16();
        let mut cursor = Self {
            server: Arc::clone(server),
            headers,
            body: response.into_body(),
            unread: BytesMut::new(),
            searched: 0,
            statements: batch.steps.len() - 3,
            step: 0,
            steps_ended: 0,
            baton: None,
        };
        // A refusal's body is one line, too.
        let first = cursor.line().await?.unwrap_or_default();
        if status != 200 {
            return Err(refusal(status, &first));
        }
        let opened: CursorOpened = serde_json::from_slice(&first).map_err(|_| Failure::Lost)?;
        cursor.baton = opened.baton;
        Ok(cursor)
    }

    /// The next row and the index of the statement it belongs to; `None` when all have been answered.
    pub(crate) async fn next(&mut self) -> Outcome<Option<(usize, Row)>> {
        while let Some(line) = self.line().await? {
            if let Ok(CursorRow { row }) = serde_json::from_slice(&line) {
                // Step 0 is BEGIN, which answers no row.
                return Ok(Some((self.step.saturating_sub(1), row)));
            }
            match serde_json::from_slice(&line).map_err(|_| Failure::Lost)? {
                CursorEntry::StepBegin { step } => self.step = step,
                CursorEntry::StepEnd {} => self.steps_ended += 1,
                CursorEntry::StepError { step, error } => {
                    return Err(Failure::Sql {
                        at: position(step, self.statements),
                        code: error.into_code(),
                    });
                }
                CursorEntry::Error { error } => {
                    return Err(Failure::Sql { at: At::Begin, code: error.into_code() });
                }
                CursorEntry::Other => {}
            }
        }
        // BEGIN, the statements and COMMIT.
        if self.steps_ended != self.statements + 2 {
            return Err(Failure::Lost);
        }
        self.close();
        Ok(None)
    }

    /// Gives the server's connection back now, rather than after it has been idle for long enough.
    fn close(&mut self) {
        let Some(baton) = self.baton.take() else { return };
        let (server, headers) = (Arc::clone(&self.server), std::mem::take(&mut self.headers));
        tokio::spawn(async move {
            let body = PipelineRequest { baton: Some(&baton), requests: vec![StreamRequest::Close] };
            // Without an answer the server closes it by itself.
            let _ = server.http.send(Method::POST, PIPELINE, &headers, encoded(&body), PIECE_LIMIT).await;
        });
    }

    /// The next line without its end; `None` after the last.
    async fn line(&mut self) -> Outcome<Option<BytesMut>> {
        loop {
            if let Some(end) = self.unread[self.searched..].iter().position(|byte| *byte == b'\n') {
                let mut line = self.unread.split_to(self.searched + end + 1);
                line.truncate(line.len() - 1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.unread.len();
            let piece = tokio::time::timeout(PIECE_LIMIT, self.body.frame()).await;
            match piece.map_err(|_| Failure::Lost)? {
                Some(frame) => {
                    let frame = frame.map_err(|_| Failure::Lost)?;
                    self.unread.extend_from_slice(frame.data_ref().ok_or(Failure::Lost)?);
                    if self.unread.len() > LINE_BYTES {
                        return Err(Failure::Lost);
                    }
                }
                None if self.unread.is_empty() => return Ok(None),
                None => {
                    self.searched = 0;
                    return Ok(Some(self.unread.split()));
                }
            }
        }
    }
}
