//! Promises that were rejected while nothing handled them.
//!
//! A function that sends a request and does not wait for it would lose the error without a trace.
//! What is left at the end of a batch becomes log lines.

use std::cell::RefCell;

use rquickjs::{Ctx, JsLifetime, Persistent, Promise, Value};

use crate::exception::describe_thrown;
use crate::value::is_same;

/// The maximum number of lines that a batch prints.
const LINES_MAX: usize = 10;

/// The rejected promises of a runtime's contexts, each with its reason.
#[derive(Default)]
struct PromiseRejections(RefCell<Vec<PromiseRejection>>);

struct PromiseRejection {
    promise: Persistent<Value<'static>>,
    reason: Persistent<Value<'static>>,
}

// SAFETY: the type contains no lifetime of a context.
unsafe impl<'js> JsLifetime<'js> for PromiseRejections {
    type Changed<'to> = PromiseRejections;
}

/// Prepares a runtime.
pub(super) fn prepare_runtime(ctx: &Ctx<'_>) {
    if ctx.userdata::<PromiseRejections>().is_none() {
        // It fails only while userdata is read, and nothing reads it here.
        ctx.store_userdata(PromiseRejections::default()).ok();
    }
}

/// Notes that a promise was rejected, or that something handles it after all.
#[expect(clippy::needless_pass_by_value, reason = "rquickjs passes arguments by value")]
pub(crate) fn note<'js>(ctx: Ctx<'js>, promise: Value<'js>, reason: Value<'js>, is_handled: bool) {
    if is_handled {
        return forget(&ctx, &promise);
    }
    if let Some(rejections) = ctx.userdata::<PromiseRejections>() {
        rejections.0.borrow_mut().push(PromiseRejection {
            promise: Persistent::save(&ctx, promise),
            reason: Persistent::save(&ctx, reason),
        });
    }
}

/// Forgets a promise whose rejection was the result of a handler.
pub(super) fn forget_result(promise: &Promise<'_>) {
    forget(promise.ctx(), promise.as_value());
}

fn forget(ctx: &Ctx<'_>, promise: &Value<'_>) {
    let Some(rejections) = ctx.userdata::<PromiseRejections>() else { return };
    let mut rejections = rejections.0.borrow_mut();
    // The promise that was rejected last is mostly the one.
    let position = rejections.iter().rposition(|rejection| {
        let other = rejection.promise.clone().restore(ctx);
        other.is_ok_and(|other| is_same(other.as_raw(), promise.as_raw()))
    });
    if let Some(position) = position {
        rejections.swap_remove(position);
    }
}

/// Forgets all promises. Those of scripts that are no functions are not reported.
pub(super) fn forget_all(ctx: &Ctx<'_>) {
    if let Some(rejections) = ctx.userdata::<PromiseRejections>() {
        rejections.0.take();
    }
}

/// Prints the reasons of the promises that nothing has handled, and forgets them.
#[expect(clippy::print_stderr, reason = "printed lines become log lines of the host")]
pub(super) fn report(ctx: &Ctx<'_>, file: &str) {
    let Some(rejections) = ctx.userdata::<PromiseRejections>() else { return };
    let rejections = rejections.0.take();
    let hidden = rejections.len().saturating_sub(LINES_MAX);
    for rejection in rejections.into_iter().take(LINES_MAX) {
        let Ok(reason) = rejection.reason.restore(ctx) else { continue };
        let reason = describe_thrown(&reason, None);
        eprintln!("{file}: a promise was rejected, and the function does not await it: {reason}");
    }
    if hidden > 0 {
        eprintln!("{file}: {hidden} more promises were rejected");
    }
}

/// The number of promises that nothing has handled.
#[cfg(test)]
pub(super) fn count(ctx: &Ctx<'_>) -> usize {
    ctx.userdata::<PromiseRejections>().map_or(0, |rejections| rejections.0.borrow().len())
}
