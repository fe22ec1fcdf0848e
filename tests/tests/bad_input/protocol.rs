//! Bytes that are not HTTP/1.1, or lie about their own framing.

/// Bytes, and what is wrong with them.
pub(crate) struct Bytes {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn rows(token: &str) -> Vec<Bytes> {
    let bytes = |name, bytes: &[u8]| Bytes { name, bytes: bytes.to_vec() };
    let get = |name, head: &str| Bytes {
        name,
        bytes: format!("GET /api/tenants HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{head}\r\n")
            .into(),
    };
    let post = |name, head: &str, body: &str| Bytes {
        name,
        bytes: format!(
            "POST /api/tenants HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\n{head}\r\n{body}"
        )
        .into(),
    };
    let many_headers = "x-many: 1\r\n".repeat(5_000);
    vec![
        bytes("nothing at all", b""),
        bytes("zeros", &[0; 4096]),
        bytes("random bytes", &[0xde, 0xad, 0xbe, 0xef, 0x0d, 0x0a, 0x0d, 0x0a]),
        bytes("a TLS client hello", &[0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x00]),
        bytes("another protocol", b"*1\r\n$4\r\nPING\r\n"),
        bytes("a head without an end", b"GET /health HTTP/1.1\r\nhost: x\r\n"),
        bytes("a request line without a version", b"GET /health\r\nhost: x\r\n\r\n"),
        bytes("a version nobody knows", b"GET /health HTTP/7.3\r\nhost: x\r\n\r\n"),
        bytes("a request line with a space too much", b"GET /api tenants HTTP/1.1\r\nhost: x\r\n\r\n"),
        bytes("a method that is not ASCII", b"G\xc3\x89T /health HTTP/1.1\r\nhost: x\r\n\r\n"),
        bytes("a path that is not ASCII", b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n"),
        bytes(
            "a path of 100,000 characters",
            format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(100_000)).as_bytes(),
        ),
        get("a header without a colon", "nonsense\r\n"),
        get("a header name with a space", "bad name: x\r\n"),
        get("a header with a NUL", "x-a: a\0b\r\n"),
        get("a folded header", "x-a: a\r\n b\r\n"),
        get("5,000 headers", &many_headers),
        get("a header of 2 MB", &format!("x-a: {}\r\n", "x".repeat(2_000_000))),
        post("a length that is no number", "content-length: many\r\n", r#"{"id":"fresh"}"#),
        post("a length below zero", "content-length: -1\r\n", r#"{"id":"fresh"}"#),
        post("a length of 64 bits", "content-length: 18446744073709551615\r\n", r#"{"id":"fresh"}"#),
        post("two lengths that differ", "content-length: 14\r\ncontent-length: 5\r\n", r#"{"id":"fresh"}"#),
        post("a length longer than the body", "content-length: 100\r\n", r#"{"id":"fresh"}"#),
        post("an encoding nobody knows", "transfer-encoding: rot13\r\n", r#"{"id":"fresh"}"#),
        post("a chunked body that breaks off", "transfer-encoding: chunked\r\n", "e\r\n{\"id\":"),
        post("a chunk of impossible size", "transfer-encoding: chunked\r\n", "fffffffffffffffff\r\n{}"),
    ]
}
