//! The trait that authors implement, and the adapter between the trait and the component's exports.

use std::collections::HashMap;

use crate::bindings::exports::standpipe::mapping::{mapper, routes};
use crate::{Event, Reads, Route};

/// The maximum length of a delivery stream's name, in characters.
///
/// Source: the API reference of Amazon Data Firehose, `CreateDeliveryStream`.
const STREAM_NAME_CHARS_MAX: usize = 64;

/// A mapping plugin: it reads settings, and decides every event.
pub trait Plugin: Sized {
    /// Reads the settings and declares every delivery stream that the plugin may name.
    ///
    /// Runs once for each instance. `settings` is JSON text, an object; `{}` if the operator set
    /// none.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: which setting is wrong, and what to write
    /// instead. The host shows it and does not start.
    fn configure(settings: &str, setup: &mut Setup) -> Result<Self, String>;

    /// Decides an event by adding outputs. Without an output, the event is filtered.
    fn map(&mut self, event: &Event, outputs: &mut Outputs);

    /// Decides all events of a batch. The default calls [`map`](Plugin::map) for each event. A plugin
    /// that does some work once for a batch overrides this, and calls [`Outputs::select_event`]
    /// before it adds outputs of another event.
    fn map_batch(&mut self, events: Vec<Event>, outputs: &mut Outputs) {
        for (position, event) in (0..).zip(&events) {
            outputs.select_event(position);
            self.map(event, outputs);
        }
    }

    /// Lists which events go to which stream, for catalogs and graphs. The list has no effect on
    /// delivery. An empty list means that the plugin does not report routes.
    fn routes(&self) -> Vec<Route> {
        Vec::new()
    }
}

/// A delivery stream that the plugin has declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream(u32);

impl Stream {
    pub(crate) fn at_position(position: u32) -> Self {
        Stream(position)
    }

    /// The stream's position among the declared streams, including patterns. The contract refers to
    /// a stream by this position.
    pub fn position(self) -> u32 {
        self.0
    }
}

/// Collects what a plugin declares while it is configured.
#[derive(Debug)]
pub struct Setup {
    streams: Vec<String>,
    positions: HashMap<String, Stream>,
    reads: Reads,
}

/// The state before `configure`: nothing is declared, and the plugin reads the text.
impl Default for Setup {
    fn default() -> Self {
        Setup { streams: Vec::new(), positions: HashMap::new(), reads: Reads::Text }
    }
}

impl Setup {
    /// Declares a delivery stream that the plugin may name.
    ///
    /// Declaring a name again returns the same [`Stream`].
    ///
    /// # Errors
    ///
    /// Fails if Amazon Data Firehose would not accept the name.
    pub fn declare(&mut self, name: &str) -> Result<Stream, String> {
        check_name(name, is_name_char)?;
        Ok(self.intern_stream(name))
    }

    /// Declares a pattern of streams, in which each `*` stands for any characters.
    /// [`Outputs::deliver_to`] delivers to its streams.
    ///
    /// # Errors
    ///
    /// Fails if the pattern cannot match any name that Amazon Data Firehose would accept.
    pub fn declare_pattern(&mut self, pattern: &str) -> Result<(), String> {
        check_name(pattern, |c| is_name_char(c) || c == '*')?;
        self.intern_stream(pattern);
        Ok(())
    }

    /// Requests only the event's kind: message type, event name and source. The decision must
    /// depend on nothing else. [`Event::text`] will be empty, and the host passes only one of the
    /// equal events in a batch; the decision applies to all of them. This is the fastest way for a
    /// plugin that only routes.
    pub fn read_kind_only(&mut self) {
        self.reads = Reads::Kind;
    }

    /// Requests only the envelope: [`Event::text`] will be empty, and the host saves the copy. For
    /// plugins whose decisions depend on the envelope, on chance or on earlier events.
    pub fn read_envelope_only(&mut self) {
        self.reads = Reads::Envelope;
    }

    /// Requests the envelope and the text of each event, which is also the default.
    pub fn read_text(&mut self) {
        self.reads = Reads::Text;
    }

    pub(crate) fn stream_name(&self, stream: Stream) -> &str {
        &self.streams[stream.0 as usize]
    }

    /// The declared names and patterns, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.streams.iter().map(String::as_str)
    }

    fn intern_stream(&mut self, name: &str) -> Stream {
        if let Some(&stream) = self.positions.get(name) {
            return stream;
        }
        let stream = Stream(u32::try_from(self.streams.len()).expect("fewer than 2^32 streams"));
        self.streams.push(name.to_owned());
        self.positions.insert(name.to_owned(), stream);
        stream
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

fn check_name(name: &str, allowed: impl Fn(char) -> bool) -> Result<(), String> {
    if name.is_empty() || name.chars().count() > STREAM_NAME_CHARS_MAX {
        return Err(format!(
            "the stream name {name:?} has {} characters: Firehose takes 1 to {STREAM_NAME_CHARS_MAX}",
            name.chars().count()
        ));
    }
    match name.chars().find(|&c| !allowed(c)) {
        Some(c) => Err(format!(
            "the stream name {name:?} contains {c:?}: Firehose takes letters a-z and A-Z, digits, and _ . -"
        )),
        None => Ok(()),
    }
}

/// Collects the outputs of events.
#[derive(Debug)]
pub struct Outputs {
    /// The position of the event whose outputs are added.
    input: u32,
    list: Vec<mapper::Output>,
}

impl Outputs {
    /// Selects the event at this position of the batch: outputs that are added from now on are its
    /// outputs.
    pub fn select_event(&mut self, position: u32) {
        self.input = position;
    }

    /// Delivers the event's text as received.
    pub fn deliver(&mut self, stream: Stream) {
        self.push_delivery(mapper::Target::Declared(stream.0), mapper::Payload::Original);
    }

    /// Delivers other bytes in place of the event's text. They do not have to be JSON, and contain
    /// no line ending.
    pub fn deliver_payload(&mut self, stream: Stream, payload: Vec<u8>) {
        self.push_delivery(mapper::Target::Declared(stream.0), mapper::Payload::Replaced(payload));
    }

    /// Delivers the event's text as received to a stream by name, for names that match a pattern of
    /// [`Setup::declare_pattern`].
    pub fn deliver_to(&mut self, name: &str) {
        self.push_delivery(mapper::Target::Named(name.to_owned()), mapper::Payload::Original);
    }

    /// Delivers other bytes to a stream by name.
    pub fn deliver_payload_to(&mut self, name: &str, payload: Vec<u8>) {
        self.push_delivery(
            mapper::Target::Named(name.to_owned()),
            mapper::Payload::Replaced(payload),
        );
    }

    /// Rejects the event: it becomes a dead letter with this reason. This must be the event's only
    /// output.
    pub fn reject(&mut self, reason: &str) {
        self.push_decision(mapper::Decision::Reject(reason.to_owned()));
    }

    fn push_delivery(&mut self, target: mapper::Target, payload: mapper::Payload) {
        self.push_decision(mapper::Decision::Deliver(mapper::Delivery { target, payload }));
    }

    fn push_decision(&mut self, decision: mapper::Decision) {
        self.list.push(mapper::Output { input: self.input, decision });
    }
}

/// The trait that [`export!`](crate::export) implements: a component with one configured plugin.
pub trait Exported {
    /// The author's type.
    type Plugin: Plugin;

    /// Runs a function with the instance's plugin, which is `None` before `configure`.
    fn with_instance<R>(run: impl FnOnce(&mut Option<Self::Plugin>) -> R) -> R;
}

impl<T: Exported> mapper::Guest for T {
    fn configure(settings: String) -> Result<mapper::Setup, String> {
        let mut setup = Setup::default();
        let plugin = T::Plugin::configure(&settings, &mut setup)?;
        T::with_instance(|instance| *instance = Some(plugin));
        Ok(mapper::Setup { streams: setup.streams, reads: setup.reads })
    }

    fn map_events(events: Vec<Event>) -> Vec<mapper::Output> {
        T::with_instance(|instance| {
            let plugin = instance.as_mut().expect("the host calls configure before map-events");
            map_batch(plugin, events)
        })
    }
}

impl<T: Exported> routes::Guest for T {
    fn routes() -> Vec<Route> {
        T::with_instance(|instance| {
            instance.as_ref().expect("the host calls configure before routes").routes()
        })
    }
}

pub(crate) fn map_batch<P: Plugin>(plugin: &mut P, events: Vec<Event>) -> Vec<mapper::Output> {
    let mut outputs = Outputs { input: 0, list: Vec::with_capacity(events.len()) };
    plugin.map_batch(events, &mut outputs);
    outputs.list
}
