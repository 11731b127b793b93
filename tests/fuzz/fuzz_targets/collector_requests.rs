//! Decodes arbitrary request bodies: decoding does not panic, it finds the same items as another
//! parser, and each event is one JSON object on one line that differs from the item only in members
//! with a rule.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use standpipe_collector::{
    BodyShape, DecodedEvents, Dialect, MessageType, ParsedBody, RequestFacts,
};
use standpipe_core::clock;

/// The members that a rule may change.
const CHANGED: [&str; 10] = [
    "context",
    "integrations",
    "messageId",
    "originalTimestamp",
    "receivedAt",
    "request_ip",
    "rudderId",
    "sentAt",
    "timestamp",
    "type",
];

fuzz_target!(|input: &[u8]| {
    let [choice, body @ ..] = input else { return };
    let dialect = if choice & 1 == 0 { Dialect::Segment } else { Dialect::RudderStack };
    let shape = match choice >> 1 & 3 {
        0 => BodyShape::One(MessageType::Track),
        1 => BodyShape::Webhook,
        2 => BodyShape::Function,
        _ => BodyShape::Batch,
    };
    let client_side = choice & 8 != 0;
    let facts = RequestFacts { dialect, received_at: clock::now(), ip: "192.0.2.1", client_side };
    let mut decoded = DecodedEvents::default();
    let Ok(parsed) = ParsedBody::parse(body) else { return };
    parsed.write_key();
    if parsed.append_events(&facts, shape, &mut decoded).is_err() {
        return;
    }
    let whole: Option<Value> = serde_json::from_slice(body).ok();
    let items: Option<Vec<&Value>> = whole.as_ref().and_then(|whole| match shape {
        BodyShape::Batch | BodyShape::Function => {
            Some(whole.get("batch")?.as_array()?.iter().collect())
        }
        BodyShape::Webhook if whole.is_array() => Some(whole.as_array()?.iter().collect()),
        _ => Some(vec![whole]),
    });
    assert!(items.as_ref().is_none_or(|items| items.len() == decoded.events.len()));
    for (number, event) in decoded.events.iter().enumerate() {
        let text = std::str::from_utf8(decoded.text(*event)).expect("UTF-8");
        assert!(!text.contains(['\n', '\r']), "{text:?}");
        let made: Option<Value> = serde_json::from_str(text).ok();
        // The other parser rejects texts that decoding accepts: deep nesting, huge numbers, lone
        // surrogates.
        let Some(items) = &items else { continue };
        let made = made.expect("what could be read before");
        if event.refused.is_some() {
            assert_eq!(&made, items[number]);
        } else if shape == BodyShape::Webhook {
            assert_eq!(&made["properties"], items[number]);
        } else {
            let before = items[number].as_object().expect("only objects become events");
            for (key, value) in before.iter().filter(|(key, _)| !CHANGED.contains(&key.as_str())) {
                assert_eq!(made.get(key), Some(value), "{key} of {text:?}");
            }
        }
    }
});
