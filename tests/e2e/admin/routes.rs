//! Every route, with every status that can be brought about, held against the
//! document.

use std::fs;

use standpipe_tests::{openapi, workspace};

use super::*;

/// Keeps what was answered, to be held against the document.
struct Recorder<'a> {
    collector: &'a Collector,
    answers: Vec<Value>,
}

impl Recorder<'_> {
    fn ask(&mut self, method: &str, path: &str, body: &[u8], status: u16) -> Reply {
        let reply = ask(self.collector, method, path, body);
        self.keep(method, path, &reply, status);
        reply
    }

    fn ask_with(&mut self, method: &str, path: &str, headers: &[(&str, &str)], status: u16) {
        let reply = ask_with(self.collector, method, path, headers, b"x");
        self.keep(method, path, &reply, status);
    }

    fn keep(&mut self, method: &str, path: &str, reply: &Reply, status: u16) {
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        if status >= 400 {
            let error = value(reply)["error"].as_str().expect("an error").to_owned();
            assert!(error.len() > 10, "{method} {path}: {error}");
        }
        let path = path.split('?').next().unwrap();
        self.answers.push(openapi::answer(method, path, reply));
    }

    /// Have a component refused at this step.
    fn refused(&mut self, method: &str, path: &str, component: &[u8], step: &str) {
        let reply = self.ask(method, path, component, 422);
        assert_eq!(value(&reply)["step"], step, "{method} {path}: {}", reply.text());
    }
}

const COMPONENT_ROUTES: [(&str, &str); 3] =
    [("PUT", "/plugin"), ("POST", "/plugin/check"), ("PUT", "/plugin/canary")];
/// A component of nothing.
const NO_EXPORTS: &[u8] = b"\0asm\x0d\0\x01\0";

const OTHER_ROUTES: [(&str, &str); 4] = [
    ("GET", "/plugin"),
    ("POST", "/plugin/rollback"),
    ("DELETE", "/plugin/canary"),
    ("POST", "/plugin/canary/promote"),
];

#[test]
fn every_route_does_what_its_document_says() {
    let collector = start(&administered());
    let mut recorder = Recorder { collector: &collector, answers: Vec::new() };
    let api = &mut recorder;

    // Nothing was done yet.
    api.ask("POST", "/plugin/rollback", b"", 409);
    api.ask("DELETE", "/plugin/canary", b"", 409);
    api.ask("POST", "/plugin/canary/promote", b"", 409);
    let report = value(&api.ask("GET", "/plugin", b"", 200));
    assert_eq!((&report["active"]["generation"], &report["swaps"]), (&json!(1), &json!(0)));

    // The same, another one, and back and forth.
    let taken = value(&api.ask("PUT", "/plugin", DEFAULT_PLUGIN, 200));
    assert_eq!(taken, json!({"generation": 1, "changed": false}));
    let checked = value(&api.ask("POST", "/plugin/check", &of_default(1), 200));
    assert_eq!(checked["streams"], json!(["all"]));
    let taken = value(&api.ask("PUT", "/plugin", &of_default(1), 200));
    assert_eq!(taken, json!({"generation": 2, "changed": true}));
    let after = value(&api.ask("GET", "/plugin", b"", 200));
    assert_eq!(after["active"]["sha256"], checked["sha256"]);
    assert_eq!(after["active"]["origin"], "the admin API, from 127.0.0.1");
    assert_eq!(after["previous"]["sha256"], report["active"]["sha256"]);
    // Back, once, however often that is asked for.
    let rollback = "/plugin/rollback";
    let named = |generation: u64| format!("{rollback}?generation={generation}");
    api.ask("POST", &named(1), b"", 409);
    let taken = value(&api.ask("POST", rollback, b"", 200));
    assert_eq!(taken, json!({"generation": 3, "changed": true}));
    let already = json!({"generation": 3, "changed": false, "note": "already rolled back"});
    for path in [rollback, &named(2)] {
        assert_eq!(value(&api.ask("POST", path, b"", 200)), already, "{path}");
    }
    // What was gone back to has none before it, and others are not in use.
    for generation in [1, 3, 4] {
        api.ask("POST", &named(generation), b"", 409);
    }
    for query in ["generation=x", "generation=", "generation=3&generation=3", "gen=3"] {
        api.ask("POST", &format!("{rollback}?{query}"), b"", 400);
    }
    let back = value(&api.ask("GET", "/plugin", b"", 200));
    assert_eq!(back["active"]["sha256"], report["active"]["sha256"]);
    assert_eq!((&back["withdrawn"], back.get("previous")), (&json!(2), None));
    // Another plugin takes over: there is one to go back to again.
    let taken = value(&api.ask("PUT", "/plugin", &of_default(1), 200));
    assert_eq!(taken, json!({"generation": 4, "changed": true}));
    api.ask("POST", &named(2), b"", 409);
    let report = value(&api.ask("GET", "/plugin", b"", 200));
    assert_eq!((report.get("withdrawn"), &report["previous"]["generation"]), (None, &json!(3)));

    // A canary that is ended, and one that takes over.
    let query = "/plugin/canary?percent=50&max_error_rate=0.5&min_events=10";
    let taken = value(&api.ask("PUT", query, &of_default(2), 200));
    assert_eq!(taken, json!({"generation": 5, "changed": true}));
    let report = value(&api.ask("GET", "/plugin", b"", 200));
    let canary = &report["canary"];
    assert_eq!((&canary["percent"], &canary["max_error_rate"]), (&json!(50.0), &json!(0.5)));
    assert_eq!(api.ask("DELETE", "/plugin/canary", b"", 204).body, b"");
    api.ask("DELETE", "/plugin/canary", b"", 409);
    api.ask("PUT", "/plugin/canary", &of_default(3), 200);
    let sha256 = value(&api.ask("GET", "/plugin", b"", 200))["canary"]["plugin"]["sha256"].clone();
    let taken = value(&api.ask("POST", "/plugin/canary/promote", b"", 200));
    assert_eq!(taken, json!({"generation": 7, "changed": true}));
    let report = value(&api.ask("GET", "/plugin", b"", 200));
    assert_eq!((&report["active"]["sha256"], report.get("canary")), (&sha256, None));

    // What is no plugin.
    for (method, path) in COMPONENT_ROUTES {
        api.refused(method, path, b"garbage", "compile");
        api.refused(method, path, b"\0asm\x01\0\0\0", "compile");
        api.refused(method, path, &DEFAULT_PLUGIN[..DEFAULT_PLUGIN.len() / 2], "compile");
        api.refused(method, path, NO_EXPORTS, "fit");
        api.ask(method, path, b"", 400);
    }
    for query in ["percent=101", "percent=1&percent=1", "share=5", "min_events=-1"] {
        api.ask("PUT", &format!("/plugin/canary?{query}"), DEFAULT_PLUGIN, 400);
    }
    let after = value(&api.ask("GET", "/plugin", b"", 200));
    assert_eq!(after["active"]["generation"], 7);
    assert_eq!(after["last_refused"]["step"], "fit");
    // Two routes count what they refuse; a check is no attempt.
    assert_eq!((&after["refused"]["compile"], &after["refused"]["fit"]), (&json!(6), &json!(2)));
    let seen = metrics(&collector);
    assert_eq!(seen.value("standpipe_plugin_load_failures_total", &[("step", "compile")]), 6.0);
    assert_eq!(seen.sum("standpipe_plugin_swaps_total"), 4.0);
    let sha256 = sha256.as_str().unwrap();
    let labels = [("role", "active"), ("sha256", sha256)];
    assert_eq!(seen.value("standpipe_plugin_generation", &labels), 7.0);

    // Who does not know the token is told so before anything else.
    for (method, path) in COMPONENT_ROUTES.into_iter().chain(OTHER_ROUTES) {
        for authorization in ["Bearer 0123456789abcdef", "Basic eDp5", "Bearer ", TOKEN] {
            let reply =
                ask_with(&collector, method, path, &[("Authorization", authorization)], b"x");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"standpipe\""));
            api.keep(method, path, &reply, 401);
        }
        api.ask_with(method, path, &[], 401);
        let twice = format!("Bearer {TOKEN}");
        api.ask_with(method, path, &[("Authorization", &twice), ("Authorization", &twice)], 401);
    }

    // What needs none.
    for path in ["/health/live", "/health/ready", "/metrics", "/openapi.json"] {
        let reply = ask_with(&collector, "GET", path, &[], b"");
        api.keep("GET", path, &reply, 200);
    }

    // What there is not.
    for (method, path, allowed) in [
        ("POST", "/plugin", "GET, HEAD, PUT"),
        ("GET", "/plugin/check", "POST"),
        ("GET", "/plugin/canary", "PUT, DELETE"),
        ("PUT", "/health/live", "GET, HEAD"),
    ] {
        let reply = ask(&collector, method, path, b"");
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allowed)), "{method} {path}");
    }
    for path in ["/", "/plugin/", "/plugins", "/plugin/canary/demote", "/admin/plugin"] {
        assert_eq!(ask(&collector, "GET", path, b"").status, 404, "{path}");
    }

    let document = value(&ask(&collector, "GET", "/openapi.json", b""));
    let kept = fs::read_to_string(workspace().join("host/docs/openapi.json")).unwrap();
    assert_eq!(document, serde_json::from_str::<Value>(&kept).unwrap());
    let complaints = openapi::complaints(&document, &recorder.answers);
    assert!(complaints.is_empty(), "{complaints:#?}");
    // An answer that the document does not tell of is noticed.
    let mut wrong = recorder.answers.swap_remove(0);
    wrong["body"] = json!({"error": 7});
    assert_eq!(openapi::complaints(&document, &[wrong]).len(), 1);

    let ran = collector.stop().exits(0);
    assert!(!ran.stderr.contains("PLANTED"), "{}", ran.stderr);
}
