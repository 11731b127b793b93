//! Routes: which events a plugin sends to which stream, as reported by the plugin.

use wasmtime::component::{ComponentType, Lift};

use super::printable::to_printable;
use standpipe_core::event::StreamName;

/// The optional interface that reports a plugin's routes.
pub(super) const ROUTES: &str = "standpipe:mapping/routes@0.1.0";

/// Some events, and the stream to which the plugin sends them.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct PluginRoute {
    /// Only events of this type.
    #[component(name = "message-type")]
    pub message_type: Option<String>,
    /// Only events of this name.
    pub name: Option<String>,
    /// A further condition, as text for people.
    pub condition: Option<String>,
    /// The stream, or a pattern in which each `*` stands for any characters.
    pub stream: String,
}

impl PluginRoute {
    /// A route of which only the stream is known.
    pub(super) fn to(stream: &str) -> Self {
        PluginRoute { message_type: None, name: None, condition: None, stream: stream.to_owned() }
    }

    /// The route without control characters.
    pub(super) fn printable(self) -> Self {
        let word = |word: Option<String>| word.map(|word| to_printable(&word));
        PluginRoute {
            message_type: word(self.message_type),
            name: word(self.name),
            condition: word(self.condition),
            stream: self.stream,
        }
    }

    /// Whether the route's stream is a valid name or a pattern.
    pub(super) fn is_possible(&self) -> bool {
        StreamName::parse(&self.stream.replace('*', "x")).is_ok()
    }
}
