//! What scripts leave to be done later: jobs of promises, requests, and timers.
//!
//! Jobs run first. When none is left, all requests that wait are sent together. When no request
//! waits either, the timer that is due first runs at once: a plugin does not wait for the clock.

use std::cell::RefCell;

use rquickjs::function::Rest;
use rquickjs::{Ctx, Exception, Function, JsLifetime, Persistent, Value};

use crate::web;

/// The maximum number of timers that are set at the same time in an instance.
const TIMERS_MAX: usize = 10_000;

/// The timers of a runtime's contexts. It is empty between batches.
#[derive(Default)]
struct Timers(RefCell<TimerList>);

#[derive(Default)]
struct TimerList {
    timers: Vec<Timer>,
    /// The id of the last timer.
    last_id: u32,
    /// The delay, in milliseconds, after which the timer that runs was due. Timers that it sets are
    /// due later than others with the same delay.
    now_ms: f64,
}

struct Timer {
    id: u32,
    due_ms: f64,
    function: Persistent<Function<'static>>,
    arguments: Vec<Persistent<Value<'static>>>,
}

// SAFETY: the type contains no lifetime of a context.
unsafe impl<'js> JsLifetime<'js> for Timers {
    type Changed<'to> = Timers;
}

/// Prepares a runtime for timers.
pub(crate) fn prepare_runtime(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    ctx.store_userdata(Timers::default()).map_err(|_| rquickjs::Error::Unknown)?;
    Ok(())
}

/// Runs jobs, requests and timers until nothing is left to run.
pub(crate) fn finish_jobs(ctx: &Ctx<'_>) {
    while run_next_job(ctx) {}
    if let Some(timers) = ctx.userdata::<Timers>() {
        timers.0.borrow_mut().now_ms = 0.0;
    }
}

/// Runs what is next: all jobs of promises, or all requests that wait, or one timer. Returns false
/// if nothing is left to run.
pub(crate) fn run_next_job(ctx: &Ctx<'_>) -> bool {
    run_promise_jobs(ctx) || web::answer_requests(ctx) || run_next_timer(ctx)
}

/// Runs the jobs of promises. Returns false if there was none.
pub(crate) fn run_promise_jobs(ctx: &Ctx<'_>) -> bool {
    let mut has_run = false;
    while ctx.execute_pending_job() {
        has_run = true;
    }
    has_run
}

/// Defines `setTimeout` and `clearTimeout`.
pub(crate) fn define_timers<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<()> {
    let globals = ctx.globals();
    globals.set("setTimeout", Function::new(ctx.clone(), set_timeout)?.with_name("setTimeout")?)?;
    let clear = Function::new(ctx.clone(), clear_timeout)?;
    globals.set("clearTimeout", clear.with_name("clearTimeout")?)
}

#[expect(clippy::needless_pass_by_value, reason = "rquickjs passes arguments by value")]
fn set_timeout<'js>(ctx: Ctx<'js>, arguments: Rest<Value<'js>>) -> rquickjs::Result<u32> {
    let mut arguments = arguments.0.into_iter();
    let function = arguments.next().and_then(Value::into_function);
    let function = function.ok_or_else(|| {
        Exception::throw_type(&ctx, "The \"callback\" argument must be of type function.")
    })?;
    let delay = arguments.next().and_then(|delay| delay.as_number());
    // As in Node.js: no delay is one millisecond.
    let delay = delay.filter(|delay| *delay >= 1.0).unwrap_or(1.0);
    let timers = ctx.userdata::<Timers>().ok_or(rquickjs::Error::Unknown)?;
    let mut timers = timers.0.borrow_mut();
    if timers.timers.len() >= TIMERS_MAX {
        drop(timers);
        let message = format!("more than {TIMERS_MAX} timers are set");
        return Err(Exception::throw_range(&ctx, &message));
    }
    timers.last_id = timers.last_id.wrapping_add(1);
    let timer = Timer {
        id: timers.last_id,
        due_ms: timers.now_ms + delay,
        function: Persistent::save(&ctx, function),
        arguments: arguments.map(|argument| Persistent::save(&ctx, argument)).collect(),
    };
    timers.timers.push(timer);
    Ok(timers.last_id)
}

#[expect(clippy::needless_pass_by_value, reason = "rquickjs passes arguments by value")]
fn clear_timeout<'js>(ctx: Ctx<'js>, id: Rest<Value<'js>>) {
    let id = id.0.first().and_then(Value::as_number);
    if let (Some(id), Some(timers)) = (id, ctx.userdata::<Timers>()) {
        timers.0.borrow_mut().timers.retain(|timer| f64::from(timer.id) != id);
    }
}

/// Runs the timer that is due first. Returns false if none is set.
fn run_next_timer(ctx: &Ctx<'_>) -> bool {
    let Some(timers) = ctx.userdata::<Timers>() else { return false };
    let timer = {
        let mut timers = timers.0.borrow_mut();
        // The first of those that are due at the same time.
        let next = timers.timers.iter().enumerate();
        let next = next.min_by(|(_, a), (_, b)| a.due_ms.total_cmp(&b.due_ms));
        let Some((position, _)) = next else { return false };
        let timer = timers.timers.remove(position);
        timers.now_ms = timer.due_ms;
        timer
    };
    if let Err(error) = call_timer(ctx, timer) {
        // Node.js would end the process. The promise that waits for the timer stays unsettled, which
        // is an error of its event.
        let thrown = if error.is_exception() { ctx.catch() } else { return true };
        print_error(&crate::exception::describe_thrown(&thrown, None));
    }
    true
}

fn call_timer<'js>(ctx: &Ctx<'js>, timer: Timer) -> rquickjs::Result<()> {
    let arguments = timer.arguments.into_iter().map(|argument| argument.restore(ctx));
    let arguments = arguments.collect::<rquickjs::Result<Vec<_>>>()?;
    timer.function.restore(ctx)?.call::<_, Value<'js>>((Rest(arguments),))?;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "printed lines become log lines of the host")]
fn print_error(reason: &str) {
    eprintln!("a timer failed: {reason}");
}
