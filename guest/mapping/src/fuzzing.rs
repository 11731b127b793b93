//! Invariants for fuzz targets, which hold for every input. The plugin does not use this module.

use serde::de::IgnoredAny;
use standpipe_plugin::testing::{Decision, Harness};

use crate::Mapping;
use crate::fql::Condition;
use crate::json::{JsonKind, JsonValue};
use crate::redact::{Detectors, redact_text};
use crate::timestamp::{Reading, Writing, Zone, convert_time};

/// Checks that a condition's text compiles or is rejected, that its printed form compiles to the
/// same condition, and that an event's type and name determine the result if the condition says so.
/// The event does not have to be JSON.
///
/// # Panics
///
/// Panics if an invariant is violated.
pub fn check_condition(text: &str, event: &str) {
    let Ok(condition) = Condition::parse(text) else { return };
    let is_json = serde_json::from_str::<IgnoredAny>(event).is_ok();
    let event = JsonValue::of_text(event);
    let holds = condition.holds(event);
    let printed = condition.to_string();
    match Condition::parse(&printed) {
        Ok(again) => assert!(again == condition && again.to_string() == printed, "{printed}"),
        Err(error) => assert!(error.to_string().contains("at most"), "{printed}: {error}"),
    }
    if is_json && condition.reads_only_kind() {
        let passed_value = |key: &str| {
            let value = event.get(key)?;
            (value.kind() == JsonKind::String && !value.as_string()?.is_empty())
                .then(|| value.raw_text())
        };
        let [message_type, name] = ["type", "event"].map(|key| passed_value(key).unwrap_or("null"));
        let kind = format!(r#"{{"type":{message_type},"event":{name}}}"#);
        assert_eq!(condition.holds(JsonValue::of_text(&kind)), holds, "{printed} of {kind}");
        assert!(condition.paths().iter().all(|path| path.keys().len() == 1), "{printed}");
    }
}

/// Checks that redacting a text a second time changes nothing. The lowest four bits select the
/// detectors.
///
/// # Panics
///
/// Panics if an invariant is violated.
pub fn check_redaction(text: &str, bits: u8) {
    let has = |bit: u8| bits & bit != 0;
    let which = Detectors { email: has(1), phone: has(2), card: has(4), ip: has(8) };
    let Some(redacted) = redact_text(text, which) else { return };
    assert_ne!(redacted, text);
    assert_eq!(redact_text(&redacted, which), None, "{redacted} of {text}");
}

/// Checks that a written time is JSON, and is parsed as the same time.
///
/// # Panics
///
/// Panics if an invariant is violated.
pub fn check_timestamp(json: &str, zone: &str, format: &str) {
    let Ok(zone) = Zone::parse(zone) else { return };
    let value = JsonValue::of_text(json);
    let readings = [Reading::Any, Reading::Iso8601, Reading::UnixSeconds, Reading::UnixMillis];
    let plain = [Writing::Rfc3339, Writing::UnixSeconds, Writing::UnixMillis, Writing::Date];
    for reading in readings {
        for writing in &plain {
            let Some(written) = convert_time(value, reading, writing, &zone) else { continue };
            let again = match writing {
                Writing::UnixSeconds => Reading::UnixSeconds,
                Writing::UnixMillis => Reading::UnixMillis,
                _ => Reading::Iso8601,
            };
            let again = convert_time(JsonValue::of_text(&written), again, writing, &zone);
            assert_eq!(again.as_ref(), Some(&written), "{writing:?} of {json}");
        }
        let Ok(writing) = Writing::format(format) else { continue };
        if let Some(written) = convert_time(value, reading, &writing, &zone) {
            assert!(serde_json::from_str::<String>(&written).is_ok(), "{written}");
        }
    }
}

/// Checks that settings are accepted or rejected, that the payload of a JSON event is JSON, that
/// its stream is declared, and that fields that no action names keep their bytes.
///
/// # Panics
///
/// Panics if an invariant is violated.
pub fn check_transforms(settings: &str, event: &str) {
    let is_json = serde_json::from_str::<IgnoredAny>(event).is_ok();
    if let Ok(mut harness) = Harness::<Mapping>::configure(settings) {
        run_event(&mut harness, event, is_json);
    }
    let actions = r#""drop_fields":["a.b"],"set":{"c.d":1},"copy":{"e":"c.f"},"hash":["g"],"to_string":["h[].i"]"#;
    let settings =
        format!(r#"{{"mappings":[{{"event":"*","stream":"s"}}],"transforms":[{{{actions}}}]}}"#);
    let mut harness = Harness::<Mapping>::configure(&settings).expect("good settings");
    let others = |text: &str| -> Vec<String> {
        let members = JsonValue::of_text(text).members();
        let others =
            members.filter(|member| !["a", "c", "g", "h"].iter().any(|name| member.is_named(name)));
        others.map(|member| format!("{}:{}", member.key, member.value.raw_text())).collect()
    };
    for made in run_event(&mut harness, event, is_json).into_iter().flatten() {
        assert!(!is_json || others(&made) == others(event), "{made}");
    }
}

/// Runs one event and returns the replaced payloads of its deliveries.
fn run_event(harness: &mut Harness<Mapping>, text: &str, is_json: bool) -> Vec<Option<String>> {
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
