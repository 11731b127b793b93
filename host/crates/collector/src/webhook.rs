//! The payloads of services that do not know events: JSON, a form, or only a query.
//!
//! A form, as sent by Twilio and Slack, becomes an object of its fields. If the body is empty, the
//! payload is in the query. Values are always strings, because neither form nor query has types. A
//! repeated name becomes an array.

use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use serde_json::{Map, Value};

use super::decode::{InvalidBody, pixel::to_json_bytes};
use super::refusal_reason::RefusalReason;
use super::refused_request::RefusedRequest;
use super::request_head::KEY_PARAMETER;
use crate::limits;

/// The relevant parts of a webhook's request besides its body.
#[derive(Debug, Default)]
pub(super) struct WebhookHead {
    query: String,
    /// Whether the body is a form, unless it is JSON.
    is_form: bool,
}

impl WebhookHead {
    pub(super) fn of(parts: &Parts) -> Result<Self, RefusedRequest> {
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
        let is = |known: &str| content_type.trim().eq_ignore_ascii_case(known);
        if is("multipart/form-data") {
            let text = "unsupported Content-Type multipart/form-data: send JSON or application/x-www-form-urlencoded";
            return Err(RefusedRequest::new(RefusalReason::ContentType, text));
        }
        let query = parts.uri.query().unwrap_or_default().to_owned();
        Ok(WebhookHead { query, is_form: is("application/x-www-form-urlencoded") })
    }

    /// The payload as JSON, unless the body itself is JSON. Some SDKs declare JSON as a form, so
    /// the body is only a form if it does not start like JSON.
    pub(super) fn payload(&self, body: &[u8]) -> Result<Option<Vec<u8>>, InvalidBody> {
        let text = body.trim_ascii();
        if text.is_empty() {
            let query = parse_form(self.query.as_bytes(), Some(KEY_PARAMETER))?;
            return Ok((!query.is_empty()).then(|| to_json_bytes(query)));
        }
        if self.is_form && !text.starts_with(b"{") && !text.starts_with(b"[") {
            return Ok(Some(to_json_bytes(parse_form(text, None)?)));
        }
        Ok(None)
    }
}

/// The payload of a webhook by `GET`: all parameters except the write key.
pub(super) fn of_query(query: &str) -> Result<Vec<u8>, InvalidBody> {
    parse_form(query.as_bytes(), Some(KEY_PARAMETER)).map(to_json_bytes)
}

fn parse_form(form: &[u8], left_out: Option<&str>) -> Result<Map<String, Value>, InvalidBody> {
    if form.iter().filter(|&&byte| byte == b'&').count() >= limits::COLLECT_FORM_FIELDS_MAX {
        return Err(InvalidBody::TooManyFields);
    }
    let mut object = Map::new();
    for (key, value) in form_urlencoded::parse(form) {
        if left_out == Some(&*key) {
            continue;
        }
        let value = Value::from(&*value);
        match object.get_mut(&*key) {
            None => drop(object.insert(key.into_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    /// The payload of a request, or the status of its refusal.
    fn payload(uri: &str, content_type: &str, body: &str) -> Result<String, u16> {
        let request = Request::post(uri).header("Content-Type", content_type).body(()).unwrap();
        let status = |refused: RefusedRequest| refused.reason.status().as_u16();
        let head = WebhookHead::of(&request.into_parts().0).map_err(status)?;
        let payload = head.payload(body.as_bytes()).map_err(|error| status(error.into()))?;
        Ok(payload.map_or(body.to_owned(), |payload| String::from_utf8(payload).unwrap()))
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    #[test]
    fn a_form_becomes_an_object_of_its_fields() {
        let sms =
            "From=%2B15551234567&Body=h%C3%A9llo+%26+bye&NumMedia=0&MediaUrl=a&MediaUrl=b&Empty=";
        let expected = r#"{"Body":"héllo & bye","Empty":"","From":"+15551234567","MediaUrl":["a","b"],"NumMedia":"0"}"#;
        for content_type in [FORM, "Application/X-WWW-Form-URLEncoded; charset=UTF-8"] {
            assert_eq!(
                payload("/v1/webhook?writeKey=k", content_type, sms).as_deref(),
                Ok(expected)
            );
        }
        // The key of a form is found like that of JSON.
        assert_eq!(
            payload("/", FORM, "writeKey=k&a=1").as_deref(),
            Ok(r#"{"a":"1","writeKey":"k"}"#)
        );
        assert_eq!(payload("/", FORM, "a").as_deref(), Ok(r#"{"a":""}"#));
    }

    #[test]
    fn json_is_json_whatever_it_is_called() {
        for content_type in [FORM, "application/json", "text/plain", ""] {
            for body in [r#"{"a":"b=c&d"}"#, " [1]", "{"] {
                assert_eq!(
                    payload("/?a=1", content_type, body).as_deref(),
                    Ok(body),
                    "{content_type}"
                );
            }
        }
        // A body that is neither is refused as invalid JSON.
        assert_eq!(payload("/", "text/plain", "a=1").as_deref(), Ok("a=1"));
        assert_eq!(payload("/", "multipart/form-data; boundary=x", "--x"), Err(415));
    }

    #[test]
    fn without_a_body_the_query_says_all() {
        for body in ["", " \r\n"] {
            for content_type in [FORM, "application/json", ""] {
                let got = payload("/v1/webhook?writeKey=k&a=1&a=2&b.c=x", content_type, body);
                assert_eq!(got.as_deref(), Ok(r#"{"a":["1","2"],"b.c":"x"}"#));
                assert_eq!(
                    payload("/v1/webhook?writeKey=k", content_type, body).as_deref(),
                    Ok(body)
                );
            }
        }
        assert_eq!(
            of_query("a=1&writeKey=k&b.c=x&a=2&a=3&d=").unwrap(),
            br#"{"a":["1","2","3"],"b.c":"x","d":""}"#
        );
    }

    #[test]
    fn a_form_has_so_many_fields_and_no_more() {
        let form = |fields: usize| vec!["a=1"; fields].join("&");
        assert!(payload("/", FORM, &form(limits::COLLECT_FORM_FIELDS_MAX)).is_ok());
        assert_eq!(payload("/", FORM, &form(limits::COLLECT_FORM_FIELDS_MAX + 1)), Err(413));
    }
}
