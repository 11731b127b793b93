//! The kinds of changes of an event's outcome from one plugin to another, and samples without
//! payloads.

use std::fmt;

use serde::Serialize;

use crate::{Decision, Fault, Output, Plugin};
use standpipe_core::event::Event;

/// Maximum bytes of a source, a name, a list of streams or a reason in a comparison.
const COMPARISON_TEXT_BYTES_MAX: usize = 200;

/// How the outcome of an event changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The new plugin fails on the event: it traps, or exceeds a limit.
    Failed,
    /// The new plugin rejects the event.
    Rejected,
    /// The event was delivered or dead-lettered, and is now filtered.
    Filtered,
    /// The event was not delivered, and is now.
    Delivered,
    /// The event goes to other streams.
    Moved,
    /// The event goes to the same streams with another payload.
    Payload,
}

/// Events with the same change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionChange<'a> {
    /// The kind of the change.
    pub kind: ChangeKind,
    /// The streams of the old plugin, or its other outcome.
    pub old: &'a str,
    /// The streams of the new plugin, or its other outcome.
    pub new: &'a str,
    /// The number of events.
    pub events: u64,
    /// Some of the events.
    pub samples: &'a [ChangeSample],
}

/// An event with a changed outcome, by its position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeSample {
    /// The event's source.
    pub source: String,
    /// The event's line in the source, counted from 1.
    pub line: u64,
    /// The event's type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// The event's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why the new plugin rejects the event, or how it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The first payload with a difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<PayloadChange>,
}

/// A changed payload. Its contents are not shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PayloadChange {
    /// The stream of the payload.
    pub stream: String,
    /// The position of the first different byte, counted from 0.
    pub differs_at: usize,
    /// The length of the old payload.
    pub old_bytes: usize,
    /// The length of the new payload.
    pub new_bytes: usize,
}

/// The outcome of an event.
pub(super) enum EventFate<'a> {
    Failed(&'a Fault),
    Rejected(&'a str),
    /// Streams and payloads, sorted. Empty if the event is filtered.
    Delivered(Vec<(&'a str, &'a [u8])>),
}

impl ChangeKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [ChangeKind; 6] = [
        ChangeKind::Failed,
        ChangeKind::Rejected,
        ChangeKind::Filtered,
        ChangeKind::Delivered,
        ChangeKind::Moved,
        ChangeKind::Payload,
    ];

    /// The kind of the change, or `None` if nothing changes.
    pub(super) fn between(before: &EventFate<'_>, after: &EventFate<'_>) -> Option<Self> {
        match (before, after) {
            (EventFate::Failed(_), EventFate::Failed(_))
            | (EventFate::Rejected(_), EventFate::Rejected(_)) => None,
            (_, EventFate::Failed(_)) => Some(ChangeKind::Failed),
            (_, EventFate::Rejected(_)) => Some(ChangeKind::Rejected),
            (EventFate::Delivered(before), EventFate::Delivered(after)) if before == after => None,
            (_, EventFate::Delivered(after)) if after.is_empty() => Some(ChangeKind::Filtered),
            (EventFate::Delivered(before), EventFate::Delivered(after)) if !before.is_empty() => {
                let is_same = has_same_streams(before, after);
                Some(if is_same { ChangeKind::Payload } else { ChangeKind::Moved })
            }
            _ => Some(ChangeKind::Delivered),
        }
    }
}

impl<'a> EventFate<'a> {
    pub(super) fn of(
        plugin: &'a Plugin,
        event: &'a Event<'_>,
        decided: Result<&'a [Output], &'a Fault>,
    ) -> Self {
        let outputs = match decided {
            Err(fault) => return EventFate::Failed(fault),
            Ok(outputs) => outputs,
        };
        let mut deliveries = Vec::with_capacity(outputs.len());
        for output in outputs {
            match &output.decision {
                // A rejection is the only output.
                Decision::Reject(reason) => return EventFate::Rejected(reason),
                Decision::Deliver(target, payload) => {
                    let payload = payload.as_deref().unwrap_or(event.text.as_bytes());
                    deliveries.push((plugin.stream(target).as_str(), payload));
                }
            }
        }
        deliveries.sort_unstable();
        EventFate::Delivered(deliveries)
    }

    pub(super) fn reason(&self) -> Option<String> {
        match self {
            EventFate::Failed(fault) => Some(shorten_text(&fault.to_string())),
            EventFate::Rejected(reason) => Some(shorten_text(reason)),
            EventFate::Delivered(_) => None,
        }
    }

    /// The first changed payload to the same stream.
    pub(super) fn payload_change(&self, after: &EventFate<'_>) -> Option<PayloadChange> {
        let (EventFate::Delivered(before), EventFate::Delivered(after)) = (self, after) else {
            return None;
        };
        if !has_same_streams(before, after) {
            return None;
        }
        let mut pairs = before.iter().zip(after);
        let (&(stream, before), &(_, after)) = pairs.find(|(before, after)| before.1 != after.1)?;
        let bytes = before.iter().zip(after);
        Some(PayloadChange {
            stream: stream.to_owned(),
            differs_at: bytes.take_while(|(before, after)| before == after).count(),
            old_bytes: before.len(),
            new_bytes: after.len(),
        })
    }
}

/// The words in parentheses cannot be names of streams.
impl fmt::Display for EventFate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventFate::Failed(_) => f.write_str("(fails)"),
            EventFate::Rejected(_) => f.write_str("(rejected)"),
            EventFate::Delivered(deliveries) if deliveries.is_empty() => f.write_str("(filtered)"),
            EventFate::Delivered(deliveries) => {
                let streams: Vec<_> = deliveries.iter().map(|(stream, _)| *stream).collect();
                f.write_str(&shorten_text(&streams.join(" + ")))
            }
        }
    }
}

fn has_same_streams(before: &[(&str, &[u8])], after: &[(&str, &[u8])]) -> bool {
    before.len() == after.len() && before.iter().zip(after).all(|(one, other)| one.0 == other.0)
}

/// The start of a text, without characters that could control a terminal.
pub(super) fn shorten_text(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).collect();
    if short.len() > COMPARISON_TEXT_BYTES_MAX {
        short.truncate(short.floor_char_boundary(COMPARISON_TEXT_BYTES_MAX));
        short.push_str("...");
    }
    short
}
