//! The ceiling: a server that answers every message at once with as many bytes as it was asked for.
//!
//! A message begins with its own length and the length of the wanted answer, two `u32` in little-endian.

use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::operation::Operation;
use super::side::{Connection, Side};
use crate::Outcome;

const HEADER_BYTES: usize = 8;

/// Answers whoever connects.
pub(crate) async fn serve(listener: TcpListener) -> Outcome<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        // A client that goes away ends its task with an error that means nothing.
        tokio::spawn(async move { answer(stream).await.ok() });
    }
}

async fn answer(mut stream: TcpStream) -> Outcome<()> {
    stream.set_nodelay(true)?;
    let mut message = Vec::new();
    loop {
        let (message_bytes, answer_bytes) = (stream.read_u32_le().await?, stream.read_u32_le().await?);
        message.resize((message_bytes as usize).saturating_sub(HEADER_BYTES), 0);
        stream.read_exact(&mut message).await?;
        stream.write_all(&vec![0; answer_bytes as usize]).await?;
    }
}

/// Messages of the sizes of one operation.
pub(crate) struct Echo {
    /// Where the echo listens.
    pub(crate) address: SocketAddr,
    /// Bytes of a message and of its answer.
    pub(crate) sizes: (usize, usize),
}

impl Side for Echo {
    fn connect(&self) -> BoxFuture<'_, Outcome<Box<dyn Connection>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            let (message_bytes, answer_bytes) = self.sizes;
            let mut message = Vec::with_capacity(message_bytes);
            message.extend(u32::try_from(message_bytes)?.to_le_bytes());
            message.extend(u32::try_from(answer_bytes)?.to_le_bytes());
            message.resize(message_bytes, 0);
            let connection: Box<dyn Connection> =
                Box::new(Open { stream, message, answer: vec![0; answer_bytes] });
            Ok(connection)
        })
    }
}

struct Open {
    stream: TcpStream,
    message: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection for Open {
    fn ask(&mut self, _: Operation, _: u64) -> BoxFuture<'_, Outcome<()>> {
        Box::pin(async move {
            self.stream.write_all(&self.message).await?;
            self.stream.read_exact(&mut self.answer).await?;
            Ok(())
        })
    }
}
