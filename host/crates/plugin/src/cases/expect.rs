//! The expected decision of a case, and its comparison with the plugin's decision. Deliveries may
//! be in any order.

use serde_json::Value;

use super::failure::{CaseDifference, shown, shown_json};
use crate::{Decision, Output, Plugin};
use standpipe_core::event::StreamName;

/// The expected outcome of an event.
#[derive(Debug, PartialEq)]
pub(super) enum Expected {
    /// The event has these deliveries, in any order. If there are none, it is filtered.
    Deliveries(Vec<ExpectedDelivery>),
    /// The event is rejected, and the reason contains this text.
    Reject(String),
}

#[derive(Debug, PartialEq)]
pub(super) struct ExpectedDelivery {
    pub(super) stream: StreamName,
    pub(super) payload: ExpectedPayload,
}

#[derive(Debug, PartialEq)]
pub(super) enum ExpectedPayload {
    /// The event's text as received.
    Original,
    /// This text.
    Text(String),
    /// Any text of this JSON value.
    Json(Value),
}

/// A delivery of the plugin's decision.
struct Delivered<'a> {
    stream: &'a str,
    payload: &'a [u8],
    /// Whether the payload is the event's own text.
    is_original: bool,
}

impl Expected {
    /// The difference, or nothing if the decision is as expected.
    pub(super) fn compare(
        &self,
        event: &str,
        plugin: &Plugin,
        outputs: &[Output],
    ) -> Vec<CaseDifference> {
        let delivered = outputs.iter().filter_map(|output| match &output.decision {
            Decision::Deliver(target, payload) => Some(Delivered {
                stream: plugin.stream(target).as_str(),
                payload: payload.as_deref().unwrap_or(event.as_bytes()),
                is_original: payload.as_deref().is_none_or(|payload| payload == event.as_bytes()),
            }),
            Decision::Reject(_) => None,
        });
        let rejected = outputs.iter().find_map(|output| match &output.decision {
            Decision::Reject(reason) => Some(reason.as_str()),
            Decision::Deliver(..) => None,
        });
        let (words, expected) = match self {
            Expected::Reject(words) => (Some(words.as_str()), &[][..]),
            Expected::Deliveries(expected) => (None, expected.as_slice()),
        };
        let mut differences = Vec::new();
        let is_as_rejected = match (words, rejected) {
            (Some(words), Some(reason)) => reason.contains(words),
            (words, reason) => words.is_none() && reason.is_none(),
        };
        if !is_as_rejected {
            let (expected, got) = (words.map(str::to_owned), rejected.map(str::to_owned));
            differences.push(CaseDifference::Rejection { expected, got });
        }
        compare_deliveries(expected, delivered.collect(), event, &mut differences);
        if outputs.is_empty() && !expected.is_empty() {
            differences.push(CaseDifference::Filtered);
        }
        differences
    }
}

/// Finds a delivery for each expected one. Byte-exact matches come first: a JSON value matches
/// several texts, and must not take the text of an exact match.
fn compare_deliveries(
    expected: &[ExpectedDelivery],
    mut delivered: Vec<Delivered<'_>>,
    event: &str,
    differences: &mut Vec<CaseDifference>,
) {
    let mut missing: Vec<_> = expected.iter().collect();
    for with_json in [false, true] {
        missing.retain(|expected| {
            let is_json = matches!(expected.payload, ExpectedPayload::Json(_));
            let found = (is_json == with_json)
                .then(|| delivered.iter().position(|delivered| expected.fits(delivered, event)));
            let found = found.flatten();
            found.map(|at| delivered.remove(at)).is_none()
        });
    }
    for expected in missing {
        let same_stream = |delivered: &Delivered<'_>| delivered.stream == expected.stream.as_str();
        differences.push(match delivered.iter().position(same_stream) {
            Some(at) => expected.other_payload(&delivered.remove(at), event),
            None => CaseDifference::Missing {
                stream: expected.stream.to_string(),
                payload: expected.payload.shown(),
            },
        });
    }
    for delivered in delivered {
        let payload =
            if delivered.is_original { AS_RECEIVED.to_owned() } else { shown(delivered.payload) };
        differences
            .push(CaseDifference::Unexpected { stream: delivered.stream.to_owned(), payload });
    }
}

const AS_RECEIVED: &str = "the event's text as received";

impl ExpectedDelivery {
    fn fits(&self, delivered: &Delivered<'_>, event: &str) -> bool {
        self.stream.as_str() == delivered.stream
            && match &self.payload {
                ExpectedPayload::Original => delivered.payload == event.as_bytes(),
                ExpectedPayload::Text(text) => delivered.payload == text.as_bytes(),
                ExpectedPayload::Json(value) => serde_json::from_slice::<Value>(delivered.payload)
                    .is_ok_and(|got| got == *value),
            }
    }

    /// Reports a delivery to the same stream with another payload.
    fn other_payload(&self, delivered: &Delivered<'_>, event: &str) -> CaseDifference {
        let bytes = |expected: &str| {
            let pairs = expected.bytes().zip(delivered.payload);
            let at = pairs.take_while(|(expected, got)| expected == *got).count();
            let rest = |bytes: &[u8]| match &bytes[at..] {
                [] => "the end".to_owned(),
                rest => shown(rest),
            };
            (format!("from byte {at}"), rest(expected.as_bytes()), rest(delivered.payload))
        };
        let (place, expected, got) = match &self.payload {
            ExpectedPayload::Original => bytes(event),
            ExpectedPayload::Text(text) => bytes(text),
            ExpectedPayload::Json(value) => match serde_json::from_slice(delivered.payload) {
                Ok(got) => first_difference(Some(value), Some(&got), ""),
                Err(_) => ("as a whole".to_owned(), shown_json(value), shown(delivered.payload)),
            },
        };
        CaseDifference::Payload { stream: self.stream.to_string(), place, expected, got }
    }
}

impl ExpectedPayload {
    fn shown(&self) -> String {
        match self {
            ExpectedPayload::Original => AS_RECEIVED.to_owned(),
            ExpectedPayload::Text(text) => shown(text.as_bytes()),
            ExpectedPayload::Json(value) => shown_json(value),
        }
    }
}

/// The path at which two values first differ, and the values there.
fn first_difference(
    expected: Option<&Value>,
    got: Option<&Value>,
    path: &str,
) -> (String, String, String) {
    let parts: Vec<_> = match (expected, got) {
        (Some(Value::Object(expected)), Some(Value::Object(got))) => {
            let keys = expected.keys().chain(got.keys());
            keys.map(|key| (key.clone(), expected.get(key), got.get(key))).collect()
        }
        (Some(Value::Array(expected)), Some(Value::Array(got))) => {
            let indexes = 0..expected.len().max(got.len());
            indexes.map(|at| (at.to_string(), expected.get(at), got.get(at))).collect()
        }
        _ => Vec::new(),
    };
    if let Some((key, expected, got)) = parts.into_iter().find(|(_, one, other)| one != other) {
        return first_difference(expected, got, &format!("{path}/{key}"));
    }
    let or_none = |value: Option<&Value>| value.map_or("nothing".to_owned(), shown_json);
    let place = if path.is_empty() { "as a whole".to_owned() } else { format!("at {path}") };
    (place, or_none(expected), or_none(got))
}
