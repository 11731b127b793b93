//! Compares the decoder with a slow model that reads with `serde_json`, takes times from a table,
//! and edits texts from the end to the start.

use std::ops::Range;

use md5::{Digest, Md5};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use super::*;
use standpipe_core::clock;

const RECEIVED: OffsetDateTime = datetime!(2026-01-02 03:04:10.123 UTC);
const IP: &str = "192.0.2.7";

/// Times that can occur in a body, and whether the decoder keeps them unchanged.
const TIMES: [(&str, OffsetDateTime, bool); 7] = [
    ("\"2026-01-02T03:04:05.678Z\"", datetime!(2026-01-02 03:04:05.678 UTC), true),
    ("\"2026-01-02T03:04:08Z\"", datetime!(2026-01-02 03:04:08 UTC), true),
    ("\"2026-01-02T05:04:09.123456+02:00\"", datetime!(2026-01-02 03:04:09.123 UTC), true),
    ("\"2026-01-01\"", datetime!(2026-01-01 00:00 UTC), false),
    ("\"2026-01-02T03:04:05.6\\u00378Z\"", datetime!(2026-01-02 03:04:05.678 UTC), false),
    ("1767323045", datetime!(2026-01-02 03:04:05 UTC), false),
    ("\"0000-01-01 00:00\"", datetime!(0000-01-01 00:00 UTC), false),
];

type ModelOutcome = Option<Vec<(String, Option<EventRefusal>)>>;

/// The position at which the first JSON value of the text ends.
fn value_end(text: &str) -> usize {
    let mut values = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    values.next().unwrap().unwrap();
    values.byte_offset()
}

fn skip(text: &str, at: usize) -> usize {
    at + text[at..].find(|it: char| !" \t\r\n".contains(it)).unwrap_or(0)
}

/// The positions of the values in an object or array, with their keys if it is an object.
fn parts(text: &str) -> Vec<(String, Range<usize>)> {
    let mut parts = Vec::new();
    let mut at = skip(text, 1);
    while !text[at..].starts_with(['}', ']']) {
        let mut key = String::new();
        if text.starts_with('{') {
            let end = at + value_end(&text[at..]);
            key = serde_json::from_str(&text[at..end]).unwrap_or_default();
            at = skip(text, skip(text, end) + 1);
        }
        let end = at + value_end(&text[at..]);
        parts.push((key, at..end));
        at = skip(text, end);
        if text[at..].starts_with(',') {
            at = skip(text, at + 1);
        }
    }
    parts
}

fn get<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    parts(text).into_iter().rfind(|(it, _)| it == key).map(|(_, range)| &text[range])
}

/// Changes a member of an object, or appends it.
fn set(text: &mut String, key: &str, value: &str) {
    match parts(text).into_iter().rfind(|(it, _)| it == key) {
        Some((_, range)) => text.replace_range(range, value),
        None => {
            let comma = if parts(text).is_empty() { "" } else { "," };
            text.insert_str(text.len() - 1, &format!("{comma}\"{key}\":{value}"));
        }
    }
}

fn id(text: &str, key: &str) -> String {
    match get(text, key) {
        None | Some("null") => String::new(),
        Some(value) if value.starts_with('"') => {
            let string: String = serde_json::from_str(value).unwrap_or_default();
            let is_blank = |it: char| it != ' ' && it.is_whitespace() || it.is_control();
            let hides = "\u{200b}\u{34f}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{2800}\u{3164}\u{ffa0}";
            string.replace(|it| is_blank(it) || hides.contains(it), "").trim_matches(' ').to_owned()
        }
        Some(value) => value.to_owned(),
    }
}

fn string_of(value: Option<&str>) -> Option<String> {
    serde_json::from_str(value?).ok()
}

fn time(value: Option<&str>) -> Option<(OffsetDateTime, bool)> {
    TIMES.iter().find(|(text, _, _)| Some(*text) == value).map(|(_, time, keeps)| (*time, *keeps))
}

fn written(time: OffsetDateTime) -> String {
    format!("\"{}\"", clock::rfc3339(time))
}

/// Merges the shared members of a batch into an object of an event. The event's own members win.
fn merge(event: &mut String, key: &str, shared: Option<&str>, extra: Option<&str>) {
    let shared = shared.filter(|text| text.starts_with('{')).unwrap_or("{}");
    let own = get(event, key).filter(|text| *text != "null").map(str::to_owned);
    if own.as_ref().is_some_and(|own| !own.starts_with('{')) {
        return;
    }
    let mut merged = own.clone().unwrap_or("{}".to_owned());
    let has = |key: &str, text: &str| parts(text).iter().any(|(it, _)| it == key);
    let before = merged.clone();
    // The key as written is between the previous value and this one.
    let mut from = 1;
    let mut members: Vec<(String, String)> = Vec::new();
    for (key, range) in parts(shared) {
        let member = shared[from..range.end].trim_matches([' ', ',', '\n', '\r', '\t']);
        let text = format!("{}:{}", &member[..value_end(member)], &shared[range.clone()]);
        from = range.end;
        match members.iter_mut().find(|(it, _)| *it == key) {
            Some((_, before)) => *before = text,
            None => members.push((key, text)),
        }
    }
    for (_, text) in members.iter().filter(|(key, _)| !has(key, &before)) {
        let comma = if parts(&merged).is_empty() { "" } else { "," };
        merged.insert_str(merged.len() - 1, &format!("{comma}{text}"));
    }
    if let Some(ip) = extra.filter(|_| !has("ip", &merged)) {
        set(&mut merged, "ip", ip);
    }
    if merged != own.unwrap_or("{}".to_owned()) {
        set(event, key, &merged);
    }
}

fn segment(
    facts: &RequestFacts<'_>,
    path: Option<&str>,
    batch: &str,
    text: &str,
    made: &str,
) -> Result<String, EventRefusal> {
    if id(text, "userId").is_empty() && id(text, "anonymousId").is_empty() {
        return Err(EventRefusal::NoIdentity);
    }
    let filled = |key: &str| string_of(get(text, key)).filter(|it| !it.is_empty());
    let own_type = filled("type");
    let message_type = path.or(own_type.as_deref()).ok_or(EventRefusal::NoType)?;
    if message_type == "track" && filled("event").is_none() {
        return Err(EventRefusal::NoEventName);
    }
    let mut event = text.to_owned();
    if let Some(path) = path {
        set(&mut event, "type", &format!("\"{path}\""));
    }
    if filled("messageId").is_none() {
        set(&mut event, "messageId", made);
    }
    let batch_sent = get(batch, "sentAt").filter(|_| path.is_none());
    let own_sent = time(get(text, "sentAt"));
    let sent = own_sent.or(time(batch_sent));
    if let (None, Some(_), Some(batch_sent)) = (own_sent, time(batch_sent), batch_sent) {
        set(&mut event, "sentAt", batch_sent);
    }
    let client = ["timestamp", "originalTimestamp"]
        .iter()
        .find_map(|key| time(get(text, key)).zip(get(text, key)));
    let received = written(RECEIVED);
    let original = match client {
        Some(((_, true), text)) => text.to_owned(),
        Some(((time, false), _)) => written(time),
        None => received.clone(),
    };
    let corrected = client.zip(sent).map(|(((time, _), _), (sent, _))| RECEIVED - (sent - time));
    let corrected = corrected.filter(|time| (0..=9999).contains(&time.year()));
    set(&mut event, "originalTimestamp", &original);
    set(&mut event, "receivedAt", &received);
    set(&mut event, "timestamp", &corrected.map_or(original, written));
    let shared = |key| get(batch, key).filter(|_| path.is_none());
    let object = |text: Option<&str>| text.filter(|it| it.starts_with('{')).map(str::to_owned);
    let direct = |context: Option<&str>| Some(get(&object(context)?, "direct")? == "true");
    let is_direct = direct(get(text, "context")).or(direct(shared("context"))) == Some(true);
    let ip = json!(facts.ip).to_string();
    let ip = (facts.client_side || is_direct).then_some(&*ip);
    merge(&mut event, "context", shared("context"), ip);
    merge(&mut event, "integrations", shared("integrations"), None);
    Ok(event)
}

fn rudderstack(path: Option<&str>, text: &str, made: &str) -> Result<String, EventRefusal> {
    let ids = [id(text, "userId"), id(text, "anonymousId")];
    if ids.iter().all(String::is_empty) {
        return Err(EventRefusal::NoIdentity);
    }
    let mut event = text.to_owned();
    if let Some(path) = path {
        set(&mut event, "type", &format!("\"{path}\""));
    }
    let message_id = string_of(get(text, "messageId")).map(|_| id(text, "messageId"));
    match message_id.filter(|id| !id.is_empty()) {
        None => set(&mut event, "messageId", made),
        Some(id) if Some(&id) == string_of(get(text, "messageId")).as_ref() => {}
        Some(id) => set(&mut event, "messageId", &json!(id).to_string()),
    }
    let mut hash: [u8; 16] = Md5::digest(ids.join(":")).into();
    hash[6] = 0x40 | hash[6] & 0x0f;
    hash[8] = 0x80 | hash[8] & 0x3f;
    let mut hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    [20, 16, 12, 8].iter().for_each(|at| hex.insert(*at, '-'));
    set(&mut event, "rudderId", &format!("\"{hex}\""));
    if !get(text, "request_ip").is_some_and(|text| text.starts_with('"')) {
        set(&mut event, "request_ip", &json!(IP).to_string());
    }
    let read = |key| time(get(text, key)).map(|(time, _)| time);
    let original = read("originalTimestamp").unwrap_or(RECEIVED);
    let sent = read("sentAt").unwrap_or(RECEIVED);
    let corrected = RECEIVED - (sent - original);
    let is_writable = (0..=9999).contains(&corrected.year());
    let corrected = if is_writable { corrected } else { RECEIVED };
    set(&mut event, "receivedAt", &written(RECEIVED));
    set(&mut event, "originalTimestamp", &written(original));
    set(&mut event, "sentAt", &written(sent));
    set(&mut event, "timestamp", &written(read("timestamp").unwrap_or(corrected)));
    Ok(event)
}

/// The id that the decoder created. The model adopts it because it is random.
fn made_id(text: &str) -> String {
    let event: Value = serde_json::from_str(text).unwrap_or_default();
    let id = event["messageId"].as_str().unwrap_or_default().to_owned();
    json!(id).to_string()
}

fn model(
    facts: &RequestFacts<'_>,
    shape: BodyShape,
    body: &str,
    decoded: &ModelOutcome,
) -> ModelOutcome {
    let body = body.trim_matches([' ', '\t', '\r', '\n']);
    let items = match shape {
        _ if !body.starts_with('{') => return None,
        BodyShape::One(_) => vec![body],
        _ => {
            let batch = get(body, "batch").filter(|batch| batch.starts_with('['))?;
            parts(batch).into_iter().map(|(_, range)| &batch[range]).collect()
        }
    };
    if items.is_empty() && facts.dialect == Dialect::RudderStack {
        return None;
    }
    let path = match shape {
        BodyShape::One(message_type) => Some(message_type.name()),
        _ => None,
    };
    let one_line = |text: &str| text.replace(['\n', '\r'], " ");
    let event = |(number, item): (usize, &&str)| {
        let made = decoded.as_ref().and_then(|events| events.get(number));
        let made = made_id(made.map_or("", |(text, _)| text));
        let event = match facts.dialect {
            _ if !item.starts_with('{') => Err(EventRefusal::NotAnObject),
            Dialect::Segment => segment(facts, path, body, item, &made),
            Dialect::RudderStack => rudderstack(path, item, &made),
        };
        match event {
            Ok(text) => (one_line(&text), None),
            Err(refusal) => (one_line(item), Some(refusal)),
        }
    };
    Some(items.iter().enumerate().map(event).collect())
}

fn decoded(facts: &RequestFacts<'_>, shape: BodyShape, body: &[u8]) -> ModelOutcome {
    let mut out = DecodedEvents::default();
    ParsedBody::parse(body).ok()?.append_events(facts, shape, &mut out).ok()?;
    let text = |event: &DecodedEvent| String::from_utf8(out.text(*event).to_vec()).unwrap();
    Some(out.events.iter().map(|event| (text(event), event.refused)).collect())
}

/// Compares the decoder with the model, which appends members in a different order.
fn agree(facts: &RequestFacts<'_>, shape: BodyShape, body: &str) -> Result<(), TestCaseError> {
    let decoded = decoded(facts, shape, body.as_bytes());
    let model = model(facts, shape, body, &decoded);
    prop_assert_eq!(decoded.is_some(), model.is_some(), "{}", body);
    for ((text, refused), (expected, why)) in decoded.iter().flatten().zip(model.iter().flatten()) {
        prop_assert_eq!(refused, why, "{}", text);
        let (ours, models) = (members(text), members(expected));
        // Appended members follow all others, so the order of the others is compared too.
        let own_len = ours.iter().zip(&models).take_while(|(a, b)| a == b).count();
        let is_added = |member: &String| ADDED.iter().any(|key| member.starts_with(key));
        let rest = [&ours[own_len..], &models[own_len..]].map(<[_]>::to_vec);
        let [rest, other] = rest.map(|mut rest| {
            rest.sort();
            rest
        });
        prop_assert_eq!(&rest, &other, "{}\n{}\n{}", body, text, expected);
        prop_assert!(ours == models || rest.iter().all(is_added), "{}\n{}", text, expected);
    }
    prop_assert_eq!(decoded.map(|it| it.len()), model.map(|it| it.len()));
    Ok(())
}

/// The prefixes of members that may be appended.
const ADDED: [&str; 10] = [
    "\"messageId\"",
    "\"rudderId\"",
    "\"request_ip\"",
    "\"receivedAt\"",
    "\"originalTimestamp\"",
    "\"sentAt\"",
    "\"timestamp\"",
    "\"context\"",
    "\"integrations\"",
    "\"type\"",
];

/// The members of an object as they appear in the text.
fn members(text: &str) -> Vec<String> {
    if !text.starts_with('{') {
        return vec![text.to_owned()];
    }
    let mut from = 1;
    let members = parts(text).into_iter().map(|(_, range)| {
        let member = text[from..range.end].trim_matches([',', ' ', '\t']).to_owned();
        from = range.end;
        member
    });
    members.collect()
}

fn gap() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just(String::new()), 1 => "[ \t\r\n]{1,3}", 1 => " {60,70}"]
}

fn any_value() -> impl Strategy<Value = String> {
    let words = [
        "null",
        "true",
        "\"\"",
        "0",
        "-1.50e+3",
        "[]",
        "{}",
        "\"track\"",
        "\"tr\\u0061ck\"",
        "\"u\"",
        "\" u\\u200b\"",
        "\"\\u00e9é\\\"\\\\\"",
        "[[{\"type\":[]}],{\"a\":\"}\"}]",
        "\"\\t \"",
        "{\"ip\":null}",
        "{\"direct\":true}",
        "{ \"direct\" : false , \"ip\" : \"x\" }",
        "{\"d\\u0069rect\":true,\"\\u0061\":1}",
        "{\"a\":{\"ip\":1,\"direct\":true},\"b\":2,\"a\":3}",
        "{\"type\":\"page\",\"userId\":\"u\"}",
    ];
    let times = TIMES.map(|(text, _, _)| text);
    let text =
        prop_oneof![prop::sample::select(words.to_vec()), prop::sample::select(times.to_vec())];
    let text = text.prop_map(str::to_owned).boxed();
    prop_oneof![
        9 => text,
        1 => "\\PC{0,9}".prop_map(|text| json!(text).to_string()),
    ]
}

const KEYS: [&str; 21] = [
    "type",
    "event",
    "userId",
    "anonymousId",
    "messageId",
    "timestamp",
    "originalTimestamp",
    "sentAt",
    "receivedAt",
    "context",
    "integrations",
    "rudderId",
    "request_ip",
    "batch",
    "x",
    "",
    "\\u0074ype",
    "user\\u0049d",
    "context\\u0000",
    "request\\u005fip",
    "a\\\"b",
];

fn any_time() -> impl Strategy<Value = String> {
    prop::sample::select(TIMES.map(|(text, _, _)| text.to_owned()).to_vec())
}

fn any_context() -> impl Strategy<Value = String> {
    let keys = ["a", "b", "\\u0061", "ip", "direct", "d\\u0069rect", "a\\/", ""];
    let values = ["1", "true", "false", "null", "{\"ip\":1}", "[1,{}]", "\"}\""];
    let pair = (prop::sample::select(keys.to_vec()), prop::sample::select(values.to_vec()), gap());
    prop::collection::vec(pair, 0..4).prop_map(|members| {
        let member = |(key, value, gap): &(_, _, String)| format!("{gap}\"{key}\":{value}{gap}");
        format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
    })
}

fn object(values: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let key = prop::sample::select(&KEYS[..]);
    let pair = prop_oneof![
        6 => (key, values),
        1 => (prop::sample::select(&["context", "integrations"][..]), any_context()),
        1 => (prop::sample::select(&KEYS[5..8]), any_time()),
    ];
    let member = (gap(), pair, gap(), gap(), gap())
        .prop_map(|(a, (key, value), b, c, d)| format!("{a}\"{key}\"{b}:{c}{value}{d}"));
    (prop::collection::vec(member, 0..12), gap())
        .prop_map(|(members, gap)| {
            let gap = if members.is_empty() { gap } else { String::new() };
            format!("{{{gap}{}}}", members.join(","))
        })
        .boxed()
}

/// A text that is more likely to be an event.
fn event() -> impl Strategy<Value = String> {
    object(any_value().boxed()).prop_flat_map(|object| {
        let rest = object[1..].to_owned();
        let comma = if rest.trim_start() == "}" { "" } else { "," };
        prop_oneof![
            Just(format!("{{\"type\":\"track\",\"event\":\"e\",\"userId\":\"u\"{comma}{rest}")),
            Just(object),
        ]
    })
}

fn body() -> impl Strategy<Value = String> {
    let item = prop_oneof![5 => event().boxed(), 1 => any_value().boxed()];
    let item = (gap(), item, gap()).prop_map(|(a, item, b)| format!("{a}{item}{b}"));
    let batch =
        prop::collection::vec(item, 0..5).prop_map(|items| format!("[{}]", items.join(",")));
    let with_batch = (object(any_value().boxed()), batch, gap(), any::<bool>()).prop_map(
        |(object, batch, gap, is_first)| {
            let rest = object[1..object.len() - 1].to_owned();
            let comma = if rest.trim().is_empty() { "" } else { "," };
            if is_first {
                format!("{gap}{{\"batch\":{batch}{comma}{rest}}}{gap}")
            } else {
                format!("{gap}{{{rest}{comma}\"batch\":{gap}{batch}}}")
            }
        },
    );
    prop_oneof![2 => with_batch.boxed(), 1 => event().boxed(), 1 => any_value().boxed()]
}

fn request() -> impl Strategy<Value = (RequestFacts<'static>, BodyShape)> {
    let dialect = prop::sample::select(&[Dialect::Segment, Dialect::RudderStack][..]);
    let shape = prop::sample::select(
        &[
            BodyShape::Batch,
            BodyShape::Batch,
            BodyShape::One(MessageType::Track),
            BodyShape::One(MessageType::Page),
        ][..],
    );
    (dialect, any::<bool>(), shape).prop_map(|(dialect, client_side, shape)| {
        (RequestFacts { dialect, received_at: RECEIVED, ip: IP, client_side }, shape)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_body_is_decoded_like_the_model((facts, shape) in request(), body in body()) {
        agree(&facts, shape, &body)?;
    }

    #[test]
    fn any_damage_is_seen(
        (facts, shape) in request(),
        body in body(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![prop::sample::select(&b"{}[]\",:\\0 "[..]), any::<u8>()],
        cuts in any::<bool>(),
    ) {
        let mut damaged = body.into_bytes();
        let at = at.index(damaged.len() + 1);
        if cuts { damaged.truncate(at) } else { damaged.insert(at, byte) }
        let text = std::str::from_utf8(&damaged).ok();
        let decoded = decoded(&facts, shape, &damaged);
        let refusals = |it: &ModelOutcome| {
            it.as_ref().map(|it| it.iter().map(|(_, refused)| *refused).collect::<Vec<_>>())
        };
        match text.filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok()) {
            // The table has no damaged times, and the model cannot represent lone surrogates.
            Some(text) if !text.contains("\\ud") => {
                let model = model(&facts, shape, text, &decoded);
                prop_assert_eq!(refusals(&decoded), refusals(&model), "{}", text);
            }
            Some(_) => {}
            None => prop_assert_eq!(decoded, None),
        }
    }

    #[test]
    fn nothing_is_too_odd(
        (facts, _) in request(),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        for shape in [BodyShape::Batch, BodyShape::Webhook, BodyShape::One(MessageType::Alias)] {
            decoded(&facts, shape, &body);
        }
    }

    #[test]
    fn webhooks_hold_their_payload(payloads in prop::collection::vec((gap(), event(), gap()), 1..4)) {
        let facts =
            RequestFacts { dialect: Dialect::RudderStack, received_at: RECEIVED, ip: IP, client_side: false };
        let items: Vec<String> = payloads.iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
        let body = format!("[{}]", items.join(","));
        let events = decoded(&facts, BodyShape::Webhook, body.as_bytes()).unwrap();
        prop_assert_eq!(events.len(), payloads.len());
        for ((text, refused), (_, payload, _)) in events.iter().zip(&payloads) {
            prop_assert_eq!(get(text, "properties").unwrap(), payload.replace(['\r', '\n'], " "));
            prop_assert_eq!(*refused, None);
        }
    }
}
