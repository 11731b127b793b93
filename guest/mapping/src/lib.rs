//! The built-in plugin: it maps event names and types to delivery streams.
//!
//! ```toml
//! [[plugin.settings.mappings]]
//! event = "Order Completed"   # an event's name
//! stream = "orders"
//!
//! [[plugin.settings.mappings]]
//! event = "page"              # or its type
//! stream = "web-pages"
//!
//! [[plugin.settings.mappings]]
//! event = "*"                 # everything that nothing else matched
//! stream = "everything-else"
//! ```
//!
//! # Which mapping is used
//!
//! The first of these that names a stream: the mapping for the event's name, the mapping for its
//! type, the mapping `*`. Letter case is ignored (Unicode's default lower-casing), but spaces are
//! significant. Names and types share one key space. If two mappings have the same `event`, the
//! last one is used. A mapping with an empty `stream` matches nothing, so the lookup continues with
//! the next level. A mapping whose `event` is empty or not a string is skipped. These are the rules
//! of RudderStack's Firehose destination.
//!
//! An event that matches no mapping is filtered. With `unmapped = "dead_letter"`, it becomes a dead
//! letter.
//!
//! With `fan_out = true`, an event goes once to each stream that a matching mapping names (by name,
//! by type, and `*`).
//!
//! # Conditions and transforms
//!
//! Mappings and `[[plugin.settings.transforms]]` may have a condition (`when`) and actions: they
//! filter, sample, transform and protect events. `host/docs/transformations.md` describes them for
//! users, and its examples run as tests. The implementation consists of:
//!
//! - `settings` parses them into `Transform`s with as few passes as possible; errors say which
//!   mapping or transform is wrong, and what to write instead.
//! - `edit` reads an event's text once for each pass and writes it with the changes. No tree is
//!   built, and members that no action names keep their bytes.
//! - `rules` applies conditions and transforms, and finds the streams of an event.
//!
//! If settings have no conditions and no transforms, the text of an event is not read.
//!
//! # Errors
//!
//! Settings without any usable mapping, or with a stream name that Firehose would refuse, are
//! rejected with the number of the mapping, counted from 1.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

mod change;
mod edit;
mod fql;
#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub mod json;
mod names;
mod path;
mod plain;
mod put;
mod redact;
mod review;
mod routes;
mod rules;
mod sample;
mod scan;
mod settings;
mod switches;
mod table;
mod template;
mod timestamp;
mod transform;

use plain::{MatchedRows, RowStreams};
pub use review::{SettingsReview, review_settings};
use rules::{MappingRules, MatchOutcome};
pub use rules::{RouteTarget, SeenEvent};
use settings::{EventNeeds, MappingSettings, UnmappedPolicy};
use standpipe_plugin::{Event, Outputs, Plugin, Route, Setup, Stream};
use table::EventTable;

/// Why an event becomes a dead letter, if the settings require it.
const UNMAPPED: &str = "no mapping matches the event's name or type, and there is no mapping for *";

/// The built-in plugin.
#[derive(Debug, Clone)]
pub struct Mapping {
    routing: Routing,
    fan_out: bool,
    unmapped: UnmappedPolicy,
    /// The routes of the mappings.
    routes: Vec<Route>,
}

/// How the plugin finds the streams of events.
#[derive(Debug, Clone)]
enum Routing {
    /// By the event's kind, with mappings that only have a stream.
    Plain(EventTable<RowStreams>),
    /// With conditions and transforms. The text is a buffer for an event that is created from its
    /// kind, if the rules need nothing else.
    Ruled(Box<MappingRules>, EventNeeds, String),
}

impl Plugin for Mapping {
    fn configure(settings: &str, setup: &mut Setup) -> Result<Self, String> {
        let settings = MappingSettings::parse(settings).map_err(|mistakes| mistakes.join("; "))?;
        let needs = settings.needs();
        match needs {
            EventNeeds::Kind => setup.read_kind_only(),
            EventNeeds::Chance => setup.read_envelope_only(),
            EventNeeds::Text => {}
        }
        let (fan_out, unmapped) = (settings.fan_out, settings.unmapped);
        let routes = routes::list_routes(&settings);
        let routing = if settings.is_plain() {
            Routing::Plain(plain::build_table(&settings.rows, setup)?)
        } else {
            Routing::Ruled(Box::new(MappingRules::new(settings, setup)?), needs, String::new())
        };
        Ok(Mapping { routing, fan_out, unmapped, routes })
    }

    fn map(&mut self, event: &Event, outputs: &mut Outputs) {
        let (name, message_type) = (event.name.as_deref(), event.message_type.as_deref());
        let seen = SeenEvent { name, message_type, text: &event.text };
        let routed = self.decide(seen, |target, text| push_output(outputs, target, text));
        if let Err(reason) = routed {
            outputs.reject(reason);
        }
    }

    fn routes(&self) -> Vec<Route> {
        self.routes.clone()
    }
}

/// Adds the output of a decision. Without a text, the event is delivered as received.
pub fn push_output(outputs: &mut Outputs, target: RouteTarget<'_>, text: Option<&str>) {
    let payload = text.map(|text| text.as_bytes().to_vec());
    match (target, payload) {
        (RouteTarget::Declared(stream), None) => outputs.deliver(stream),
        (RouteTarget::Declared(stream), Some(payload)) => outputs.deliver_payload(stream, payload),
        (RouteTarget::Named(name), None) => outputs.deliver_to(name),
        (RouteTarget::Named(name), Some(payload)) => outputs.deliver_payload_to(name, payload),
    }
}

impl Mapping {
    /// Calls `deliver` for each stream of an event, with the changed text if the rules change it. The
    /// text of the event is not read if the settings [do not need it](Mapping::reads_text).
    ///
    /// # Errors
    ///
    /// Fails with a reason if the event must be rejected. `deliver` was not called then.
    #[inline]
    pub fn decide(
        &mut self,
        event: SeenEvent<'_>,
        mut deliver: impl FnMut(RouteTarget<'_>, Option<&str>),
    ) -> Result<(), &'static str> {
        match &mut self.routing {
            Routing::Ruled(rules, EventNeeds::Text, _) => {
                let fate = rules.map_event(event, deliver);
                self.check_unmapped(fate)
            }
            _ => self.route(event.name, event.message_type, |stream| {
                deliver(RouteTarget::Declared(stream), None);
            }),
        }
    }

    /// Calls `deliver` for each stream of an event with this name and type. This is the whole
    /// mapping for callers without a component, but only with settings that [do not read
    /// texts](Mapping::reads_text).
    ///
    /// # Errors
    ///
    /// Fails with a reason if the event must be rejected. `deliver` was not called then.
    pub fn route(
        &mut self,
        name: Option<&str>,
        message_type: Option<&str>,
        mut deliver: impl FnMut(Stream),
    ) -> Result<(), &'static str> {
        let table = match &mut self.routing {
            Routing::Plain(table) => table,
            Routing::Ruled(rules, _, text) => {
                write_kind(text, name, message_type);
                let fate = rules.map_event(SeenEvent { name, message_type, text }, |target, _| {
                    if let RouteTarget::Declared(stream) = target {
                        deliver(stream);
                    }
                });
                return self.check_unmapped(fate);
            }
        };
        let matched = MatchedRows { levels: table.find_rows(name, message_type) };
        let mut delivered = false;
        if self.fan_out {
            for stream in matched.all_streams() {
                deliver(stream);
                delivered = true;
            }
        } else if let Some(stream) = matched.first_stream() {
            deliver(stream);
            delivered = true;
        }
        self.check_unmapped(if delivered { MatchOutcome::Settled } else { MatchOutcome::Unmapped })
    }

    /// Whether texts of events are read or changed. If so, name and type alone do not determine the
    /// decision.
    pub fn reads_text(&self) -> bool {
        matches!(self.routing, Routing::Ruled(_, EventNeeds::Text, _))
    }

    fn check_unmapped(&self, fate: MatchOutcome) -> Result<(), &'static str> {
        match (fate, self.unmapped) {
            (MatchOutcome::Unmapped, UnmappedPolicy::DeadLetter) => Err(UNMAPPED),
            _ => Ok(()),
        }
    }
}

/// Writes an event with this kind and no other members.
fn write_kind(text: &mut String, name: Option<&str>, message_type: Option<&str>) {
    text.clear();
    text.push('{');
    for (key, word) in [("type", message_type), ("event", name)] {
        let Some(word) = word else { continue };
        text.push_str(if text.len() > 1 { "," } else { "" });
        json::write_string(text, key);
        text.push(':');
        json::write_string(text, word);
    }
    text.push('}');
}

#[cfg(feature = "component")]
standpipe_plugin::export!(Mapping);

#[cfg(test)]
mod tests;
