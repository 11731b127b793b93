//! Every reason for a dead letter with its word, in one table. Words are part of the files' format
//! and do not change.

use std::fmt;

use serde::{Serialize, Serializer};

/// Has the reasons, their words and their number in one place.
macro_rules! reasons {
    ($(#[$doc:meta] $name:ident = $word:literal,)*) => {
        /// Why an event was dead-lettered.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $(#[$doc] $name,)*
        }

        impl Reason {
            /// All of them, each at the place of its number.
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];

            /// The word that stands in dead letters.
            pub fn word(self) -> &'static str {
                match self {
                    $(Reason::$name => $word,)*
                }
            }
        }
    };
}

reasons! {
    /// Some bytes are not UTF-8.
    InvalidUtf8 = "invalid_utf8",
    /// It contains a zero byte.
    ZeroByte = "zero_byte",
    /// It is not JSON.
    NotJson = "not_json",
    /// It is JSON, but not an object.
    NotAnObject = "not_an_object",
    /// Objects and arrays are nested too deeply.
    NestedTooDeep = "nested_too_deep",
    /// It is longer than an event may be.
    EventTooLong = "event_too_long",
    /// The source ended or failed inside it.
    SourceCutOff = "source_cut_off",
    /// It says neither who did something nor from which device.
    NoIdentity = "no_identity",
    /// It has no type.
    NoType = "no_type",
    /// It is tracked, and has no name.
    NoEventName = "no_event_name",
    /// The record is larger than Firehose takes.
    RecordTooLarge = "record_too_large",
    /// The plugin rejected it.
    PluginRejected = "plugin_rejected",
    /// The plugin trapped on it.
    PluginTrapped = "plugin_trapped",
    /// The plugin used up its time on it.
    PluginDeadline = "plugin_deadline",
    /// The plugin used up its memory on it.
    PluginMemory = "plugin_memory",
    /// The plugin gave an answer that the contract does not allow.
    PluginAnswer = "plugin_answer",
    /// No fresh instance of the plugin could be started.
    PluginUnavailable = "plugin_unavailable",
    /// The delivery stream does not exist.
    StreamNotFound = "stream_not_found",
    /// An event chose a delivery stream beyond those that may be in use at once.
    TooManyStreams = "too_many_streams",
    /// Firehose refused the record for good.
    RecordRefused = "record_refused",
    /// The run ended before its stream took it.
    GivenUp = "given_up",
    /// It is the body of a request that the collector has refused.
    RequestRefused = "request_refused",
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
