//! A connection of the OpenMetadata stand-in: reads requests and writes responses.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{ApiRequest, ApiShared, routes};
use crate::http_request::HttpRequest;

/// Serves requests until the client disconnects.
pub(super) fn serve_connection(stream: TcpStream, shared: &Arc<ApiShared>) {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read_request(&mut reader) {
        let (head, body) = answer_request(&asked, shared);
        let length = body.len();
        let text = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}");
        if reader.get_mut().write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn answer_request(asked: &ApiRequest, shared: &ApiShared) -> (String, String) {
    const JSON: &str = "content-type: application/json";
    let mut state = shared.lock_state();
    state.requests.push(asked.clone());
    if let Some(page) = &state.traits.page {
        return ("200 OK\r\ncontent-type: text/html".to_owned(), page.clone());
    }
    if let Some(fault) =
        state.faults.iter_mut().find(|fault| fault.times > 0 && fault.is_for(asked))
    {
        fault.times -= 1;
        let retry_after = fault.retry_after.map(|seconds| format!("\r\nretry-after: {seconds}"));
        let head = format!("{} Fault\r\n{JSON}{}", fault.status, retry_after.unwrap_or_default());
        return (
            head,
            json!({"code": fault.status, "message": "as the test wants it"}).to_string(),
        );
    }
    if let Some(replaced) = state.replaced.as_ref().filter(|replaced| replaced.is_for(asked)) {
        return (format!("{} Replaced\r\n{JSON}", replaced.status), replaced.body.to_owned());
    }
    let token = asked.headers.get("authorization").cloned().unwrap_or_default();
    let (status, body) = match &state.traits.token {
        Some(expected) if token != format!("Bearer {expected}") => {
            (401, json!({"code": 401, "message": format!("{token} is expired")}))
        }
        _ => routes::answer_request(asked, &mut state),
    };
    if status == 400 {
        let words = body["message"].as_str().unwrap_or_default().to_owned();
        state.refusals.push(format!("{} {}: {words}", asked.method, asked.path));
    }
    let text = if body.is_null() { String::new() } else { body.to_string() };
    (format!("{status} Status\r\n{JSON}"), text)
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<ApiRequest> {
    let HttpRequest { line, headers, body } = HttpRequest::read(reader)?;
    let mut words = line.split(' ');
    let method = words.next()?.to_owned();
    let target = words.next()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(key, value)| (percent_decode(key), percent_decode(value))).collect();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(ApiRequest { method, path: path.to_owned(), query, headers, body })
}

/// Decodes percent-encoded characters.
pub(super) fn percent_decode(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let byte =
            code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| first == b'%');
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
