//! A dead letter before it is written: the reason, the position, the plugin and the event, as one
//! line of JSON.

use std::borrow::Cow;
use std::io;

use super::json_line::JsonLine;
use standpipe_core::clock;
use standpipe_core::event::{EventSource, OnUndeliverable, Reason};

/// The usual size of a dead letter without its event, in bytes.
const LINE_BYTES: usize = 512;

/// An event that cannot be delivered.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter<'a> {
    /// The reason.
    pub reason: Reason,
    /// Details, which never contain the event itself.
    pub detail: &'a str,
    /// The source of the event.
    pub source: &'a str,
    /// The event's line in the source, counted from 1.
    pub line: u64,
    /// The intended stream.
    pub stream: Option<&'a str>,
    /// The SHA-256 of the plugin that decided the event. Empty if none did.
    pub plugin: &'a str,
    /// The number of the plugin's generation in its run, counted from 1. 0 if no plugin decided.
    pub generation: u64,
    /// How often the record was sent.
    pub attempts: u32,
    /// Whether to write the dead letter at all.
    pub on_undeliverable: OnUndeliverable,
    /// The earlier dead letters of the event, if there are any: see [`EventSource::history`].
    pub history: Option<&'a str>,
    /// The length of the event, if only its start is kept.
    pub bytes_total: Option<u64>,
    /// The event as received, without its line ending.
    pub original: &'a [u8],
}

impl<'a> DeadLetter<'a> {
    /// Creates a dead letter of a line that never reached a plugin.
    pub fn of_line(
        reason: Reason,
        detail: &'a str,
        source: &'a EventSource,
        line: u64,
        original: &'a [u8],
    ) -> Self {
        DeadLetter {
            reason,
            detail,
            source: source.name(),
            line,
            stream: None,
            plugin: "",
            generation: 0,
            attempts: 0,
            on_undeliverable: source.on_undeliverable(),
            history: source.history(),
            bytes_total: None,
            original,
        }
    }

    /// The dead letter as a line of a file, with the line ending.
    pub(super) fn to_line(self) -> io::Result<Vec<u8>> {
        let text = std::str::from_utf8(self.original).ok();
        let encode = || base64_simd::STANDARD.encode_to_string(self.original).into();
        let history = self.history.map(serde_json::from_str).transpose()?;
        let line = JsonLine {
            time: clock::now_rfc3339().into(),
            reason: self.reason.word().into(),
            detail: self.detail.into(),
            source: self.source.into(),
            line: self.line,
            stream: self.stream.map(Cow::from),
            plugin: Some(self.plugin).filter(|digest| !digest.is_empty()).map(Cow::from),
            generation: Some(self.generation).filter(|&generation| generation > 0),
            attempts: self.attempts,
            history: history.unwrap_or_default(),
            bytes_total: self.bytes_total,
            event: text.map(Cow::from),
            event_base64: text.is_none().then(encode),
        };
        let mut bytes = Vec::with_capacity(self.original.len() + LINE_BYTES);
        serde_json::to_writer(&mut bytes, &line)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}
