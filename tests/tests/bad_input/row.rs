//! One malformed request and the error it must get.

/// A request as bytes in the making; see [`row`].
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    without: Vec<&'static str>,
    body: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) code: &'static str,
}

/// A request with the headers that a proper client sends: host, token, and for a body its type and
/// length. The methods add to it or take from it.
pub(crate) fn row(
    name: &'static str,
    method: &'static str,
    path: &str,
    status: u16,
    code: &'static str,
) -> Row {
    Row {
        name,
        method,
        path: path.to_owned(),
        headers: Vec::new(),
        without: Vec::new(),
        body: Vec::new(),
        status,
        code,
    }
}

impl Row {
    /// Sends these bytes as the body.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends this header, in place of the usual one of that name.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Leaves a usual header out.
    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.without.push(name);
        self
    }

    /// The request as it is sent.
    pub(crate) fn render(&self, token: &str) -> Vec<u8> {
        let mut usual: Vec<(&str, Vec<u8>)> = vec![
            ("host", b"localhost".to_vec()),
            ("authorization", format!("Bearer {token}").into_bytes()),
            ("connection", b"close".to_vec()),
        ];
        if matches!(self.method, "POST" | "PUT" | "PATCH") {
            usual.push(("content-type", b"application/json".to_vec()));
            if !self.headers.iter().any(|(name, _)| *name == "transfer-encoding") {
                usual.push(("content-length", self.body.len().to_string().into_bytes()));
            }
        }
        usual.retain(|(name, _)| {
            !self.without.contains(name) && !self.headers.iter().any(|(other, _)| other == name)
        });
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        for (name, value) in usual.iter().chain(&self.headers) {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
