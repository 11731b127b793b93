//! What must hold whatever comes in, for fuzz targets. No part of the plugin.

use serde::de::IgnoredAny;
use standpipe_plugin::testing::{Decision, Harness};

use crate::Mapping;
use crate::fql::Condition;
use crate::json::{Kind, Value};
use crate::redact::{Detectors, redact};
use crate::timestamp::{Reading, Writing, Zone, convert};

/// See that a condition's text compiles or is refused, that what it prints
/// compiles to the same, and that an event's type and name decide what they are
/// said to decide. The event need not be JSON.
///
/// # Panics
///
/// One of these does not hold.
pub fn condition(text: &str, event: &str) {
    let Ok(condition) = Condition::parse(text) else { return };
    let is_json = serde_json::from_str::<IgnoredAny>(event).is_ok();
    let event = Value::of_text(event);
    let holds = condition.holds(event);
    let printed = condition.to_string();
    match Condition::parse(&printed) {
        Ok(again) => assert!(again == condition && again.to_string() == printed, "{printed}"),
        Err(error) => assert!(error.to_string().contains("at most"), "{printed}: {error}"),
    }
    if is_json && condition.reads_only_kind() {
        let told = |key: &str| {
            let value = event.get(key)?;
            (value.kind() == Kind::String && !value.string()?.is_empty()).then(|| value.raw())
        };
        let [message_type, name] = ["type", "event"].map(|key| told(key).unwrap_or("null"));
        let kind = format!(r#"{{"type":{message_type},"event":{name}}}"#);
        assert_eq!(condition.holds(Value::of_text(&kind)), holds, "{printed} of {kind}");
        assert!(condition.paths().iter().all(|path| path.keys().len() == 1), "{printed}");
    }
}

/// See that a text is redacted, and that redacting it again changes nothing.
/// The lowest four bits say what is looked for.
///
/// # Panics
///
/// One of these does not hold.
pub fn redaction(text: &str, bits: u8) {
    let has = |bit: u8| bits & bit != 0;
    let which = Detectors { email: has(1), phone: has(2), card: has(4), ip: has(8) };
    let Some(redacted) = redact(text, which) else { return };
    assert_ne!(redacted, text);
    assert_eq!(redact(&redacted, which), None, "{redacted} of {text}");
}

/// See that what is said to be a time's JSON is JSON, and a time again.
///
/// # Panics
///
/// It is not.
pub fn timestamp(json: &str, zone: &str, format: &str) {
    let Ok(zone) = Zone::parse(zone) else { return };
    let value = Value::of_text(json);
    let readings = [Reading::Any, Reading::Iso8601, Reading::UnixSeconds, Reading::UnixMillis];
    let plain = [Writing::Rfc3339, Writing::UnixSeconds, Writing::UnixMillis, Writing::Date];
    for reading in readings {
        for writing in &plain {
            let Some(written) = convert(value, reading, writing, &zone) else { continue };
            let again = match writing {
                Writing::UnixSeconds => Reading::UnixSeconds,
                Writing::UnixMillis => Reading::UnixMillis,
                _ => Reading::Iso8601,
            };
            let again = convert(Value::of_text(&written), again, writing, &zone);
            assert_eq!(again.as_ref(), Some(&written), "{writing:?} of {json}");
        }
        let Ok(writing) = Writing::format(format) else { continue };
        if let Some(written) = convert(value, reading, &writing, &zone) {
            assert!(serde_json::from_str::<String>(&written).is_ok(), "{written}");
        }
    }
}

/// See that settings are taken or refused, and that what they make of an event
/// is JSON if the event is, in a stream that they declare. Then see that what no
/// action names has kept its bytes.
///
/// # Panics
///
/// One of these does not hold.
pub fn transforms(settings: &str, event: &str) {
    let is_json = serde_json::from_str::<IgnoredAny>(event).is_ok();
    if let Ok(mut harness) = Harness::<Mapping>::configure(settings) {
        run(&mut harness, event, is_json);
    }
    let actions = r#""drop_fields":["a.b"],"set":{"c.d":1},"copy":{"e":"c.f"},"hash":["g"],"to_string":["h[].i"]"#;
    let settings =
        format!(r#"{{"mappings":[{{"event":"*","stream":"s"}}],"transforms":[{{{actions}}}]}}"#);
    let mut harness = Harness::<Mapping>::configure(&settings).expect("good settings");
    let others = |text: &str| -> Vec<String> {
        let members = Value::of_text(text).members();
        let others =
            members.filter(|member| !["a", "c", "g", "h"].iter().any(|name| member.is_named(name)));
        others.map(|member| format!("{}:{}", member.key, member.value.raw())).collect()
    };
    for made in run(&mut harness, event, is_json).into_iter().flatten() {
        assert!(!is_json || others(&made) == others(event), "{made}");
    }
}

/// The payloads of an event's deliveries that are not its own text.
fn run(harness: &mut Harness<Mapping>, text: &str, is_json: bool) -> Vec<Option<String>> {
    let decided = harness.map(standpipe_plugin::testing::event(text));
    let declared: Vec<String> = harness.streams().into_iter().map(str::to_owned).collect();
    let payloads = decided.into_iter().filter_map(|decision| match decision {
        Decision::Reject(_) => None,
        Decision::Deliver(stream, payload) => {
            assert!(stream.len() <= 64, "{stream}");
            let is_declared = declared.iter().any(|entry| entry.contains('*') || *entry == stream);
            assert!(is_declared, "{stream}");
            Some(payload.map(|payload| String::from_utf8(payload).expect("UTF-8")))
        }
    });
    let payloads: Vec<_> = payloads.collect();
    for payload in payloads.iter().flatten() {
        let made = serde_json::from_str::<IgnoredAny>(payload);
        assert!(!is_json || made.is_ok(), "{payload}");
    }
    payloads
}
