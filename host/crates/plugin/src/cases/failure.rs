//! A case that did not come out as expected, with its differences; payloads are shown up to a limit
//! and escaped.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// Bytes of a payload, or of one side of a difference, that a failed case shows.
const CASE_SHOWN_BYTES_MAX: usize = 400;

/// A case that did not come out as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseFailure {
    /// The file that it stands in, if it is from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its position in the file, counted from 1.
    pub number: usize,
    /// Its name.
    pub name: String,
    /// What differs.
    pub differences: Vec<CaseDifference>,
}

/// One difference between what was expected and what came. Payloads are shown up to
/// 400 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CaseDifference {
    /// The plugin did not take the settings.
    NotLoaded {
        /// Why.
        error: String,
    },
    /// The plugin did something wrong with the event.
    Fault {
        /// What.
        error: String,
    },
    /// A delivery is not there.
    Missing {
        /// Its stream.
        stream: String,
        /// Its payload.
        payload: String,
    },
    /// There is a delivery that nobody expects.
    Unexpected {
        /// Its stream.
        stream: String,
        /// Its payload.
        payload: String,
    },
    /// Deliveries are expected, and the event is filtered.
    Filtered,
    /// A delivery has another payload.
    Payload {
        /// Its stream.
        stream: String,
        /// Where they first differ: a byte, counted from 0, or a JSON pointer.
        place: String,
        /// What should be there.
        expected: String,
        /// What is there.
        got: String,
    },
    /// The event should be rejected and is not, the other way round, or for
    /// another reason.
    Rejection {
        /// Words that the reason should hold; none if it should not be rejected.
        expected: Option<String>,
        /// The reason; none if it is not rejected.
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

/// Bytes for people, harmless to a terminal, up to the limit.
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
