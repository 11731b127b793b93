//! A dead letter before it is written: the reason, the place, who decided and the event, as one
//! line of JSON.

use std::borrow::Cow;
use std::io;

use super::json_line::JsonLine;
use standpipe_core::clock;
use standpipe_core::event::{EventSource, OnUndeliverable, Reason};

/// Bytes that a dead letter mostly has beside its event.
const LINE_BYTES: usize = 512;

/// An event that cannot be delivered.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter<'a> {
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
    /// The number of its generation in its run, counted from 1; 0 where no plugin
    /// decided.
    pub generation: u64,
    /// How often it was sent.
    pub attempts: u32,
    /// Whether the dead letter is to be written at all.
    pub on_undeliverable: OnUndeliverable,
    /// The dead letters about it before this one, where there are some: see
    /// [`EventSource::history`].
    pub history: Option<&'a str>,
    /// The length of the event, where only its start is kept.
    pub bytes_total: Option<u64>,
    /// The event as received, without its line ending.
    pub original: &'a [u8],
}

impl<'a> DeadLetter<'a> {
    /// A dead letter about a line that never got as far as a plugin.
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

    /// The dead letter as its line in a file, with the line ending.
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
