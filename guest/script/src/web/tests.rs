//! Tests that pending requests are sent together and settle their promises.

use std::cell::RefCell;
use std::rc::Rc;

use rquickjs::{Context, Function, Runtime};

use super::testing::{TestClient, response};
use super::*;
use crate::jobs;

#[expect(clippy::needless_pass_by_value, reason = "rquickjs passes arguments by value")]
fn get<'js>(ctx: Ctx<'js>, url: String) -> rquickjs::Result<Promise<'js>> {
    let (method, headers, body) = ("GET".to_owned(), Vec::new(), Vec::new());
    send(
        &ctx,
        WebRequest { method, url, headers, body, ..WebRequest::default() },
        |ctx, response| match response {
            Ok(response) => ctx.json_parse(response.body),
            Err(failure) => Err(rquickjs::Exception::throw_message(ctx, &failure.reason)),
        },
    )
}

/// Evaluates code that can call `get(url)`, and returns the text of its global `result`.
fn run(code: &str, client: Option<Box<dyn RequestClient>>) -> String {
    let runtime = Runtime::new().unwrap();
    let context = Context::full(&runtime).unwrap();
    context.with(|ctx| {
        prepare_runtime(&ctx).unwrap();
        jobs::prepare_runtime(&ctx).unwrap();
        jobs::define_timers(&ctx).unwrap();
        if let Some(client) = client {
            set_client(&ctx, client);
        }
        let get = Function::new(ctx.clone(), get).unwrap();
        ctx.globals().set("get", get).unwrap();
        ctx.eval::<(), _>(code).unwrap();
        jobs::finish_jobs(&ctx);
        ctx.globals().get("result").unwrap()
    })
}

#[test]
fn requests_that_wait_are_sent_together() {
    let calls = Rc::new(RefCell::new(Vec::new()));
    let respond = |request: &WebRequest| match request.url.as_str() {
        "https://b/" => Err("connection refused".to_owned()),
        url => Ok(response(request, 200, &format!("{{\"from\":\"{url}\"}}"))),
    };
    let client = TestClient { calls: Rc::clone(&calls), respond };
    let code = "
        var result = '';
        const first = get('https://a/').then(a => { result += a.from; return get('https://c/'); });
        first.then(c => { result += '|' + c.from; });
        get('https://b/').catch(error => { result += '|' + error.message; });
    ";
    let result = run(code, Some(Box::new(client)));
    assert_eq!(result, "https://a/|connection refused|https://c/");
    let calls: Vec<_> = calls.borrow().iter().map(Vec::len).collect();
    assert_eq!(calls, [2, 1]);
}

#[test]
fn requests_without_a_client_say_which_setting_opens_the_network() {
    let code = "var result = ''; get('https://me:pw@api.test:8443/x?y').catch(e => { result = e.message; });";
    let expected =
        "the network is off for scripts: set [plugin.network] allow = [\"api.test:8443\"]";
    assert_eq!(run(code, None), expected);
}

#[test]
fn timers_run_in_the_order_of_their_delays_after_everything_else() {
    let code = "
        var result = '';
        const add = text => { result += text; };
        setTimeout(add, 20, 'c');
        setTimeout(() => { add('a'); setTimeout(add, 5, 'b'); }, 10);
        clearTimeout(setTimeout(add, 1, 'never'));
        setTimeout(add, 20, 'd');
        get('https://a/').catch(() => add('0'));
    ";
    assert_eq!(run(code, None), "0abcd");
}
