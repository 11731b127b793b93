//! Source functions: a request goes in, and events come out.

use rquickjs::function::Rest;
use rquickjs::{Ctx, Function, Object, Promise, Value};

use crate::engine::ScriptEngine;
use crate::exception::take_exception;
use crate::jobs;
use crate::settings::Globals;

use super::instance::{FunctionInstance, settled};
use super::{FunctionKind, FunctionStage, REQUEST_HANDLER, rejections};

/// A request to a source function.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceRequest {
    /// The whole address, with the query.
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What a source function has sent, as JSON texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourceMessages {
    /// Events of `Segment.track` and its like.
    pub(crate) events: Vec<String>,
    /// Objects of `Segment.set`, which have a collection and an id.
    pub(crate) objects: Vec<String>,
}

impl FunctionStage {
    /// Runs a source function on a request.
    ///
    /// # Errors
    ///
    /// Fails with what the function threw. What it has sent before is lost then, so that a client
    /// that tries again causes no duplicates.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the collector has no route for source functions yet")
    )]
    pub(crate) fn run_request(
        &mut self,
        engine: &ScriptEngine,
        request: &SourceRequest,
    ) -> Result<SourceMessages, String> {
        let FunctionStage { instances, code } = self;
        if code.kind != FunctionKind::Source {
            return Err(format!(
                "{} is not a source function: define {REQUEST_HANDLER}",
                code.file.name
            ));
        }
        let instance = match instances.0.pop() {
            Some(instance) => instance,
            None => FunctionInstance::new(engine.create_context()?, code)?,
        };
        let outcome = instance.context.with(|ctx| {
            let outcome = call_with_request(&ctx, &instance, code, request);
            jobs::finish_jobs(&ctx);
            let outcome = outcome.and_then(|value| wait_for_result(&value, code));
            // Messages of a request that failed must not appear among those of the next one.
            let taken = take_messages(&ctx, &instance);
            rejections::report(&ctx, &code.file.name);
            outcome.and(taken)
        });
        if code.globals == Globals::Keep {
            instances.0.push(instance);
        }
        outcome
    }
}

fn call_with_request<'js>(
    ctx: &Ctx<'js>,
    instance: &FunctionInstance,
    code: &super::FunctionCode,
    request: &SourceRequest,
) -> Result<Value<'js>, String> {
    let failed = |_| take_exception(ctx, None);
    let bridge = instance.bridge.clone().restore(ctx).map_err(failed)?;
    let create: Function<'js> = bridge.get("createRequest").map_err(failed)?;
    let headers = request.headers.iter().map(|(name, value)| vec![name.as_str(), value.as_str()]);
    let headers: Vec<_> = headers.collect();
    let object: Value<'js> =
        create.call((request.url.as_str(), headers, request.body.as_str())).map_err(failed)?;
    let settings = code.create_settings(ctx).map_err(failed)?;
    let handler = instance.request_handler().ok_or("the function defines no handler")?;
    let handler = handler.clone().restore(ctx).map_err(failed)?;
    let arguments = Rest(vec![object, settings]);
    handler.call((arguments,)).map_err(|_| code.describe(&ctx.catch()))
}

fn wait_for_result(value: &Value<'_>, code: &super::FunctionCode) -> Result<(), String> {
    let Some(promise) = value.as_promise() else { return Ok(()) };
    let promise: &Promise<'_> = promise;
    match settled(promise) {
        Some(Ok(_)) => Ok(()),
        Some(Err(thrown)) => Err(code.describe(&thrown)),
        None => {
            Err(format!("Timed out: nothing settles the promise that {REQUEST_HANDLER} returned"))
        }
    }
}

fn take_messages(ctx: &Ctx<'_>, instance: &FunctionInstance) -> Result<SourceMessages, String> {
    let taken = || {
        let bridge = instance.bridge.clone().restore(ctx)?;
        let take: Function<'_> = bridge.get("takeMessages")?;
        let messages: Object<'_> = take.call(())?;
        Ok(SourceMessages { events: messages.get("events")?, objects: messages.get("objects")? })
    };
    taken().map_err(|_: rquickjs::Error| take_exception(ctx, None))
}
