//! Creates bodies for requests that have only a query: pixels.
//!
//! Values are always strings, as in the example of Segment's documentation and in RudderStack's
//! gateway, because a query has no types. A dot in a key makes an object of the part before it. If
//! a key is duplicated, or is also an object, the last one is used, unless stated otherwise.

use base64_simd::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::dialect::MessageType;
use standpipe_core::clock;

/// Maximum number of keys that the dots of one parameter create. The limit prevents a short query
/// from creating thousands of nested objects.
const KEYS_MAX: usize = 32;

/// A decoded query.
pub(crate) type QueryParameters = [(String, String)];

/// The body of `GET /v1/pixel/{type}`, Segment's API: the JSON in `data`, either as base64 of both
/// alphabets with or without padding, or unencoded; without `data`, an object of all parameters.
/// The body contains the write key.
pub(crate) fn make_segment_body(query: &QueryParameters) -> Vec<u8> {
    match query.iter().rfind(|(key, _)| key == "data") {
        Some((_, data)) => decode_data(data),
        None => {
            let mut object = Map::new();
            query.iter().for_each(|(key, value)| insert_at_path(&mut object, key, value));
            to_json_bytes(object)
        }
    }
}

/// The body of `GET /pixel/v1/{track,page}`, RudderStack's API. `None` if `event` is empty:
/// RudderStack ignores such a request. If a key is duplicated, the first one is used.
pub(crate) fn make_rudderstack_body(
    query: &QueryParameters,
    path: MessageType,
    now: OffsetDateTime,
) -> Option<Vec<u8>> {
    let mut object = Map::new();
    let now = clock::rfc3339(now);
    insert_at_path(&mut object, "channel", "web");
    object.insert("integrations".to_owned(), serde_json::json!({ "All": true }));
    insert_at_path(&mut object, "originalTimestamp", &now);
    insert_at_path(&mut object, "sentAt", &now);
    let mut seen = std::collections::HashSet::new();
    for (key, value) in query.iter().filter(|(key, _)| key != "writeKey") {
        if !seen.insert(key) {
            continue;
        }
        let value = match (key.as_str(), value.as_str()) {
            ("event", "") if path == MessageType::Track => return None,
            ("name", "") if path == MessageType::Page => "Unknown Page",
            ("anonymousId", id) => {
                id.strip_prefix('"').and_then(|id| id.strip_suffix('"')).unwrap_or(id)
            }
            (_, value) => value,
        };
        insert_at_path(&mut object, key, value);
    }
    Some(to_json_bytes(object))
}

/// The text of an object.
pub(crate) fn to_json_bytes(object: Map<String, Value>) -> Vec<u8> {
    Value::Object(object).to_string().into_bytes()
}

/// Decodes base64. Other text is returned unchanged. An unescaped plus sign has become a space
/// before.
fn decode_data(data: &str) -> Vec<u8> {
    let data = data.trim();
    if data.starts_with('{') {
        return data.as_bytes().to_vec();
    }
    let plain = data.trim_end_matches('=').replace(' ', "+");
    let decoded = STANDARD_NO_PAD
        .decode_to_vec(plain.as_bytes())
        .or_else(|_| URL_SAFE_NO_PAD.decode_to_vec(plain.as_bytes()));
    decoded.unwrap_or_else(|_| data.as_bytes().to_vec())
}

/// Inserts a string under a key with dots. A key with an empty part, as in `a..b`, or with too many
/// parts is not split.
fn insert_at_path(object: &mut Map<String, Value>, key: &str, value: &str) {
    let parts: Vec<&str> = key.split('.').collect();
    if parts.len() > KEYS_MAX || parts.iter().any(|part| part.is_empty()) {
        object.insert(key.to_owned(), Value::from(value));
        return;
    }
    let (name, around) = parts.split_last().expect("split leaves at least one part");
    let mut object = object;
    for part in around {
        let inner = object.entry(*part).or_insert_with(|| Value::Object(Map::new()));
        if !inner.is_object() {
            *inner = Value::Object(Map::new());
        }
        object = inner.as_object_mut().expect("an object by now");
    }
    object.insert((*name).to_owned(), Value::from(value));
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn query(text: &str) -> Vec<(String, String)> {
        let pair = |pair: &str| pair.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
        text.split('&').filter_map(pair).collect()
    }

    fn text(made: &[u8]) -> Value {
        serde_json::from_slice(made).unwrap()
    }

    fn parsed(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn segment_takes_base64_of_any_kind() {
        let json = r#"{"writeKey":"kkk","userId":"ÿ?>~"}"#;
        let standard = base64_simd::STANDARD.encode_to_string(json);
        let url_safe = base64_simd::URL_SAFE.encode_to_string(json);
        assert!(standard.contains('=') && standard != url_safe);
        for data in [
            &standard,
            &url_safe,
            standard.trim_end_matches('='),
            url_safe.trim_end_matches('='),
            &standard.replace('+', " "),
            json,
        ] {
            let pairs = [("data".to_owned(), data.to_owned())];
            assert_eq!(make_segment_body(&pairs), json.as_bytes(), "{data}");
        }
        let made = make_segment_body(&query("data=%%%&writeKey=k"));
        assert_eq!(made, b"%%%");
    }

    #[test]
    fn segment_takes_parameters_with_dots() {
        let made = make_segment_body(&query(
            "userId=u&event=Email Opened&properties.subject=The Daily&properties.n=1&a..b=1&a=2&a.c=x&writeKey=k",
        ));
        let expected = r#"{"userId":"u","event":"Email Opened","properties":{"subject":"The Daily","n":"1"},
            "a..b":"1","a":{"c":"x"},"writeKey":"k"}"#;
        assert_eq!(text(&made), parsed(expected));
        let deep = format!("{}=1", vec!["a"; 5000].join("."));
        assert_eq!(text(&make_segment_body(&query(&deep))).as_object().unwrap().len(), 1);
    }

    #[test]
    fn rudderstack_by_its_rules() {
        let now = datetime!(2026-01-02 03:04:05 UTC);
        let of = |text: &str, path| make_rudderstack_body(&query(text), path, now);
        let made = of(
            "writeKey=k&anonymousId=\"a\"&name=&context.page.url=x&sentAt=y&a=1&a=2",
            MessageType::Page,
        );
        let made = made.unwrap();
        let expected = r#"{"channel":"web","integrations":{"All":true},"sentAt":"y","a":"1",
            "originalTimestamp":"2026-01-02T03:04:05.000Z","anonymousId":"a","name":"Unknown Page",
            "context":{"page":{"url":"x"}}}"#;
        assert_eq!(text(&made), parsed(expected));
        assert_eq!(of("event=&userId=u", MessageType::Track), None);
        let made = of("name=&userId=u&anonymousId=\"", MessageType::Track).unwrap();
        assert_eq!(text(&made)["name"], "");
        assert_eq!(text(&made)["anonymousId"], "\"");
    }
}
