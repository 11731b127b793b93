//! An instance of a function: a context in which its code has been evaluated.

use rquickjs::{Array, Context, Ctx, Function, Object, Persistent, Promise, Value};

use crate::batch::{ScriptEvent, ScriptOutput, convert_result};
use crate::bytecode::evaluate;
use crate::engine::load_module;
use crate::exception::{describe_thrown, message_of, take_exception};
use crate::jobs;

use super::{
    BATCH_HANDLER, FunctionBatch, FunctionCode, FunctionKind, HANDLERS, REQUEST_HANDLER, modules,
    rejections,
};

/// A context in which a function has been evaluated. It handles one event, or one batch, at a time.
pub(super) struct FunctionInstance {
    // What belongs to the context is dropped before it.
    running: Option<HandlerCall>,
    handlers: [Option<Persistent<Function<'static>>>; HANDLERS.len()],
    batch_handler: Option<Persistent<Function<'static>>>,
    request_handler: Option<Persistent<Function<'static>>>,
    /// What the code around the function offers to Rust.
    pub(super) bridge: Persistent<Object<'static>>,
    pub(super) context: Context,
}

/// A call of a handler whose promise is not settled.
struct HandlerCall {
    /// The position of the call in the batch.
    call: usize,
    promise: Persistent<Promise<'static>>,
    /// The objects of the call's events.
    objects: Vec<Persistent<Value<'static>>>,
}

/// What a handler returned, or what it threw.
type Returned<'js> = Result<Value<'js>, Value<'js>>;

impl FunctionInstance {
    /// Evaluates a function in a context.
    pub(super) fn new(context: Context, code: &FunctionCode) -> Result<Self, String> {
        let (bridge, found) = context.with(|ctx| {
            let failed = |_| take_exception(&ctx, None);
            let bridge = modules::define_globals(&ctx).map_err(failed)?;
            let found = find_handlers(&ctx, code)?;
            Ok::<_, String>((Persistent::save(&ctx, bridge), found))
        })?;
        let mut found = found.into_iter();
        let handlers = std::array::from_fn(|_| found.next().flatten());
        let (batch_handler, request_handler) = (found.next().flatten(), found.next().flatten());
        let running = None;
        Ok(FunctionInstance { running, handlers, batch_handler, request_handler, bridge, context })
    }

    /// Checks that the function has a handler of its kind.
    pub(super) fn check_handlers(&self, code: &FunctionCode) -> Result<(), String> {
        let name = &code.file.name;
        if code.kind == FunctionKind::Source {
            return match self.request_handler {
                Some(_) => Ok(()),
                None => Err(format!("{name}: found no {REQUEST_HANDLER}: define it")),
            };
        }
        if self.batch_handler.is_some() || self.handlers.iter().any(Option::is_some) {
            return Ok(());
        }
        let names: Vec<_> = HANDLERS.iter().map(|(_, handler)| *handler).collect();
        let names = names.join(", ");
        Err(format!("{name}: found none of {names} and {BATCH_HANDLER}: define one of them"))
    }

    /// Loads the packages that the function's code names.
    pub(super) fn prepare_packages(&self, code: &FunctionCode) -> Result<(), String> {
        self.context.with(|ctx| {
            let bridge = self.bridge.clone().restore(&ctx);
            let prepared = bridge.and_then(|bridge| modules::prepare_packages(&ctx, &bridge, code));
            prepared.map_err(|_| take_exception(&ctx, None))
        })
    }

    pub(super) fn has_batch_handler(&self) -> bool {
        self.batch_handler.is_some()
    }

    pub(super) fn request_handler(&self) -> Option<&Persistent<Function<'static>>> {
        self.request_handler.as_ref()
    }

    /// The position of the call that runs in its batch.
    pub(super) fn running_call(&self) -> Option<usize> {
        self.running.as_ref().map(|running| running.call)
    }

    /// Runs what is next in all contexts. Returns false if nothing is left to run.
    pub(super) fn run_next_job(&self) -> bool {
        self.context.with(|ctx| jobs::run_next_job(&ctx))
    }

    /// Runs everything that is left to run in all contexts, and reports what failed there.
    pub(super) fn finish_jobs(&self, file: &str) {
        self.context.with(|ctx| {
            jobs::finish_jobs(&ctx);
            rejections::report(&ctx, file);
        });
    }

    /// Forgets the promises that scripts before this one have left rejected.
    pub(super) fn forget_rejections(&self) {
        self.context.with(|ctx| rejections::forget_all(&ctx));
    }

    /// Calls the handler of a call's events. If it waits for something, the call goes on running.
    pub(super) fn start(
        &mut self,
        batch: &FunctionBatch<'_>,
        call: usize,
        outputs: &mut Vec<ScriptOutput>,
    ) {
        let context = self.context.clone();
        context.with(|ctx| {
            let events = batch.events_of(call);
            let objects = events.iter().map(|event| batch.engine.class.create(&ctx, &event.text));
            let objects: rquickjs::Result<Vec<_>> = objects.collect();
            let called = objects.map(|objects| {
                let returned = self.call_handler(&ctx, batch, events, &objects);
                (objects, returned)
            });
            let (objects, returned) = match called {
                Ok((objects, Ok(returned))) => (objects, returned),
                Ok((_, Err(reason))) => {
                    return outputs.extend(events.iter().map(|event| event.rejected(&reason)));
                }
                Err(_) => {
                    let reason = take_exception(&ctx, None);
                    return outputs.extend(events.iter().map(|event| event.rejected(&reason)));
                }
            };
            let is_batch = self.batch_handler.is_some();
            let finished = CallResult { ctx: &ctx, batch, events, objects: &objects, is_batch };
            let promise = match returned {
                Ok(value) => match value.into_promise_or_value() {
                    Ok(promise) => promise,
                    Err(value) => return finished.convert(Ok(value), outputs),
                },
                Err(thrown) => return finished.convert(Err(thrown), outputs),
            };
            jobs::run_promise_jobs(&ctx);
            match settled(&promise) {
                Some(returned) => finished.convert(returned, outputs),
                None => {
                    let objects =
                        objects.into_iter().map(|object| Persistent::save(&ctx, object)).collect();
                    let promise = Persistent::save(&ctx, promise);
                    self.running = Some(HandlerCall { call, promise, objects });
                }
            }
        });
    }

    /// Takes the result of the call that runs, if its promise is settled.
    pub(super) fn take_result(
        &mut self,
        batch: &FunctionBatch<'_>,
        outputs: &mut Vec<ScriptOutput>,
    ) {
        let Some(running) = &self.running else { return };
        let is_settled = self.context.with(|ctx| {
            let Ok(promise) = running.promise.clone().restore(&ctx) else { return false };
            let Some(returned) = settled(&promise) else { return false };
            let objects = running.objects.iter().map(|object| object.clone().restore(&ctx));
            let objects: rquickjs::Result<Vec<_>> = objects.collect();
            let objects = objects.unwrap_or_default();
            let events = batch.events_of(running.call);
            let is_batch = self.batch_handler.is_some();
            let finished = CallResult { ctx: &ctx, batch, events, objects: &objects, is_batch };
            finished.convert(returned, outputs);
            true
        });
        if is_settled {
            self.running = None;
        }
    }

    /// Calls the handler. The error is why there is none.
    fn call_handler<'js>(
        &self,
        ctx: &Ctx<'js>,
        batch: &FunctionBatch<'_>,
        events: &[ScriptEvent],
        objects: &[Value<'js>],
    ) -> Result<Returned<'js>, String> {
        let failed = |_| take_exception(ctx, None);
        let settings = batch.code.create_settings(ctx).map_err(failed)?;
        if let Some(handler) = &self.batch_handler {
            let handler = handler.clone().restore(ctx).map_err(failed)?;
            let array = Array::new(ctx.clone()).map_err(failed)?;
            for (position, object) in objects.iter().enumerate() {
                array.set(position, object.clone()).map_err(failed)?;
            }
            return Ok(handler.call((array, settings)).map_err(|_| ctx.catch()));
        }
        let message_type = batch.message_type(&events[0]);
        let handler = message_type
            .and_then(|message_type| HANDLERS.iter().position(|(name, _)| *name == message_type));
        let function = handler.and_then(|position| self.handlers[position].as_ref());
        let Some(function) = function else {
            return Err(batch.code.no_handler(message_type, handler));
        };
        let function = function.clone().restore(ctx).map_err(failed)?;
        Ok(function.call((objects[0].clone(), settings)).map_err(|_| ctx.catch()))
    }
}

impl FunctionCode {
    /// Creates the second argument of a handler.
    pub(super) fn create_settings<'js>(&self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        if self.settings == "{}" {
            return Object::new(ctx.clone()).map(Object::into_value);
        }
        ctx.json_parse(self.settings.as_str())
    }

    fn no_handler(&self, message_type: Option<&str>, handler: Option<usize>) -> String {
        let file = &self.file.name;
        let Some(message_type) = message_type else {
            return "EventNotSupported: the event has no type".to_owned();
        };
        match handler {
            Some(position) => {
                let name = HANDLERS[position].1;
                format!("EventNotSupported: {message_type} not supported: {file} has no {name}")
            }
            None => format!("EventNotSupported: {message_type} not supported"),
        }
    }

    /// Describes what the function threw: its name and message, and its places in the function.
    pub(super) fn describe(&self, thrown: &Value<'_>) -> String {
        let mut text = message_of(thrown);
        for line in describe_thrown(thrown, None).lines().skip(text.lines().count()) {
            if line.contains(&self.file.name) {
                text.push('\n');
                text.push_str(line);
            }
        }
        text
    }
}

/// The result of a promise, if it is settled.
pub(super) fn settled<'js>(promise: &Promise<'js>) -> Option<Returned<'js>> {
    let result = promise.result::<Value<'js>>()?;
    Some(result.map_err(|_| {
        rejections::forget_result(promise);
        promise.ctx().catch()
    }))
}

trait IntoPromiseOrValue<'js>: Sized {
    fn into_promise_or_value(self) -> Result<Promise<'js>, Self>;
}

impl<'js> IntoPromiseOrValue<'js> for Value<'js> {
    fn into_promise_or_value(self) -> Result<Promise<'js>, Self> {
        match self.as_promise() {
            Some(promise) => Ok(promise.clone()),
            None => Err(self),
        }
    }
}

/// A call of a handler that has finished.
struct CallResult<'a, 'js> {
    ctx: &'a Ctx<'js>,
    batch: &'a FunctionBatch<'a>,
    events: &'a [ScriptEvent],
    objects: &'a [Value<'js>],
    /// Whether `onBatch` was called.
    is_batch: bool,
}

impl<'js> CallResult<'_, 'js> {
    /// Converts what the handler returned or threw.
    fn convert(&self, returned: Returned<'js>, outputs: &mut Vec<ScriptOutput>) {
        let code = self.batch.code;
        let value = match returned {
            Ok(value) => value,
            Err(thrown) if code.kind == FunctionKind::Insert && is_named(&thrown, "DropEvent") => {
                return;
            }
            Err(thrown) => {
                let reason = code.describe(&thrown);
                return outputs.extend(self.events.iter().map(|event| event.rejected(&reason)));
            }
        };
        match (code.kind, self.is_batch) {
            (FunctionKind::Insert, true) => self.convert_batch(&value, outputs),
            (FunctionKind::Insert, false) => outputs.push(self.convert_event(&value, 0)),
            (_, true) => self.convert_statuses(&value, outputs),
            (_, false) => outputs.extend(self.events.iter().cloned().map(ScriptOutput::Event)),
        }
    }

    /// The event that an insert function returned for the event at a position.
    fn convert_event(&self, value: &Value<'js>, position: usize) -> ScriptOutput {
        let event = &self.events[position];
        if value.is_null() || value.is_undefined() {
            return event.rejected(
                "the insert function returned no event: return the event, or throw DropEvent to \
                 drop it",
            );
        }
        let is_event =
            value.is_object() && !value.is_array() && !value.is_function() && !value.is_error();
        if !is_event {
            return event.rejected(
                "the insert function returned a value that is not an object: return the event",
            );
        }
        let class = self.batch.engine.class;
        match convert_result(self.ctx, class, value, event, self.objects.get(position)) {
            Ok(event) => ScriptOutput::Event(event),
            Err(reason) => event.rejected(&reason),
        }
    }

    /// Converts what `onBatch` of an insert function returned. Events that are missing are dropped.
    fn convert_batch(&self, value: &Value<'js>, outputs: &mut Vec<ScriptOutput>) {
        let Some(array) = value.as_array() else {
            let reason = format!("{BATCH_HANDLER} returned a value that is not an array of events");
            return outputs.extend(self.events.iter().map(|event| event.rejected(&reason)));
        };
        if array.len() > self.events.len() {
            let reason = format!(
                "{BATCH_HANDLER} returned {} events for {}: return at most one event for each",
                array.len(),
                self.events.len()
            );
            return outputs.extend(self.events.iter().map(|event| event.rejected(&reason)));
        }
        let elements: rquickjs::Result<Vec<_>> = array.iter::<Value<'js>>().collect();
        let Ok(elements) = elements else {
            let reason = take_exception(self.ctx, None);
            return outputs.extend(self.events.iter().map(|event| event.rejected(&reason)));
        };
        let origins = self.origins_of(&elements);
        for (element, origin) in elements.iter().zip(origins) {
            // An element without a value stands for an event that is dropped.
            if !element.is_null() && !element.is_undefined() {
                outputs.push(self.convert_event(element, origin));
            }
        }
    }

    /// The positions of the events that the elements come from, each another one: those whose objects
    /// they are, or else those at the same positions.
    fn origins_of(&self, elements: &[Value<'js>]) -> Vec<usize> {
        let mut is_free = vec![true; self.events.len()];
        let mut origins: Vec<_> = elements
            .iter()
            .map(|element| {
                let origin = self.origin_of(element).filter(|origin| is_free[*origin])?;
                is_free[origin] = false;
                Some(origin)
            })
            .collect();
        for (position, origin) in origins.iter_mut().enumerate() {
            if origin.is_none() {
                let free = if is_free[position] {
                    Some(position)
                } else {
                    is_free.iter().position(|is_free| *is_free)
                };
                if let Some(free) = free {
                    is_free[free] = false;
                }
                *origin = free;
            }
        }
        // There are at most as many elements as events, so each has got one.
        origins.into_iter().flatten().collect()
    }

    /// The position of the event whose object it is.
    fn origin_of(&self, element: &Value<'js>) -> Option<usize> {
        let element = element.as_raw();
        self.objects.iter().position(|object| crate::value::is_same(object.as_raw(), element))
    }

    /// Lets the events of a destination function go on. `onBatch` can return a status for each
    /// event: of 400 or more if it failed.
    fn convert_statuses(&self, value: &Value<'js>, outputs: &mut Vec<ScriptOutput>) {
        let statuses = value.as_array().filter(|array| array.len() == self.events.len());
        for (position, event) in self.events.iter().enumerate() {
            let status = statuses.and_then(|statuses| statuses.get::<Object<'js>>(position).ok());
            let failed = status.and_then(|status| failed_status(&status));
            // A status that cannot be read is none.
            self.ctx.catch();
            outputs.push(match failed {
                Some(reason) => event.rejected(&reason),
                None => ScriptOutput::Event(event.clone()),
            });
        }
    }
}

/// Why an event failed, if its status in a batch says so. Segment retries what failed with 429 or
/// with 500 and more.
fn failed_status(status: &Object<'_>) -> Option<String> {
    let code = status.get::<_, f64>("status").ok().filter(|code| *code >= 400.0)?;
    let message = status.get::<_, String>("errormessage").unwrap_or_default();
    let can_be_retried = code >= 500.0 || code == 429.0;
    let name = if can_be_retried { "RetryError" } else { "Bad Request" };
    Some(format!("{name}: {BATCH_HANDLER} returned status {code}: {message}"))
}

/// Whether a thrown value drops its event.
/// Whether a thrown value is an error of this name.
pub(super) fn is_named(thrown: &Value<'_>, expected: &str) -> bool {
    let name = thrown.as_object().and_then(|error| error.get::<_, String>("name").ok());
    thrown.ctx().catch();
    name.as_deref() == Some(expected)
}

/// Evaluates a function, and finds its handlers: those of single events, `onBatch`, `onRequest`.
fn find_handlers(
    ctx: &Ctx<'_>,
    code: &FunctionCode,
) -> Result<Vec<Option<Persistent<Function<'static>>>>, String> {
    let failed = |_| take_exception(ctx, None);
    let exports = if code.is_module {
        evaluate_module(ctx, code)?
    } else {
        evaluate(ctx, &code.bytecode).map_err(failed)?;
        let module: Object<'_> = ctx.globals().get("module").map_err(failed)?;
        module.get("exports").map_err(failed)?
    };
    let names = HANDLERS.iter().map(|(_, handler)| *handler);
    let names: Vec<_> = names.chain([BATCH_HANDLER, REQUEST_HANDLER]).collect();
    let globals: Vec<Value<'_>> = if code.is_module {
        vec![Value::new_undefined(ctx.clone()); names.len()]
    } else {
        // The name can be that of a constant, which is not a member of the global object.
        let values = names
            .iter()
            .map(|name| format!("typeof {name} === 'undefined' ? undefined : {name}"))
            .collect::<Vec<_>>();
        ctx.eval(format!("[{}]", values.join(","))).map_err(failed)?
    };
    let mut found = Vec::new();
    for (name, global) in names.into_iter().zip(globals) {
        let exported = || exports.as_object()?.get::<_, Value<'_>>(name).ok()?.into_function();
        let function = global.into_function().or_else(exported);
        found.push(function.map(|function| Persistent::save(ctx, function)));
    }
    Ok(found)
}

/// Evaluates a module. Returns its namespace, or its default export if it has no other.
fn evaluate_module<'js>(ctx: &Ctx<'js>, code: &FunctionCode) -> Result<Value<'js>, String> {
    let failed = |_| take_exception(ctx, None);
    let module = load_module(ctx, &code.bytecode).map_err(failed)?;
    let (module, evaluated) = module.eval().map_err(failed)?;
    jobs::finish_jobs(ctx);
    match settled(&evaluated) {
        Some(Ok(_)) => {}
        Some(Err(thrown)) => return Err(code.describe(&thrown)),
        None => {
            let name = &code.file.name;
            return Err(format!("{name}: nothing settles what it awaits at its top level"));
        }
    }
    let namespace: Object<'js> = module.namespace().map_err(failed)?;
    let default: Option<Object<'js>> = namespace.get("default").ok();
    ctx.catch();
    Ok(default.unwrap_or(namespace).into_value())
}
