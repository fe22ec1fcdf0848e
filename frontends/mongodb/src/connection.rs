//! One connection: messages in, commands one after the other, replies out.
//!
//! Promises: whatever a client sends or fails to send costs its own connection, and that for a bounded
//! time; why a connection ended is logged without any content. Deliberately unknown: what commands do.

mod end;
mod state;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bson::{RawDocumentBuf, rawdoc};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

pub(crate) use state::ConnectionState;

use crate::command;
use crate::door::Door;
use crate::metrics::count;
use crate::wire::{self, MESSAGE_BYTES, Message, Opcode, ReplyForm};
use end::End;
use stream::MessageStream;

/// Longest message before authentication: handshakes are far shorter, and whoever has not shown a
/// password shall not make the server hold megabytes.
const UNAUTHENTICATED_BYTES: usize = 64 * 1024;

/// Commands whose replies are never compressed, since they may hold what a password could be guessed from
/// (`compression/OP_COMPRESSED.md`).
const NEVER_COMPRESSED: [&str; 6] =
    ["hello", "isMaster", "ismaster", "saslStart", "saslContinue", "authenticate"];

/// The commands that may come as `OP_QUERY`.
const HANDSHAKES: [&str; 3] = ["hello", "isMaster", "ismaster"];

/// MongoDB's number for another command in one.
const UNSUPPORTED_OP_QUERY_COMMAND: i32 = 352;

/// Serves a connection until it ends.
pub(crate) async fn serve(door: &Arc<Door>, stream: TcpStream, peer: SocketAddr) {
    let (id, _open) = door.metrics.open_connection();
    // A stream that has no end of its own is broken, and its first read will tell so.
    let local = stream.local_addr().unwrap_or(door.address);
    let mut state = ConnectionState::new(id, peer, local, door.stopping.child_token());
    tracing::debug!(connection = id, %peer, "connected");
    let handshake = Duration::from_millis(door.options.handshake_timeout_ms);
    let end = match &door.options.tls {
        None => converse(door, &mut state, stream).await,
        Some(config) => {
            match timeout(handshake, TlsAcceptor::from(Arc::clone(config)).accept(stream)).await {
                Ok(Ok(encrypted)) => converse(door, &mut state, encrypted).await,
                Ok(Err(error)) => End::Broken(error),
                Err(_) => End::Late("the TLS handshake"),
            }
        }
    };
    // Whatever still works for this connection may stop.
    state.ended.cancel();
    end.tell(&door.metrics, id, peer);
}

async fn converse<S>(door: &Arc<Door>, state: &mut ConnectionState, stream: S) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = MessageStream::new(stream);
    let mut is_first = true;
    loop {
        let message = match next_message(door, state, &mut stream, is_first).await {
            Ok(message) => message,
            Err(end) => return end,
        };
        is_first = false;
        if let Err(end) = answer(door, state, &mut stream, message).await {
            return end;
        }
        if state.is_barred() {
            return End::Barred;
        }
    }
}

/// The next message, or why there is none.
async fn next_message<S: AsyncRead + Unpin>(
    door: &Door,
    state: &ConnectionState,
    stream: &mut MessageStream<S>,
    is_first: bool,
) -> Result<Message, End> {
    let options = &door.options;
    let patience_ms = match (is_first, state.is_authenticated()) {
        (true, _) => Some(options.handshake_timeout_ms),
        (false, false) => Some(options.unauthenticated_idle_ms),
        (false, true) => None,
    };
    let silence = async {
        match patience_ms {
            Some(patience_ms) => tokio::time::sleep(Duration::from_millis(patience_ms)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        begun = stream.begin() => begun?,
        () = state.ended.cancelled() => return Err(End::Stopping),
        () = silence => return Err(End::Silent),
    }
    let limit_bytes = if state.is_authenticated() { MESSAGE_BYTES } else { UNAUTHENTICATED_BYTES };
    let whole = timeout(Duration::from_millis(options.message_timeout_ms), stream.message(limit_bytes)).await;
    let (header, body) = whole.map_err(|_| End::Late("a message"))??;
    count(&door.metrics.received_bytes_total, header.message_bytes as u64);
    Ok(wire::decode(&header, &body)?)
}

/// Runs what the message asks for and sends the reply, if one is expected.
async fn answer<S>(
    door: &Arc<Door>,
    state: &mut ConnectionState,
    stream: &mut MessageStream<S>,
    message: Message,
) -> Result<(), End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Message { request_id, expects_reply, mut reply_form, request } = message;
    let reply = match request {
        Ok(request) => {
            let name = command::name(&request);
            door.metrics.count_command(name);
            if NEVER_COMPRESSED.contains(&name) {
                reply_form.compressor = None;
            }
            if reply_form.opcode == Opcode::Query && !HANDSHAKES.contains(&name) {
                let message = format!("OP_QUERY is served for a handshake only, and {name} is none");
                error_reply(UNSUPPORTED_OP_QUERY_COMMAND, "UnsupportedOpQueryCommand", &message)
            } else {
                run(door, state, stream, request).await
            }
        }
        Err(refusal) => {
            let (code, name) = refusal.code();
            error_reply(code, name, &refusal.to_string())
        }
    };
    if state.is_cut.load(Ordering::Relaxed) {
        return Err(End::Stopping);
    }
    if expects_reply { send(door, stream, reply_form, request_id, &reply).await } else { Ok(()) }
}

/// The reply to what never becomes a command.
fn error_reply(code: i32, name: &str, message: &str) -> RawDocumentBuf {
    rawdoc! { "ok": 0.0, "errmsg": message, "code": code, "codeName": name }
}

/// Runs a command, and tells it when the client goes away meanwhile. It is told and not dropped: what it
/// has begun it has to bring to an end.
async fn run<S: AsyncRead + Unpin>(
    door: &Arc<Door>,
    state: &mut ConnectionState,
    stream: &mut MessageStream<S>,
    request: wire::Request,
) -> RawDocumentBuf {
    let ended = state.ended.clone();
    let running = command::run(door, state, request);
    tokio::pin!(running);
    tokio::select! {
        biased;
        reply = &mut running => return reply,
        () = stream.closed() => ended.cancel(),
    }
    running.await
}

async fn send<S: AsyncWrite + Unpin>(
    door: &Door,
    stream: &mut MessageStream<S>,
    form: ReplyForm,
    request_id: i32,
    reply: &RawDocumentBuf,
) -> Result<(), End> {
    let bytes = wire::encode_reply(form, door.next_reply_id(), request_id, reply);
    let patience = Duration::from_millis(door.options.message_timeout_ms);
    timeout(patience, stream.write(&bytes)).await.map_err(|_| End::Late("taking a reply"))??;
    count(&door.metrics.sent_bytes_total, bytes.len() as u64);
    Ok(())
}
