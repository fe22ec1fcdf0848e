//! Replies that are a cursor: the first batch, and the id to ask for more.
//!
//! Promises: a cursor is kept only if there is more to read. Deliberately unknown: where documents come from.

use bson::{RawDocumentBuf, cstr, rawdoc};

use crate::batch::Source;
use crate::call::Call;
use crate::cursors::Owner;
use crate::error::Result;
use crate::{registries, snapshot};

/// How a cursor is opened.
pub(super) struct Opening {
    /// `database.collection`, under which it is asked for more.
    pub(super) namespace: String,
    /// Documents of the first batch.
    pub(super) batch_documents: usize,
    /// Whether the first batch is the only one.
    pub(super) single_batch: bool,
    /// Whether it is kept however long nobody reads.
    pub(super) no_timeout: bool,
}

impl Opening {
    /// A cursor that ends when it is not read.
    pub(super) fn new(namespace: String, batch_documents: usize) -> Self {
        Self { namespace, batch_documents, single_batch: false, no_timeout: false }
    }
}

/// Reads the first batch and keeps the rest.
pub(super) async fn open(call: &mut Call<'_>, source: Source, opening: Opening) -> Result<RawDocumentBuf> {
    let mut source = source.of_snapshot(snapshot::of_call(call).await?);
    let (batch, is_last) = source.fill(call.access().await?, opening.batch_documents).await?;
    let (token, time) = (source.resume_token(), source.snapshot());
    let id = if is_last || opening.single_batch {
        0
    } else {
        registries::keep_swept(call.door);
        let owner = owner(call, opening.namespace.clone(), opening.no_timeout);
        let randomness = &*call.door.options.randomness;
        call.door.registries.cursors.insert(owner, source, randomness, call.now_us())?
    };
    let mut cursor = RawDocumentBuf::new();
    cursor.append(cstr!("firstBatch"), batch.into_array());
    if let Some(token) = token {
        cursor.append(cstr!("postBatchResumeToken"), token);
    }
    if let Some(time) = time {
        cursor.append(cstr!("atClusterTime"), time);
    }
    cursor.append(cstr!("id"), id);
    cursor.append(cstr!("ns"), opening.namespace);
    Ok(rawdoc! { "cursor": cursor })
}

/// Who may read on: the session and transaction of the call.
pub(super) fn owner(call: &Call<'_>, namespace: String, no_timeout: bool) -> Owner {
    Owner {
        tenant: call.tenant_id().clone(),
        namespace,
        session: call.generic.session,
        transaction: call.transaction().map(|(_, number)| number),
        connection: call.connection.id,
        no_timeout,
    }
}
