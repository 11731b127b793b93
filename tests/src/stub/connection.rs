//! A connection of the Firehose stub: it parses requests strictly and simulates their outcome.

use std::collections::BTreeMap;
use std::io::{BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use socket2::SockRef;

use super::put::Violation;
use super::{PutRequest, StubResponse, StubShared, describe, put};
use crate::http_request::HttpRequest;

/// How often a connection without a response checks whether it is released.
const RELEASE_POLL: Duration = Duration::from_millis(100);

/// A client's connection, which serves one request after the other.
pub(super) struct Connection {
    reader: BufReader<TcpStream>,
    shared: Arc<StubShared>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, shared: Arc<StubShared>) -> Self {
        Connection { reader: BufReader::new(stream), shared }
    }

    /// Serves requests until the client disconnects or the script ends the connection.
    pub(super) fn serve(mut self) {
        while let Some(HttpRequest { headers, body, .. }) = HttpRequest::read(&mut self.reader) {
            let target = headers.get("x-amz-target").map_or("", String::as_str);
            let open = match target {
                put::TARGET => self.handle_put(headers, &body),
                describe::TARGET => self.handle_describe(&headers, &body),
                other => Err(("UnknownOperationException", format!("the target {other:?}"))),
            };
            let open = open.unwrap_or_else(|(code, words)| {
                self.shared.lock_state().violations.push(format!("{code}: {words}"));
                self.write_json(400, &error_body(code))
            });
            if open.is_none() {
                return;
            }
        }
    }

    fn handle_put(
        &mut self,
        headers: BTreeMap<String, String>,
        body: &[u8],
    ) -> Result<Option<()>, Violation> {
        let put = PutRequest::parse(headers, body)?;
        let records = put.records.len();
        let fate = self.shared.decide_response(put);
        Ok(self.send_response(&fate, records))
    }

    fn handle_describe(
        &mut self,
        headers: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Result<Option<()>, Violation> {
        put::check_signature(headers, body)?;
        let stream = describe::parse_describe(body)?;
        let unexpected = || ("UnknownOperationException", format!("{stream} is asked about"));
        let described = self.shared.describe_stream(stream.clone()).ok_or_else(unexpected)?;
        Ok(match described {
            Ok(destinations) => {
                self.write_json(200, &describe::describe_body(&stream, &destinations))
            }
            Err(code) => self.write_json(400, &error_body(code)),
        })
    }

    fn send_response(&mut self, fate: &StubResponse, records: usize) -> Option<()> {
        match fate {
            StubResponse::Accept => self.write_json(200, &put_body(records, &[], "")),
            StubResponse::Refuse { records: refused, code } => {
                self.write_json(200, &put_body(records, refused, code))
            }
            StubResponse::Fail { status, code: "", .. } => self.write_json(*status, &Value::Null),
            StubResponse::Fail { status, code, .. } => self.write_json(*status, &error_body(code)),
            StubResponse::Long { status, bytes } => self.write_blanks(*status, *bytes),
            StubResponse::Reset { .. } => self.reset_connection(),
            StubResponse::Slow(pause) => {
                thread::sleep(*pause);
                self.write_json(200, &put_body(records, &[], ""))
            }
            StubResponse::Hang | StubResponse::AcceptSilently => self.wait_for_the_end(),
            StubResponse::Raw { status, body, missing_bytes, .. } => {
                let sent = self.write_response(*status, body, body.len() + missing_bytes);
                sent.filter(|()| *missing_bytes == 0)
            }
        }
    }

    /// Returns `None` if the client has disconnected.
    fn write_json(&mut self, status: u16, body: &Value) -> Option<()> {
        let body =
            if body.is_null() { "<html>not AWS</html>".to_owned() } else { body.to_string() };
        self.write_text(status, &body)
    }

    fn write_text(&mut self, status: u16, body: &str) -> Option<()> {
        self.write_response(status, body, body.len())
    }

    fn write_response(&mut self, status: u16, body: &str, announced_bytes: usize) -> Option<()> {
        // A response without a body must not have a length.
        let length = match status {
            204 | 304 => String::new(),
            _ => format!("content-length: {announced_bytes}\r\n"),
        };
        let answer = format!("{}{length}\r\n{body}", response_head(status));
        self.reader.get_mut().write_all(answer.as_bytes()).ok()
    }

    /// Writes a body in pieces.
    fn write_blanks(&mut self, status: u16, bytes: usize) -> Option<()> {
        static PIECE: [u8; 65536] = [b' '; 65536];
        let head = format!("{}content-length: {bytes}\r\n\r\n", response_head(status));
        self.reader.get_mut().write_all(head.as_bytes()).ok()?;
        let mut left = bytes;
        while left > 0 {
            let piece = &PIECE[..left.min(PIECE.len())];
            self.reader.get_mut().write_all(piece).ok()?;
            left -= piece.len();
        }
        Some(())
    }

    /// Closes the connection with a reset.
    fn reset_connection(&mut self) -> Option<()> {
        SockRef::from(self.reader.get_ref()).set_linger(Some(Duration::ZERO)).ok();
        None
    }

    /// Waits until the client disconnects, or connections are released.
    fn wait_for_the_end(&mut self) -> Option<()> {
        let releases = self.shared.lock_state().releases;
        self.reader.get_ref().set_read_timeout(Some(RELEASE_POLL)).ok()?;
        loop {
            let read = std::io::copy(&mut self.reader, &mut std::io::sink());
            let is_waiting = read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            if !is_waiting || self.shared.lock_state().releases > releases {
                return None;
            }
        }
    }
}

impl Drop for Connection {
    /// Closes the connection explicitly, because a second handle would keep the socket open.
    fn drop(&mut self) {
        let own = self.reader.get_ref().peer_addr().ok();
        let mut state = self.shared.lock_state();
        state.open.retain(|other| other.peer_addr().ok() != own);
    }
}

/// The status and headers of a response, without the length.
fn response_head(status: u16) -> String {
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amzn-requestid: of-a-stub\r\n"
    )
}

fn error_body(code: &str) -> Value {
    json!({"__type": code, "message": "as the test wants it"})
}

fn put_body(records: usize, refused: &[usize], code: &str) -> Value {
    let responses = (0..records).map(|position| {
        if refused.contains(&position) {
            json!({"ErrorCode": code, "ErrorMessage": "Slow down."})
        } else {
            json!({"RecordId": format!("record-{position}")})
        }
    });
    let responses: Vec<_> = responses.collect();
    json!({"FailedPutCount": refused.len(), "Encrypted": false, "RequestResponses": responses})
}
