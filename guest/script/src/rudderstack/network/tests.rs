//! What scripts of RudderStack see of the network, with a client that answers without one.

use std::cell::RefCell;
use std::rc::Rc;

use rquickjs::{Context, Runtime};

use super::*;
use crate::jobs;
use crate::web::testing::{TestClient, response};

/// Evaluates the body of an asynchronous function. Returns its value as JSON, and the requests.
fn run(
    body: &str,
    respond: impl FnMut(&WebRequest) -> Result<WebResponse, String> + 'static,
) -> (String, Vec<WebRequest>) {
    let calls = Rc::new(RefCell::new(Vec::new()));
    let client = TestClient { calls: Rc::clone(&calls), respond };
    let runtime = Runtime::new().unwrap();
    let context = Context::full(&runtime).unwrap();
    let result = context.with(|ctx| {
        web::prepare_runtime(&ctx).unwrap();
        jobs::prepare_runtime(&ctx).unwrap();
        web::set_client(&ctx, Box::new(client));
        define_functions(&ctx).unwrap();
        let code = format!(
            "globalThis.result = 'unsettled';
             (async () => {{ {body} }})().then(
                 value => {{ result = JSON.stringify(value); }},
                 thrown => {{ result = 'thrown ' + JSON.stringify(thrown); }})"
        );
        ctx.eval::<Value<'_>, _>(code).unwrap();
        jobs::finish_jobs(&ctx);
        ctx.globals().get::<_, String>("result").unwrap()
    });
    let requests = calls.borrow().concat();
    (result, requests)
}

fn value(body: &str, respond: fn(&WebRequest) -> Result<WebResponse, String>) -> String {
    run(body, respond).0
}

fn json(request: &WebRequest) -> Result<WebResponse, String> {
    Ok(response(request, 200, r#"{"a":[1,"é"]}"#))
}

fn text(request: &WebRequest) -> Result<WebResponse, String> {
    let headers = [("X-B", "1"), ("set-cookie", "a"), ("x-a", "2"), ("set-cookie", "b")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Ok(WebResponse { headers, ..response(request, 404, "not <json>") })
}

fn refused(_: &WebRequest) -> Result<WebResponse, String> {
    Err("connect ECONNREFUSED 93.184.216.34:443".to_owned())
}

#[test]
fn fetch_answers_the_body_and_never_rejects() {
    for (body, respond, expected) in [
        ("return fetch('https://a.example/')", json as fn(&WebRequest) -> _, r#"{"a":[1,"é"]}"#),
        ("return fetch('https://a.example/')", text, r#""ERROR""#),
        ("return fetch('https://a.example/')", refused, r#""ERROR""#),
        ("return fetch()", json, r#""ERROR""#),
        ("return fetch(7)", json, r#""ERROR""#),
        ("return fetch('https://a.example/', {body: 'x'})", json, r#""ERROR""#),
        (
            "return fetch('https://a.example/', {get method() { throw new Error('x'); }})",
            json,
            r#""ERROR""#,
        ),
    ] {
        assert_eq!(value(body, respond), expected, "{body}");
    }
}

#[test]
fn fetch_v2_answers_url_status_headers_and_body() {
    assert_eq!(
        value("return fetchV2('https://a.example/')", json),
        r#"{"url":"https://a.example/","status":200,"headers":{"content-type":"application/json"},"body":{"a":[1,"é"]}}"#
    );
    assert_eq!(
        value("return fetchV2('https://a.example/')", text),
        r#"{"url":"https://a.example/","status":404,"headers":{"set-cookie":"a, b","x-a":"2","x-b":"1"},"body":"not <json>"}"#
    );
}

#[test]
fn fetch_v2_rejects_with_a_plain_object() {
    let check = "try { await fetchV2(URL) } catch (error) {
        return [error instanceof Error, error.message, error.type, error.code, error.errno,
                typeof error.stack, error.name];
    }";
    let rejected = |url: &str, respond| value(&check.replace("URL", url), respond);
    assert_eq!(
        rejected("'https://user:secret@a.example/path?key=secret#x'", refused),
        r#"[false,"request to https://a.example/path failed, reason: connect ECONNREFUSED 93.184.216.34:443","system","ECONNREFUSED","ECONNREFUSED","string",null]"#
    );
    assert_eq!(
        rejected("'https://a.example/'", |_| Err(
            "unable to resolve IP address for a.example".to_owned()
        )),
        r#"[false,"request to https://a.example/ failed, reason: unable to resolve IP address for a.example","system",null,null,"string",null]"#
    );
    for (url, reason, message) in [
        ("'a.example'", "Invalid URL", "invalid url, Invalid URL"),
        (
            "'tcp://a.example/'",
            "invalid protocol, only http and https are supported",
            "invalid protocol, only http and https are supported",
        ),
        (
            "'http://127.0.0.1/'",
            "blocked request to non-public address: 127.0.0.1",
            "blocked request to non-public address: 127.0.0.1",
        ),
        ("", "unused", "fetch url is required"),
        ("null", "unused", "Cannot read properties of null (reading 'trim')"),
        ("7", "unused", "args[0].trim is not a function"),
        (
            "'https://a.example/', {body: 'x'}",
            "unused",
            "Request with GET/HEAD method cannot have body",
        ),
    ] {
        let respond = move |_: &WebRequest| Err(reason.to_owned());
        let (result, _) = run(&check.replace("URL", url), respond);
        let expected = format!("[false,\"{message}\",null,null,null,\"string\",null]");
        assert_eq!(result, expected, "{url}");
    }
}

#[test]
fn options_are_those_of_node_fetch() {
    let body = "
        await fetch('  https://a.example/1  ', {method: 'post', body: JSON.stringify({x: 1}),
            headers: {'Content-Type': 'application/json', 'X-N': 7}});
        await fetch('https://a.example/2', {method: 'PUT', body: 'text', headers: [['a', 'b']],
            redirect: 'manual', timeout: 1500});
        await fetch('https://a.example/3', {method: null, headers: undefined, body: null, timeout: 0,
            redirect: 'error'});
        return 0";
    let (result, requests) = run(body, json);
    assert_eq!(result, "0");
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let url = |number: u8| format!("https://a.example/{number}");
    let expected = [
        WebRequest {
            method: "POST".to_owned(),
            url: url(1),
            headers: pairs(&[("Content-Type", "application/json"), ("X-N", "7")]),
            body: b"{\"x\":1}".to_vec(),
            ..WebRequest::default()
        },
        WebRequest {
            method: "PUT".to_owned(),
            url: url(2),
            headers: pairs(&[("a", "b"), ("content-type", "text/plain;charset=UTF-8")]),
            body: b"text".to_vec(),
            redirects: WebRedirects::Manual,
            timeout_ms: Some(1500),
        },
        WebRequest {
            method: "GET".to_owned(),
            url: url(3),
            redirects: WebRedirects::Error,
            ..WebRequest::default()
        },
    ];
    assert_eq!(requests, expected);
}

#[test]
fn geolocation_checks_its_argument() {
    let check = "try { return await geolocation(IP) } catch (error) {
        return [error instanceof Error, error.message];
    }";
    for (ip, message) in [
        ("", "ip address is required"),
        ("null", "ip address is required"),
        ("''", "ip address is required"),
        ("'not-an-ip'", "invalid ip address"),
        ("'999.999.999.999'", "invalid ip address"),
        ("'127.0.0.1/../'", "invalid ip address"),
        ("'fe80::1%2f..'", "invalid ip address"),
        ("7", "invalid ip address"),
        ("{}", "invalid ip address"),
        ("'1.2.3.4'", "geolocation is not available right now"),
        ("'01.02.03.04'", "geolocation is not available right now"),
        ("'::ffff:127.0.0.1'", "geolocation is not available right now"),
    ] {
        let result = value(&check.replace("IP", ip), json);
        assert_eq!(result, format!("[false,\"{message}\"]"), "{ip}");
    }
}

#[test]
fn older_forms_of_addresses_are_understood() {
    for (text, expected) in [
        ("192.168.001.001", Some("192.168.1.1")),
        ("010.0.0.1", Some("8.0.0.1")),
        ("0x7f.1", Some("127.0.0.1")),
        ("2130706433", Some("127.0.0.1")),
        ("1.2.65535", Some("1.2.255.255")),
        ("2001:db8::1", Some("2001:db8::1")),
        ("1.2.3.4.5", None),
        ("1.2.3.256", None),
        ("08.1.1.1", None),
        ("0x.1.1.1", None),
        ("256.1", None),
        ("4294967296", None),
        ("1..2", None),
        ("", None),
    ] {
        let parsed = parse_address(text).map(|address| address.to_string());
        assert_eq!(parsed.as_deref(), expected, "{text}");
    }
}

#[test]
fn a_place_has_the_members_of_the_vendors_service() {
    let record = serde_json::json!({
        "city": {"names": {"de": "Köln", "en": "Cologne"}},
        "country": {"iso_code": "DE", "names": {"en": "Germany"}},
        "subdivisions": [{"iso_code": "NW", "names": {"en": "North Rhine-Westphalia"}}],
        "postal": {"code": "50667"},
        "location": {"latitude": 50.9381, "longitude": 6.95, "time_zone": "Europe/Berlin"},
    });
    let expected = serde_json::json!({
        "ip": "1.2.3.4", "city": "Cologne", "country": "DE", "region": "North Rhine-Westphalia",
        "postal": "50667", "location": "50.938100,6.950000", "timezone": "Europe/Berlin",
    });
    assert_eq!(describe_place("1.2.3.4", &record), expected);
    let unknown = describe_place("::1", &Json::Null);
    assert_eq!(unknown["ip"], "::1");
    assert_eq!((&unknown["city"], &unknown["location"]), (&Json::from(""), &Json::from("")));
}
