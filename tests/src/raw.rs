//! Bytes sent to a server as they are, and the one reply that comes back.
//!
//! Promises: any bytes can be sent, however broken; a server that neither answers nor closes fails the
//! test. Writing and reading go on at once, because a server may refuse a body that it has not read.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use crate::client::Reply;
use crate::server::PATIENCE;

/// What a server did with the bytes.
#[derive(Debug)]
pub enum Outcome {
    /// It sent a complete reply.
    Reply(Reply),
    /// It closed the connection without one.
    Closed,
}

/// Sends `bytes` on a new connection and reads the reply. With `end_of_input` the sending side is
/// closed afterwards, which is how a server learns that a promised body will not come.
///
/// # Panics
/// When nothing comes back for a long time, or what comes is not HTTP.
pub fn exchange(address: SocketAddr, bytes: &[u8], end_of_input: bool) -> Outcome {
    let stream = TcpStream::connect(address).expect("the server takes connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
    thread::scope(|scope| {
        scope.spawn(|| {
            // A refused body breaks the pipe; the reply tells what happened.
            let written = (&stream).write_all(bytes);
            if end_of_input || written.is_err() {
                let _already_closed = stream.shutdown(Shutdown::Write);
            }
        });
        let outcome = read_reply(&stream);
        // Lets a writer that nobody reads from come to its end.
        let _already_closed = stream.shutdown(Shutdown::Both);
        outcome
    })
}

fn read_reply(mut stream: &TcpStream) -> Outcome {
    let mut received = Vec::new();
    let mut chunk = [0_u8; 16 * 1024];
    loop {
        let closed = match stream.read(&mut chunk) {
            Ok(0) => true,
            Ok(count) => {
                received.extend_from_slice(&chunk[..count]);
                false
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => true,
            Err(error) => panic!("no answer ({error}) after {:?}", String::from_utf8_lossy(&received)),
        };
        if let Some(reply) = parse(&received, closed) {
            return Outcome::Reply(reply);
        }
        if closed {
            return Outcome::Closed;
        }
    }
}

/// The first reply that is not an interim one (1xx), once it is complete.
fn parse(received: &[u8], closed: bool) -> Option<Reply> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(received).expect("the reply is HTTP") else {
        return None;
    };
    let status = head.code.expect("a complete head has a status");
    if (100..200).contains(&status) {
        return parse(&received[length..], closed);
    }
    let headers: Vec<_> = head
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
        .collect();
    let rest = &received[length..];
    let declared = headers.iter().find(|(name, _)| name == "content-length");
    let body = match declared {
        Some((_, length)) => rest.get(..length.parse().expect("a length is a number"))?.to_vec(),
        None if headers.iter().any(|(name, _)| name == "transfer-encoding") => dechunk(rest)?,
        None if closed || status == 204 || status == 304 => rest.to_vec(),
        None => return None,
    };
    Some(Reply { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// The body of a chunked reply, once its last chunk is there.
fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let httparse::Status::Complete((start, size)) =
            httparse::parse_chunk_size(rest).expect("a chunk size")
        else {
            return None;
        };
        let size = usize::try_from(size).expect("a chunk fits into memory");
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(start..start + size)?);
        rest = rest.get(start + size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interim_reply_is_passed_over_and_a_length_is_waited_for() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno";
        for incomplete in 0..bytes.len() {
            assert!(parse(&bytes[..incomplete], false).is_none(), "{incomplete} bytes are not all");
        }
        let reply = parse(bytes, false).expect("the reply is complete");
        assert_eq!((reply.status, reply.body.as_str()), (400, "no"));
    }

    #[test]
    fn chunks_are_joined() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        assert!(parse(&bytes[..bytes.len() - 8], false).is_none());
        assert_eq!(parse(bytes, false).expect("the reply is complete").body, "abcd");
    }
}
