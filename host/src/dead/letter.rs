use std::fmt;

use serde::{Serialize, Serializer};

use crate::clock;

/// Why an event is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Some bytes are not UTF-8.
    InvalidUtf8,
    /// It contains a zero byte.
    ZeroByte,
    /// It is not JSON.
    NotJson,
    /// It is JSON, but no object.
    NotAnObject,
    /// Objects and arrays are nested too deeply.
    NestedTooDeep,
    /// It is longer than an event may be.
    EventTooLong,
    /// The source ended or failed inside it.
    SourceCutOff,
    /// The record is larger than Firehose takes.
    RecordTooLarge,
    /// The plugin rejected it.
    PluginRejected,
    /// The plugin trapped on it.
    PluginTrapped,
    /// The plugin used up its time on it.
    PluginDeadline,
    /// The plugin used up its memory on it.
    PluginMemory,
    /// The plugin gave an answer that the contract does not allow.
    PluginAnswer,
    /// No fresh instance of the plugin could be started.
    PluginUnavailable,
    /// The delivery stream does not exist.
    StreamNotFound,
    /// Firehose refused the record for good.
    RecordRefused,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// An event that cannot be delivered.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// Why.
    pub reason: Reason,
    /// More about it; never the event itself.
    pub detail: &'a str,
    /// Where the event came from.
    pub source: &'a str,
    /// Its line there, counted from 1.
    pub line: u64,
    /// Where it should have gone.
    pub stream: Option<&'a str>,
    /// The SHA-256 of the plugin that decided; empty where none did.
    pub plugin: &'a str,
    /// How often it was sent.
    pub attempts: u32,
    /// The length of the event, where only its start is kept.
    pub bytes_total: Option<u64>,
    /// The event as received, without its line ending.
    pub original: &'a [u8],
}

impl<'a> Letter<'a> {
    /// A letter about a line that never got as far as a plugin.
    pub fn of_line(
        reason: Reason,
        detail: &'a str,
        source: &'a str,
        line: u64,
        original: &'a [u8],
    ) -> Self {
        let (stream, plugin, attempts, bytes_total) = (None, "", 0, None);
        Letter { reason, detail, source, line, stream, plugin, attempts, bytes_total, original }
    }
}

impl Serialize for Letter<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            time: String,
            reason: Reason,
            detail: &'a str,
            source: &'a str,
            line: u64,
            stream: Option<&'a str>,
            plugin: Option<&'a str>,
            attempts: u32,
            #[serde(skip_serializing_if = "Option::is_none")]
            bytes_total: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            event: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            event_base64: Option<String>,
        }

        let text = std::str::from_utf8(self.original).ok();
        let encode = || base64_simd::STANDARD.encode_to_string(self.original);
        let line = Line {
            time: clock::now_rfc3339(),
            reason: self.reason,
            detail: self.detail,
            source: self.source,
            line: self.line,
            stream: self.stream,
            plugin: Some(self.plugin).filter(|digest| !digest.is_empty()),
            attempts: self.attempts,
            bytes_total: self.bytes_total,
            event: text,
            event_base64: text.is_none().then(encode),
        };
        line.serialize(serializer)
    }
}
