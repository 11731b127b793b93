//! The plugin that runs user code in JavaScript, unmodified: transformations of RudderStack and
//! functions of Segment.
//!
//! The settings contain the code: the member `script`, which the host fills in. All other members
//! are settings of the [default mapping](mapping), which decides where the events go that the code
//! returns. An event that the code returns without a change is delivered as received.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

mod batch;
mod bytecode;
mod engine;
mod event_object;
mod exception;
#[doc(hidden)]
#[cfg(not(target_arch = "wasm32"))]
pub mod fuzzing;
mod jobs;
mod json_text;
mod libraries;
mod printer;
mod rudderstack;
mod segment;
mod settings;
mod stage;
mod value;
mod web;
#[cfg(target_arch = "wasm32")]
mod web_import;

use std::rc::Rc;

use mapping::{Mapping, SeenEvent, push_output};
use standpipe_plugin::functions::{Failure, HttpRequest, RequestHandler};
use standpipe_plugin::{Event, Outputs, Plugin, Route, Setup};

use batch::{ScriptEvent, ScriptEventKind, ScriptOutput};
use engine::ScriptEngine;
use event_object::ScriptEventText;
use settings::{ScriptDialect, ScriptSettings};
use stage::ScriptStage;

/// The script plugin.
pub struct ScriptPlugin {
    // Dropped before the engine that they belong to.
    stages: Vec<ScriptStage>,
    engine: ScriptEngine,
    /// `None` if destination functions are all that the events are for, or if requests are handled
    /// instead of events.
    mapping: Option<Mapping>,
}

impl Plugin for ScriptPlugin {
    fn configure(settings: &str, setup: &mut Setup) -> Result<Self, String> {
        let (script, rules) = ScriptSettings::parse(settings)?;
        let engine = ScriptEngine::new(&script.libraries)?;
        #[cfg(target_arch = "wasm32")]
        engine.set_web_client(Box::new(web_import::WebImport))?;
        let stages = script.files.iter().map(|file| ScriptStage::new(&engine, file, &script));
        let stages = stages.collect::<Result<Vec<_>, _>>()?;
        if script.dialect == Some(ScriptDialect::SegmentSource) && stages.len() > 1 {
            return Err("a source function is one file: combine the files".to_owned());
        }
        let is_mapped =
            settings::has_rules(&rules) || !stages.iter().all(ScriptStage::needs_no_mapping);
        let mapping = is_mapped.then(|| Mapping::configure(&rules, setup)).transpose()?;
        // The mapping may declare that it needs no text, but the script does.
        setup.read_text();
        Ok(ScriptPlugin { stages, engine, mapping })
    }

    fn map(&mut self, event: &Event, outputs: &mut Outputs) {
        self.map_batch(vec![event.clone()], outputs);
    }

    fn map_batch(&mut self, events: Vec<Event>, outputs: &mut Outputs) {
        let source = events.first().map(|event| event.source.clone()).unwrap_or_default();
        let mut kinds = Vec::with_capacity(events.len());
        let mut passing = Vec::with_capacity(events.len());
        for (input, event) in (0..).zip(events) {
            kinds.push(ScriptEventKind { message_type: event.message_type, name: event.name });
            let text = Rc::new(ScriptEventText { text: event.text, position: input });
            passing.push(ScriptEvent { text, input, changed: None });
        }
        for stage in &mut self.stages {
            let mut results = Vec::with_capacity(passing.len());
            stage.run(&self.engine, &passing, &kinds, &source, &mut results);
            passing.clear();
            for result in results {
                match result {
                    ScriptOutput::Event(event) => passing.push(event),
                    ScriptOutput::Rejected(input, reason) => {
                        outputs.select_event(input);
                        outputs.reject(&reason);
                    }
                }
            }
        }
        for event in &passing {
            outputs.select_event(event.input);
            self.route(event, &kinds[event.input as usize], outputs);
        }
    }

    fn routes(&self) -> Vec<Route> {
        self.mapping.as_ref().map(Plugin::routes).unwrap_or_default()
    }
}

impl ScriptPlugin {
    /// Lets the mapping decide about an event that the scripts have returned.
    fn route(&mut self, event: &ScriptEvent, received: &ScriptEventKind, outputs: &mut Outputs) {
        let Some(mapping) = &mut self.mapping else { return };
        let text = event.text.text.as_str();
        let ScriptEventKind { message_type, name } = event.changed.as_ref().unwrap_or(received);
        let seen = SeenEvent { name: name.as_deref(), message_type: message_type.as_deref(), text };
        let is_changed = event.changed.is_some();
        let decided = mapping.decide(seen, |target, edited| {
            push_output(outputs, target, edited.or(is_changed.then_some(text)));
        });
        if let Err(reason) = decided {
            outputs.reject(reason);
        }
    }
}

impl RequestHandler for ScriptPlugin {
    fn handle_request(&mut self, request: HttpRequest) -> Result<Vec<String>, Failure> {
        let ScriptPlugin { stages, engine, .. } = self;
        match stages.first_mut().and_then(ScriptStage::source_function) {
            Some(function) => function.run_request(engine, &request),
            None => Err(Failure::rejected("the script is not a source function")),
        }
    }
}

standpipe_plugin::export_functions!(ScriptPlugin);

#[cfg(test)]
mod tests;
