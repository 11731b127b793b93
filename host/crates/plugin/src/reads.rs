//! How much of each event a plugin asks for.

use serde::Serialize;

use super::bindings::exports::standpipe::mapping::mapper as contract;

/// How much of each event a plugin gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// Message type, name and source, once for all equal events of a batch.
    Kind,
    /// The same, of every event.
    Envelope,
    /// The text too.
    Text,
}

impl From<contract::Reads> for Reads {
    fn from(reads: contract::Reads) -> Self {
        match reads {
            contract::Reads::Kind => Reads::Kind,
            contract::Reads::Envelope => Reads::Envelope,
            contract::Reads::Text => Reads::Text,
        }
    }
}

impl Reads {
    /// The contract's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Reads::Kind => "kind",
            Reads::Envelope => "envelope",
            Reads::Text => "text",
        }
    }
}
