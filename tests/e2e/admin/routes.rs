//! Tests every route with every possible status, and compares the responses with the API document.

use std::fs;

use standpipe_tests::{openapi, workspace_directory};

use super::*;

/// Records responses, to compare them with the document.
struct Recorder<'a> {
    collector: &'a Collector,
    answers: Vec<Value>,
}

impl Recorder<'_> {
    fn send_request(&mut self, method: &str, path: &str, body: &[u8], status: u16) -> HttpResponse {
        let reply = send_request(self.collector, method, path, body);
        self.keep_response(method, path, &reply, status);
        reply
    }

    fn send_request_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        status: u16,
    ) {
        let reply = send_request_with(self.collector, method, path, headers, b"x");
        self.keep_response(method, path, &reply, status);
    }

    fn keep_response(&mut self, method: &str, path: &str, reply: &HttpResponse, status: u16) {
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        if status >= 400 {
            let error = parse_body(reply)["error"].as_str().expect("an error").to_owned();
            assert!(error.len() > 10, "{method} {path}: {error}");
        }
        let path = path.split('?').next().unwrap();
        self.answers.push(openapi::describe_response(method, path, reply));
    }

    /// Uploads a component that is rejected at this step.
    fn expect_refused(&mut self, method: &str, path: &str, component: &[u8], step: &str) {
        let reply = self.send_request(method, path, component, 422);
        assert_eq!(parse_body(&reply)["step"], step, "{method} {path}: {}", reply.text());
    }
}

const COMPONENT_ROUTES: [(&str, &str); 3] =
    [("PUT", "/plugin"), ("POST", "/plugin/check"), ("PUT", "/plugin/canary")];
/// An empty component.
const NO_EXPORTS: &[u8] = b"\0asm\x0d\0\x01\0";

const OTHER_ROUTES: [(&str, &str); 4] = [
    ("GET", "/plugin"),
    ("POST", "/plugin/rollback"),
    ("DELETE", "/plugin/canary"),
    ("POST", "/plugin/canary/promote"),
];

#[test]
fn every_route_does_what_its_document_says() {
    let collector = start_collector(&settings_with_token());
    let mut recorder = Recorder { collector: &collector, answers: Vec::new() };
    let api = &mut recorder;

    // There is no previous plugin yet.
    api.send_request("POST", "/plugin/rollback", b"", 409);
    api.send_request("DELETE", "/plugin/canary", b"", 409);
    api.send_request("POST", "/plugin/canary/promote", b"", 409);
    let report = parse_body(&api.send_request("GET", "/plugin", b"", 200));
    assert_eq!((&report["active"]["generation"], &report["swaps"]), (&json!(1), &json!(0)));

    // The same plugin, another one, and rollbacks.
    let taken = parse_body(&api.send_request("PUT", "/plugin", DEFAULT_PLUGIN, 200));
    assert_eq!(taken, json!({"generation": 1, "changed": false}));
    let checked =
        parse_body(&api.send_request("POST", "/plugin/check", &default_plugin_variant(1), 200));
    assert_eq!(checked["streams"], json!(["all"]));
    let taken = parse_body(&api.send_request("PUT", "/plugin", &default_plugin_variant(1), 200));
    assert_eq!(taken, json!({"generation": 2, "changed": true}));
    let after = parse_body(&api.send_request("GET", "/plugin", b"", 200));
    assert_eq!(after["active"]["sha256"], checked["sha256"]);
    assert_eq!(after["active"]["origin"], "the admin API, from 127.0.0.1");
    assert_eq!(after["previous"]["sha256"], report["active"]["sha256"]);
    // A rollback is done once, even if it is requested repeatedly.
    let rollback = "/plugin/rollback";
    let named = |generation: u64| format!("{rollback}?generation={generation}");
    api.send_request("POST", &named(1), b"", 409);
    let taken = parse_body(&api.send_request("POST", rollback, b"", 200));
    assert_eq!(taken, json!({"generation": 3, "changed": true}));
    let already = json!({"generation": 3, "changed": false, "note": "already rolled back"});
    for path in [rollback, &named(2)] {
        assert_eq!(parse_body(&api.send_request("POST", path, b"", 200)), already, "{path}");
    }
    // The plugin of the rollback has no previous one, and other generations are not active.
    for generation in [1, 3, 4] {
        api.send_request("POST", &named(generation), b"", 409);
    }
    for query in ["generation=x", "generation=", "generation=3&generation=3", "gen=3"] {
        api.send_request("POST", &format!("{rollback}?{query}"), b"", 400);
    }
    let back = parse_body(&api.send_request("GET", "/plugin", b"", 200));
    assert_eq!(back["active"]["sha256"], report["active"]["sha256"]);
    assert_eq!((&back["withdrawn"], back.get("previous")), (&json!(2), None));
    // Another plugin becomes active, so a rollback is possible again.
    let taken = parse_body(&api.send_request("PUT", "/plugin", &default_plugin_variant(1), 200));
    assert_eq!(taken, json!({"generation": 4, "changed": true}));
    api.send_request("POST", &named(2), b"", 409);
    let report = parse_body(&api.send_request("GET", "/plugin", b"", 200));
    assert_eq!((report.get("withdrawn"), &report["previous"]["generation"]), (None, &json!(3)));

    // One canary ends, another one becomes active.
    let query = "/plugin/canary?percent=50&max_error_rate=0.5&min_events=10";
    let taken = parse_body(&api.send_request("PUT", query, &default_plugin_variant(2), 200));
    assert_eq!(taken, json!({"generation": 5, "changed": true}));
    let report = parse_body(&api.send_request("GET", "/plugin", b"", 200));
    let canary = &report["canary"];
    assert_eq!((&canary["percent"], &canary["max_error_rate"]), (&json!(50.0), &json!(0.5)));
    assert_eq!(api.send_request("DELETE", "/plugin/canary", b"", 204).body, b"");
    api.send_request("DELETE", "/plugin/canary", b"", 409);
    api.send_request("PUT", "/plugin/canary", &default_plugin_variant(3), 200);
    let sha256 =
        parse_body(&api.send_request("GET", "/plugin", b"", 200))["canary"]["plugin"]["sha256"]
            .clone();
    let taken = parse_body(&api.send_request("POST", "/plugin/canary/promote", b"", 200));
    assert_eq!(taken, json!({"generation": 7, "changed": true}));
    let report = parse_body(&api.send_request("GET", "/plugin", b"", 200));
    assert_eq!((&report["active"]["sha256"], report.get("canary")), (&sha256, None));

    // The bytes are not a plugin.
    for (method, path) in COMPONENT_ROUTES {
        // Text would be a script.
        api.expect_refused(method, path, b"\xffgarbage", "compile");
        api.expect_refused(method, path, b"\0asm\x01\0\0\0", "compile");
        api.expect_refused(method, path, &DEFAULT_PLUGIN[..DEFAULT_PLUGIN.len() / 2], "compile");
        api.expect_refused(method, path, NO_EXPORTS, "fit");
        api.send_request(method, path, b"", 400);
    }
    for query in ["percent=101", "percent=1&percent=1", "share=5", "min_events=-1"] {
        api.send_request("PUT", &format!("/plugin/canary?{query}"), DEFAULT_PLUGIN, 400);
    }
    let after = parse_body(&api.send_request("GET", "/plugin", b"", 200));
    assert_eq!(after["active"]["generation"], 7);
    assert_eq!(after["last_refused"]["step"], "fit");
    // Two routes count refused components; a check does not count.
    assert_eq!((&after["refused"]["compile"], &after["refused"]["fit"]), (&json!(6), &json!(2)));
    let seen = read_metrics(&collector);
    assert_eq!(seen.value("standpipe_plugin_load_failures_total", &[("step", "compile")]), 6.0);
    assert_eq!(seen.sum("standpipe_plugin_swaps_total"), 4.0);
    let sha256 = sha256.as_str().unwrap();
    let labels = [("role", "active"), ("sha256", sha256)];
    assert_eq!(seen.value("standpipe_plugin_generation", &labels), 7.0);

    // The token is checked before anything else.
    for (method, path) in COMPONENT_ROUTES.into_iter().chain(OTHER_ROUTES) {
        for authorization in ["Bearer 0123456789abcdef", "Basic eDp5", "Bearer ", TOKEN] {
            let reply = send_request_with(
                &collector,
                method,
                path,
                &[("Authorization", authorization)],
                b"x",
            );
            assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"standpipe\""));
            api.keep_response(method, path, &reply, 401);
        }
        api.send_request_with(method, path, &[], 401);
        let twice = format!("Bearer {TOKEN}");
        api.send_request_with(
            method,
            path,
            &[("Authorization", &twice), ("Authorization", &twice)],
            401,
        );
    }

    // Routes without a token.
    for path in ["/health/live", "/health/ready", "/metrics", "/openapi.json"] {
        let reply = send_request_with(&collector, "GET", path, &[], b"");
        api.keep_response("GET", path, &reply, 200);
    }

    // Unknown routes.
    for (method, path, allowed) in [
        ("POST", "/plugin", "GET, HEAD, PUT"),
        ("GET", "/plugin/check", "POST"),
        ("GET", "/plugin/canary", "PUT, DELETE"),
        ("PUT", "/health/live", "GET, HEAD"),
    ] {
        let reply = send_request(&collector, method, path, b"");
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allowed)), "{method} {path}");
    }
    for path in ["/", "/plugin/", "/plugins", "/plugin/canary/demote", "/admin/plugin"] {
        assert_eq!(send_request(&collector, "GET", path, b"").status, 404, "{path}");
    }

    let document = parse_body(&send_request(&collector, "GET", "/openapi.json", b""));
    let kept = fs::read_to_string(workspace_directory().join("host/docs/openapi.json")).unwrap();
    assert_eq!(document, serde_json::from_str::<Value>(&kept).unwrap());
    let complaints = openapi::find_violations(&document, &recorder.answers);
    assert!(complaints.is_empty(), "{complaints:#?}");
    // A response that the document does not describe is reported.
    let mut wrong = recorder.answers.swap_remove(0);
    wrong["body"] = json!({"error": 7});
    assert_eq!(openapi::find_violations(&document, &[wrong]).len(), 1);

    let ran = collector.stop().expect_exit(0);
    assert!(!ran.stderr.contains("PLANTED"), "{}", ran.stderr);
}
