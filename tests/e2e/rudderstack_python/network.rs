//! Tests requests and look-ups of transformations in Python.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use standpipe_tests::{Program, Template};

use crate::scripts::network::{Server, city_database, serve, write_response};

/// A transformation that sends the request which the event describes.
const FETCH: &str = "\
import requests


def transformEvent(event, metadata):
    try:
        response = requests.request(event['method'], event['url'], **event.get('options', {}))
        event['status'] = response.status_code
        event['reply'] = response.json()
        event['kind'] = response.headers['X-Kind']
        event['steps'] = len(response.history)
    except requests.RequestException as error:
        event['error'] = type(error).__name__
        event['detail'] = str(error)
    return event
";

/// The addresses of cloud providers' metadata services are not public.
const METADATA_SERVICE: &str = "http://169.254.169.254/latest/meta-data";

/// The events that a transformation returns, in the order of the input.
fn run(code: &str, settings: &str, events: &[Value]) -> Vec<Value> {
    let runner = Template::PythonRudderStack.component();
    let settings = format!(
        "workers = 1\n[plugin]\npath = '{}'\nscript = 'fetch.py'\n{settings}\n\
         [[plugin.settings.mappings]]\nevent = '*'\nstream = 'all'\n",
        runner.display()
    );
    let input: String = events.iter().map(|event| format!("{event}\n")).collect();
    let program = Program::host_run_locally().file("fetch.py", code.as_bytes());
    let program = program.file("city.mmdb", &city_database());
    let ran = program.settings(&settings).stdin(input).run().expect_exit(0);
    let records = String::from_utf8(ran.streams()["all"].clone()).unwrap();
    records.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Settings that allow a server of this machine, and the metadata service by its name alone.
fn allow(server: &Server) -> String {
    let address = server.address;
    format!(
        "[plugin.network]\nallow = ['{address}', '127.0.0.1:1', '169.254.169.254']\n\
         allow_private = ['127.0.0.1']"
    )
}

/// A server whose paths say what it does.
fn server() -> Server {
    serve(|path, stream| match path {
        "/redirect" => redirect(stream, "/end"),
        "/metadata" => redirect(stream, METADATA_SERVICE),
        "/slow" => thread::sleep(Duration::from_secs(5)),
        "/text" => write_response(stream, "", "no JSON"),
        _ => write_response(stream, "x-kind: k\r\n", &json!({ "path": path }).to_string()),
    })
}

fn redirect(stream: &mut TcpStream, target: &str) {
    let head = format!("HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: {target}\r\n\r\n");
    let _ = stream.write_all(head.as_bytes());
}

#[test]
fn requests_are_sent_to_allowed_servers() {
    let server = server();
    let url = |path: &str| format!("http://{}{path}", server.address);
    let events = [
        json!({"method": "GET", "url": url("/a"), "options": {"params": {"q": "ü"}}}),
        json!({"method": "POST", "url": url("/redirect"), "options": {"json": {"n": 1}}}),
    ];
    let found = run(FETCH, &allow(&server), &events);
    let reply = |event: &Value| (event["status"].clone(), event["reply"]["path"].clone());
    assert_eq!(reply(&found[0]), (json!(200), json!("/a?q=%C3%BC")), "{found:?}");
    assert_eq!((&found[0]["kind"], &found[0]["steps"]), (&json!("k"), &json!(0)));
    assert_eq!(reply(&found[1]), (json!(200), json!("/end")), "{found:?}");
    assert_eq!(found[1]["steps"], 1);
    assert_eq!(server.requests.load(Ordering::SeqCst), 3);
}

#[test]
fn failures_are_exceptions_of_requests() {
    let server = server();
    let url = |path: &str| format!("http://{}{path}", server.address);
    let get = |url: &str| json!({"method": "GET", "url": url});
    let cases = [
        (json!({"method": "GET", "url": url("/slow"), "options": {"timeout": 0.2}}), "ReadTimeout"),
        (get(&url("/text")), "JSONDecodeError"),
        (get("http://127.0.0.1:1/x?key=secret"), "ConnectionError"),
        // The server sends the code to an address that is not public.
        (get(&url("/metadata")), "ConnectionError"),
        (get(METADATA_SERVICE), "ConnectionError"),
        (get("ftp://example.com"), "InvalidSchema"),
    ];
    let events = cases.each_ref().map(|(event, _)| event.clone());
    let found = run(FETCH, &allow(&server), &events);
    for (event, (_, error)) in found.iter().zip(&cases) {
        assert_eq!(event["error"], json!(error), "{event}");
    }
    let detail = |event: usize| found[event]["detail"].as_str().unwrap();
    assert!(detail(2).contains("ECONNREFUSED"), "{}", detail(2));
    assert!(!detail(2).contains("secret"), "{}", detail(2));
    for event in [3, 4] {
        let expected = "blocked request to non-public address: 169.254.169.254";
        assert!(detail(event).contains(expected), "{}", detail(event));
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), 3);
}

#[test]
fn nothing_is_open_by_default() {
    let server = server();
    let url = format!("http://{}/a", server.address);
    let found = run(FETCH, "", &[json!({"method": "GET", "url": url})]);
    assert_eq!(found[0]["error"], "ConnectionError");
    assert!(found[0]["detail"].as_str().unwrap().contains("the network is off for plugins"));
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
}

#[test]
fn addresses_are_looked_up_in_the_database() {
    let code = "\
def transformEvent(event, metadata):
    try:
        event['place'] = geolocation(event['ip'])
    except ValueError as error:
        event['error'] = str(error)
    return event
";
    let events = ["1.2.3.4", "200.1.1.1", "x"].map(|ip| json!({ "ip": ip }));
    let found = run(code, "geolocation = 'city.mmdb'", &events);
    let expected = json!({
        "ip": "1.2.3.4", "city": "Cologne", "country": "DE", "region": "North Rhine-Westphalia",
        "postal": "50667", "location": "50.938100,6.950000", "timezone": "Europe/Berlin",
    });
    assert_eq!(found[0]["place"], expected);
    assert_eq!(found[1]["place"]["city"], "");
    assert_eq!(found[2]["error"], "invalid ip address");
}
