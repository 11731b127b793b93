//! Reads HTTP/1.1 requests, for the servers that tests start.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

/// A complete request.
pub(crate) struct HttpRequest {
    /// The request line, such as `POST / HTTP/1.1`.
    pub(crate) line: String,
    /// The headers, whose names are in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body, empty without a `Content-Length`.
    pub(crate) body: Vec<u8>,
}

impl HttpRequest {
    /// Reads the next request of a connection. Returns `None` at its end, or if it is not HTTP.
    pub(crate) fn read(reader: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|&bytes| bytes > 0)?;
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let headers = head.iter().skip(1).filter_map(|line| line.split_once(':'));
        let headers: BTreeMap<_, _> = headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let bytes = headers.get("content-length").map_or(Some(0), |length| length.parse().ok())?;
        let mut body = vec![0; bytes];
        reader.read_exact(&mut body).ok()?;
        Some(HttpRequest { line: head.into_iter().next()?, headers, body })
    }
}
