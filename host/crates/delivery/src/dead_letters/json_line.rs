//! The line format of a dead letter, shared by writer and reader. Unknown keys and reasons are
//! accepted, so that files of newer versions can be read.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A dead letter as a line. The writer and the reader share this format.
///
/// The reader ignores unknown keys, and reasons are words. So this version can read the dead
/// letters of newer versions.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct JsonLine<'a> {
    pub(super) time: Cow<'a, str>,
    pub(super) reason: Cow<'a, str>,
    #[serde(default)]
    pub(super) detail: Cow<'a, str>,
    pub(super) source: Cow<'a, str>,
    pub(super) line: u64,
    #[serde(default)]
    pub(super) stream: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) plugin: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) generation: Option<u64>,
    #[serde(default)]
    pub(super) attempts: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) history: Vec<PriorAttempt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bytes_total: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) event: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) event_base64: Option<Cow<'a, str>>,
}

/// An earlier dead letter of the same event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorAttempt {
    /// When that dead letter was written, in RFC 3339.
    pub time: String,
    /// The reason.
    pub reason: String,
    /// Details.
    #[serde(default)]
    pub detail: String,
    /// The plugin that decided the event.
    #[serde(default)]
    pub plugin: Option<String>,
    /// The intended stream of the event.
    #[serde(default)]
    pub stream: Option<String>,
    /// How often the record was sent.
    #[serde(default)]
    pub attempts: u32,
}
