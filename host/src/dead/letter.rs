use std::borrow::Cow;
use std::fmt;

use serde::ser::Error;
use serde::{Serialize, Serializer};

use super::line::Line;
use crate::clock;
use crate::event::{OnDeath, Source};

/// Why an event is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// It says neither who did something nor from which device.
    NoIdentity,
    /// It has no type.
    NoType,
    /// It is tracked, and has no name.
    NoEventName,
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
    /// The run ended before its stream took it.
    GivenUp,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Reason {
    /// The word that stands in letters.
    pub fn word(self) -> &'static str {
        match self {
            Reason::InvalidUtf8 => "invalid_utf8",
            Reason::ZeroByte => "zero_byte",
            Reason::NotJson => "not_json",
            Reason::NotAnObject => "not_an_object",
            Reason::NestedTooDeep => "nested_too_deep",
            Reason::EventTooLong => "event_too_long",
            Reason::SourceCutOff => "source_cut_off",
            Reason::NoIdentity => "no_identity",
            Reason::NoType => "no_type",
            Reason::NoEventName => "no_event_name",
            Reason::RecordTooLarge => "record_too_large",
            Reason::PluginRejected => "plugin_rejected",
            Reason::PluginTrapped => "plugin_trapped",
            Reason::PluginDeadline => "plugin_deadline",
            Reason::PluginMemory => "plugin_memory",
            Reason::PluginAnswer => "plugin_answer",
            Reason::PluginUnavailable => "plugin_unavailable",
            Reason::StreamNotFound => "stream_not_found",
            Reason::RecordRefused => "record_refused",
            Reason::GivenUp => "given_up",
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
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
    /// The number of its generation in its run, counted from 1; 0 where no plugin
    /// decided.
    pub generation: u64,
    /// How often it was sent.
    pub attempts: u32,
    /// Whether the letter is to be written at all.
    pub on_death: OnDeath,
    /// The letters about it before this one, where there are some: see
    /// [`Source::history`].
    pub history: Option<&'a str>,
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
        source: &'a Source,
        line: u64,
        original: &'a [u8],
    ) -> Self {
        Letter {
            reason,
            detail,
            source: source.name(),
            line,
            stream: None,
            plugin: "",
            generation: 0,
            attempts: 0,
            on_death: source.on_death(),
            history: source.history(),
            bytes_total: None,
            original,
        }
    }
}

/// As its line in a file, written now.
impl Serialize for Letter<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = std::str::from_utf8(self.original).ok();
        let encode = || base64_simd::STANDARD.encode_to_string(self.original).into();
        let history = self.history.map(serde_json::from_str).transpose();
        let line = Line {
            time: clock::now_rfc3339().into(),
            reason: self.reason.word().into(),
            detail: self.detail.into(),
            source: self.source.into(),
            line: self.line,
            stream: self.stream.map(Cow::from),
            plugin: Some(self.plugin).filter(|digest| !digest.is_empty()).map(Cow::from),
            generation: Some(self.generation).filter(|&generation| generation > 0),
            attempts: self.attempts,
            history: history.map_err(S::Error::custom)?.unwrap_or_default(),
            bytes_total: self.bytes_total,
            event: text.map(Cow::from),
            event_base64: text.is_none().then(encode),
        };
        line.serialize(serializer)
    }
}
