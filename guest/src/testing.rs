//! Run a plugin natively in ordinary tests.

use crate::bindings::exports::standpipe::mapping::mapper;
use crate::plugin::map_batch;
use crate::{Event, Plugin, Setup, Stream};

/// A configured plugin, as in the host.
#[derive(Debug)]
pub struct Harness<P> {
    plugin: P,
    setup: Setup,
}

/// A decision in a form that tests can compare and print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Deliver to the stream of this name. `None` means the event's own text.
    Deliver(String, Option<Vec<u8>>),
    /// Reject the event with this reason.
    Reject(String),
}

/// Delivers the event's own text to the stream of this name.
pub fn deliver(stream: &str) -> Decision {
    Decision::Deliver(stream.to_owned(), None)
}

/// An event with this text and an empty envelope. Fill in the envelope with `Event { name: ...,
/// ..event(text) }`.
pub fn event(text: &str) -> Event {
    Event { message_type: None, name: None, source: "test".to_owned(), text: text.to_owned() }
}

impl<P: Plugin> Harness<P> {
    /// Configures the plugin.
    ///
    /// # Errors
    ///
    /// Fails with the error of the plugin's `configure`.
    pub fn configure(settings: &str) -> Result<Self, String> {
        let mut setup = Setup::default();
        let plugin = P::configure(settings, &mut setup)?;
        Ok(Harness { plugin, setup })
    }

    /// The streams that the plugin declared, in order.
    pub fn streams(&self) -> Vec<&str> {
        self.setup.names().collect()
    }

    /// Runs one event through the plugin.
    pub fn map(&mut self, event: Event) -> Vec<Decision> {
        self.map_batch(vec![event]).into_iter().map(|(_, decision)| decision).collect()
    }

    /// Runs a batch of events through the plugin. Each decision comes with the position of its event.
    pub fn map_batch(&mut self, events: Vec<Event>) -> Vec<(usize, Decision)> {
        let outputs = map_batch(&mut self.plugin, events).into_iter();
        outputs.map(|output| (output.input as usize, self.to_readable(output.decision))).collect()
    }

    fn to_readable(&self, decision: mapper::Decision) -> Decision {
        let delivery = match decision {
            mapper::Decision::Reject(reason) => return Decision::Reject(reason),
            mapper::Decision::Deliver(delivery) => delivery,
        };
        let stream = match delivery.target {
            mapper::Target::Declared(position) => {
                self.setup.stream_name(Stream::at_position(position)).to_owned()
            }
            mapper::Target::Named(name) => name,
        };
        match delivery.payload {
            mapper::Payload::Original => Decision::Deliver(stream, None),
            mapper::Payload::Replaced(payload) => Decision::Deliver(stream, Some(payload)),
        }
    }
}
