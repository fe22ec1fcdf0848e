//! Messages on a byte stream.
//!
//! Promises: memory grows with what has arrived, never with a length that was only declared. Deliberately
//! unknown: what is in messages, how long to wait.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::end::End;
use crate::wire::{HEADER_BYTES, Header};

/// Room made for one read.
const CHUNK_BYTES: usize = 64 * 1024;
/// Most bytes read ahead while a command runs, to notice that the client is gone.
const READ_AHEAD_BYTES: usize = 16 * 1024;
/// Room for what most clients send at once.
const FIRST_CHUNK_BYTES: usize = 1024;

/// See the module's text.
pub(super) struct MessageStream<S> {
    stream: S,
    /// Bytes that have arrived and belong to no message that was handed out.
    buffer: BytesMut,
}

impl<S> MessageStream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }
}

impl<S: AsyncRead + Unpin> MessageStream<S> {
    /// Waits until a message has begun. Nothing is lost when the caller stops waiting.
    pub(super) async fn begin(&mut self) -> Result<(), End> {
        if self.buffer.is_empty() && self.read(FIRST_CHUNK_BYTES).await? == 0 {
            return Err(End::Closed);
        }
        Ok(())
    }

    /// The message that has begun.
    pub(super) async fn message(&mut self, limit_bytes: usize) -> Result<(Header, Bytes), End> {
        self.fill(HEADER_BYTES).await?;
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&self.buffer[..HEADER_BYTES]);
        let header = Header::decode(header, limit_bytes)?;
        self.fill(header.message_bytes).await?;
        let mut message = self.buffer.split_to(header.message_bytes);
        Ok((header, message.split_off(HEADER_BYTES).freeze()))
    }

    /// Resolves when the client has closed its end. What it sends meanwhile is kept for the next message;
    /// past [`READ_AHEAD_BYTES`] of it nothing more is noticed.
    pub(super) async fn closed(&mut self) {
        while self.buffer.len() < READ_AHEAD_BYTES {
            match self.read(FIRST_CHUNK_BYTES).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        std::future::pending::<()>().await;
    }

    /// Reads until `bytes` are there.
    async fn fill(&mut self, bytes: usize) -> Result<(), End> {
        while self.buffer.len() < bytes {
            let missing = bytes - self.buffer.len();
            if self.read(missing.min(CHUNK_BYTES)).await? == 0 {
                return Err(End::Cut);
            }
        }
        Ok(())
    }

    /// Reads what is there, at least as much as fits into `room_bytes` more; 0 at the end.
    async fn read(&mut self, room_bytes: usize) -> io::Result<usize> {
        self.buffer.reserve(room_bytes);
        self.stream.read_buf(&mut self.buffer).await
    }
}

impl<S: AsyncWrite + Unpin> MessageStream<S> {
    /// Sends all of `bytes`.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    /// A ping of 16 + 5 bytes, whose content is not looked at here.
    const MESSAGE: [u8; 21] = [21, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xDD, 7, 0, 0, 9, 9, 9, 9, 9];

    #[tokio::test]
    async fn memory_follows_what_arrived_and_not_what_was_declared() {
        let (mut client, server) = duplex(1 << 20);
        let mut stream = MessageStream::new(server);
        let mut head = MESSAGE[..16].to_vec();
        head[..4].copy_from_slice(&48_000_000_u32.to_le_bytes());
        client.write_all(&head).await.unwrap();
        client.write_all(&[0; 1000]).await.unwrap();
        drop(client);
        assert!(matches!(stream.message(48_000_000).await, Err(End::Cut)));
        assert!(stream.buffer.capacity() < 4 * CHUNK_BYTES, "{}", stream.buffer.capacity());
    }

    #[tokio::test]
    async fn a_client_that_goes_away_is_noticed_and_what_it_sent_before_is_kept() {
        let (mut client, server) = duplex(1 << 20);
        let mut stream = MessageStream::new(server);
        client.write_all(&MESSAGE).await.unwrap();
        stream.begin().await.unwrap();
        stream.message(100).await.unwrap();
        client.write_all(&MESSAGE).await.unwrap();
        drop(client);
        stream.closed().await;
        let (header, body) = stream.message(100).await.unwrap();
        assert_eq!((header.message_bytes, &*body), (21, &[9; 5][..]));
        assert!(matches!(stream.begin().await, Err(End::Closed)));
    }

    #[tokio::test]
    async fn reading_ahead_is_bounded() {
        let (mut client, server) = duplex(1 << 20);
        let mut stream = MessageStream::new(server);
        client.write_all(&vec![0; 1 << 20]).await.unwrap();
        drop(client);
        let noticed = tokio::time::timeout(std::time::Duration::from_millis(20), stream.closed());
        noticed.await.unwrap_err();
        assert!(stream.buffer.len() < 2 * READ_AHEAD_BYTES, "{}", stream.buffer.len());
    }
}
