//! Tests each decoding rule with a table of inputs and outputs.

use serde_json::Value;
use time::macros::datetime;

use super::*;

const FACTS: RequestFacts<'_> = RequestFacts {
    dialect: Dialect::Segment,
    received_at: datetime!(2026-01-02 03:04:10 UTC),
    ip: "192.0.2.7",
    client_side: false,
};
const RUDDERSTACK: RequestFacts<'_> = RequestFacts { dialect: Dialect::RudderStack, ..FACTS };
const BROWSER: RequestFacts<'_> = RequestFacts { client_side: true, ..FACTS };

type Outcome = Result<Vec<(String, Option<EventRefusal>)>, InvalidBody>;

/// The texts of a body, with random ids replaced by `ID`.
fn decode(facts: RequestFacts<'_>, shape: BodyShape, body: &str) -> Outcome {
    let mut out = DecodedEvents::default();
    ParsedBody::parse(body.as_bytes())?.append_events(&facts, shape, &mut out)?;
    let text = |event: &DecodedEvent| String::from_utf8(out.text(*event).to_vec()).unwrap();
    Ok(out.events.iter().map(|event| (hide_ids(&text(event)), event.refused)).collect())
}

fn hide_ids(text: &str) -> String {
    let mut text = text.to_owned();
    let is_id = |id: &str| {
        id.len() == 36
            && id.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                14 => byte == b'4',
                19 => b"89ab".contains(&byte),
                _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            })
    };
    for key in ["\"messageId\":\"", "\"rudderId\":\"", "\"anonymousId\":\""] {
        let Some(at) = text.rfind(key).map(|at| at + key.len()) else { continue };
        if text.get(at..at + 36).is_some_and(is_id) {
            text.replace_range(at..at + 36, "ID");
        }
    }
    text
}

/// The outcome of one item of a batch that must be an event.
#[track_caller]
fn item(facts: RequestFacts<'_>, item: &str) -> String {
    let events = decode(facts, BodyShape::Batch, &format!("{{\"batch\":[{item}]}}")).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].1, None, "{item}");
    events[0].0.clone()
}

#[track_caller]
fn refusals(facts: RequestFacts<'_>, items: &[(&str, Option<EventRefusal>)]) {
    let texts: Vec<&str> = items.iter().map(|(text, _)| *text).collect();
    let body = format!("{{\"batch\":[{}]}}", texts.join(" , "));
    let events = decode(facts, BodyShape::Batch, &body).unwrap();
    let refused: Vec<_> = events.iter().map(|(_, refused)| *refused).collect();
    let expected: Vec<_> = items.iter().map(|(_, refused)| *refused).collect();
    assert_eq!(refused, expected);
    for ((text, refused), (sent, _)) in events.iter().zip(items) {
        assert!(refused.is_none() || text == sent, "{text}");
    }
}

/// The values of an event for these keys, or `-` if one is missing.
fn values(text: &str, keys: &[&str]) -> Vec<String> {
    let event: Value = serde_json::from_str(text).unwrap();
    keys.iter().map(|key| event.get(*key).map_or("-".to_owned(), Value::to_string)).collect()
}

#[test]
fn what_segment_adds_follows_behind_and_all_else_stays() {
    assert_eq!(
        item(FACTS, r#" { "type":"page", "userId" : "u" ,"n":[1.50e+2,-0, "\u00e9\/"]} "#),
        concat!(
            r#"{ "type":"page", "userId" : "u" ,"n":[1.50e+2,-0, "\u00e9\/"],"messageId":"ID","#,
            r#""originalTimestamp":"2026-01-02T03:04:10.000Z","receivedAt":"2026-01-02T03:04:10.000Z","#,
            r#""timestamp":"2026-01-02T03:04:10.000Z"}"#
        )
    );
}

#[test]
fn what_rudderstack_adds_follows_behind_and_all_else_stays() {
    assert_eq!(
        item(RUDDERSTACK, r#"{"userId":"u","messageId":" m ","x":1e999}"#),
        concat!(
            r#"{"userId":"u","messageId":"m","x":1e999,"rudderId":"ID","request_ip":"192.0.2.7","#,
            r#""receivedAt":"2026-01-02T03:04:10.000Z","originalTimestamp":"2026-01-02T03:04:10.000Z","#,
            r#""sentAt":"2026-01-02T03:04:10.000Z","timestamp":"2026-01-02T03:04:10.000Z"}"#
        )
    );
}

#[test]
fn replaced_values_keep_their_place_and_of_equal_keys_the_last_is_replaced() {
    let text = item(
        FACTS,
        concat!(
            r#"{"receivedAt":1,"\u0074ype":"x","userId":"u","type":"page","messageId":"a","#,
            r#""messageId":null ,"receivedAt":[2],"z":0}"#
        ),
    );
    assert_eq!(
        text,
        concat!(
            r#"{"receivedAt":1,"\u0074ype":"x","userId":"u","type":"page","messageId":"a","#,
            r#""messageId":"ID" ,"receivedAt":"2026-01-02T03:04:10.000Z","z":0,"#,
            r#""originalTimestamp":"2026-01-02T03:04:10.000Z","timestamp":"2026-01-02T03:04:10.000Z"}"#
        )
    );
    let text =
        item(FACTS, r#"{"\u0074\u0079pe":"page","u\u0073er\u0049d":"u","rece\u0069ved\u0041t":0}"#);
    assert!(text.contains(r#""rece\u0069ved\u0041t":"2026-01-02T03:04:10.000Z""#), "{text}");
}

#[test]
fn line_ends_between_tokens_become_spaces() {
    let text = item(FACTS, "{\r\n\t\"type\":\"page\",\n\"userId\":\n\"a\\nb\"\n}");
    assert!(
        text.starts_with("{  \t\"type\":\"page\", \"userId\": \"a\\nb\" ,\"messageId\""),
        "{text}"
    );
    let body =
        "{\"context\":{\"a\":[\n1]},\"batch\":[{\"type\":\"page\",\"userId\":\"u\"},\n[\n]]}";
    let events = decode(FACTS, BodyShape::Batch, body).unwrap();
    assert!(events[0].0.contains("\"context\":{\"a\":[ 1]}"));
    assert_eq!(events[1], ("[ ]".to_owned(), Some(EventRefusal::NotAnObject)));
}

#[test]
fn a_path_says_the_type() {
    for (dialect, body) in [
        (FACTS, r#"{"userId":"u","event":"e"}"#),
        (RUDDERSTACK, r#"{"userId":"u","type":7}"#),
        (FACTS, r#"{"type":"x","type":"y","userId":"u","event":"e"}"#),
    ] {
        let events = decode(dialect, BodyShape::One(MessageType::Track), body).unwrap();
        assert_eq!(values(&events[0].0, &["type"]), ["\"track\""]);
        assert_eq!(events[0].1, None);
    }
    let events =
        decode(FACTS, BodyShape::One(MessageType::Track), r#"{"userId":"u","type":"page"}"#);
    assert_eq!(events.unwrap()[0].1, Some(EventRefusal::NoEventName));
    let events =
        decode(FACTS, BodyShape::One(MessageType::Page), r#"{"userId":"u","type":"track"}"#);
    assert_eq!(events.unwrap()[0].1, None);
}

#[test]
fn segment_refuses() {
    refusals(
        FACTS,
        &[
            (r#"{"type":"page","userId":"u"}"#, None),
            (r#"{"type":"page","anonymousId":7}"#, None),
            ("17", Some(EventRefusal::NotAnObject)),
            ("[[1],{}]", Some(EventRefusal::NotAnObject)),
            ("\"a\"", Some(EventRefusal::NotAnObject)),
            ("[ ]", Some(EventRefusal::NotAnObject)),
            ("{ }", Some(EventRefusal::NoIdentity)),
            (r#"{"type":"page"}"#, Some(EventRefusal::NoIdentity)),
            (r#"{"type":"page","userId":"","anonymousId":null}"#, Some(EventRefusal::NoIdentity)),
            (r#"{"type":"page","userId":" \u200b\t"}"#, Some(EventRefusal::NoIdentity)),
            (r#"{"type":"page","userId":"u","userId":""}"#, Some(EventRefusal::NoIdentity)),
            (r#"{"userId":"u"}"#, Some(EventRefusal::NoType)),
            (r#"{"userId":"u","type":""}"#, Some(EventRefusal::NoType)),
            (r#"{"userId":"u","type":["track"]}"#, Some(EventRefusal::NoType)),
            (r#"{"userId":"u","type":"track"}"#, Some(EventRefusal::NoEventName)),
            (r#"{"userId":"u","type":"tr\u0061ck","event":1}"#, Some(EventRefusal::NoEventName)),
            (r#"{"userId":"u","type":"track","event":""}"#, Some(EventRefusal::NoEventName)),
            (r#"{"userId":"u","type":"track","event":"e"}"#, None),
        ],
    );
}

#[test]
fn rudderstack_refuses_less() {
    refusals(
        RUDDERSTACK,
        &[
            (r#"{"anonymousId":"a"}"#, None),
            (r#"{"userId":0,"type":"track"}"#, None),
            (r#"{"userId":false}"#, None),
            (r#"{"userId":{}}"#, None),
            ("null", Some(EventRefusal::NotAnObject)),
            (r#"{"userId":" ","anonymousId":""}"#, Some(EventRefusal::NoIdentity)),
            (r#"{"x":{"userId":"u"}}"#, Some(EventRefusal::NoIdentity)),
        ],
    );
}

#[test]
fn bad_bodies() {
    let refused = |facts, shape, body: &str| decode(facts, shape, body).unwrap_err();
    let (batch, one) = (BodyShape::Batch, BodyShape::One(MessageType::Page));
    for shape in [batch, one, BodyShape::Webhook] {
        for facts in [FACTS, RUDDERSTACK] {
            assert_eq!(refused(facts, shape, " \n"), InvalidBody::Empty);
            assert_eq!(refused(facts, shape, "{\"batch\":[1,]}"), InvalidBody::NotJson { at: 12 });
            assert_eq!(refused(facts, shape, "7"), InvalidBody::NotAnObject);
            let deep = format!("{{\"batch\":{}{}}}", "[".repeat(1023), "]".repeat(1023));
            assert_eq!(refused(facts, shape, &deep), InvalidBody::TooDeep { levels_max: 1023 });
        }
    }
    assert_eq!(ParsedBody::parse(b"{\"a\":\"\xff\"}").unwrap_err(), InvalidBody::NotUtf8 { at: 6 });
    assert_eq!(refused(FACTS, one, "[{}]"), InvalidBody::NotAnObject);
    for body in ["{}", r#"{"batch":{"a":1}}"#, r#"{"batch":[1],"batch":null}"#] {
        assert_eq!(refused(FACTS, batch, body), InvalidBody::NoBatch, "{body}");
        assert_eq!(refused(FACTS, batch, body).response_text(), "empty batch payload");
    }
    assert_eq!(refused(RUDDERSTACK, batch, r#"{"batch":[ ]}"#), InvalidBody::EmptyBatch);
    assert_eq!(decode(FACTS, batch, r#"{"batch":[]}"#), Ok(Vec::new()));
    assert_eq!(refused(RUDDERSTACK, BodyShape::Webhook, "[]"), InvalidBody::EmptyBatch);
}

#[test]
fn of_two_batches_the_last_counts() {
    let body = r#"{"batch":[{"type":"a"}, 2],"x":[{"y":1}],"batch":[3,{"z":[{}]} ],"w":[4]}"#;
    let texts: Vec<_> = decode(FACTS, BodyShape::Batch, body).unwrap();
    assert_eq!(texts.iter().map(|(text, _)| &**text).collect::<Vec<_>>(), ["3", "{\"z\":[{}]}"]);
}

#[test]
fn the_write_key_is_found() {
    let key =
        |body: &str| ParsedBody::parse(body.as_bytes()).unwrap().write_key().map(Cow::into_owned);
    assert_eq!(
        key(r#"{"batch":[{"writeKey":"no"}],"writeKey":"k\u0065y"}"#).as_deref(),
        Some("key")
    );
    for body in ["{}", "[]", r#"{"writeKey":7}"#, r#"{"a":{"writeKey":"no"}}"#] {
        assert_eq!(key(body), None, "{body}");
    }
}

#[test]
fn times_of_segment() {
    const KEYS: [&str; 4] = ["originalTimestamp", "sentAt", "timestamp", "receivedAt"];
    let received = "\"2026-01-02T03:04:10.000Z\"";
    let sent = r#""sentAt":"2026-01-02T03:04:09Z""#;
    for (members, batch, [original, sent_at, timestamp]) in [
        // Nothing is set.
        ("", "", [received, "-", received]),
        // The client's time is corrected by the error of its clock.
        (
            r#","timestamp":"2026-01-02T03:04:05Z""#,
            sent,
            [
                "\"2026-01-02T03:04:05Z\"",
                "\"2026-01-02T03:04:09Z\"",
                "\"2026-01-02T03:04:06.000Z\"",
            ],
        ),
        // The event's own `sentAt` is used, and `originalTimestamp` is replaced.
        (
            r#","originalTimestamp":1,"timestamp":"2026-01-02T03:04:05.5+00:00","sentAt":"2026-01-02T03:04:10.5Z""#,
            sent,
            [
                "\"2026-01-02T03:04:05.5+00:00\"",
                "\"2026-01-02T03:04:10.5Z\"",
                "\"2026-01-02T03:04:05.000Z\"",
            ],
        ),
        // `originalTimestamp` is used if there is no `timestamp`.
        (
            r#","originalTimestamp":"2026-01-02T03:04:05Z","timestamp":"soon","sentAt":"never""#,
            sent,
            [
                "\"2026-01-02T03:04:05Z\"",
                "\"2026-01-02T03:04:09Z\"",
                "\"2026-01-02T03:04:06.000Z\"",
            ],
        ),
        // Without `sentAt`, times are neither corrected nor rewritten.
        (
            r#","timestamp":"2026-01-02T03:04:05.123456Z""#,
            "",
            ["\"2026-01-02T03:04:05.123456Z\"", "-", "\"2026-01-02T03:04:05.123456Z\""],
        ),
        (
            r#","timestamp":1767323045,"sentAt":"never""#,
            "",
            ["\"2026-01-02T03:04:05.000Z\"", "\"never\"", "\"2026-01-02T03:04:05.000Z\""],
        ),
        // There is no client time, so `sentAt` has no effect.
        ("", sent, [received, "\"2026-01-02T03:04:09Z\"", received]),
        // The corrected time would be in the year -5947.
        (
            r#","timestamp":"0001-01-01","sentAt":"9999-12-31""#,
            "",
            ["\"0001-01-01T00:00:00.000Z\"", "\"9999-12-31\"", "\"0001-01-01T00:00:00.000Z\""],
        ),
    ] {
        let comma = if batch.is_empty() { "" } else { "," };
        let body =
            format!(r#"{{{batch}{comma}"batch":[{{"type":"page","userId":"u"{members}}}]}}"#);
        let events = decode(FACTS, BodyShape::Batch, &body).unwrap();
        assert_eq!(values(&events[0].0, &KEYS), [original, sent_at, timestamp, received], "{body}");
    }
}

#[test]
fn times_of_rudderstack() {
    const KEYS: [&str; 4] = ["originalTimestamp", "sentAt", "timestamp", "receivedAt"];
    let received = "\"2026-01-02T03:04:10.000Z\"";
    for (members, [original, sent, timestamp]) in [
        ("", [received, received, received]),
        (
            r#","originalTimestamp":"2026-01-02T03:04:05Z","sentAt":"2026-01-02T03:04:09.1Z""#,
            [
                "\"2026-01-02T03:04:05.000Z\"",
                "\"2026-01-02T03:04:09.100Z\"",
                "\"2026-01-02T03:04:05.900Z\"",
            ],
        ),
        (
            r#","originalTimestamp":"2026-01-02T03:04:05Z","timestamp":"2025-06-07 08:09+02:00","receivedAt":"2020-01-01T00:00:00Z""#,
            ["\"2026-01-02T03:04:05.000Z\"", received, "\"2025-06-07T06:09:00.000Z\""],
        ),
        (
            r#","originalTimestamp":"0000-01-01","sentAt":"9999-12-31","timestamp":{}"#,
            ["\"0000-01-01T00:00:00.000Z\"", "\"9999-12-31T00:00:00.000Z\"", received],
        ),
    ] {
        // Members of the batch apply to none of its events.
        let body = format!(
            r#"{{"sentAt":"2020-01-01T00:00:00Z","context":{{"a":1}},"batch":[{{"userId":"u"{members}}}]}}"#
        );
        let events = decode(RUDDERSTACK, BodyShape::Batch, &body).unwrap();
        assert_eq!(values(&events[0].0, &KEYS), [original, sent, timestamp, received], "{body}");
        assert_eq!(values(&events[0].0, &["context"]), ["-"]);
    }
}

#[test]
fn ids_of_rudderstack() {
    let id = |item_text: &str, key: &str| {
        let body = format!("{{\"batch\":[{item_text}]}}");
        let mut out = DecodedEvents::default();
        ParsedBody::parse(body.as_bytes())
            .unwrap()
            .append_events(&RUDDERSTACK, BodyShape::Batch, &mut out)
            .unwrap();
        let event: Value = serde_json::from_slice(out.text(out.events[0])).unwrap();
        event[key].as_str().unwrap().to_owned()
    };
    // Computed with printf 'u:a' | md5sum, with version and variant set.
    let both = id(r#"{"userId":"u","anonymousId":"a"}"#, "rudderId");
    assert_eq!(both, "d7374af0-fa5c-4067-a818-1c4963a3798c");
    for same in [
        r#"{"userId":" u ","anonymousId":"\u0061\u200b"}"#,
        r#"{"anonymousId":"a","rudderId":"x","userId":"u\u0000"}"#,
    ] {
        assert_eq!(id(same, "rudderId"), both, "{same}");
    }
    assert_eq!(id(r#"{"userId":1.50}"#, "rudderId"), id(r#"{"userId":"1.50"}"#, "rudderId"));
    for (sent, kept) in [("\"m\"", "m"), ("\" m\\u00a0\"", "m"), ("\"\\u200b\\\"\"", "\"")] {
        assert_eq!(id(&format!("{{\"userId\":1,\"messageId\":{sent}}}"), "messageId"), kept);
    }
    for made in ["\"\"", "7", "null", "\" \\t\"", "{}"] {
        assert_eq!(id(&format!("{{\"userId\":1,\"messageId\":{made}}}"), "messageId").len(), 36);
    }
    assert_eq!(id(r#"{"userId":1,"request_ip":"x"}"#, "request_ip"), "x");
    assert_eq!(id(r#"{"userId":1,"request_ip":null}"#, "request_ip"), "192.0.2.7");
}

#[test]
fn made_ids_do_not_repeat() {
    let body = format!("{{\"batch\":[{}1]}}", r#"{"type":"page","userId":"u"},"#.repeat(1000));
    let mut ids = std::collections::HashSet::new();
    for _ in 0..10 {
        let mut out = DecodedEvents::default();
        ParsedBody::parse(body.as_bytes())
            .unwrap()
            .append_events(&FACTS, BodyShape::Batch, &mut out)
            .unwrap();
        for event in &out.events[..1000] {
            let event: Value = serde_json::from_slice(out.text(*event)).unwrap();
            assert!(ids.insert(event["messageId"].as_str().unwrap().to_owned()));
        }
    }
}

#[test]
fn context_and_integrations_of_a_batch_are_merged() {
    let batch = r#""context":{"a":1,"\u0062":[2],"a":3},"integrations":{"All":false,"X":{"y":0}}"#;
    for (own, merged) in [
        ("", r#"},"context":{"a":3,"\u0062":[2]},"integrations":{"All":false,"X":{"y":0}}"#),
        (r#","context":{}"#, r#","context":{"a":3,"\u0062":[2]}"#),
        (r#","context":{ "b" : 9 }"#, r#","context":{ "b" : 9 ,"a":3}"#),
        (r#","context":{"\u0061":0}"#, r#","context":{"\u0061":0,"\u0062":[2]}"#),
        (r#","context":null"#, r#","context":{"a":3,"\u0062":[2]}"#),
        (r#","context":"c""#, r#","context":"c""#),
        (r#","integrations":{"X":1}"#, r#","integrations":{"X":1,"All":false}"#),
        (r#","integrations":null"#, r#","integrations":{"All":false,"X":{"y":0}}"#),
        (r#","integrations":[]"#, r#","integrations":[]"#),
    ] {
        let body = format!(r#"{{{batch},"batch":[{{"type":"page","userId":"u"{own}}}]}}"#);
        let events = decode(FACTS, BodyShape::Batch, &body).unwrap();
        let merged = merged.trim_start_matches('}');
        assert!(events[0].0.contains(merged), "{}\n{merged}", events[0].0);
        serde_json::from_str::<Value>(&events[0].0).unwrap();
    }
}

#[test]
fn addresses_are_filled_where_asked_for() {
    let ip = "\"192.0.2.7\"";
    for (facts, batch, own, expected) in [
        (FACTS, "", "", "-"),
        (FACTS, "", r#""context":{}"#, "-"),
        (FACTS, "", r#""context":{"direct":true}"#, ip),
        (FACTS, "", r#""context":{"d\u0069rect":true}"#, ip),
        (FACTS, "", r#""context":{"direct":"true"}"#, "-"),
        (FACTS, "", r#""context":{"x":{"direct":true}}"#, "-"),
        (FACTS, "", r#""context":{"direct":true,"ip":"me"}"#, "\"me\""),
        (FACTS, r#""context":{"direct":true}"#, r#""context":{"direct":false}"#, "-"),
        (FACTS, r#""context":{"direct":true}"#, r#""context":{"y":1}"#, ip),
        (FACTS, r#""context":{"direct":true}"#, "", ip),
        (BROWSER, "", "", ip),
        (BROWSER, "", r#""context":{ }"#, ip),
        (BROWSER, "", r#""context":{"x":{"ip":1}}"#, ip),
        (BROWSER, "", r#""context":{"ip":null}"#, "null"),
        (BROWSER, "", r#""context":{"\u0069p":"me"}"#, "\"me\""),
        (BROWSER, r#""context":{"ip":"b"}"#, r#""context":{"x":1}"#, "\"b\""),
        (BROWSER, r#""context":{"ip":"b"}"#, "", "\"b\""),
        (BROWSER, r#""context":{"x":1}"#, r#""context":{"ip":"me"}"#, "\"me\""),
    ] {
        let comma = |it: &str| if it.is_empty() { "" } else { "," };
        let body = format!(
            r#"{{"batch":[{{"type":"page","userId":"u"{}{own}}}]{}{batch}}}"#,
            comma(own),
            comma(batch)
        );
        let events = decode(facts, BodyShape::Batch, &body).unwrap();
        let event: Value = serde_json::from_str(&events[0].0).unwrap();
        let found = event.pointer("/context/ip").map_or("-".to_owned(), Value::to_string);
        assert_eq!(found, expected, "{body}\n{}", events[0].0);
    }
    // The value comes from a header.
    let hostile = RequestFacts { ip: "\",\"x\":\"\n", ..BROWSER };
    let text = item(hostile, r#"{"type":"page","userId":"u"}"#);
    assert!(text.contains(r#""context":{"ip":"\",\"x\":\"\n"}"#), "{text}");
}

#[test]
fn a_single_event_is_no_batch() {
    let body = r#"{"userId":"u","sentAt":"2026-01-02T03:04:09Z","context":{"a":1},"batch":[1]}"#;
    let events = decode(FACTS, BodyShape::One(MessageType::Page), body).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(values(&events[0].0, &["context", "batch"]), [r#"{"a":1}"#, "[1]"]);
}

#[test]
fn webhooks() {
    let made = |payload: &str| {
        format!(
            concat!(
                r#"{{"type":"track","event":"webhook_source_event","properties":{},"#,
                r#""anonymousId":"ID","messageId":"ID","rudderId":"ID","request_ip":"192.0.2.7","#,
                r#""receivedAt":"2026-01-02T03:04:10.000Z","originalTimestamp":"2026-01-02T03:04:10.000Z","#,
                r#""sentAt":"2026-01-02T03:04:10.000Z","timestamp":"2026-01-02T03:04:10.000Z"}}"#
            ),
            payload
        )
    };
    let of = |body: &str| decode(RUDDERSTACK, BodyShape::Webhook, body).unwrap();
    assert_eq!(of(" {\"a\":1e5,\n\"batch\":[]} "), [(made("{\"a\":1e5, \"batch\":[]}"), None)]);
    assert_eq!(
        of(r#"[{"a":[{}]}, 7 ,{},[{"b":1}]]"#),
        [
            (made(r#"{"a":[{}]}"#), None),
            ("7".to_owned(), Some(EventRefusal::NotAnObject)),
            (made("{}"), None),
            (r#"[{"b":1}]"#.to_owned(), Some(EventRefusal::NotAnObject)),
        ]
    );
}

#[test]
fn long_events_are_refused_and_small_bodies_cannot_ask_for_gigabytes() {
    let long = "x".repeat(standpipe_core::limits::EVENT_BYTES_MAX);
    let body = format!(
        r#"{{"batch":[{{"type":"page","userId":"u","x":"{long}"}},{{"type":"page","userId":"u"}}]}}"#
    );
    let events = decode(FACTS, BodyShape::Batch, &body).unwrap();
    assert_eq!(
        events.iter().map(|(_, refused)| *refused).collect::<Vec<_>>(),
        [Some(EventRefusal::TooLong), None]
    );
    let shared = "x".repeat(1024 * 1024);
    let items = r#"{"type":"page","userId":"u"},"#.repeat(100);
    let body = format!(r#"{{"context":{{"x":"{shared}"}},"batch":[{items}1]}}"#);
    assert_eq!(decode(FACTS, BodyShape::Batch, &body), Err(InvalidBody::AddsTooMuch));
    let answer = InvalidBody::AddsTooMuch.response_text();
    assert!(answer.contains("16777216 bytes") && answer.contains("fewer events"), "{answer}");
}

/// Discarded work is limited like work whose result is kept.
#[test]
fn events_that_become_too_long_are_work_too() {
    let shared = "x".repeat(standpipe_core::limits::EVENT_BYTES_MAX - 10);
    let items = [r#"{"type":"page","userId":"u"}"#; 3];
    let body = |count: usize| {
        format!(r#"{{"context":{{"x":"{shared}"}},"batch":[{}]}}"#, items[..count].join(","))
    };
    let events = decode(FACTS, BodyShape::Batch, &body(1)).unwrap();
    assert_eq!(events, [(items[0].to_owned(), Some(EventRefusal::TooLong))]);
    assert_eq!(decode(FACTS, BodyShape::Batch, &body(3)), Err(InvalidBody::AddsTooMuch));
}

#[test]
fn the_room_for_events_is_seen_to_before_they_are_there() {
    let item = r#"{"type":"page","userId":"u"}"#;
    let body = format!(r#"{{"batch":[{item},{item},{item}]}}"#);
    let mut out = DecodedEvents::of_at_most(500);
    let body = ParsedBody::parse(body.as_bytes()).unwrap();
    assert_eq!(body.append_events(&FACTS, BodyShape::Batch, &mut out), Err(InvalidBody::TooLong));
    assert!(!out.events.is_empty() && out.bytes.len() <= 500);
    let mut whole = DecodedEvents::of_at_most(1000);
    assert_eq!(body.append_events(&FACTS, BodyShape::Batch, &mut whole), Ok(()));
}

#[test]
fn a_request_has_so_many_events_and_no_more() {
    let max = limits::COLLECT_EVENTS_MAX;
    for (shape, open, close) in
        [(BodyShape::Batch, "{\"batch\":[", "]}"), (BodyShape::Webhook, "[", "]")]
    {
        let body = |count: usize| format!("{open}{}{close}", vec!["{}"; count].join(","));
        assert_eq!(decode(RUDDERSTACK, shape, &body(max)).unwrap().len(), max, "{shape:?}");
        let too_many = decode(RUDDERSTACK, shape, &body(max + 1));
        assert_eq!(too_many, Err(InvalidBody::TooManyEvents), "{shape:?}");
        let too_many = decode(RUDDERSTACK, shape, &body(limits::COLLECT_PARTS_MAX));
        assert!(matches!(too_many, Err(InvalidBody::TooManyEvents | InvalidBody::TooManyParts)));
    }
    let numbers = format!("[{}1]", "1,".repeat(limits::COLLECT_PARTS_MAX * 4));
    assert_eq!(decode(RUDDERSTACK, BodyShape::Webhook, &numbers), Err(InvalidBody::TooManyParts));
}

#[test]
fn what_a_batch_says_once_has_so_many_members_and_no_more() {
    let members = |count: usize| {
        let members = (0..count).map(|number| format!("\"k{number}\":1"));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    };
    let max = limits::COLLECT_SHARED_MEMBERS_MAX;
    let item = r#"{"type":"page","userId":"u"}"#;
    for key in ["context", "integrations"] {
        let body = |count| format!(r#"{{"{key}":{},"batch":[{item}]}}"#, members(count));
        assert!(decode(FACTS, BodyShape::Batch, &body(max)).is_ok());
        let too_many = decode(FACTS, BodyShape::Batch, &body(2 * max));
        assert_eq!(too_many, Err(InvalidBody::TooManyMembers), "{key}");
        // The same limit applies to an event's own object if the decoder has to scan it.
        let own = format!(
            r#"{{"{key}":{{"a":1}},"batch":[{{"type":"page","userId":"u","{key}":{}}}]}}"#,
            members(2 * max)
        );
        assert_eq!(
            decode(FACTS, BodyShape::Batch, &own),
            Err(InvalidBody::TooManyMembers),
            "{key}"
        );
    }
    let answer = InvalidBody::TooManyMembers.response_text();
    assert!(answer.contains("more than 10000 members"), "{answer}");
}

#[test]
fn only_a_function_makes_objects_without_a_user() {
    let set = r#"{"type":"set","collection":"c","id":"i"}"#;
    let body = format!(r#"{{"batch":[{set},{{"type":"track","event":"e"}}]}}"#);
    for facts in [FACTS, RUDDERSTACK] {
        let events = decode(facts, BodyShape::Function, &body).unwrap();
        assert_eq!(events[0].1, None, "{facts:?}");
        let start = r#"{"type":"set","collection":"c","id":"i","messageId":"ID","#;
        assert!(events[0].0.starts_with(start), "{}", events[0].0);
        assert!(!events[0].0.contains("rudderId"), "{}", events[0].0);
        assert_eq!(events[1].1, Some(EventRefusal::NoIdentity));
        let of_sdk = decode(facts, BodyShape::Batch, &body).unwrap();
        assert_eq!(of_sdk[0].1, Some(EventRefusal::NoIdentity));
    }
    // What all other events of a function become is what they become in a batch.
    let item = r#"{"type":"track","event":"e","userId":"u","timestamp":"2026-01-02T03:04:05Z"}"#;
    let body = format!(r#"{{"batch":[{item}]}}"#);
    for facts in [FACTS, RUDDERSTACK] {
        let made = decode(facts, BodyShape::Function, &body).unwrap();
        assert_eq!(made, decode(facts, BodyShape::Batch, &body).unwrap());
    }
}
