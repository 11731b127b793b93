//! Tests requests of functions of Segment.

use super::*;
use crate::web::WebRedirects;

#[test]
fn events_that_wait_do_not_see_each_others_variables() {
    let code = "
        let current; // as in one instance of Segment
        async function onTrack(event) {
          current = event.userId;
          const res = await fetch('https://api.test/' + event.userId);
          answer = await res.json();
          return {user: current, answer: answer.ok}; return event;
        }
    ";
    let mut function = TestFunction::new(code, json!({})).unwrap();
    let calls = function.respond(|request| {
        Ok(response(request, 200, &format!("{{\"ok\":\"{}\"}}", &request.url[17..])))
    });
    let texts = (0..150).map(|i| format!("{{\"type\":\"track\",\"userId\":\"u{i}\"}}"));
    let texts: Vec<_> = texts.collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    for (i, shown) in function.run(&texts).into_iter().enumerate() {
        assert_eq!(shown, format!("{{\"user\":\"u{i}\",\"answer\":\"u{i}\"}}"));
    }
    let sizes: Vec<_> = calls.borrow().iter().map(Vec::len).collect();
    assert_eq!(sizes, [64, 64, 22]);
}

#[test]
fn requests_have_what_node_fetch_sends() {
    let code = "
        async function onTrack(event) {
          const url = new URL('https://api.test/v1?a=b');
          await fetch(url, {method: 'post', headers: new Headers({Authorization: 'Basic ' + btoa('k:')}), body: JSON.stringify(event)});
          await fetch('https://api.test/form', {redirect: 'manual', timeout: 1500, method: 'PUT', body: new URLSearchParams({a: '1 2'})});
          const form = new FormData();
          form.append('file', Buffer.from('data'), {filename: 'f.txt'});
          form.append('name', 'value');
          await fetch('https://api.test/multipart', {method: 'POST', body: form, headers: form.getHeaders()});
        }
    ";
    let mut function = TestFunction::new(code, json!({})).unwrap();
    let calls = function.respond(|request| Ok(response(request, 204, "")));
    assert_eq!(function.run(&[TRACK]), ["="]);
    let calls: Vec<_> = calls.borrow().iter().flatten().cloned().collect();
    let header = |request: &WebRequest, name: &str| {
        let found = request.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    assert_eq!(calls[0].method, "POST");
    assert_eq!(calls[0].url, "https://api.test/v1?a=b");
    let sent = r#"{"type":"track","event":"Bought","userId":"u","n":1,"properties":{"price":5.5}}"#;
    assert_eq!(calls[0].body, sent.as_bytes());
    assert_eq!(header(&calls[0], "Authorization"), "Basic azo=");
    assert_eq!(header(&calls[0], "content-type"), "text/plain;charset=UTF-8");
    assert_eq!(header(&calls[0], "accept"), "*/*");
    assert_eq!(
        header(&calls[0], "user-agent"),
        "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)"
    );
    assert_eq!((calls[0].redirects, calls[0].timeout_ms), (WebRedirects::Follow, None));
    assert_eq!((calls[1].redirects, calls[1].timeout_ms), (WebRedirects::Manual, Some(1500)));
    assert_eq!(calls[1].body, b"a=1+2");
    assert_eq!(
        header(&calls[1], "content-type"),
        "application/x-www-form-urlencoded;charset=UTF-8"
    );
    let boundary = header(&calls[2], "content-type").split_once("boundary=").unwrap().1.to_owned();
    let expected = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\n\
         Content-Type: application/octet-stream\r\n\r\ndata\r\n--{boundary}\r\n\
         Content-Disposition: form-data; name=\"name\"\r\n\r\nvalue\r\n--{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8(calls[2].body.clone()).unwrap(), expected);
}

#[test]
fn responses_have_what_node_fetch_returns() {
    let code = "
        async function onTrack(event) {
          const res = await fetch('https://api.test/a');
          const copy = res.clone();
          const body = await res.json();
          let twice;
          try { await res.text(); } catch (error) { twice = error.message; }
          let invalid;
          try { await (await fetch('https://api.test/invalid?key=hush')).json(); } catch (error) { invalid = [error.name, error.type, error.message.slice(0, 66)]; }
          const failed = await fetch('https://user:hush@api.test/down?key=hush').catch(error => [error.name, error.type, error.message]);
          const bad = await fetch('/relative').catch(error => error.message);
          const get = await fetch('https://api.test/', {body: 'x'}).catch(error => error.message);
          return {
            status: [res.ok, res.status, res.statusText, res.url, res.redirected], body,
            type: res.headers.get('Content-Type'), names: [...res.headers.keys()],
            copy: (await copy.buffer()).length, twice, invalid, failed, bad, get,
            response: res instanceof Response, head: res.headers instanceof Headers,
          };
          return event;
        }
    ";
    let mut function = TestFunction::new(code, json!({})).unwrap();
    function.respond(|request| match request.url.as_str() {
        "https://api.test/a" => Ok(WebResponse {
            url: "https://api.test/b?key=hush".to_owned(),
            ..response(request, 404, r#"{"a":1}"#)
        }),
        "https://api.test/invalid?key=hush" => Ok(response(request, 200, "<html>")),
        _ => Err("connect ECONNREFUSED".to_owned()),
    });
    let shown: Value = serde_json::from_str(&function.run(&[TRACK]).remove(0)).unwrap();
    assert_eq!(
        shown,
        json!({
            "status": [false, 404, "Not Found", "https://api.test/b?key=hush", true],
            "body": {"a": 1},
            "type": "application/json",
            "names": ["content-type"],
            "copy": 7,
            "twice": "body used already for: https://api.test/b",
            "invalid": ["FetchError", "invalid-json", "invalid json response body at https://api.test/invalid reason: une"],
            "failed": ["FetchError", "system", "request to https://api.test/down failed, reason: connect ECONNREFUSED"],
            "bad": "Only absolute URLs are supported",
            "get": "Request with GET/HEAD method cannot have body",
            "response": true,
            "head": true,
        })
    );
}

#[test]
fn without_a_network_a_request_says_which_setting_opens_it() {
    let code =
        "async function onTrack(event) { await fetch('https://api.test/x', {method: 'POST'}); }";
    let shown = run(code, &[TRACK]).remove(0);
    let expected = "!FetchError: request to https://api.test/x failed, reason: the network is off for \
                    scripts: set [plugin.network] allow = [\"api.test\"]";
    assert!(shown.starts_with(expected), "{shown}");
}

#[test]
fn the_cache_keeps_values_until_they_end() {
    let code = "
        let made = 0;
        async function onTrack(event) {
          const make = async () => { await null; made += 1; return made; };
          const first = await cache.load('k', -1, make);
          const second = await cache.load('k', 60000, make);
          const ended = await cache.load('short', 0, make) + await cache.load('short', 0, make);
          cache.delete('k');
          const failed = await cache.load('f', 1000, async () => { throw new Error('no'); }).catch(e => e.message);
          return {first, second, ended, again: await cache.load('k', 1000, make), failed};
          return event;
        }
    ";
    let mut function = TestFunction::new(code, json!({})).unwrap();
    assert_eq!(
        function.run(&[TRACK]),
        [r#"{"first":1,"second":1,"ended":5,"again":4,"failed":"no"}"#]
    );
    // The instance keeps its cache.
    assert!(function.run(&[TRACK])[0].starts_with("{\"first\":4,\"second\":4,"));
}

#[test]
fn requests_that_a_function_does_not_await_are_sent_and_their_errors_noted() {
    let code = "
        async function onTrack(event) { fetch('https://api.test/lost'); }
        async function onPage(event) { fetch('https://api.test/lost').catch(() => {}); throw new Error('x'); }
    ";
    let mut function = TestFunction::new(code, json!({})).unwrap();
    let calls = function.respond(|_| Err("connect ECONNREFUSED".to_owned()));
    let shown = function.run(&[TRACK, PAGE]);
    assert_eq!(shown[0], "=");
    assert!(shown[1].starts_with("!Error: x\n"), "{shown:?}");
    assert_eq!(calls.borrow().iter().map(Vec::len).sum::<usize>(), 2);
    let context = function.engine.create_context().unwrap();
    context.with(|ctx| {
        // The batch has reported them.
        assert_eq!(rejections::count(&ctx), 0);
        ctx.eval::<(), _>("Promise.reject(1); Promise.reject(2).catch(() => {});").unwrap();
        while ctx.execute_pending_job() {}
        assert_eq!(rejections::count(&ctx), 1);
        rejections::report(&ctx, "function.js");
        assert_eq!(rejections::count(&ctx), 0);
    });
}
