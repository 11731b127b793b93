//! What must hold whatever comes in, for fuzz targets. No part of the plugin.

use serde::de::IgnoredAny;

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
