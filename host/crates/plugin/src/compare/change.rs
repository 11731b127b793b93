//! How an event's fate changes from one plugin to another, and samples of it without payloads.

use std::fmt;

use serde::Serialize;

use crate::{Decision, Fault, Output, Plugin};
use standpipe_core::event::Event;

/// Bytes of a source, a name, a stream list or a reason in a comparison.
const COMPARISON_TEXT_BYTES_MAX: usize = 200;

/// How an event's fate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The new plugin fails on it: traps, or breaks a limit.
    Failed,
    /// The new plugin rejects it.
    Rejected,
    /// It was delivered, or went to the dead letters, and is filtered.
    Filtered,
    /// It was not delivered, and is.
    Delivered,
    /// It goes to other streams.
    Moved,
    /// It goes to the same streams with another payload.
    Payload,
}

/// Events whose fate changes alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionChange<'a> {
    /// How.
    pub kind: ChangeKind,
    /// The streams before, or what else became of them.
    pub old: &'a str,
    /// The streams after, or what else becomes of them.
    pub new: &'a str,
    /// How many there are.
    pub events: u64,
    /// Some of them.
    pub samples: &'a [ChangeSample],
}

/// An event whose fate changes, by its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeSample {
    /// Its source.
    pub source: String,
    /// Its line there, counted from 1.
    pub line: u64,
    /// Its type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why the new plugin rejects it, or how it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The first payload that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<PayloadChange>,
}

/// A payload that differs, none of which is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PayloadChange {
    /// Its stream.
    pub stream: String,
    /// The first byte that differs, counted from 0.
    pub differs_at: usize,
    /// Its length before.
    pub old_bytes: usize,
    /// Its length after.
    pub new_bytes: usize,
}

/// What becomes of an event.
pub(super) enum EventFate<'a> {
    Failed(&'a Fault),
    Rejected(&'a str),
    /// Streams and payloads, sorted; none: it is filtered.
    Delivered(Vec<(&'a str, &'a [u8])>),
}

impl ChangeKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [ChangeKind; 6] = [
        ChangeKind::Failed,
        ChangeKind::Rejected,
        ChangeKind::Filtered,
        ChangeKind::Delivered,
        ChangeKind::Moved,
        ChangeKind::Payload,
    ];

    /// None where nothing changes.
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
                // It stands alone.
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

    /// The first payload to the same stream that differs.
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

/// Words in parentheses cannot be streams.
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

/// The start of a text, harmless to a terminal.
pub(super) fn shorten_text(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).collect();
    if short.len() > COMPARISON_TEXT_BYTES_MAX {
        short.truncate(short.floor_char_boundary(COMPARISON_TEXT_BYTES_MAX));
        short.push_str("...");
    }
    short
}
