//! All reasons for a dead letter with their words, in one table. Words are part of the file format
//! and do not change.

use std::fmt;

use serde::{Serialize, Serializer};

/// Defines the reasons, their words and their number in one place.
macro_rules! reasons {
    ($(#[$doc:meta] $name:ident = $word:literal,)*) => {
        /// Why an event was dead-lettered.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $(#[$doc] $name,)*
        }

        impl Reason {
            /// All reasons, each at the position of its number.
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];

            /// The word in dead letters.
            pub fn word(self) -> &'static str {
                match self {
                    $(Reason::$name => $word,)*
                }
            }
        }
    };
}

reasons! {
    /// The event is not UTF-8.
    InvalidUtf8 = "invalid_utf8",
    /// The event contains a zero byte.
    ZeroByte = "zero_byte",
    /// The event is not JSON.
    NotJson = "not_json",
    /// The event is JSON, but not an object.
    NotAnObject = "not_an_object",
    /// The event's objects and arrays are nested too deeply.
    NestedTooDeep = "nested_too_deep",
    /// The event is longer than an event may be.
    EventTooLong = "event_too_long",
    /// The source ended or failed inside the event.
    SourceCutOff = "source_cut_off",
    /// The event contains neither a user nor a device.
    NoIdentity = "no_identity",
    /// The event has no type.
    NoType = "no_type",
    /// The event is a track event without a name.
    NoEventName = "no_event_name",
    /// The record is too large for Firehose.
    RecordTooLarge = "record_too_large",
    /// The plugin rejected the event.
    PluginRejected = "plugin_rejected",
    /// The plugin trapped on the event.
    PluginTrapped = "plugin_trapped",
    /// The plugin used up its time on the event.
    PluginDeadline = "plugin_deadline",
    /// The plugin used up its memory on the event.
    PluginMemory = "plugin_memory",
    /// The plugin's result violates the contract.
    PluginAnswer = "plugin_answer",
    /// No new instance of the plugin could be started.
    PluginUnavailable = "plugin_unavailable",
    /// The delivery stream does not exist.
    StreamNotFound = "stream_not_found",
    /// An event chose a delivery stream above the limit of streams in use.
    TooManyStreams = "too_many_streams",
    /// Firehose rejected the record permanently.
    RecordRefused = "record_refused",
    /// The run ended before the stream accepted the record.
    GivenUp = "given_up",
    /// This is the body of a request that the collector has refused.
    RequestRefused = "request_refused",
    /// It is a message of a queue that cannot be decoded.
    MessageUnreadable = "message_unreadable",
    /// It is larger than a message of the queue may be.
    MessageTooLarge = "message_too_large",
    /// Its source is not in the settings of the mapper that received it.
    UnknownSource = "unknown_source",
    /// The plugin rejected the event for now: the same event can succeed later.
    PluginRetry = "plugin_retry",
}

/// The start of the message of a rejection that asks for another attempt: the name of the error
/// with which Segment's functions ask for it.
const RETRY_MESSAGE_START: &str = "RetryError";

impl Reason {
    /// The reason for an event that a plugin rejected with this message.
    pub fn of_rejection(message: &str) -> Self {
        match message.strip_prefix(RETRY_MESSAGE_START) {
            Some(rest) if rest.is_empty() || rest.starts_with([':', '\n']) => Reason::PluginRetry,
            _ => Reason::PluginRejected,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_retry_errors_ask_for_another_attempt() {
        for (message, reason) in [
            ("RetryError", Reason::PluginRetry),
            ("RetryError: status 503", Reason::PluginRetry),
            ("RetryError\n    at onTrack (f.js:1:2)", Reason::PluginRetry),
            ("RetryErrors: x", Reason::PluginRejected),
            ("Error: RetryError: x", Reason::PluginRejected),
            ("retryError: x", Reason::PluginRejected),
            ("", Reason::PluginRejected),
        ] {
            assert_eq!(Reason::of_rejection(message), reason, "{message:?}");
        }
    }
}
