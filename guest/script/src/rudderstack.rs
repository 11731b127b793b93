//! Transformations of RudderStack: `transformEvent`, `transformBatch` and `transform`.
//!
//! RudderStack documents these functions, their arguments and their errors. Where it aborts an
//! event or a batch, the events become dead letters here, which can be replayed.
//!
//! What differs on purpose: a thrown value that is not an error, a promise that nothing settles, and a
//! value that cannot leave the sandbox cost their own event here, and the whole batch there. The
//! outputs of a batch stand in the order of its events, and there in the order in which promises are
//! settled. `console` prints here. As there, `setTimeout`, `URL`, `Buffer`, `crypto`, `btoa`, `atob`,
//! `process`, `require` and `window` do not exist. Unlike there, `Intl` does not exist either.

mod console;
mod metadata;
mod network;

use std::rc::Rc;

use rquickjs::function::{Rest, This};
use rquickjs::{Array, Coerced, Ctx, Exception, Function, Object, Value};
use serde_json::Map;

use crate::batch::{ScriptEvent, ScriptOutput, convert_clone};
use crate::event_object::EventClass;
use crate::exception::{bare_message, stack_of, take_exception, take_message, take_stack};
use crate::jobs::finish_jobs;
use metadata::{BatchMessageIds, BatchMetadata};

/// The functions of which a module exports exactly one.
pub(crate) const EXPORTS: [&str; 2] = ["transformEvent", "transformBatch"];

/// A transformation's function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransformFunction {
    /// `transformEvent(event, metadata)` of a module.
    Event,
    /// `transformBatch(events, metadata)` of a module.
    Batch,
    /// `transform(events)` of a script of code version 0.
    Script,
}

impl TransformFunction {
    /// The name of the function.
    pub(crate) fn function_name(self) -> &'static str {
        match self {
            TransformFunction::Event => EXPORTS[0],
            TransformFunction::Batch => EXPORTS[1],
            TransformFunction::Script => "transform",
        }
    }
}

/// Defines the global functions of RudderStack. Code version 0 has no credentials.
pub(crate) fn define_globals<'js>(
    ctx: &Ctx<'js>,
    credentials: Option<&Rc<Map<String, serde_json::Value>>>,
) -> rquickjs::Result<()> {
    let globals = ctx.globals();
    globals.set("global", globals.clone())?;
    globals.set("log", Function::new(ctx.clone(), log)?)?;
    globals.set("console", console::create_object(ctx)?)?;
    network::define_functions(ctx)?;
    // It captures no value of JavaScript, because such a value would keep the context alive for ever.
    let Some(credentials) = credentials.map(Rc::clone) else { return Ok(()) };
    let get_credential =
        move |ctx: Ctx<'js>, keys: Rest<Value<'js>>| -> rquickjs::Result<Value<'js>> {
            let undefined = Value::new_undefined(ctx.clone());
            let key = keys.0.into_iter().next().unwrap_or(undefined.clone());
            if key.is_null() || key.is_undefined() {
                return Err(Exception::throw_type(&ctx, "Key should be valid and defined"));
            }
            let Coerced(key) = key.get::<Coerced<String>>()?;
            match credentials.get(&key) {
                Some(value) => ctx.json_parse(value.to_string()),
                None => Ok(undefined),
            }
        };
    globals.set("getCredential", Function::new(ctx.clone(), get_credential)?)
}

/// Prints what a script logs. The host turns printed lines into log lines.
#[expect(clippy::needless_pass_by_value, reason = "the signature is that of functions of scripts")]
fn log<'js>(ctx: Ctx<'js>, values: Rest<Value<'js>>) -> rquickjs::Result<()> {
    let mut line = "Log:".to_owned();
    for value in values.0 {
        line.push(' ');
        line.push_str(&console::text_of(&ctx, value)?);
    }
    console::print_line(&line);
    Ok(())
}

/// Runs a transformation on a batch.
pub(crate) fn transform<'js>(
    ctx: &Ctx<'js>,
    class: EventClass,
    (entry, function): (TransformFunction, &Function<'js>),
    events: &[ScriptEvent],
    source: &str,
    outputs: &mut Vec<ScriptOutput>,
) {
    let run = TransformRun { ctx, class, entry, events };
    let created = run.create_arguments(source);
    let (objects, metadata) = match created {
        Ok(created) => created,
        Err(_) => return run.reject_all(&take_exception(ctx, None), outputs),
    };
    match entry {
        TransformFunction::Event => run.transform_events(function, &objects, &metadata, outputs),
        TransformFunction::Batch | TransformFunction::Script => {
            run.transform_batch(function, &objects, &metadata, outputs)
        }
    }
}

/// A batch that goes through a transformation.
struct TransformRun<'a, 'js> {
    ctx: &'a Ctx<'js>,
    class: EventClass,
    entry: TransformFunction,
    events: &'a [ScriptEvent],
}

impl<'js> TransformRun<'_, 'js> {
    /// Creates the events' objects and the function `metadata`.
    fn create_arguments(&self, source: &str) -> rquickjs::Result<(Vec<Value<'js>>, Function<'js>)> {
        let objects = self.events.iter().map(|event| self.class.create(self.ctx, &event.text));
        let objects = objects.collect::<rquickjs::Result<Vec<_>>>()?;
        let is_script = self.entry == TransformFunction::Script;
        let metadata = BatchMetadata::new(self.ctx, self.events, source, is_script);
        let metadata = move |ctx: Ctx<'js>, events: Rest<Value<'js>>| {
            metadata.create_object(&ctx, events.0.first())
        };
        let metadata = Function::new(self.ctx.clone(), metadata)?;
        if self.entry == TransformFunction::Script {
            // Code version 0 has a global function in place of an argument.
            self.ctx.globals().set("metadata", metadata.clone())?;
        }
        Ok((objects, metadata))
    }

    /// Starts `transformEvent` for all events before the results of the first one are awaited.
    fn transform_events(
        &self,
        function: &Function<'js>,
        objects: &[Value<'js>],
        metadata: &Function<'js>,
        outputs: &mut Vec<ScriptOutput>,
    ) {
        let name = self.entry.function_name();
        let started: Vec<_> = objects
            .iter()
            .map(|object| {
                let result = function.call::<_, Value<'js>>((object.clone(), metadata.clone()));
                result.map_err(|_| take_stack(self.ctx, name))
            })
            .collect();
        finish_jobs(self.ctx);
        for ((event, object), started) in self.events.iter().zip(objects).zip(started) {
            let result = started.and_then(|value| self.settled_value(value));
            let converted = result.and_then(|value| self.convert_event(&value, event, object));
            match converted {
                Ok(events) => outputs.extend(events.into_iter().map(ScriptOutput::Event)),
                Err(reason) => outputs.push(ScriptOutput::Rejected(event.input, reason)),
            }
        }
    }

    /// The events of a result of `transformEvent`: one, several, or none.
    fn convert_event(
        &self,
        value: &Value<'js>,
        event: &ScriptEvent,
        object: &Value<'js>,
    ) -> Result<Vec<ScriptEvent>, String> {
        if value.is_null() || value.is_undefined() {
            return Ok(Vec::new());
        }
        let convert =
            |value: &Value<'js>| convert_clone(self.ctx, self.class, value, event, Some(object));
        let Some(array) = value.as_array() else {
            if !self.is_plain_object(value) {
                return Err("returned event from transformEvent(event) is not an object".to_owned());
            }
            return Ok(vec![convert(value)?]);
        };
        let elements = self.elements(array)?;
        if !elements.iter().all(|element| self.is_plain_object(element)) {
            return Err(
                "returned event in events array from transformEvent(event) is not an object"
                    .to_owned(),
            );
        }
        elements.iter().map(convert).collect()
    }

    fn transform_batch(
        &self,
        function: &Function<'js>,
        objects: &[Value<'js>],
        metadata: &Function<'js>,
        outputs: &mut Vec<ScriptOutput>,
    ) {
        match self.call_with_batch(function, objects, metadata) {
            Ok(results) => self.convert_batch(&results, objects, outputs),
            Err(reason) => self.reject_all(&reason, outputs),
        }
    }

    fn call_with_batch(
        &self,
        function: &Function<'js>,
        objects: &[Value<'js>],
        metadata: &Function<'js>,
    ) -> Result<Vec<Value<'js>>, String> {
        let failed = |_| match self.entry {
            // Code version 0 reports the message alone.
            TransformFunction::Script => take_message(self.ctx),
            entry => take_stack(self.ctx, entry.function_name()),
        };
        let batch = Array::new(self.ctx.clone()).map_err(failed)?;
        for (position, object) in objects.iter().enumerate() {
            batch.set(position, object.clone()).map_err(failed)?;
        }
        let result = match self.entry {
            TransformFunction::Script => function.call((batch,)),
            _ => function.call((batch, metadata.clone())),
        };
        let result: Value<'js> = result.map_err(failed)?;
        finish_jobs(self.ctx);
        let result = self.settled_value(result)?;
        match result.as_array() {
            Some(array) => self.elements(array),
            None if self.entry == TransformFunction::Script => {
                Err("returned events from transform(events) is not an array".to_owned())
            }
            None => Err("returned events from transformBatch(event) is not an array".to_owned()),
        }
    }

    /// Finds for each returned event the event that it comes from: the one whose object it is, or
    /// the one with its `messageId`, or the first one of the batch.
    fn convert_batch(
        &self,
        results: &[Value<'js>],
        objects: &[Value<'js>],
        outputs: &mut Vec<ScriptOutput>,
    ) {
        let mut rejected = Vec::new();
        let message_ids = BatchMessageIds::default();
        let first_new = outputs.len();
        for result in results {
            let position = self.position_of(result, &message_ids).unwrap_or(0);
            let (event, object) = (&self.events[position], &objects[position]);
            let converted = if self.is_plain_object(result) {
                convert_clone(self.ctx, self.class, result, event, Some(object))
            } else {
                Err(self.describe_wrong_element(result))
            };
            match converted {
                Ok(event) => outputs.push(ScriptOutput::Event(event)),
                Err(reason) => rejected.push(reason),
            }
        }
        // A rejection is the only output of its event, so it goes to one without other outputs.
        for reason in rejected {
            let has_outputs = |input: u32| {
                outputs[first_new..].iter().any(|output| match output {
                    ScriptOutput::Event(event) => event.input == input,
                    ScriptOutput::Rejected(other, _) => *other == input,
                })
            };
            let free = self.events.iter().find(|event| !has_outputs(event.input));
            match free {
                Some(event) => outputs.push(ScriptOutput::Rejected(event.input, reason)),
                None => print_error(&reason),
            }
        }
    }

    fn position_of(&self, result: &Value<'js>, message_ids: &BatchMessageIds) -> Option<usize> {
        let raw = result.as_raw();
        if let Some(node) = self.class.node(&raw) {
            return Some(node.borrow().event().0 as usize);
        }
        message_ids.position_of(self.ctx, self.events, result)
    }

    /// The error for an element of a batch's result that is not an object.
    fn describe_wrong_element(&self, element: &Value<'js>) -> String {
        if self.entry != TransformFunction::Script {
            return "returned event in events array from transformBatch(events) is not an object"
                .to_owned();
        }
        let json = self.ctx.json_stringify(element.clone()).ok().flatten();
        let json = json.and_then(|json| json.to_string().ok());
        format!(
            "returned event in events from user transformation is not an object. returned event: {}",
            json.as_deref().unwrap_or("undefined")
        )
    }

    /// The value of a promise, or the value itself.
    fn settled_value(&self, value: Value<'js>) -> Result<Value<'js>, String> {
        let name = self.entry.function_name();
        let Some(promise) = value.as_promise() else { return Ok(value) };
        match promise.result::<Value<'js>>() {
            Some(Ok(value)) => Ok(value),
            Some(Err(_)) => Err(match self.entry {
                TransformFunction::Script => bare_message(&self.ctx.catch()),
                _ => stack_of(&self.ctx.catch(), name),
            }),
            None => Err(format!("Timed out: nothing settles the promise that {name} returned")),
        }
    }

    /// Whether it is an object to `Object.prototype.toString`, which leaves out arrays, errors, dates
    /// and others. Code version 0 leaves out only arrays.
    fn is_plain_object(&self, value: &Value<'js>) -> bool {
        let raw = value.as_raw();
        if self.class.node(&raw).is_some() {
            return true;
        }
        if !value.is_object() {
            return false;
        }
        if self.entry == TransformFunction::Script {
            return !value.is_array() && !value.is_function();
        }
        let to_string = || {
            let object: Object<'js> = self.ctx.globals().get("Object")?;
            let prototype: Object<'js> = object.get("prototype")?;
            let to_string: Function<'js> = prototype.get("toString")?;
            to_string.call::<_, String>((This(value.clone()),))
        };
        match to_string() {
            Ok(text) => text == "[object Object]",
            Err(_) => {
                self.ctx.catch();
                false
            }
        }
    }

    fn elements(&self, array: &Array<'js>) -> Result<Vec<Value<'js>>, String> {
        let elements: rquickjs::Result<_> = array.iter::<Value<'js>>().collect();
        elements.map_err(|_| take_exception(self.ctx, None))
    }

    fn reject_all(&self, reason: &str, outputs: &mut Vec<ScriptOutput>) {
        let rejected = self.events.iter();
        outputs
            .extend(rejected.map(|event| ScriptOutput::Rejected(event.input, reason.to_owned())));
    }
}

#[expect(clippy::print_stderr, reason = "printed lines become log lines of the host")]
fn print_error(reason: &str) {
    eprintln!("{reason}");
}

#[cfg(test)]
mod tests;
