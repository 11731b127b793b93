//! Source functions: a request goes in, and events come out.

use rquickjs::function::Rest;
use rquickjs::{Ctx, Function, Promise, Value};
use standpipe_plugin::functions::{Failure, FailureKind, HttpRequest};

use crate::engine::ScriptEngine;
use crate::exception::take_exception;
use crate::jobs;
use crate::settings::Globals;

use super::instance::{FunctionInstance, is_named, settled};
/// The error that makes Segment run a source function again.
const RETRY_ERROR: &str = "RetryError";

use super::{FunctionKind, FunctionStage, REQUEST_HANDLER, rejections};

impl FunctionStage {
    /// Runs a source function on a request. Returns the events that it has sent, as JSON texts.
    ///
    /// # Errors
    ///
    /// Fails with what the function threw. What it has sent before is lost then, so that a client
    /// that tries again causes no duplicates.
    pub(crate) fn run_request(
        &mut self,
        engine: &ScriptEngine,
        request: &HttpRequest,
    ) -> Result<Vec<String>, Failure> {
        let FunctionStage { instances, code } = self;
        if code.kind != FunctionKind::Source {
            return Err(Failure::rejected(format!(
                "{} is not a source function: define {REQUEST_HANDLER}",
                code.file.name
            )));
        }
        let instance = match instances.0.pop() {
            Some(instance) => instance,
            None => {
                let context = engine.create_context().map_err(Failure::rejected)?;
                FunctionInstance::new(context, code).map_err(Failure::rejected)?
            }
        };
        let outcome = instance.context.with(|ctx| {
            let outcome = call_with_request(&ctx, &instance, code, request);
            jobs::finish_jobs(&ctx);
            let outcome = outcome.and_then(|value| wait_for_result(&value, code));
            // Events of a request that failed must not appear among those of the next one.
            let taken = take_events(&ctx, &instance);
            rejections::report(&ctx, &code.file.name);
            outcome.and(taken)
        });
        // What an unsettled promise does later must not happen during another request.
        let may_continue = matches!(&outcome, Err(Failure { kind: FailureKind::Retry, .. }));
        if code.globals == Globals::Keep && !may_continue {
            instances.0.push(instance);
        }
        outcome
    }
}

fn call_with_request<'js>(
    ctx: &Ctx<'js>,
    instance: &FunctionInstance,
    code: &super::FunctionCode,
    request: &HttpRequest,
) -> Result<Value<'js>, Failure> {
    let failed = |_| Failure::rejected(take_exception(ctx, None));
    let bridge = instance.bridge.clone().restore(ctx).map_err(failed)?;
    let create: Function<'js> = bridge.get("createRequest").map_err(failed)?;
    let headers = request.headers.iter().map(|(name, value)| vec![name.as_str(), value.as_str()]);
    let headers: Vec<_> = headers.collect();
    let body = String::from_utf8_lossy(&request.body);
    let object: Value<'js> =
        create.call((request.url.as_str(), headers, &*body)).map_err(failed)?;
    let settings = code.create_settings(ctx).map_err(failed)?;
    let handler = instance.request_handler();
    let handler = handler.ok_or_else(|| Failure::rejected("the function defines no handler"))?;
    let handler = handler.clone().restore(ctx).map_err(failed)?;
    let arguments = Rest(vec![object, settings]);
    handler.call((arguments,)).map_err(|_| describe_failure(&ctx.catch(), code))
}

fn wait_for_result(value: &Value<'_>, code: &super::FunctionCode) -> Result<(), Failure> {
    let Some(promise) = value.as_promise() else { return Ok(()) };
    let promise: &Promise<'_> = promise;
    match settled(promise) {
        Some(Ok(_)) => Ok(()),
        Some(Err(thrown)) => Err(describe_failure(&thrown, code)),
        // Segment tries again after a timeout.
        None => Err(Failure::retry(format!(
            "Timed out: nothing settles the promise that {REQUEST_HANDLER} returned"
        ))),
    }
}

fn describe_failure(thrown: &Value<'_>, code: &super::FunctionCode) -> Failure {
    let message = code.describe(thrown);
    match is_named(thrown, RETRY_ERROR) {
        true => Failure::retry(message),
        false => Failure::rejected(message),
    }
}

fn take_events(ctx: &Ctx<'_>, instance: &FunctionInstance) -> Result<Vec<String>, Failure> {
    let taken = || {
        let bridge = instance.bridge.clone().restore(ctx)?;
        bridge.get::<_, Function<'_>>("takeEvents")?.call(())
    };
    taken().map_err(|_: rquickjs::Error| Failure::rejected(take_exception(ctx, None)))
}
