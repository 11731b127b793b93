//! One connection of the Firehose stub: parses requests strictly and acts out their fate.

use std::collections::BTreeMap;
use std::io::{BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use socket2::SockRef;

use super::put::Violation;
use super::{Fate, Put, Shared, describe, put};
use crate::http_request::HttpRequest;

/// How often a connection without an answer looks whether it is released.
const RELEASE_POLL: Duration = Duration::from_millis(100);

/// A client's connection, which is used for one request after the other.
pub(super) struct Connection {
    reader: BufReader<TcpStream>,
    shared: Arc<Shared>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        Connection { reader: BufReader::new(stream), shared }
    }

    /// Answer requests until the client goes away or the script wants no more.
    pub(super) fn serve(mut self) {
        while let Some(HttpRequest { headers, body, .. }) = HttpRequest::read(&mut self.reader) {
            let target = headers.get("x-amz-target").map_or("", String::as_str);
            let open = match target {
                put::TARGET => self.put(headers, &body),
                describe::TARGET => self.describe(&headers, &body),
                other => Err(("UnknownOperationException", format!("the target {other:?}"))),
            };
            let open = open.unwrap_or_else(|(code, words)| {
                self.shared.state().violations.push(format!("{code}: {words}"));
                self.answer(400, &error(code))
            });
            if open.is_none() {
                return;
            }
        }
    }

    fn put(
        &mut self,
        headers: BTreeMap<String, String>,
        body: &[u8],
    ) -> Result<Option<()>, Violation> {
        let put = Put::parse(headers, body)?;
        let records = put.records.len();
        let fate = self.shared.decide(put);
        Ok(self.act(&fate, records))
    }

    fn describe(
        &mut self,
        headers: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Result<Option<()>, Violation> {
        put::check_signature(headers, body)?;
        let stream = describe::parse(body)?;
        let unexpected = || ("UnknownOperationException", format!("{stream} is asked about"));
        let described = self.shared.describe(stream.clone()).ok_or_else(unexpected)?;
        Ok(match described {
            Ok(destinations) => self.answer(200, &describe::answer(&stream, &destinations)),
            Err(code) => self.answer(400, &error(code)),
        })
    }

    fn act(&mut self, fate: &Fate, records: usize) -> Option<()> {
        match fate {
            Fate::Accept => self.answer(200, &accepted(records, &[], "")),
            Fate::Refuse { records: refused, code } => {
                self.answer(200, &accepted(records, refused, code))
            }
            Fate::Fail { status, code: "", .. } => self.answer(*status, &Value::Null),
            Fate::Fail { status, code, .. } => self.answer(*status, &error(code)),
            Fate::Long { status, bytes } => self.answer_blanks(*status, *bytes),
            Fate::Reset { .. } => self.reset(),
            Fate::Slow(pause) => {
                thread::sleep(*pause);
                self.answer(200, &accepted(records, &[], ""))
            }
            Fate::Hang | Fate::AcceptSilently => self.wait_for_the_end(),
            Fate::Raw { status, body, missing_bytes, .. } => {
                let sent = self.write(*status, body, body.len() + missing_bytes);
                sent.filter(|()| *missing_bytes == 0)
            }
        }
    }

    /// None if the client has gone away.
    fn answer(&mut self, status: u16, body: &Value) -> Option<()> {
        let body =
            if body.is_null() { "<html>not AWS</html>".to_owned() } else { body.to_string() };
        self.answer_text(status, &body)
    }

    fn answer_text(&mut self, status: u16, body: &str) -> Option<()> {
        self.write(status, body, body.len())
    }

    fn write(&mut self, status: u16, body: &str, announced_bytes: usize) -> Option<()> {
        // What has no body must not say how long it is.
        let length = match status {
            204 | 304 => String::new(),
            _ => format!("content-length: {announced_bytes}\r\n"),
        };
        let answer = format!("{}{length}\r\n{body}", head(status));
        self.reader.get_mut().write_all(answer.as_bytes()).ok()
    }

    /// A body that is never held as a whole.
    fn answer_blanks(&mut self, status: u16, bytes: usize) -> Option<()> {
        static PIECE: [u8; 65536] = [b' '; 65536];
        let head = format!("{}content-length: {bytes}\r\n\r\n", head(status));
        self.reader.get_mut().write_all(head.as_bytes()).ok()?;
        let mut left = bytes;
        while left > 0 {
            let piece = &PIECE[..left.min(PIECE.len())];
            self.reader.get_mut().write_all(piece).ok()?;
            left -= piece.len();
        }
        Some(())
    }

    /// Close so that the client sees a reset, and no orderly end.
    fn reset(&mut self) -> Option<()> {
        SockRef::from(self.reader.get_ref()).set_linger(Some(Duration::ZERO)).ok();
        None
    }

    /// Wait until the client goes away, or such connections are released.
    fn wait_for_the_end(&mut self) -> Option<()> {
        let releases = self.shared.state().releases;
        self.reader.get_ref().set_read_timeout(Some(RELEASE_POLL)).ok()?;
        loop {
            let read = std::io::copy(&mut self.reader, &mut std::io::sink());
            let is_waiting = read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            if !is_waiting || self.shared.state().releases > releases {
                return None;
            }
        }
    }
}

impl Drop for Connection {
    /// A second handle would keep the socket open.
    fn drop(&mut self) {
        let own = self.reader.get_ref().peer_addr().ok();
        let mut state = self.shared.state();
        state.open.retain(|other| other.peer_addr().ok() != own);
    }
}

/// An answer's status and headers but for the length.
fn head(status: u16) -> String {
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amzn-requestid: of-a-stub\r\n"
    )
}

fn error(code: &str) -> Value {
    json!({"__type": code, "message": "as the test wants it"})
}

fn accepted(records: usize, refused: &[usize], code: &str) -> Value {
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
