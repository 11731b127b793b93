//! How much of each event a plugin receives.

use serde::Serialize;

use super::bindings::exports::standpipe::mapping::mapper as contract;

/// How much of each event a plugin receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventReads {
    /// Message type, name and source, once for all equal events of a batch.
    Kind,
    /// Message type, name and source, for every event.
    Envelope,
    /// The text as well.
    Text,
}

impl From<contract::Reads> for EventReads {
    fn from(reads: contract::Reads) -> Self {
        match reads {
            contract::Reads::Kind => EventReads::Kind,
            contract::Reads::Envelope => EventReads::Envelope,
            contract::Reads::Text => EventReads::Text,
        }
    }
}

impl EventReads {
    /// The term of the contract.
    pub fn word(self) -> &'static str {
        match self {
            EventReads::Kind => "kind",
            EventReads::Envelope => "envelope",
            EventReads::Text => "text",
        }
    }
}
