//! A failed case with its differences. Payloads are shown up to a limit and escaped.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// Maximum bytes of a payload, or of one side of a difference, that a failed case shows.
const CASE_SHOWN_BYTES_MAX: usize = 400;

/// A failed case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseFailure {
    /// The file of the case, if it is from a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The position of the case in the file, counted from 1.
    pub number: usize,
    /// The name of the case.
    pub name: String,
    /// The differences from the expected decision.
    pub differences: Vec<CaseDifference>,
}

/// A difference between the expected and the actual decision. Payloads are shown up to 400 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CaseDifference {
    /// The plugin rejected the settings.
    NotLoaded {
        /// The reason.
        error: String,
    },
    /// The plugin failed on the event.
    Fault {
        /// The fault.
        error: String,
    },
    /// A delivery is missing.
    Missing {
        /// The stream of the delivery.
        stream: String,
        /// The payload of the delivery.
        payload: String,
    },
    /// A delivery was not expected.
    Unexpected {
        /// The stream of the delivery.
        stream: String,
        /// The payload of the delivery.
        payload: String,
    },
    /// Deliveries are expected, but the event is filtered.
    Filtered,
    /// A delivery has another payload.
    Payload {
        /// The stream of the delivery.
        stream: String,
        /// The position of the first difference: a byte, counted from 0, or a JSON pointer.
        place: String,
        /// The expected value.
        expected: String,
        /// The actual value.
        got: String,
    },
    /// The event should be rejected but is not, should not be rejected but is, or is rejected for
    /// another reason.
    Rejection {
        /// Expected words of the reason, or `None` if the event should not be rejected.
        expected: Option<String>,
        /// The actual reason, or `None` if the event is not rejected.
        got: Option<String>,
    },
}

impl fmt::Display for CaseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().map(|file| format!("{file}, ")).unwrap_or_default();
        write!(f, "FAILED {:?} ({file}case {})", self.name, self.number)?;
        self.differences.iter().try_for_each(|difference| write!(f, "\n{difference}"))
    }
}

impl fmt::Display for CaseDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaseDifference::NotLoaded { error } | CaseDifference::Fault { error } => {
                write!(f, "  ! {error}")
            }
            CaseDifference::Missing { stream, payload } => {
                write!(f, "  - expected {stream}: {payload}")
            }
            CaseDifference::Unexpected { stream, payload } => {
                write!(f, "  + got      {stream}: {payload}")
            }
            CaseDifference::Filtered => f.write_str("  + got      nothing: the event is filtered"),
            CaseDifference::Payload { stream, place, expected, got } => {
                writeln!(f, "    the payload to {stream} differs {place}")?;
                write!(f, "  - expected {expected}\n  + got      {got}")
            }
            CaseDifference::Rejection { expected, got } => {
                let or_none = |words: &Option<String>| {
                    words.as_ref().map_or("no rejection".to_owned(), |words| {
                        format!("a rejection: {words:?}")
                    })
                };
                write!(f, "  - expected {}\n  + got      {}", or_none(expected), or_none(got))
            }
        }
    }
}

/// Formats bytes for people, up to the limit and without characters that could control a terminal.
pub(super) fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(CASE_SHOWN_BYTES_MAX)];
    let text: String = String::from_utf8_lossy(cut)
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    if cut.len() < bytes.len() { format!("{text}... ({} bytes)", bytes.len()) } else { text }
}

pub(super) fn shown_json(value: &Value) -> String {
    shown(value.to_string().as_bytes())
}
